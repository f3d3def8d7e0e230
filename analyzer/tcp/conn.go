package tcp

import "time"

// A Sink takes what a connection turns out to carry, in order, while [Conn.Segment] or another
// method of the connection runs. It must not call a method of the connection that takes a Sink.
type Sink interface {
	// Data takes the next bytes of a side. It does not keep them. at is when they were captured, or
	// when the bytes before them were.
	Data(side Side, at time.Time, data []byte)

	// Gap says that the next n bytes of a side are missing and will not come.
	Gap(side Side, at time.Time, n int64)

	// EOF says that a side will send no more. It comes once, unless that end turns out to be forged.
	// A RST has no EOF, as it may be forged and there may be more to come.
	EOF(side Side, at time.Time)

	// Weird notes something that should not be, by Zeek's name, as often as it happens. addl says
	// more, and may be empty. source is Zeek's too: "TCP", or empty for what it says of the
	// connection as a whole.
	Weird(name, addl, source string)

	// Flip says that originator and responder turned out to be the other way round. What comes
	// after it has the new sides.
	Flip()
}

// An Outcome is what a segment means for the owner of a connection: the table that knows it by its
// addresses and ports.
type Outcome uint8

const (
	// GoesOn means that nothing changed for the owner.
	GoesOn Outcome = iota

	// Closed means that the connection has come to its end. The owner keeps it for a while, for
	// late segments.
	Closed

	// Reopened means that what was taken for the end of the connection was forged: it goes on.
	Reopened

	// Doubted means that the segment has a SYN which no host would believe. The connection is as it
	// was. The owner keeps the segment, to follow it if it is answered.
	Doubted

	// Competes means that the segment is another SYN-ACK than the first, and was not followed: it
	// may come to be believed when the client acknowledges it.
	Competes

	// Answers means that the segment is the SYN-ACK of the SYN that was doubted last, and was not
	// followed: the two begin another connection. The owner makes room for one, and follows first
	// the SYN and then this segment as parts of it. The old connection may still go on, as both may
	// be forged: see [Conn.Continues].
	Answers

	// Begins means that this connection is over, and the segment, which was not followed, begins
	// another.
	Begins
)

// source is that of most weirds.
const source = "TCP"

// A Conn is one TCP connection. The zero value is one of which nothing was seen. A Conn must not be
// copied after first use, and belongs to one goroutine.
//
// In a SYN flood there is a Conn for every packet, so it is kept small.
type Conn struct {
	Last    time.Time // of the latest segment that counts for the duration
	History History

	half      [2]half
	extra     *rare // nil for most: read it through rare, write it through more
	ended     bool  // has come to its end, which revive and reopen take back
	ignored   bool  // see Ignore
	weirdSeen bool  // something weird was noted, here or by the owner
}

// none is the rare part of the connections that have none.
var none rare

// rare returns the rare part of c, for reading.
func (c *Conn) rare() *rare {
	if c.extra == nil {
		return &none
	}
	return c.extra
}

// more returns the rare part of c, for writing.
func (c *Conn) more() *rare {
	if c.extra == nil {
		c.extra = new(rare)
	}
	return c.extra
}

// ends returns the half of a side and that of the other.
func (c *Conn) ends(side Side) (e, peer *half) {
	if side == Orig { // faster than computing either address from side
		return &c.half[Orig], &c.half[Resp]
	}
	return &c.half[Resp], &c.half[Orig]
}

// Established reports whether both sides were established at some time, so that what hosts check in
// that state is checked.
func (c *Conn) Established() bool { return c.half[Orig].established && c.half[Resp].established }

// over reports whether the connection has come to its end. A RST or FIN that is not where the next
// byte is due may be forged: such a FIN counts when the other side acknowledges it, such a RST
// never.
func (c *Conn) over() bool {
	orig, resp := &c.half[Orig], &c.half[Resp]
	return orig.reset || resp.reset ||
		orig.believed && (resp.believed || resp.state == inactive) || resp.believed && orig.state == inactive
}

// outcome returns what a call did that began when ended was as given.
func (c *Conn) outcome(ended bool) Outcome {
	switch {
	case c.ended && !ended:
		return Closed
	case ended && !c.ended:
		return Reopened
	}
	return GoesOn
}

// revive notes that e goes on after its end, which was forged.
func (c *Conn) revive(e *half) {
	if e.believed {
		e.believed, e.reset, c.ended = false, false, false
	}
}

// reopen takes a RST of e back, and puts it into a state from before it.
func (c *Conn) reopen(e *half, s state) {
	e.finSeen, e.believed, e.reset, e.eof, c.ended = false, false, false, false, false
	if e.set(s); s == inactive {
		e.before = inactive
	}
}

// Flip exchanges originator and responder, which happens before there are streams.
func (c *Conn) Flip() {
	c.half[0], c.half[1] = c.half[1], c.half[0]
	if c.rare().waits() {
		c.extra.deferral.from = c.extra.deferral.from.Other()
	}
	c.History.Flip()
}

// weird notes something in a segment that should not be.
func (c *Conn) weird(sink Sink, name string) { c.weirdOf(sink, name, "", source) }

func (c *Conn) weirdOf(sink Sink, name, addl, source string) {
	sink.Weird(name, addl, source)
	c.weirdSeen = true
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
func (c *Conn) Missed() int64 { return c.rare().missed }

// NoteWeird notes that the owner found something weird in the connection. Some of what is weird
// matters only where nothing else is.
func (c *Conn) NoteWeird() { c.weirdSeen = true }

// Replayed returns when the deferred segment was captured that is followed right now; the zero time
// if none is.
func (c *Conn) Replayed() time.Time { return c.rare().deferral.replayed }
