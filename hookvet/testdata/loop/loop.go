// Package loop has loops that register one hook more in each iteration.
package loop

import (
	"bufio"
	"fmt"
	"log"
	"strings"

	"example.com/conn"
	"example.com/conn/helpers"
)

type packet struct {
	c     *conn.Connection
	s     *session
	first bool
	size  int
}

type session struct {
	n       int
	c       *conn.Connection
	parser  *session
	hook    conn.RemovalHook
	pending []packet
}

func (s *session) finalize(c *conn.Connection) bool { return s.n > 0 }
func (s *session) handle(p packet)                  { s.pending = append(s.pending, p); s.count(p) }
func (s *session) count(p packet)                   { s.n += p.size; s.handleAgain() }
func (s *session) handleAgain() {
	if s.n > 3 {
		s.n--
		s.count(packet{})
	}
}

func (s *session) newHook() conn.RemovalHook { // want newHook:"makes: true"
	return func(*conn.Connection) bool { return s.n > 0 }
}

type tcpConn struct {
	conn.Hooks[tcpConn]
	n int
}

func (t *tcpConn) saveBanner(*tcpConn) bool { return t.n > 0 }

type flow struct {
	conn.Connection
	n int
}

type httpConn struct {
	*tcpConn
	url string
}

func finalize(c *conn.Connection) bool { return true }

var table struct{ c conn.Connection }

func method(c *conn.Connection, s *session, packets []packet) {
	for _, p := range packets {
		s.pending = append(s.pending, p)
		conn.Register(c, s.finalize) // want `^conn.Register adds a hook in each iteration of the loop: each evaluation of s.finalize makes a new one; make it once, before the loop$`
	}
}

func literal(c *conn.Connection, s *session, packets []packet) {
	for _, p := range packets {
		s.handle(p)
		conn.Register(c, func(*conn.Connection) bool { // want `^conn.Register adds a hook in each iteration of the loop: each evaluation of the function literal makes a new one; make it once, before the loop$`
			return s.n > 0
		})
	}
}

func chain(c *conn.Connection, s *session) {
	for range 3 {
		conn.Register(c, conn.Chain(finalize, s.finalize)) // want `each evaluation of conn.Chain.* makes a new one; make it once`
	}
}

func makers(c *conn.Connection, s *session) {
	for range 3 {
		conn.Register(c, s.newHook()) // want `each evaluation of s.newHook.* makes a new one`
	}
}

func converted(c *conn.Connection, s *session) {
	for range 3 {
		conn.Register(c, conn.RemovalHook(s.finalize)) // want `Register adds a hook`
	}
}

func forLoop(s *session) {
	var c conn.Connection
	for i := 0; i < 3; i++ {
		conn.Register(&c, s.finalize) // want `Register adds a hook`
	}
}

func lines(c *conn.Connection, s *session, sc *bufio.Scanner) error {
	for sc.Scan() {
		line := strings.TrimSpace(sc.Text())
		if line == "" {
			log.Printf("%s: empty", c.UID)
			return fmt.Errorf("empty line in %q", c.UID)
		}
		conn.Register(c, s.finalize) // want `Register adds a hook`
	}
	return sc.Err()
}

func forever(c *conn.Connection, s *session, sc *bufio.Scanner) {
	for {
		if !sc.Scan() {
			break
		}
		conn.Register(c, s.finalize) // want `Register adds a hook`
		s.handle(packet{})
	}
}

func labeled(c *conn.Connection, s *session, packets []packet) {
packets:
	for _, p := range packets {
		conn.Register(c, s.finalize) // want `Register adds a hook`
		for range p.size {
			if p.first {
				continue packets
			}
		}
	}
}

func jumps(c *conn.Connection, s *session, sc *bufio.Scanner) {
again:
	ok := sc.Scan()
	conn.Register(c, s.finalize) // want `Register adds a hook`
	s.handle(packet{size: len(sc.Bytes())})
	if ok {
		goto again
	}
}

func jumpsAtOnce(c *conn.Connection, s *session) {
again:
	conn.Register(c, s.finalize) // want `Register adds a hook`
	if s.n > 3 {
		goto again
	}
}

func post(c *conn.Connection, s *session, n int) {
	for i := 0; i < n; conn.Register(c, s.finalize) { // want `Register adds a hook`
		i++
	}
}

func inner(packets []packet, s *session) {
	for _, p := range packets {
		for range 3 {
			conn.Register(p.c, s.finalize) // want `Register adds a hook`
		}
	}
}

func innerInit(c *conn.Connection, s *session) {
	for range 3 {
		for conn.Register(c, s.finalize); s.n > 0; { // want `Register adds a hook`
			s.n--
		}
	}
}

func innerOnce(c *conn.Connection, s *session, packets []packet) {
	for range packets {
		for {
			conn.Register(c, s.finalize) // want `Register adds a hook`
			break
		}
	}
}

func variable(c *conn.Connection, s *session, packets []packet) {
	for range packets {
		hk := s.finalize
		conn.Register(c, hk) // want `Register adds a hook`
	}
	for range packets {
		hk := conn.Chain(finalize)
		s.n++
		conn.Register(c, hk) // want `Register adds a hook`
	}
}

func fields(s *session, packets []packet) {
	for range packets {
		conn.Register(s.c, s.parser.finalize) // want `Register adds a hook`
	}
	for range packets {
		conn.Register(&table.c, s.finalize) // want `Register adds a hook`
	}
}

func embedded(f *flow, s *session, packets []packet) {
	for i, p := range packets {
		f.n = i
		conn.Register(&f.Connection, s.finalize) // want `Register adds a hook`
		s.handle(p)
	}
}

func hooks(t *tcpConn, h *httpConn, s *session, packets []packet) {
	for range packets {
		t.Register(t.saveBanner)                                 // want `^t.Register adds a hook in each iteration of the loop: each evaluation of t.saveBanner makes a new one; declare saveBanner without its parameter, and pass the method expression \(\*tcpConn\).saveBanner$`
		h.Register(h.saveBanner)                                 // want `\(\*tcpConn\).saveBanner$`
		t.Hooks.Register(func(*tcpConn) bool { return s.n > 0 }) // want `Register adds a hook`
		(*conn.Hooks[tcpConn]).Register(&t.Hooks, t.saveBanner)  // want `Register adds a hook`
	}
}

func own(s *session) {
	var h conn.Hooks[session]
	for range 3 {
		h.Register(func(*session) bool { return s.n > 0 }) // want `Register adds a hook`
	}
}

func throughHelpers(c *conn.Connection, t *tcpConn, s *session, packets []packet) {
	for range packets {
		add(c, s.finalize)                    // want `add adds a hook in each iteration of the loop`
		helpers.Add(c, s.finalize)            // want `Add adds a hook in each iteration of the loop`
		helpers.AddTo(&t.Hooks, t.saveBanner) // want `AddTo adds a hook in each iteration of the loop`
		t.add(t.saveBanner)                   // want `add adds a hook in each iteration of the loop`
	}
}

func add(c *conn.Connection, hk conn.RemovalHook) { conn.Register(c, hk) } // want add:"passes: 2 to Register"

func (t *tcpConn) add(hk func(*tcpConn) bool) bool { return t.Register(hk) } // want add:"passes: 1 to Register"

func calledAtOnce(c *conn.Connection, s *session, packets []packet) {
	for _, p := range packets {
		func() {
			conn.Register(c, s.finalize) // want `Register adds a hook`
			if p.first {
				return
			}
			s.handle(p)
		}()
	}
	for range packets {
		func() {
			func() {
				s.n++
				conn.Register(c, s.finalize) // want `Register adds a hook`
			}()
		}()
	}
}

func inFunction(c *conn.Connection, s *session) {
	go func() {
		for range 3 {
			conn.Register(c, s.finalize) // want `Register adds a hook`
		}
	}()
}

func looked(table map[string]*conn.Connection, id string, s *session, packets []packet) {
	c := table[id]
	if c == nil {
		c = new(conn.Connection)
		table[id] = c
	}
	for _, p := range packets {
		conn.Register(c, s.finalize) // want `Register adds a hook`
		s.handle(p)
	}
	conn.StateRemove(c)
}

func counted(c *conn.Connection, s *session, packets []packet) (total int, err error) {
	seen := make(map[int]bool)
	for i, p := range packets {
		if p.size < 0 {
			return total, fmt.Errorf("packet %d: %w", i, err)
		}
		conn.Register(c, s.finalize) // want `Register adds a hook`
		total += p.size
		seen[p.size] = true
	}
	return total, nil
}

func number(c *conn.Connection, n int) {
	for range n {
		conn.Register(c, func(*conn.Connection) bool { return n > 0 }) // want `Register adds a hook`
	}
}

// A literal that captures nothing, and hooks that are known, in the same loops.
func known(c *conn.Connection, t *tcpConn, s *session, hk conn.RemovalHook, packets []packet) {
	kept := s.finalize
	for range packets {
		conn.Register(c, func(*conn.Connection) bool { return true })
		t.Register(func(t *tcpConn) bool { return t.n > 0 })
		conn.Register(c, finalize)
		conn.Register(c, kept)
		conn.Register(c, hk)
		conn.Register(c, s.hook)
		conn.Register(c, nil)
		t.Register((*tcpConn).Removed)
	}
}
