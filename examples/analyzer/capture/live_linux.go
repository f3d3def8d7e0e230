package capture

import (
	"context"
	"fmt"
	"net"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"example.com/conn/examples/analyzer/packet"
)

// Live opens a network interface. It sees what passes there from now on, until ctx ends.
func Live(ctx context.Context, name string) (*Source, error) {
	h, err := pcapgo.NewEthernetHandle(name)
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", name, err)
	}
	if err := prepare(h, name); err != nil {
		h.Close()
		return nil, fmt.Errorf("interface %s: %w", name, err)
	}
	s := &Source{name: "interface " + name, live: true, close: func() error { return nil }} // a blocked read keeps the handle
	s.next, err = patiently(ctx, func() (func() (packet.Frame, error), error) {
		return func() (packet.Frame, error) {
			data, ci, err := h.ZeroCopyReadPacketData()
			return packet.Frame{Data: data, Time: ci.Timestamp, Link: layers.LinkTypeEthernet, Wire: ci.Length}, err
		}, nil
	})
	return s, err
}

// prepare makes h see the packets that are meant for others too, and those on a loopback interface once: there each is
// sent and received.
func prepare(h *pcapgo.EthernetHandle, name string) error {
	if err := h.SetPromiscuous(true); err != nil {
		return fmt.Errorf("promiscuous mode: %w", err)
	}
	i, err := net.InterfaceByName(name)
	if err != nil || i.Flags&net.FlagLoopback == 0 {
		return err
	}
	filter, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.PACKET_OUTGOING, SkipFalse: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: 1 << 18},
	})
	if err != nil {
		return err
	}
	return h.SetBPF(filter)
}
