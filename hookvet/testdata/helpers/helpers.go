// Package helpers declares functions that make hooks and pass them on, for other packages to call.
package helpers

import "example.com/conn"

type Session struct {
	Conn *conn.Connection
	Hook conn.RemovalHook
	N    int
}

func (s *Session) Finalize(c *conn.Connection) bool { return c == s.Conn }

func Finalize(c *conn.Connection) bool { return c != nil }

func Generic[T any](c *conn.Connection) bool { return c != nil }

var hook = (&Session{}).Finalize

// Functions that make hooks.

func Capturing(n int) conn.RemovalHook { // want Capturing:"makes: true"
	return func(*conn.Connection) bool { return n > 0 }
}

func FuncType(n int) func(*conn.Connection) bool { // want FuncType:"makes: true"
	return func(*conn.Connection) bool { return n > 0 }
}

func (s *Session) NewHook() conn.RemovalHook { // want NewHook:"makes: true"
	return s.Finalize
}

func Chained() conn.RemovalHook { // want Chained:"makes: true"
	return conn.Chain(Finalize)
}

func Converted(s *Session) conn.RemovalHook { // want Converted:"makes: true"
	return (conn.RemovalHook(s.Finalize))
}

func MoreIndirect(s *Session) conn.RemovalHook { // want MoreIndirect:"makes: true"
	return Indirect(s)
}

func Indirect(s *Session) conn.RemovalHook { // want Indirect:"makes: true"
	return s.NewHook()
}

func InVariable(s *Session) conn.RemovalHook { // want InVariable:"makes: true"
	hk := s.Finalize
	return hk
}

func Declared(s *Session) conn.RemovalHook { // want Declared:"makes: true"
	var hk conn.RemovalHook
	hk = s.Finalize
	return hk
}

func Either(s *Session, n int) conn.RemovalHook { // want Either:"makes: true"
	if n > 0 {
		return s.Finalize
	}
	return Capturing(n)
}

func NamedResult(s *Session) (hk conn.RemovalHook) { // want NamedResult:"makes: true"
	hk = s.Finalize
	return
}

func NamedReturned(s *Session) (hk conn.RemovalHook) { // want NamedReturned:"makes: true"
	return s.Finalize
}

func Literal(s *Session) conn.RemovalHook { // want Literal:"makes: true"
	return func() conn.RemovalHook { return s.Finalize }()
}

func OfGeneric[T any](v *T) conn.RemovalHook { // want OfGeneric:"makes: true"
	return func(*conn.Connection) bool { return v != nil }
}

type Box[T any] struct{ V T }

func (b Box[T]) NewHook() conn.RemovalHook { // want NewHook:"makes: true"
	return func(c *conn.Connection) bool { return b.finalize(c) }
}

func (b Box[T]) finalize(*conn.Connection) bool { return true }

// Functions that return hooks which may be known.

func Shared() conn.RemovalHook { return func(*conn.Connection) bool { return true } }

func Top() conn.RemovalHook { return Finalize }

func Instance() conn.RemovalHook { return Generic[int] }

func MethodExpr() func(*Session, *conn.Connection) bool { return (*Session).Finalize }

func TypeParameter[T any]() conn.RemovalHook { return Generic[T] }

func SharedInGeneric[T any]() conn.RemovalHook {
	return func(*conn.Connection) bool { var v T; return any(v) != nil }
}

func PackageLevel() conn.RemovalHook { return hook }

func (s *Session) Kept() conn.RemovalHook {
	if s.Hook == nil {
		s.Hook = s.Finalize
	}
	return s.Hook
}

func Sometimes(s *Session) conn.RemovalHook {
	if s.N > 0 {
		return s.Finalize
	}
	return s.Hook
}

func Parameter(hk conn.RemovalHook) conn.RemovalHook { return hk }

func Reassigned(s *Session) conn.RemovalHook {
	hk := conn.RemovalHook(s.Finalize)
	if s.Hook != nil {
		hk = s.Hook
	}
	return hk
}

func ByAddress(s *Session) conn.RemovalHook {
	hk := conn.RemovalHook(s.Finalize)
	p := &hk
	*p = s.Hook
	return hk
}

func Saved(s *Session) conn.RemovalHook {
	hk := conn.RemovalHook(s.Finalize)
	s.Hook = hk
	return hk
}

// Track registers what it returns: defer conn.Unregister(c, Track(c, s)).
func Track(c *conn.Connection, s *Session) conn.RemovalHook {
	hk := s.Finalize
	conn.Register(c, hk)
	return hk
}

func TrackResult(c *conn.Connection, s *Session) (hk conn.RemovalHook) {
	defer func() { conn.Register(c, hk) }()
	return s.Finalize
}

func Deferred(s *Session) (hk conn.RemovalHook) {
	defer func() { hk = s.Hook }()
	return s.Finalize
}

func DeferredAfter(s *Session) (hk conn.RemovalHook) {
	hk = s.Finalize
	defer func() { hk = s.Hook }()
	return
}

func InClosure(s *Session) conn.RemovalHook {
	hk := conn.RemovalHook(s.Finalize)
	func() { hk = s.Hook }()
	return hk
}

func Nothing() (hk conn.RemovalHook) { return }

func Recursive(s *Session, n int) conn.RemovalHook {
	if n == 0 {
		return s.Finalize
	}
	return Recursive(s, n-1)
}

func Swapped(s *Session, n int) conn.RemovalHook {
	a, b := conn.RemovalHook(s.Finalize), s.Hook
	for range n {
		a, b = b, a
	}
	return a
}

func Cyclic(s *Session) conn.RemovalHook {
	first := conn.RemovalHook(s.Finalize)
	before := first
	for range 3 {
		before = first
		first = before
	}
	return first
}

func Both(s *Session) (conn.RemovalHook, error) { return s.Finalize, nil }

// Functions that pass hooks on.

func Drop(c *conn.Connection, hk conn.RemovalHook) { // want Drop:"passes: 2 to Unregister"
	conn.Unregister(c, hk)
}

func DropAll(hk conn.RemovalHook, conns []*conn.Connection) (n int) { // want DropAll:"passes: 1 to Unregister"
	for _, c := range conns {
		if conn.Unregister(c, hk) {
			n++
		}
	}
	return n
}

func Dropped(c *conn.Connection, hk func(*conn.Connection) bool) bool { // want Dropped:"passes: 2 to Unregister"
	if c == nil || hk == nil {
		return false
	}
	return conn.Unregister(c, conn.RemovalHook(hk))
}

func DropTwice(c *conn.Connection, hk conn.RemovalHook) { // want DropTwice:"passes: 2 to Unregister"
	Drop(c, hk)
	Drop(c, hk)
}

func (s *Session) Has(hk conn.RemovalHook) bool { // want Has:"passes: 1 to Registered"
	return conn.Registered(s.Conn, hk)
}

func DropFrom[C any](h *conn.Hooks[C], hk func(*C) bool) { // want DropFrom:"passes: 2 to Unregister"
	h.Unregister(hk)
}

func Add(c *conn.Connection, hk conn.RemovalHook) { // want Add:"passes: 2 to Register"
	conn.Register(c, hk)
}

func AddTo[C any](h *conn.Hooks[C], hk func(*C) bool) bool { // want AddTo:"passes: 2 to Register"
	return h.Register(hk)
}

// Functions that do something else with a hook, too.

func End(c *conn.Connection, hk conn.RemovalHook) {
	if conn.Unregister(c, hk) {
		hk(c)
	}
}

func Toggle(c *conn.Connection, hk conn.RemovalHook) {
	if !conn.Unregister(c, hk) {
		conn.Register(c, hk)
	}
}

func MoveToEnd(c *conn.Connection, hk conn.RemovalHook) {
	conn.Unregister(c, hk)
	conn.Register(c, hk)
}

func Finish(c *conn.Connection, hk conn.RemovalHook) {
	conn.Unregister(c, hk)
	hk(c)
}

func DropNamed(c *conn.Connection, hk conn.RemovalHook) bool {
	if conn.Unregister(c, hk) {
		return true
	}
	for other := range c.RemovalHooks() {
		if other.String() == hk.String() {
			return conn.Unregister(c, other)
		}
	}
	return false
}

func DropCanonical(c *conn.Connection, hk conn.RemovalHook) {
	if hk == nil {
		hk = Finalize
	}
	conn.Unregister(c, hk)
}

func AddOnce(c *conn.Connection, hk conn.RemovalHook) {
	if !conn.Registered(c, Finalize) {
		conn.Register(c, hk)
	}
}

func AddAndGo(c *conn.Connection, hk conn.RemovalHook, n int) {
	conn.Register(c, hk)
	conn.StateRemove(c)
}

func DropSome(c *conn.Connection, hooks ...conn.RemovalHook) {
	for _, hk := range hooks {
		conn.Unregister(c, hk)
	}
}
