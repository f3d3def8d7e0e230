// Quickstart: two connections, and one parser that finishes what is left open when a connection
// goes away.
package main

import (
	"fmt"
	"net/netip"

	"example.com/conn"
)

var requests conn.Field[[]string] // what a connection asked and was not answered, as a parser keeps it

func onRequest(c *conn.Connection, uri string) {
	pending, _ := requests.GetOrNew(c)
	*pending = append(*pending, uri)
	conn.Register(c, finalize) // once, however often it is called
}

func finalize(c *conn.Connection) bool {
	for _, uri := range *requests.Get(c) {
		fmt.Printf("%s %v -> %v: no reply to %s\n", c.UID, c.ID.Orig, c.ID.Resp, uri)
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
