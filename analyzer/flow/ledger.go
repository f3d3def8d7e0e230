package flow

import "math/bits"

// A ledger knows how many bytes are held for each connection of a table besides the connection
// itself: bytes that came too early, that a parser has not taken, that wait for a parser to be
// found, and what parsers say they keep. Connections that hold nothing are in none of its lists.
type ledger struct {
	total int // bytes; the sum of flow.held
	sizes [numSizes]struct {
		list      // of connections that hold at least 2^i bytes, and less than twice that
		bytes int // that they hold
	}
}

// numSizes is more than there are powers of two that can be held.
const numSizes = 48

func holding(f *flow) *node { return &f.rare.holding }

// set notes that f holds n bytes.
func (l *ledger) set(f *flow, n int) {
	if n == f.held {
		return
	}
	l.total += n - f.held
	r := f.more()
	if f.held > 0 {
		s := &l.sizes[r.size]
		s.remove(f, holding)
		s.bytes -= f.held
	}
	if f.held = n; n > 0 {
		r.size = uint8(min(bits.Len(uint(n))-1, numSizes-1))
		s := &l.sizes[r.size]
		s.push(f, holding)
		s.bytes += n
	}
}

// biggest returns the latest of those connections that together hold most: of similar ones, which
// hold up to twice of what another of them does. It finds a flood of many that hold little as well
// as a few that hold much, and spares what was there before the flood and holds more than each of
// it. It returns nil if nothing is held.
func (l *ledger) biggest() *flow {
	most := &l.sizes[0]
	for i := range l.sizes {
		if s := &l.sizes[i]; s.bytes > most.bytes {
			most = s
		}
	}
	return most.last
}
