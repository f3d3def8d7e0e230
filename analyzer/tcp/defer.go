package tcp

import (
	"slices"
	"time"
)

// A capture often has the two directions of a connection from two queues or two interfaces, and one
// of them late. Acknowledgment numbers tell the true order: a segment was sent after everything it
// acknowledges was received. Until both SYNs are captured, segments that show that the other one
// exists are deferred as a whole; afterwards, data that acknowledges what was not captured yet
// waits as a claim.

// settled reports whether the handshake leaves nothing open, as is the case for nearly every
// segment.
func (c *Conn) settled() bool {
	orig, resp := &c.half[Orig], &c.half[Resp]
	return orig.synSeen && resp.synSeen && (resp.una > 0 || !orig.opened) && !c.rare().waits() && !c.rare().contested()
}

// arrange follows a segment, or defers it, and sees to those that were waiting for it.
func (c *Conn) arrange(s *segment, sink Sink) {
	switch {
	case s.side == Orig && s.ACK() && !s.SYN() && !s.RST() && c.rare().contested():
		c.choose(s.Ack())
	case s.side == Resp && s.length > 0 && len(s.data) == s.length && c.unconfirmed(s) && !c.refuses(s):
		if !c.rare().waitsOf(Orig) {
			c.deferSegment(s, sink) // its data; follow sees the SYN-ACK
		}
	}
	if c.defers(s) && c.deferSegment(s, sink) {
		return
	}
	waiting := c.rare().waitsOf(s.side.Other())
	if waiting && c.releasesBefore(s) {
		c.release(sink)
	}
	c.follow(s, sink)
	if waiting && !c.waits(c.extra.deferral.from) {
		c.release(sink)
	}
}

// waits reports whether what a side sends shows that segments of the other were not captured yet:
// its SYN, its SYN-ACK, or its ACK of the SYN-ACK.
func (c *Conn) waits(side Side) bool {
	e, peer := c.ends(side)
	return e.synSeen &&
		(peer.state == inactive || side == Orig && c.unanswered() || side == Resp && peer.opened && e.una == 0)
}

// defers reports whether a segment has to wait.
func (c *Conn) defers(s *segment) bool {
	switch {
	case s.SYN() || c.rare().deferral.over || c.rare().waitsOf(s.side.Other()) || c.refuses(s):
		return false
	case c.rare().waits():
		return true
	}
	return s.ACK() && !s.RST() && c.waits(s.side)
}

// deferSegment keeps a copy of a segment, and reports whether there is room.
func (c *Conn) deferSegment(s *segment, sink Sink) bool {
	d := &c.more().deferral
	if len(d.queue) == maxDeferred || len(d.queue) > 0 && s.time.Sub(d.queue[0].time) > maxDeferral {
		d.over = true
		c.release(sink)
		return false
	}
	x := deferred{time: s.time, segment: slices.Concat(s.Header, s.data), length: s.length}
	d.from = s.side
	d.queue = append(d.queue, x)
	d.size += cap(x.segment) + deferredCost
	return true
}

// releasesBefore reports whether a segment shows that what the other side's deferred segments wait
// for was lost, so that they come before it.
func (c *Conn) releasesBefore(s *segment) bool {
	e, peer := c.ends(s.side)
	switch {
	case s.SYN():
		return false
	case peer.synSeen && e.opened: // the server's wait for the client's ACK: this one, or a later one
		n := int64(int32(s.Ack() - peer.iss))
		return s.RST() || s.ACK() && 1 < n && n < farAway
	case s.RST():
		return false
	case peer.opened: // the SYN-ACK was lost, if this is where the client's ACK has the server
		return near(s.Seq(), c.rare().deferral.queue[0].header().Ack())
	case peer.state == established && s.ACK() && !s.FIN():
		return false // an ACK of the SYN-ACK is as good as the SYN
	}
	return true
}

// release follows the deferred segments. It ends, as follow defers none.
func (c *Conn) release(sink Sink) {
	if !c.rare().waits() {
		return
	}
	d, last := &c.extra.deferral, c.Last
	queue := d.queue
	d.queue, d.size = nil, 0
	defer func() { d.replayed = time.Time{} }() // after a panic too
	for i := range queue {
		x := &queue[i]
		h, data, _ := Parse(x.segment) // as it was before
		d.replayed = x.time
		if h.SYN() { // which was followed at once; now its data
			if h.Seq() == c.half[Resp].iss && len(data) > 0 {
				c.receive(Resp, x.time, 1, data, sink)
			}
			continue
		}
		c.follow(&segment{Header: h, side: d.from, time: x.time, data: data, length: x.length}, sink)
	}
	if c.Last.Before(last) {
		c.Last = last
	}
}

// Replayed returns when the deferred segment was captured that is followed right now; the zero time
// if none is.
func (c *Conn) Replayed() time.Time {
	return c.rare().deferral.replayed
}
