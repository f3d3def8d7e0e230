// Package smtp follows SMTP until it goes over to TLS: the log smtp has a row for each mail, and for each attempt to send
// one.
//
// This file is the parser; log.go keeps the row of the mail at hand.
package smtp

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/conn"
	"example.com/conn/examples/analyzer/lines"
	"example.com/conn/examples/analyzer/protocol"
)

// maxWaiting is how many commands may wait for their replies. A client that sends more does not wait for replies at all.
const maxWaiting = 1000

// A Parser is a protocol.Parser.
type Parser struct{ owner protocol.Owner }

// New returns a parser for SMTP.
func New(o protocol.Owner) *Parser { return &Parser{o} }

func (p *Parser) Name() string          { return "smtp" }
func (p *Parser) Transport() conn.Proto { return conn.TCP }

// Ports has where Zeek takes everything for SMTP.
func (p *Parser) Ports() []uint16 { return []uint16{25, 587} }

// A state is what is known of a connection. finalize is registered as long as a row may be pending.
type state struct {
	parser *Parser
	now    time.Time // of the latest packet
	seen   int       // bytes of both sides

	expect    expect   // from the client
	waiting   []string // commands without a reply, oldest first
	replying  string   // the command of the reply at hand, empty if it is not known
	more      int      // the code of a reply that has more lines, or 0
	left      int64    // bytes of the chunk that are to come
	confirmed bool     // there was a command
	ended     [2]bool  // the sides, the server first

	mail
}

// expect is what comes next from the client.
type expect int

const (
	expectCommand expect = iota
	expectData           // lines of a mail, up to a single dot
	expectChunk          // part of a mail, state.left bytes long
	expectAnswer         // to what the server asks in AUTH
	expectUnknown        // after a gap, until the next reply: a command or data
)

// What waits for a reply besides commands.
const (
	connecting = ">"
	endOfData  = "."
	authAnswer = "***"
)

// known has the commands that are matched with replies.
var known = []string{
	"EHLO", "HELO", "MAIL", "RCPT", "DATA", "QUIT", "RSET", "VRFY", "EXPN", "HELP", "NOOP", "STARTTLS", "X-ANONYMOUSTLS",
	"SEND", "SOML", "SAML", "TURN", "BDAT", "ETRN", "AUTH",
}

var session conn.Field[state] // Zeek: redef record connection += { smtp_state: State &optional; };

// Held returns how many bytes the state of c takes.
func (p *Parser) Held(c *conn.Connection) int { return 0 }

// Flush lets go of what is pending.
func (p *Parser) Flush(c *conn.Connection) {}

// Match wants the greetings of both sides.
func (p *Parser) Match(orig, resp []byte) protocol.Verdict {
	resp = bytes.TrimLeft(resp, " \t\r\n")
	if code := "220"; string(resp[:min(len(resp), 3)]) != code[:min(len(resp), 3)] {
		return protocol.No
	} else if len(resp) > 3 && resp[3] != ' ' && resp[3] != '-' {
		return protocol.No
	}
	orig = bytes.ToUpper(bytes.TrimLeft(orig, " \t\r\n"))
	verb := orig[:min(len(orig), 4)]
	switch {
	case !bytes.HasPrefix([]byte("EHLO"), verb) && !bytes.HasPrefix([]byte("HELO"), verb):
		return protocol.No
	case len(verb) < 4 || len(resp) < 4:
		return protocol.Maybe
	}
	return protocol.Yes
}

// begin returns the state of c, which it makes if there is none.
func (p *Parser) begin(c *conn.Connection, pkt protocol.Packet) *state {
	s, created := session.GetOrNew(c)
	if created {
		s.parser = p
		s.waiting = []string{connecting}
		s.parser.owner.Register(c, finalize)
	}
	s.now = pkt.Time
	return s
}

// Data takes whole lines, and any part of a chunk.
func (p *Parser) Data(c *conn.Connection, pkt protocol.Packet, data []byte) (n int, next protocol.Next) {
	s := p.begin(c, pkt)
	for n < len(data) && next == protocol.More {
		rest, took := data[n:], 0
		if pkt.Side == protocol.Orig && s.expect == expectChunk {
			if took = s.chunk(rest); took == 0 {
				return n, next
			}
		} else {
			var line []byte
			if line, took = lines.Cut(rest); took == 0 {
				return n, next
			}
			if pkt.Side == protocol.Orig {
				s.clientLine(c, line)
			} else {
				next = s.serverLine(c, line)
			}
		}
		s.seen += took
		n += took
	}
	s.settle(c, next != protocol.More)
	return n, next
}

// Gap waits for the next reply to find out where the client is.
func (p *Parser) Gap(c *conn.Connection, pkt protocol.Packet, n int) protocol.Next {
	s := p.begin(c, pkt)
	if pkt.Side == protocol.Orig && s.expect == expectChunk && int64(n) < s.left {
		s.left -= int64(n)
		s.endHeader(c) // the rest of a header is not worth having
		return protocol.More
	}
	s.endHeader(c)
	s.expect, s.waiting, s.replying, s.more = expectUnknown, nil, "", 0
	return protocol.More
}

// End has nothing to log: the reply to a mail may come after the client's last byte.
func (p *Parser) End(c *conn.Connection, pkt protocol.Packet) {
	s := p.begin(c, pkt)
	side := 0
	if pkt.Side == protocol.Orig {
		side = 1
	}
	s.ended[side] = true
	s.settle(c, s.ended == [2]bool{true, true})
}

// settle unregisters finalize if SMTP is over and no row is pending.
func (s *state) settle(c *conn.Connection, over bool) {
	if over && !s.active {
		s.parser.owner.Unregister(c, finalize)
	}
}

// finalize logs the mail that is not complete.
func finalize(c *conn.Connection) bool {
	s := session.Get(c)
	s.endHeader(c)
	s.log(c)
	return true
}

// chunk takes what there is of a chunk: in a header, whole lines.
func (s *state) chunk(data []byte) (n int) {
	part := data[:min(int64(len(data)), s.left)]
	n = len(part)
	if s.inHeader {
		line, took := lines.Cut(part)
		switch {
		case took > 0:
			n = took
			s.headerLine(append(s.partial, line...))
			s.partial = nil
		case int64(n) < s.left:
			return 0
		case len(s.partial)+n <= lines.Max: // the line goes on in the next chunk
			s.partial = append(s.partial, part...)
		}
	}
	if s.left -= int64(n); s.left == 0 {
		s.expect = expectCommand
	}
	return n
}

func (s *state) clientLine(c *conn.Connection, line []byte) {
	switch s.expect {
	case expectUnknown:
	case expectData:
		if string(line) == "." {
			s.endHeader(c)
			s.expect = expectCommand
			s.command(c, endOfData)
			return
		}
		s.headerLine(line) // no field of a row begins with the dot that is doubled at the begin of a line
	case expectAnswer:
		s.command(c, authAnswer)
	default:
		verb, arg := string(line), ""
		if i := strings.IndexAny(verb, " \t"); i >= 0 {
			verb, arg = verb[:i], strings.TrimLeft(verb[i:], " \t")
		}
		verb = strings.ToUpper(verb)
		if !slices.Contains(known, verb) {
			return // its reply then is of the next command, or of none
		}
		s.command(c, verb)
		if s.chunked && verb != "BDAT" { // the client gives the mail up, without a last chunk
			s.chunked = false
			s.endHeader(c)
		}
		s.onCommand(c, verb, arg)
		// The client may send data before the reply tells it to, so the reply is not waited for.
		switch verb {
		case "DATA":
			s.expect = expectData
			s.beginHeader()
		case "BDAT":
			s.bdat(arg)
		}
	}
}

// command makes a command wait for its reply.
func (s *state) command(c *conn.Connection, verb string) {
	s.confirmed = true
	s.parser.owner.Confirm(c)
	s.current(c)
	if len(s.waiting) == maxWaiting {
		s.waiting = nil
	}
	s.waiting = append(s.waiting, verb)
}

// bdat begins a chunk. There is none if its size is not a number, or something other than LAST follows it.
func (s *state) bdat(arg string) {
	size, last, _ := strings.Cut(arg, " ")
	n, err := strconv.ParseUint(size, 10, 63)
	if err != nil || last != "" && !strings.EqualFold(last, "LAST") {
		return
	}
	if !s.chunked {
		s.chunked = true
		s.beginHeader()
	}
	if n > 0 {
		s.expect, s.left = expectChunk, int64(n)
	}
}

func (s *state) serverLine(c *conn.Connection, line []byte) protocol.Next {
	code, text, more, ok := parseReply(line)
	if !ok {
		return protocol.Violated(s.confirmed, s.seen)
	}
	if s.more != code { // not one line more of the reply at hand
		s.onReplyTo(c, code)
	}
	s.more = 0
	if more {
		s.more = code
	}
	s.onReply(c, code, text, more)
	if code == 220 && !more && (s.replying == "STARTTLS" || s.replying == "X-ANONYMOUSTLS") {
		s.onTLS(c)
		return protocol.HandOver
	}
	return protocol.More
}

// onReplyTo finds out which command a new reply is of, and what it means for what comes from the client.
func (s *state) onReplyTo(c *conn.Connection, code int) {
	s.replying = ""
	if len(s.waiting) > 0 {
		s.replying, s.waiting = s.waiting[0], s.waiting[1:]
	}
	switch {
	case s.expect == expectUnknown:
		s.expect = expectCommand
		if code == 354 {
			s.expect = expectData
		}
	case s.replying == "DATA" && code != 354 && s.expect == expectData:
		s.endHeader(c)
		s.expect = expectCommand
	case (s.replying == "AUTH" || s.replying == authAnswer) && s.expect != expectData && s.expect != expectChunk:
		s.expect = expectCommand
		if code == 334 {
			s.expect = expectAnswer
		}
	}
}

// parseReply takes a line of a reply apart: 250-text, if more lines follow, or 250 text.
func parseReply(line []byte) (code int, text string, more, ok bool) {
	if len(line) < 3 {
		return 0, "", false, false
	}
	n, err := strconv.ParseUint(string(line[:3]), 10, 16)
	if err != nil || n < 100 || n > 599 {
		return 0, "", false, false
	}
	rest := line[3:]
	if more = len(rest) > 0 && rest[0] == '-'; more {
		rest = rest[1:]
	}
	return int(n), string(bytes.TrimLeft(rest, " \t")), more, true
}
