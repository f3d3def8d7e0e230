// Package nearloop has loops in which Register is not reported.
package nearloop

import (
	"log"

	"example.com/conn"
	"example.com/conn/makers"
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
func (s session) byValue(c *conn.Connection) bool   { return s.n > 0 }
func (s *session) next() bool                       { return s.n > 0 }

func finalize(c *conn.Connection) bool { return true }

func generic[T any](c *conn.Connection) bool { return true }

func reuse(c *conn.Connection) bool { return true }

// Another connection each time.

func connections(conns []*conn.Connection, packets []packet, s *session, next func() *conn.Connection, ch chan *conn.Connection) {
	for _, c := range conns {
		conn.Register(c, s.finalize)
	}
	for i := range conns {
		conn.Register(conns[i], s.finalize)
	}
	for _, p := range packets {
		conn.Register(p.c, s.finalize)
	}
	for range packets {
		c := new(conn.Connection)
		conn.Register(c, s.finalize)
	}
	for range packets {
		conn.Register(new(conn.Connection), s.finalize)
		conn.Register(next(), s.finalize)
		conn.Register(<-ch, s.finalize)
	}
	var c *conn.Connection
	for range packets {
		c = next()
		conn.Register(c, s.finalize)
	}
	for _, c = range conns {
		conn.Register(c, s.finalize)
	}
	var j int
	for j = range conns {
		conn.Register(conns[j], s.finalize)
	}
	for i := 0; i < len(conns); {
		conn.Register(conns[i], s.finalize)
		i++
	}
	n := 0
	for n < len(conns) {
		conn.Register(conns[n], s.finalize)
		n++
	}
	for s.next() {
		conn.Register(s.c, finalizeOf(s))
		conn.Register(s.c, func(*conn.Connection) bool { return true })
	}
	for range packets {
		conns[0] = new(conn.Connection)
		conn.Register(conns[0], s.finalize)
	}
	for _, p := range packets {
		s.c = p.c
		conn.Register(s.c, s.finalize)
	}
}

func finalizeOf(s *session) conn.RemovalHook { // want finalizeOf:"makesHooks"
	return s.finalize
}

func reused(s *session) {
	var c conn.Connection
	for range 3 {
		conn.Register(&c, s.finalize)
		c = conn.Connection{}
	}
	p := &c
	for range 3 {
		conn.Register(p, s.finalize)
		*p = conn.Connection{}
	}
	for range 3 {
		conn.Register(p, s.finalize)
		conn.StateRemove(p)
	}
	for reuse(&c) {
		conn.Register(&c, s.finalize)
	}
}

// Another hook each time.

func hooks(c *conn.Connection, packets []packet, sessions []*session, s *session) {
	for _, s := range sessions {
		conn.Register(c, s.finalize)
	}
	for i := range sessions {
		conn.Register(c, sessions[i].finalize)
	}
	for i, s := range sessions {
		conn.Register(c, func(*conn.Connection) bool { return i > 0 })
		conn.Register(c, func(*conn.Connection) bool { return s.n > 0 })
	}
	for i := 0; i < 3; i++ {
		conn.Register(c, func(*conn.Connection) bool { return i > 0 })
	}
	for range packets {
		s := new(session)
		conn.Register(c, s.finalize)
	}
	for _, p := range packets {
		s = p.s
		conn.Register(c, s.finalize)
	}
	for range packets {
		conn.Register(c, newSession().finalize)
	}
	for _, p := range packets {
		s.parser = p.s
		conn.Register(c, s.parser.finalize)
	}
	for range packets {
		conn.Register(c, s.parser.finalize)
		s.next()
	}
	for range packets {
		conn.Register(c, sessions[0].finalize)
		fill(sessions)
	}
	for range packets {
		conn.Register(c, finalizeOf(s))
		conn.Register(c, conn.Chain(finalize))
	}
	var v session
	for range packets {
		v.n++
		conn.Register(c, v.byValue)
	}
}

func fill(sessions []*session) {}

func newSession() *session { return new(session) }

// The same hook, or one that may be the same.

func sameHook(c *conn.Connection, s *session, hk conn.RemovalHook) {
	kept := s.finalize
	for range 3 {
		conn.Register(c, kept)
		conn.Register(c, hk)
		conn.Register(c, finalize)
		conn.Register(c, generic[int])
		conn.Register(c, makers.TopLevel())
		fresh := s.finalize
		conn.Register(c, fresh) // kept in a variable, the reader is warned
	}
}

// Once, or maybe once.

func once(c *conn.Connection, s *session, packets []packet) {
	conn.Register(c, s.finalize)
	for _, p := range packets {
		if p.first {
			conn.Register(c, s.finalize)
		}
	}
	done := false
	for range packets {
		if done {
			continue
		}
		done = true
		conn.Register(c, s.finalize)
	}
	for range packets {
		conn.Register(c, s.finalize)
		break
	}
	for _, p := range packets {
		if !p.first {
			continue
		}
		conn.Register(c, s.finalize)
		break
	}
	for i := range packets {
		switch i {
		case 0:
			conn.Register(c, s.finalize)
		}
	}
	for range packets {
		conn.Register(c, s.finalize)
		log.Fatal("end")
	}
outer:
	for _, p := range packets {
		s := p.s
		for range 3 {
			conn.Register(c, s.finalize)
			continue outer
		}
	}
	for conn.Register(c, s.finalize); s.next(); {
	}
	for range count(conn.Register(c, s.finalize)) {
	}
	for range packets {
		conn.Register(c, s.finalize)
		return
	}
}

func count(bool) int { return 3 }

// A function literal in a loop runs who knows when.

func later(c *conn.Connection, s *session, packets []packet) []func() {
	var fs []func()
	for range packets {
		fs = append(fs, func() { conn.Register(c, s.finalize) })
	}
	return fs
}
