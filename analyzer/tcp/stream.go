package tcp

import (
	"slices"
	"time"
)

// receive takes payload that starts at seq.
func (c *Conn) receive(side Side, at time.Time, seq int64, data []byte, sink Sink) {
	e := &c.half[side]
	q := &e.queue
	x := piece{seq: seq, end: seq + int64(len(data)), data: data}
	// no host accepts bytes after their ACK
	c.weirdIf(x.end > e.acked() && q.differs(x), sink, "rexmit_inconsistency", source)
	if x.end <= q.next() {
		return
	}
	if x.seq < q.next() { // rare, and copying a piece waits for the stores before it
		x = x.cut(q.next(), x.end)
	}
	if x.seq == q.next() && len(q.pending) == 0 {
		if q.take(x.end); !c.ignored {
			q.sample(x.data)
			sink.Data(side, at, x.data)
		}
	} else {
		if c.ignored {
			x.data = nil
		}
		c.weirdIf(q.insert(x), sink, "rexmit_inconsistency", source)
		c.deliver(side, at, sink)
		if len(q.pending) > maxPieces {
			c.skipGap(side, at, sink)
		}
	}
	if e.state == reset {
		e.reset = false // it continues, so the RST was forged
	}
}

// skipGap gives up the missing bytes before the first pending ones of a side, because too much
// waits for them. There must be pending bytes.
func (c *Conn) skipGap(side Side, at time.Time, sink Sink) {
	e := &c.half[side]
	c.weirdIf(e.una <= 1, sink, "above_hole_data_without_any_acks", source)
	c.weirdIf(e.una > 1, sink, "excessive_data_without_further_acks", source)
	c.gap(side, at, e.queue.pending[0].seq, sink)
}

// deliver passes the pending bytes that are next to the sink.
func (c *Conn) deliver(side Side, at time.Time, sink Sink) {
	q := &c.half[side].queue
	for x, ok := q.ready(); ok; x, ok = q.ready() {
		if !c.ignored {
			sink.Data(side, at, x.data)
		}
	}
}

// acknowledged records that the other side has everything before seq: missing bytes before seq will
// not be sent again.
func (c *Conn) acknowledged(side Side, at time.Time, seq int64, sink Sink) {
	e := &c.half[side]
	if e.finSeen && seq >= e.fin {
		seq = e.fin - 1
	}
	for e.queue.next() < seq {
		c.gap(side, at, seq, sink)
	}
}

// gap gives up the missing bytes before seq, up to the first pending ones, and delivers those. There
// must be missing bytes before seq.
func (c *Conn) gap(side Side, at time.Time, seq int64, sink Sink) {
	e := &c.half[side]
	n := e.queue.skip(seq)
	if c.clean() {
		r := c.more()
		r.missed += n
		if e.queue.next() > r.inferred[side] && e.counted.gaps.Add() {
			c.History.Add(side, 'G')
		}
	}
	if !c.ignored {
		sink.Gap(side, at, n)
	}
	c.deliver(side, at, sink)
}

// finish tells the sink, once, when a side has sent its last byte. A FIN that is followed by bytes
// was forged, and is reverted.
func (c *Conn) finish(side Side, at time.Time, sink Sink) {
	e := &c.half[side]
	switch next := e.queue.next(); {
	case e.eof || !e.finSeen:
	case next == e.fin-1:
		if e.eof = true; !c.ignored {
			sink.EOF(side, at)
		}
	case next > e.fin-1:
		e.finSeen, e.ended, e.reset = false, false, false
	}
}

// inferGap records a gap up to seq that only an ACK has shown to exist. The sink is not told before
// bytes after the gap arrive.
func (c *Conn) inferGap(side Side, seq int64) {
	if !c.clean() || seq <= c.rare().inferred[side] {
		return
	}
	r := c.more()
	r.inferred[side] = seq
	if c.half[side].counted.gaps.Add() {
		c.History.Add(side, 'G')
		r.letter[side] = true
	}
}

// arrived reverts the gap that inferGap recorded, because bytes of it, from seq on, were captured
// late.
func (c *Conn) arrived(side Side, seq int64) {
	r := c.extra
	if r == nil || seq >= r.inferred[side] {
		return
	}
	if r.letter[side] {
		c.History.takeBack(side, 'G')
		c.half[side].counted.gaps--
	}
	r.inferred[side], r.letter[side] = 0, false
}

// acceptClaims accepts the claims of a side that the other side has confirmed: it has sent what they
// acknowledge, and has acknowledged them. At the end of the connection, when no more ACKs come, it
// is enough that the other side has sent what they acknowledge and that nothing else took their
// place.
func (c *Conn) acceptClaims(side Side, atEnd bool, sink Sink) {
	claims := c.rare().claims[side]
	if len(claims) == 0 {
		return
	}
	e, peer := c.ends(side)
	rest := slices.DeleteFunc(claims, func(x segment) bool {
		seq, ack := e.relative(x.Seq()), peer.relativeAck(x.Ack())
		end := seq + x.span()
		if x.SYN() {
			seq++
		}
		if x.ACK() && ack > peer.next || end > e.una && !(atEnd && seq >= e.queue.next()) {
			return false
		}
		if x.FIN() {
			e.finSeen, e.fin = true, end
		}
		if x.length > 0 {
			c.receive(side, x.time, seq, x.data, sink)
		}
		return true
	})
	if c.extra.claims[side] = rest; len(rest) == 0 {
		c.extra.claims[side] = nil
	}
}

// dropClaims drops the unconfirmed claims of a side, and the responder's SYN-ACKs besides the first.
func (c *Conn) dropClaims(side Side, sink Sink) {
	if len(c.rare().claims[side]) > 0 {
		c.extra.claims[side] = nil
		c.weird(sink, "ack_outside_window")
	}
	if side == Resp && c.rare().contested() {
		c.extra.rivals = nil
	}
}
