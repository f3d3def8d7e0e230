package capture

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gopacket/gopacket/afpacket"
	"github.com/gopacket/gopacket/layers"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"example.com/conn/analyzer/packet"
)

// A Ring is a buffer that the kernel fills with what passes at an interface: TPACKET_V3. It belongs
// to one goroutine.
type Ring struct {
	name   string
	ring   *afpacket.TPacket
	link   layers.LinkType
	opened time.Time
}

const (
	blockSize  = 1 << 20 // bytes: a block goes to the reader when it is full; a frame may take a whole one
	blockTime  = 50 * time.Millisecond
	frameSize  = 1 << 11   // a divisor of blockSize: frames in a block take as much room as they need
	wholeFrame = blockSize // bytes: more than any frame has; Linux' GSO_MAX_SIZE is 524,280
	minBlocks  = 2
)

// Live opens a ring at an interface. It sees what passes there from now on, also what is meant for
// others.
func Live(cfg LiveConfig) (r *Ring, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("interface %s: %w", cfg.Interface, err)
		}
	}()
	i, err := net.InterfaceByName(cfg.Interface)
	if err != nil {
		return nil, err
	}
	link, err := linkType(i)
	if err != nil {
		return nil, err
	}
	ring, err := afpacket.NewTPacket(
		afpacket.OptInterface(i.Name), afpacket.TPacketVersion3,
		afpacket.OptBlockSize(blockSize), afpacket.OptFrameSize(frameSize),
		afpacket.OptNumBlocks(max((cfg.Buffer+blockSize-1)/blockSize, minBlocks)),
		afpacket.OptBlockTimeout(blockTime), afpacket.OptPollTimeout(idleTime),
		afpacket.OptAddVLANHeader(true),
	)
	if err != nil {
		return nil, fmt.Errorf("opening a packet socket: %w", err)
	}
	if err := prepare(ring, i, cfg); err != nil {
		ring.Close()
		return nil, err
	}
	return &Ring{name: "interface " + i.Name, ring: ring, link: link, opened: time.Now()}, nil
}

// prepare makes ring see the packets that it is to see.
func prepare(ring *afpacket.TPacket, i *net.Interface, cfg LiveConfig) error {
	filter := cfg.Filter
	if i.Flags&net.FlagLoopback != 0 {
		// There each packet is sent and received: see it once. The jumps of what follows are
		// relative.
		once, err := bpf.Assemble([]bpf.Instruction{
			bpf.LoadExtension{Num: bpf.ExtType},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.PACKET_OUTGOING, SkipFalse: 1},
			bpf.RetConstant{Val: 0},
		})
		if err != nil {
			return err
		}
		if filter == nil {
			filter = []bpf.RawInstruction{{Op: unix.BPF_RET | unix.BPF_K, K: wholeFrame}}
		}
		filter = append(once, filter...)
	}
	if filter != nil {
		if err := ring.SetBPF(filter); err != nil {
			return fmt.Errorf("setting the filter: %w", err)
		}
	}
	if err := ring.SetPromiscuous(true); err != nil {
		return fmt.Errorf("promiscuous mode: %w", err)
	}
	if cfg.Fanout >= 0 {
		if err := ring.SetFanout(afpacket.FanoutHash|afpacket.FanoutHashWithDefrag, uint16(cfg.Fanout)); err != nil {
			return fmt.Errorf("joining fanout group %d: %w", cfg.Fanout, err)
		}
	}
	return nil
}

// linkType returns what frames of an interface begin with, by the kernel's type of it.
func linkType(i *net.Interface) (layers.LinkType, error) {
	text, err := os.ReadFile("/sys/class/net/" + i.Name + "/type")
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, err
	}
	switch n {
	case unix.ARPHRD_ETHER, unix.ARPHRD_LOOPBACK:
		return layers.LinkTypeEthernet, nil
	case unix.ARPHRD_NONE, unix.ARPHRD_PPP, unix.ARPHRD_TUNNEL, unix.ARPHRD_TUNNEL6, unix.ARPHRD_SIT, unix.ARPHRD_IPGRE:
		return layers.LinkTypeRaw, nil
	case unix.ARPHRD_IEEE80211:
		return layers.LinkTypeIEEE802_11, nil
	case unix.ARPHRD_IEEE80211_RADIOTAP:
		return layers.LinkTypeIEEE80211Radio, nil
	}
	return 0, fmt.Errorf("frames of hardware type %d are not supported", n)
}

// Next returns the next frame, whose data is good until the next call; or ErrIdle if none has come
// for a while; or an error that names the interface, after which there is nothing more to be read.
func (r *Ring) Next() (packet.Frame, error) {
	for {
		data, ci, err := r.ring.ZeroCopyReadPacketData()
		switch {
		case errors.Is(err, afpacket.ErrTimeout):
			return packet.Frame{}, ErrIdle
		case errors.Is(err, afpacket.ErrPoll):
			return packet.Frame{}, fmt.Errorf("%s: is down or gone", r.name)
		case err != nil:
			return packet.Frame{}, fmt.Errorf("%s: %w", r.name, err)
		}
		// Before it joined its group, the ring got what is another one's.
		if ci.Timestamp.After(r.opened) {
			return packet.Frame{Data: data, Time: ci.Timestamp, Link: r.link, Wire: ci.Length}, nil
		}
	}
}

// Stats returns how many packets have come to the ring so far, and for how many of them the kernel
// had no room.
func (r *Ring) Stats() (packets, dropped uint64, err error) {
	_, stats, err := r.ring.SocketStats()
	if err != nil {
		return 0, 0, fmt.Errorf("%s: counting drops: %w", r.name, err)
	}
	return uint64(stats.Packets()), uint64(stats.Drops()), nil
}

// Close closes the ring.
func (r *Ring) Close() { r.ring.Close() }
