package tcp

// What a segment must look like to be accepted. The functions in this file change nothing; they say
// what a host would do, as far as an observer can know. Segment, arrange and follow call them.
//
// An attacker who is not on the path may know addresses and ports, but must guess numbers of 32
// bits. A segment is accepted because it has a number that takes 2^32 guesses, or 2^32 divided by a
// window.

// competes reports whether a SYN is a SYN-ACK that differs from the first one, which the client has
// not acknowledged yet.
func (c *Conn) competes(s *segment) bool {
	orig, resp := &c.half[Orig], &c.half[Resp]
	if !s.ACK() || s.side != Resp || s.FIN() || s.RST() || !orig.opened || !resp.synSeen || s.Seq() == resp.iss {
		return false
	}
	return orig.answeredBy(s.Ack()) && (resp.una == 0 || orig.window.ack == s.Seq()+1 && resp.queue.taken == 0)
}

// classify says whether a SYN belongs to this connection (Followed) or to another one between the
// same endpoints, and what is weird about it. A SYN in an established connection is an
// UnexpectedSYN, because it is easily forged: RFC 5961, section 4. If a host really has lost the
// connection, the other one answers its SYN.
func (c *Conn) classify(s *segment) (outcome Outcome, weird string) {
	e, peer := c.ends(s.side)
	orig, resp := &c.half[Orig], &c.half[Resp]
	syn := c.rare().unexpected
	attempt := orig.state == synSent && resp.state == inactive
	unexpected := c.Established() && !c.Over() && (s.Seq() != e.iss || s.side == Resp && !s.ACK())
	switch {
	case syn != nil && s.ACK() && s.side != syn.side && s.Ack() == syn.Seq()+1:
		return SYNAnswered, ""
	case c.competes(s), attempt && s.side == Orig && s.Seq() != orig.iss, unexpected && s.ACK():
		return UnexpectedSYN, "SYN_seq_jump"
	case unexpected:
		return UnexpectedSYN, "active_connection_reuse"
	case attempt, s.ACK() && orig.state != inactive: // it may be an answer
		return Followed, ""
	case e.state == closed && peer.state == closed:
		return NewConnection, "premature_connection_reuse"
	case e.closed() && peer.closed():
		return NewConnection, ""
	case e.begunBy(s), e.state == inactive && peer.state == inactive: // only bad checksums before
		return Followed, ""
	case e.state == synSent:
		return NewConnection, "SYN_seq_jump"
	}
	return NewConnection, "active_connection_reuse"
}

// unanswered reports whether the originator's SYN waits for its SYN-ACK, perhaps after a RST that
// seemed to refuse or withdraw it.
func (c *Conn) unanswered() bool {
	orig, resp := &c.half[Orig], &c.half[Resp]
	return orig.opened && !resp.synSeen && (resp.state == inactive || resp.state == reset)
}

// drops reports whether one side drops a segment of the other while the SYN waits for its answer,
// so that an attacker who does not know the SYN's number cannot answer it: RFC 9293, section
// 3.10.7.3. Until the responder's SYN is captured, nothing of the responder is accepted, except a
// RST that answers the SYN, and what continues where the client's ACK says. Segments without data
// or FIN do no harm.
func (c *Conn) drops(s *segment) bool {
	orig := &c.half[Orig]
	switch {
	case !c.unanswered():
		return false
	case s.side == Orig: // not where it continues; a RST has no effect yet
		seq := orig.relative(s.Seq())
		return !s.RST() && (seq < 0 || seq > orig.next+slack)
	case orig.window.known && near(s.Seq(), orig.window.ack):
		return false
	case s.SYN() || s.RST():
		return s.SYN() && s.FIN() || (s.RST() || s.ACK()) && !orig.answeredBy(s.Ack())
	}
	return s.FIN() || s.length > 0
}

// continuesAt reports whether seq is where an ACK said that the stream of a side continues, beyond
// the window. Neither the ACK alone nor data there alone is accepted; together they are, as after a
// gap in the capture.
func (c *Conn) continuesAt(side Side, seq int64) bool {
	beyond := c.rare().beyond[side]
	far := seq - beyond
	return beyond != 0 && -slack <= far && far <= slack
}

// near reports whether a sequence number may follow another, or be shortly before it.
func near(seq, other uint32) bool {
	n := int64(int32(seq - other))
	return -slack <= n && n <= farAway
}

// Continues reports whether a segment of a side is exactly what is expected next in c: then c,
// which another connection has displaced, continues.
func (c *Conn) Continues(side Side, h Header) bool {
	e, peer := c.ends(side)
	ack := peer.relativeAck(h.Ack())
	return h.ACK() && !h.SYN() && !h.RST() && e.relative(h.Seq()) == e.due() && peer.acked() <= ack && ack <= peer.next
}
