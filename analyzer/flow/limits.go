package flow

import (
	"example.com/conn"
	"example.com/conn/analyzer/protocol"
	"example.com/conn/analyzer/tcp"
)

// evict removes the least valuable connection.
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

// limit updates the ledger after a packet of f, and enforces MaxBuffered and MaxTotal.
func (t *Table) limit(f *flow) {
	if n := f.holds(); n != f.rare().held {
		if n > t.cfg.MaxBuffered {
			t.limitSides(f)
			n = f.holds()
		}
		t.ledger.set(f, n)
	}
	for t.ledger.total > t.cfg.MaxTotal {
		t.freeMemory(t.ledger.biggest())
	}
}

// limitSides enforces MaxBuffered on each side of f.
func (t *Table) limitSides(f *flow) {
	for side := range protocol.Side(2) {
		within := func() bool { return f.pending(side)+f.session.ParsersHold() <= t.cfg.MaxBuffered }
		if within() {
			continue
		}
		f.tcp.Free(tcp.Side(side), t.now, within, t.sink(f))
		t.updateCloseTimer(f)
		if !within() {
			t.freeParsers(f)
		}
		if !within() {
			t.stopParsing(f, "buffer_limit_exceeded")
		}
	}
}

// freeMemory makes f hold at most half of what it does, by the mildest means that is enough: f
// stops waiting for missing bytes, its parsers free memory, its search for a parser ends, or its
// parsing ends. If none of these helps, f is removed.
func (t *Table) freeMemory(f *flow) {
	t.following = f
	before := f.rare().held
	t.weird(f, "memory_limit_exceeded", "", "")
	for _, give := range [...]func(){
		func() {
			for side := range tcp.Side(2) {
				f.tcp.Free(side, t.now, func() bool { return false }, t.sink(f))
			}
			t.updateCloseTimer(f)
		},
		func() { t.freeParsers(f) },
		func() { t.finish(f) },
		func() { t.stopParsing(f, "") },
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

// freeParsers makes the parsers of f free what they hold.
func (t *Table) freeParsers(f *flow) {
	outer := t.enter(f)
	f.session.FreeMemory(t.parsers, &f.Connection)
	t.leave(f, outer)
}

// stopParsing runs the hooks of f now instead of at its end, and ignores its bytes from now on.
func (t *Table) stopParsing(f *flow, weird string) {
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
