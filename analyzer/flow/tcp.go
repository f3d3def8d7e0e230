package flow

import (
	"fmt"
	"time"

	"github.com/gopacket/gopacket/layers"

	"example.com/conn/analyzer/protocol"
	"example.com/conn/analyzer/session"
)

// What Zeek knows of each side of a TCP connection. Its conn_state is a function of both sides'
// states at the end.
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
	late        bool   // the beginning of what it sent was not captured
	opened      bool   // sent a SYN that was no answer
	up          bool   // was established, whatever came then
	finished    bool   // has sent a FIN
	done        bool   // has sent a FIN or RST where its state allows one
	over        bool   // and a host believes that: see flow.over
	aborted     bool   // by a RST that a host believes
	ended       bool   // the parser knows that no more will come
	start       uint32 // the SYN's sequence number, or that before the first byte seen
	last        int64  // one past the highest that was sent
	ack         int64  // the highest that the other side acknowledged, seen or not: see acked
	fin         int64  // one past the latest FIN
	far         int64  // one past a FIN far away from all else that was captured, 0 if there is none

	synHist, finHist, rstHist uint32 // sequence numbers of the latest of a kind, for the history
	retransmits, zeroes, gaps counter

	window window // that it lets the other side send
	stream stream
}

// acked returns the highest number that the other side acknowledged of what e was seen to send. An
// ACK of more is either of what was not captured or, as a host sees it, of what was never sent.
func (e *endpoint) acked() int64 { return min(e.ack, e.last) }

// due returns the number that the other side expects next.
func (e *endpoint) due() int64 {
	n := max(e.acked(), e.stream.next)
	if e.ended {
		n = max(n, e.fin)
	}
	return n
}

// synSeen reports whether a SYN or SYN-ACK of e was seen.
func (e *endpoint) synSeen() bool { return e.window.scaled }

// onlySYN reports whether nothing but SYNs and FINs seems to be captured: then the FIN of e tells
// how much it has sent, however far away that is.
func (e *endpoint) onlySYN(peer *endpoint) bool { return e.last == 1 && !peer.window.known }

// relative returns seq as a relative number: that which is nearest to the last one sent.
func (e *endpoint) relative(seq uint32) int64 {
	return e.last + int64(int32(seq-(e.start+uint32(e.last))))
}

func (e *endpoint) set(s tcpState) {
	e.up = e.up || s == established
	if s != e.state {
		e.prev, e.state = e.state, s
	}
}

// begin starts the numbering at start, as if a SYN had that number.
func (e *endpoint) begin(start uint32, last int64) { e.start, e.last, e.ack = start, last, 0 }

// bytes returns how much payload e sent, by sequence numbers: what was acknowledged counts even if
// it was not captured.
func (e *endpoint) bytes(peer *endpoint) int64 {
	if e.prev == synSent && e.state == reset && peer.state == inactive && e.ack > 1 {
		return 0 // a half-open connection was found and aborted: the RST's number means nothing
	}
	n := max(e.last, e.ack, e.far) - 1 // without the SYN
	if e.finished || e.far > 0 {
		n--
	}
	return max(n, 0)
}

// A counter adds a letter to the history at the first, 10th, 100th, … event.
type counter uint32

// add counts an event, and reports whether the letter is due.
func (c *counter) add() bool {
	*c++
	n := *c
	for n%10 == 0 && n > 0 {
		n /= 10
	}
	return n == 1
}

// farAway is how far the sequence number of a SYN or RST may be off before it is not believed; also
// an ACK of 0.
const farAway = 1 << 20

// reused reports whether a SYN on f is that of another connection between the same endpoints.
func (t *Table) reused(f *flow, tcp *layers.TCP) bool {
	orig, resp := &f.ends[0], &f.ends[1]
	side := orig
	switch {
	case !tcp.SYN:
		return false
	case orig.state == synSent && resp.state == inactive:
		return false // the originator's is doubted, the responder's an answer
	case tcp.ACK && orig.state != inactive:
		return false
	case tcp.ACK:
		side = resp
	}
	if orig.done && resp.done {
		if orig.state != reset && resp.state != reset {
			t.weird(f, "premature_connection_reuse", "", "TCP")
		}
		return true
	}
	reversed := !tcp.ACK && orig.state == synAckSent && resp.state == inactive && tcp.Seq == resp.start
	switch {
	case tcp.Seq == side.start || reversed:
		return false
	case side.state == synSent:
		t.weird(f, "SYN_seq_jump", "", "TCP")
	case orig.state != inactive || resp.state != inactive:
		t.weird(f, "active_connection_reuse", "", "TCP")
	default:
		return false // nothing but packets with bad checksums came before
	}
	return true
}

// segment follows one TCP segment from the given side of f. length is that of its payload on the
// wire; data is what was captured of it. The order of the steps is Zeek's, as the results depend on
// it.
func (t *Table) segment(f *flow, side protocol.Side, now time.Time, tcp *layers.TCP, data []byte, length int) {
	e, peer := &f.ends[side], &f.ends[side.Other()]
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

	first := e.state == inactive && peer.state == inactive && tcp.SYN && !tcp.ACK // nearly all of a flood
	if !first && !(e.up && peer.up) && !t.takes(f, side, now, tcp, length) {
		return
	}
	t.synchronize(f, e, tcp, span)
	seq := e.relative(tcp.Seq)
	if tcp.FIN && seq < 0 && e.onlySYN(peer) {
		seq += 1 << 32
	}
	if seq < 0 && !tcp.RST {
		t.weird(f, "TCP_seq_underflow_or_misorder", "", "TCP")
	}
	f.recordFlags(side, tcp, seq, length)
	if tcp.Window == 0 && !tcp.RST && peer.state != closed && e.state != reset && e.zeroes.add() {
		f.record(side, 'W')
	}
	up := e.up && peer.up
	switch {
	case !up:
	case !tcp.ACK && !tcp.SYN && !tcp.RST: // no host takes it: RFC 9293, 3.10.7.4
		if length > 0 || tcp.FIN {
			t.weird(f, "data_without_ACK", "", "TCP")
		}
		return
	case f.goesOn(side, seq) || e.accepted(peer, tcp, seq, span):
	case tcp.FIN && e.onlySYN(peer):
		t.farFIN(f, side, now, tcp, seq+span)
		return
	default:
		t.weird(f, "segment_outside_window", fmt.Sprintf("%s at %d of %d", flags(tcp), seq, e.last), "TCP")
		return
	}
	acked, future := int64(0), int64(0)
	if tcp.ACK {
		var ok bool
		if acked, future, ok = t.acknowledge(f, e, peer, tcp, seq); !ok && (up || e.synSeen() && peer.synSeen()) && !tcp.RST {
			return
		}
	}
	if !e.done || !peer.done { // the last ACK is not part of the duration
		f.last = now
	}
	if tcp.SYN {
		t.synWeirds(f, tcp, length)
	}
	claims := future > 0 && up && !f.session.IsIgnored()
	if tcp.FIN && !claims {
		e.finished = true
		e.fin = seq + span
	}
	if e.window.update(tcp, min(acked, peer.last)) && e.state != closed && e.state != reset {
		t.weird(f, "window_recision", "", "")
	}
	exact := seq == e.due() && future == 0 // where a host believes a RST at once: RFC 5961
	again, advanced := e.advance(tcp, seq+span, length)
	if again && e.retransmits.add() {
		f.record(side, 'T')
	}
	if f.rare != nil && advanced && length > 0 {
		f.arrived(side, seq)
	}
	if tcp.FIN && advanced && e.state == closed {
		t.weird(f, "FIN_advanced_last_seq", "", "TCP")
	}

	if side == protocol.Resp && tcp.SYN && !tcp.ACK && e.state == inactive && peer.state == synAckSent && tcp.Seq == e.start {
		// The SYN and the SYN-ACK changed places on their way into the capture.
		f.flip()
		e.late, peer.late = false, false
		side, e, peer = protocol.Orig, peer, e
		e.set(established)
		peer.set(established)
	}
	unseen := e.state == inactive
	e.opened = e.opened || tcp.SYN && !tcp.ACK
	closes := t.transition(f, side, tcp, length)
	if unseen && !tcp.SYN && e.state == established {
		e.late, peer.late = false, false // only the SYN is missing
	}

	if !tcp.RST { // it was sent after all, if e goes on behind it
		t.acknowledged(f, side, now, min(e.ack, seq))
		t.settle(f, side.Other(), false)
	}
	t.acknowledged(f, side.Other(), now, min(acked, peer.last))
	t.finish(f, side.Other(), now)
	if acked > peer.last {
		t.foretell(f, side.Other(), acked)
	}
	if tcp.SYN {
		seq++
	}
	if length > 0 {
		e.far = 0
	}
	switch {
	case tcp.RST || seq <= 0: // data in a RST is no part of the stream
	case tcp.SYN && side == protocol.Resp && e.ack == 0 && len(data) == length && f.unconfirmed(tcp): // see arrange
	case len(data) < length: // becomes a gap when it is acknowledged
		t.weird(f, "truncated_tcp_payload", "", "TCP")
	case claims:
		t.claim(f, side, claim{seq: seq, data: data[:length], fin: tcp.FIN, ack: future, time: now})
	case length > 0:
		t.receive(f, side, now, seq, data[:length])
	}
	t.finish(f, side, now)
	e.done = e.done || closes
	e.over = e.over || closes && (exact || !up)
	e.aborted = e.aborted || closes && tcp.RST && (exact || !up)
	peer.over = peer.over || peer.finished && peer.acked() >= peer.fin
	if (closes || tcp.ACK) && f.over() && f.timer != closeTimer {
		t.timers.start(f, closeTimer, t.now)
	}
}

// takes prepares f for a segment while it is not established, and reports whether a host takes that.
func (t *Table) takes(f *flow, side protocol.Side, now time.Time, tcp *layers.TCP, length int) bool {
	e, peer := &f.ends[side], &f.ends[side.Other()]
	if f.refuses(side, tcp, length) {
		f.recordFlags(side, tcp, int64(tcp.Seq), length)
		name := "segment_outside_window"
		if tcp.SYN {
			name = "bad_SYN_ack"
		}
		t.weird(f, name, "", "TCP")
		return false
	}
	if side == protocol.Orig && f.unanswered() && !tcp.ACK && !tcp.SYN && !tcp.RST {
		f.last = now
		f.recordFlags(side, tcp, e.relative(tcp.Seq), length)
		t.transition(f, side, tcp, length) // the row says what was tried; the other side takes none of it
		return false
	}
	switch {
	case side == protocol.Resp && tcp.SYN && tcp.ACK && peer.opened && !e.synSeen() && e.stream.next == 1:
		e.window, peer.ack = window{}, 0 // whatever came before was forged
		if e.state != inactive {
			t.reopen(f, e, inactive)
		}
	case side == protocol.Orig && e.state == reset && e.opened && !e.up && peer.synSeen() && !tcp.SYN && !tcp.RST && tcp.ACK &&
		tcp.Seq == e.start+1 && tcp.Ack == peer.start+1:
		t.reopen(f, e, established) // and so was the RST that withdrew it
		e.last = 1
	}
	if e.state == inactive && (side == protocol.Orig || !tcp.RST) {
		e.late = !tcp.SYN || side == protocol.Orig && tcp.ACK
	}
	return true
}

// over reports whether f has come to its end. A RST or FIN that is not where the next byte is due
// may be of somebody else: such a FIN counts when the other side acknowledges it, such a RST never.
func (f *flow) over() bool {
	orig, resp := &f.ends[0], &f.ends[1]
	return orig.aborted || resp.aborted ||
		orig.over && (resp.over || resp.state == inactive) || resp.over && orig.state == inactive
}

// flags returns the flags of a segment as their initial letters.
func flags(tcp *layers.TCP) string {
	var b []byte
	for _, x := range []struct {
		set    bool
		letter byte
	}{{tcp.SYN, 'S'}, {tcp.FIN, 'F'}, {tcp.RST, 'R'}, {tcp.ACK, 'A'}} {
		if x.set {
			b = append(b, x.letter)
		}
	}
	return string(b)
}

func (t *Table) synWeirds(f *flow, tcp *layers.TCP, length int) {
	if tcp.RST {
		t.weird(f, "TCP_christmas", "", "")
	}
	if tcp.URG {
		t.weird(f, "baroque_SYN", "", "")
	}
	if length > 0 {
		t.weird(f, "SYN_with_data", "", "TCP")
	}
}

// synchronize sets the numbering of e up if the segment starts it, or starts it over.
func (t *Table) synchronize(f *flow, e *endpoint, tcp *layers.TCP, span int64) {
	switch e.state {
	case inactive:
		if !tcp.SYN { // captured from the middle on
			e.begin(tcp.Seq-1, 1)
		}
	case synSent, synAckSent:
		if tcp.Seq == e.start {
			return
		}
		if tcp.SYN {
			t.weird(f, "SYN_seq_jump", "", "")
		}
	case established, partial:
		if !tcp.SYN {
			return
		}
		if e.last > 1 {
			t.weird(f, "SYN_inside_connection", "", "")
		}
		if tcp.Seq != e.start {
			t.weird(f, "SYN_seq_jump", "", "")
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

// acknowledge takes an ACK from e, in a segment that starts at seq, of what peer sent. It returns
// the number acknowledged, 0 if it is not to be believed, and if peer was not seen to send as much,
// that number as the future one. It is not ok if no host takes a segment with such an ACK.
func (t *Table) acknowledge(f *flow, e, peer *endpoint, tcp *layers.TCP, seq int64) (acked, future int64, ok bool) {
	if peer.state == inactive {
		if !tcp.SYN && !tcp.FIN && !tcp.RST && (f.rare == nil || len(f.weirds) == 0) &&
			(e.state == synSent || e.state == synAckSent || e.state == established) {
			t.weird(f, "possible_split_routing", "", "")
		}
		peer.begin(tcp.Ack-1, 0) // it has been talking, but none of it was captured
		return 0, 0, true
	}
	ack := peer.ack + int64(int32(tcp.Ack-(peer.start+uint32(peer.ack))))
	if ack < 0 {
		t.weird(f, "TCP_ack_underflow_or_misorder", "", "TCP")
		return 0, 0, false
	}
	if tcp.RST || tcp.Ack == 0 && ack-peer.ack > farAway {
		return 0, 0, tcp.RST
	}
	if seq < e.acked()-slack && ack > peer.ack && e.up && peer.up {
		t.weird(f, "segment_outside_window", fmt.Sprintf("%s at %d of %d", flags(tcp), seq, e.last), "TCP")
		return 0, 0, false // what lies before its window
	}
	if ack > peer.last {
		future = ack
	}
	side := protocol.Orig // of peer
	if peer == &f.ends[protocol.Resp] {
		side = protocol.Resp
	}
	if e.window.scaled && ack > max(e.window.edge, peer.last)+slack && !f.goesOn(side, ack) {
		f.more().beyond[side] = ack
		t.weird(f, "ack_outside_window", fmt.Sprintf("%d of %d", ack, peer.last), "TCP")
		return 0, future, true
	}
	peer.ack = max(peer.ack, ack)
	return ack, future, true
}

// advance notes that e has sent up to end. It reports whether it had sent the payload before, and
// whether it had not sent as much.
func (e *endpoint) advance(tcp *layers.TCP, end int64, length int) (again, advanced bool) {
	ahead := end - e.last
	switch {
	case (tcp.SYN || tcp.RST) && (ahead > farAway || ahead < -farAway):
	case e.state == reset && length == 0 && !tcp.FIN: // otherwise it goes on: see receive
	case ahead > 0:
		e.last = end
		return false, true
	default:
		return length > 0, false
	}
	return false, false
}

// A window is how much one side lets the other send.
type window struct {
	edge     int64 // the highest number that the other side was allowed to send, relative to its start
	scale    int8  // how many bits to shift it, if scaled
	scaled   bool  // the SYN was seen, and told
	known    bool  // something of the following was seen
	seq, ack uint32
	size     uint32
}

// slack is how far beyond a window a segment is taken, since ACKs that open the window may be
// captured after it.
const slack = 64 << 10

// update takes the window in a segment that acknowledges acked. It reports whether the window
// shrank.
func (w *window) update(tcp *layers.TCP, acked int64) (shrank bool) {
	if tcp.SYN {
		w.scaled, w.scale = true, 0
		for _, o := range tcp.Options {
			if o.OptionType == layers.TCPOptionKindWindowScale && len(o.OptionData) == 1 {
				w.scale = int8(min(o.OptionData[0], 14))
			}
		}
		w.edge = max(w.edge, acked+int64(tcp.Window))
		return false
	}
	if !tcp.ACK || tcp.RST || tcp.FIN {
		return false
	}
	size := uint32(tcp.Window) << w.scale
	if w.scaled && acked > 0 {
		w.edge = max(w.edge, acked+int64(size))
	}
	if w.known && (int32(tcp.Seq-w.seq) < 0 || int32(tcp.Ack-w.ack) < 0) {
		return false // it is older
	}
	behind := -int32(tcp.Ack + size - (w.ack + w.size))
	shrank = w.known && behind > 0 && behind >= 1<<w.scale
	w.known, w.seq, w.ack, w.size = true, tcp.Seq, tcp.Ack, size
	return shrank
}

// accepted reports whether a host takes a segment that starts at seq: nothing begins beyond the
// window that peer has opened, and no FIN or RST lies before what peer has acknowledged. A stream
// that goes on beyond the window is believed: then peer's ACKs were not captured.
func (e *endpoint) accepted(peer *endpoint, tcp *layers.TCP, seq, span int64) bool {
	switch {
	case peer.window.scaled && seq > max(peer.window.edge, e.last)+slack:
		return false
	case tcp.FIN:
		return seq+span > e.due() || e.finished && seq+span == e.fin
	}
	return !tcp.RST || seq >= e.acked()
}

// goesOn reports whether seq is where an ACK said that the stream of side is, beyond the window.
// The ACK alone is not believed, and neither is data there alone; together they are what comes
// after a hole in the capture.
func (f *flow) goesOn(side protocol.Side, seq int64) bool {
	if f.rare == nil || f.beyond[side] == 0 {
		return false
	}
	far := seq - f.beyond[side]
	return -slack <= far && far <= slack
}

// transition moves a side of f to the state that the segment puts it in, sometimes also the other
// side, and reports whether the side closes. The states are Zeek's.
func (t *Table) transition(f *flow, side protocol.Side, tcp *layers.TCP, length int) (closes bool) {
	e, peer := &f.ends[side], &f.ends[side.Other()]
	weird := func(name string) { t.weird(f, name, "", "TCP") }
	switch e.state {
	case inactive:
		switch {
		case tcp.SYN && side == protocol.Orig && tcp.ACK:
			e.set(synAckSent)
		case tcp.SYN && side == protocol.Orig && peer.synSeen() && peer.state == established: // captured after its answer
			e.set(established)
		case tcp.SYN && side == protocol.Orig:
			e.set(synSent)
		case tcp.SYN:
			if !tcp.ACK {
				weird("simultaneous_open")
			} else if peer.state != inactive && peer.state != partial &&
				(int32(tcp.Ack-peer.start) < 0 || int32(tcp.Ack-(peer.start+uint32(peer.last))) > 0) {
				weird("bad_SYN_ack")
			}
			if peer.state == synSent || peer.state == closed && peer.prev == synSent {
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
		case side == protocol.Resp && length == 0 && peer.opened && !peer.window.known: // some acknowledge a SYN before they answer it
		case tcp.ACK && peer.state == established: // a SYN-ACK was seen: only the SYN is missing
			e.set(established)
		default:
			e.set(partial)
		}
		return tcp.FIN || tcp.RST
	case synSent, synAckSent:
		switch {
		case !tcp.SYN:
		case side == protocol.Orig && tcp.ACK && !tcp.FIN && !tcp.RST && e.state != synAckSent:
			weird("repeated_SYN_with_ack")
		}
		if tcp.FIN {
			if peer.state == inactive || peer.state == synSent {
				weird("inappropriate_FIN")
			}
			e.set(closed)
		}
		if tcp.RST {
			e.set(reset)
		} else if length > 0 {
			weird("data_before_established")
		}
		return tcp.FIN || tcp.RST
	case established, partial:
		if tcp.SYN && e.state == partial && peer.state == inactive && !tcp.ACK {
			weird("SYN_after_partial")
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
		if tcp.SYN {
			weird("SYN_after_close")
		}
		if tcp.RST && peer.state != closed {
			e.set(reset)
			return true
		}
	case reset:
		if tcp.SYN {
			weird("SYN_after_reset")
		}
		if length > 0 && !tcp.RST {
			weird("data_after_reset")
		}
	}
	return false
}

// receive takes payload that starts at seq.
func (t *Table) receive(f *flow, side protocol.Side, now time.Time, seq int64, data []byte) {
	e := &f.ends[side]
	s := &e.stream
	x := segment{seq: seq, end: seq + int64(len(data)), data: data}
	if x.seq < s.next && x.end > e.acked() && s.differs(x) { // later than its ACK, no host takes it
		t.weird(f, "rexmit_inconsistency", "", "TCP")
	}
	if x.end <= s.next {
		return
	}
	if x.seq < s.next {
		x = x.from(s.next)
	}
	if x.seq == s.next && len(s.pending) == 0 {
		if s.next, s.latest = x.end, 0; !f.session.IsIgnored() {
			s.sample(x.data)
		}
		t.feed(f, session.Event{Side: side, Time: now, Data: x.data})
	} else {
		if f.session.IsIgnored() {
			x.data = nil
		}
		if s.insert(x) {
			t.weird(f, "rexmit_inconsistency", "", "TCP")
		}
		t.deliver(f, side, now)
		if len(s.pending) > maxSegments {
			t.giveUpGap(f, side)
		}
	}
	if e.state == reset {
		t.revive(f, e)
	}
}

// acknowledged takes note that the other side has everything before seq: what is missing of it will
// not come again.
func (t *Table) acknowledged(f *flow, side protocol.Side, now time.Time, seq int64) {
	e := &f.ends[side]
	if e.finished && seq >= e.fin {
		seq = e.fin - 1
	}
	for e.stream.next < seq {
		t.gap(f, side, now, seq)
	}
}

// giveUpGap delivers what waits behind the first gap of a side, since there is too much of it.
func (t *Table) giveUpGap(f *flow, side protocol.Side) {
	e := &f.ends[side]
	name := "excessive_data_without_further_acks"
	if e.ack <= 1 {
		name = "above_hole_data_without_any_acks"
	}
	t.weird(f, name, "", "TCP")
	t.gap(f, side, t.now, e.stream.pending[0].seq)
}

// gap gives up the bytes that are missing before seq, up to the first that are there, and delivers
// those.
func (t *Table) gap(f *flow, side protocol.Side, now time.Time, seq int64) {
	e, peer := &f.ends[side], &f.ends[side.Other()]
	if n := e.stream.skip(seq); n > 0 {
		if e.clean() && peer.clean() {
			r := f.more()
			r.missed += n
			if e.stream.next > r.foretold[side] && e.gaps.add() {
				f.record(side, 'G')
			}
		}
		t.feed(f, session.Event{Side: side, Time: now, Gap: n})
	}
	t.deliver(f, side, now)
}

// clean reports whether e was established in full view, so that missing bytes are really missing.
func (e *endpoint) clean() bool {
	return e.state == established || e.state == closed && e.prev == established
}

// deliver passes on the pending bytes that are next.
func (t *Table) deliver(f *flow, side protocol.Side, now time.Time) {
	s := &f.ends[side].stream
	for x, ok := s.ready(); ok; x, ok = s.ready() {
		t.feed(f, session.Event{Side: side, Time: now, Data: x.data})
	}
}

// finish tells the parser, once, when one side has sent its last byte. A RST does not tell it: it
// may be of somebody else, and then there is more to come. So may a FIN be behind which there is
// more: that comes to nothing.
func (t *Table) finish(f *flow, side protocol.Side, now time.Time) {
	e := &f.ends[side]
	switch {
	case e.ended || !e.finished:
	case e.stream.next == e.fin-1:
		e.ended = true
		t.feed(f, session.Event{Side: side, Time: now})
	case e.stream.next > e.fin-1:
		e.finished = false
		t.revive(f, e)
	}
}

// reopen takes a RST of e back, and lets f go on.
func (t *Table) reopen(f *flow, e *endpoint, s tcpState) {
	e.finished, e.done, e.over, e.aborted, e.ended = false, false, false, false, false
	if e.set(s); s == inactive {
		e.prev = inactive
	}
	if f.timer == closeTimer {
		t.timers.start(f, longTimer, t.now)
	}
}

// revive takes note that e goes on after its end, which was of somebody else.
func (t *Table) revive(f *flow, e *endpoint) {
	if e.over {
		e.over, e.aborted = false, false
		t.timers.start(f, longTimer, t.now)
	}
}
