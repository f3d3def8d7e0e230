package tcp

import "time"

// A Sink receives what a connection carries, in order, while [Conn.Segment] or another method of
// the connection runs. It must not call a method of the connection that takes a Sink.
type Sink interface {
	// Data receives the next bytes of a side, and must not keep them. at is when they were captured
	// or, if later, when the bytes before them were.
	Data(side Side, at time.Time, data []byte)

	// Gap says that the next n bytes of a side are missing and will not come.
	Gap(side Side, at time.Time, n int64)

	// EOF says that a side will send no more. It is called once, unless that end turns out to be
	// forged. It is not called for a RST, which may be forged, so that more may follow.
	EOF(side Side, at time.Time)

	// Weird reports an anomaly by Zeek's name, each time that it happens. addl has details, and may
	// be empty. source is Zeek's too: "TCP", or empty for anomalies of the connection as a whole.
	Weird(name, addl, source string)

	// Flip says that the originator and the responder turned out to be the other way round. Later
	// calls have the new sides.
	Flip()
}

// An Outcome is what a segment means for the owner of a connection: the table that knows it by its
// addresses and ports.
type Outcome uint8

const (
	// Followed means that the segment is part of this connection, or will be when it is its turn.
	Followed Outcome = iota

	// UnexpectedSYN means that the segment has a SYN that no host would accept here, and was not
	// followed. The owner keeps a SYN in case it is answered. A SYN-ACK that differs from the first
	// is followed later if the client acknowledges it.
	UnexpectedSYN

	// SYNAnswered means that the segment answers the latest UnexpectedSYN, and was not followed:
	// the two begin another connection. The owner makes room for one, and follows first the SYN and
	// then this segment as parts of it. The old connection may still continue, as both segments may
	// be forged: see [Conn.Continues].
	SYNAnswered

	// NewConnection means that this connection has ended, and that the segment, which was not
	// followed, begins another.
	NewConnection
)

// source is the source of most weirds.
const source = "TCP"

// A Conn is one TCP connection. The zero value is a connection without segments. A Conn must not be
// copied after first use, and is not safe for concurrent use.
//
// In a SYN flood there is a Conn for every packet, so it is small.
type Conn struct {
	Last    time.Time // of the latest segment that counts towards the duration
	History History

	half      [2]half
	extra     *rare // nil for most; read through rare, written through more
	ignored   bool  // see Ignore
	weirdSeen bool  // a weird was reported, here or by the owner
}

// none is the rare part of connections without one.
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

// Established reports whether both sides have been established. From then on, the checks are those
// of hosts in that state.
func (c *Conn) Established() bool { return c.half[Orig].established && c.half[Resp].established }

// clean reports whether both sides were established in the capture, so that missing bytes really are
// missing.
func (c *Conn) clean() bool { return c.half[Orig].clean() && c.half[Resp].clean() }

// Over reports whether the connection has ended. The owner keeps it for a while, for late segments;
// if one of them shows that the end was forged, the connection continues.
//
// Between established sides, a RST or FIN without the next expected sequence number may be forged:
// such a FIN counts when the other side acknowledges it, such a RST never.
func (c *Conn) Over() bool {
	orig, resp := &c.half[Orig], &c.half[Resp]
	return orig.reset || resp.reset ||
		orig.ended && (resp.ended || resp.state == inactive) || resp.ended && orig.state == inactive
}

// restart begins a side again: what came before was forged.
func (c *Conn) restart(side Side) {
	c.half[side] = half{counted: c.half[side].counted}
	if r := c.extra; r != nil {
		r.beyond[side], r.inferred[side], r.far[side], r.claims[side] = 0, 0, 0, nil
	}
}

// Flip swaps the originator and the responder. It is called before any bytes are delivered.
func (c *Conn) Flip() {
	c.half[0], c.half[1] = c.half[1], c.half[0]
	for i := range c.rare().deferred {
		s := &c.extra.deferred[i]
		s.side = s.side.Other()
	}
	c.History.Flip()
}

// weird reports an anomaly of a segment.
func (c *Conn) weird(sink Sink, name string) { c.weirdOf(sink, name, "", source) }

// weirdIf reports an anomaly of a segment if cond is true.
func (c *Conn) weirdIf(cond bool, sink Sink, name, source string) {
	if cond {
		c.weirdOf(sink, name, "", source)
	}
}

func (c *Conn) weirdOf(sink Sink, name, addl, source string) {
	sink.Weird(name, addl, source)
	c.weirdSeen = true
}

// Attempt reports whether c has only the originator's SYN, and what it sent after that.
func (c *Conn) Attempt() bool {
	orig, resp := &c.half[Orig], &c.half[Resp]
	return (orig.state == synSent || orig.state == synAckSent) && resp.state == inactive
}

// Handshaking reports whether neither side has got further than its SYN.
func (c *Conn) Handshaking() bool {
	return c.half[Orig].state.handshaking() && c.half[Resp].state.handshaking()
}

// Partial reports whether the beginning of what a side sent was not captured, so that nothing in it
// is to be taken for the beginning of a protocol.
func (c *Conn) Partial() bool { return c.half[Orig].partial || c.half[Resp].partial }

// Bytes returns how many bytes of payload a side sent, by sequence numbers: what was acknowledged
// counts even if it was not captured.
func (c *Conn) Bytes(side Side) int64 {
	e, peer := c.ends(side)
	if e.state == reset && peer.state == inactive && e.una > 1 {
		return 0 // the side aborted a half-open connection: the RST's number says nothing
	}
	far := c.rare().far[side]
	n := max(e.next, e.una, far) - 1 // without the SYN
	if e.finSeen || far > 0 {
		n--
	}
	return max(n, 0)
}

// Missed returns how many bytes were in gaps while both sides were established.
func (c *Conn) Missed() int64 { return c.rare().missed }

// NoteWeird records that the owner has reported a weird of the connection. Some weirds are reported
// only if there were no others.
func (c *Conn) NoteWeird() { c.weirdSeen = true }

// Replayed returns when the deferred segment that is being followed was captured, or the zero time
// if none is being followed.
func (c *Conn) Replayed() time.Time { return c.rare().replayed }
