// Package parsers has parsers with a Field, generics, and sessions in loops.
package parsers

import (
	"bytes"
	"errors"
	"log"
	"strings"

	"example.com/conn"
)

type request struct {
	uri string
	id  int
}

type session struct {
	pending []request
	done    bool
	log     *log.Logger
}

var sessions conn.Field[session]

func finalize(c *conn.Connection) bool {
	s := sessions.Get(c)
	for _, r := range s.pending {
		s.log.Printf("%s: no reply to %s", c.UID, r.uri)
	}
	s.pending = nil
	return true
}

func onLines(c *conn.Connection, b []byte) {
	for len(b) > 0 {
		line, rest, _ := bytes.Cut(b, []byte("\n"))
		b = rest
		s, created := sessions.GetOrNew(c)
		if created {
			s.log = log.Default()
		}
		s.pending = append(s.pending, request{uri: string(line)})
		conn.Register(c, finalize)
	}
}

func onReply(c *conn.Connection, id int) {
	s := sessions.Get(c)
	if s == nil {
		return
	}
	if s.pending = s.pending[1:]; len(s.pending) == 0 && conn.Unregister(c, finalize) {
		s.done = true
	}
}

func onUpgrade(c *conn.Connection) {
	if conn.Unregister(c, finalize) {
		finalize(c)
	}
}

// A parser has a hook of its own, made once.
type parser struct {
	c    *conn.Connection
	hook conn.RemovalHook
	log  []string
}

func newParser(c *conn.Connection) *parser {
	p := &parser{c: c}
	p.hook = p.end
	return p
}

func (p *parser) end(c *conn.Connection) bool { p.log = append(p.log, c.UID); return true }

func (p *parser) onRequests(lines []string) {
	for range lines {
		conn.Register(p.c, p.hook)
	}
}

func (p *parser) onReplies(lines []string) {
	for range lines {
		conn.Unregister(p.c, p.hook)
	}
}

// move takes the hook along to another connection.
func (p *parser) move(to *conn.Connection) {
	if conn.Unregister(p.c, p.hook) {
		conn.Register(to, p.hook)
	}
	p.c = to
}

func distinct(c *conn.Connection, parsers []*parser, byName map[string]*parser) {
	for _, p := range parsers {
		conn.Register(c, p.end)
	}
	for _, p := range byName {
		conn.Register(c, func(c *conn.Connection) bool { return p.end(c) })
	}
	for i := range parsers {
		p := parsers[i]
		conn.Register(c, func(c *conn.Connection) bool { return p.end(c) })
		conn.Register(c, parsers[i].end)
	}
	for len(parsers) > 0 {
		p := parsers[0]
		parsers = parsers[1:]
		conn.Register(c, p.end)
	}
	var p *parser
	for len(parsers) > 0 {
		p, parsers = parsers[0], parsers[1:]
		conn.Register(c, p.end)
	}
	for range parsers {
		conn.Register(c, newParser(c).end)
	}
}

// An analyzer is generic over the state of its protocol.
type analyzer[S any] struct {
	field conn.Field[S]
	end   func(*conn.Connection, *S) bool
	hook  conn.RemovalHook
}

func newAnalyzer[S any](end func(*conn.Connection, *S) bool) *analyzer[S] {
	a := &analyzer[S]{end: end}
	a.hook = func(c *conn.Connection) bool { return a.end(c, a.field.Get(c)) }
	return a
}

func (a *analyzer[S]) state(c *conn.Connection) *S {
	s, _ := a.field.GetOrNew(c)
	conn.Register(c, a.hook)
	return s
}

func (a *analyzer[S]) finalize(c *conn.Connection) bool { return a.end(c, a.field.Get(c)) }

func (a *analyzer[S]) all(conns []*conn.Connection) {
	for _, c := range conns {
		conn.Register(c, a.finalize)
	}
}

func register[P interface {
	comparable
	finalize(*conn.Connection) bool
}](c *conn.Connection, ps ...P) {
	var zero P
	for _, p := range ps {
		if p != zero {
			conn.Register(c, p.finalize)
		}
	}
}

type ring[T any] struct {
	items []T
	at    int
}

func (r *ring[T]) next() T {
	r.at++
	return r.items[r.at%len(r.items)]
}

func ringed(c *conn.Connection, parsers *ring[*parser], conns *ring[*conn.Connection], n int) {
	for range n {
		conn.Register(c, parsers.next().end)
	}
	for range n {
		conn.Register(conns.next(), newParser(c).end)
	}
	for range n {
		p := parsers.next()
		conn.Register(c, p.end)
	}
}

func retried(c *conn.Connection, p *parser, dial func() error) error {
	var err error
	for range 3 {
		if err = dial(); err == nil {
			conn.Register(c, p.end)
			return nil
		}
	}
	return errors.Join(err)
}

func fields(c *conn.Connection, p *parser, line string) {
	for i, field := range strings.Fields(line) {
		if i == 0 {
			conn.Register(c, p.end)
			continue
		}
		p.log = append(p.log, field)
	}
}
