package tcp

import (
	"slices"
	"time"
)

// Segment follows a segment of a side: a header, what was captured of its payload, and the length
// of the payload on the wire, which is not shorter. It does not keep h or payload.
//
// It decides the following, in order. A segment with SYN may belong to another connection, or to
// none; any other segment belongs to this one. While the handshake is incomplete, a segment may
// have to wait for others that were sent before it. Then it is followed.
func (c *Conn) Segment(side Side, at time.Time, h Header, payload []byte, length int, sink Sink) Outcome {
	// A pointer, so that the segment is built in place: copying it would wait for the stores.
	s := &segment{
		Header: h, side: side, time: at, data: payload, length: length,
	}
	if h.SYN() {
		outcome, weird := c.classify(s)
		c.weirdIf(weird != "", sink, weird, source)
		switch {
		case outcome == SYNAnswered:
			c.extra.unexpected = nil
		case outcome == UnexpectedSYN && c.competes(s):
			c.compete(s, sink)
		case outcome == UnexpectedSYN && !h.ACK():
			c.more().unexpected = &segment{Header: slices.Clone(h), side: side}
		}
		if outcome != Followed {
			return outcome
		}
	}
	if c.extra == nil && h.SYN() && !h.ACK() || c.handshakeDone() {
		c.follow(s, sink)
	} else {
		c.arrange(s, sink)
	}
	return Followed
}

// What a connection keeps of segments waits for other segments: bytes for those before them, claims
// for the other side to confirm them, deferred segments for the handshake. The owner counts it, and
// makes the connection give it up.

// Held returns how many bytes are kept for a side.
func (c *Conn) Held(side Side) int {
	n := c.half[side].queue.size
	if r := c.extra; r != nil {
		for _, kept := range [...][]segment{r.deferred, r.claims[side], r.rivals} {
			for i := range kept {
				if kept[i].side == side {
					n += kept[i].cost()
				}
			}
		}
	}
	return n
}

// Free gives up what is kept for a side, until enough returns true: first it follows the deferred
// segments, and defers no more of them; then it gives up missing bytes; then it drops claims.
func (c *Conn) Free(side Side, at time.Time, enough func() bool, sink Sink) {
	if c.rare().waitsOf(side) && !enough() {
		c.extra.oneWay = true
		c.release(sink)
	}
	for len(c.half[side].queue.pending) > 0 && !enough() {
		c.skipGap(side, at, sink)
	}
	if !enough() {
		c.dropClaims(side, sink)
	}
}

// Flush gives up what the connection waits for, as no more segments come. It follows deferred
// segments, reports bytes that only an ACK has shown to exist as missing, and accepts claims that
// nothing contradicts.
func (c *Conn) Flush(sink Sink) {
	c.release(sink)
	for side := range Side(2) {
		c.acknowledged(side, c.Last, c.half[side].una, sink)
		c.acceptClaims(side, true, sink)
		c.finish(side, c.Last, sink)
		c.dropClaims(side, sink)
	}
}

// Ignore says that nobody needs the bytes any more. The sink gets no more bytes, gaps or ends;
// sequence numbers are followed as before.
func (c *Conn) Ignore() {
	c.ignored = true
	for side := range c.half {
		c.half[side].queue.forget()
	}
}
