// Package smtp follows SMTP until it changes to TLS. The log smtp has a row for each mail, and for
// each attempt to send one.
//
// smtp.go is the parser; command.go and reply.go handle the lines of the two sides, data.go the
// mail itself; mails.go assigns commands and replies to pipelined mails; log.go fills in rows;
// address.go finds addresses in texts.
package smtp

import (
	"bytes"
	"time"
	"unsafe"

	"example.com/conn"
	"example.com/conn/analyzer/lines"
	"example.com/conn/analyzer/protocol"
)

// A Parser is a protocol.Parser.
type Parser struct{ owner protocol.Owner }

// New returns a parser for SMTP.
func New(o protocol.Owner) *Parser { return &Parser{o} }

func (p *Parser) Name() string          { return "smtp" }
func (p *Parser) Transport() conn.Proto { return conn.TCP }

// Ports returns the ports on which Zeek treats all traffic as SMTP.
func (p *Parser) Ports() []uint16 { return []uint16{25, 587} }

// A state is the state of a connection. finalize is registered while a row is pending.
type state struct {
	parser *Parser
	now    time.Time // of the latest packet
	seen   int       // bytes of both sides

	lines     [2]lines.Splitter
	expect    expect // from the client
	waiting   []verb // commands without a reply, oldest first; at most maxWaiting
	answered  int    // commands before those in waiting
	replying  verb   // the command that the current reply answers
	replyTo   int    // number of commands before that one
	more      int    // the code of a reply with more lines to come, or 0
	left      int64  // bytes of the chunk still to come
	confirmed bool   // a command was seen

	mails
}

// expect is what the client sends next.
type expect uint8

const (
	expectCommand expect = iota
	expectData           // lines of a mail, up to a single dot
	expectChunk          // part of a mail, state.left bytes long
	expectAnswer         // to a challenge of AUTH
	expectUnknown        // after a gap, until the next reply: a command or data
)

var session conn.Field[state] // Zeek: redef record connection += { smtp_state: State &optional; };

// finalize is the removal hook: it logs the unfinished mails. state.activate registers it when a
// row becomes pending, and state.log unregisters it when none is left.
func finalize(c *conn.Connection) bool {
	s := session.Get(c)
	s.endHeader(c)
	for len(s.pending) > 0 {
		s.finish(c)
	}
	return true
}

// MemoryUsed implements protocol.Parser.
func (p *Parser) MemoryUsed(c *conn.Connection) int {
	s := session.Get(c)
	if s == nil {
		return 0
	}
	return int(unsafe.Sizeof(*s)) + cap(s.waiting) + s.mails.held()
}

// FreeMemory implements protocol.Parser. It logs all mails as they are; later commands and replies
// of these mails are not logged.
func (p *Parser) FreeMemory(c *conn.Connection) {
	s := session.Get(c)
	if s == nil {
		return
	}
	s.endHeader(c)
	s.flush(c)
	s.waiting = append([]verb(nil), s.waiting...)
}

// Match wants the greetings of both sides.
func (p *Parser) Match(orig, resp []byte) protocol.Verdict {
	resp = bytes.TrimLeft(resp, " \t\r\n")
	if code := "220"; string(resp[:min(len(resp), 3)]) != code[:min(len(resp), 3)] {
		return protocol.No
	} else if len(resp) > 3 && resp[3] != ' ' && resp[3] != '-' {
		return protocol.No
	}
	orig = bytes.TrimLeft(orig, " \t\r\n")
	switch verb := bytes.ToUpper(orig[:min(len(orig), 4)]); {
	case !bytes.HasPrefix([]byte("EHLO"), verb) && !bytes.HasPrefix([]byte("HELO"), verb):
		return protocol.No
	case len(verb) < 4 || len(resp) < 4:
		return protocol.Maybe
	}
	return protocol.Yes
}

// begin returns the state of c, which it creates if necessary.
func (p *Parser) begin(c *conn.Connection, pkt protocol.Packet) *state {
	s, created := session.GetOrNew(c)
	if created {
		s.parser = p
		s.waiting = []verb{connecting}
	}
	s.now = pkt.Time
	return s
}

// Data takes whole lines, and chunks in any pieces.
func (p *Parser) Data(c *conn.Connection, pkt protocol.Packet, data []byte) (n int, next protocol.Next) {
	s := p.begin(c, pkt)
	for whole := true; whole && n < len(data) && next == protocol.More; {
		took := 0
		if pkt.Side == protocol.Orig && s.expect == expectChunk {
			took = s.chunk(c, data[n:])
		} else {
			var line lines.Line
			if line, took, whole = s.lines[pkt.Side].Next(data[n:], lines.EndCR|lines.OddNUL); whole {
				line.Note(p.owner, c)
				if pkt.Side == protocol.Orig {
					next = s.clientLine(c, line, data[n+took:])
				} else {
					next = s.serverLine(c, line.Text)
				}
			}
		}
		s.seen += took
		n += took
	}
	return n, next
}

// Gap waits for the next reply, which shows whether the client sends commands or data.
func (p *Parser) Gap(c *conn.Connection, pkt protocol.Packet, n int) protocol.Next {
	s := p.begin(c, pkt)
	s.lines[pkt.Side].Skip()
	s.endHeader(c) // the rest of the header is useless
	s.chunked = false
	if pkt.Side == protocol.Orig && s.expect == expectChunk {
		s.weird(c, "smtp_bdat_remaining_at_end_data", "")
		if int64(n) < s.left {
			s.left -= int64(n)
			return protocol.More
		}
	}
	s.expect, s.replying, s.more = expectUnknown, unknown, 0
	s.forgetWaiting()
	return protocol.More
}

// End does nothing: the reply to a mail may come after the client's last byte.
func (p *Parser) End(*conn.Connection, protocol.Packet) {}

// weird reports an anomaly in c.
func (s *state) weird(c *conn.Connection, name, addl string) { s.parser.owner.Weird(c, name, addl) }
