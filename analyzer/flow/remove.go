package flow

import (
	"time"

	"example.com/conn"
	"example.com/conn/analyzer/identity"
)

// remove ends a connection, and says why: its hooks run, its row is written, and the table forgets
// it, whatever of this panics.
func (t *Table) remove(f *flow, why Reason) {
	if f.timer == closeTimer {
		why = Closed
	}
	t.ending = why
	for step := 0; step < 3; {
		t.contain(f, func() {
			for step < 3 {
				step++ // first, so that a step that panics is not repeated
				switch step {
				case 1:
					t.conclude(f)
				case 2:
					t.stateRemove(f)
				case 3:
					t.ending = notRemoved
					f.describe(&t.row, &t.local)
					t.Log(&t.row)
				}
			}
		})
	}
	t.ending = notRemoved
	t.timers.stop(f)
	t.ranks.remove(f)
	t.ledger.set(f, 0)
	t.forget(f)
	t.Stats.Removed++
	t.Stats.RemovedFor[why]++
	t.Stats.Ended[transportOf(f.ID.Proto)]++
	if t.following == f {
		t.following = nil
	}
	if f.session.Untouched() {
		// No parser or hook has ever had it. In a flood it is what the next packet needs.
		*f = flow{}
		t.spare = f
	}
}

// forget takes f out of the table's map. One that it has displaced comes back.
func (t *Table) forget(f *flow) {
	k := identity.KeyOf(f.ID.Orig, f.ID.Resp, f.ID.Proto, f.oneWay)
	switch {
	case t.flows[k] != f:
		t.displaced--
		if f.rare.by != nil {
			f.rare.by.rare.prior = nil
		}
	case f.rare.displaced() != nil:
		t.displaced--
		t.flows[k], f.rare.prior.rare.by = f.rare.prior, nil
	default:
		delete(t.flows, k)
	}
}

// stateRemove runs the hooks of f, those behind one that panics, too.
func (t *Table) stateRemove(f *flow) {
	if hooks := f.pendingHooks(); hooks > 0 {
		start := time.Now()
		defer func() {
			t.Stats.HookTime += time.Since(start)
			t.Stats.HooksRun += hooks
		}()
	}
	conn.StateRemove(&f.Connection)
}

// pendingHooks returns how many hooks the removal of f would run.
func (f *flow) pendingHooks() (n int) {
	if f.session.Untouched() {
		return 0 // no parser has had it
	}
	for range f.RemovalHooks() {
		n++
	}
	return n
}
