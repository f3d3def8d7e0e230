package flow

import (
	"time"

	"github.com/gopacket/gopacket/layers"
)

// What Zeek knows of each side of a TCP connection. Its conn_state is a function of both sides' states at the end.
type tcpState uint8

const (
	inactive tcpState = iota // has sent nothing
	synSent
	synAckSent  // as its first packet: the SYN was not captured
	partial     // has sent something, but no SYN was seen
	established // has sent a SYN, and the other side something
	closed      // has sent a FIN
	reset       // has sent a RST
)

func (s tcpState) handshaking() bool { return s <= synAckSent }

// An endpoint is one side of a TCP connection. Sequence numbers are relative to start; see stream.
type endpoint struct {
	state, prev tcpState
	finished    bool   // has sent a FIN
	done        bool   // has closed or reset, and that was acted upon
	ended       bool   // the parser knows that no more will come
	start       uint32 // the SYN's sequence number, or that before the first byte seen
	last        int64  // one past the highest that was sent
	ack         int64  // the highest that the other side acknowledged
	fin         int64  // one past the latest FIN

	synHist, finHist, rstHist uint32 // sequence numbers of the latest of a kind, for the history
	retransmits, zeroes, gaps counter

	stream stream
}

// relative returns seq as a relative number: that which is nearest to the last one sent.
func (e *endpoint) relative(seq uint32) int64 {
	return e.last + int64(int32(seq-(e.start+uint32(e.last))))
}

func (e *endpoint) set(s tcpState) {
	if s != e.state {
		e.prev, e.state = e.state, s
	}
}

// begin starts the numbering at start, as if a SYN had that number.
func (e *endpoint) begin(start uint32, last int64) { e.start, e.last, e.ack = start, last, 0 }

// bytes returns how much payload e sent, by sequence numbers: what was acknowledged counts even if it was not captured.
func (e *endpoint) bytes(peer *endpoint) int64 {
	if e.prev == synSent && e.state == reset && peer.state == inactive && e.ack == 0 {
		return 0 // a half-open connection was found and aborted: the RST's number means nothing
	}
	n := max(e.last, e.ack) - 1 // without the SYN
	if e.finished {
		n--
	}
	return max(n, 0)
}

// A counter adds a letter to the history at the first, 10th, 100th, … event.
type counter struct{ n, next uint32 }

func (c *counter) add() bool {
	c.n++
	if c.next = max(c.next, 1); c.n != c.next {
		return false
	}
	c.next *= 10
	return true
}

// farAway is how far the sequence number of a SYN or RST may be off before it is not believed; also an ACK of 0.
const farAway = 1 << 20

// reused reports whether a SYN on f is that of another connection between the same endpoints.
func (f *flow) reused(tcp *layers.TCP) bool {
	orig, resp := &f.ends[0], &f.ends[1]
	side := orig
	switch {
	case !tcp.SYN:
		return false
	case tcp.ACK && orig.state != inactive:
		return false
	case tcp.ACK:
		side = resp
	}
	if orig.done && resp.done {
		return true
	}
	reversed := !tcp.ACK && orig.state == synAckSent && resp.state == inactive && tcp.Seq == resp.start
	return tcp.Seq != side.start && !reversed
}

// segment follows one TCP segment from the given side of f. length is that of its payload on the wire; data is what was
// captured of it. The order of the steps is Zeek's, as the results depend on it.
func (t *Table) segment(f *flow, side int, now time.Time, tcp *layers.TCP, data []byte, length int) {
	e, peer := &f.ends[side], &f.ends[1-side]
	span := int64(length) // how many sequence numbers it takes
	if tcp.RST {
		span = 0
	}
	if tcp.SYN {
		span++
	}
	if tcp.FIN {
		span++
	}

	if f.packets[side] == 1 && (side == 0 || !f.partial) {
		f.partial = !tcp.SYN || side == 0 && tcp.ACK
	}
	e.synchronize(tcp, span)
	seq := e.relative(tcp.Seq)
	if tcp.FIN && e.last == 1 && seq < 0 {
		seq += 1 << 32 // nothing but the SYN and the FIN was captured: the FIN has the size, however far away
	}
	f.recordFlags(side, tcp, seq, length)
	if tcp.Window == 0 && !tcp.RST && peer.state != closed && e.state != reset && e.zeroes.add() {
		f.record(side, 'W')
	}
	if !e.done || !peer.done { // the last ACK is not part of the duration
		f.last = now
	}
	if tcp.FIN {
		e.finished = true
		e.fin = seq + span
	}
	acked := int64(0)
	if tcp.ACK {
		acked = peer.acknowledge(tcp)
	}
	if e.advance(tcp, seq+span, length) && e.retransmits.add() {
		f.record(side, 'T')
	}

	if side == 1 && tcp.SYN && !tcp.ACK && e.state == inactive && peer.state == synAckSent && tcp.Seq == e.start {
		// The SYN and the SYN-ACK changed places on their way into the capture.
		f.flip()
		f.partial = false
		side, e, peer = 0, peer, e
		e.set(established)
		peer.set(established)
	}
	unseen := e.state == inactive
	closes := transition(side, e, peer, tcp, length)
	if unseen && !tcp.SYN && e.state == established {
		f.partial = false // only the SYN is missing
	}

	t.acknowledged(f, 1-side, now, acked)
	if tcp.SYN {
		seq++
	}
	// Data in a RST is no part of the stream. What was captured in part becomes a gap when it is acknowledged.
	if length > 0 && len(data) >= length && !tcp.RST && seq > 0 {
		t.receive(f, side, now, seq, data[:length])
	}
	t.finish(f, side, now)
	t.finish(f, 1-side, now)
	if closes && !e.done {
		e.done = true
		if e.state == reset || peer.done || peer.state == inactive {
			t.move(f, closing)
		}
	}
}

// synchronize sets the numbering of e up if the segment starts it, or starts it over.
func (e *endpoint) synchronize(tcp *layers.TCP, span int64) {
	switch e.state {
	case inactive:
		if !tcp.SYN { // captured from the middle on
			e.begin(tcp.Seq-1, 1)
			return
		}
	case synSent, synAckSent:
		if tcp.Seq == e.start {
			return
		}
	case closed:
		return
	case reset:
		if e.prev != inactive {
			return
		}
	}
	if tcp.SYN {
		e.begin(tcp.Seq, span)
	}
}

// acknowledge takes an ACK of what e sent and returns the number acknowledged, 0 if it is not to be believed.
func (e *endpoint) acknowledge(tcp *layers.TCP) int64 {
	if e.state == inactive {
		e.begin(tcp.Ack-1, 0) // e has been talking, but none of it was captured
		return 0
	}
	ack := e.ack + int64(int32(tcp.Ack-(e.start+uint32(e.ack))))
	if ack < 0 || tcp.RST || tcp.Ack == 0 && ack-e.ack > farAway {
		return 0
	}
	e.ack = max(e.ack, ack)
	return ack
}

// advance notes that e has sent up to end, and reports whether it had sent the payload before.
func (e *endpoint) advance(tcp *layers.TCP, end int64, length int) (again bool) {
	ahead := end - e.last
	switch {
	case (tcp.SYN || tcp.RST) && (ahead > farAway || ahead < -farAway):
	case e.state == reset:
	case ahead > 0:
		e.last = end
	default:
		return length > 0
	}
	return false
}

// transition moves e to the state that the segment puts it in, sometimes also its peer, and reports whether e closes.
func transition(side int, e, peer *endpoint, tcp *layers.TCP, length int) (closes bool) {
	switch e.state {
	case inactive:
		switch {
		case tcp.SYN && side == 0 && tcp.ACK:
			e.set(synAckSent)
		case tcp.SYN && side == 0:
			e.set(synSent)
		case tcp.SYN:
			if peer.state == synSent {
				peer.set(established)
			}
			e.set(established)
		}
		if tcp.FIN {
			e.set(closed)
		}
		if tcp.RST {
			e.set(reset)
		}
		switch {
		case tcp.SYN || tcp.FIN || tcp.RST:
		case side == 1 && length == 0 && peer.state == synSent: // some stacks acknowledge a SYN before they answer it
		case tcp.ACK && peer.state == established: // a SYN-ACK was seen: only the SYN is missing
			e.set(established)
		default:
			e.set(partial)
		}
		return tcp.FIN || tcp.RST
	case synSent, synAckSent, established, partial:
		if tcp.SYN && e.state == partial && peer.state == inactive && !tcp.ACK {
			e.set(synSent)
		}
		if tcp.FIN && !tcp.RST {
			e.set(closed)
			if peer.state == reset && peer.prev == closed {
				peer.set(closed) // a FIN, then a RST, and the other side's FIN: a normal end after all
			}
		}
		if tcp.RST {
			e.set(reset)
		}
		return tcp.FIN || tcp.RST
	case closed:
		if tcp.RST && peer.state != closed {
			e.set(reset)
			return true
		}
	}
	return false
}

// receive takes payload that starts at seq.
func (t *Table) receive(f *flow, side int, now time.Time, seq int64, data []byte) {
	s := &f.ends[side].stream
	if seen := s.next - seq; seen > 0 {
		if seen >= int64(len(data)) {
			return
		}
		seq, data = s.next, data[seen:]
	}
	switch {
	case f.deaf:
		s.next, s.pending, s.size = seq+int64(len(data)), nil, 0
		return
	case seq == s.next && len(s.pending) == 0:
		s.next += int64(len(data))
		t.feed(f, event{side: side, time: now, data: data})
		return
	}
	s.insert(seq, data)
	t.deliver(f, side, now)
	for s.size > t.cfg.MaxBuffered {
		t.gap(f, side, now, s.pending[0].seq)
	}
}

// acknowledged takes note that the other side has everything before seq: what is missing of it will not come again.
func (t *Table) acknowledged(f *flow, side int, now time.Time, seq int64) {
	e := &f.ends[side]
	if e.finished && seq >= e.fin {
		seq = e.fin - 1
	}
	for e.stream.next < seq {
		t.gap(f, side, now, seq)
	}
}

// gap gives up the bytes that are missing before seq, up to the first that are there, and delivers those.
func (t *Table) gap(f *flow, side int, now time.Time, seq int64) {
	e, peer := &f.ends[side], &f.ends[1-side]
	if n := e.stream.skip(seq); n > 0 {
		if e.clean() && peer.clean() && e.gaps.add() {
			f.record(side, 'G')
		}
		t.feed(f, event{side: side, time: now, gap: n})
	}
	t.deliver(f, side, now)
}

// clean reports whether e was established in full view, so that missing bytes are really missing.
func (e *endpoint) clean() bool {
	return e.state == established || e.state == closed && e.prev == established
}

// deliver passes on the pending bytes that are next.
func (t *Table) deliver(f *flow, side int, now time.Time) {
	s := &f.ends[side].stream
	for data := s.ready(); data != nil; data = s.ready() {
		t.feed(f, event{side: side, time: now, data: data})
	}
}

// finish tells the parser, once, when one side has sent its last byte, or a RST.
func (t *Table) finish(f *flow, side int, now time.Time) {
	e := &f.ends[side]
	if !e.ended && (e.state == reset || e.finished && e.stream.next >= e.fin-1) {
		e.ended = true
		t.feed(f, event{side: side, time: now})
	}
}
