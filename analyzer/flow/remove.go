package flow

import (
	"time"

	"example.com/conn"
	"example.com/conn/analyzer/identity"
)

// remove runs the hooks of f, writes its row, and deletes it from the table, even if any of this
// panics. why is recorded in Stats.
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
					t.finish(f)
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
	t.Stats.MissedBytes += f.tcp.Missed()
	t.Stats.Removed++
	t.Stats.RemovedFor[why]++
	t.Stats.Ended[transportOf(f.ID.Proto)]++
	if t.following == f {
		t.following = nil
	}
	if f.session.Untouched() {
		// No parser or hook has seen f, so it can be reused. In a flood, the next packet needs a
		// flow.
		*f = flow{}
		t.spare = f
	}
}

// forget deletes f from the table's map. If f displaced another connection, that one takes its
// place again.
func (t *Table) forget(f *flow) {
	k := identity.KeyOf(f.ID.Orig, f.ID.Resp, f.ID.Proto, f.oneWay)
	switch {
	case t.displaced > 0 && t.flows[k] != f:
		t.displaced--
		if by := f.rare().by; by != nil {
			by.more().prior = nil
		}
	case f.rare().prior != nil:
		prior := f.rare().prior
		t.displaced--
		t.flows[k], prior.more().by = prior, nil
	default:
		delete(t.flows, k)
	}
}

// stateRemove runs the hooks of f and measures their time.
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
		return 0 // no parser has seen f, so none has registered a hook
	}
	for range f.RemovalHooks() {
		n++
	}
	return n
}
