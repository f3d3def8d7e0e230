package http_test

import (
	"fmt"

	"example.com/conn"
	"example.com/conn/analyzer/http"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/protocol"
	"example.com/conn/analyzer/protocol/protocoltest"
)

// A printer is an Owner that prints the rows of http.log.
type printer struct{ protocoltest.Recorder }

func (*printer) Log(row logs.Row) {
	r := row.(*http.Row)
	status := "no reply"
	if r.StatusCode != nil {
		status = fmt.Sprint(*r.StatusCode)
	}
	fmt.Printf("%s %s: %s\n", r.Method, *r.URI, status)
}

// The second request has no reply, so its row is written by the hook that the parser registered.
func ExampleParser() {
	p := http.New(&printer{})
	var c conn.Connection
	requests := "GET /a HTTP/1.1\r\nHost: example.com\r\n\r\nGET /b HTTP/1.1\r\nHost: example.com\r\n\r\n"
	for rest := []byte(requests); len(rest) > 0; {
		n, _ := p.Data(&c, protocol.Packet{Side: protocol.Orig}, rest)
		rest = rest[n:]
	}
	p.Data(&c, protocol.Packet{Side: protocol.Resp}, []byte("HTTP/1.1 204 No Content\r\n\r\n"))
	fmt.Println("remove")
	conn.StateRemove(&c)
	// Output:
	// GET /a: 204
	// remove
	// GET /b: no reply
}
