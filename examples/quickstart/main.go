// Quickstart shows a parser that reports unanswered requests when their connection is removed.
package main

import (
	"fmt"
	"net/netip"

	"example.com/conn"
)

var unanswered conn.Field[[]string] // the parser's state, one per connection

func onRequest(c *conn.Connection, uri string) {
	uris, _ := unanswered.GetOrNew(c)
	*uris = append(*uris, uri)
	conn.Register(c, finalize) // added once, however often it is called
}

func finalize(c *conn.Connection) bool {
	for _, uri := range *unanswered.Get(c) {
		fmt.Printf("%s %v: no reply to %s\n", c.UID, c.ID, uri)
	}
	return true
}

func main() {
	server := netip.MustParseAddrPort("198.51.100.7:80")
	web := &conn.Connection{UID: "C1", ID: conn.ID{Orig: netip.MustParseAddrPort("192.0.2.1:40000"), Resp: server, Proto: conn.TCP}}
	scan := &conn.Connection{UID: "C2", ID: conn.ID{Orig: netip.MustParseAddrPort("192.0.2.9:40001"), Resp: server, Proto: conn.TCP}}
	onRequest(web, "/index.html")
	onRequest(web, "/logo.png")
	conn.StateRemove(web)  // runs finalize once
	conn.StateRemove(scan) // has no hooks: nothing to run
}
