package flow

import (
	"net/netip"

	"example.com/conn"
	"example.com/conn/analyzer/identity"
	"example.com/conn/analyzer/packet"
	"example.com/conn/analyzer/protocol"
	"example.com/conn/analyzer/tcp"
)

// find returns the connection that a packet belongs to, adding it if it is new, and the side that
// sent the packet.
func (t *Table) find(p *packet.Packet, src, dst netip.AddrPort, oneWay bool) (*flow, protocol.Side) {
	k := identity.KeyOf(src, dst, p.Proto, oneWay)
	return t.join(t.flows[k], p, k, src, dst)
}

// join is like find, with f already looked up; f is nil if the connection is new.
func (t *Table) join(f *flow, p *packet.Packet, k identity.Key, src, dst netip.AddrPort) (*flow, protocol.Side) {
	if f == nil {
		f = t.begin(p, k, src, dst)
	}
	f.addTunnel(p.Tunnels)
	return f, f.sideOf(src)
}

// begin adds a connection.
func (t *Table) begin(p *packet.Packet, k identity.Key, src, dst netip.AddrPort) *flow {
	if t.Len() >= t.cfg.MaxConnections {
		t.evict()
	}
	f := t.spare
	if t.spare = nil; f == nil {
		f = new(flow)
	}
	f.oneWay, f.tcp.Last, f.lag = k.OneWay, p.Time, t.now.Sub(p.Time)
	f.Start = p.Time
	f.ID = conn.ID{Orig: src, Resp: dst, Proto: p.Proto}
	var syn, ack bool
	if p.Proto == conn.TCP {
		h := tcp.Header(p.Payload) // already checked by tcp.Parse
		syn, ack = h.SYN(), h.ACK()
	}
	fromResponder := t.servers.FromResponder(p.Proto, src, dst, syn, ack)
	if f.outer = p.Outer != nil; f.outer {
		fromResponder = src != p.Outer.ID.Orig
	}
	if fromResponder {
		f.flip()
	}
	if f.outer {
		f.UID = p.Outer.UID
	} else {
		f.UID = identity.UID(f.ID, f.Start)
	}
	t.flows[k], t.following = f, f
	t.Stats.Connections++
	t.Stats.Begun[transportOf(p.Proto)]++
	if syn && ack && (f.ID.Orig == src || !t.servers.Likely(conn.TCP, src.Port())) {
		t.weird(f, "connection_originator_SYN_ack", "", "TCP")
	}
	t.attachExpected(f)
	return f
}
