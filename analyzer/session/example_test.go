package session_test

import (
	"fmt"
	"time"

	"example.com/conn"
	"example.com/conn/analyzer/http"
	"example.com/conn/analyzer/protocol"
	"example.com/conn/analyzer/protocol/protocoltest"
	"example.com/conn/analyzer/session"
	"example.com/conn/analyzer/ssh"
)

// A connection is an Owner of one session, for its parsers too.
type connection struct {
	protocoltest.Recorder
	session session.Session
}

func (c *connection) Confirm(*conn.Connection)           { c.session.Confirm() }
func (c *connection) Flip(*conn.Connection) bool         { return false }
func (c *connection) Panicked(_ *conn.Connection, v any) { panic(v) }

// The parser is found by the first bytes, whatever the ports are.
func ExampleSession() {
	var o connection
	ps := session.NewParsers(&o, []protocol.Parser{http.New(&o), ssh.New(&o)})
	c := &conn.Connection{ID: conn.ID{Proto: conn.TCP}}
	at := time.Unix(0, 0)
	o.session.Feed(ps, c, session.Event{Time: at, Side: protocol.Orig, Data: []byte("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")})
	o.session.Feed(ps, c, session.Event{Time: at, Side: protocol.Resp, Data: []byte("HTTP/1.1 204 No Content\r\n\r\n")})
	fmt.Println(o.session.Service())
	conn.StateRemove(c)
	// Output: http
}
