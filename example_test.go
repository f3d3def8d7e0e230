package conn_test

import (
	"encoding/gob"
	"fmt"
	"io"
	"log"
	"net/netip"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"example.com/conn"
)

// A parser for a protocol of requests and replies. It logs a request with its reply, and requests
// that never got one when the connection is removed.
func Example() {
	web := &conn.Connection{UID: "C1", ID: conn.ID{
		Orig:  netip.MustParseAddrPort("192.0.2.7:50112"),
		Resp:  netip.MustParseAddrPort("198.51.100.2:80"),
		Proto: conn.TCP,
	}}
	idle := &conn.Connection{UID: "C2", ID: conn.ID{Proto: conn.UDP}} // gets no hook

	onRequest(web, "GET /")
	onRequest(web, "GET /logo.png")
	onReply(web, "200 OK")

	// The analyzer removes connections without knowing the parser.
	for _, c := range []*conn.Connection{idle, web} {
		conn.StateRemove(c)
		fmt.Println(c.UID, "removed", c.ID.Proto)
	}
	// Output:
	// C1 GET / -> 200 OK
	// C2 removed udp
	// C1 GET /logo.png -> no reply
	// C1 removed tcp
}

// exchange is the state of the parser for one connection.
type exchange struct {
	pending []string // requests without a reply
}

var exchanges conn.Field[exchange]

func onRequest(c *conn.Connection, request string) {
	x, _ := exchanges.GetOrNew(c)
	x.pending = append(x.pending, request)
	conn.Register(c, finalizeExchange) // once, however often it is called
}

func onReply(c *conn.Connection, reply string) {
	x := exchanges.Get(c)
	if x == nil || len(x.pending) == 0 {
		return
	}
	fmt.Println(c.UID, x.pending[0], "->", reply)
	x.pending = x.pending[1:]
	if len(x.pending) == 0 {
		conn.Unregister(c, finalizeExchange) // until the next request
	}
}

func finalizeExchange(c *conn.Connection) bool {
	for _, request := range exchanges.Get(c).pending {
		fmt.Println(c.UID, request, "-> no reply")
	}
	return true
}

// A parser registers its hook each time something becomes pending. Registering it again changes
// nothing.
func ExampleRegister() {
	c := new(conn.Connection)
	fmt.Println(conn.Register(c, logTransfer))
	fmt.Println(conn.Register(c, logTransfer))
	conn.StateRemove(c)
	fmt.Println(conn.Register(c, logTransfer)) // too late
	// Output:
	// true
	// false
	// log transfer
	// false
}

// When nothing is pending any more, the parser takes its hook back. The next request registers it
// again, since onRequest does so each time.
func ExampleUnregister() {
	c := &conn.Connection{UID: "C1"}
	onRequest(c, "GET /")
	onReply(c, "200 OK")
	fmt.Println("registered:", conn.Registered(c, finalizeExchange))
	onRequest(c, "GET /logo.png")
	fmt.Println("registered:", conn.Registered(c, finalizeExchange))
	conn.StateRemove(c)
	// Output:
	// C1 GET / -> 200 OK
	// registered: false
	// registered: true
	// C1 GET /logo.png -> no reply
}

// A protocol may end before its connection does, as HTTP does when it is upgraded to WebSocket. The
// parser then runs its hook itself, unless the hook has already run.
func ExampleUnregister_early() {
	c := &conn.Connection{UID: "C1"}
	onRequest(c, "GET /chat")
	if conn.Unregister(c, finalizeExchange) { // 101 Switching Protocols
		finalizeExchange(c)
	}
	conn.StateRemove(c) // does not run it again
	// Output:
	// C1 GET /chat -> no reply
}

// A hook reaches everything it needs through the connection: here, a log and the reason for the
// removal, which its parser's state points to.
func ExampleStateRemove_reason() {
	type teardown struct{ reason string } // kept by the owner, one per connection
	type session struct {
		log   *log.Logger
		ended *teardown
	}
	var sessions conn.Field[session]
	finalize := func(c *conn.Connection) bool {
		s := sessions.Get(c)
		s.log.Println(c.UID, "unfinished:", s.ended.reason)
		return true
	}

	c, ended := &conn.Connection{UID: "C1"}, new(teardown)
	s, _ := sessions.GetOrNew(c)
	s.log, s.ended = log.New(os.Stdout, "", 0), ended
	conn.Register(c, finalize)

	ended.reason = "timeout" // costs nothing where there is no hook
	conn.StateRemove(c)
	// Output:
	// C1 unfinished: timeout
}

// tcpConn is an analyzer's own connection type. It embeds Hooks.
type tcpConn struct {
	conn.Hooks[tcpConn]
	name   string
	banner []byte
	ended  string // why, for the hooks
}

func newTCPConn(name string) *tcpConn { return &tcpConn{name: name} }

func (t *tcpConn) onData(data string) {
	t.banner = append(t.banner, data...)
	t.Register((*tcpConn).saveBanner) // a method expression: the same hook each time
}

func (t *tcpConn) saveBanner() bool {
	fmt.Printf("%s: %q (%s)\n", t.name, t.banner, t.ended)
	return true
}

func (t *tcpConn) close(why string) {
	if t.Removed() {
		return // FIN and RST may both call it
	}
	t.ended = why
	t.StateRemove(t)
}

// An analyzer with its own connection type embeds Hooks and registers method expressions, which
// capture nothing and allocate nothing.
func ExampleHooks() {
	web, idle := newTCPConn("web"), newTCPConn("idle")
	web.onData("HTTP/1.1 ")
	web.onData("200 OK")
	idle.close("timeout")
	web.close("FIN")
	web.close("RST")
	// Output:
	// web: "HTTP/1.1 200 OK" (FIN)
}

// A method expression is one hook wherever it is written. A method value is a new hook each time it
// is evaluated, so it must be kept to unregister it.
func ExampleHooks_Unregister() {
	t := newTCPConn("web")
	fmt.Println(t.Register((*tcpConn).saveBanner), t.Unregister((*tcpConn).saveBanner))

	s := &scanner{}
	fmt.Println(t.Register(s.finish), t.Unregister(s.finish)) // two hooks
	finish := s.finish
	fmt.Println(t.Register(finish), t.Unregister(finish))
	t.StateRemove(t)
	// Output:
	// true true
	// true false
	// true true
	// scanned web
}

type scanner struct{}

func (s *scanner) finish(t *tcpConn) bool {
	fmt.Println("scanned", t.name)
	return true
}

// With a lock, the unlock is deferred and the recover comes before it, so a hook that panics leaves
// the connection neither locked nor half removed.
func ExampleHooks_StateRemove_locked() {
	type lockedConn struct {
		mu       sync.Mutex // guards onRemove
		onRemove conn.Hooks[lockedConn]
	}
	remove := func(c *lockedConn) {
		c.mu.Lock()
		defer c.mu.Unlock()
		defer func() {
			if v := recover(); v != nil {
				fmt.Println("a hook panicked:", v)
			}
		}()
		c.onRemove.StateRemove(c)
	}

	c := new(lockedConn)
	c.onRemove.Register(func(*lockedConn) bool { panic("no session") })
	c.onRemove.Register(func(*lockedConn) bool { fmt.Println("finish transfer"); return true })
	remove(c)
	fmt.Println("unlocked:", c.mu.TryLock())
	// Output:
	// finish transfer
	// a hook panicked: no session
	// unlocked: true
}

// A hook must not hand its connection over, since StateRemove is still using it. Instead, it sets a
// flag, and the owner hands the connection over after StateRemove.
func ExampleHooks_StateRemove_handOver() {
	type upload struct {
		onRemove conn.Hooks[upload]
		name     string
		archive  bool // set by a hook
	}
	toArchive := make(chan *upload, 1)
	remove := func(u *upload) {
		u.onRemove.StateRemove(u)
		if u.archive {
			toArchive <- u // u now belongs to the receiver
		}
	}

	u := &upload{name: "report.pdf"}
	u.onRemove.Register(func(u *upload) bool {
		u.archive = true // not: toArchive <- u
		return true
	})
	remove(u)
	fmt.Println("archive", (<-toArchive).name)
	// Output:
	// archive report.pdf
}

// Pending state may move to another connection, as when a client opens a second one to resume a
// download. Its hook moves with it, but only if it has not run.
func ExampleUnregister_move() {
	move := func(from, to *conn.Connection) {
		x, _ := exchanges.GetOrNew(to)
		if old := exchanges.Get(from); old != nil {
			x.pending = append(x.pending, old.pending...)
			old.pending = nil
		}
		if conn.Unregister(from, finalizeExchange) {
			conn.Register(to, finalizeExchange)
		}
	}

	first, second := &conn.Connection{UID: "C1"}, &conn.Connection{UID: "C2"}
	onRequest(first, "GET /big.iso")
	move(first, second)
	conn.StateRemove(first)
	conn.StateRemove(second)
	// Output:
	// C2 GET /big.iso -> no reply
}

// A Transfer is an exported type. Its hooks are unexported fields: they add no methods to its API,
// and encoding/gob, which refuses a type that embeds Hooks, takes it.
type Transfer struct {
	Name  string
	Bytes int

	onClose  conn.Hooks[Transfer] // run when the peer closes
	onRemove conn.Hooks[Transfer] // run when the table forgets the transfer
}

func (t *Transfer) close()  { t.onClose.StateRemove(t) }
func (t *Transfer) remove() { t.onRemove.StateRemove(t) }

func (t *Transfer) report() bool {
	fmt.Println(t.Name, t.Bytes, "bytes")
	return true
}

func (t *Transfer) deleteTemporary() bool {
	fmt.Println(t.Name, "temporary file deleted")
	return true
}

// Hooks as named fields: an exported type keeps its API small, and may end in stages, each with its
// own hooks.
func ExampleHooks_namedField() {
	t := &Transfer{Name: "a.txt", Bytes: 1200}
	t.onClose.Register((*Transfer).report)
	t.onRemove.Register((*Transfer).deleteTemporary)

	t.close()
	fmt.Println("gob:", gob.NewEncoder(io.Discard).Encode(t))
	t.remove()
	// Output:
	// a.txt 1200 bytes
	// gob: <nil>
	// a.txt temporary file deleted
}

// Each worker owns some of the connections. A hash that does not depend on the direction sends both
// directions of a connection to the same worker. Every worker learns the time of every packet, so
// connections time out even in a worker that gets no packets.
func Example_workers() {
	type packet struct {
		id   conn.ID // from the sender to the receiver
		time time.Time
	}
	const timeout = time.Minute
	work := func(packets <-chan packet, removed chan<- string) {
		defer close(removed)
		flows := map[conn.ID]*conn.Connection{}
		var order []*conn.Connection
		removeFirst := func() {
			c := order[0]
			order = order[1:]
			delete(flows, c.ID)
			conn.StateRemove(c)
			removed <- c.UID
		}
		for p := range packets {
			for len(order) > 0 && p.time.Sub(order[0].Start) > timeout {
				removeFirst()
			}
			reverse := conn.ID{Orig: p.id.Resp, Resp: p.id.Orig, Proto: p.id.Proto}
			if p.id == (conn.ID{}) || flows[p.id] != nil || flows[reverse] != nil {
				continue // only the time, or a packet of a known connection
			}
			c := &conn.Connection{ID: p.id, UID: "from " + p.id.Orig.String(), Start: p.time}
			flows[c.ID] = c
			order = append(order, c)
		}
		for len(order) > 0 { // at the end, remove the rest
			removeFirst()
		}
	}

	var workers [2]chan packet
	var removed [2]chan string
	for i := range workers {
		workers[i], removed[i] = make(chan packet, 10), make(chan string, 10)
		go work(workers[i], removed[i])
	}
	send := func(from, to string, t time.Time) {
		p := packet{conn.ID{Orig: netip.MustParseAddrPort(from), Resp: netip.MustParseAddrPort(to), Proto: conn.TCP}, t}
		hash := p.id.Orig.Port() + p.id.Resp.Port() // gopacket: NetworkFlow().FastHash()
		for i, w := range workers {
			if i == int(hash)%len(workers) {
				w <- p
			} else {
				w <- packet{time: t} // its clock
			}
		}
	}
	start := time.Unix(1_700_000_000, 0)
	send("192.0.2.1:40000", "198.51.100.7:80", start)
	send("198.51.100.7:80", "192.0.2.1:40000", start)
	send("192.0.2.1:40001", "198.51.100.7:80", start.Add(2*timeout)) // owned by the other worker
	for i, w := range workers {
		close(w)
		for uid := range removed[i] {
			fmt.Println("worker", i, "removed", uid)
		}
	}
	// Output:
	// worker 0 removed from 192.0.2.1:40000
	// worker 1 removed from 192.0.2.1:40001
}

// A hook may register another one, which then runs last: here the summary of a connection, after
// all parsers have finished with it.
func ExampleRegister_fromHook() {
	summarize := func(c *conn.Connection) bool {
		fmt.Println("summary")
		return true
	}
	c := new(conn.Connection)
	conn.Register(c, func(c *conn.Connection) bool {
		fmt.Println("finish file transfer")
		conn.Register(c, summarize)
		return true
	})
	conn.Register(c, func(c *conn.Connection) bool {
		fmt.Println("finish session")
		conn.Register(c, summarize) // does nothing: it is registered already
		return true
	})
	conn.StateRemove(c)
	// Output:
	// finish file transfer
	// finish session
	// summary
}

// A closure is a new hook each time its literal is evaluated, so keep the one that is registered.
// Here the finalizer of one connection waits on another: an FTP transfer is incomplete if its data
// connection ends before the control connection has seen the final reply.
func ExampleUnregister_closure() {
	type transfer struct {
		data       *conn.Connection
		incomplete conn.RemovalHook
	}
	begin := func(control, data *conn.Connection, file string) transfer {
		t := transfer{data, func(data *conn.Connection) bool {
			fmt.Printf("%s: %s incomplete, data connection %s is gone\n", control.UID, file, data.UID)
			return true
		}}
		conn.Register(data, t.incomplete)
		return t
	}

	control := &conn.Connection{UID: "control"}
	first := begin(control, &conn.Connection{UID: "data1"}, "a.txt")
	second := begin(control, &conn.Connection{UID: "data2"}, "b.txt")

	conn.Unregister(first.data, first.incomplete) // 226 Transfer complete
	conn.StateRemove(first.data)
	conn.StateRemove(second.data)
	// Output:
	// control: b.txt incomplete, data connection data2 is gone
}

// The result of Chain is a new hook each time. In a package-level variable it is one hook.
var finishTransfer = conn.Chain(closeFile, checkLength, logTransfer)

func closeFile(c *conn.Connection) bool {
	fmt.Println("close file")
	return true
}

func checkLength(c *conn.Connection) bool {
	fmt.Println("file is too short")
	return false
}

func logTransfer(c *conn.Connection) bool {
	fmt.Println("log transfer")
	return true
}

// Chain makes one hook of several steps, each of which runs only if the one before it completed.
func ExampleChain() {
	c := new(conn.Connection)
	conn.Register(c, finishTransfer) // closeFile, checkLength and logTransfer
	fmt.Println("completed:", conn.StateRemove(c))
	// Output:
	// close file
	// file is too short
	// completed: false
}

// Fields keep the state of several parsers on one connection, each with its own type.
func ExampleField() {
	type service struct{ names []string }
	var services conn.Field[service]
	var retransmissions conn.Field[int]

	c := new(conn.Connection)
	for _, name := range []string{"smtp", "ssl"} {
		s, _ := services.GetOrNew(c)
		s.names = append(s.names, name)
	}
	fmt.Println("retransmissions known:", retransmissions.Get(c) != nil)

	conn.StateRemove(c)
	fmt.Println("service:", strings.Join(services.Get(c).names, ",")) // fields outlast the removal
	// Output:
	// retransmissions known: false
	// service: smtp,ssl
}

// At shutdown, an analyzer can list the parsers that had not finished with a connection.
func ExampleConnection_RemovalHooks() {
	c := new(conn.Connection)
	conn.Register(c, finalizeExchange)
	conn.Register(c, logTransfer)
	for hk := range c.RemovalHooks() {
		fmt.Println(hk)
	}
	// Output:
	// example.com/conn_test.finalizeExchange
	// example.com/conn_test.logTransfer
}

// An analyzer that must survive a faulty parser recovers around StateRemove. The connection is
// removed all the same.
func ExampleStateRemove_panic() {
	remove := func(c *conn.Connection) {
		defer func() {
			if v := recover(); v != nil {
				faulty := strings.Contains(string(debug.Stack()), "faultyParser")
				fmt.Printf("%s: %v (stack names the parser: %v)\n", c.UID, v, faulty)
			}
		}()
		conn.StateRemove(c)
	}
	c := &conn.Connection{UID: "C3"}
	conn.Register(c, faultyParser)
	conn.Register(c, logTransfer)
	remove(c)
	// Output:
	// log transfer
	// C3: no session (stack names the parser: true)
}

func faultyParser(c *conn.Connection) bool { panic("no session") }
