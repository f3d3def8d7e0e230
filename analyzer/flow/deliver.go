package flow

import (
	"example.com/conn"
	"example.com/conn/analyzer/identity"
	"example.com/conn/analyzer/protocol"
	"example.com/conn/analyzer/session"
)

// enter must be called before a method of f's session, and leave after it with the result of enter.
func (t *Table) enter(f *flow) (outer *flow) {
	outer, t.current = t.current, f
	f.session.Partial = f.tcp.Partial()
	return outer
}

func (t *Table) leave(f, outer *flow) {
	t.current = outer
	if f.session.IsIgnored() {
		f.tcp.Ignore()
	}
}

// feed passes an event to f's parser.
func (t *Table) feed(f *flow, e session.Event) {
	if f.session.IsIgnored() {
		return
	}
	outer := t.enter(f)
	f.session.Feed(t.parsers, &f.Connection, e)
	t.leave(f, outer)
}

// ignore makes f discard its bytes from now on.
func (t *Table) ignore(f *flow) {
	f.session.Ignore()
	t.leave(f, t.current)
}

// contain calls call, which may run hooks of f. A panic is reported, and f continues without
// parsers.
func (t *Table) contain(f *flow, call func()) {
	outer := t.current
	t.current = f
	defer func() {
		t.current = outer
		if panicked := recover(); panicked != nil {
			t.ignore(f)
			t.Panicked(&f.Connection, panicked)
		}
	}()
	call()
}

// Confirm implements protocol.Owner.
func (t *Table) Confirm(c *conn.Connection) {
	if f := t.flowOf(c); f != nil {
		f.session.Confirm()
	}
}

// Flip implements session.Owner.
func (t *Table) Flip(c *conn.Connection) bool {
	f := t.flowOf(c)
	if f.outer || f.packets[0]+f.packets[1] != 1 || f.tcp.History.Flipped() {
		return false
	}
	f.flip()
	f.UID = identity.UID(f.ID, f.Start)
	return true
}

// Panicked implements session.Owner.
func (t *Table) Panicked(c *conn.Connection, value any) {
	t.Stats.Panics++
	t.cfg.Panics.Report(value, "connection "+c.UID)
}

var (
	_ protocol.Owner = (*Table)(nil)
	_ session.Owner  = (*Table)(nil)
)
