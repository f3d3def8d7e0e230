package flow_test

import (
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/assert"

	"example.com/conn"
	"example.com/conn/analyzer/flow"
	"example.com/conn/analyzer/packet"
	"example.com/conn/analyzer/protocol"
)

// For a connection that may be a tunnel, the decoder decides, neither a parser nor the ports.
func TestDecoderDecidesAboutTunnels(t *testing.T) {
	p := &fake{name: "hello", udp: true}
	var uids, origs []string
	p.onData = func(c *conn.Connection, _ protocol.Packet, data []byte) (int, protocol.Next) {
		uids, origs = append(uids, c.UID), append(origs, c.ID.Orig.String())
		return 0, protocol.Flip
	}
	h := newHarness(t, nil, p)
	for _, o := range []*packet.Outer{
		nil,
		{ID: conn.ID{Orig: server, Resp: client, Proto: conn.UDP}, UID: "C1"}, // turned into a tunnel
		{ID: conn.ID{Orig: client, Resp: server, Proto: conn.UDP}, UID: "C2"}, // forgotten by the decoder
	} {
		b := serialize(t, client, server, &layers.UDP{SrcPort: layers.UDPPort(client.Port()), DstPort: layers.UDPPort(server.Port())}, "hello")
		h.now = h.now.Add(time.Second)
		for range 2 {
			h.table.Packet(&packet.Packet{
				Time: h.now, Now: h.now, Src: client.Addr(), Dst: server.Addr(), Proto: conn.UDP,
				Payload: b, Length: len(b), IPLength: len(b) + 20, Outer: o,
			})
		}
	}
	rows := h.close()
	assert.Equal(t, []string{"7000>40000 SHR D^ - hello", "7000>40000 SHR ^d - hello", "40000>7000 S0 D - hello"}, rows)
	assert.Equal(t, []string{"C1", "C2"}, uids[len(uids)-2:])
	assert.Equal(t, []string{server.String(), client.String()}, origs[len(origs)-2:])
	assert.Equal(t, 2, h.table.Stats.RemovedFor[flow.Reused])
}
