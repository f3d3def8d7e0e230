package dns_test

import (
	"fmt"

	"example.com/conn"
	"example.com/conn/analyzer/dns"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/protocol"
	"example.com/conn/analyzer/protocol/protocoltest"
)

// A printer is an Owner that prints the rows of dns.log.
type printer struct{ protocoltest.Recorder }

func (*printer) Log(row logs.Row) {
	r := row.(*dns.Row)
	fmt.Println(*r.Query, r.QTypeName, r.RCode != nil)
}

// A query has no reply, so its row is written by the hook that the parser registered.
func ExampleParser() {
	p := dns.New(&printer{}, conn.UDP)
	c := conn.Connection{ID: conn.ID{Proto: conn.UDP}}
	query := []byte("\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01")
	p.Data(&c, protocol.Packet{Side: protocol.Orig}, query)
	fmt.Println("remove")
	conn.StateRemove(&c)
	// Output:
	// remove
	// example.com A false
}
