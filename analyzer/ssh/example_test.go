package ssh_test

import (
	"fmt"

	"example.com/conn"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/protocol"
	"example.com/conn/analyzer/protocol/protocoltest"
	"example.com/conn/analyzer/ssh"
)

// A printer is an Owner that prints the rows of ssh.log.
type printer struct{ protocoltest.Recorder }

func (*printer) Log(row logs.Row) {
	r := row.(*ssh.Row)
	fmt.Printf("%s to %s, %d attempts to log in\n", r.Client, r.Server, r.AuthAttempts)
}

// Both sides have said who they are when the connection ends. The hook that the parser registered
// writes the row.
func ExampleParser() {
	p := ssh.New(&printer{})
	var c conn.Connection
	p.Data(&c, protocol.Packet{Side: protocol.Resp}, []byte("SSH-2.0-OpenSSH_9.2\r\n"))
	p.Data(&c, protocol.Packet{Side: protocol.Orig}, []byte("SSH-2.0-keyscan\r\n"))
	fmt.Println("remove")
	conn.StateRemove(&c)
	// Output:
	// remove
	// SSH-2.0-keyscan to SSH-2.0-OpenSSH_9.2, 0 attempts to log in
}
