// Package ftp follows FTP's control connections until they change to TLS, and announces their data
// connections. The log ftp has a row for each command that moves files or sets up a data
// connection.
//
// ftp.go is the parser, match.go finds the command that a reply answers, log.go keeps commands
// until they are answered and makes rows, channel.go tracks data connections, and path.go the
// working directory.
package ftp

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"
	"unsafe"

	"example.com/conn"
	"example.com/conn/analyzer/lines"
	"example.com/conn/analyzer/protocol"
)

// maxVerb is the longest command, in bytes without its argument; Zeek's FTP::max_command_length.
const maxVerb = 100

// A Parser is a protocol.Parser.
type Parser struct{ owner protocol.Owner }

// New returns a parser for FTP.
func New(o protocol.Owner) *Parser { return &Parser{o} }

func (p *Parser) Name() string          { return "ftp" }
func (p *Parser) Transport() conn.Proto { return conn.TCP }

// Ports returns the ports on which Zeek treats all traffic as FTP.
func (p *Parser) Ports() []uint16 { return []uint16{21, 2811} }

// Resumes is true: any command and any reply can be understood on its own.
func (p *Parser) Resumes() bool { return true }

// A state is the state of a control connection. finalize is registered while a command that will
// have a row is pending.
type state struct {
	parser    *Parser
	now       time.Time // of the latest packet
	seen      int       // bytes of both sides
	lines     [2]lines.Splitter
	more      int     // the code of a reply with more lines to come, or 0
	authTLS   bool    // the client asked for TLS
	confirmed bool    // a command was seen
	ended     [2]bool // by side
	over      bool    // no more is expected

	log
	channels []*channel // announced or open, at most maxChannels
	swept    time.Time  // when lapsed channels were last removed
}

var session conn.Field[state] // Zeek: redef record connection += { ftp: Info &optional; };

// finalize is the removal hook: it logs the commands whose replies are missing or unfinished.
func finalize(c *conn.Connection) bool {
	session.Get(c).logAll(c)
	return true
}

// updateHook registers finalize while a row is pending, and unregisters it otherwise.
func (s *state) updateHook(c *conn.Connection) {
	if s.rows > 0 {
		conn.Register(c, finalize)
	} else {
		conn.Unregister(c, finalize)
	}
}

// MemoryUsed implements protocol.Parser.
func (p *Parser) MemoryUsed(c *conn.Connection) int {
	s := session.Get(c)
	if s == nil {
		return 0
	}
	return int(unsafe.Sizeof(*s)) + s.log.held() + cap(s.channels)*channelSize
}

// FreeMemory implements protocol.Parser. Replies still to come will match no command.
func (p *Parser) FreeMemory(c *conn.Connection) {
	if s := session.Get(c); s != nil {
		s.logAll(c)
	}
}

// first lists the commands that a session may begin with, without those of SMTP.
var first = []string{"USER", "AUTH", "FEAT", "SYST", "OPTS", "CLNT", "HOST"}

// Match wants the server's greeting and a first command.
func (p *Parser) Match(orig, resp []byte) protocol.Verdict {
	resp = bytes.TrimLeft(resp, " \r\n")
	code := string(resp[:min(len(resp), 3)])
	if !strings.HasPrefix("220", code) && !strings.HasPrefix("120", code) || len(resp) > 3 && isDigit(resp[3]) {
		return protocol.No
	}
	orig = bytes.TrimLeft(orig, " \r\n")
	verb, _, whole := bytes.Cut(bytes.ToUpper(orig[:min(len(orig), maxVerb)]), []byte(" "))
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

// begin returns the state of c. It creates one for a new connection, and where FTP begins again.
func (p *Parser) begin(c *conn.Connection, pkt protocol.Packet) *state {
	s, created := session.GetOrNew(c)
	if created || s.over {
		*s = state{parser: p, confirmed: s.confirmed, log: newLog(pkt.Time), channels: s.channels}
	}
	s.now = pkt.Time
	return s
}

// Data takes whole lines.
func (p *Parser) Data(c *conn.Connection, pkt protocol.Packet, data []byte) (n int, next protocol.Next) {
	s := p.begin(c, pkt)
	for next == protocol.More {
		line, took, ok := s.lines[pkt.Side].Next(data[n:], lines.OddNUL)
		s.seen += took
		if n += took; !ok {
			return n, next
		}
		line.Note(p.owner, c)
		switch text := withoutTelnet(line.Text); {
		case len(text) == 0:
		case pkt.Side == protocol.Orig:
			s.clientLine(c, text)
		default:
			next = s.serverLine(c, text)
		}
	}
	s.end(c)
	return n, next
}

// Gap continues with the next line.
func (p *Parser) Gap(c *conn.Connection, pkt protocol.Packet, _ int) protocol.Next {
	p.begin(c, pkt).lines[pkt.Side].Skip()
	return protocol.More
}

// End logs what is pending after the end of both sides.
func (p *Parser) End(c *conn.Connection, pkt protocol.Packet) {
	s := p.begin(c, pkt)
	if pkt.Side == protocol.Orig && s.lines[pkt.Side].Partial() {
		s.weird(c, "partial_ftp_request", "")
	}
	s.ended[pkt.Side] = true
	if s.ended == [2]bool{true, true} {
		s.end(c)
	}
}

// weird reports an anomaly in c.
func (s *state) weird(c *conn.Connection, name, addl string) { s.parser.owner.Weird(c, name, addl) }

// end logs the pending commands when no more is expected.
func (s *state) end(c *conn.Connection) {
	s.over = true
	s.logAll(c)
}

func (s *state) clientLine(c *conn.Connection, line []byte) {
	if line = lines.SkipBlanks(line); len(line) == 0 {
		return
	}
	word, arg := lines.Word(line)
	if len(word) < 3 || !printable(word) {
		if s.confirmed {
			s.weird(c, "FTP_invalid_command", "")
		}
		return
	}
	if len(word) > maxVerb {
		if s.confirmed {
			s.weird(c, "FTP_max_command_length_exceeded", fmt.Sprintf("%d > %d", len(word), maxVerb))
		}
		return
	}
	s.confirmed = true
	s.parser.owner.Confirm(c)
	verb := string(bytes.ToUpper(word))
	s.onCommand(c, verb, arg)
	switch verb {
	case "AUTH":
		s.authTLS = bytes.EqualFold(arg, []byte("TLS"))
	case "PORT":
		if addr, ok := parsePort(arg); ok {
			s.expect(c, c.ID.Resp.Addr(), addr, false)
		}
	case "EPRT":
		if addr, ok := parseExtended(arg, c.ID.Orig.Addr()); ok {
			s.expect(c, c.ID.Resp.Addr(), addr, false)
		}
	}
}

// serverLine handles a line of a reply: "227 text", or "227-text", any lines, and "227 text".
func (s *state) serverLine(c *conn.Connection, line []byte) protocol.Next {
	code, rest := replyCode(line), line
	if code > 0 {
		rest = line[3:]
	}
	switch {
	case s.more > 0 && code == s.more && len(rest) > 0 && rest[0] == ' ':
		s.more = 0
	case s.more > 0:
		s.onReplyLine(line)
		return protocol.More
	case code < 100 || len(rest) > 0 && rest[0] != ' ' && rest[0] != '-':
		return protocol.Violated(s.confirmed, s.seen)
	case len(rest) > 0 && rest[0] == '-':
		s.more = code
		s.onReply(code, lines.SkipBlanks(rest[1:]))
		return protocol.More
	}
	text := lines.SkipBlanks(rest)
	verb := s.onReply(code, text)
	switch {
	case code == 227 && (verb == "PASV" || verb == "EPSV"):
		if addr, ok := parsePort(text); ok {
			s.expect(c, c.ID.Orig.Addr(), addr, true)
		}
	case code == 229 && (verb == "PASV" || verb == "EPSV"):
		if _, args, ok := bytes.Cut(text, []byte("(")); ok {
			if addr, ok := parseExtended(args, c.ID.Resp.Addr()); ok {
				s.expect(c, c.ID.Orig.Addr(), addr, true)
			}
		}
	}
	s.onReplyEnd(c, code, text)
	if code == 234 && s.authTLS {
		return protocol.HandOver
	}
	return protocol.More
}

// replyCode returns the three digits that line begins with, or 0.
func replyCode(line []byte) (code int) {
	if len(line) < 3 {
		return 0
	}
	for _, b := range line[:3] {
		if !isDigit(b) {
			return 0
		}
		code = 10*code + int(b-'0')
	}
	return code
}

// printable reports whether text consists of visible ASCII characters.
func printable(text []byte) bool {
	for _, b := range text {
		if b <= ' ' || b > '~' {
			return false
		}
	}
	return true
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

// withoutTelnet returns line without the Telnet commands that clients send before ABOR.
func withoutTelnet(line []byte) []byte {
	const iac, will, dont = 255, 251, 254
	if bytes.IndexByte(line, iac) < 0 {
		return line
	}
	text := make([]byte, 0, len(line))
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] != iac:
			text = append(text, line[i])
		case i+1 < len(line) && line[i+1] >= will && line[i+1] <= dont:
			i += 2
		case i+1 < len(line):
			if i++; line[i] == iac { // an escaped 255
				text = append(text, iac)
			}
		}
	}
	return text
}
