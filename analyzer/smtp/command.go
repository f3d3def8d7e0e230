package smtp

import (
	"bytes"

	"example.com/conn"
	"example.com/conn/analyzer/lines"
	"example.com/conn/analyzer/protocol"
)

// maxWaiting is how many commands may await their replies; Zeek's max_pending_cmd_q_size. A client
// that sends more does not wait for replies at all.
const maxWaiting = 1000

// A verb is a command, or something else that is answered with a reply.
type verb uint8

const (
	unknown    verb = iota
	connecting      // is answered with the greeting
	endOfData       // the dot at the end of a mail
	authAnswer      // a client's answer in AUTH
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
	other // a known command without effect here
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

// parseCommand parses a command line.
func parseCommand(line []byte) (v verb, arg []byte) {
	word, arg := lines.Word(line)
	if len(word) < minVerb || len(word) > maxVerb {
		return unknown, nil
	}
	var upper [maxVerb]byte // on the stack: some clients send nothing but commands
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
		// A client doubles a dot at the beginning of a line, so that no line of the mail is a
		// single one.
		line.Text = bytes.TrimPrefix(line.Text, []byte("."))
		s.headerLine(c, line, after)
	case expectAnswer:
		s.command(c, authAnswer)
	default:
		v, arg := parseCommand(line.Text)
		if v == unknown {
			if s.confirmed && len(line.Text) > 0 {
				s.wait(c, v) // for an error reply
			}
			break
		}
		if v == bdat && bytes.HasSuffix(bytes.ToUpper(arg[max(0, len(arg)-5):]), []byte(" LAST")) {
			v = bdatLast
		}
		s.command(c, v)
		if s.chunked && v != bdat && v != bdatLast { // the client gave up the mail before its last chunk
			s.weird(c, "smtp_missing_bdat_last_chunk", "")
			s.chunked = false
			s.endHeader(c)
		}
		s.onCommand(c, v, arg)
		// Do not wait for the reply: the client may send data before it.
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

// command records a known command, which then awaits its reply.
func (s *state) command(c *conn.Connection, v verb) {
	s.confirmed = true
	s.parser.owner.Confirm(c)
	s.wait(c, v)
}

// wait makes a command await its reply.
func (s *state) wait(c *conn.Connection, v verb) {
	if len(s.waiting) == maxWaiting {
		s.weird(c, "smtp_excessive_pending_cmds", "")
		s.forgetWaiting()
	}
	s.waiting = append(s.waiting, v)
}

// forgetWaiting drops the commands that await replies: the next reply answers none of them.
func (s *state) forgetWaiting() {
	s.answered += len(s.waiting)
	s.waiting = nil
}
