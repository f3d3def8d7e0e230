// Package loop has loops in which Register is reported, all with a suggested fix.
package loop

import (
	"iter"

	"example.com/conn"
)

type packet struct {
	c     *conn.Connection
	s     *session
	first bool
}

type session struct {
	n       int
	c       *conn.Connection
	parser  *session
	pending []packet
}

func (s *session) finalize(c *conn.Connection) bool { return s.n > 0 }
func (s *session) Close(c *conn.Connection) bool    { return s.n > 0 }

func finalize(c *conn.Connection) bool { return true }

func generic[T any](c *conn.Connection) bool { return true }

func count(bool) int { return 3 }

func handle(c *conn.Connection, p packet) {}

// The same connection and the same hook in every iteration.

func rangeLoop(c *conn.Connection, s *session, packets []packet) {
	for _, p := range packets {
		s.pending = append(s.pending, p)
		conn.Register(c, s.finalize) // want `^Register adds a hook in every iteration of the loop: every evaluation of the method value s.finalize makes a new hook; evaluate it once, before the loop, and register the variable$`
	}
}

func literal(c *conn.Connection, s *session, packets []packet) {
	for _, p := range packets {
		handle(c, p)
		conn.Register(c, func(*conn.Connection) bool { // want `Register adds a hook in every iteration of the loop: every evaluation of this function literal makes a new hook`
			return s.n > 0
		})
	}
}

func sharedLiteral(c *conn.Connection) {
	for range 3 {
		conn.Register(c, func(*conn.Connection) bool { return true }) // want `^Register may add a hook in every iteration of the loop: a function literal that captures nothing has a hook of its own wherever the compiler inlines it`
	}
}

func typeParameter[T any](c *conn.Connection) {
	for range 3 {
		conn.Register(c, generic[T]) // want `every evaluation of generic\[T\], which depends on a type parameter, makes a new hook`
	}
}

func converted(c *conn.Connection, s *session) {
	for range 3 {
		conn.Register(c, conn.RemovalHook(s.finalize)) // want `Register adds a hook in every iteration of the loop`
	}
}

func forLoop(s *session) {
	var c conn.Connection
	for i := 0; i < 3; i++ {
		conn.Register(&c, s.finalize) // want `Register adds a hook in every iteration of the loop`
	}
}

func forever(c *conn.Connection, s *session, packets chan packet) {
	for {
		p, ok := <-packets
		if !ok {
			break
		}
		conn.Register(c, s.finalize) // want `Register adds a hook in every iteration of the loop`
		handle(c, p)
	}
}

func rangeOverFunc(c *conn.Connection, s *session, packets iter.Seq[packet]) {
	for p := range packets {
		conn.Register(c, s.finalize) // want `Register adds a hook in every iteration of the loop`
		handle(c, p)
	}
}

func builtinName(c *conn.Connection, s *session) {
	for range 3 {
		conn.Register(c, s.Close) // want `Register adds a hook in every iteration of the loop`
	}
}

func nameTaken(c *conn.Connection, s *session) {
	for range 3 {
		conn.Register(c, s.finalize) // want `Register adds a hook in every iteration of the loop`
	}
	finalize(c)
}

func labeled(c *conn.Connection, s *session, packets []packet) {
packets:
	for _, p := range packets {
		conn.Register(c, s.finalize) // want `Register adds a hook in every iteration of the loop`
		if p.first {
			continue packets
		}
		handle(c, p)
	}
}

func inCase(c *conn.Connection, s *session, n int) {
	switch n {
	case 1:
		for range n {
			conn.Register(c, s.finalize) // want `Register adds a hook in every iteration of the loop`
		}
	}
}

func fields(s *session, packets []packet) {
	for range packets {
		conn.Register(s.c, s.parser.finalize) // want `Register adds a hook in every iteration of the loop`
	}
}

func resultUsed(c *conn.Connection, s *session, packets []packet) {
	for _, p := range packets {
		if conn.Register(c, s.finalize) { // want `Register adds a hook in every iteration of the loop`
			handle(c, p)
		}
	}
}

func condition(c *conn.Connection, s *session) {
	for conn.Register(c, s.finalize) { // want `Register adds a hook in every iteration of the loop`
		s.n++
	}
}

func innerLoop(packets []packet, s *session) {
	for _, p := range packets {
		for range 3 {
			conn.Register(p.c, s.finalize) // want `Register adds a hook in every iteration of the loop`
		}
	}
}

func innerInit(c *conn.Connection, s *session) {
	for range 3 {
		for conn.Register(c, s.finalize); s.n > 0; { // want `Register adds a hook in every iteration of the loop`
		}
	}
}

func innerRange(c *conn.Connection, s *session) {
	for range 3 {
		for range count(conn.Register(c, s.finalize)) { // want `Register adds a hook in every iteration of the loop`
		}
	}
}

func post(c *conn.Connection, s *session) {
	for i := 0; i < 3; conn.Register(c, s.finalize) { // want `Register adds a hook in every iteration of the loop`
		i++
	}
}

func tag(c *conn.Connection, s *session) {
	for range 3 {
		switch conn.Register(c, s.finalize) { // want `Register adds a hook in every iteration of the loop`
		case true:
			finalize(c)
		case false:
		}
	}
}

func literalWithVariables(c *conn.Connection, s *session) {
	for range 3 {
		conn.Register(c, func(c *conn.Connection) bool { n := s.n; return c != nil && n > 0 }) // want `Register adds a hook in every iteration of the loop`
	}
}

func askedAboutField(s *session) {
	for range 3 {
		if !conn.Registered(s.c, finalize) {
			break
		}
		conn.Register(s.c, s.finalize) // want `Register adds a hook in every iteration of the loop`
	}
}

func asked(s *session) {
	var c conn.Connection
	for range 3 {
		if !conn.Registered(&c, finalize) {
			s.n++
		}
		conn.Register(&c, s.finalize) // want `Register adds a hook in every iteration of the loop`
	}
}

func asserted(c *conn.Connection, s any) {
	for range 3 {
		conn.Register(c, s.(*session).finalize) // want `Register adds a hook in every iteration of the loop`
	}
}

func inFunction(c *conn.Connection, s *session) {
	go func() {
		for range 3 {
			conn.Register(c, s.finalize) // want `Register adds a hook in every iteration of the loop`
		}
	}()
}

func counted(c *conn.Connection) (n int) {
	for range 3 {
		conn.Register(c, func(*conn.Connection) bool { n++; return true }) // want `Register adds a hook in every iteration of the loop`
	}
	return n
}
