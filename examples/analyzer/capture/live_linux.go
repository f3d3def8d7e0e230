package capture

import (
	"context"
	"fmt"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// Live opens a network interface. It sees what passes there from now on, until ctx ends.
func Live(ctx context.Context, name string) (*Source, error) {
	h, err := pcapgo.NewEthernetHandle(name)
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", name, err)
	}
	if err := h.SetPromiscuous(true); err != nil {
		h.Close()
		return nil, fmt.Errorf("interface %s: promiscuous mode: %w", name, err)
	}
	s := &Source{name: "interface " + name, close: func() error { return nil }} // a blocked read keeps the handle
	s.next, err = patiently(ctx, func() (func() (Frame, error), error) {
		return func() (Frame, error) {
			data, ci, err := h.ZeroCopyReadPacketData()
			return Frame{data, ci.Timestamp, layers.LinkTypeEthernet, ci.Length}, err
		}, nil
	})
	return s, err
}
