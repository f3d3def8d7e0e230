// Package rightloop has loops that register hooks as they should, or may.
package rightloop

import (
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"

	"example.com/conn"
	"example.com/conn/disturb"
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
	name    string
	c       *conn.Connection
	parser  *session
	hook    conn.RemovalHook
	pending []packet
	onEnd   func(*conn.Connection)
	next    int
}

func (s *session) finalize(c *conn.Connection) bool { return s.n > 0 }
func (s session) byValue(c *conn.Connection) bool   { return s.n > 0 }
func (s *session) open(c *conn.Connection)          { s.c = c }
func (s *session) end()                             { conn.StateRemove(s.c) }
func (s *session) endLater()                        { s.more(0) }
func (s *session) more(n int) {
	if n > 3 {
		s.endLater()
	}
	s.end()
}
func (s *session) reset()     { *s = session{} }
func (s *session) resetConn() { *s.c = conn.Connection{} }
func (s *session) forget() {
	for hk := range s.c.RemovalHooks() {
		conn.Unregister(s.c, hk)
	}
}
func (s *session) callBack() { s.onEnd(s.c) }

func (s *session) numbered() conn.RemovalHook { // want numbered:"makes: true"
	s.next++
	id := s.next
	return func(*conn.Connection) bool { return id > 0 }
}

type id struct{ n int }

func (i id) hook(*conn.Connection) bool { return i.n > 0 }

func hookOf(i id) conn.RemovalHook { // want hookOf:"makes: true"
	return func(*conn.Connection) bool { return i.n > 0 }
}

func hookOfInt(i int) conn.RemovalHook { // want hookOfInt:"makes: true"
	return func(*conn.Connection) bool { return i > 0 }
}

type tcpConn struct {
	conn.Hooks[tcpConn]
	n int
}

func (t *tcpConn) saveBanner(*tcpConn) bool { return t.n > 0 }
func (t *tcpConn) end()                     { t.StateRemove(t) }
func (t *tcpConn) reset()                   { *t = tcpConn{} }
func (t *tcpConn) resetHooks()              { t.Hooks = conn.Hooks[tcpConn]{} }

type httpConn struct {
	*tcpConn
	url string
}

func (h *httpConn) move(t *tcpConn) { h.tcpConn = t }

type remover interface{ remove(c *conn.Connection) }

var current *conn.Connection

var handler remover

var global *session

func setCurrent(c *conn.Connection)               { current = c }
func setGlobal(s *session)                        { global = s }
func set(p **conn.Connection, c *conn.Connection) { *p = c }
func zero[T any](p *T)                            { var v T; *p = v }
func finalize(c *conn.Connection) bool            { return true }
func generic[T any](c *conn.Connection) bool      { return true }
func remove(c *conn.Connection)                   { conn.StateRemove(c) }
func removeAll(conns ...*conn.Connection) {
	for _, c := range conns {
		defer conn.StateRemove(c)
	}
}

// Connections of each iteration.

func overConns(conns []*conn.Connection, table map[string]*conn.Connection, values []conn.Connection, ch chan *conn.Connection, seq iter.Seq[*conn.Connection], s *session, tcp []*tcpConn) {
	for _, c := range conns {
		conn.Register(c, s.finalize)
	}
	for _, c := range table {
		conn.Register(c, func(*conn.Connection) bool { return s.n > 0 })
	}
	for i := range values {
		conn.Register(&values[i], s.finalize)
	}
	for i := 0; i < len(conns); i++ {
		conn.Register(conns[i], conn.Chain(s.finalize))
	}
	for c := range ch {
		conn.Register(c, s.finalize)
	}
	for c := range seq {
		conn.Register(c, s.finalize)
	}
	for c := range slices.Values(conns) {
		conn.Register(c, s.finalize)
	}
	for range 3 {
		c := new(conn.Connection)
		conn.Register(c, s.finalize)
	}
	for range 3 {
		var c conn.Connection
		conn.Register(&c, s.finalize)
	}
	for c := <-ch; c != nil; c = <-ch {
		conn.Register(c, s.finalize)
	}
	for _, t := range tcp {
		t.Register(t.saveBanner)
	}
	var c *conn.Connection
	for _, c = range conns {
		conn.Register(c, s.finalize)
	}
	for _, c := range conns {
		func() { conn.Register(c, s.finalize) }()
		func(c *conn.Connection) { conn.Register(c, s.finalize) }(c)
		helpers.Add(c, s.finalize)
	}
	for _, p := range s.pending {
		conn.Register(p.c, s.finalize)
	}
	for _, p := range s.pending {
		p.s.c = p.c
		conn.Register(s.c, s.finalize)
	}
next:
	c = <-ch
	conn.Register(c, s.finalize)
	if c != nil {
		goto next
	}
}

func reassigned(c *conn.Connection, conns []*conn.Connection, s *session, t *tcpConn, find func() *conn.Connection) {
	for i := range conns {
		conn.Register(c, s.finalize)
		c = conns[i]
	}
	for range 3 {
		c = new(conn.Connection)
		conn.Register(c, s.finalize)
	}
	for i := 0; i < 3; i, c = i+1, find() {
		conn.Register(c, s.finalize)
	}
	for range 3 {
		conn.Register(find(), s.finalize)
	}
	for range 3 {
		t.Register(t.saveBanner)
		t = &tcpConn{}
	}
}

func byClosure(c *conn.Connection, conns []*conn.Connection, s *session) {
	i := 0
	next := func() { c = conns[i]; i++ }
	for range conns {
		next()
		conn.Register(c, s.finalize)
	}
}

func byClosureAtOnce(c *conn.Connection, conns []*conn.Connection, s *session) {
	for i := range conns {
		func() { c = conns[i] }()
		conn.Register(c, s.finalize)
	}
}

func byDeferredClosure(c *conn.Connection, conns []*conn.Connection, s *session) {
	for i := range conns {
		func() {
			defer func() { c = conns[i] }()
			conn.Register(c, s.finalize)
		}()
	}
}

func byIterator(conns []*conn.Connection, s *session) {
	var c *conn.Connection
	each := func(yield func() bool) {
		for _, c = range conns {
			if !yield() {
				return
			}
		}
	}
	for range each {
		conn.Register(c, s.finalize)
	}
}

func byAddress(c *conn.Connection, conns []*conn.Connection, s *session) {
	for i := range conns {
		set(&c, conns[i])
		conn.Register(c, s.finalize)
	}
}

func byPointer(c *conn.Connection, conns []*conn.Connection, s *session) {
	p := &c
	for i := range conns {
		*p = conns[i]
		conn.Register(c, s.finalize)
	}
}

func byMethod(conns []*conn.Connection, s, other *session) {
	for _, c := range conns {
		s.open(c)
		conn.Register(s.c, s.finalize)
	}
	for range conns {
		conn.Register(s.c, s.finalize)
		s.reset()
	}
	for range conns {
		conn.Register(s.parser.c, s.finalize)
		s.parser = other
	}
}

func byGlobal(conns []*conn.Connection, s *session) {
	for _, c := range conns {
		setCurrent(c)
		conn.Register(current, s.finalize)
	}
	for _, p := range s.pending {
		setGlobal(p.s)
		conn.Register(s.c, global.finalize)
	}
}

func byEmbedding(h *httpConn, tcp []*tcpConn) {
	for _, t := range tcp {
		h.move(t)
		h.Register(h.saveBanner)
	}
}

// Connections that are removed, reset or lose their hooks in the loop.

func removed(c *conn.Connection, s *session, t *tcpConn) {
	for range 3 {
		conn.Register(c, s.finalize)
		conn.StateRemove(c)
		*c = conn.Connection{}
	}
	for range 3 {
		conn.Register(c, s.finalize)
		*c = conn.Connection{}
	}
	for range 3 {
		conn.Register(c, s.finalize)
		remove(c)
	}
	for range 3 {
		conn.Register(c, s.finalize)
		removeAll(c)
	}
	for range 3 {
		conn.Register(c, s.finalize)
		s.end()
	}
	for range 3 {
		conn.Register(c, s.finalize)
		s.endLater()
	}
	for range 3 {
		conn.Register(c, s.finalize)
		s.resetConn()
	}
	for range 3 {
		conn.Register(c, s.finalize)
		s.forget()
	}
	for range 3 {
		conn.Register(c, s.finalize)
		zero(c)
	}
	for range 3 {
		conn.Register(c, s.finalize)
		func() { conn.StateRemove(c) }()
	}
	for range 3 {
		t.Register(t.saveBanner)
		t.StateRemove(t)
	}
	for range 3 {
		t.Register(t.saveBanner)
		t.end()
	}
	for range 3 {
		t.Register(t.saveBanner)
		t.reset()
	}
	for range 3 {
		t.Register(t.saveBanner)
		t.resetHooks()
	}
	for range 3 {
		t.Register(t.saveBanner)
		t.Hooks = conn.Hooks[tcpConn]{}
	}
	var v conn.Connection
	for range 3 {
		v = conn.Connection{}
		conn.Register(&v, s.finalize)
	}
	values := make([]conn.Connection, 1)
	first := &values[0]
	for range 3 {
		conn.Register(first, s.finalize)
		clear(values)
	}
}

func removedByOthers(c *conn.Connection, s *session, r remover, closer io.Closer, f func(), once *sync.Once, log fmt.Stringer, done chan bool) {
	for range 3 {
		conn.Register(c, s.finalize)
		r.remove(c)
	}
	for range 3 {
		conn.Register(c, s.finalize)
		closer.Close()
	}
	for range 3 {
		conn.Register(c, s.finalize)
		f()
	}
	for range 3 {
		conn.Register(c, s.finalize)
		s.callBack()
	}
	for range 3 {
		conn.Register(c, s.finalize)
		s.onEnd(c)
	}
	for range 3 {
		conn.Register(c, s.finalize)
		once.Do(func() { conn.StateRemove(c) })
	}
	for range 3 {
		conn.Register(c, s.finalize)
		once.Do(s.end)
	}
	for range 3 {
		conn.Register(c, s.finalize)
		disturb.RemoveCurrent()
	}
	for range 3 {
		conn.Register(c, s.finalize)
		handler.remove(c)
	}
	for range 3 {
		conn.Register(c, s.finalize)
		_ = strings.Map(func(r rune) rune { conn.StateRemove(c); return r }, s.name)
	}
	for range 3 {
		conn.Register(c, s.finalize)
		done <- true
		<-done
	}
	for range 3 {
		conn.Register(c, s.finalize)
		go conn.StateRemove(c)
	}
	end := func() { conn.StateRemove(c) }
	for range 3 {
		conn.Register(c, s.finalize)
		end()
	}
	ends := map[string]func(){"tcp": end}
	for range 3 {
		conn.Register(c, s.finalize)
		ends["tcp"]()
	}
	for range 3 {
		conn.Register(c, s.finalize)
		endOf(c)()
	}
	for range packetsUntilEnd(c) {
		conn.Register(c, s.finalize)
	}
}

func endOf(c *conn.Connection) func() { return func() { conn.StateRemove(c) } } // want endOf:"makes: true"

func packetsUntilEnd(c *conn.Connection) iter.Seq[packet] { // want packetsUntilEnd:"makes: true"
	return func(yield func(packet) bool) {
		for yield(packet{}) {
			conn.StateRemove(c)
		}
	}
}

func takenBack(c *conn.Connection, t *tcpConn, s *session) {
	for range 3 {
		hk := s.finalize
		conn.Register(c, hk)
		conn.Unregister(c, hk)
	}
	for range 3 {
		hk := s.finalize
		conn.Register(c, hk)
		defer conn.Unregister(c, hk)
	}
	for range 3 {
		hk := t.saveBanner
		t.Register(hk)
		s.n++
		t.Unregister(hk)
	}
	for range 3 {
		conn.Register(c, s.finalize)
		for hk := range c.RemovalHooks() {
			conn.Unregister(c, hk)
		}
	}
	var hooks []conn.RemovalHook
	for range 3 {
		hk := conn.Chain(finalize)
		conn.Register(c, hk)
		hooks = append(hooks, hk)
	}
	for _, hk := range hooks {
		conn.Unregister(c, hk)
	}
}

// Registered once, or not certainly again.

func once(c *conn.Connection, s *session, t *tcpConn, o *sync.Once, packets []packet, found func(packet) bool) error {
	for _, p := range packets {
		if p.first {
			conn.Register(c, s.finalize)
		}
	}
	for _, p := range packets {
		if !p.first {
			continue
		}
		conn.Register(c, s.finalize)
	}
	for _, p := range packets {
		if p.first {
			conn.Register(c, s.finalize)
			break
		}
	}
	for range packets {
		conn.Register(c, s.finalize)
		break
	}
	for i, p := range packets {
		conn.Register(c, s.finalize)
		if p.first {
			break
		} else {
			s.n = i
			return nil
		}
	}
	for _, p := range packets {
		conn.Register(c, s.finalize)
		switch {
		case p.first:
			return nil
		default:
			panic("no packet")
		}
	}
	for _, p := range packets {
		_ = p.first && conn.Register(c, s.finalize)
	}
	for _, p := range packets {
		if p.first && conn.Register(c, s.finalize) {
			s.n++
		}
	}
	for range packets {
		if !conn.Register(c, s.finalize) {
			return fmt.Errorf("%s is over", c.UID)
		}
	}
	for !conn.Register(c, s.finalize) {
		s.n++
	}
	for {
		if conn.Register(c, s.finalize) {
			break
		}
	}
	for {
		if !conn.Register(c, s.finalize) {
			continue
		}
		return nil
	}
	for {
		if ok := conn.Register(c, s.finalize); ok {
			break
		}
	}
	for added := false; !added; {
		added = conn.Register(c, s.finalize)
	}
	for range packets {
		o.Do(func() { conn.Register(c, s.finalize) })
	}
	for range 1 {
		conn.Register(c, s.finalize)
	}
	for range []*session{s} {
		conn.Register(c, s.finalize)
	}
	for i := 0; i < 1; i++ {
		conn.Register(c, s.finalize)
	}
	for i := 1; i > 0; i-- {
		conn.Register(c, s.finalize)
	}
	for first := true; first; first = false {
		conn.Register(c, s.finalize)
	}
	for done := false; !done; done = true {
		conn.Register(c, s.finalize)
	}
	for ok := true; ok && s.n > 3; ok = false {
		conn.Register(c, s.finalize)
	}
	for range packets {
		func() {
			if s.n > 3 {
				return
			}
			conn.Register(c, s.finalize)
		}()
	}
	for range packets {
		_ = func() { conn.Register(c, s.finalize) }
	}
	for range packets {
		switch s.n {
		case 1:
			conn.Register(c, s.finalize)
		}
	}
	for range packets {
		if _, created := fieldOf.GetOrNew(c); created {
			conn.Register(c, s.finalize)
		}
	}
	for _, p := range packets {
		helpers.AddOnce(c, s.finalize)
		helpers.AddAndGo(c, s.finalize, p.size)
	}
outer:
	for range packets {
		for range packets {
			conn.Register(c, s.finalize)
			break outer
		}
	}
	for range packets {
		for range packets {
			conn.Register(c, s.finalize)
			goto done
		}
	}
done:
	for range packets {
		return fmt.Errorf("%v", conn.Register(c, s.finalize))
	}
	for range packets {
		conn.Register(c, func(*conn.Connection) bool {
			for range packets {
				conn.Register(c, finalize)
			}
			return true
		})
		break
	}
	goto forward // not back
forward:
	conn.Register(c, s.finalize)
	return nil
}

var fieldOf conn.Field[session]

func counted(c *conn.Connection, s *session, tried int) {
retry:
	if tried > 3 {
		return
	}
	tried++
	if s.n < tried {
		goto retry
	}
	conn.Register(c, s.finalize)
}

// Hooks that do something else in each iteration.

func different(c *conn.Connection, s *session, sessions []*session, packets []packet, hooks []conn.RemovalHook) {
	for _, p := range packets {
		conn.Register(c, p.s.finalize)
	}
	for _, s := range sessions {
		conn.Register(c, s.finalize)
	}
	for i := range packets {
		conn.Register(c, func(*conn.Connection) bool { return s.n > i })
	}
	for i := 0; i < 3; i++ {
		conn.Register(c, func(*conn.Connection) bool { return s.n > i })
	}
	for _, p := range packets {
		first := p.first
		conn.Register(c, func(*conn.Connection) bool { return first })
	}
	for _, p := range packets {
		s = p.s
		conn.Register(c, s.finalize)
	}
	for i := range packets {
		s.n = i
		conn.Register(c, s.byValue)
	}
	for i := range packets {
		s.parser = sessions[i]
		conn.Register(c, s.parser.finalize)
	}
	for range packets {
		conn.Register(c, s.numbered())
	}
	for i := range packets {
		conn.Register(c, hookOfInt(i))
	}
	for range packets {
		conn.Register(c, hookOfInt(s.n))
		s.n++
	}
	var v id
	for range packets {
		v.n++
		conn.Register(c, v.hook)
		conn.Register(c, hookOf(v))
	}
	for _, hk := range hooks {
		conn.Register(c, conn.Chain(hk, finalize))
	}
	for i := range hooks {
		conn.Register(c, conn.Chain(hooks[:i]...))
	}
	for range packets {
		conn.Register(c, conn.Chain(s.hook))
		s.hook = finalize
	}
	for range 3 {
		conn.Register(c, func(*conn.Connection) bool { s = nil; return true })
	}
	runs := 0
	for range 3 {
		conn.Register(c, func(*conn.Connection) bool { runs++; return true })
	}
	for _, name := range strings.Fields(s.name) {
		hk := func(*conn.Connection) bool { return name != "" }
		conn.Register(c, hk)
	}
	for range 3 {
		conn.Register(c, makeHook(sessions))
	}
}

func makeHook(sessions []*session) conn.RemovalHook { return sessions[0].finalize } // want makeHook:"makes: true"

// Hooks that are the same in each iteration.

func same[T any](c *conn.Connection, t *tcpConn, s *session) {
	hk := s.finalize
	chain := conn.Chain(finalize, hk)
	var later conn.RemovalHook
	for range 3 {
		conn.Register(c, finalize)
		conn.Register(c, hk)
		conn.Register(c, chain)
		conn.Register(c, s.hook)
		conn.Register(c, func(*conn.Connection) bool { return true })
		conn.Register(c, generic[T])
		conn.Register(c, later)
		t.Register((*tcpConn).Removed)
		t.Register(func(t *tcpConn) bool { return t.n > 0 })
		if later == nil {
			later = s.finalize
		}
	}
}
