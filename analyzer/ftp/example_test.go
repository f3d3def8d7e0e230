package ftp_test

import (
	"fmt"
	"net/netip"

	"example.com/conn"
	"example.com/conn/analyzer/ftp"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/protocol"
	"example.com/conn/analyzer/protocol/protocoltest"
)

// A printer is an Owner that prints the rows of ftp.log.
type printer struct{ protocoltest.Recorder }

func (*printer) Log(row logs.Row) {
	r := row.(*ftp.Row)
	fmt.Println(r.User, r.Command, r.Arg)
}

// The second command has no reply, so its row is written by the hook that the parser registered.
func ExampleParser() {
	p := ftp.New(&printer{})
	c := conn.Connection{ID: conn.ID{
		Orig: netip.MustParseAddrPort("192.0.2.1:40000"),
		Resp: netip.MustParseAddrPort("198.51.100.7:21"),
	}}
	for i, line := range []string{
		"220 ready\r\n", "USER alice\r\n",
		"230 logged in\r\n", "DELE a.txt\r\n",
		"250 deleted\r\n", "DELE b.txt\r\n",
	} {
		side := protocol.Resp
		if i%2 == 1 {
			side = protocol.Orig
		}
		p.Data(&c, protocol.Packet{Side: side}, []byte(line))
	}
	fmt.Println("remove")
	conn.StateRemove(&c)
	// Output:
	// alice DELE ftp://198.51.100.7/./a.txt
	// remove
	// alice DELE ftp://198.51.100.7/./b.txt
}
