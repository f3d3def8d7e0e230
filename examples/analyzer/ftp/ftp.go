// Package ftp follows the control connections of FTP until they go over to TLS, and announces their data connections: the
// log ftp has a row for each command that moves files or says where data connections go.
//
// This file is the parser; log.go matches replies with commands, channel.go is about data connections.
package ftp

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

// maxVerb is how many bytes a command may have without its argument; Zeek's FTP::max_command_length.
const maxVerb = 100

// A Parser is a protocol.Parser.
type Parser struct{ owner protocol.Owner }

// New returns a parser for FTP.
func New(o protocol.Owner) *Parser { return &Parser{o} }

func (p *Parser) Name() string          { return "ftp" }
func (p *Parser) Transport() conn.Proto { return conn.TCP }

// Ports has where Zeek takes everything for FTP.
func (p *Parser) Ports() []uint16 { return []uint16{21, 2811} }

// Resumes is true, for any command and any reply can be understood on its own.
func (p *Parser) Resumes() bool { return true }

// A state is what is known of a control connection. finalize is registered as long as commands are pending.
type state struct {
	parser    *Parser
	now       time.Time // of the latest packet
	seen      int       // bytes of both sides
	more      int       // the code of a reply that has more lines, or 0
	auth      string    // what the client wants to secure the connection with
	confirmed bool      // there was a command
	ended     [2]bool   // the sides, the server first
	over      bool      // nothing more is to come

	log
	channels []*channel // that are announced or open, at most maxChannels
}

var session conn.Field[state] // Zeek: redef record connection += { ftp: Info &optional; };

// Held returns how many bytes the state of c takes.
func (p *Parser) Held(c *conn.Connection) int { return 0 }

// Flush lets go of what is pending.
func (p *Parser) Flush(c *conn.Connection) {}

// first has the commands that a client may begin with, other than those that SMTP has too.
var first = []string{"USER", "AUTH", "FEAT", "SYST", "OPTS", "CLNT", "HOST"}

// Match wants the greeting of the server and a command.
func (p *Parser) Match(orig, resp []byte) protocol.Verdict {
	resp = bytes.TrimLeft(resp, " \r\n")
	code := string(resp[:min(len(resp), 3)])
	if !strings.HasPrefix("220", code) && !strings.HasPrefix("120", code) || len(resp) > 3 && isDigit(resp[3]) {
		return protocol.No
	}
	orig = bytes.ToUpper(bytes.TrimLeft(orig, " \r\n"))
	verb, _, whole := bytes.Cut(orig[:min(len(orig), maxVerb)], []byte(" "))
	verb = bytes.TrimRight(verb, "\r\n")
	whole = whole || len(verb) < len(orig)
	maybe := slices.ContainsFunc(first, func(f string) bool { return strings.HasPrefix(f, string(verb)) })
	switch {
	case !maybe, whole && !slices.Contains(first, string(verb)):
		return protocol.No
	case !whole || len(resp) < 4:
		return protocol.Maybe
	}
	return protocol.Yes
}

// begin returns the state of c, which it makes or, where FTP goes on after all, renews.
func (p *Parser) begin(c *conn.Connection, pkt protocol.Packet) *state {
	s, created := session.GetOrNew(c)
	if created || s.over {
		*s = state{parser: p, confirmed: s.confirmed, log: newLog(pkt.Time), channels: s.channels}
		s.parser.owner.Register(c, finalize)
	}
	s.now = pkt.Time
	return s
}

// Data takes whole lines.
func (p *Parser) Data(c *conn.Connection, pkt protocol.Packet, data []byte) (n int, next protocol.Next) {
	s := p.begin(c, pkt)
	for next == protocol.More {
		line, took := lines.Cut(data[n:])
		if took == 0 {
			return n, next
		}
		if line = withoutTelnet(line); pkt.Side == protocol.Orig {
			s.clientLine(c, line)
		} else {
			next = s.serverLine(c, line)
		}
		s.seen += took
		n += took
	}
	s.end(c)
	return n, next
}

// Gap goes on with the next line.
func (p *Parser) Gap(*conn.Connection, protocol.Packet, int) protocol.Next { return protocol.More }

// End logs what is pending after the end of both sides.
func (p *Parser) End(c *conn.Connection, pkt protocol.Packet) {
	s := p.begin(c, pkt)
	side := 0
	if pkt.Side == protocol.Orig {
		side = 1
	}
	s.ended[side] = true
	if s.ended == [2]bool{true, true} {
		s.end(c)
	}
}

// end logs what is pending where nothing more is to come, so that the removal of c has nothing to do.
func (s *state) end(c *conn.Connection) {
	s.over = true
	finalize(c)
	s.parser.owner.Unregister(c, finalize)
}

// finalize logs the commands that wait for a reply, or for the end of one.
func finalize(c *conn.Connection) bool {
	s := session.Get(c)
	for _, cmd := range s.pending {
		s.current = cmd
		s.write(c, s.parser.owner)
	}
	s.pending = nil
	return true
}

func (s *state) clientLine(c *conn.Connection, line []byte) {
	line = bytes.TrimLeft(line, " \t")
	verb, arg := string(line), ""
	if i := strings.IndexAny(verb, " \t"); i >= 0 {
		verb, arg = verb[:i], strings.TrimLeft(verb[i:], " \t")
	}
	if len(verb) < 3 || len(verb) > maxVerb || strings.ContainsFunc(verb, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return
	}
	verb = strings.ToUpper(verb)
	s.confirmed = true
	s.parser.owner.Confirm(c)
	s.onCommand(c, verb, arg)
	switch verb {
	case "AUTH":
		s.auth = strings.ToUpper(arg)
	case "PORT":
		if addr, ok := parsePort(arg); ok {
			s.expect(c.ID.Resp.Addr(), addr, false)
		}
	case "EPRT":
		if addr, ok := parseExtended(arg, c.ID.Orig.Addr()); ok {
			s.expect(c.ID.Resp.Addr(), addr, false)
		}
	}
}

// serverLine takes a line of a reply: 227 text; or 227-text, any lines, and 227 text.
func (s *state) serverLine(c *conn.Connection, line []byte) protocol.Next {
	if len(line) == 0 {
		return protocol.More
	}
	code, rest := 0, line
	if len(line) >= 3 && isDigit(line[0]) && isDigit(line[1]) && isDigit(line[2]) {
		code, _ = strconv.Atoi(string(line[:3]))
		rest = line[3:]
	}
	switch {
	case s.more > 0 && code == s.more && len(rest) > 0 && rest[0] == ' ':
		s.more = 0
	case s.more > 0:
		s.onReplyLine(c, string(line))
		return protocol.More
	case code < 100 || len(rest) > 0 && rest[0] != ' ' && rest[0] != '-':
		return protocol.Violated(s.confirmed, s.seen)
	case len(rest) > 0 && rest[0] == '-':
		s.more = code
		s.onReply(c, code, string(bytes.TrimLeft(rest[1:], " \t")))
		return protocol.More
	}
	text := string(bytes.TrimLeft(rest, " \t"))
	verb := s.onReply(c, code, text)
	switch {
	case code == 227 && (verb == "PASV" || verb == "EPSV"):
		if addr, ok := parsePort(text); ok {
			s.expect(c.ID.Orig.Addr(), addr, true)
		}
	case code == 229 && (verb == "PASV" || verb == "EPSV"):
		if _, args, ok := strings.Cut(text, "("); ok {
			if addr, ok := parseExtended(args, c.ID.Resp.Addr()); ok {
				s.expect(c.ID.Orig.Addr(), addr, true)
			}
		}
	}
	s.onReplyEnd(c, code, text)
	if code == 234 && s.auth == "TLS" {
		return protocol.HandOver
	}
	return protocol.More
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

// withoutTelnet returns line without the Telnet commands that clients send before ABOR.
func withoutTelnet(line []byte) []byte {
	const iac, will, dont = 255, 251, 254
	if bytes.IndexByte(line, iac) < 0 {
		return line
	}
	var text []byte
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] != iac:
			text = append(text, line[i])
		case i+1 < len(line) && line[i+1] >= will && line[i+1] <= dont:
			i += 2
		case i+1 < len(line):
			if i++; line[i] == iac { // twice is the byte itself
				text = append(text, iac)
			}
		}
	}
	return text
}
