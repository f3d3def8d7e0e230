// Package makers declares functions that return hooks, for other packages to call.
package makers

import (
	"sync"

	"example.com/conn"
)

type Session struct {
	Conn *conn.Connection
	Hook conn.RemovalHook
	N    int
}

func (s *Session) Finalize(c *conn.Connection) bool { return c == s.Conn }

func Finalize(c *conn.Connection) bool { return c != nil }

func Generic[T any](c *conn.Connection) bool { return c != nil }

// Functions that make hooks.

func Capturing(n int) conn.RemovalHook { // want Capturing:"makesHooks$"
	return func(*conn.Connection) bool { return n > 0 }
}

func Shared() conn.RemovalHook { // want Shared:`makesHooks\(if inlined\)$`
	return func(*conn.Connection) bool { return true }
}

func FuncType(n int) func(*conn.Connection) bool { // want FuncType:"makesHooks$"
	return func(*conn.Connection) bool { return n > 0 }
}

func (s *Session) NewHook() conn.RemovalHook { // want NewHook:"makesHooks$"
	return s.Finalize
}

func Chained() conn.RemovalHook { // want Chained:"makesHooks$"
	return conn.Chain(Finalize)
}

func Converted(s *Session) conn.RemovalHook { // want Converted:"makesHooks$"
	return (conn.RemovalHook(s.Finalize))
}

func MoreIndirect(s *Session) conn.RemovalHook { // want MoreIndirect:"makesHooks$"
	return Indirect(s)
}

func Indirect(s *Session) conn.RemovalHook { // want Indirect:"makesHooks$"
	return Converted(s)
}

func EveryReturn(s *Session) conn.RemovalHook { // want EveryReturn:"makesHooks$"
	if s == nil {
		return Capturing(1)
	}
	return s.Finalize
}

func SomeShared(s *Session) conn.RemovalHook { // want SomeShared:`makesHooks\(if inlined\)$`
	if s == nil {
		return Shared()
	}
	return s.Finalize
}

func OfGeneric[T any]() conn.RemovalHook { // want OfGeneric:"makesHooks$"
	return Generic[T]
}

func InGeneric[T any]() conn.RemovalHook { // want InGeneric:"makesHooks$"
	return func(*conn.Connection) bool { return true }
}

func Variable(s *Session) conn.RemovalHook { // want Variable:"makesHooks$"
	hook := s.Finalize
	return hook
}

func OfItself(s *Session) conn.RemovalHook { // want OfItself:"makesHooks$"
	var hook conn.RemovalHook
	hook = func(c *conn.Connection) bool { return conn.Registered(c, hook) }
	return hook
}

func _() conn.RemovalHook { return conn.Chain(Finalize) } // want _:"makesHooks$"

type Box[T any] struct{ Value T }

func (b Box[T]) NewHook() conn.RemovalHook { // want NewHook:"makesHooks$"
	return func(*conn.Connection) bool { return true }
}

func SharedWithVariables() conn.RemovalHook { // want SharedWithVariables:`makesHooks\(if inlined\)$`
	return func(c *conn.Connection) bool { d := c; return d != nil && atStart != nil }
}

// Functions that return, or may return, the same hook again.

func TopLevel() conn.RemovalHook { return Finalize }

func Instance() conn.RemovalHook { return Generic[int] }

func Parameter(hk conn.RemovalHook) conn.RemovalHook { return hk }

func (s *Session) Kept() conn.RemovalHook { return s.Hook }

func Sometimes(s *Session) conn.RemovalHook {
	if s == nil {
		return Finalize
	}
	return s.Finalize
}

func Reassigned(s *Session) conn.RemovalHook {
	hook := conn.RemovalHook(s.Finalize)
	if s.Hook != nil {
		hook = s.Hook
	}
	return hook
}

func IfNone(s *Session) conn.RemovalHook {
	hook := s.Hook
	if hook == nil {
		hook = s.Finalize
	}
	return hook
}

func Default(hk conn.RemovalHook, n int) conn.RemovalHook {
	if hk == nil {
		hk = func(*conn.Connection) bool { return n > 0 }
	}
	return hk
}

func Swapped(s *Session) conn.RemovalHook {
	hook, other := conn.RemovalHook(s.Finalize), s.Hook
	hook, other = other, hook
	return hook
}

func ByAddress(s *Session) conn.RemovalHook {
	hook := conn.RemovalHook(s.Finalize)
	set(&hook)
	return hook
}

func set(hk *conn.RemovalHook) { *hk = Finalize }

func LastOf(s *Session, hooks []conn.RemovalHook) conn.RemovalHook {
	hook := conn.RemovalHook(s.Finalize)
	for _, hook = range hooks {
	}
	return hook
}

func Named(s *Session) (hk conn.RemovalHook) {
	hk = s.Finalize
	return
}

func SometimesNamed(s *Session) (hk conn.RemovalHook) {
	if s == nil {
		hk = Finalize
		return
	}
	return s.Finalize
}

func Pair(s *Session) (conn.RemovalHook, bool) { return s.Finalize, true }

func NotAHook(n int) func(string) bool {
	return func(string) bool { return n > 0 }
}

func Recursive(n int) conn.RemovalHook {
	if n > 0 {
		return Recursive(n - 1)
	}
	return Finalize
}

// The literal returns new hooks, the function around it does not.
func Outer() conn.RemovalHook {
	inner := func() conn.RemovalHook {
		n := 1
		return func(*conn.Connection) bool { return n > 0 }
	}
	_ = inner()
	return Finalize
}

var atStart = conn.Chain(Finalize)

func PackageLevel() conn.RemovalHook { return atStart }

var (
	once sync.Once
	lazy conn.RemovalHook
)

func Once(s *Session) conn.RemovalHook {
	once.Do(func() { lazy = s.Finalize })
	return lazy
}
