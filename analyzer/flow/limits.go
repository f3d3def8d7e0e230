package flow

import (
	"example.com/conn"
	"example.com/conn/analyzer/protocol"
	"example.com/conn/analyzer/tcp"
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
	return f.tcp.Held(tcp.Side(side)) + f.session.Waiting(side)
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
		side, sink := tcp.Side(side), t.sink(f)
		t.settle(f, f.tcp.StopDeferring(side, sink))
		for over() && !f.session.IsIgnored() && f.tcp.Pending(side) {
			f.tcp.SkipGap(side, t.now, sink)
		}
		if over() {
			f.tcp.Reject(side, sink)
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
			sink := t.sink(f)
			t.settle(f, f.tcp.Release(sink))
			for side := range tcp.Side(2) {
				for f.tcp.Pending(side) {
					f.tcp.SkipGap(side, t.now, sink)
				}
				f.tcp.Reject(side, sink)
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
	f.session.FreeMemory(t.parsers, &f.Connection)
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
