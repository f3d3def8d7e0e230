package conn_test

import (
	"fmt"
	"net/netip"
	"runtime/debug"
	"strings"

	"example.com/conn"
)

// A parser for a protocol of requests and replies. It logs a request with its reply, and requests that never got one when
// the connection is removed.
func Example() {
	web := &conn.Connection{UID: "C1", ID: conn.ID{
		Orig:  netip.MustParseAddrPort("192.0.2.7:50112"),
		Resp:  netip.MustParseAddrPort("198.51.100.2:80"),
		Proto: conn.TCP,
	}}
	idle := &conn.Connection{UID: "C2", ID: conn.ID{Proto: conn.UDP}} // nobody registers a hook here

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

// exchange is what the parser knows of one connection.
type exchange struct {
	pending []string // requests without a reply
}

var exchanges conn.Field[exchange]

func onRequest(c *conn.Connection, request string) {
	x, created := exchanges.GetOrNew(c)
	if created {
		conn.Register(c, finalizeExchange)
	}
	x.pending = append(x.pending, request)
}

func onReply(c *conn.Connection, reply string) {
	if x := exchanges.Get(c); x != nil && len(x.pending) > 0 {
		fmt.Println(c.UID, x.pending[0], "->", reply)
		x.pending = x.pending[1:]
	}
}

func finalizeExchange(c *conn.Connection) bool {
	for _, request := range exchanges.Get(c).pending {
		fmt.Println(c.UID, request, "-> no reply")
	}
	return true
}

// A handshake that completes leaves nothing to finish, so its hook is taken back.
func ExampleUnregister() {
	handshakeCutShort := func(c *conn.Connection) bool {
		fmt.Println(c.UID, "handshake cut short")
		return true
	}

	for _, complete := range []bool{true, false} {
		c := &conn.Connection{UID: fmt.Sprintf("complete=%v", complete)}
		conn.Register(c, handshakeCutShort)
		if complete {
			fmt.Println(c.UID, "unregistered:", conn.Unregister(c, handshakeCutShort))
		}
		conn.StateRemove(c)
	}
	// Output:
	// complete=true unregistered: true
	// complete=false handshake cut short
}

// A hook may register another one, which then runs last: here the summary of a connection, after all parsers have
// finished with it.
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

// A closure is a new hook each time its literal is evaluated, so keep the one that is registered. Here the finalizer of
// one connection waits on another: an FTP transfer is incomplete if its data connection ends before the control
// connection has seen the final reply.
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

var closeFile conn.RemovalHook = func(c *conn.Connection) bool {
	fmt.Println("close file")
	return true
}

func logTransfer(c *conn.Connection) bool {
	fmt.Println("log transfer")
	return true
}

// A chain at package level is one hook, as good as a function.
var finishTransfer = conn.Chain(closeFile, logTransfer)

// Chain makes one hook of several steps, of which each needs the one before it to have completed.
func ExampleChain() {
	c := new(conn.Connection)
	fmt.Println(conn.Register(c, finishTransfer))
	fmt.Println(conn.Register(c, finishTransfer))
	conn.StateRemove(c)
	// Output:
	// true
	// false
	// close file
	// log transfer
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

// When the analyzer shuts down, it can say which parsers were not finished with a connection.
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

// An analyzer that is to outlive a faulty parser recovers around StateRemove. The connection is removed all the same.
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
