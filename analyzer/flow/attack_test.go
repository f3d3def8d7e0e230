package flow_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn"
	"example.com/conn/analyzer/flow"
	"example.com/conn/analyzer/protocol"
)

// establish opens a connection from a port of the client.
func (h *harness) establish(port uint16) netip.AddrPort {
	h.t.Helper()
	from := netip.AddrPortFrom(client.Addr(), port)
	h.tcp(from, server, "S", 100, 0, "")
	h.tcp(server, from, "SA", 500, 101, "")
	h.tcp(from, server, "A", 101, 501, "")
	return from
}

// No flood evicts established connections from a full table.
func TestEstablishedConnectionsSurviveFloods(t *testing.T) {
	const size, old, flood = 800, 100, 3000
	for name, packets := range map[string]func(h *harness, from netip.AddrPort){
		"SYN": func(h *harness, from netip.AddrPort) { h.tcp(from, server, "S", 100, 0, "") },
		"UDP": func(h *harness, from netip.AddrPort) { h.udp(from, server, "x") },
		"UDP with answers": func(h *harness, from netip.AddrPort) {
			h.udp(from, server, "x")
			h.udp(server, from, "x")
		},
		"ICMP": func(h *harness, from netip.AddrPort) {
			a := from.Addr().As4()
			a[0], a[2], a[3] = 10, byte(from.Port()>>8), byte(from.Port())
			h.icmp(netip.AddrPortFrom(netip.AddrFrom4(a), 0), server, 8, 0, "x")
		},
		"other protocols": func(h *harness, from netip.AddrPort) {
			a := from.Addr().As4()
			a[0], a[2], a[3] = 10, byte(from.Port()>>8), byte(from.Port())
			h.packet(netip.AddrPortFrom(netip.AddrFrom4(a), 0), server, conn.SCTP, []byte("x"))
		},
		"data without a handshake": func(h *harness, from netip.AddrPort) { h.tcp(from, server, "A", 100, 7, "x") },
		"bad checksums": func(h *harness, from netip.AddrPort) {
			h.damaged(from, server, "A", 100, 7, "x")
		},
		"rejected": func(h *harness, from netip.AddrPort) {
			h.tcp(from, server, "S", 100, 0, "")
			h.tcp(server, from, "RA", 0, 101, "")
		},
		"handshakes": func(h *harness, from netip.AddrPort) { h.establish(from.Port()) },
		"handshakes with a byte": func(h *harness, from netip.AddrPort) {
			h.establish(from.Port())
			h.tcp(from, server, "A", 101, 501, "h")
		},
		"handshakes with an unknown byte": func(h *harness, from netip.AddrPort) {
			h.establish(from.Port())
			h.tcp(from, server, "A", 101, 501, "?")
		},
		"handshakes with a request": func(h *harness, from netip.AddrPort) {
			h.establish(from.Port())
			h.tcp(from, server, "A", 101, 501, "hello")
		},
		"complete exchanges": func(h *harness, from netip.AddrPort) {
			h.establish(from.Port())
			h.tcp(from, server, "A", 101, 501, "hello")
			h.tcp(server, from, "A", 501, 106, "reply")
			h.tcp(from, server, "A", 106, 506, "hello")
		},
	} {
		for _, silent := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s silent=%t", name, silent), func(t *testing.T) {
				p := &fake{name: "hello"}
				h := newHarness(t, func(c *flow.Config) { c.MaxConnections = size }, p)
				request := func(i int) {
					h.tcp(netip.AddrPortFrom(client.Addr(), uint16(i+1)), server, "A", 101, 501, "hello")
				}
				for i := range old {
					h.establish(uint16(i + 1))
					if !silent {
						request(i)
					}
				}
				for i := range flood {
					packets(h, netip.AddrPortFrom(client.Addr(), uint16(i+1000)))
				}
				require.NoError(t, h.table.Invariants())
				assert.LessOrEqual(t, h.table.Len(), size)
				assert.Equal(t, h.table.Stats.Connections-h.table.Len(), h.table.Stats.Removed)
				if strings.Contains(name, "request") || strings.Contains(name, "complete") {
					if silent {
						return // connections with a known protocol are worth more than those without
					}
				}
				assert.Positive(t, h.table.Stats.Evicted)
				p.got.Reset()
				for i := range old {
					if silent {
						request(i)
					}
					h.tcp(server, netip.AddrPortFrom(client.Addr(), uint16(i+1)), "A", 501, 106, fmt.Sprintf("reply %d;", i))
				}
				for i := range old {
					assert.Contains(t, p.got.String(), fmt.Sprintf("reply %d;", i))
				}
			})
		}
	}
}

// New connections in a full table have time to send something, unless too many others begin.
func TestNewcomersInFullTable(t *testing.T) {
	const size = 2560
	p := &fake{name: "hello"}
	h := newHarness(t, func(c *flow.Config) { c.MaxConnections = size }, p)
	for i := range size + 200 {
		h.tcp(h.establish(uint16(i+1)), server, "A", 101, 501, "hello")
	}
	says := func(from netip.AddrPort, text string) bool {
		p.got.Reset()
		h.tcp(from, server, "A", 101, 501, text)
		return strings.Contains(p.got.String(), text)
	}
	late := h.establish(50_000)
	for i := range uint16(size/256 - 1) {
		h.establish(51_000 + i)
	}
	assert.True(t, says(late, "hello, a few handshakes later"))
	for i := range uint16(size/16 - 1) {
		h.tcp(h.establish(52_000+i), server, "A", 101, 501, "hello")
	}
	p.got.Reset()
	h.tcp(server, late, "A", 501, 101, "reply, many requests later")
	assert.True(t, strings.Contains(p.got.String(), "reply, many requests later"))

	late = netip.AddrPortFrom(client.Addr(), 60_000)
	h.tcp(late, server, "S", 100, 0, "")
	for i := range uint16(size/256 - 1) {
		h.tcp(netip.AddrPortFrom(client.Addr(), 61_000+i), server, "S", 100, 0, "")
	}
	h.tcp(server, late, "SA", 500, 101, "")
	assert.True(t, says(late, "hello, a few attempts later"))
	assert.False(t, says(netip.AddrPortFrom(client.Addr(), size+150), "hello, I was evicted"))
}

func TestEvictionOrder(t *testing.T) {
	p := &fake{name: "hello"}
	h := newHarness(t, func(c *flow.Config) { c.MaxConnections = 9 }, p)
	at := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(client.Addr(), port) }
	h.tcp(h.establish(10), server, "A", 101, 501, "hello")
	h.tcp(h.establish(9), server, "A", 101, 501, "hello")
	h.establish(8)
	h.establish(7)
	h.udp(at(6), server, "x")
	h.udp(server, at(6), "x")
	h.udp(at(4), server, "x")
	h.tcp(at(5), server, "A", 100, 3, "x")
	h.tcp(at(4), server, "A", 100, 3, "x")
	h.udp(at(4), server, "x") // no longer idle longest
	h.tcp(h.establish(2), server, "R", 101, 0, "")
	h.tcp(at(1), server, "S", 100, 0, "") // the table is full from here on
	for i := range uint16(9) {
		h.tcp(h.establish(1000+i), server, "A", 101, 501, "hello")
	}
	var order []string
	for _, row := range h.conns() {
		from, _, _ := strings.Cut(row, ">")
		order = append(order, from)
	}
	assert.Equal(t, []string{"2", "1", "5", "4", "4", "6", "7", "8", "1006", "1007"}, order)
	assert.Contains(t, h.weirds(), "connection_evicted")
	h.close()
}

// When too much is held, connections that hold a lot after a missing byte stop waiting for it, and
// those that hold nothing stay.
func TestMemoryLimitAppliesToLargest(t *testing.T) {
	p := &fake{name: "hello"}
	h := newHarness(t, func(c *flow.Config) { c.MaxTotal = 100_000 }, p)
	for i := range uint16(100) {
		h.tcp(h.establish(i+1), server, "A", 101, 501, "hello")
	}
	for i := range uint16(20) {
		from := h.establish(i + 1000)
		h.tcp(from, server, "A", 101, 501, "hello")
		h.tcp(from, server, "A", 107, 501, strings.Repeat("x", 10_000+int(i)))
		require.NoError(t, h.table.Invariants())
		require.LessOrEqual(t, h.table.Held(), 100_000)
	}
	assert.Zero(t, h.table.Stats.Removed)
	assert.Contains(t, p.got.String(), ">[1]>xxx")
	assert.Contains(t, h.weirds(), "memory_limit_exceeded")
	h.close()
	assert.Zero(t, h.table.Held())
}

// A connection that gets down to half of what it held keeps the rest.
func TestMemoryLimitStopsAtHalf(t *testing.T) {
	p := &fake{name: "hello"}
	p.onData = func(c *conn.Connection, _ protocol.Packet, data []byte) (int, protocol.Next) {
		p.hold(c, 4000)
		return len(data), protocol.More
	}
	h := newHarness(t, func(cfg *flow.Config) { cfg.MaxTotal = 9000 }, p)
	from := h.establish(1)
	h.tcp(from, server, "A", 101, 501, "hello")
	h.tcp(from, server, "A", 107, 501, strings.Repeat("x", 6000))
	assert.Contains(t, h.weirds(), "memory_limit_exceeded")
	assert.Zero(t, p.freed)
	assert.Equal(t, 4000, h.table.Held())
	h.close()
}

// The end of a connection may be among the segments that wait for the other direction.
func TestMemoryLimitRevealsEnd(t *testing.T) {
	for name, change := range map[string]func(*flow.Config){
		"of a side": func(c *flow.Config) { c.MaxBuffered = 10_000 },
		"of all":    func(c *flow.Config) { c.MaxTotal = 10_000 },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, func(c *flow.Config) { c.AttemptTimeout = 5 * time.Minute; change(c) }, &fake{name: "any", ports: []uint16{7000}})
			h.play(step{"r", "SA", 500, 101, ""}, step{"r", "A", 501, 101, "any and more"})
			h.play(step{"r", "FA", 513, 101, strings.Repeat("x", 10_000)})
			assert.Zero(t, h.table.Held())
			h.table.Advance(h.now.Add(5*time.Second - 1))
			assert.Zero(t, h.table.Stats.Removed)
			h.table.Advance(h.now.Add(5 * time.Second))
			assert.Equal(t, 1, h.table.Stats.Removed)
			h.close()
		})
	}
}

// Bytes that wait for a parser, and bytes that a parser does not consume, count too.
func TestHeldBytesCount(t *testing.T) {
	for name, c := range map[string]struct {
		seq  uint32
		data string
		held int
	}{
		"search":       {101, "hell", 4},
		"out of order": {102, strings.Repeat("x", 744), 744},
		"unconsumed":   {101, "hello" + strings.Repeat("x", 995), 1000},
	} {
		t.Run(name, func(t *testing.T) {
			p := &fake{name: "hello"}
			p.onData = func(*conn.Connection, protocol.Packet, []byte) (int, protocol.Next) { return 0, protocol.More }
			h := newHarness(t, func(cfg *flow.Config) { cfg.MaxTotal = 10_000 }, p)
			for port := range uint16(200) {
				h.tcp(h.establish(1000+port), server, "A", c.seq, 501, c.data)
				require.NoError(t, h.table.Invariants())
				if port == 0 {
					assert.GreaterOrEqual(t, h.table.Held(), c.held)
					assert.LessOrEqual(t, h.table.Held(), c.held+c.held/4+150)
				}
			}
			assert.Len(t, h.close(), 200)
			assert.Zero(t, h.table.Stats.Panics)
		})
	}
}

// So do the bytes of a second SYN-ACK, which wait for the client's ACK.
func TestCompetingBytesCount(t *testing.T) {
	h := newHarness(t, nil, &fake{name: "hello"})
	h.tcp(client, server, "S", 100, 0, "")
	h.tcp(server, client, "SA", 900, 101, "")
	h.tcp(server, client, "SA", 500, 101, "hello")
	assert.GreaterOrEqual(t, h.table.Held(), 5)
	require.NoError(t, h.table.Invariants())
	h.close()
}

// Bytes that a parser left unconsumed before a gap are not joined with those after it.
func TestUnconsumedDroppedAtGap(t *testing.T) {
	p := &fake{name: "hello"}
	p.onData = func(_ *conn.Connection, pkt protocol.Packet, data []byte) (int, protocol.Next) {
		p.note(pkt, string(data))
		return 0, protocol.More
	}
	h := newHarness(t, nil, p)
	h.handshake()
	h.tcp(client, server, "A", 101, 501, "hello")
	h.tcp(client, server, "A", 111, 501, "x")
	h.tcp(server, client, "A", 501, 112, "")
	assert.Equal(t, ">hello>[5]>x", p.got.String())
	h.close()
}

func TestParserStopsAtGap(t *testing.T) {
	p := &fake{name: "hello", gap: protocol.Stop}
	h := newHarness(t, nil, p)
	h.handshake()
	h.tcp(client, server, "A", 101, 501, "hello")
	h.tcp(client, server, "A", 111, 501, "x")
	h.tcp(server, client, "A", 501, 112, "")
	assert.Equal(t, ">hello>[5]", p.got.String())
	h.close()
}

// Ignored bytes are not held, on either side.
func TestIgnoredBytesNotHeld(t *testing.T) {
	for _, from := range []string{"o", "r"} {
		p := &fake{name: "hello"}
		p.onData = func(*conn.Connection, protocol.Packet, []byte) (int, protocol.Next) { return 5, protocol.Stop }
		h := newHarness(t, nil, p)
		h.handshake()
		seq, ack := uint32(111), uint32(501)
		if from == "r" {
			seq, ack = 511, 101
		}
		h.play(step{from, "A", seq, ack, strings.Repeat("x", 900)})
		assert.Greater(t, h.table.Held(), 900)
		h.play(step{"o", "A", 101, 501, "hello"})
		assert.Less(t, h.table.Held(), 100)
		h.close()
	}
}

// During the search for a protocol, each packet kept separately counts.
func TestSearchSegmentsCount(t *testing.T) {
	h := newHarness(t, nil, &fake{name: strings.Repeat("hello", 60)})
	h.handshake()
	for i := range uint32(100) {
		h.tcp(client, server, "A", 101+i, 501, "hello"[i%5:i%5+1])
	}
	assert.Greater(t, h.table.Held(), 100*50)
	h.close()
}

// After the end of a side, its unconsumed bytes are dropped.
func TestUnconsumedDroppedAtEnd(t *testing.T) {
	p := &fake{name: "hello"}
	p.onData = func(*conn.Connection, protocol.Packet, []byte) (int, protocol.Next) { return 0, protocol.More }
	h := newHarness(t, nil, p)
	h.handshake()
	h.tcp(client, server, "A", 101, 501, "hello")
	assert.NotZero(t, h.table.Held())
	h.tcp(client, server, "FA", 106, 501, "")
	assert.Zero(t, h.table.Held())
	h.close()
}

func TestParserStateCounts(t *testing.T) {
	for name, c := range map[string]struct {
		kept, hook int // bytes held after FreeMemory, and after the hook
		freed      int // calls of FreeMemory
		ran        int
		ignored    bool
		weirds     []string
	}{
		"freed":   {kept: 10, freed: 1},
		"stopped": {kept: 5000, hook: 0, freed: 1, ran: 1, ignored: true, weirds: []string{"buffer_limit_exceeded"}},
	} {
		for _, transport := range []conn.Proto{conn.TCP, conn.UDP} {
			t.Run(fmt.Sprint(name, transport), func(t *testing.T) {
				p := &fake{name: "hello", udp: transport == conn.UDP}
				p.onData = func(c *conn.Connection, pkt protocol.Packet, data []byte) (int, protocol.Next) {
					p.note(pkt, string(data))
					p.hold(c, 5000)
					return len(data), protocol.More
				}
				p.free = func(cn *conn.Connection) { p.hold(cn, c.kept) }
				p.hook = func(cn *conn.Connection) bool { p.ran++; p.hold(cn, c.hook); return true }
				h := newHarness(t, func(cfg *flow.Config) { cfg.MaxBuffered = 4000 }, p)
				send := func(seq uint32, data string) {
					if p.udp {
						h.udp(client, server, data)
					} else {
						h.tcp(client, server, "A", seq, 501, data)
					}
				}
				if !p.udp {
					h.handshake()
				}
				send(101, "hello")
				require.NoError(t, h.table.Invariants())
				assert.Equal(t, c.freed, p.freed)
				assert.Equal(t, c.ran, p.ran)
				assert.Less(t, h.table.Held(), 200)
				send(106, "more")
				assert.Equal(t, !c.ignored, strings.Contains(p.got.String(), "more"))
				assert.Equal(t, c.weirds, h.weirds())
				h.close()
				assert.Equal(t, 1, p.ran)
			})
		}
	}
}

// When too much is held, a parser that frees memory only in its hooks is stopped early. Its
// connection stays.
func TestParserFreeingMemoryOnlyInHooksIsStopped(t *testing.T) {
	p := &fake{name: "hello", udp: true}
	p.onData = func(c *conn.Connection, _ protocol.Packet, data []byte) (int, protocol.Next) {
		p.hold(c, 900)
		return len(data), protocol.More
	}
	p.hook = func(c *conn.Connection) bool { p.ran++; p.hold(c, 0); return true }
	h := newHarness(t, func(cfg *flow.Config) { cfg.MaxTotal = 5000 }, p)
	for i := range uint16(20) {
		h.udp(netip.AddrPortFrom(client.Addr(), 1000+i), server, "hello")
		require.NoError(t, h.table.Invariants())
	}
	assert.Equal(t, 15, p.ran)
	assert.Zero(t, h.table.Stats.Removed)
	h.close()
	assert.Equal(t, 20, p.ran)
}

// When too much is held, the connection of a parser that never frees memory is removed.
func TestConnectionOfParserThatFreesNothingIsRemoved(t *testing.T) {
	p := &fake{name: "hello", udp: true}
	p.onData = func(c *conn.Connection, _ protocol.Packet, data []byte) (int, protocol.Next) {
		p.hold(c, 900)
		return len(data), protocol.More
	}
	h := newHarness(t, func(cfg *flow.Config) { cfg.MaxTotal = 5000 }, p)
	for i := range uint16(20) {
		h.udp(netip.AddrPortFrom(client.Addr(), 1000+i), server, "hello")
		require.NoError(t, h.table.Invariants())
	}
	assert.Equal(t, 15, h.table.Stats.Removed)
	assert.Equal(t, 15, h.table.Stats.Evicted)
	h.close()
	assert.Equal(t, 20, p.ran)
}

// measure returns how much f allocates.
func measure(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

// sender returns a function that sends one-byte segments without checksums. It does not allocate.
func (h *harness) sender() func(seq uint32, b byte) {
	p := serialize(h.t, client, server, &layers.TCP{
		SrcPort: layers.TCPPort(client.Port()), DstPort: layers.TCPPort(server.Port()), ACK: true, Ack: 501, Window: 65535}, "x")
	return func(seq uint32, b byte) {
		binary.BigEndian.PutUint32(p[4:], seq)
		p[len(p)-1] = b
		h.packet(client, server, conn.TCP, p)
	}
}

// When bytes arrive one by one, the search does not begin again for each of them.
func TestSearchTakesLinearTime(t *testing.T) {
	p := &counting{fake: &fake{name: strings.Repeat("x", 10_000)}}
	h := newHarness(t, func(cfg *flow.Config) {
		cfg.IgnoreChecksums = true
		cfg.Parsers = append(cfg.Parsers, func(o protocol.Owner) protocol.Parser { p.owner = o; return p })
	})
	h.handshake()
	send := h.sender()
	allocated := measure(func() {
		for i := range uint32(20_000) {
			send(101+i, 'x')
		}
	})
	assert.Less(t, p.asked, 150, "calls of Match")
	assert.Less(t, p.bytes, 20*4096, "bytes passed to Match")
	assert.Less(t, allocated, 20*20_000)
	h.close()
}

// A counting fake counts calls of Match and the bytes passed to it.
type counting struct {
	*fake
	bytes int
}

func (c *counting) Match(orig, resp []byte) protocol.Verdict {
	c.bytes += len(orig) + len(resp)
	return c.fake.Match(orig, resp)
}

func TestUnconsumedBytesTakeLinearTime(t *testing.T) {
	const size = 60_000
	p := &fake{name: "hello"}
	p.onData = func(_ *conn.Connection, _ protocol.Packet, data []byte) (int, protocol.Next) {
		if len(data) < size {
			return 0, protocol.More
		}
		return size, protocol.More
	}
	h := newHarness(t, func(cfg *flow.Config) { cfg.IgnoreChecksums = true }, p)
	h.handshake()
	h.tcp(client, server, "A", 101, 501, "hello")
	send := h.sender()
	allocated := measure(func() {
		for i := range uint32(size - 5 - 1) {
			send(106+i, 'x')
		}
	})
	assert.Less(t, allocated, 10*size)
	assert.Greater(t, h.table.Held(), size-100)
	send(106+size-5-1, 'x')
	assert.Zero(t, h.table.Held(), "capacity is freed")
	require.NoError(t, h.table.Invariants())
	h.close()
}

func TestBufferIsSmallAfterBurst(t *testing.T) {
	p := &fake{name: "hello"}
	p.onData = func(_ *conn.Connection, _ protocol.Packet, data []byte) (int, protocol.Next) {
		if len(data) < 10_000 {
			return 0, protocol.More
		}
		return len(data) - 2, protocol.More
	}
	h := newHarness(t, nil, p)
	h.handshake()
	h.tcp(client, server, "A", 101, 501, "hello")
	h.tcp(client, server, "A", 106, 501, strings.Repeat("x", 5000))
	assert.Greater(t, h.table.Held(), 5000)
	h.tcp(client, server, "A", 5106, 501, strings.Repeat("x", 5000))
	assert.Less(t, h.table.Held(), 100)
	h.close()
}

// One-byte segments in any order take bounded memory each.
func TestManySmallSegmentsOutOfOrder(t *testing.T) {
	for _, order := range []string{"reverse", "random", "every other"} {
		t.Run(order, func(t *testing.T) {
			const n = 30_000
			at := rand.New(rand.NewPCG(1, 2)).Perm(n)
			for i := range at {
				switch order {
				case "reverse":
					at[i] = n - 1 - i
				case "every other":
					at[i] = i * 2 % n
				}
			}
			p := &fake{name: "hello"}
			h := newHarness(t, func(cfg *flow.Config) { cfg.IgnoreChecksums = true }, p)
			h.handshake()
			h.tcp(client, server, "A", 101, 501, "hello")
			send := h.sender()
			allocated := measure(func() {
				for _, i := range at {
					send(107+uint32(i), 'x')
				}
			})
			require.NoError(t, h.table.Invariants())
			assert.LessOrEqual(t, h.table.Held(), 1024*(64+8)+n)
			assert.Less(t, allocated, 500*n)
			h.close()
		})
	}
}

func TestParserFlipsConnectionOnce(t *testing.T) {
	p := &fake{name: "hello", udp: true}
	p.onData = func(_ *conn.Connection, pkt protocol.Packet, data []byte) (int, protocol.Next) {
		p.note(pkt, string(data))
		return len(data), protocol.Flip
	}
	h := newHarness(t, nil, p)
	h.udp(client, server, "hello")
	h.udp(client, server, "hello")
	assert.Equal(t, ">hello<hello", p.got.String(), "ignored after the second Flip")
	assert.Equal(t, []string{"7000>40000 SHR D^ 0/10 hello"}, h.close())
	assert.Contains(t, h.rows.String(), `"orig_pkts":0,"orig_ip_bytes":0,"resp_pkts":2,"resp_ip_bytes":66`)
}

// Counts of bad checksums follow their side.
func TestFlipAfterBadChecksums(t *testing.T) {
	p := &fake{name: "hello", udp: true}
	p.onData = func(*conn.Connection, protocol.Packet, []byte) (int, protocol.Next) { return 0, protocol.Flip }
	h := newHarness(t, nil, p)
	h.udp(client, server, "hello")
	h.damage = true
	for range 10 {
		h.udp(client, server, "x")
	}
	h.udp(server, client, "x")
	assert.Equal(t, []string{"7000>40000 SHR D^ccC - hello"}, h.close())
}

func TestParserDoesNotFlipAfterPort(t *testing.T) {
	p := &fake{name: "hello", udp: true, ports: []uint16{53}}
	p.onData = func(_ *conn.Connection, pkt protocol.Packet, data []byte) (int, protocol.Next) {
		p.note(pkt, string(data))
		return len(data), protocol.Flip
	}
	h := newHarness(t, nil, p)
	h.udp(netip.AddrPortFrom(server.Addr(), 53), client, "hello")
	assert.Equal(t, "<hello", p.got.String())
	assert.Equal(t, []string{"40000>53 SHR ^d - hello"}, h.close())
}

func TestNestedProtocolsAreBounded(t *testing.T) {
	p := &fake{name: "hello"}
	p.onData = func(*conn.Connection, protocol.Packet, []byte) (int, protocol.Next) {
		p.got.WriteString("!")
		return 5, protocol.HandOver
	}
	h := newHarness(t, nil, p)
	h.handshake()
	for i := range uint32(50) {
		h.tcp(client, server, "A", 101+i*20, 501, "hellohellohellohello")
	}
	assert.Equal(t, []string{"too_many_nested_protocols"}, h.weirds())
	assert.Equal(t, []string{"40000>7000 S1 ShAD 1000/0 hello"}, h.close())
	assert.Len(t, p.got.String(), 17)
	assert.Equal(t, 1, p.ran)
}

func TestAnnouncementsInFlood(t *testing.T) {
	p := &fake{name: "hello"}
	h := newHarness(t, nil, p)
	h.udp(client, server, "x") // sets the table's clock
	var attached []string
	expect := func(orig netip.Addr, port uint16, name string) {
		p.owner.Expect(orig, netip.AddrPortFrom(server.Addr(), port), "hello-data",
			func(*conn.Connection) { attached = append(attached, name) })
	}
	expect(netip.Addr{}, 2000, "any 1")
	expect(client.Addr(), 2000, "client 1")
	expect(client.Addr(), 2000, "client 2")
	expect(netip.Addr{}, 2000, "any 2")
	for i := range uint16(996) {
		expect(client.Addr(), 3000+i, "other")
	}
	assert.Equal(t, 1000, h.table.Expected())
	for i := range uint16(5) {
		h.tcp(netip.AddrPortFrom(client.Addr(), 100+i), netip.AddrPortFrom(server.Addr(), 2000), "S", 1, 0, "")
	}
	assert.Equal(t, []string{"client 1", "client 2", "any 1", "any 2"}, attached)
	assert.Equal(t, 996, h.table.Expected())

	h.table.Advance(h.now.Add(5*time.Minute + time.Second))
	h.now = h.now.Add(5*time.Minute + time.Second)
	h.tcp(client, netip.AddrPortFrom(server.Addr(), 9999), "S", 1, 0, "")
	assert.Zero(t, h.table.Expected(), "all have expired")
	h.close()
}

// An announcement equal to an earlier one that was fulfilled is a new announcement.
func TestRepeatedAnnouncement(t *testing.T) {
	p := &fake{name: "hello"}
	h := newHarness(t, nil, p)
	h.udp(client, server, "x") // sets the table's clock
	attached := 0
	for i := range uint16(3) {
		p.owner.Expect(client.Addr(), server, "hello-data", func(*conn.Connection) { attached++ })
		h.tcp(netip.AddrPortFrom(client.Addr(), 100+i), server, "S", 1, 0, "")
		assert.Equal(t, int(i)+1, attached)
	}
	for i := range uint16(1100) {
		p.owner.Expect(client.Addr(), netip.AddrPortFrom(server.Addr(), 3000+i), "hello-data", func(*conn.Connection) { attached++ })
	}
	assert.Equal(t, 1000, h.table.Expected())
	h.close()
}

func TestDroppedAnnouncementLeavesWeird(t *testing.T) {
	p := &fake{name: "hello"}
	p.onData = func(c *conn.Connection, _ protocol.Packet, data []byte) (int, protocol.Next) {
		for i := range uint16(1001) {
			p.owner.Expect(netip.Addr{}, netip.AddrPortFrom(server.Addr(), 2000+i), "x", func(*conn.Connection) {})
		}
		return len(data), protocol.More
	}
	h := newHarness(t, nil, p)
	h.handshake()
	h.tcp(client, server, "A", 101, 501, "hello")
	assert.Equal(t, []string{"expected_connection_dropped"}, h.weirds())
	assert.Contains(t, h.rows.String(), `"addl":"198.51.100.1:2000"`)
	h.close()
}

// A connection takes less than a kilobyte besides the bytes held for it.
func TestFlowsAreSmall(t *testing.T) {
	assert.LessOrEqual(t, int(flow.FlowSize), 632, "a size class of the allocator, but for its header of 8 bytes")
	assert.Equal(t, flow.FlowSize, flow.EndOfLag, "lag must be last")
}

// When a flood of connections that hold little each exceeds the limit, the flood loses its bytes,
// not earlier connections that hold as much or more each.
func TestMemoryLimitAppliesToFlood(t *testing.T) {
	for _, size := range []int{1100, 3000} {
		p := &fake{name: "hello"}
		freed := map[uint16]bool{}
		p.onData = func(c *conn.Connection, _ protocol.Packet, data []byte) (int, protocol.Next) {
			n := 1100
			if c.ID.Orig.Port() <= 10 {
				n = size
			}
			p.hold(c, n)
			return len(data), protocol.More
		}
		p.free = func(c *conn.Connection) {
			freed[c.ID.Orig.Port()] = true
			p.hold(c, 0)
		}
		h := newHarness(t, func(cfg *flow.Config) { cfg.MaxTotal = 100_000 }, p)
		for i := range uint16(500) {
			h.tcp(h.establish(i+1), server, "A", 101, 501, "hello")
			assert.NoError(t, h.table.Invariants())
		}
		assert.Greater(t, len(freed), 100)
		for i := range uint16(10) {
			assert.False(t, freed[i+1], "%d of %d bytes", i, size)
		}
		h.close()
	}
}
