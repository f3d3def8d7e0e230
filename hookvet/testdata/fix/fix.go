// Package fix has what is reported with a suggested fix, and what is reported without one because of the code around.
// Fixes in loops are in package loop.
package fix

import "example.com/conn"

type session struct {
	n      int
	parser *session
}

func (s *session) finalize(c *conn.Connection) bool { return s.n > 0 }
func (s *session) Finalize(c *conn.Connection) bool { return s.n > 0 }
func (s *session) Close(c *conn.Connection) bool    { return s.n > 0 }
func (s *session) Select(c *conn.Connection) bool   { return s.n > 0 }

func generic[T any](c *conn.Connection) bool { return true }

func work() {}

// Fixed.

func methodValue(c *conn.Connection, s, t *session) {
	s = t
	conn.Register(c, s.finalize)
	conn.Unregister(c, s.finalize) // want `cannot find`
}

func everyCall(c *conn.Connection, s *session) {
	if !conn.Register(c, conn.RemovalHook(s.finalize)) {
		s.Close(c)
	}
	defer conn.Unregister(c, s.finalize) // want `cannot find`
	defer func() {
		conn.Unregister(c, s.finalize) // want `cannot find`
	}()
	if conn.Registered(c, (s.finalize)) { // want `cannot find`
		work()
	}
}

func literal(c *conn.Connection, n int) {
	conn.Register(c, func(c *conn.Connection) bool { return c != nil && n > 0 /* the comment stays */ })
	conn.Unregister(c, func(c *conn.Connection) bool { return c != nil && n > 0 /* the comment stays */ }) // want `cannot find`
}

func typeParameter[T any](c *conn.Connection) {
	conn.Register(c, generic[T])
	conn.Unregister(c, generic[T]) // want `cannot find`
}

func inClause(c *conn.Connection, s *session, n int) {
	switch n {
	case 1:
		conn.Register(c, s.finalize)
		conn.Unregister(c, s.finalize) // want `cannot find`
	}
}

func names(c *conn.Connection, s *session) {
	conn.Register(c, s.Finalize)
	conn.Unregister(c, s.Finalize) // want `cannot find`
	conn.Register(c, s.Close)
	conn.Unregister(c, s.Close) // want `cannot find`
	conn.Register(c, s.Select)
	conn.Unregister(c, s.Select) // want `cannot find`
	var finalize int
	_ = finalize
	conn.Register(c, s.finalize)
	conn.Unregister(c, s.finalize) // want `cannot find`
}

var inVariable = func(c *conn.Connection, s *session) {
	conn.Register(c, s.finalize)
	conn.Unregister(c, s.finalize) // want `cannot find`
}

// Not fixed: it is not clear what is meant.

func notRegistered(c, d *conn.Connection, s, t *session) {
	conn.Unregister(c, s.finalize) // want `cannot find`
	conn.Register(d, s.finalize)
	conn.Register(c, t.finalize)
}

func otherConnection(c, d *conn.Connection, s *session) {
	conn.Register(d, s.finalize)
	conn.Unregister(c, s.finalize) // want `cannot find`
}

func before(c *conn.Connection, s *session) {
	conn.Unregister(c, s.finalize) // want `cannot find`
	conn.Register(c, s.finalize)
}

func twice(c *conn.Connection, s *session) {
	conn.Register(c, s.finalize)
	conn.Register(c, s.finalize)
	conn.Unregister(c, s.finalize) // want `cannot find`
}

func outOfSight(c *conn.Connection, s *session, n int) {
	if n > 0 {
		conn.Register(c, s.finalize)
	}
	conn.Unregister(c, s.finalize) // want `cannot find`
}

func otherSession(c *conn.Connection, s, t *session) {
	conn.Register(c, s.finalize)
	s = t
	conn.Unregister(c, s.finalize) // want `cannot find`
}

func otherParser(c *conn.Connection, s, t *session) {
	conn.Register(c, s.parser.finalize)
	s.parser = t
	conn.Unregister(c, s.parser.finalize) // want `cannot find`
}

func sameName(c *conn.Connection, s, t *session) {
	conn.Register(c, s.finalize)
	func(s *session) {
		conn.Unregister(c, s.finalize) // want `cannot find`
	}(t)
}

func tooEarly(c *conn.Connection) {
	if s := new(session); conn.Register(c, s.finalize) { // want `^Register's result`
		conn.Unregister(c, s.finalize) // want `cannot find`
	}
}

func unknownReceiver(c *conn.Connection, next func() *session) {
	conn.Register(c, next().finalize)
	conn.Unregister(c, next().finalize) // want `cannot find`
}

func otherLiteral(c *conn.Connection, n int) {
	conn.Register(c, func(*conn.Connection) bool { return n > 0 })
	conn.Unregister(c, func(*conn.Connection) bool { return n > 1 }) // want `cannot find`
}

func made(c *conn.Connection, s *session) {
	conn.Register(c, conn.Chain(s.finalize))
	conn.Unregister(c, conn.Chain(s.finalize)) // want `cannot find`
}
