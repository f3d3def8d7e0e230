// Package clock derives the time of a capture from the timestamps of its packets, some of which may
// be wrong.
package clock

import (
	"slices"
	"time"
)

// A Clock follows the timestamps of a capture. For each packet it decides when the packet was sent
// and how much capture time has passed. The zero value is ready to use.
//
// A timestamp is accepted at once if it is at most slack behind the clock and at most leap ahead of
// it. Any other is a jump, and waits for later packets to decide. If a later timestamp is near the
// clock again, the jump was wrong. If confirmations of the next window timestamps continue from the
// jump, the capture was silent or its clock was set. So up to confirmations wrong timestamps in a
// row do no harm, even in a capture so sparse that every packet is a jump.
//
// Invariant: Now never goes back, and no accepted timestamp is after it. If the capture's clock is
// set back, Now advances nevertheless: from then on, offset is added to timestamps.
type Clock struct {
	now     time.Time
	last    time.Time     // the latest accepted timestamp
	offset  time.Duration // from timestamps to now; never negative
	newFile bool          // no timestamp has been accepted since NewFile
	flushed time.Time     // the timestamp that Flush rejected, if none has been accepted since
	waiting []time.Time   // undecided timestamps, at most window+1; the first is a jump
	decided []Reading     // the result of Add and Flush

	// other is the offset before the capture's clock was set back. Packets of two clocks may
	// alternate.
	other time.Duration
}

// A Reading is what a Clock says about one packet.
type Reading struct {
	Time time.Time // the packet's timestamp or, if that is wrong, the last right one before it
	Now  time.Time // when the packet came, for timeouts; never goes back
}

const (
	slack         = time.Second // how far packets of several queues or cards may be out of order
	leap          = time.Second // shorter than every timeout
	confirmations = 3
	window        = 2 * confirmations
	plausible     = 2 * time.Hour // a silence that needs no confirmation if no packet follows

	// year is the longest silence after the first packet. If the next two timestamps are further
	// ahead, the first one is wrong.
	year = 365 * 24 * time.Hour
)

// Now returns the time of the latest reading, zero if there was none.
func (c *Clock) Now() time.Time { return c.now }

// Last returns the latest accepted timestamp, zero if there was none.
func (c *Clock) Last() time.Time { return c.last }

// Add takes the timestamp of the next packet. It returns the readings that it decides, in the order
// of the calls: none while a jump waits, and several when it is decided. They are valid until the
// next call of Add or Flush.
func (c *Clock) Add(t time.Time) []Reading {
	c.decided = c.decided[:0]
	if len(c.waiting) == 0 && c.offset == 0 && t.Unix() == c.now.Unix() {
		// Nearly every packet: a timestamp in the current second is near. The general case below
		// does the same, but takes more than twice as long.
		if t.After(c.now) {
			c.now = t
		}
		c.last, c.newFile, c.flushed = t, false, time.Time{}
		c.decided = append(c.decided, Reading{t, c.now})
		return c.decided
	}
	t = clamp(t)
	if c.now.IsZero() {
		c.begin(t)
		return c.decided
	}
	if len(c.waiting) == 0 && near(c.ahead(t)) {
		c.accept(t)
		return c.decided
	}
	c.waiting = append(c.waiting, t)
	for c.decide() {
	}
	return c.decided
}

// decide accepts or rejects the first waiting timestamps. It reports whether it could.
func (c *Clock) decide() bool {
	for i, t := range c.waiting {
		if !near(c.ahead(t)) && near(c.ahead(t)-c.offset+c.other) {
			c.offset, c.other = c.other, c.offset
		}
		if near(c.ahead(t)) {
			c.reject(i)
			c.accept(c.next())
			return true
		}
	}
	for i, n := range c.chains() {
		if n > confirmations {
			c.reject(i)
			c.confirm()
			return true
		}
	}
	if len(c.waiting) > window {
		c.reject(1)
		return true
	}
	return false
}

// Flush decides about the waiting timestamps now, because no packet may follow. It accepts the jump
// that the most timestamps continue from, but one that none continues from only if it is plausible,
// or continues from the timestamp that the previous Flush rejected.
func (c *Clock) Flush() []Reading {
	c.decided = c.decided[:0]
	if c.now.IsZero() && len(c.waiting) > 0 {
		c.now = c.waiting[0]
	}
	for c.decide() || c.flush() {
	}
	return c.decided
}

// flush decides about the first waiting timestamps for Flush. It reports whether there were any.
func (c *Clock) flush() bool {
	best, most := 0, 0
	for i, n := range c.chains() {
		if n == 1 && !c.plausible(c.waiting[i]) {
			n = 0
		}
		if n > most {
			best, most = i, n
		}
	}
	switch {
	case most > 0:
		c.reject(best)
		c.confirm()
	case len(c.waiting) > 0:
		c.flushed = c.waiting[0]
		c.reject(1)
	default:
		return false
	}
	return true
}

// plausible reports whether the jump to t may be right although no timestamp continues from it.
func (c *Clock) plausible(t time.Time) bool {
	d := c.ahead(t)
	return c.newFile || 0 < d && d <= plausible || !c.flushed.IsZero() && continues(c.flushed, t)
}

// NewFile says that the next packet is the first of another file; call Flush first. If its
// timestamp is older than the one before, the files are out of order or the clock was set between
// them. No connection continues from one file to the other, so the time between them counts as
// idle.
func (c *Clock) NewFile() { c.newFile = true }

// begin finds a timestamp to start from: the first one, or the second if the first is far from both
// the second and the third.
func (c *Clock) begin(t time.Time) {
	waiting := append(c.waiting, t)
	n, first := len(waiting), waiting[0]
	if d := t.Sub(first); n == 1 || n == 2 && (d < -slack || d > year) {
		c.waiting = waiting
		return
	} else if d < -slack || d > year {
		first = waiting[1]
	}
	c.now, c.last, c.waiting = first, first, nil
	var decided []Reading
	for _, t := range waiting {
		decided = append(decided, c.Add(t)...)
	}
	c.decided = decided
}

// ahead returns how far t is ahead of the clock.
func (c *Clock) ahead(t time.Time) time.Duration { return t.Add(c.offset).Sub(c.now) }

// near reports whether a timestamp that is d ahead of the clock is accepted at once.
func near(d time.Duration) bool { return -slack <= d && d <= leap }

// continues reports whether a packet with timestamp t may come after one with timestamp before.
func continues(before, t time.Time) bool { return t.Sub(before) >= -slack }

// chains returns, for each waiting timestamp, the length of the longest chain that begins with it:
// of timestamps that continue from one another, all of them ahead of the clock or all behind it.
func (c *Clock) chains() []int {
	var lengths [window + 1]int
	for i := len(c.waiting) - 1; i >= 0; i-- {
		t := c.waiting[i]
		for j, later := range c.waiting[i+1:] {
			if continues(t, later) && (c.ahead(t) < 0) == (c.ahead(later) < 0) {
				lengths[i] = max(lengths[i], lengths[i+1+j])
			}
		}
		lengths[i]++
	}
	return lengths[:len(c.waiting)]
}

// next takes the first waiting timestamp off the list.
func (c *Clock) next() time.Time {
	t := c.waiting[0]
	c.waiting = slices.Delete(c.waiting, 0, 1)
	return t
}

// accept sets the clock to t, and decides on it as the reading of the next packet.
func (c *Clock) accept(t time.Time) {
	if c.ahead(t) > 0 {
		c.now = t.Add(c.offset)
	}
	c.last, c.newFile, c.flushed = t, false, time.Time{}
	c.decided = append(c.decided, Reading{t, c.now})
}

// reject gives the first n waiting packets the last accepted time.
func (c *Clock) reject(n int) {
	for range n {
		c.decided = append(c.decided, Reading{c.last, c.now})
	}
	c.waiting = slices.Delete(c.waiting, 0, n)
}

// confirm accepts the first waiting timestamp, a jump.
func (c *Clock) confirm() {
	t := c.next()
	d := c.ahead(t)
	other := d - c.offset + c.other
	switch {
	case other > 0 && (d < 0 || other < d):
		c.offset, c.other = c.other, c.offset
	case d < 0:
		c.other = c.offset
		c.offset -= d
		if c.newFile {
			c.offset -= d
		}
	}
	c.accept(t)
}

// earliest and latest bound timestamps, so that the difference of two fits in a Duration.
var (
	earliest = time.Unix(0, 0).UTC()
	latest   = time.Unix(1<<32-1, 0).UTC() // the latest that pcap can represent
)

func clamp(t time.Time) time.Time {
	switch {
	case t.Before(earliest):
		return earliest
	case t.After(latest):
		return latest
	}
	return t
}
