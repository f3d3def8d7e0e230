package flow

import (
	"math/bits"

	"example.com/conn"
	"example.com/conn/analyzer/protocol"
)

// All that is held for a connection besides the connection itself counts: bytes that came too
// early, that a parser has not taken, that wait for a parser to be found, and what parsers say they
// keep. Table.held is the sum.

// numSizes is how many lists of holders there are: flows in list i hold at least 2^i bytes, and
// less than twice that.
const numSizes = 48

// waiting returns how many bytes one side of f holds.
func (f *flow) waiting(side protocol.Side) int {
	n := f.ends[side].stream.size + f.session.Waiting(side)
	if f.rare != nil {
		for _, x := range f.claims[side] {
			n += cap(x.data) + claimCost
		}
		if f.deferral.from == side {
			n += f.deferral.size
		}
	}
	return n
}

// holds returns how many bytes are held for f.
func (f *flow) holds() int {
	return f.waiting(protocol.Orig) + f.waiting(protocol.Resp) + f.session.ParsersHold() + f.session.Searching()
}

// charge counts n as what f holds.
func (t *Table) charge(f *flow, n int) {
	if n == f.held {
		return
	}
	t.held += n - f.held
	r := f.more()
	if f.held > 0 {
		t.holders[r.size].remove(f, holding)
		t.heldBy[r.size] -= f.held
	}
	if f.held = n; n > 0 {
		r.size = int8(min(bits.Len(uint(n))-1, numSizes-1))
		t.holders[r.size].push(f, holding)
		t.heldBy[r.size] += n
	}
}

// limit counts what f holds after a packet, and sees to it that no more is held than may be.
func (t *Table) limit(f *flow) {
	if n := f.holds(); n != f.held {
		if n > t.cfg.MaxBuffered {
			t.limitSides(f)
			n = f.holds()
		}
		t.charge(f, n)
	}
	for t.held > t.cfg.MaxTotal {
		t.relieve(t.biggest())
	}
}

// limitSides makes the sides of f hold what they may.
func (t *Table) limitSides(f *flow) {
	for side := range protocol.Side(2) {
		over := func() bool { return f.waiting(side)+f.session.ParsersHold() > t.cfg.MaxBuffered }
		if !over() {
			continue
		}
		if f.rare != nil && f.deferral.from == side && len(f.deferral.queue) > 0 {
			f.deferral.over = true
			t.release(f)
		}
		for over() && !f.session.IsIgnored() && len(f.ends[side].stream.pending) > 0 {
			t.giveUpGap(f, side)
		}
		if over() {
			t.reject(f, side)
		}
		if over() {
			t.flush(f)
		}
		if over() {
			t.dismiss(f, "buffer_limit_exceeded")
		}
	}
}

// relieve makes f, which holds much while all hold too much, hold at most half of that; if nothing
// else helps, it is removed.
func (t *Table) relieve(f *flow) {
	t.following = f
	before := f.held
	t.weird(f, "memory_limit_exceeded", "", "")
	for _, give := range [...]func(){
		func() {
			t.release(f)
			for side := range protocol.Side(2) {
				for len(f.ends[side].stream.pending) > 0 {
					t.giveUpGap(f, side)
				}
				t.reject(f, side)
			}
		},
		func() { t.flush(f) },
		func() { t.conclude(f) },
		func() { t.dismiss(f, "") },
	} {
		give()
		if n := f.holds(); n <= before/2 {
			t.charge(f, n)
			return
		}
	}
	t.Stats.Evicted++
	t.remove(f, MemoryFull)
}

// biggest returns the latest of those connections that together hold most: of similar ones, which
// hold up to twice of what another of them does. A flood of many that hold little is found by it as
// well as a few that hold much, and what was there before, holding more than each of the flood, is
// not. It returns nil if nothing is held.
func (t *Table) biggest() *flow {
	most := 0
	for i, n := range t.heldBy {
		if n > t.heldBy[most] {
			most = i
		}
	}
	return t.holders[most].last
}

// flush has the parsers of f let go of what they keep.
func (t *Table) flush(f *flow) {
	outer := t.enter(f)
	f.session.Flush(t.parsers, &f.Connection)
	t.leave(f, outer)
}

// dismiss ends the parsing of f: its hooks run now instead of at its end, and nobody wants its
// bytes any more.
func (t *Table) dismiss(f *flow, weird string) {
	if weird != "" {
		t.weird(f, weird, "", "")
	}
	for hk := range f.RemovalHooks() {
		if conn.Unregister(&f.Connection, hk) {
			t.Stats.HooksRun++
			t.contain(f, func() { hk(&f.Connection) })
		}
	}
	t.ignore(f)
	outer := t.enter(f)
	f.session.Count(t.parsers, &f.Connection)
	t.leave(f, outer)
}
