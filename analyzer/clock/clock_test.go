package clock

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// Timestamps are seconds after some time in 2026.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }

// readings returns what a new Clock says about the packets of a whole capture.
func readings(timestamps ...float64) (times, nows []float64) {
	var c Clock
	take := func(rs []Reading) {
		for _, r := range rs {
			times = append(times, r.Time.Sub(start).Seconds())
			nows = append(nows, r.Now.Sub(start).Seconds())
		}
	}
	for _, s := range timestamps {
		take(c.Add(at(s)))
	}
	take(c.Flush())
	return times, nows
}

func TestClock(t *testing.T) {
	const hour, years = 3600, 10 * 365 * 86400
	for name, test := range map[string]struct{ in, times, nows []float64 }{
		"steady":                        {[]float64{0, .5, 1}, []float64{0, .5, 1}, []float64{0, .5, 1}},
		"reordered a little":            {[]float64{0, .5, .2, 1}, []float64{0, .5, .2, 1}, []float64{0, .5, .5, 1}},
		"reordered by a second":         {[]float64{0, 1, 0, 2}, []float64{0, 1, 0, 2}, []float64{0, 1, 1, 2}},
		"one packet":                    {[]float64{7}, []float64{7}, []float64{7}},
		"silence":                       {[]float64{0, hour, hour + 1}, []float64{0, hour, hour + 1}, []float64{0, hour, hour + 1}},
		"silences between packets":      {[]float64{0, 10, 20, 30, 40, 50}, []float64{0, 10, 20, 30, 40, 50}, []float64{0, 10, 20, 30, 40, 50}},
		"silence before the last":       {[]float64{0, 1, hour}, []float64{0, 1, hour}, []float64{0, 1, hour}},
		"silence of two hours":          {[]float64{0, 2 * hour}, []float64{0, 2 * hour}, []float64{0, 2 * hour}},
		"silence of over two hours":     {[]float64{0, 2*hour + 1}, []float64{0, 0}, []float64{0, 0}},
		"silence, the last two swapped": {[]float64{0, hour, hour - 2}, []float64{0, hour, hour}, []float64{0, hour, hour}},
		"silence, out of order by one":  {[]float64{0, 3 * hour, 3*hour - 1}, []float64{0, 3 * hour, 3*hour - 1}, []float64{0, 3 * hour, 3 * hour}},
		"one in the future":             {[]float64{0, 1, years, 2}, []float64{0, 1, 1, 2}, []float64{0, 1, 1, 2}},
		"three in the future":           {[]float64{0, 1, years, years, years, 2}, []float64{0, 1, 1, 1, 1, 2}, []float64{0, 1, 1, 1, 1, 2}},
		"one in the past":               {[]float64{0, 1, -years, 2}, []float64{0, 1, 1, 2}, []float64{0, 1, 1, 2}},
		"one in the future, then quiet": {[]float64{0, 1, years, 100, 101}, []float64{0, 1, 1, 100, 101}, []float64{0, 1, 1, 100, 101}},
		"the last in the future":        {[]float64{0, 1, years}, []float64{0, 1, 1}, []float64{0, 1, 1}},
		"the last in the past":          {[]float64{0, 1, -hour}, []float64{0, 1, 1}, []float64{0, 1, 1}},
		"the first in the future":       {[]float64{years, 0, 1, 2}, []float64{0, 0, 1, 2}, []float64{0, 0, 1, 2}},
		"the first in the past":         {[]float64{-years, 0, 1, 2}, []float64{0, 0, 1, 2}, []float64{0, 0, 1, 2}},
		"the second in the future":      {[]float64{0, years, 1, 2}, []float64{0, 0, 1, 2}, []float64{0, 0, 1, 2}},
		"the second in the past":        {[]float64{1, -years, 0}, []float64{1, 1, 0}, []float64{1, 1, 1}},
		"set back in the last two":      {[]float64{0, 1, -hour, -hour + .1}, []float64{0, 1, -hour, -hour + .1}, []float64{0, 1, 1, 1.1}},
		"sparse, one in the past": {
			[]float64{0, 100, 200, -years, 300, 400, 500, 600, 700},
			[]float64{0, 100, 200, 200, 300, 400, 500, 600, 700},
			[]float64{0, 100, 200, 200, 300, 400, 500, 600, 700}},
		"sparse, one in the future": {
			[]float64{0, 100, 200, 300, years, 400, 500, 600, 700},
			[]float64{0, 100, 200, 300, 300, 400, 500, 600, 700},
			[]float64{0, 100, 200, 300, 300, 400, 500, 600, 700}},
		"sparse, three in the past": {
			[]float64{0, 100, 200, -years, -years, -years, 300, 400, 500, 600, 700},
			[]float64{0, 100, 200, 200, 200, 200, 300, 400, 500, 600, 700},
			[]float64{0, 100, 200, 200, 200, 200, 300, 400, 500, 600, 700}},
		"sparse, three in the future": {
			[]float64{0, 100, 200, years, years, years, 300, 400, 500, 600, 700},
			[]float64{0, 100, 200, 200, 200, 200, 300, 400, 500, 600, 700},
			[]float64{0, 100, 200, 200, 200, 200, 300, 400, 500, 600, 700}},
		"sparse, the last in the past":          {[]float64{0, 100, 200, 300, -years}, []float64{0, 100, 200, 300, 300}, []float64{0, 100, 200, 300, 300}},
		"sparse, the last in the future":        {[]float64{0, 100, 200, 300, years}, []float64{0, 100, 200, 300, 300}, []float64{0, 100, 200, 300, 300}},
		"sparse, the last but one in the past":  {[]float64{0, 100, 200, -years, 300}, []float64{0, 100, 200, 200, 300}, []float64{0, 100, 200, 200, 300}},
		"timestamps that continue from nothing": {[]float64{0, 800, 700, 600, 500, 400, 300, 200, 100, .5}, []float64{0, 0, 0, 0, 0, 0, 0, 0, 0, .5}, []float64{0, 0, 0, 0, 0, 0, 0, 0, 0, .5}},
		"silence, after one in the future and among three in the past": {
			[]float64{0, 1, years, hour, -years, -2 * years, hour + 1, hour + 2, -3 * years, hour + 3},
			[]float64{0, 1, 1, hour, hour, hour, hour + 1, hour + 2, hour + 2, hour + 3},
			[]float64{0, 1, 1, hour, hour, hour, hour + 1, hour + 2, hour + 2, hour + 3}},
		"set back": {
			[]float64{0, 1, -hour, -hour + 1, -hour + 2, -hour + 3, -hour + 103, -hour + 104},
			[]float64{0, 1, -hour, -hour + 1, -hour + 2, -hour + 3, -hour + 103, -hour + 104},
			[]float64{0, 1, 1, 2, 3, 4, 104, 105}},
		"two clocks": {
			[]float64{0, 1, 2, 3, hour + 3, hour + 4, hour + 4, hour + 5, 5, 6, 7, 7, hour + 8, hour + 20, hour + 20, hour + 20, hour + 20, 21, 22},
			[]float64{0, 1, 2, 3, hour + 3, hour + 4, hour + 4, hour + 5, 5, 6, 7, 7, hour + 8, hour + 20, hour + 20, hour + 20, hour + 20, 21, 22},
			[]float64{0, 1, 2, 3, hour + 3, hour + 4, hour + 4, hour + 5, hour + 5, hour + 6, hour + 7, hour + 7, hour + 8, hour + 20, hour + 20, hour + 20, hour + 20, hour + 21, hour + 22}},
		"two clocks, the faster one first after a silence": {
			[]float64{0, hour, hour + 1, hour + 2, hour + 3, 4, 5, 6, 7, hour + 40, hour + 40, hour + 41, hour + 41, 42},
			[]float64{0, hour, hour + 1, hour + 2, hour + 3, 4, 5, 6, 7, hour + 40, hour + 40, hour + 41, hour + 41, 42},
			[]float64{0, hour, hour + 1, hour + 2, hour + 3, hour + 3, hour + 4, hour + 5, hour + 6, hour + 40, hour + 40, hour + 41, hour + 41, hour + 41}},
		"set back twice, then back and forth": {
			[]float64{0, 0, -hour, -hour, -hour, -hour, -2 * hour, -2 * hour, -2 * hour, -2 * hour, -hour + 1, -2*hour + 1},
			[]float64{0, 0, -hour, -hour, -hour, -hour, -2 * hour, -2 * hour, -2 * hour, -2 * hour, -hour + 1, -2*hour + 1},
			[]float64{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			times, nows := readings(test.in...)
			assert.Equal(t, test.times, times, "times")
			assert.Equal(t, test.nows, nows, "nows")
		})
	}
}

func TestSecondTimestamp(t *testing.T) {
	const second, year = time.Second, 365 * 24 * time.Hour
	for name, test := range map[string]struct {
		after time.Duration
		sure  bool // no third timestamp is needed
	}{
		"a second earlier":           {-second, true},
		"more than a second earlier": {-second - 1, false},
		"a year later":               {year, true},
		"more than a year later":     {year + 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			var c Clock
			assert.Empty(t, c.Add(start), "the first timestamp may be wrong")
			c.Add(start.Add(test.after))
			assert.Equal(t, test.sure, c.Now() != time.Time{})
		})
	}
}

func TestWaitForDecisionIsBounded(t *testing.T) {
	var c Clock
	waiting := 0
	for i := range 100 {
		waiting += 1 - len(c.Add(at(float64(-100*i)))) // none continues from another
		assert.LessOrEqual(t, waiting, 6)
	}
}

func TestTwoClocksAfterSilence(t *testing.T) {
	var c Clock
	for _, s := range []float64{0, 1, -3600, -3600, -3600, -3600} {
		c.Add(at(s))
	}
	both := []float64{100, -3501, 101, -3500, 102, -3499}
	for _, s := range both {
		assert.Empty(t, c.Add(at(s)))
	}
	rs := c.Add(at(103))
	if assert.Len(t, rs, len(both)+1, "the jump of one clock is confirmed, and with it that of the other") {
		for i, s := range both {
			assert.Equal(t, at(s), rs[i].Time)
		}
	}
}

func TestFlushOfNewClock(t *testing.T) {
	var c Clock
	assert.Empty(t, c.Flush())
	assert.Zero(t, c.Now())
}

func TestReturnToOtherClockNeedsNoConfirmation(t *testing.T) {
	var c Clock
	c.Add(at(0))
	c.Add(at(1))
	for range 4 {
		c.Add(at(-3600))
	}
	assert.Equal(t, []Reading{{at(2), at(2)}}, c.Add(at(2)), "the first clock")
	assert.Equal(t, []Reading{{at(-3598), at(3)}}, c.Add(at(-3598)), "the second clock")
}

func TestFileOutOfOrderCountsAsIdle(t *testing.T) {
	var c Clock
	c.Add(at(0))
	c.Add(at(1))
	c.Flush()
	c.NewFile()
	for i := range 3 {
		assert.Empty(t, c.Add(at(-3600+float64(i))))
	}
	assert.Len(t, c.Add(at(-3597)), 4)
	assert.Equal(t, at(1).Add(3604*time.Second), c.Now())
	assert.Equal(t, at(-3597), c.Last())
}

func TestOnlyPacketOfFileOutOfOrder(t *testing.T) {
	var c Clock
	c.Add(at(0))
	c.Flush()
	c.NewFile()
	assert.Empty(t, c.Add(at(-3600)))
	assert.Equal(t, []Reading{{at(-3600), at(3600)}}, c.Flush())
	c.Add(at(-7200))
	assert.Equal(t, []Reading{{at(-3600), at(3600)}}, c.Flush(), "the timestamp of the file's second packet is wrong")
}

// After a silence too long for a single packet's timestamp to be accepted, as on a quiet pipe, the
// timestamp of the second packet that comes after a pause is.
func TestSecondJumpAfterPauses(t *testing.T) {
	const day = 86400
	for name, test := range map[string]struct {
		second float64
		want   time.Time
	}{
		"continues from the first": {day + 60, at(day + 60)},
		"does not":                 {-day, at(0)},
	} {
		t.Run(name, func(t *testing.T) {
			var c Clock
			c.Add(at(0))
			c.Flush()
			c.Add(at(day))
			assert.Equal(t, []Reading{{at(0), at(0)}}, c.Flush())
			c.Add(at(test.second))
			assert.Equal(t, []Reading{{test.want, test.want}}, c.Flush())
			c.Add(test.want)
			c.Add(at(3 * day))
			assert.Equal(t, []Reading{{test.want, test.want}}, c.Flush(), "the first jump after an accepted timestamp")
		})
	}
}

// Some tools write captures whose first packet is at 1970.
func TestCaptureThatBeginsAt1970(t *testing.T) {
	var c Clock
	first, second := time.Unix(0, 0), time.Unix(0, 1000)
	assert.Empty(t, c.Add(first))
	rs := c.Add(second)
	if assert.Len(t, rs, 2) {
		assert.True(t, rs[0].Time.Equal(first))
		assert.True(t, rs[1].Time.Equal(second))
	}
}

func TestExtremeTimestamps(t *testing.T) {
	var c Clock
	decided := 0
	for _, ts := range []time.Time{{}, time.Unix(1<<60, 0), time.Unix(-1<<60, 0), at(0), {}, at(1), time.Unix(1<<60, 0), at(2)} {
		before := c.Now()
		decided += len(c.Add(ts))
		assert.False(t, c.Now().Before(before))
	}
	assert.Equal(t, 8, decided+len(c.Flush()))
}
