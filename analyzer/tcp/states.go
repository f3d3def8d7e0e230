package tcp

import "regexp"

// move moves both sides to the states that a segment leads to. If the segment shows that the sides
// were the wrong way round, move swaps them, and s.side with them.
func (c *Conn) move(s *segment, sink Sink) {
	e, peer := c.ends(s.side)
	if s.SYN() && !s.ACK() && e.state == inactive && peer.state == synAckSent {
		// The SYN was captured after its SYN-ACK.
		c.Flip()
		sink.Flip()
		s.side = Orig
		e, peer = c.ends(s.side)
		peer.partial = false
		e.set(established)
		peer.set(established)
	}
	e.opened = e.opened || s.SYN() && !s.ACK()
	c.transition(s, sink)
}

// transition moves the side of a segment, and sometimes the other one, to the state that the segment
// leads to. States and weirds are Zeek's.
func (c *Conn) transition(s *segment, sink Sink) {
	e, peer := c.ends(s.side)
	switch e.state {
	case inactive:
		c.first(s, sink)
	case synSent, synAckSent:
		c.weirdIf(s.SYN() && s.ACK() && !s.FIN() && !s.RST() && e.state == synSent, sink, "repeated_SYN_with_ack", source)
		c.weirdIf(s.FIN() && peer.state == inactive, sink, "inappropriate_FIN", source)
		c.weirdIf(s.length > 0 && !s.RST(), sink, "data_before_established", source)
	case established, partial:
		if s.SYN() && !s.ACK() && peer.state == inactive {
			c.weird(sink, "SYN_after_partial")
			e.set(synSent)
		}
		if s.FIN() && peer.state == reset && peer.before == closed {
			peer.set(closed) // a FIN, a RST, and the other side's FIN: a normal end after all
		}
	case closed:
		c.weirdIf(s.SYN(), sink, "SYN_after_close", source)
		if !s.RST() || peer.state == closed {
			return
		}
	case reset:
		c.weirdIf(s.SYN(), sink, "SYN_after_reset", source)
		c.weirdIf(s.length > 0 && !s.RST(), sink, "data_after_reset", source)
		return
	}
	switch {
	case s.RST():
		e.set(reset)
	case s.FIN():
		e.set(closed)
	}
}

// first moves a side to the state that its first segment leads to, unless that segment closes it.
func (c *Conn) first(s *segment, sink Sink) {
	e, peer := c.ends(s.side)
	e.partial = !s.SYN() && (s.side == Orig || !s.RST())
	switch {
	case !s.SYN() && (s.FIN() || s.RST()):
	case !s.SYN() && s.side == Resp && peer.opened && !peer.window.known:
		// Some hosts acknowledge a SYN before they answer it.
	case !s.SYN() && s.ACK() && peer.state == established: // only the SYN was not captured
		e.partial = false
		e.set(established)
	case !s.SYN():
		e.set(partial)
	case s.side == Orig && s.ACK():
		e.partial = true
		e.set(synAckSent)
	case s.side == Orig && peer.state == established: // captured after its SYN-ACK
		e.set(established)
	case s.side == Orig:
		e.set(synSent)
	default:
		n := peer.relative(s.Ack())
		c.weirdIf(!s.ACK(), sink, "simultaneous_open", source)
		c.weirdIf(s.ACK() && !peer.state.unseen() && (n < 0 || n > peer.next), sink, "bad_SYN_ack", source)
		if peer.state == synSent || peer.state == closed && peer.before == synSent {
			peer.set(established)
		}
		e.set(established)
	}
}

// connStates maps the originator's and the responder's state to Zeek's conn_state.
var connStates = [...][7]string{
	//           inactive synSent synAckSent partial established closed reset
	inactive:    {"OTH", "OTH", "OTH", "OTH", "OTH", "SHR", "RSTRH"},
	synSent:     {"S0", "OTH", "OTH", "OTH", "OTH", "S3", "REJ"},
	synAckSent:  {"OTH", "OTH", "OTH", "OTH", "OTH", "S3", "REJ"},
	partial:     {"OTH", "OTH", "OTH", "OTH", "OTH", "SHR", "RSTRH"},
	established: {"OTH", "OTH", "OTH", "OTH", "S1", "S3", "RSTR"},
	closed:      {"SH", "S2", "S2", "SH", "S2", "SF", "RSTR"},
	reset:       {"OTH", "RSTO", "RSTO", "OTH", "RSTO", "RSTO", "RSTR"},
}

// abortedAttempt matches the history of an attempt that its originator reset before anything else
// happened.
var abortedAttempt = regexp.MustCompile(`^\^?S[^HAFGIQ]*R`)

// State returns Zeek's conn_state.
func (c *Conn) State() string {
	o, r := &c.half[Orig], &c.half[Resp]
	switch name := connStates[o.state][r.state]; {
	case o.state == reset && r.state == reset && c.Bytes(Orig) == 0 && c.Bytes(Resp) == 0:
		return "REJ"
	case o.state == reset && name == "OTH" && abortedAttempt.Match(c.History.Letters()):
		return "RSTOS0"
	default:
		return name
	}
}
