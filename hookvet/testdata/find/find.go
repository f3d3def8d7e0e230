// Package find has the cases of Unregister and Registered.
package find

import (
	"example.com/conn"
	. "example.com/conn"
	"example.com/conn/makers"
)

type session struct {
	n    int
	hook conn.RemovalHook
	in   inner
}

type inner struct{}

func (s *session) finalize(c *conn.Connection) bool { return s.n > 0 }
func (s session) byValue(c *conn.Connection) bool   { return s.n > 0 }
func (inner) finalize(c *conn.Connection) bool      { return true }

type finalizer interface {
	finalize(c *conn.Connection) bool
}

type embeds struct{ *session }

var global session

func finalize(c *conn.Connection) bool { return true }

func generic[T any](c *conn.Connection) bool { return true }

func pair[T, U any](c *conn.Connection) bool { return true }

func literals(c *conn.Connection, n int) {
	conn.Unregister(c, func(*conn.Connection) bool { return true })    // want `^Unregister cannot find this hook: a function literal is a hook of its own, even if another has the same text; keep the hook in a variable when it is registered, or declare a top-level function, and pass that$`
	conn.Registered(c, func(*conn.Connection) bool { return n > 0 })   // want `^Registered cannot find this hook: a function literal is a hook of its own`
	conn.Unregister(c, (func(*conn.Connection) bool { return n > 0 })) // want `Unregister cannot find this hook`
	conn.Unregister(c, conn.RemovalHook(func(*conn.Connection) bool {  // want `Unregister cannot find this hook`
		return n > 0
	}))
	Unregister(c, func(*conn.Connection) bool { return true })            // want `Unregister cannot find this hook`
	(conn.Unregister)(c, func(*conn.Connection) bool { return true })     // want `Unregister cannot find this hook`
	if !conn.Unregister(c, func(*conn.Connection) bool { return true }) { // want `Unregister cannot find this hook`
		return
	}
	defer conn.Unregister(c, func(*conn.Connection) bool { return true }) // want `Unregister cannot find this hook`
}

func methodValues(c *conn.Connection, s *session, f finalizer, e embeds) {
	conn.Unregister(c, s.finalize)                     // want `^Unregister cannot find this hook: every evaluation of the method value s.finalize makes a new hook; evaluate it once, keep it in a variable when it is registered, and pass that$`
	conn.Registered(c, s.byValue)                      // want `^Registered cannot find this hook: every evaluation of the method value s.byValue makes a new hook`
	conn.Unregister(c, s.in.finalize)                  // want `the method value s.in.finalize makes`
	conn.Unregister(c, global.finalize)                // want `the method value global.finalize makes`
	conn.Unregister(c, f.finalize)                     // want `the method value f.finalize makes`
	conn.Unregister(c, e.finalize)                     // want `the method value e.finalize makes`
	conn.Unregister(c, (conn.RemovalHook)(s.finalize)) // want `the method value s.finalize makes`
}

func calls(c *conn.Connection, s *makers.Session) {
	conn.Unregister(c, conn.Chain(finalize))        // want `^Unregister cannot find this hook: every call of conn.Chain makes a new hook; keep the result in a variable when it is registered, and pass that$`
	conn.Registered(c, makers.Capturing(1))         // want `every call of makers.Capturing makes a new hook`
	conn.Unregister(c, s.NewHook())                 // want `every call of s.NewHook makes a new hook`
	conn.Unregister(c, (makers.Chained()))          // want `every call of makers.Chained makes a new hook`
	conn.Unregister(c, makers.FuncType(1))          // want `every call of makers.FuncType makes a new hook`
	conn.Unregister(c, makers.OfGeneric[int]())     // want `every call of makers.OfGeneric\[int\] makes a new hook`
	conn.Unregister(c, makers.Shared())             // want `^Unregister may not find this hook: every call of makers.Shared that the compiler inlines has a hook of its own; keep the result in a variable when it is registered, and pass that$`
	conn.Registered(c, makers.SomeShared(s))        // want `^Registered may not find this hook`
	conn.Unregister(c, makers.Box[int]{}.NewHook()) // want `every call of .*NewHook makes a new hook`
	conn.Unregister(c, local(1))                    // want `every call of local makes a new hook`
	conn.Unregister(c, conn.RemovalHook(local(1)))  // want `every call of local makes a new hook`
}

func local(n int) conn.RemovalHook { // want local:"makesHooks"
	return func(*conn.Connection) bool { return n > 0 }
}

func typeParameters[T any](c *conn.Connection) {
	type L struct{}
	conn.Unregister(c, generic[T])                   // want `^Unregister cannot find this hook: every evaluation of generic\[T\], which depends on a type parameter, makes a new hook; evaluate it once, keep it in a variable when it is registered, and pass that$`
	conn.Registered(c, makers.Generic[[]T])          // want `every evaluation of makers.Generic\[\[\]T\], which depends on a type parameter, makes a new hook`
	conn.Unregister(c, pair[int, map[string]T])      // want `which depends on a type parameter`
	conn.Unregister(c, generic[L])                   // want `which depends on a type parameter`
	conn.Unregister(c, conn.RemovalHook(generic[T])) // want `which depends on a type parameter`
}

type box[T any] struct{ v T }

func (b box[T]) unregister(c *conn.Connection) {
	conn.Unregister(c, generic[T]) // want `which depends on a type parameter`
}

// Near misses.

func sameHook[T any](c *conn.Connection, s *session, m *makers.Session, hk conn.RemovalHook, hooks map[string]conn.RemovalHook, f func() conn.RemovalHook) {
	conn.Unregister(c, finalize)
	conn.Unregister(c, makers.Finalize)
	conn.Unregister(c, conn.RemovalHook(finalize))
	conn.Unregister(c, (finalize))
	conn.Unregister(c, conn.StateRemove)
	conn.Unregister(c, (*conn.Connection).Removed)
	conn.Unregister(c, nil)
	conn.Registered(c, hk)
	conn.Unregister(c, hooks["http"])
	conn.Unregister(c, s.hook)
	conn.Unregister(c, m.Hook)
	conn.Unregister(c, m.Kept())
	conn.Unregister(c, makers.TopLevel())
	conn.Unregister(c, makers.Instance())
	conn.Unregister(c, makers.Parameter(hk))
	conn.Unregister(c, makers.Sometimes(m))
	conn.Unregister(c, makers.Reassigned(m))
	conn.Unregister(c, makers.PackageLevel())
	conn.Unregister(c, f())
	conn.Unregister(c, generic[int])
	conn.Unregister(c, makers.Generic[[]string])
	conn.Unregister(c, pair[int, session])
	conn.Unregister(both(c))
	for hk := range c.RemovalHooks() {
		conn.Unregister(c, hk)
	}

	kept := s.finalize
	conn.Register(c, kept)
	conn.Unregister(c, kept)
	closure := func(*conn.Connection) bool { return s.n > 0 }
	conn.Register(c, closure)
	conn.Registered(c, closure)
	conn.Unregister(c, closure)
	chain := conn.Chain(finalize)
	conn.Register(c, chain)
	conn.Unregister(c, chain)
	instance := generic[T]
	conn.Register(c, instance)
	conn.Unregister(c, instance)

	closure = s.finalize
	conn.Unregister(c, closure)
	s.hook = s.finalize
	conn.Register(c, s.hook)
	conn.Unregister(c, s.hook)
}

func local2() {
	type l struct{}
	var c conn.Connection
	conn.Unregister(&c, generic[l]) // the function around is not generic
}

func both(c *conn.Connection) (*conn.Connection, conn.RemovalHook) { return c, finalize }

// Functions of the same names elsewhere.

type registry struct{}

func (registry) Unregister(c *conn.Connection, hk conn.RemovalHook) bool { return true }

func others(c *conn.Connection, r registry, s *session) {
	r.Unregister(c, s.finalize)
	forget(c, s.finalize)
}

func forget(c *conn.Connection, hk conn.RemovalHook) bool { return conn.Unregister(c, hk) }
