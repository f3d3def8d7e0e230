package tcp

import (
	"fmt"
	"reflect"
	"unsafe"
)

// Size is the size of a connection without buffered segments.
const Size = unsafe.Sizeof(Conn{})

// Bounds for tests.
const (
	MaxHistory  = maxHistory
	MaxPieces   = maxPieces
	MaxClaims   = maxClaims
	MaxDeferred = maxDeferred
	MaxRivals   = maxRivals
	PieceCost   = pieceCost
	SegmentCost = segmentCost
	Slack       = slack
)

// Pending reports whether bytes of a side wait for those before them.
func (c *Conn) Pending(side Side) bool { return len(c.half[side].queue.pending) > 0 }

// Invariants checks c between two calls. It returns an error if an invariant is violated.
func (c *Conn) Invariants() error {
	for side := range Side(2) {
		q := &c.half[side].queue
		size, end := 0, q.next()
		for i, x := range q.pending {
			if x.seq < end || i == 0 && x.seq == end || x.end <= x.seq || x.data != nil && int64(len(x.data)) != x.end-x.seq {
				return fmt.Errorf("side %d: piece from %d to %d after %d with %d bytes", side, x.seq, x.end, end, len(x.data))
			}
			size += cap(x.data) + pieceCost
			end = x.end
		}
		if q.pending != nil && len(q.pending) == 0 {
			return fmt.Errorf("side %d: an empty list keeps its memory", side)
		}
		if size != q.size || len(q.pending) > maxPieces {
			return fmt.Errorf("side %d: %d pieces of %d bytes, counted %d", side, len(q.pending), size, q.size)
		}
	}
	if !reflect.DeepEqual(none, rare{}) {
		return fmt.Errorf("the shared rare part was written")
	}
	if r := c.rare(); len(r.deferred) > maxDeferred || r.oneWay && r.waits() || !r.replayed.IsZero() {
		return fmt.Errorf("%d segments are deferred", len(r.deferred))
	}
	if n := len(c.rare().rivals); n > maxRivals {
		return fmt.Errorf("%d rivals", n)
	}
	return nil
}
