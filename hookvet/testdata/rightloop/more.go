package rightloop

import (
	"bufio"
	"net"
	"sync"
	"sync/atomic"

	"example.com/conn"
)

type node struct {
	conn.Hooks[node]
	next *node
	prev *node
	kids []*node
	c    conn.Connection
}

func (n *node) done(*node) bool { return n.next == nil }

func (n *node) advance(list **node) { *list = n.next }

type list struct {
	cur   *node
	nodes []node
	i     int
	ptr   atomic.Pointer[node]
	mu    sync.Mutex
}

func (l *list) move()             { l.cur = l.cur.next }
func (l *list) moveTo(i int)      { l.cur = &l.nodes[i] }
func (l *list) swap(other **node) { l.cur, *other = *other, l.cur }
func (l *list) load() *node       { return l.ptr.Load() }

func swap[T any](a, b *T) { *a, *b = *b, *a }

func linked(n, root *node, l *list, conns []conn.Connection) {
	for m := root; m != nil; m = m.next {
		m.Register(n.done)
	}
	for n.next != nil {
		n.Register(root.done)
		n = n.next
	}
	for range 3 {
		l.cur.Register(root.done)
		l.move()
	}
	for i := range 3 {
		l.cur.Register(root.done)
		l.moveTo(i)
	}
	for range 3 {
		l.cur.Register(root.done)
		l.swap(&root)
	}
	for range 3 {
		l.cur.Register(n.done)
		swap(&l.cur, &l.cur.next)
	}
	for range 3 {
		l.nodes[l.i].Register(n.done)
		l.i++
	}
	for range 3 {
		l.load().Register(n.done)
	}
	for range 3 {
		l.cur.next.prev.Register(n.done)
		l.cur.next.prev, l.cur.next.next = n, n
	}
	for _, kid := range n.kids {
		kid.advance(&n.next)
		conn.Register(&n.next.c, func(*conn.Connection) bool { return root != nil })
	}
	for _, l.cur = range n.kids {
		l.cur.Register(n.done)
	}
	for i := range l.nodes {
		p := &l.nodes[i]
		p.Register(n.done)
		conn.Register(&p.c, conn.Chain(finalize))
	}
	for i := range conns {
		func(c *conn.Connection) {
			conn.Register(c, func(*conn.Connection) bool { return n != nil })
		}(&conns[i])
	}
	for range 3 {
		l.mu.Lock()
		l.cur.Register(n.done)
		l.mu.Unlock()
	}
	for range 3 {
		*n = node{}
		n.Register(root.done)
	}
	for range 3 {
		*l = list{cur: n}
		l.cur.Register(root.done)
	}
again:
	n.Register(root.done)
	n = n.next
	if n != nil {
		goto again
	}
}

func accepted(ln net.Listener, s *session, pool *sync.Pool, table map[string]*conn.Connection, sc *bufio.Scanner, ch chan *conn.Connection) error {
	for {
		if _, err := ln.Accept(); err != nil {
			break
		}
		c := pool.Get().(*conn.Connection)
		conn.Register(c, s.finalize)
	}
	var c *conn.Connection
	for sc.Scan() {
		if c = table[sc.Text()]; c == nil {
			c = new(conn.Connection)
			table[sc.Text()] = c
		}
		conn.Register(c, s.finalize)
	}
	for sc.Scan() {
		var ok bool
		if c, ok = table[sc.Text()]; !ok {
			continue
		}
		conn.Register(c, s.finalize)
	}
	for sc.Scan() {
		select {
		case c = <-ch:
		default:
		}
		conn.Register(c, s.finalize)
	}
	for sc.Scan() {
		c := lookUp(table, sc.Text())
		conn.Register(c, s.finalize)
	}
	for sc.Scan() {
		pool.Put(c)
		c = pool.Get().(*conn.Connection)
		conn.Register(c, s.finalize)
	}
	return sc.Err()
}

func lookUp(table map[string]*conn.Connection, id string) *conn.Connection { return table[id] }

func ofAny(x any, s *session, n *node, nodes []*node) {
	switch x := x.(type) {
	case *node:
		for i := range nodes {
			x = nodes[i]
			x.Register(n.done)
		}
	case conn.RemovalHook:
		if s.n > 3 {
			x = s.finalize
		}
		conn.Unregister(s.c, x)
	}
}

type embedsSession struct {
	*session
	flow node
}

func (e *embedsSession) setSession(s *session) { e.session = s }

func promoted(c *conn.Connection, e *embedsSession, sessions []*session) {
	for _, s := range sessions {
		e.session = s
		conn.Register(c, e.finalize)
	}
	for _, s := range sessions {
		e.setSession(s)
		conn.Register(c, e.finalize)
	}
	for _, s := range sessions {
		e := &embedsSession{session: s}
		conn.Register(c, e.finalize)
	}
	for _, s := range sessions {
		*e = embedsSession{session: s}
		conn.Register(c, e.finalize)
	}
}

func workers(jobs chan *node, n *node, wg *sync.WaitGroup) {
	for range 3 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for job := range jobs {
				job.Register(n.done)
				job.StateRemove(job)
			}
		}()
	}
	for range 3 {
		wg.Go(func() { n.Register(n.done) })
	}
	for range 3 {
		defer n.Register(n.done)
	}
	for range 3 {
		defer func() { n.Register(n.done) }()
	}
}

func handedOver(c *conn.Connection, s *session, in, out chan *conn.Connection) {
	for range 3 {
		conn.Register(c, s.finalize)
		out <- c
		c = <-in
	}
	for range 3 {
		conn.Register(c, s.finalize)
		out <- c
		<-in
	}
}

func reset(c *conn.Connection) { *c = conn.Connection{UID: c.UID} }

func resetIf(c *conn.Connection, s *session, packets []packet) {
	for _, p := range packets {
		conn.Register(c, s.finalize)
		if p.first {
			reset(c)
		}
	}
	for _, p := range packets {
		conn.Register(c, s.finalize)
		if p.first && conn.StateRemove(c) {
			return
		}
	}
	for _, p := range packets {
		conn.Register(c, s.finalize)
		handlers[p.size](c)
	}
	for _, p := range packets {
		conn.Register(c, s.finalize)
		handlerOf[p.size].remove(c)
	}
}

var handlers []func(*conn.Connection)

var handlerOf []remover

func spread(c *conn.Connection, hooks, bodies []conn.RemovalHook) {
	for i := range hooks {
		bodies[0] = hooks[i]
		conn.Register(c, conn.Chain(bodies...))
	}
}

type finalizer interface{ finalize(*conn.Connection) bool }

func ofInterfaces(c *conn.Connection, fs []finalizer, f finalizer) {
	for _, f := range fs {
		conn.Register(c, f.finalize)
	}
	for i := range fs {
		f = fs[i]
		conn.Register(c, f.finalize)
	}
}
