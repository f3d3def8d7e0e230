// Package stages has named fields of Hooks, connections that end in two stages, and proxies.
package stages

import (
	"log"

	"example.com/conn"
)

type tcpConn struct {
	onClose  conn.Hooks[tcpConn] // when both sides have finished
	onRemove conn.Hooks[tcpConn] // when the table forgets it
	peer     *tcpConn
	self     *tcpConn
	saved    string
}

func (t *tcpConn) saveBanner() bool { t.saved = "banner"; return true }

func (t *tcpConn) close() {
	t.onRemove.Register((*tcpConn).forget)
	t.onClose.StateRemove(t)
	t.onRemove.Register((*tcpConn).saveBanner)
}

func (t *tcpConn) forget() bool {
	t.onRemove.StateRemove(t)
	return true
}

// second is a hook of the first stage that ends the second: t and c are one.
func (t *tcpConn) second(c *tcpConn) bool { return t.onRemove.StateRemove(c) }

func hook(t *tcpConn) {
	t.onClose.Register(t.second)
	t.onClose.Register(func(c *tcpConn) bool { return t.onRemove.StateRemove(c) })
	defer func() {
		if v := recover(); v != nil {
			log.Print(v)
		}
	}()
	t.onClose.StateRemove(t)
}

func aliases(t *tcpConn, list []*tcpConn, x any) {
	self := t
	t.onClose.StateRemove(self)
	t.onClose.StateRemove(t.self)
	t.peer.onClose.StateRemove(t.peer)
	for _, u := range list {
		if u == t {
			u.onClose.StateRemove(t)
		}
	}
	if u, ok := x.(*tcpConn); ok {
		u.onClose.StateRemove(x.(*tcpConn))
	}
	var v tcpConn
	p := &v
	v.onClose.StateRemove(p)
	p.onClose.StateRemove(&v)
	v.onRemove.StateRemove(&v)
	list[0].onClose.StateRemove(list[0])
}

func same(a, b *tcpConn) {
	if a == b {
		a.onClose.StateRemove(b)
	}
	b = a
	a.onClose.StateRemove(b)
}

func assigned(a, b *tcpConn) {
	b = a
	a.onClose.StateRemove(b)
}

func sameSaved(a, b *tcpConn) {
	if a.saved == b.saved {
		a.onClose.StateRemove(b)
	}
}

func fresh(list []*tcpConn) {
	t := &tcpConn{}
	list = append(list, t)
	u := list[len(list)-1]
	u.onClose.StateRemove(t)
}

// A session's hooks are kept by its proxy.
type session struct{ name string }

type proxy struct {
	hooks conn.Hooks[session]
	s     *session
}

func (p *proxy) end() { p.hooks.StateRemove(p.s) }

func (p *proxy) endOf(s *session) { p.hooks.StateRemove(s) }

func endAll(h *conn.Hooks[tcpConn], t *tcpConn) { h.StateRemove(t) }

type remover interface{ StateRemove(*tcpConn) bool }

func endAny(r remover, t *tcpConn) { r.StateRemove(t) }

type httpConn struct {
	*embeds
	url string
}

type embeds struct {
	conn.Hooks[embeds]
	n int
}

func (h *httpConn) end()                      { h.StateRemove(h.embeds) }
func (h *httpConn) endOf(e *embeds)           { h.StateRemove(e) }
func (e *embeds) endWith(h *httpConn)         { e.StateRemove(h.embeds) }
func (e *embeds) finalize(other *embeds) bool { return e.StateRemove(other) }

// again registers in a hook, where the removal is not over.
func again(c *conn.Connection) bool {
	conn.StateRemove(c)
	conn.Register(c, finalize)
	return true
}

func finalize(*conn.Connection) bool { return true }

func replaced(c *conn.Connection) {
	conn.Register(c, func(*conn.Connection) bool { c = new(conn.Connection); return true })
	conn.StateRemove(c)
	conn.Register(c, finalize)
}

func byAddress(c *conn.Connection, replace func(**conn.Connection)) {
	replace(&c)
	conn.StateRemove(c)
	conn.Register(c, finalize)
}

func renewed(c *conn.Connection, renew func() conn.RemovalHook) {
	conn.StateRemove(c)
	conn.Register(c, renew())
}

func field(s *struct{ c *conn.Connection }) {
	conn.StateRemove(s.c)
	conn.Register(s.c, finalize)
}

func two(t, u *embeds) {
	t.StateRemove(t)
	u.Register((*embeds).done)
}

func (e *embeds) done() bool { return e.n > 0 }

type reconnects struct {
	*embeds
	n int
}

func (r *reconnects) connect(*embeds) bool { r.embeds = &embeds{}; return true }

// reconnected has a hook that starts the next connection.
func reconnected(r *reconnects) {
	r.Register(r.connect)
	r.StateRemove(r.embeds)
	r.Register((*embeds).done)
}

func stage(t *tcpConn) {
	t.onClose.StateRemove(t)
	t.onRemove.Register((*tcpConn).saveBanner)
}
