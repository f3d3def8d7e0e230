// Package wrong has programs with one mistake each.
package wrong

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"os"
	"strings"

	"example.com/conn"
)

type flow struct {
	conn.Connection
	payload []byte
	closed  bool
}

type analyzer struct {
	w       io.Writer
	log     *log.Logger
	rows    []string
	pending []string
	done    bool
	reason  string
	flow    flow
	flows   map[string]*flow
}

func (a *analyzer) finalize(c *conn.Connection) bool {
	for _, r := range a.pending {
		a.log.Printf("%s: no reply to %s", c.UID, r)
	}
	return len(a.pending) == 0
}

func (a *analyzer) write(c *conn.Connection) bool {
	n, err := fmt.Fprintln(a.w, c.UID)
	return n > 0 && err == nil
}

func (a *analyzer) row(c *conn.Connection) bool {
	a.rows = append(a.rows, c.UID)
	a.pending = nil
	a.done = true
	a.reason = "removed"
	return true
}

// A helper for the connection that a flow embeds.
func (f *flow) add(hk conn.RemovalHook) bool { return conn.Register(&f.Connection, hk) } // want add:"passes: 1 to Register"

func track(a *analyzer, hk conn.RemovalHook) { // want track:"passes: 2 to Register"
	conn.Register(&a.flow.Connection, hk)
}

func untrack(a *analyzer, hk conn.RemovalHook) { // want untrack:"passes: 2 to Unregister"
	conn.Unregister(&a.flow.Connection, hk)
}

func helpers(a *analyzer, f *flow, lines []string) {
	for _, line := range lines {
		f.payload = append(f.payload, line...)
		f.add(a.finalize) // want `f.add adds a hook in each iteration`
	}
	for range lines {
		track(a, a.finalize) // want `track adds a hook in each iteration`
	}
	untrack(a, a.finalize) // want `untrack never finds this hook`
}

func offsets(c *conn.Connection, a *analyzer, b []byte) {
	for off := 0; off+4 <= len(b); off += 4 {
		conn.Register(c, a.finalize) // want `Register adds a hook`
	}
	off := 0
	for off < len(b) {
		off += int(b[off])
		conn.Register(c, a.write) // want `Register adds a hook`
	}
	for len(b) > 0 {
		b = b[1:]
		conn.Register(c, a.row) // want `Register adds a hook`
	}
	for i := len(b); i >= 2; i-- {
		conn.Register(c, a.row) // want `Register adds a hook`
	}
	for range 3 {
		conn.Register(c, a.row) // want `Register adds a hook`
	}
	for i := 0; i < 3; i++ {
		conn.Register(c, a.row) // want `Register adds a hook`
	}
	ports := []int{80, 443}
	for range ports {
		conn.Register(c, a.row) // want `Register adds a hook`
	}
	for range [2]int{80, 443} {
		conn.Register(c, a.row) // want `Register adds a hook`
	}
}

func serve(nc net.Conn, c *conn.Connection, a *analyzer) error {
	sc := bufio.NewScanner(nc)
	for sc.Scan() {
		fields := strings.Fields(sc.Text())
		if len(fields) == 0 {
			continue
		}
		slog.Info("line", "uid", c.UID, "fields", len(fields))
		a.pending = append(a.pending, fields[0])
	}
	for sc.Scan() {
		fmt.Fprintln(os.Stderr, sc.Text())
		conn.Register(c, func(c *conn.Connection) bool { // want `Register adds a hook`
			fmt.Println(c.UID, a.reason)
			return true
		})
	}
	return sc.Err()
}

func chained(c *conn.Connection, a *analyzer, names []string) {
	for _, name := range names {
		a.reason = name
		conn.Register(c, conn.Chain(a.finalize, a.write)) // want `Register adds a hook`
	}
	if conn.Registered(c, conn.Chain(a.finalize)) { // want `Registered never finds this hook`
		return
	}
}

type tcpConn struct {
	conn.Hooks[tcpConn]
	onClose conn.Hooks[tcpConn]
	peer    struct{ client, server pair }
	banner  string
}

type pair struct {
	hooks conn.Hooks[pair]
	n     int
}

func (t *tcpConn) saveBanner(*tcpConn) bool { return t.banner != "" }

func (t *tcpConn) saved(u *tcpConn) { // the receiver may be the parameter, but not here
	t.onClose.Unregister(t.saveBanner) // want `t.onClose.Unregister never finds this hook`
}

func others(t, u *tcpConn) {
	t.StateRemove(u)         // want `^t.StateRemove passes another connection to the hooks of t; pass the one that they belong to$`
	t.Hooks.StateRemove(u)   // want `t.Hooks.StateRemove passes another connection to the hooks of t`
	u.onClose.StateRemove(t) // want `u.onClose.StateRemove passes another connection to the hooks of u`
	defer t.StateRemove(t)
}

func (t *tcpConn) replace(by *tcpConn, why string) {
	t.banner = why
	if !t.StateRemove(by) { // want `t.StateRemove passes another connection`
		log.Print(why)
	}
}

func values() {
	var a, b tcpConn
	a.StateRemove(&b) // want `a.StateRemove passes another connection to the hooks of a`
	var p struct{ client, server tcpConn }
	p.client.StateRemove(&p.server)                 // want `p.client.StateRemove passes another connection to the hooks of p.client`
	a.peer.client.hooks.StateRemove(&a.peer.server) // want `passes another connection to the hooks of a.peer.client`
	t := new(tcpConn)
	u := &tcpConn{banner: "new"}
	t.StateRemove(u) // want `t.StateRemove passes another connection`
	(*conn.Hooks[tcpConn]).StateRemove(&t.Hooks, u)
	func(v *tcpConn, w *tcpConn) {
		v.StateRemove(w) // want `v.StateRemove passes another connection`
	}(t, u)
}

func tooLate(c *conn.Connection, t *tcpConn, a *analyzer) {
	conn.StateRemove(c)
	conn.Register(c, a.finalize) // want `^conn.Register right after StateRemove returns false: this hook never runs$`
	t.StateRemove(t)
	t.Register((*tcpConn).removed) // want `t.Register right after StateRemove returns false`
	var v conn.Connection
	conn.Register(&v, a.write)
	conn.StateRemove(&v)
	conn.Register(&v, func(*conn.Connection) bool { return a.done }) // want `right after StateRemove`
	var f flow
	conn.StateRemove(&f.Connection)
	conn.Register(&f.Connection, a.finalize) // want `right after StateRemove`
	t.onClose.StateRemove(t)
	t.onClose.Register((*tcpConn).removed) // want `t.onClose.Register right after StateRemove`
	if a.done {
		conn.StateRemove(c)
		conn.Register(c, finalize) // want `right after StateRemove`
	}
}

func (t *tcpConn) removed() bool { return t.banner == "" }

func finalize(*conn.Connection) bool { return true }
