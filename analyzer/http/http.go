// Package http follows HTTP/1 and HTTP/0.9. The log http has a row for each request and its reply.
//
// http.go is the parser; start.go parses request lines and status lines, and message.go acts on
// them; message.go also finds where messages begin and end, from what framing.go reads in their
// headers; log.go matches replies with requests.
package http

import (
	"bytes"
	"strings"
	"time"
	"unsafe"

	"example.com/conn"
	"example.com/conn/analyzer/lines"
	"example.com/conn/analyzer/protocol"
)

// A Parser is a protocol.Parser.
type Parser struct {
	owner protocol.Owner
	spare *Row // already logged, for reuse by the next transaction; or nil
}

// New returns a parser for HTTP.
func New(o protocol.Owner) *Parser { return &Parser{owner: o} }

func (p *Parser) Name() string          { return "http" }
func (p *Parser) Transport() conn.Proto { return conn.TCP }

// Ports returns the ports on which Zeek treats all traffic as HTTP, so that damaged requests are
// logged too.
func (p *Parser) Ports() []uint16 { return []uint16{80, 81, 631, 1080, 3128, 8000, 8080, 8888} }

// A state is the state of a connection. finalize is registered while a row or a message is
// unfinished.
type state struct {
	parser *Parser
	now    time.Time // of the latest packet
	seen   int       // bytes of both sides

	lines      [2]lines.Splitter
	sides      [2]side
	versions   [2]string // of the latest message of each side
	confirmed  bool      // a request was seen
	keepAlive  bool      // the connection may carry several requests
	connect    bool      // a CONNECT awaits its reply
	replied    bool      // a reply was seen
	unanswered int       // requests without a final reply
	over       bool      // the connection has left HTTP

	transactions
}

var session conn.Field[state] // Zeek: redef record connection += { http_state: State &optional; };

// finalize is the removal hook: it logs the unfinished requests and replies. state.at registers it
// with the first row.
func finalize(c *conn.Connection) bool {
	s := session.Get(c)
	s.interrupt(c, protocol.Orig)
	s.interrupt(c, protocol.Resp)
	s.logAll()
	return true
}

// updateHook unregisters finalize when no row is pending and no message is unfinished.
func (s *state) updateHook(c *conn.Connection) {
	if s.size == 0 && !s.sides[0].ongoing() && !s.sides[1].ongoing() {
		conn.Unregister(c, finalize)
	}
}

// MemoryUsed implements protocol.Parser.
func (p *Parser) MemoryUsed(c *conn.Connection) int {
	s := session.Get(c)
	if s == nil {
		return 0
	}
	return int(unsafe.Sizeof(*s)) + s.transactions.held() + s.sides[0].header.Held() + s.sides[1].header.Held()
}

// FreeMemory implements protocol.Parser. Replies to the logged requests are still matched with
// them, but not logged.
func (p *Parser) FreeMemory(c *conn.Connection) {
	s := session.Get(c)
	if s == nil {
		return
	}
	for side := range s.sides {
		s.finishField(c, protocol.Side(side))
	}
	s.logAll()
	s.updateHook(c)
}

// Match wants a request line with a version or the beginning of a status line, after any empty
// lines. One side is enough, as the other may not have been captured. A request is Half a match if
// the server began with something else: another protocol may match better. Any other HTTP is
// identified by its port alone.
func (p *Parser) Match(orig, resp []byte) protocol.Verdict {
	resp = bytes.TrimLeft(resp, "\r\n")
	n := min(len(resp), len(keyword))
	reply := strings.EqualFold(string(resp[:n]), keyword[:n])
	if reply && len(resp) > len(keyword) && digit(resp[len(keyword)]) {
		return protocol.Yes
	}
	verdict := matchRequest(bytes.TrimLeft(orig, "\r\n"))
	if verdict == protocol.Yes && !reply {
		return protocol.Half
	}
	return verdict
}

// matchRequest tells whether orig begins with a request line that has a version.
func matchRequest(orig []byte) protocol.Verdict {
	if n := tokenLen(orig); n == len(orig) && n <= maxMethod {
		return protocol.Maybe
	} else if n == 0 || n > maxMethod || orig[n] != ' ' {
		return protocol.No
	}
	line, _, ok := new(lines.Splitter).Next(orig, lines.EndCR)
	if !ok {
		return protocol.Maybe
	}
	if r, ok := parseRequestLine(line); !ok || r.version == version09 {
		return protocol.No
	}
	return protocol.Yes
}

// begin returns the state of c. It creates one for a new connection, and where HTTP begins again
// inside HTTP, as after CONNECT.
func (p *Parser) begin(c *conn.Connection, pkt protocol.Packet) *state {
	s, created := session.GetOrNew(c)
	if created || s.over {
		*s = state{parser: p, confirmed: s.confirmed, transactions: s.transactions}
	}
	s.now = pkt.Time
	return s
}

// Data takes whole lines, and bodies in any pieces.
func (p *Parser) Data(c *conn.Connection, pkt protocol.Packet, data []byte) (n int, next protocol.Next) {
	s := p.begin(c, pkt)
	d := &s.sides[pkt.Side]
	for whole := true; whole && n < len(data) && next == protocol.More; {
		var took int
		switch d.expect {
		case nothing:
			took = len(data) - n
		case untilEnd, reply09:
			if d.expect == reply09 {
				s.beginReply(c, statusLine{version: version09, reason: noReason})
				d.expect = untilEnd
			}
			took = len(data) - n
			d.body += uint64(took)
		case fixedBody, chunkData:
			took = int(min(d.left, int64(len(data)-n)))
			next = s.bodyBytes(c, pkt.Side, took)
		default:
			if took = d.idle(data[n:]); took > 0 {
				break
			}
			var line lines.Line
			if line, took, whole = s.lines[pkt.Side].Next(data[n:], lines.EndCR); whole {
				line.Note(p.owner, c)
				next = s.line(c, pkt.Side, line, data[n+took:])
			} else {
				d.header.Ahead(data[n+took:], func(f lines.Field) { s.field(c, pkt.Side, f) })
			}
		}
		s.seen += took
		n += took
	}
	return n, s.checkEnd(c, next)
}

// Gap continues if all missing bytes belong to one body. Otherwise the rest of that side is lost. A
// gap in the requests loses the current reply too: whether it has a body may depend on its request.
func (p *Parser) Gap(c *conn.Connection, pkt protocol.Packet, n int) protocol.Next {
	s := p.begin(c, pkt)
	d := &s.sides[pkt.Side]
	if (d.expect == fixedBody || d.expect == chunkData) && d.body > 0 && int64(n) <= d.left {
		return s.checkEnd(c, s.bodyBytes(c, pkt.Side, n))
	}
	s.interrupt(c, pkt.Side)
	d.expect = nothing
	if pkt.Side == protocol.Orig {
		s.interrupt(c, protocol.Resp)
	}
	return s.checkEnd(c, protocol.More)
}

// End ends the current message: some bodies end with the connection.
func (p *Parser) End(c *conn.Connection, pkt protocol.Packet) {
	s := p.begin(c, pkt)
	s.interrupt(c, pkt.Side)
	s.sides[pkt.Side].expect = nothing
	s.checkEnd(c, protocol.More)
}

// weird reports an anomaly in c.
func (s *state) weird(c *conn.Connection, name string) { s.parser.owner.Weird(c, name, "") }

// violation is what Data returns after a line that is not HTTP: the rest of that side is ignored.
// It ends a confirmed HTTP connection, but only near its beginning, as protocol.Violated has it.
func (s *state) violation(d *side) protocol.Next {
	d.expect = nothing
	return protocol.Violated(s.confirmed, s.seen)
}

// checkEnd returns next, or Stop if neither side is followed any more. If HTTP ends here, so do the
// current messages.
func (s *state) checkEnd(c *conn.Connection, next protocol.Next) protocol.Next {
	if next == protocol.More && s.sides[0].expect == nothing && s.sides[1].expect == nothing {
		next = protocol.Stop
	}
	if next != protocol.More {
		s.interrupt(c, protocol.Orig)
		s.interrupt(c, protocol.Resp)
		s.over = true
	}
	s.updateHook(c)
	return next
}
