package smtp_test

import (
	"fmt"

	"example.com/conn"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/protocol"
	"example.com/conn/analyzer/protocol/protocoltest"
	"example.com/conn/analyzer/smtp"
)

// A printer is an Owner that prints the rows of smtp.log.
type printer struct{ protocoltest.Recorder }

func (*printer) Log(row logs.Row) {
	r := row.(*smtp.Row)
	fmt.Printf("from %s to %s, after %q\n", r.MailFrom, r.RcptTo, r.LastReply)
}

// The connection ends before the mail does. The hook that the parser registered writes its row.
func ExampleParser() {
	p := smtp.New(&printer{})
	var c conn.Connection
	for i, line := range []string{
		"220 mail.example ESMTP\r\n", "EHLO client.example\r\n",
		"250 mail.example\r\n", "MAIL FROM:<alice@example.com>\r\n",
		"250 OK\r\n", "RCPT TO:<bob@example.com>\r\n",
		"250 OK\r\n", "DATA\r\n",
		"354 Go ahead\r\n",
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
	// remove
	// from alice@example.com to [bob@example.com], after "354 Go ahead"
}
