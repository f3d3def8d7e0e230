package flow

import (
	"bytes"
	"net/netip"

	"example.com/conn"
	"example.com/conn/analyzer/identity"
	"example.com/conn/analyzer/packet"
	"example.com/conn/analyzer/tcp"
)

// tcpPacket follows a TCP segment.
func (t *Table) tcpPacket(p *packet.Packet) {
	h, payload, ok := tcp.Parse(p.Payload)
	if !ok {
		t.badHeader(p, 20)
		return
	}
	src, dst := netip.AddrPortFrom(p.Src, h.SrcPort()), netip.AddrPortFrom(p.Dst, h.DstPort())
	if !t.checksumValid(p) {
		f, side := t.find(p, src, dst, false)
		t.corrupt(f, side, "bad_TCP_checksum", "TCP")
		t.offload.tcp++
		return
	}
	t.follow(p, h, payload, src, dst)
}

// follow passes a segment to the connection between its endpoints, and acts on the outcome.
// [tcp.Conn] decides whether to accept the segment.
func (t *Table) follow(p *packet.Packet, h tcp.Header, payload []byte, src, dst netip.AddrPort) {
	k := identity.KeyOf(src, dst, conn.TCP, false)
	f := t.flows[k]
	if f != nil {
		if prior := f.rare().prior; prior != nil && prior.tcp.Continues(tcp.Side(prior.sideOf(src)), h) {
			t.remove(f, Resumed)
			f = t.flows[k]
		}
	}
	if f == nil {
		f = t.begin(p, k, src, dst)
	}
	t.following = f
	side := f.sideOf(src)
	switch f.tcp.Segment(tcp.Side(side), p.Time, h, payload, p.Length-len(h), t.sink(f)) {
	case tcp.NewConnection:
		t.remove(f, Reused)
		t.follow(p, h, payload, src, dst)
		return
	case tcp.SYNAnswered:
		syn := f.rare().syn
		prior := t.displace(f, k)
		t.follow(syn, tcp.Header(syn.Payload), nil, dst, src)
		if f = t.flows[k]; f != nil && prior != nil {
			f.more().prior, prior.more().by = prior, f
		}
		t.follow(p, h, payload, src, dst)
		return
	case tcp.UnexpectedSYN:
		f.count(p, side)
		if !h.ACK() {
			syn := *p
			syn.Payload, syn.Length = bytes.Clone(h), len(h)
			f.more().syn = &syn
		}
		t.limit(f)
		return
	}
	f.addTunnel(p.Tunnels)
	f.count(p, f.sideOf(src)) // the segment may have flipped f
	switch t.updateCloseTimer(f); {
	case f.timer == closeTimer:
	case f.tcp.Attempt():
		if f.timer != attemptTimer { // counts from the first SYN, whatever follows
			t.timers.start(f, attemptTimer, t.now)
		}
	case f.tcp.Handshaking():
		t.timers.start(f, briefTimer, t.now)
	default:
		t.timers.start(f, longTimer, t.now)
	}
	t.ranks.update(f)
	t.limit(f)
}

// displace makes room for another connection between the endpoints of f, whose key is k. Both SYNs
// of the new connection may be forged, so an established f is kept in case it continues, and
// returned.
func (t *Table) displace(f *flow, k identity.Key) *flow {
	switch {
	case f.rare().prior != nil: // one is enough
		t.remove(f, Reused)
		f = t.flows[k]
	case !f.tcp.Established():
		t.remove(f, Reused)
		return nil
	}
	if t.Len() >= t.cfg.MaxConnections {
		t.evict()
	}
	if t.flows[k] != f {
		return nil // it was evicted
	}
	f.more().syn = nil
	delete(t.flows, k)
	t.displaced++
	return f
}
