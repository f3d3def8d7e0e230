package flow

import "math/bits"

// A ledger records how many bytes each connection of a table holds besides its own state: segments
// that arrived out of order, bytes that no parser has consumed yet, and the parsers' own state.
// Connections that hold nothing are in none of its lists.
type ledger struct {
	total int // bytes; the sum of rare.held
	sizes [numSizes]struct {
		flowList     // connections that hold at least 2^i bytes, and less than twice that
		bytes    int // held by all of them
	}
}

// numSizes bounds the powers of two: nothing holds 2^48 bytes.
const numSizes = 48

// set records that f holds n bytes.
func (l *ledger) set(f *flow, n int) {
	if n == f.rare().held {
		return
	}
	r := f.more()
	l.total += n - r.held
	if r.held > 0 {
		s := &l.sizes[r.size]
		s.remove(f, holding)
		s.bytes -= r.held
	}
	if r.held = n; n > 0 {
		r.size = uint8(min(bits.Len(uint(n))-1, numSizes-1))
		s := &l.sizes[r.size]
		s.push(f, holding)
		s.bytes += n
	}
}

// biggest returns the latest connection of the size class that holds most in total, or nil if
// nothing is held. So it finds a flood of connections that hold little each, as well as a few that
// hold much, and a flood of small connections does not cost older, larger ones their bytes.
func (l *ledger) biggest() *flow {
	most := &l.sizes[0]
	for i := range l.sizes {
		if s := &l.sizes[i]; s.bytes > most.bytes {
			most = s
		}
	}
	return most.last
}
