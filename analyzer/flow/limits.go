package flow

import (
	"example.com/conn"
	"example.com/conn/analyzer/protocol"
)

// evict removes the connection that is worth least.
func (t *Table) evict() {
	f := t.ranks.least()
	if f.rank >= answered && f.ID.Proto == conn.TCP {
		t.weird(f, "connection_evicted", "", "")
	}
	t.Stats.Evicted++
	t.remove(f, TableFull)
}

// pending returns how many bytes one side of f holds.
func (f *flow) pending(side protocol.Side) int {
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
	return f.pending(protocol.Orig) + f.pending(protocol.Resp) + f.session.ParsersHold() + f.session.Searching()
}

// limit counts what f holds after a packet, and sees to it that no more is held than may be.
func (t *Table) limit(f *flow) {
	if n := f.holds(); n != f.held {
		if n > t.cfg.MaxBuffered {
			t.limitSides(f)
			n = f.holds()
		}
		t.ledger.set(f, n)
	}
	for t.ledger.total > t.cfg.MaxTotal {
		t.relieve(t.ledger.biggest())
	}
}

// limitSides makes the sides of f hold what they may.
func (t *Table) limitSides(f *flow) {
	for side := range protocol.Side(2) {
		over := func() bool { return f.pending(side)+f.session.ParsersHold() > t.cfg.MaxBuffered }
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
			t.ledger.set(f, n)
			return
		}
	}
	t.Stats.Evicted++
	t.remove(f, MemoryFull)
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
