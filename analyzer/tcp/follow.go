package tcp

import "fmt"

// follow follows a segment that belongs to this connection and need not wait. The order of the
// steps is Zeek's, because history, weird.log and conn_state depend on it.
func (c *Conn) follow(s *segment, sink Sink) {
	e, peer := c.ends(s.side)

	// During the handshake, what no host accepts changes nothing.
	if !c.Established() && !c.prepare(s, sink) {
		return
	}

	// Between established sides, the checks of RFC 9293, 3.10.7.4: the window, the ACK bit, and
	// what the ACK acknowledges.
	seq := c.locate(s, sink)
	synchronized := c.Established()
	if synchronized && !c.acceptable(s, seq, sink) {
		return
	}
	acked, early, ok := c.acknowledge(s, seq, sink)
	if !ok && (synchronized || e.synSeen && peer.synSeen) && !s.RST() {
		return
	}

	// The segment is accepted. If it acknowledges more than the other side is known to have sent,
	// its data and its FIN are accepted only when the other side confirms them; see acceptClaims.
	claims := early && synchronized && !c.ignored
	// a host accepts a RST here: RFC 5961, section 3
	exact := c.note(s, seq, acked, claims, sink) && !early
	c.move(s, sink)
	e, peer = c.ends(s.side) // which move may have swapped

	// What the segment says of bytes that either side sent before it.
	if !s.RST() { // if e continues here, it has sent what is before
		c.acknowledged(s.side, s.time, min(e.una, seq), sink)
		c.acceptClaims(s.side.Other(), false, sink)
	}
	c.acknowledged(s.side.Other(), s.time, min(acked, peer.next), sink)
	c.finish(s.side.Other(), s.time, sink) // before the data of s: one end may follow the other
	if acked > peer.next {
		c.inferGap(s.side.Other(), acked)
	}

	// What the segment carries.
	c.carry(s, seq, claims, sink)
	c.finish(s.side, s.time, sink)

	// Whether the segment ends the connection.
	ends := exact || !synchronized
	e.ended = e.ended || ends && s.FIN()
	e.reset = e.reset || ends && s.RST()
	peer.ended = peer.ended || peer.finSeen && peer.acked() >= peer.fin
}

// locate returns where a segment is in the stream of its side, and records it in the history,
// whether it will be accepted or not. The first segment of a side starts its numbering; another SYN
// starts it again.
func (c *Conn) locate(s *segment, sink Sink) (seq int64) {
	e, peer := c.ends(s.side)
	switch {
	case !s.SYN() && e.state == inactive: // the beginning was not captured
		e.begin(s.Seq()-1, 1)
	case !s.SYN() || e.closed() || e.state.handshaking() && s.Seq() == e.iss:
	default:
		c.weirdIf(e.next > 1, sink, "SYN_inside_connection", "")
		c.weirdIf(e.state != inactive && s.Seq() != e.iss, sink, "SYN_seq_jump", "")
		e.begin(s.Seq(), s.span())
	}
	seq = e.relative(s.Seq())
	if s.FIN() && seq < 0 && e.onlySYN(peer) {
		seq += 1 << 32
	}
	c.weirdIf(seq < 0 && !s.RST(), sink, "TCP_seq_underflow_or_misorder", source)
	c.History.segment(s, seq, &e.counted)
	if s.Window() == 0 && !s.RST() && peer.state != closed && e.state != reset && e.counted.zeroes.Add() {
		c.History.Add(s.side, 'W')
	}
	return seq
}

// note records what an accepted segment says of its side: how much it has sent, and what window it
// grants. It reports whether the segment has exactly the sequence number that the other side
// expects next.
func (c *Conn) note(s *segment, seq, acked int64, claims bool, sink Sink) (exact bool) {
	e, peer := c.ends(s.side)
	if !e.closed() || !peer.closed() { // the last ACK is not part of the duration
		c.Last = s.time
	}
	if s.SYN() {
		c.weirdIf(s.RST(), sink, "TCP_christmas", "")
		c.weirdIf(s.URG(), sink, "baroque_SYN", "")
		c.weirdIf(s.length > 0, sink, "SYN_with_data", source)
	}
	if s.FIN() && !claims {
		e.finSeen, e.fin = true, seq+s.span()
	}
	e.synSeen = e.synSeen || s.SYN()
	shrank := e.window.update(s.Header, min(acked, peer.next), e.synSeen)
	c.weirdIf(shrank && !e.closed(), sink, "window_recision", "")
	exact = seq == e.due()
	ahead := seq + s.span() - e.next
	if (s.SYN() || s.RST()) && ahead > farAway ||
		e.state == reset && s.length == 0 && !s.FIN() { // with data, e continues: see Conn.receive
		return exact
	}
	e.next += max(ahead, 0)
	c.weirdIf(s.FIN() && ahead > 0 && e.state == closed, sink, "FIN_advanced_last_seq", source)
	switch {
	case s.length == 0:
	case ahead > 0:
		c.arrived(s.side, seq)
	case e.counted.retransmits.Add():
		c.History.Add(s.side, 'T')
	}
	return exact
}

// carry takes the payload of a segment that starts at seq, or keeps it as a claim.
func (c *Conn) carry(s *segment, seq int64, claims bool, sink Sink) {
	e, peer := c.ends(s.side)
	if s.SYN() {
		seq++
	}
	if s.length > 0 && c.extra != nil {
		c.extra.far[s.side] = 0
	}
	switch {
	case s.RST() || seq <= 0: // data in a RST is not part of the stream
	case s.length == 0 && !s.FIN():
	case len(s.data) < s.length: // becomes a gap when it is acknowledged
		c.weird(sink, "truncated_tcp_payload")
	case claims, s.SYN() && s.side == Resp && peer.opened && e.una == 0: // a SYN-ACK may be forged
		if kept := &c.more().claims[s.side]; len(*kept) < maxClaims {
			*kept = append(*kept, s.clone())
		}
	case s.length > 0:
		c.receive(s.side, s.time, seq, s.data, sink)
	}
}

// prepare prepares c, which is not established, for a segment. It reports whether a host accepts the
// segment.
func (c *Conn) prepare(s *segment, sink Sink) bool {
	e, peer := c.ends(s.side)
	if c.drops(s) {
		c.History.segment(s, int64(s.Seq()), &e.counted)
		c.weirdIf(s.SYN(), sink, "bad_SYN_ack", source)
		c.weirdIf(!s.SYN(), sink, "segment_outside_window", source)
		return false
	}
	if c.unanswered() && !s.ACK() && !s.SYN() && !s.RST() {
		c.Last = s.time
		c.History.segment(s, e.relative(s.Seq()), &e.counted)
		c.transition(s, sink) // the row shows what was tried; the other side accepts none of it
		return false
	}
	switch {
	case s.side == Resp && s.SYN() && s.ACK() && !e.synSeen && e.queue.taken == 0:
		c.restart(Resp) // whatever came before was forged
		peer.una = 0
	case e.state == reset && e.before == synSent && s.Seq() == e.iss+1 && s.Ack() == peer.iss+1:
		e.set(established) // the RST that withdrew the SYN was forged
		e.reset, e.next = false, 1
	}
	return true
}

// acceptable reports whether the other side accepts a segment that starts at seq, once both are
// established. The segment must not begin beyond the window that the other side has opened, nor may
// a FIN or RST be before what it has acknowledged. A stream that continues beyond the window is
// accepted: then the ACKs were not captured.
func (c *Conn) acceptable(s *segment, seq int64, sink Sink) bool {
	e, peer := c.ends(s.side)
	end := seq + s.span()
	ok := !s.RST() || seq >= e.acked()
	if s.FIN() {
		ok = end > e.due() || e.finSeen && end == e.fin
	}
	beyond := peer.synSeen && seq > max(peer.window.edge, e.next)+slack
	switch {
	case !s.ACK() && !s.SYN() && !s.RST(): // whatever its sequence number
		c.weirdIf(s.length > 0 || s.FIN(), sink, "data_without_ACK", source)
	case ok && !beyond || c.continuesAt(s.side, seq):
		return true
	case s.FIN() && e.onlySYN(peer):
		c.farFIN(s, end, sink)
	default:
		c.outsideWindow(s, seq, sink)
	}
	return false
}

// farFIN records a FIN that is far away from everything else that was captured of its side. If only
// SYNs and FINs are captured, each side's FIN matches the other's; otherwise data follows, and the
// FIN was forged.
func (c *Conn) farFIN(s *segment, fin int64, sink Sink) {
	e, peer := c.ends(s.side)
	c.Last = s.time
	r := c.more()
	r.far[s.side] = fin
	alone := *s
	alone.length = 0
	c.transition(&alone, sink)
	if far := r.far[s.side.Other()]; far > 0 && s.Ack() == peer.iss+uint32(far) {
		e.ended, peer.ended = true, true
	}
}

func (c *Conn) outsideWindow(s *segment, seq int64, sink Sink) {
	c.weirdOf(sink, "segment_outside_window", fmt.Sprintf("%s at %d of %d", s.flags(), seq, c.half[s.side].next), source)
}

// acknowledge takes the ACK of a segment that starts at seq, if there is one. acked is the number
// that it acknowledges, 0 if it is not accepted. early says that the other side is not known to have
// sent as much. ok is false if no host accepts a segment with such an ACK.
func (c *Conn) acknowledge(s *segment, seq int64, sink Sink) (acked int64, early, ok bool) {
	e, peer := c.ends(s.side)
	if !s.ACK() {
		return 0, false, true
	}
	if peer.state == inactive {
		if !s.SYN() && !s.FIN() && !s.RST() && !c.weirdSeen &&
			(e.state == synSent || e.state == synAckSent || e.state == established) {
			c.weirdOf(sink, "possible_split_routing", "", "")
		}
		peer.begin(s.Ack()-1, 0) // it has sent something, none of which was captured
		return 0, false, true
	}
	ack := peer.relativeAck(s.Ack())
	if ack < 0 {
		c.weird(sink, "TCP_ack_underflow_or_misorder")
		return 0, false, false
	}
	if s.RST() || s.Ack() == 0 && ack-peer.una > farAway {
		return 0, false, s.RST()
	}
	if seq < e.acked()-slack && ack > peer.una && c.Established() {
		c.outsideWindow(s, seq, sink)
		return 0, false, false // the segment is before the window
	}
	early = ack > peer.next
	other := s.side.Other()
	if e.synSeen && ack > max(e.window.edge, peer.next)+slack && !c.continuesAt(other, ack) {
		c.more().beyond[other] = ack
		c.weirdOf(sink, "ack_outside_window", fmt.Sprintf("%d of %d", ack, peer.next), source)
		return 0, early, true
	}
	peer.una = max(peer.una, ack)
	return ack, early, true
}
