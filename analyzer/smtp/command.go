package smtp

import (
	"bytes"

	"example.com/conn"
	"example.com/conn/analyzer/lines"
	"example.com/conn/analyzer/protocol"
)

// maxWaiting is how many commands may wait for their replies; Zeek's max_pending_cmd_q_size. A
// client that sends more does not wait for replies at all.
const maxWaiting = 1000

// A verb is a command that is matched with replies.
type verb uint8

const (
	unknown    verb = iota
	connecting      // is answered with the greeting
	endOfData       // the dot that ends a mail
	authAnswer      // what the client answers in AUTH
	auth
	bdat
	bdatLast
	data
	ehlo
	helo
	mailFrom
	rcpt
	startTLS
	xAnonymousTLS
	other // a known command that means nothing here
)

var verbs = map[string]verb{
	"AUTH": auth, "BDAT": bdat, "DATA": data, "EHLO": ehlo, "HELO": helo, "MAIL": mailFrom, "RCPT": rcpt,
	"STARTTLS": startTLS, "X-ANONYMOUSTLS": xAnonymousTLS,
	"QUIT": other, "RSET": other, "VRFY": other, "EXPN": other, "HELP": other, "NOOP": other, "SEND": other,
	"SOML": other, "SAML": other, "TURN": other, "ETRN": other,
}

const (
	minVerb = len("AUTH")
	maxVerb = len("X-ANONYMOUSTLS")
)

// parseCommand takes a command apart.
func parseCommand(line []byte) (v verb, arg []byte) {
	word, arg := lines.Word(line)
	if len(word) < minVerb || len(word) > maxVerb {
		return unknown, nil
	}
	var upper [maxVerb]byte // for clients that send nothing else: it allocates nothing
	for i, b := range word {
		if upper[i] = b; 'a' <= b && b <= 'z' {
			upper[i] -= 'a' - 'A'
		}
	}
	return verbs[string(upper[:len(word)])], arg
}

func (s *state) clientLine(c *conn.Connection, line lines.Line, after []byte) protocol.Next {
	switch s.expect {
	case expectUnknown:
	case expectData:
		if string(line.Text) == "." {
			s.endHeader(c)
			s.expect = expectCommand
			s.command(c, endOfData)
			s.endMail(c)
			break
		}
		// A dot at the begin of a line was put there so that no line is a single one.
		line.Text = bytes.TrimPrefix(line.Text, []byte("."))
		s.headerLine(c, line, after)
	case expectAnswer:
		s.command(c, authAnswer)
	default:
		v, arg := parseCommand(line.Text)
		if v == unknown {
			if s.confirmed && len(line.Text) > 0 {
				s.wait(c, v) // for the server's complaint
			}
			break
		}
		if v == bdat && bytes.HasSuffix(bytes.ToUpper(arg[max(0, len(arg)-5):]), []byte(" LAST")) {
			v = bdatLast
		}
		s.command(c, v)
		if s.chunked && v != bdat && v != bdatLast { // the client gives the mail up, without a last chunk
			s.weird(c, "smtp_missing_bdat_last_chunk", "")
			s.chunked = false
			s.endHeader(c)
		}
		s.onCommand(c, v, arg)
		// The client may send data before the reply tells it to, so the reply is not waited for.
		switch v {
		case data:
			s.expect = expectData
			s.beginHeader()
		case bdat, bdatLast:
			s.beginChunk(c, arg)
		}
		return s.tooOften(c)
	}
	return protocol.More
}

// command takes note of a known command, which waits for its reply.
func (s *state) command(c *conn.Connection, v verb) {
	s.confirmed = true
	s.parser.owner.Confirm(c)
	s.wait(c, v)
}

// wait makes a command wait for its reply.
func (s *state) wait(c *conn.Connection, v verb) {
	if len(s.waiting) == maxWaiting {
		s.weird(c, "smtp_excessive_pending_cmds", "")
		s.forgetWaiting()
	}
	s.waiting = append(s.waiting, v)
}

// forgetWaiting makes the next reply one to no command before it.
func (s *state) forgetWaiting() {
	s.answered += len(s.waiting)
	s.waiting = nil
}
