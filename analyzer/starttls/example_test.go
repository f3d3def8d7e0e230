package starttls_test

import (
	"fmt"

	"example.com/conn"
	"example.com/conn/analyzer/protocol"
	"example.com/conn/analyzer/protocol/protocoltest"
	"example.com/conn/analyzer/starttls"
)

// Once the server has agreed to STARTTLS, another parser follows the connection.
func ExampleParser() {
	p := starttls.New(&protocoltest.Recorder{}, starttls.POP3)
	var c conn.Connection
	send := func(side protocol.Side, line string) {
		_, next := p.Data(&c, protocol.Packet{Side: side}, []byte(line))
		fmt.Println(next == protocol.HandOver)
	}
	send(protocol.Resp, "+OK ready\r\n")
	send(protocol.Orig, "STLS\r\n")
	send(protocol.Resp, "+OK begin\r\n")
	// Output:
	// false
	// false
	// true
}
