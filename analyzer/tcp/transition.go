package tcp

// transition moves a side to the state that a segment puts it in, sometimes also the other side,
// and reports whether the side closes. The states are Zeek's, and so is what is weird.
func (c *Conn) transition(s *segment, sink Sink) (closes bool) {
	e, peer := c.ends(s.side)
	switch e.state {
	case inactive:
		return c.firstOf(s, sink)
	case synSent, synAckSent:
		if s.SYN() && s.side == Orig && s.ACK() && !s.FIN() && !s.RST() && e.state != synAckSent {
			c.weird(sink, "repeated_SYN_with_ack")
		}
		if s.FIN() {
			if peer.state == inactive || peer.state == synSent {
				c.weird(sink, "inappropriate_FIN")
			}
			e.set(closed)
		}
		if s.RST() {
			e.set(reset)
		} else if s.length > 0 {
			c.weird(sink, "data_before_established")
		}
		return s.FIN() || s.RST()
	case established, partial:
		if s.SYN() && e.state == partial && peer.state == inactive && !s.ACK() {
			c.weird(sink, "SYN_after_partial")
			e.set(synSent)
		}
		if s.FIN() && !s.RST() {
			e.set(closed)
			if peer.state == reset && peer.before == closed {
				peer.set(closed) // a FIN, then a RST, and the other side's FIN: a normal end after all
			}
		}
		if s.RST() {
			e.set(reset)
		}
		return s.FIN() || s.RST()
	case closed:
		if s.SYN() {
			c.weird(sink, "SYN_after_close")
		}
		if s.RST() && peer.state != closed {
			e.set(reset)
			return true
		}
	case reset:
		if s.SYN() {
			c.weird(sink, "SYN_after_reset")
		}
		if s.length > 0 && !s.RST() {
			c.weird(sink, "data_after_reset")
		}
	}
	return false
}

// firstOf is transition for the first segment of a side.
func (c *Conn) firstOf(s *segment, sink Sink) (closes bool) {
	e, peer := c.ends(s.side)
	switch {
	case !s.SYN():
	case s.side == Orig && s.ACK():
		e.set(synAckSent)
	case s.side == Orig && peer.synSeen && peer.state == established: // captured after its answer
		e.set(established)
	case s.side == Orig:
		e.set(synSent)
	default:
		if !s.ACK() {
			c.weird(sink, "simultaneous_open")
		} else if !peer.state.unseen() && (int32(s.Ack()-peer.iss) < 0 || int32(s.Ack()-(peer.iss+uint32(peer.next))) > 0) {
			c.weird(sink, "bad_SYN_ack")
		}
		if peer.state == synSent || peer.state == closed && peer.before == synSent {
			peer.set(established)
		}
		e.set(established)
	}
	if s.FIN() {
		e.set(closed)
	}
	if s.RST() {
		e.set(reset)
	}
	switch {
	case s.SYN() || s.FIN() || s.RST():
	case s.side == Resp && s.length == 0 && peer.opened && !peer.window.known: // some acknowledge a SYN before they answer it
	case s.ACK() && peer.state == established: // a SYN-ACK was seen: only the SYN is missing
		e.set(established)
	default:
		e.set(partial)
	}
	return s.FIN() || s.RST()
}
