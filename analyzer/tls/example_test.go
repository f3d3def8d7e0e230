package tls_test

import (
	"fmt"

	"example.com/conn"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/protocol"
	"example.com/conn/analyzer/protocol/protocoltest"
	"example.com/conn/analyzer/tls"
)

// A printer is an Owner that prints the rows of ssl.log.
type printer struct{ protocoltest.Recorder }

func (*printer) Log(row logs.Row) {
	r := row.(*tls.Row)
	fmt.Printf("%q, established: %v\n", r.ServerName, r.Established)
}

// The server does not answer the ClientHello. The hook that the parser registered writes the row.
func ExampleParser() {
	p := tls.New(&printer{})
	var c conn.Connection
	random := string(make([]byte, 32))
	hello := "\x16\x03\x01\x00\x45" + // a record with a handshake
		"\x01\x00\x00\x41\x03\x03" + random + // ClientHello, TLS 1.2
		"\x00" + "\x00\x02\x13\x01" + "\x01\x00" + // no session, one cipher suite, no compression
		"\x00\x16\x00\x00\x00\x12\x00\x10\x00\x00\x0dwww.e.example" // server_name
	p.Data(&c, protocol.Packet{Side: protocol.Orig}, []byte(hello))
	fmt.Println("remove")
	conn.StateRemove(&c)
	// Output:
	// remove
	// "www.e.example", established: false
}
