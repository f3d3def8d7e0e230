// Package rightseek has programs that look for hooks that are registered, or may be.
package rightseek

import (
	"example.com/conn"
	. "example.com/conn"
	"example.com/conn/helpers"
)

type session struct {
	n      int
	c      *conn.Connection
	hook   conn.RemovalHook
	onEnd  func(*conn.Connection) bool
	makers func() conn.RemovalHook
	next   *session
}

func (s *session) finalize(c *conn.Connection) bool { return s.n > 0 }

type tcpConn struct {
	conn.Hooks[tcpConn]
	banner string
	hook   func(*tcpConn) bool
}

func (t *tcpConn) saveBanner() bool         { return t.banner != "" }
func (t *tcpConn) keepBanner(*tcpConn) bool { return t.banner != "" }

var known = (&session{}).finalize

var closure = func(c *conn.Connection) bool { return c != nil }

var chain = conn.Chain(finalize, known)

func finalize(c *conn.Connection) bool { return true }

func generic[T any](c *conn.Connection) bool { return true }

type hookAlias = conn.RemovalHook

type ownHook func(*conn.Connection) bool

func named[T any](c *conn.Connection, t *tcpConn, s *session, m *helpers.Session, hk conn.RemovalHook, hooks map[string]conn.RemovalHook, f func() conn.RemovalHook) { // want named:"passes: 5 to Registered"
	conn.Unregister(c, finalize)
	conn.Unregister(c, helpers.Finalize)
	conn.Unregister(c, conn.RemovalHook(finalize))
	conn.Unregister(c, (finalize))
	conn.Unregister(c, hookAlias(finalize))
	conn.Unregister(c, conn.RemovalHook(ownHook(finalize)))
	Unregister(c, finalize)
	conn.Unregister(c, conn.StateRemove)
	conn.Unregister(c, (*conn.Connection).Removed)
	conn.Unregister(c, nil)
	conn.Unregister(c, known)
	conn.Unregister(c, closure)
	conn.Unregister(c, chain)
	conn.Registered(c, hk)
	conn.Unregister(c, hooks["http"])
	conn.Unregister(c, s.hook)
	conn.Unregister(c, s.onEnd)
	conn.Unregister(c, s.makers())
	conn.Unregister(c, m.Hook)
	conn.Unregister(c, f())
	conn.Unregister(c, generic[int])
	conn.Unregister(c, generic[T]) // may be inlined where T is known
	conn.Unregister(c, helpers.Generic[[]string])
	conn.Unregister(both(c))
	for hk := range c.RemovalHooks() {
		conn.Unregister(c, hk)
	}
	t.Unregister((*tcpConn).saveBanner)
	t.Registered((*tcpConn).Removed)
	t.Unregister(t.hook)
}

func both(c *conn.Connection) (*conn.Connection, conn.RemovalHook) { return c, finalize }

func made(c *conn.Connection, m *helpers.Session) {
	conn.Unregister(c, helpers.Shared())
	conn.Unregister(c, helpers.Top())
	conn.Unregister(c, helpers.Instance())
	conn.Unregister(c, helpers.TypeParameter[int]())
	conn.Unregister(c, helpers.SharedInGeneric[int]())
	conn.Unregister(c, helpers.PackageLevel())
	conn.Unregister(c, m.Kept())
	conn.Unregister(c, helpers.Sometimes(m))
	conn.Unregister(c, helpers.Parameter(finalize))
	conn.Unregister(c, helpers.Reassigned(m))
	conn.Unregister(c, helpers.ByAddress(m))
	conn.Unregister(c, helpers.Saved(m))
	defer conn.Unregister(c, helpers.Track(c, m)) // registered here
	defer conn.Unregister(c, helpers.TrackResult(c, m))
	conn.Unregister(c, helpers.Deferred(m))
	conn.Unregister(c, helpers.DeferredAfter(m))
	conn.Unregister(c, helpers.InClosure(m))
	conn.Unregister(c, helpers.Nothing())
	conn.Unregister(c, helpers.Recursive(m, 1))
	conn.Unregister(c, helpers.Swapped(m, 1))
	conn.Unregister(c, helpers.Cyclic(m))
	conn.Unregister(c, func() conn.RemovalHook {
		hk := m.Finalize
		conn.Register(c, hk)
		return hk
	}())
	conn.Unregister(c, func() conn.RemovalHook { return finalize }())
}

func kept(c *conn.Connection, t *tcpConn, s *session, n int) {
	a := s.finalize
	conn.Register(c, a)
	conn.Unregister(c, a)

	b := func(*conn.Connection) bool { return s.n > 0 }
	if conn.Register(c, b) {
		defer conn.Unregister(c, b)
	}

	d := conn.Chain(finalize)
	helpers.Add(c, d)
	helpers.Drop(c, d)

	s.hook = s.finalize
	conn.Register(c, s.hook)
	conn.Unregister(c, s.hook)

	t.hook = t.keepBanner
	t.Register(t.hook)
	t.Unregister(t.hook)

	old := s.hook
	s.hook = s.finalize
	conn.Unregister(c, old)
	conn.Register(c, s.hook)
}

func deferred(c *conn.Connection, s *session) {
	hk := s.finalize
	defer conn.Unregister(c, hk)
	conn.Register(c, hk)
}

func deferredLiteral(c *conn.Connection, s *session) {
	hk := s.finalize
	defer func() { conn.Unregister(c, hk) }()
	conn.Register(c, hk)
}

func registeredByClosure(c *conn.Connection, s *session) {
	var hk conn.RemovalHook
	add := func() { conn.Register(c, hk) }
	hk = s.finalize
	add()
	conn.Unregister(c, hk)
}

func registeredByClosureBefore(c *conn.Connection, s *session, add func(*conn.RemovalHook)) {
	var hk conn.RemovalHook
	p := &hk
	hk = s.finalize
	add(p)
	conn.Unregister(c, hk)
}

func byAddress(c *conn.Connection, s *session, set func(*conn.RemovalHook)) {
	hk := conn.RemovalHook(s.finalize)
	set(&hk)
	conn.Unregister(c, hk)
}

func onBranch(c *conn.Connection, s *session) {
	hk := conn.RemovalHook(s.finalize)
	if s.hook != nil {
		hk = s.hook
	}
	conn.Unregister(c, hk)
}

func inClosure(c *conn.Connection, s *session) {
	hk := conn.RemovalHook(s.finalize)
	load := func() { hk = s.hook }
	load()
	conn.Unregister(c, hk)
}

func byGoroutine(c *conn.Connection, s *session, done chan bool) {
	hk := conn.RemovalHook(s.finalize)
	go func() { hk = s.hook; done <- true }()
	<-done
	conn.Unregister(c, hk)
}

func ranged(c *conn.Connection, s *session, hooks []conn.RemovalHook) {
	hk := conn.RemovalHook(s.finalize)
	for _, hk = range hooks {
	}
	conn.Unregister(c, hk)
}

func fromTwo(c *conn.Connection, s *session) {
	hk, err := conn.RemovalHook(s.finalize), error(nil)
	hk, err = helpers.Both(nil)
	_ = err
	conn.Unregister(c, hk)
}

func swapped(c *conn.Connection, s *session) {
	a, b := conn.RemovalHook(s.finalize), s.hook
	a, b = b, a
	conn.Unregister(c, a)
	conn.Register(c, b)
}

func cyclic(c *conn.Connection, s *session) {
	first := conn.Register(c, s.finalize)
	before := first
	for range 3 {
		before = first
		first = before
	}
	a := conn.RemovalHook(s.finalize)
	b := a
	for range 3 {
		a = b
		b = a
	}
	conn.Unregister(c, a)
}

func passed(c *conn.Connection, s *session, add func(*conn.Connection, conn.RemovalHook)) {
	hk := s.finalize
	add(c, hk)
	conn.Unregister(c, hk)
}

func inStruct(c *conn.Connection, s *session) *session {
	hk := s.finalize
	next := &session{hook: hk}
	conn.Register(c, next.hook)
	conn.Unregister(c, hk)
	return next
}

func inSlice(c *conn.Connection, s *session) {
	var hooks []conn.RemovalHook
	for range 3 {
		hk := conn.Chain(s.finalize)
		conn.Register(c, hk)
		hooks = append(hooks, hk)
	}
	for _, hk := range hooks {
		conn.Unregister(c, hk)
	}
}

func sent(c *conn.Connection, s *session, ch chan conn.RemovalHook) {
	hk := s.finalize
	ch <- hk
	conn.Unregister(c, hk)
}

func inLoop(c *conn.Connection, s *session) {
	hk := s.finalize
	for range 3 {
		conn.Unregister(c, hk)
		conn.Register(c, hk)
	}
}

func inLoopInit(c *conn.Connection, s *session) {
	for hk := s.finalize; s.n > 3; {
		conn.Unregister(c, hk)
		conn.Register(c, hk)
	}
}

func jumps(c *conn.Connection, s *session) {
	hk := s.finalize
again:
	conn.Unregister(c, hk)
	conn.Register(c, hk)
	if s.n > 3 {
		goto again
	}
}

func loopOfVariable(c *conn.Connection, s *session) {
	var hk conn.RemovalHook
	for range 3 {
		if hk != nil {
			conn.Unregister(c, hk)
		}
		hk = s.finalize
		conn.Register(c, hk)
	}
}

func itself(c *conn.Connection, s *session) {
	var hk conn.RemovalHook
	hk = func(c *conn.Connection) bool {
		conn.Unregister(c, hk)
		return s.n > 0
	}
	conn.Register(c, hk)
}

func itsSibling(c *conn.Connection, s *session) {
	var a, b conn.RemovalHook
	a = func(c *conn.Connection) bool { return conn.Unregister(c, b) }
	b = func(c *conn.Connection) bool { return conn.Unregister(c, a) }
	conn.Register(c, a)
	conn.Register(c, b)
}

func parameter(c *conn.Connection, s *session, hk conn.RemovalHook) {
	if hk == nil {
		hk = s.finalize
	}
	conn.Unregister(c, hk)
}

func namedResult(c *conn.Connection, s *session) (hk conn.RemovalHook) {
	defer func() { conn.Unregister(c, hk) }()
	hk = s.finalize
	conn.Register(c, hk)
	return hk
}

func shared(c *conn.Connection, n int) {
	// The same hook each time that this runs.
	hk := func(*conn.Connection) bool { return true }
	if n > 0 {
		conn.Unregister(c, hk)
	}
	conn.Register(c, hk)
}

func through(c *conn.Connection, s *session) {
	helpers.Toggle(c, func(*conn.Connection) bool { return s.n > 0 })
	helpers.MoveToEnd(c, s.finalize)
	helpers.End(c, s.finalize)
	helpers.Finish(c, func(*conn.Connection) bool { return s.n > 0 })
	helpers.DropNamed(c, s.finalize)
	helpers.DropCanonical(c, s.finalize)
	helpers.DropSome(c, finalize, s.hook)
	helpers.Drop(c, finalize)
	helpers.Drop(c, s.hook)
	helpers.AddOnce(c, s.finalize)
	conn.Register(c, s.finalize)
	if !conn.Register(c, func(*conn.Connection) bool { return s.n > 0 }) {
		return
	}
}

func opsInTable(c *conn.Connection, s *session) {
	for _, op := range []func(*conn.Connection, conn.RemovalHook) bool{conn.Register, conn.Unregister} {
		op(c, func(*conn.Connection) bool { return true })
	}
}

// Functions and methods of the same names elsewhere.

type registry struct{ names map[string]bool }

func (r registry) Unregister(c *conn.Connection, hk conn.RemovalHook) bool {
	delete(r.names, hk.String())
	return true
}

type overrides struct {
	conn.Hooks[overrides]
	hooks map[string]func(*overrides) bool
}

func (o *overrides) done(*overrides) bool { return true }

func (o *overrides) Unregister(hk func(*overrides) bool) bool {
	for name, kept := range o.hooks {
		if conn.RemovalHook(nil).String() == name {
			return o.Hooks.Unregister(kept)
		}
	}
	return hk == nil
}

type unregisterer interface {
	Unregister(func(*tcpConn) bool) bool
}

func others(c *conn.Connection, r registry, s *session, o *overrides, u unregisterer, t *tcpConn) {
	r.Unregister(c, s.finalize)
	o.Unregister(o.done)
	u.Unregister(t.keepBanner)
	Unregister := r.Unregister
	Unregister(c, s.finalize)
	forget := t.Unregister
	forget(t.keepBanner)
	conn := r
	conn.Unregister(c, s.finalize)
}
