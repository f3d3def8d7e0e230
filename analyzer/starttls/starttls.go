// Package starttls follows protocols that lead to another, which is most often TLS, only as far as
// that begins: STARTTLS in IMAP, POP3, IRC, XMPP and LDAP, the negotiations of RDP, MySQL and
// PostgreSQL, and SOCKS, behind which anything may be. They have no logs, but for their names in
// conn.log.
//
// The files: starttls.go has the parser, text.go and binary.go a Protocol for each of the
// protocols.
package starttls

import (
	"example.com/conn"
	"example.com/conn/analyzer/protocol"
)

const (
	maxSeen    = 16 << 10 // bytes of both sides that a negotiation may take
	maxWaiting = 16 << 10 // bytes that a client may have sent before it is answered
)

// A Protocol is one that may give way to another.
type Protocol struct {
	name  string   // Zeek's
	ports []uint16 // Zeek's, or none

	// match is as of protocol.Parser.
	match func(orig, resp []byte) protocol.Verdict

	// step takes one message of a side, or its line, or what is to be skipped. It takes nothing if
	// that is not all there; how much it waits for is bounded.
	step func(s *state, side protocol.Side, data []byte) (int, protocol.Next)
}

// A Parser is a protocol.StreamParser for a Protocol.
type Parser struct {
	owner protocol.Owner
	p     *Protocol
}

// New returns a parser for p.
func New(o protocol.Owner, p *Protocol) *Parser { return &Parser{o, p} }

// Name returns Zeek's name for the service.
func (p *Parser) Name() string { return p.p.name }

// Transport returns conn.TCP.
func (p *Parser) Transport() conn.Proto { return conn.TCP }

// Ports has where Zeek expects the protocol.
func (p *Parser) Ports() []uint16 { return p.p.ports }

// Match judges the first bytes of both sides.
func (p *Parser) Match(orig, resp []byte) protocol.Verdict { return p.p.match(orig, resp) }

// A state is how far the negotiation of a connection has come.
type state struct {
	stage stage
	seen  int    // bytes of both sides
	skip  [2]int // bytes of the message of a side that are to come, and mean nothing
	tag   string // of the request, maxTag bytes at most
	id    uint32 // of the request

	confirmed bool   // this is the protocol
	weird     string // what the step at hand found, or empty
}

// A stage is what has happened. Each protocol has those that it needs, in this order.
type stage uint8

const (
	begun      stage = iota
	greeted          // the server has said something
	offered          // the client has offered to authenticate
	chosen           // the server wants it to
	authorized       // it has
	asked            // the client has asked for what follows, and waits
	refused          // the server goes on without
)

// stateSize is what a state takes, about.
const stateSize = 128 // bytes

var session conn.Field[state] // Zeek's analyzers have it in themselves

// Held returns how many bytes the state of c takes.
func (p *Parser) Held(c *conn.Connection) int {
	if s := session.Get(c); s != nil {
		return stateSize + len(s.tag)
	}
	return 0
}

// Flush has nothing to drop: a state is small.
func (p *Parser) Flush(*conn.Connection) {}

// Data takes whole messages or lines.
func (p *Parser) Data(c *conn.Connection, pkt protocol.Packet, data []byte) (int, protocol.Next) {
	s, _ := session.GetOrNew(c)
	taken := 0
	for next := protocol.More; taken < len(data); {
		var n int
		rest := data[taken:]
		switch {
		case s.skip[pkt.Side] > 0:
			n = min(s.skip[pkt.Side], len(rest))
			s.skip[pkt.Side] -= n
		case s.stage == asked && pkt.Side == protocol.Orig: // it may already be the other protocol
			if len(rest) > maxWaiting {
				next = protocol.Stop
			}
		default:
			n, next = p.p.step(s, pkt.Side, rest)
		}
		if s.weird != "" {
			p.owner.Weird(c, s.weird, "")
			s.weird = ""
		}
		if s.confirmed {
			p.owner.Confirm(c)
		}
		taken += n
		if s.seen += n; s.seen > maxSeen && next == protocol.More {
			next = protocol.Stop
		}
		if next != protocol.More {
			session.Delete(c)
			return taken, next
		}
		if n == 0 {
			break
		}
	}
	return taken, protocol.More
}

// Gap gives up: the answer may have been lost.
func (p *Parser) Gap(c *conn.Connection, _ protocol.Packet, _ int) protocol.Next {
	session.Delete(c)
	return protocol.Stop
}

// End has nothing to do.
func (p *Parser) End(*conn.Connection, protocol.Packet) {}

// done is what step returns when there is nothing more to learn: if this is the protocol, it will
// not give way any more.
func (s *state) done() (int, protocol.Next) {
	if s.confirmed {
		return 0, protocol.Stop
	}
	return 0, protocol.Violation
}
