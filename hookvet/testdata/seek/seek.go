// Package seek has calls of Unregister and Registered with hooks that cannot be registered.
package seek

import (
	"example.com/conn"
	. "example.com/conn"
	renamed "example.com/conn"
	"example.com/conn/helpers"
)

type session struct {
	n  int
	c  *conn.Connection
	in inner
}

type inner struct{}

func (s *session) finalize(c *conn.Connection) bool { return s.n > 0 }
func (s session) byValue(c *conn.Connection) bool   { return s.n > 0 }
func (inner) finalize(c *conn.Connection) bool      { return true }

type finalizer interface {
	finalize(c *conn.Connection) bool
}

type embeds struct{ *session }

type tcpConn struct {
	conn.Hooks[tcpConn]
	banner string
	h      *httpConn
}

func (t *tcpConn) saveBanner(*tcpConn) bool { return t.banner != "" }
func (t tcpConn) byValue(*tcpConn) bool     { return t.banner != "" }
func (t *tcpConn) save() bool               { return t.banner != "" }

type httpConn struct{ *tcpConn }

type logger struct{}

func (logger) log(*tcpConn) bool { return true }

type flow[T any] struct {
	conn.Hooks[flow[T]]
	v T
}

func (f *flow[T]) done(*flow[T]) bool { return true }

var global session

func finalize(c *conn.Connection) bool { return true }

func generic[T any](c *conn.Connection) bool { return true }

func literals(c *conn.Connection, n int) {
	conn.Unregister(c, func(*conn.Connection) bool { return true })    // want `^conn.Unregister never finds this hook: no other call gets this function literal; keep the one that is registered in a variable$`
	conn.Registered(c, func(*conn.Connection) bool { return n > 0 })   // want `^conn.Registered never finds this hook: no other call gets this function literal`
	conn.Unregister(c, (func(*conn.Connection) bool { return n > 0 })) // want `Unregister never finds this hook`
	conn.Unregister(c, conn.RemovalHook(func(*conn.Connection) bool {  // want `Unregister never finds this hook`
		return n > 0
	}))
	Unregister(c, func(*conn.Connection) bool { return true })            // want `Unregister never finds this hook`
	renamed.Unregister(c, func(*conn.Connection) bool { return true })    // want `Unregister never finds this hook`
	(conn.Unregister)(c, func(*conn.Connection) bool { return true })     // want `Unregister\) never finds this hook`
	if !conn.Unregister(c, func(*conn.Connection) bool { return true }) { // want `Unregister never finds this hook`
		return
	}
	defer conn.Unregister(c, func(*conn.Connection) bool { return true }) // want `Unregister never finds this hook`
}

func methodValues(c *conn.Connection, s *session, f finalizer, e embeds) {
	conn.Register(c, s.finalize)
	conn.Unregister(c, s.finalize)                     // want `^conn.Unregister never finds this hook: each evaluation of s.finalize makes a new one; keep the one that is registered in a variable$`
	conn.Registered(c, s.byValue)                      // want `^conn.Registered never finds this hook: each evaluation of s.byValue makes a new one`
	conn.Unregister(c, s.in.finalize)                  // want `each evaluation of s.in.finalize makes`
	conn.Unregister(c, global.finalize)                // want `each evaluation of global.finalize makes`
	conn.Unregister(c, f.finalize)                     // want `each evaluation of f.finalize makes`
	conn.Unregister(c, e.finalize)                     // want `each evaluation of e.finalize makes`
	conn.Unregister(c, (conn.RemovalHook)(s.finalize)) // want `each evaluation of s.finalize makes`
	if !conn.Registered(c, s.finalize) {               // want `each evaluation of s.finalize makes`
		conn.Register(c, s.finalize)
	}
	defer conn.Unregister(c, s.finalize) // want `each evaluation of s.finalize makes`
	go func() {
		conn.Unregister(c, s.finalize) // want `each evaluation of s.finalize makes`
	}()
}

var inVariable = conn.Unregister(nil, global.finalize) // want `each evaluation of global.finalize makes`

func calls(c *conn.Connection, s *helpers.Session) {
	conn.Unregister(c, conn.Chain(finalize))                                       // want `^conn.Unregister never finds this hook: each evaluation of conn.Chain.* makes a new one; keep the one that is registered in a variable$`
	conn.Registered(c, helpers.Capturing(1))                                       // want `each evaluation of helpers.Capturing.* makes a new one`
	conn.Unregister(c, s.NewHook())                                                // want `each evaluation of s.NewHook.* makes a new one`
	conn.Unregister(c, (helpers.Chained()))                                        // want `each evaluation of helpers.Chained.* makes a new one`
	conn.Unregister(c, helpers.FuncType(1))                                        // want `each evaluation of helpers.FuncType.* makes a new one`
	conn.Unregister(c, helpers.OfGeneric[int](nil))                                // want `each evaluation of helpers.OfGeneric\[int\].* makes a new one`
	conn.Unregister(c, helpers.Box[int]{}.NewHook())                               // want `each evaluation of .*NewHook.. makes a new one`
	conn.Unregister(c, (*helpers.Session).NewHook(s))                              // want `NewHook.* makes a new one`
	conn.Unregister(c, helpers.NamedResult(s))                                     // want `each evaluation of helpers.NamedResult.* makes`
	conn.Unregister(c, local(1))                                                   // want `each evaluation of local.* makes a new one`
	conn.Unregister(c, conn.RemovalHook(local(1)))                                 // want `each evaluation of local.* makes a new one`
	conn.Unregister(c, func() conn.RemovalHook { return s.Finalize }())            // want `makes a new one`
	conn.Unregister(c, func() (hk conn.RemovalHook) { hk = s.Finalize; return }()) // want `makes a new one`
}

func local(n int) conn.RemovalHook { // want local:"makes: true"
	return func(*conn.Connection) bool { return n > 0 }
}

func variables(c *conn.Connection, s *session, n int) {
	a := s.finalize
	conn.Unregister(c, a) // want `^conn.Unregister never finds this hook: each evaluation of s.finalize makes a new one`

	b := func(*conn.Connection) bool { return n > 0 }
	if conn.Unregister(c, b) { // want `each evaluation of the function literal makes a new one`
		b(c)
	}

	var d conn.RemovalHook
	if n > 0 {
		d = s.finalize
	} else {
		d = s.byValue
	}
	conn.Unregister(c, d) // want `Unregister never finds this hook`

	var e = conn.Chain(finalize)
	conn.Registered(c, e) // want `each evaluation of conn.Chain.* makes a new one`

	f := local(n)
	defer conn.Unregister(c, f) // want `each evaluation of local.* makes a new one`

	g := s.finalize
	defer func() {
		conn.Unregister(c, g) // want `each evaluation of s.finalize makes`
	}()

	h := s.finalize
	if !conn.Registered(c, h) { // want `Registered never finds this hook`
		conn.Register(c, h)
	}

	var i conn.RemovalHook = s.finalize
	conn.Unregister(c, i) // want `Unregister never finds this hook`
	conn.Register(c, i)

	if j := s.finalize; n > 0 && !conn.Registered(c, j) { // want `Registered never finds this hook`
		conn.Register(c, j)
	}

	for range n {
		k := s.finalize
		conn.Unregister(c, k) // want `Unregister never finds this hook`
		conn.Register(c, k)
	}

	switch n {
	case 1:
		l := s.finalize
		conn.Unregister(c, l) // want `Unregister never finds this hook`
		conn.Register(c, l)
	}
}

func through(c *conn.Connection, s *session, h *helpers.Session, n int) {
	drop(c, s.finalize)                                  // want `drop never finds this hook: each evaluation of s.finalize makes a new one`
	drop(c, func(*conn.Connection) bool { return true }) // want `no other call gets this function literal`
	s.forget(conn.Chain(finalize))                       // want `forget never finds this hook`
	(*session).forget(s, s.finalize)                     // want `forget never finds this hook`
	helpers.Drop(c, s.finalize)                          // want `Drop never finds this hook`
	helpers.Dropped(c, s.finalize)                       // want `Dropped never finds this hook`
	helpers.DropAll(local(n), nil)                       // want `DropAll never finds this hook`
	if h.Has(s.finalize) {                               // want `Has never finds this hook`
		n++
	}
	kept := s.finalize
	helpers.DropTwice(c, kept) // want `DropTwice never finds this hook`
}

func drop(c *conn.Connection, hk conn.RemovalHook) bool { return conn.Unregister(c, hk) } // want drop:"passes: 2 to Unregister"

func (s *session) forget(hk conn.RemovalHook) { // want forget:"passes: 1 to Unregister"
	drop(s.c, hk)
}

func hooks(t *tcpConn, h *httpConn, l logger, f *flow[int], n int) {
	t.Register(t.saveBanner)
	t.Unregister(t.saveBanner)                                // want `^t.Unregister never finds this hook: each evaluation of t.saveBanner makes a new one; declare saveBanner without its parameter, and pass the method expression \(\*tcpConn\).saveBanner$`
	t.Registered(t.byValue)                                   // want `\(\*tcpConn\).byValue$`
	t.Hooks.Unregister(t.saveBanner)                          // want `\(\*tcpConn\).saveBanner$`
	h.Unregister(t.saveBanner)                                // want `\(\*tcpConn\).saveBanner$`
	h.Unregister(h.saveBanner)                                // want `\(\*tcpConn\).saveBanner$`
	t.h.tcpConn.Unregister(t.h.saveBanner)                    // want `\(\*tcpConn\).saveBanner$`
	t.Unregister(l.log)                                       // want `each evaluation of l.log makes a new one; keep the one`
	t.Unregister(func(t *tcpConn) bool { return t.save() })   // want `no other call gets this function literal`
	t.Registered(func(*tcpConn) bool { return n > 0 })        // want `Registered never finds this hook`
	(*conn.Hooks[tcpConn]).Unregister(&t.Hooks, t.saveBanner) // want `Unregister never finds this hook`
	(*tcpConn).Unregister(t, t.saveBanner)                    // want `Unregister never finds this hook`
	f.Unregister(f.done)                                      // want `\(\*flow\[int\]\).done$`
	helpers.DropFrom(&t.Hooks, t.saveBanner)                  // want `DropFrom.* never finds this hook`
	helpers.DropFrom[tcpConn](&t.Hooks, t.saveBanner)         // want `DropFrom.* never finds this hook`
	var own conn.Hooks[session]
	own.Unregister(func(s *session) bool { return s.n > 0 }) // want `Unregister never finds this hook`
	kept := t.saveBanner
	t.Unregister(kept)   // want `\(\*tcpConn\).saveBanner$`
	t.drop(t.saveBanner) // want `drop never finds`
}

func (t *tcpConn) drop(hk func(*tcpConn) bool) { t.Unregister(hk) } // want drop:"passes: 1 to Unregister"

func (f *flow[T]) stop() {
	f.Unregister(f.done) // want `\(\*flow\[T\]\).done$`
}
