package flow_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn/analyzer/flow"
	"example.com/conn/analyzer/protocol"
)

// A tripwire is a fake whose Name panics when armed. The table does not guard calls of Name.
type tripwire struct {
	*fake
	armed bool
}

func (w *tripwire) Name() string {
	if w.armed {
		w.armed = false
		panic("tripped")
	}
	return w.name
}

func (w *tripwire) Resumes() bool { return true }

func TestResumeAfterPacketPanics(t *testing.T) {
	for name, c := range map[string]struct {
		udp         bool
		established bool
		before      func(h *harness)
		packet      func(h *harness) // panics
	}{
		"first datagram of a connection": {
			udp:    true,
			packet: func(h *harness) { h.udp(client, server, "hello") },
		},
		"first segment of a connection without a SYN": {
			packet: func(h *harness) { h.tcp(client, server, "A", 101, 501, "hello") },
		},
		"segment that fills a gap": {
			established: true,
			before: func(h *harness) {
				h.handshake()
				h.tcp(client, server, "A", 106, 501, "world")
			},
			packet: func(h *harness) { h.tcp(client, server, "A", 101, 501, "hello") },
		},
		"segment that fills the first of two gaps": {
			established: true,
			before: func(h *harness) {
				h.handshake()
				h.tcp(client, server, "A", 106, 501, "world")
				h.tcp(client, server, "A", 121, 501, "later")
			},
			packet: func(h *harness) { h.tcp(client, server, "A", 101, 501, "hello") },
		},
		"segment of the handshake": {
			established: true,
			before: func(h *harness) {
				h.tcp(client, server, "S", 100, 0, "")
				h.tcp(server, client, "SA", 500, 101, "")
			},
			packet: func(h *harness) { h.tcp(client, server, "A", 101, 501, "hello") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := &tripwire{fake: &fake{name: "hello", udp: c.udp}}
			h := newHarness(t, func(cfg *flow.Config) {
				cfg.Parsers = append(cfg.Parsers, func(o protocol.Owner) protocol.Parser { w.owner = o; return w })
			})
			if c.before != nil {
				c.before(h)
			}
			w.armed = true
			require.PanicsWithValue(t, "tripped", func() { c.packet(h) })
			h.table.Resume()
			require.NoError(t, h.table.Invariants())
			assert.LessOrEqual(t, h.table.Held(), 2*64, "no bytes")
			if c.established {
				h.now = h.now.Add(2 * time.Minute)
				h.table.Advance(h.now)
				require.Empty(t, h.conns(), "its timeout is that of established connections")
			}

			// The connection continues without a parser, others with theirs.
			send := func(src netip.AddrPort, seq uint32, data string) {
				if c.udp {
					h.udp(src, server, data)
				} else {
					h.tcp(src, server, "A", seq, 501, data)
				}
			}
			send(client, 111, "more")
			assert.Empty(t, w.got.String())
			other := netip.AddrPortFrom(client.Addr(), 40001)
			if !c.udp {
				h.tcp(other, server, "S", 100, 0, "")
				h.tcp(server, other, "SA", 500, 101, "")
			}
			send(other, 101, "hello")
			assert.Equal(t, ">hello", w.got.String())
			require.NoError(t, h.table.Invariants())

			h.table.Advance(h.now.Add(time.Hour))
			assert.Len(t, h.conns(), 2, "both have timed out")
			assert.Equal(t, 1, w.ran)
			h.close()
		})
	}
}

func TestResumeWithoutPanic(t *testing.T) {
	p := &fake{name: "hello"}
	h := newHarness(t, nil, p)
	h.table.Resume()
	h.handshake()
	h.tcp(client, server, "A", 101, 501, "hello")
	h.table.Advance(h.now.Add(time.Hour))
	h.table.Resume() // the connection of the latest packet is gone
	require.NoError(t, h.table.Invariants())
	assert.Equal(t, ">hello", p.got.String())
	h.close()
}
