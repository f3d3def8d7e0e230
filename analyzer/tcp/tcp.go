package tcp

import "time"

// Segment follows a segment of a side: a header, what was captured of its payload, and the length
// of the payload on the wire. It keeps neither, and tells sink what comes of them.
//
// These are the decisions, in order. A segment with SYN may be of another connection, or of none;
// any other is of this one. While the handshake is incomplete, it may have to wait for segments
// that were sent before it. Then it is followed.
func (c *Conn) Segment(side Side, at time.Time, h Header, payload []byte, length int, sink Sink) Outcome {
	s := &segment{ // a pointer, so that it is built in place: copying it waits for the stores before it
		Header: h, side: side, time: at, data: payload, length: length,
	}
	if h.SYN() {
		outcome, weird := c.judge(s)
		if weird != "" {
			c.weird(sink, weird)
		}
		switch {
		case outcome == Answers:
			c.extra.doubted = false
		case outcome == Competes:
			c.compete(s, sink)
		case outcome == Doubted && !h.ACK():
			r := c.more()
			r.doubted, r.doubter, r.doubt = true, side, h.Seq()
		}
		if outcome != GoesOn {
			return outcome
		}
	}
	ended := c.ended
	if c.extra == nil && h.SYN() && !h.ACK() || c.settled() {
		c.follow(s, sink)
	} else {
		c.arrange(s, sink)
	}
	return c.outcome(ended)
}

// Attempt reports whether nothing but the originator's SYN, and what it sent behind it, was seen.
func (c *Conn) Attempt() bool {
	orig, resp := &c.half[Orig], &c.half[Resp]
	return (orig.state == synSent || orig.state == synAckSent) && resp.state == inactive
}

// Handshaking reports whether neither side has got beyond its SYN.
func (c *Conn) Handshaking() bool {
	return c.half[Orig].state.handshaking() && c.half[Resp].state.handshaking()
}

// Partial reports whether the beginning of what a side sent was not captured, so that what looks
// like the beginning of a protocol is none.
func (c *Conn) Partial() bool { return c.half[Orig].partial || c.half[Resp].partial }

// Bytes returns how much payload a side sent, by its sequence numbers.
func (c *Conn) Bytes(side Side) int64 {
	e, peer := c.ends(side)
	return e.bytes(peer)
}

// Missed returns how many bytes were in gaps while both sides were established.
func (c *Conn) Missed() int64 {
	return c.rare().missed
}

// NoteWeird notes that the owner found something weird in the connection. Some of what is weird
// matters only where nothing else is.
func (c *Conn) NoteWeird() { c.weirdSeen = true }
