package tcp

import (
	"bytes"
	"time"
)

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
	c.outcome = GoesOn
	if h.SYN() {
		switch {
		case c.answersDoubted(s):
			c.rare.doubted = nil
			return Answers
		case c.competes(s):
			c.compete(s, sink)
			return Competes
		case c.doubts(s):
			c.doubt(s, sink)
			return Doubted
		case c.begins(s, sink):
			return Begins
		}
	}
	if c.rare == nil && h.SYN() && !h.ACK() || c.settled() {
		c.follow(s, sink)
	} else {
		c.arrange(s, sink)
	}
	return c.outcome
}

// begins reports whether a SYN is that of another connection between the same endpoints, and notes
// what is weird about it.
func (c *Conn) begins(s *segment, sink Sink) bool {
	another, weird := c.reuse(s)
	if weird != "" {
		c.weird(sink, weird)
	}
	return another
}

// doubt notes a SYN that is doubted, and does nothing else with it.
func (c *Conn) doubt(s *segment, sink Sink) {
	name := "active_connection_reuse"
	if s.ACK() || c.half[Orig].state == synSent {
		name = "SYN_seq_jump"
	}
	c.weird(sink, name)
	if !s.ACK() {
		r := c.more()
		r.doubted, r.doubter = bytes.Clone(s.Header), s.side
	}
}

// Doubted returns the header of the SYN that was doubted last, nil if there is none or its SYN-ACK
// came. It stays as it is.
func (c *Conn) Doubted() Header {
	if c.rare == nil {
		return nil
	}
	return c.rare.doubted
}

// Flip exchanges originator and responder of a connection of which no segment was followed yet.
func (c *Conn) Flip() { c.flip() }

// Attempt reports whether nothing but the originator's SYN, and what it sent behind it, was seen.
func (c *Conn) Attempt() bool {
	orig, resp := &c.half[Orig], &c.half[Resp]
	return (orig.state == synSent || orig.state == synAckSent) && resp.state == inactive
}

// Handshaking reports whether neither side has got beyond its SYN.
func (c *Conn) Handshaking() bool {
	return c.half[Orig].state.handshaking() && c.half[Resp].state.handshaking()
}

// Established reports whether both sides were established at some time.
func (c *Conn) Established() bool { return c.established() }

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
	if c.rare == nil {
		return 0
	}
	return c.rare.missed
}

// NoteWeird notes that the owner found something weird in the connection. Some of what is weird
// matters only where nothing else is.
func (c *Conn) NoteWeird() { c.weirdSeen = true }
