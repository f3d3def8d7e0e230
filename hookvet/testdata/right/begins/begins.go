// Package begins has loops that run once, wait for others, or register what begins a connection.
package begins

import (
	"bufio"
	"fmt"
	"strings"

	"example.com/conn"
)

type session struct {
	c      *conn.Connection
	hosts  [1]string
	hooked bool
	hooks  int
	state  int
	off    int
	data   []byte
	next   *session
}

func (s *session) finalize(c *conn.Connection) bool { return s.hooked }

func (s *session) needsHook() bool { return !s.hooked }

func (s *session) nextSession() *session {
	s.c = new(conn.Connection)
	return s
}

// begin starts the next connection.
func (s *session) begin() conn.RemovalHook { // want begin:"makes: true"
	s.c = new(conn.Connection)
	return s.finalize
}

func (s *session) beginLiteral() conn.RemovalHook { // want beginLiteral:"makes: true"
	s.c = new(conn.Connection)
	return func(*conn.Connection) bool { return s.hooked }
}

func (s *session) hook() conn.RemovalHook { // want hook:"makes: true"
	return func(*conn.Connection) bool { return s.hooked }
}

func arguments(s *session, a *session, names []string) {
	for range names {
		conn.Register(s.c, s.begin())
	}
	for range names {
		conn.Register(s.c, s.beginLiteral())
	}
	for range names {
		conn.Register(s.c, a.finalize)
		conn.Register(s.c, s.begin())
	}
	for range names {
		conn.Register(s.c, a.hook())
		conn.Register(s.c, s.begin())
	}
	for range names {
		conn.Register(s.c, a.finalize)
		conn.Register(s.c, s.nextSession().finalize)
	}
	for range names {
		conn.Register(s.nextSession().c, a.finalize)
	}
	for range names {
		conn.Register(s.c, conn.Chain(a.finalize, s.begin()))
	}
}

func waits(c *conn.Connection, s *session, work chan int, conns chan *conn.Connection, done chan bool) {
	for range 3 {
		conn.Register(c, s.finalize)
		<-done
	}
	for range work {
		conn.Register(c, s.finalize)
	}
	for {
		conn.Register(c, s.finalize)
		if _, ok := <-work; !ok {
			break
		}
	}
	for {
		select {
		case <-work:
			conn.Register(c, s.finalize)
		case <-done:
			return
		}
	}
}

func once(c *conn.Connection, s *session, n int) {
	for range [1]string{"a"} {
		conn.Register(c, s.finalize)
	}
	for range s.hosts {
		conn.Register(c, s.finalize)
	}
	for range &s.hosts {
		conn.Register(c, s.finalize)
	}
	for i := range s.hosts {
		s.data = append(s.data, s.hosts[i]...)
		conn.Register(c, s.finalize)
	}
	for i := 0; i < len(s.hosts); i++ {
		conn.Register(c, s.finalize)
	}
	hosts := []string{"a"}
	for range hosts {
		conn.Register(c, s.finalize)
	}
	one := 1
	for range one {
		conn.Register(c, s.finalize)
	}
	for range s.data[:1] {
		conn.Register(c, s.finalize)
	}
	for range "x" {
		conn.Register(c, s.finalize)
	}
	for range []byte("x") {
		conn.Register(c, s.finalize)
	}
	for range map[string]int{"a": 1} {
		conn.Register(c, s.finalize)
	}
	for i := 1; i < 2; i++ {
		conn.Register(c, s.finalize)
	}
	for i := 0; i < 10; i += 10 {
		conn.Register(c, s.finalize)
	}
	for s.needsHook() {
		conn.Register(c, s.finalize)
		s.hooked = true
	}
	for s.hooks == 0 {
		conn.Register(c, s.finalize)
		s.hooks++
	}
	for s.hooks < 1 {
		conn.Register(c, s.finalize)
		s.hooks++
	}
	for s.state != 3 {
		conn.Register(c, s.finalize)
		s.state = 3
	}
	for !s.hooked {
		conn.Register(c, s.finalize)
		s.hooked = true
	}
	for n > 0 {
		conn.Register(c, s.finalize)
		n = 0
	}
}

func chained(s *session, sc *bufio.Scanner) {
	for s := s; s != nil; s = s.next {
		conn.Register(s.c, s.finalize)
	}
	for sc.Scan() {
		if strings.HasPrefix(sc.Text(), "begin") {
			s.c = new(conn.Connection)
		}
		conn.Register(s.c, s.finalize)
	}
	for sc.Scan() {
		switch fields := strings.Fields(sc.Text()); len(fields) {
		case 0:
			conn.Register(s.c, s.finalize)
		default:
			fmt.Println(fields)
		}
	}
}
