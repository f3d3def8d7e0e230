// Package clock tells the time of a capture from the timestamps of its packets, which may be wrong.
package clock

import "time"

// A Clock follows the timestamps of a capture. It decides of each packet what time it was sent at,
// and how much time the capture has seen pass. The zero value is ready to use.
//
// A timestamp that neither precedes the clock by more than slack nor is more than leap ahead of it
// is believed at once. Any other is a jump: it waits until the packets that follow decide. The
// capture was silent, or its clock was set, if the next confirmations timestamps go on from there;
// the timestamp is wrong if they return. So up to confirmations wrong timestamps in a row cost
// nothing.
//
// Invariant: Now never goes back, and no believed timestamp is after it. A clock that was set back
// does not stop it: from then on, offset is added to timestamps.
type Clock struct {
	now     time.Time
	last    time.Time     // the latest timestamp that was believed
	offset  time.Duration // from timestamps to now; never negative
	other   time.Duration // the offset before the clock was set back: packets of two clocks may alternate
	newFile bool          // no timestamp was believed since NewFile
	waiting []time.Time   // timestamps of the jump that is not decided
	decided []Reading
}

// A Reading is what a Clock says about one packet.
type Reading struct {
	Time time.Time // the packet's timestamp; if that is wrong, the last one before it that is not
	Now  time.Time // when the packet came, for timeouts; never goes back
}

const (
	slack         = time.Second // by which timestamps of several queues or cards are out of order
	leap          = time.Second // shorter than every timeout
	confirmations = 3
	plausible     = 2 * time.Hour        // a silence that needs no confirmation if no packet follows
	year          = 365 * 24 * time.Hour // a silence after the first packet; more, and that packet is wrong
)

// Now returns the time of the latest reading, zero if there was none.
func (c *Clock) Now() time.Time { return c.now }

// Last returns the latest timestamp that was believed, zero if there was none.
func (c *Clock) Last() time.Time { return c.last }

// Add takes the timestamp of the next packet. It returns the readings of the packets that it
// decides, in the order of Add: none while a jump waits, and several once it is decided. They are
// good until the next call.
func (c *Clock) Add(t time.Time) []Reading {
	t = clamp(t)
	c.decided = c.decided[:0]
	if c.now.IsZero() {
		c.begin(t)
		return c.decided
	}
	d := c.ahead(t)
	switch {
	case -slack <= d && d <= leap:
		c.refute()
		c.believe(t)
		return c.decided
	case c.other != c.offset && -slack <= d-c.offset+c.other && d-c.offset+c.other <= leap:
		c.refute()
		c.offset, c.other = c.other, c.offset
		c.believe(t)
		return c.decided
	}
	if n := len(c.waiting); n > 0 {
		sameSide := (c.ahead(c.waiting[0]) < 0) == (d < 0)
		if !sameSide || t.Sub(c.waiting[n-1]) < -slack {
			c.refute()
		}
	}
	c.waiting = append(c.waiting, t)
	if len(c.waiting) > confirmations {
		c.confirm()
	}
	return c.decided
}

// Flush decides about the packets that wait, as none may follow: a jump ahead is
// believed if it is plausible.
func (c *Clock) Flush() []Reading {
	c.decided = c.decided[:0]
	switch n := len(c.waiting); {
	case n == 0:
	case c.now.IsZero():
		c.now, c.last = c.waiting[0], c.waiting[0]
		c.confirm()
	case n > 1:
		c.confirm()
	default:
		if d := c.ahead(c.waiting[0]); c.newFile || 0 < d && d <= plausible {
			c.confirm()
		}
	}
	c.refute()
	return c.decided
}

// NewFile says that the next packet is the first of another file. If that is older than the one
// before, the files are out of order or the clock was set between them; nothing that went on in one
// goes on in the other, so the time between them counts as idle. Call Flush before.
func (c *Clock) NewFile() { c.newFile = !c.now.IsZero() }

// begin finds a timestamp to start from: the first one, unless the next two are both far from it.
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

// believe reads the clock at t.
func (c *Clock) believe(t time.Time) {
	if c.ahead(t) > 0 {
		c.now = t.Add(c.offset)
	}
	c.last, c.newFile = t, false
	c.decided = append(c.decided, Reading{t, c.now})
}

// refute gives the packets that wait the time of the one before them.
func (c *Clock) refute() {
	for range c.waiting {
		c.decided = append(c.decided, Reading{c.last, c.now})
	}
	c.waiting = c.waiting[:0]
}

// confirm believes the timestamps that wait.
func (c *Clock) confirm() {
	d := c.ahead(c.waiting[0])
	other := d - c.offset + c.other
	switch {
	case other >= -slack && (d < 0 || other < d):
		c.offset, c.other = c.other, c.offset
	case d < 0:
		c.other = c.offset
		c.offset -= d
		if c.newFile {
			c.offset -= d
		}
	}
	for _, t := range c.waiting {
		c.believe(t)
	}
	c.waiting = c.waiting[:0]
}

// earliest and latest bound timestamps, so that a difference of two fits into a Duration.
var (
	earliest = time.Unix(0, 0).UTC()
	latest   = time.Unix(1<<32-1, 0).UTC() // what pcap has room for
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
