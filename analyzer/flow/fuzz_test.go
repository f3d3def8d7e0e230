package flow_test

import (
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn"
	"example.com/conn/analyzer/flow"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/packet"
	"example.com/conn/analyzer/protocol"
)

// A glutton is a parser whose input tells it to hold memory, leave bytes, announce connections,
// hand over to another parser, panic, or register and unregister hooks.
type glutton struct {
	*fake
	kept conn.Field[[]byte]
}

func (g *glutton) Match(orig, resp []byte) protocol.Verdict {
	switch {
	case strings.HasPrefix(string(orig), "h"), strings.HasPrefix(string(resp), "h"):
		return protocol.Yes
	case len(orig)+len(resp) == 0 || strings.HasPrefix(string(orig), "?"):
		return protocol.Maybe
	}
	return protocol.No
}

func (g *glutton) Data(c *conn.Connection, p protocol.Packet, data []byte) (int, protocol.Next) {
	kept, created := g.kept.GetOrNew(c)
	hook := conn.RemovalHook(func(c *conn.Connection) bool {
		g.ran++
		if len(data)%7 == 3 {
			conn.Register(c, func(*conn.Connection) bool { g.ran++; return true })
		}
		return true
	})
	if created {
		conn.Register(c, hook)
	}
	for i, b := range data {
		switch b {
		case 'k':
			*kept = append(*kept, data...)
		case 'l':
			return i, protocol.More
		case 'e':
			g.owner.Expect(c.ID.Orig.Addr(), c.ID.Resp, "data", func(c *conn.Connection) { conn.Register(c, hook) })
		case 'o':
			return i + 1, protocol.HandOver
		case 'v':
			return i, protocol.Violation
		case 's':
			return i, protocol.Stop
		case 'p':
			panic("glutton")
		case 'r':
			conn.Register(c, hook)
		case 'u':
			conn.Unregister(c, hook)
		case 'w':
			g.owner.Weird(c, "weird "+string(data[:i]), string(data))
		case 'c':
			g.owner.Confirm(c)
		}
	}
	return len(data), protocol.More
}

func (g *glutton) MemoryUsed(c *conn.Connection) int {
	if kept := g.kept.Get(c); kept != nil {
		return cap(*kept)
	}
	return 0
}

func (g *glutton) FreeMemory(c *conn.Connection) {
	if kept := g.kept.Get(c); kept != nil && len(*kept)%3 > 0 { // not always
		*kept = nil
	}
}

// FuzzTable passes arbitrary packets of a few connections to a Table, most of them with valid
// checksums. The Table must not panic, its counters must match its contents, and nothing may be
// left at the end.
func FuzzTable(f *testing.F) {
	f.Add([]byte("\x00\x02\x00\x00\x00\x01\x12\x00\x00\x00\x00\x10\x00\x00\x05hello\x01\x10\x00\x05\x03ab\x00"))
	f.Add([]byte("\x00\x02\x00\x00\x00\x00\x10\x00\x40\x07hkkkkkk\x00\x10\x00\x80\x07hkkkkkl\x00\x10\x00\x01\x03hol"))
	f.Add([]byte("\x20\x00\x00\x00\x03?hk\x21\x00\x00\x00\x03hke\x40\x00\x00\x00\x00\x80\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, input []byte) {
		if len(input) > 4096 {
			return
		}
		var parsers []func(protocol.Owner) protocol.Parser
		var all []*glutton
		for _, udp := range []bool{false, true} {
			g := &glutton{fake: &fake{name: "glutton", udp: udp, ports: []uint16{7000}}}
			all = append(all, g)
			parsers = append(parsers, func(o protocol.Owner) protocol.Parser { g.owner = o; return g })
		}
		w := logs.NewWriter(logs.NewOutput(io.Discard, nil))
		table := flow.New(flow.Config{
			MaxConnections: 8, MaxBuffered: 2000, MaxTotal: 6000,
			TCPTimeout: 5 * time.Minute, UDPTimeout: time.Minute, AttemptTimeout: 5 * time.Second, CloseTimeout: 5 * time.Second,
			Parsers: parsers, Log: w, Errors: io.Discard,
		})
		at := start
		for len(input) >= 5 {
			// The kind of packet, flags, sequence number, acknowledgment, and length of the data
			// that follows.
			what, bits, seq, ack, n := input[0], input[1], input[2], input[3], min(int(input[4]), len(input)-5)
			data := string(input[5 : 5+n])
			input = input[5+n:]
			src, dst := netip.AddrPortFrom(client.Addr(), 40000+uint16(what>>1&15)), server
			if what&1 != 0 {
				src, dst = dst, src
			}
			at = at.Add(time.Duration(ack) * 20 * time.Millisecond)
			var p packet.Packet
			switch what >> 5 & 3 {
			case 1:
				p.Proto = conn.UDP
				p.Payload = serialize(t, src, dst, &layers.UDP{
					SrcPort: layers.UDPPort(src.Port()), DstPort: layers.UDPPort(dst.Port())}, data)
			case 2:
				p.Proto = conn.ICMP
				p.Payload = serialize(t, src, dst, &layers.ICMPv4{TypeCode: layers.ICMPv4TypeCode(bits)}, data)
			default:
				p.Proto = conn.TCP
				p.Payload = serialize(t, src, dst, &layers.TCP{
					SrcPort: layers.TCPPort(src.Port()), DstPort: layers.TCPPort(dst.Port()), Window: 1000 * uint16(ack),
					Seq: 1000 + uint32(seq)*uint32(bits>>5+1), Ack: 1001 + uint32(ack),
					FIN: bits&1 != 0, SYN: bits&2 != 0, RST: bits&4 != 0, ACK: bits&16 != 0,
				}, data)
			}
			p.Time, p.Src, p.Dst, p.Length, p.IPLength = at, src.Addr(), dst.Addr(), len(p.Payload), len(p.Payload)+20
			if what&0x80 != 0 && seq < 64 {
				p.Payload[len(p.Payload)-1]++ // a bad checksum, mostly
			}
			if what&0x80 != 0 && seq >= 192 {
				p.Payload = p.Payload[:len(p.Payload)/2] // partly captured
			}
			table.Packet(&p)
			require.NoError(t, table.Invariants())
			require.LessOrEqual(t, table.Len(), 8)
		}
		table.Close()
		require.NoError(t, table.Invariants())
		s := table.Stats
		assert.Zero(t, table.Held())
		assert.Zero(t, table.Len())
		assert.Equal(t, s.Connections, s.Removed)
		assert.LessOrEqual(t, s.HooksRun, all[0].ran+all[1].ran) // hooks register hooks, too
	})
}
