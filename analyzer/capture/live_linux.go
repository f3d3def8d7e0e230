package capture

import (
	"errors"
	"fmt"
	"math/bits"
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

// A Ring is a buffer that the kernel fills with the frames at an interface (TPACKET_V3). Only one
// goroutine may use it.
type Ring struct {
	cfg    LiveConfig
	index  int // of the interface; 0 for all
	name   string
	ring   *afpacket.TPacket       // nil while the interface is down
	links  map[int]layers.LinkType // by interface index, at most maxLinks
	opened time.Time               // by the clock that stamps frames; zero once joined has passed
	joined time.Time               // when it has joined its group, by the monotonic clock

	packets, dropped uint64 // of earlier rings, before the interface went down
}

// anyInterface stands for all interfaces.
const anyInterface = "any"

// maxLinks bounds Ring.links: where containers come and go, a host has many more interfaces over a
// year.
const maxLinks = 4096

// A notice is an ErrIdle that gives a reason.
type notice string

func (n notice) Error() string        { return string(n) }
func (n notice) Is(target error) bool { return target == ErrIdle }

const (
	blockSize  = 1 << 20 // a full block goes to the reader; a frame may take a whole one
	blockTime  = 50 * time.Millisecond
	frameSize  = 1 << 11   // must divide blockSize; frames in a block take only the room they need
	wholeFrame = blockSize // more than any frame: Linux's GSO_MAX_SIZE is 524,280
	minBlocks  = 2
	joinTime   = time.Second // more than the first block takes to reach the reader
)

// Live opens a ring at an interface, or at all interfaces if the name is "any" and no interface is
// called that. The ring receives every frame from now on; at a single interface also frames
// addressed to other hosts. It needs a 64-bit system.
func Live(cfg LiveConfig) (*Ring, error) {
	// gopacket/afpacket panics at the first frame on 32 bits: its counters are not aligned.
	if bits.UintSize == 32 {
		return nil, fmt.Errorf("interface %s: capturing needs a 64-bit system", cfg.Interface)
	}
	r := &Ring{cfg: cfg, name: "interface " + cfg.Interface, links: make(map[int]layers.LinkType)}
	i, err := net.InterfaceByName(cfg.Interface)
	switch {
	case err == nil:
		r.index = i.Index
		if r.links[i.Index], err = linkType(i); err != nil {
			return nil, fmt.Errorf("%s: %w", r.name, err)
		}
	case cfg.Interface != anyInterface:
		return nil, fmt.Errorf("%s: does not exist; there are %s, and any", r.name, strings.Join(interfaceNames(), ", "))
	}
	if err := r.open(i); err != nil {
		return nil, fmt.Errorf("%s: %w", r.name, err)
	}
	return r, nil
}

// interfaceNames returns the names of the interfaces, none if they cannot be listed.
func interfaceNames() (names []string) {
	all, _ := net.Interfaces()
	for _, i := range all {
		names = append(names, i.Name)
	}
	return names
}

// available returns how many bytes of memory are available, or false if that is unknown.
func available() (bytes uint64, ok bool) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, false
	}
	_, rest, _ := strings.Cut(string(text), "\nMemAvailable:")
	line, _, _ := strings.Cut(rest, " kB\n")
	kb, err := strconv.ParseUint(strings.TrimSpace(line), 10, 64)
	return kb << 10, err == nil
}

// open opens the ring at i, or at all interfaces if i is nil.
func (r *Ring) open(i *net.Interface) error {
	// The kernel reserves the ring's memory at once, and kills processes until there is enough.
	if bytes, ok := available(); ok && uint64(r.cfg.Buffer) > bytes {
		return fmt.Errorf("a buffer of %d bytes does not fit into the %d bytes of available memory", r.cfg.Buffer, bytes)
	}
	name := ""
	if i != nil {
		name = i.Name
	}
	ring, err := afpacket.NewTPacket(
		afpacket.OptInterface(name), afpacket.TPacketVersion3,
		afpacket.OptBlockSize(blockSize), afpacket.OptFrameSize(frameSize),
		afpacket.OptNumBlocks(max((r.cfg.Buffer+blockSize-1)/blockSize, minBlocks)),
		afpacket.OptBlockTimeout(blockTime), afpacket.OptPollTimeout(idleTime),
		afpacket.OptAddVLANHeader(true),
	)
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("opening a packet socket: %w: it needs CAP_NET_RAW, which root has", err)
	}
	if err != nil {
		return fmt.Errorf("opening a packet socket: %w", err)
	}
	if err := prepare(ring, i, r.cfg); err != nil {
		ring.Close()
		return err
	}
	r.ring, r.opened = ring, time.Now()
	r.joined = r.opened.Add(joinTime)
	return nil
}

// prepare sets the ring's filter, promiscuous mode and fanout group.
func prepare(ring *afpacket.TPacket, i *net.Interface, cfg LiveConfig) error {
	filter := cfg.Filter
	if i == nil || i.Flags&net.FlagLoopback != 0 {
		// A packet at the loopback is sent and received: capture it once. The filter that follows
		// works at any position, as its jumps are relative.
		once, err := bpf.Assemble([]bpf.Instruction{
			bpf.LoadExtension{Num: bpf.ExtType},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.PACKET_OUTGOING, SkipFalse: 3},
			bpf.LoadExtension{Num: bpf.ExtLinkLayerType},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ARPHRD_LOOPBACK, SkipFalse: 1},
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
	if i != nil { // there is no promiscuous mode for all interfaces
		if err := ring.SetPromiscuous(true); err != nil {
			return fmt.Errorf("promiscuous mode: %w", err)
		}
	}
	if cfg.Fanout >= 0 {
		if err := ring.SetFanout(afpacket.FanoutHash|afpacket.FanoutHashWithDefrag, uint16(cfg.Fanout)); err != nil {
			return fmt.Errorf("joining fanout group %d: %w", cfg.Fanout, err)
		}
	}
	return nil
}

// linkType returns the link type of an interface's frames.
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

// Next returns the next frame, whose data is valid until the next call. If none has arrived for a
// while, the error is ErrIdle; if the interface has gone down or come up, it matches ErrIdle and
// says so. Any other error names the interface and is final.
func (r *Ring) Next() (packet.Frame, error) {
	if r.ring == nil {
		return packet.Frame{}, r.reopen()
	}
	for failed := false; ; {
		data, ci, err := r.ring.ZeroCopyReadPacketData()
		switch {
		case errors.Is(err, afpacket.ErrTimeout):
			return packet.Frame{}, ErrIdle
		case errors.Is(err, afpacket.ErrPoll) && !failed:
			failed = true
			time.Sleep(2 * blockTime) // until the kernel has handed over the last block with frames
			continue
		case errors.Is(err, afpacket.ErrPoll):
			return packet.Frame{}, r.lost()
		case err != nil:
			return packet.Frame{}, fmt.Errorf("%s: %w", r.name, err)
		}
		// Before it joined its group, the ring received frames that belong to others of the group.
		// If an older frame comes much later, the system clock was set back.
		old := !ci.Timestamp.After(r.opened)
		if old && time.Now().After(r.joined) {
			r.opened, old = time.Time{}, false
		}
		if !old {
			return packet.Frame{Data: data, Time: ci.Timestamp, Link: r.link(ci.InterfaceIndex), Wire: ci.Length}, nil
		}
	}
}

// link returns the link type of the interface with the given index.
func (r *Ring) link(index int) layers.LinkType {
	link, ok := r.links[index]
	if ok {
		return link
	}
	link = unknownLink
	if i, err := net.InterfaceByIndex(index); err == nil {
		if known, err := linkType(i); err == nil {
			link = known
		}
	}
	if len(r.links) >= maxLinks {
		clear(r.links)
	}
	r.links[index] = link
	return link
}

// lost closes the ring, which receives nothing more because the interface has gone down, even if it
// is up again by now, or is gone.
func (r *Ring) lost() error {
	if _, err := net.InterfaceByIndex(r.index); err != nil {
		return fmt.Errorf("%s: is gone", r.name)
	}
	packets, dropped, err := r.Stats()
	if err != nil {
		return err
	}
	r.ring.Close()
	r.ring, r.packets, r.dropped = nil, packets, dropped
	return notice(r.name + ": is down: waiting until it is up")
}

// reopen waits a while, then opens the ring if the interface is up.
func (r *Ring) reopen() error {
	time.Sleep(idleTime)
	i, err := net.InterfaceByIndex(r.index)
	switch {
	case err != nil:
		return fmt.Errorf("%s: is gone", r.name)
	case i.Flags&net.FlagUp == 0:
		return ErrIdle
	}
	if err := r.open(i); err != nil {
		return fmt.Errorf("%s: %w", r.name, err)
	}
	return notice(r.name + ": is up")
}

// Down reports whether the interface is down.
func (r *Ring) Down() bool { return r.ring == nil }

// Stats returns how many packets have arrived at the ring so far, and how many of them the kernel
// dropped because the ring was full.
func (r *Ring) Stats() (packets, dropped uint64, err error) {
	if r.ring == nil {
		return r.packets, r.dropped, nil
	}
	_, stats, err := r.ring.SocketStats()
	if err != nil {
		return 0, 0, fmt.Errorf("%s: counting drops: %w", r.name, err)
	}
	return r.packets + uint64(stats.Packets()), r.dropped + uint64(stats.Drops()), nil
}

// Close closes the ring.
func (r *Ring) Close() {
	if r.ring != nil {
		r.ring.Close()
	}
}
