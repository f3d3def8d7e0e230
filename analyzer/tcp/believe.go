package tcp

// What a segment must look like to be believed. The functions here change nothing; they say what a
// host would do, as far as that can be known from outside. Segment, arrange and follow ask them.
//
// An attacker who is not on the path knows addresses and ports, and guesses numbers of 32 bits.
// Whatever is believed is believed because it has a number that takes 2^32 guesses, or 2^32 divided
// by a window.

// answersDoubted reports whether a SYN is the SYN-ACK of the SYN that was doubted last. Then
// the host that it is from has forgotten this connection, and has begun another.
func (c *Conn) answersDoubted(s *segment) bool {
	r := c.rare
	return r != nil && r.doubted != nil && s.ACK() && s.side != r.doubter && r.doubted.Seq()+1 == s.Ack()
}

// competes reports whether a SYN is another SYN-ACK than the first one, while the client has not
// acknowledged that.
func (c *Conn) competes(s *segment) bool {
	orig, resp := &c.half[Orig], &c.half[Resp]
	if !s.ACK() || s.side != Resp || s.FIN() || s.RST() || !orig.opened || !resp.synSeen || s.Seq() == resp.iss {
		return false
	}
	n := int64(int32(s.Ack() - orig.iss))
	return 0 < n && n <= orig.next && (resp.una == 0 || orig.window.known && orig.window.ack == s.Seq()+1 && resp.queue.taken == 0)
}

// doubts reports whether a SYN begins another connection although this one is established and
// not over, or on its way. A host does not believe that (RFC 5961, section 4), since anybody can
// send a SYN in another's name. If the connection was really forgotten, the other side accepts the
// new one: see answersDoubted.
func (c *Conn) doubts(s *segment) bool {
	orig, resp := &c.half[Orig], &c.half[Resp]
	switch {
	case orig.state == synSent && resp.state == inactive:
		return s.side == Orig && s.Seq() != orig.iss
	case !c.established() || c.over():
		return false
	case s.side == Orig:
		return s.Seq() != orig.iss
	}
	return s.Seq() != resp.iss || !s.ACK()
}

// reuse says whether a SYN is that of another connection between the same endpoints, and what is
// weird about it.
func (c *Conn) reuse(s *segment) (another bool, weird string) {
	orig, resp := &c.half[Orig], &c.half[Resp]
	side := orig
	switch {
	case orig.state == synSent && resp.state == inactive:
		return false, "" // the originator's is doubted, the responder's an answer
	case s.ACK() && orig.state != inactive:
		return false, ""
	case s.ACK():
		side = resp
	}
	if orig.closed && resp.closed {
		if orig.state != reset && resp.state != reset {
			weird = "premature_connection_reuse"
		}
		return true, weird
	}
	reversed := !s.ACK() && orig.state == synAckSent && resp.state == inactive && s.Seq() == resp.iss
	switch {
	case s.Seq() == side.iss || reversed:
		return false, ""
	case side.state == synSent:
		return true, "SYN_seq_jump"
	case orig.state != inactive || resp.state != inactive:
		return true, "active_connection_reuse"
	}
	return false, "" // nothing but packets with bad checksums came before
}

// unanswered reports whether the originator's SYN waits for the SYN-ACK, perhaps after a RST that
// seemed to refuse or withdraw it.
func (c *Conn) unanswered() bool {
	orig, resp := &c.half[Orig], &c.half[Resp]
	return orig.opened && !resp.synSeen && (resp.state == inactive || resp.state == reset)
}

// refuses reports whether one side drops a segment of the other while the SYN waits for its answer,
// so that an attacker who does not know its number cannot answer it: RFC 9293, 3.10.7.3. Until its
// SYN is seen nothing of the responder is believed, whatever RST or FIN came before, but a RST that
// answers the SYN. ACKs without anything else change nothing.
func (c *Conn) refuses(s *segment) bool {
	orig := &c.half[Orig]
	switch {
	case !c.unanswered():
		return false
	case s.side == Orig: // elsewhere than where it goes on; a RST means nothing yet
		seq := orig.relative(s.Seq())
		return !s.SYN() && !s.RST() && (seq < 0 || seq > orig.next+slack)
	case s.SYN() && (s.FIN() || s.RST() && !s.ACK()):
		return true
	case s.SYN() || s.RST():
		n := int32(s.Ack() - orig.iss)
		return !orig.window.known && (s.ACK() && (n <= 0 || int64(n) > orig.next) || s.RST() && !s.ACK())
	case orig.window.known: // the SYN-ACK was not captured: the client's ACK says where the server is
		return (s.FIN() || s.length > 0) && !near(s.Seq(), orig.window.ack)
	}
	return s.FIN() || s.length > 0 || !s.ACK()
}

// unconfirmed reports whether a segment is a SYN-ACK that the client has not acknowledged. As it
// may be forged, its data is deferred.
func (c *Conn) unconfirmed(s *segment) bool {
	orig, resp := &c.half[Orig], &c.half[Resp]
	return s.SYN() && s.ACK() && !s.FIN() && !s.RST() && orig.opened &&
		(!resp.synSeen || resp.una == 0 && s.Seq() == resp.iss)
}

// accepts reports whether the other side takes a segment that starts at seq, once both are
// established. Nothing begins beyond the window that it has opened, and no FIN or RST lies before
// what it has acknowledged. A stream that goes on beyond the window is believed: then its ACKs were
// not captured.
func (c *Conn) accepts(s *segment, seq int64) bool {
	e, peer := c.ends(s.side)
	switch {
	case c.goesOn(s.side, seq):
		return true
	case peer.synSeen && seq > max(peer.window.edge, e.next)+slack:
		return false
	case s.FIN():
		end := seq + s.span()
		return end > e.due() || e.finSeen && end == e.fin
	}
	return !s.RST() || seq >= e.acked()
}

// goesOn reports whether seq is where an ACK said that the stream of a side is, beyond the window.
// The ACK alone is not believed, and neither is data there alone; together they are what comes
// after a hole in the capture.
func (c *Conn) goesOn(side Side, seq int64) bool {
	if c.rare == nil || c.rare.beyond[side] == 0 {
		return false
	}
	far := seq - c.rare.beyond[side]
	return -slack <= far && far <= slack
}

// near reports whether a number of a stream may come after another, or shortly before it.
func near(seq, other uint32) bool {
	n := int64(int32(seq - other))
	return -slack <= n && n <= farAway
}

// Continues reports whether a segment of a side is just what comes next in c: a connection that
// was displaced by another goes on.
func (c *Conn) Continues(side Side, h Header) bool {
	e, peer := c.ends(side)
	ack := peer.relativeAck(h.Ack())
	return h.ACK() && !h.SYN() && !h.RST() && e.relative(h.Seq()) == e.due() && peer.acked() <= ack && ack <= peer.next
}
