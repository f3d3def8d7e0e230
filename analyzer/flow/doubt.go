package flow

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/gopacket/gopacket/layers"

	"example.com/conn/analyzer/identity"
	"example.com/conn/analyzer/packet"
	"example.com/conn/analyzer/protocol"
)

// doubts reports whether a segment from src begins another connection although f is established and
// not over, or on its way. A host does not believe that (RFC 5961, section 4), for anybody can send
// a SYN in another's name; if the connection was really forgotten, the other side accepts the new
// one, which then takes its place: see answered and displace.
func (f *flow) doubts(src netip.AddrPort, tcp *layers.TCP) bool {
	orig, resp := &f.ends[0], &f.ends[1]
	switch {
	case !tcp.SYN:
		return false
	case orig.state == synSent && resp.state == inactive:
		return f.ID.Orig == src && tcp.Seq != orig.start
	case !orig.up || !resp.up || f.over():
		return false
	case f.ID.Orig == src:
		return tcp.Seq != orig.start
	}
	return tcp.Seq != resp.start || !tcp.ACK
}

// doubt notes a segment that is doubted, and does nothing else with it.
func (t *Table) doubt(f *flow, p *packet.Packet, src netip.AddrPort) {
	f.count(p, f.sideOf(src))
	name := "active_connection_reuse"
	if t.tcp.ACK || f.ends[0].state == synSent {
		name = "SYN_seq_jump"
	}
	t.weird(f, name, "", "TCP")
	if t.tcp.ACK {
		return
	}
	syn := *p
	syn.Payload, syn.Length = bytes.Clone(t.tcp.Contents), len(t.tcp.Contents)
	f.more().syn = &syn
}

// answered returns the SYN that a segment to dst accepts, nil if it does not accept the latest that
// was doubted.
func (f *flow) answered(dst netip.Addr, tcp *layers.TCP) *packet.Packet {
	if f.rare == nil || f.syn == nil || !tcp.SYN || !tcp.ACK || f.syn.Src != dst ||
		binary.BigEndian.Uint16(f.syn.Payload) != uint16(tcp.DstPort) || binary.BigEndian.Uint32(f.syn.Payload[4:])+1 != tcp.Ack {
		return nil
	}
	return f.syn
}

// displace makes room for another connection between the endpoints of f, whose key is k. Both SYNs
// of that may be forged: an established connection is kept, for it may go on, and returned.
func (t *Table) displace(f *flow, k identity.Key) *flow {
	switch {
	case f.rare != nil && f.prior != nil: // one is enough
		t.remove(f, Reused)
		f = t.flows[k]
	case !f.ends[0].up || !f.ends[1].up:
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

// goesOnWith reports whether a segment from src is what comes next in f, which was displaced.
func (f *flow) goesOnWith(src netip.AddrPort, tcp *layers.TCP) bool {
	e, peer := &f.ends[0], &f.ends[1]
	if f.ID.Orig != src {
		e, peer = peer, e
	}
	ack := peer.ack + int64(int32(tcp.Ack-(peer.start+uint32(peer.ack))))
	return tcp.ACK && !tcp.SYN && !tcp.RST && e.relative(tcp.Seq) == e.due() && peer.acked() <= ack && ack <= peer.last
}

// unanswered reports whether the originator's SYN waits for the SYN-ACK, perhaps after a RST that
// seemed to refuse or withdraw it.
func (f *flow) unanswered() bool {
	orig, resp := &f.ends[0], &f.ends[1]
	return orig.opened && !resp.synSeen() && (resp.state == inactive || resp.state == reset)
}

// refuses reports whether one side of f drops a segment of the other while the SYN waits for its
// answer, so that a stranger who does not know its number cannot answer it: RFC 9293, 3.10.7.3.
// Until its SYN is seen nothing of the responder is believed, whatever RST or FIN came before, but
// a RST that answers the SYN. ACKs without anything else change nothing.
func (f *flow) refuses(side protocol.Side, tcp *layers.TCP, length int) bool {
	orig := &f.ends[0]
	switch {
	case !f.unanswered():
		return false
	case side == protocol.Orig: // somewhere else than where it goes on; a RST means nothing yet
		seq := orig.relative(tcp.Seq)
		return !tcp.SYN && !tcp.RST && (seq < 0 || seq > orig.last+slack)
	case tcp.SYN && (tcp.FIN || tcp.RST && !tcp.ACK):
		return true
	case tcp.SYN || tcp.RST:
		n := int32(tcp.Ack - orig.start)
		return !orig.window.known && (tcp.ACK && (n <= 0 || int64(n) > orig.last) || tcp.RST && !tcp.ACK)
	case orig.window.known: // the SYN-ACK was not captured: the client's ACK says where the server is
		return (tcp.FIN || length > 0) && !near(tcp.Seq, orig.window.ack)
	}
	return tcp.FIN || length > 0 || !tcp.ACK
}

// farFIN takes a FIN that is far away from all else that was captured of a side. If nothing but
// SYNs and FINs is captured, each side's FIN fits the other's; otherwise data follows, and the FIN
// was of somebody else.
func (t *Table) farFIN(f *flow, side protocol.Side, now time.Time, tcp *layers.TCP, fin int64) {
	e, peer := &f.ends[side], &f.ends[side.Other()]
	f.last = now
	e.far = fin
	e.done = t.transition(f, side, tcp, 0) || e.done
	if peer.far > 0 && tcp.ACK && tcp.Ack == peer.start+uint32(peer.far) {
		e.over, peer.over = true, true
		t.timers.start(f, closeTimer, t.now)
	}
}

// A claim is a segment that acknowledges what the other side was not seen to send. Either that was
// not captured: then the other side goes on from there, and acknowledges the segment. Or no host
// takes it: RFC 9293, 3.10.7.4.
type claim struct {
	seq  int64
	data []byte
	fin  bool
	ack  int64
	time time.Time
}

// end is one past the highest number of x.
func (x *claim) end() int64 {
	n := x.seq + int64(len(x.data))
	if x.fin {
		n++
	}
	return n
}

const (
	claimCost = 96   // bytes that a claim takes besides its data
	maxClaims = 1024 // of a side; each packet looks at them all, which takes a microsecond
)

// claim keeps a copy of x until settle.
func (t *Table) claim(f *flow, side protocol.Side, x claim) {
	r := f.more()
	if len(x.data) == 0 && !x.fin || len(r.claims[side]) == maxClaims {
		return
	}
	x.data = bytes.Clone(x.data)
	r.claims[side] = append(r.claims[side], x)
}

// settle takes those claims of a side that the other side has borne out by now. At the end of f,
// when no more ACK comes, it is enough that the other side sent what they acknowledge and that
// nothing else took their place.
func (t *Table) settle(f *flow, side protocol.Side, end bool) {
	if f.rare == nil || len(f.claims[side]) == 0 {
		return
	}
	e, peer := &f.ends[side], &f.ends[side.Other()]
	claims := f.claims[side]
	rest := claims[:0]
	for _, x := range claims {
		if x.ack > peer.last || x.end() > e.ack && !(end && x.seq >= e.stream.next) {
			rest = append(rest, x)
			continue
		}
		if x.fin {
			e.finished, e.fin = true, x.end()
		}
		if len(x.data) > 0 {
			t.receive(f, side, x.time, x.seq, x.data)
		}
	}
	clear(claims[len(rest):])
	if f.claims[side] = rest; len(rest) == 0 {
		f.claims[side] = nil
	}
}

// reject drops the segments of a side that settle has not taken.
func (t *Table) reject(f *flow, side protocol.Side) {
	if f.rare != nil && len(f.claims[side]) > 0 {
		f.claims[side] = nil
		t.weird(f, "ack_outside_window", "", "TCP")
	}
}

// foretell notes a gap up to seq that is known of by an ACK alone. The parser is not told before
// something comes from behind it.
func (t *Table) foretell(f *flow, side protocol.Side, seq int64) {
	e, peer := &f.ends[side], &f.ends[side.Other()]
	if !e.clean() || !peer.clean() {
		return
	}
	if r := f.more(); seq > r.foretold[side] {
		r.foretold[side] = seq
		if e.gaps.add() {
			if f.record(side, 'G'); len(f.history) < maxHistory {
				r.gapAt[side] = int16(len(f.history))
			}
		}
	}
}

// arrived takes the gap that foretell noted back: bytes of it, from seq on, were captured late.
func (f *flow) arrived(side protocol.Side, seq int64) {
	if seq >= f.foretold[side] {
		return
	}
	f.foretold[side] = 0
	if i := int(f.gapAt[side]); i > 0 {
		f.history = slices.Delete(f.history, i-1, i)
		f.ends[side].gaps--
		if f.gapAt[side] = 0; int(f.gapAt[side.Other()]) > i {
			f.gapAt[side.Other()]--
		}
	}
}
