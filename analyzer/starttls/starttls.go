// Package starttls follows protocols that lead to another, usually TLS, until that begins: STARTTLS
// in IMAP, POP3, IRC, XMPP and LDAP, the negotiations of RDP, MySQL and PostgreSQL, and SOCKS,
// after which any protocol may follow. They have no logs, only their names in conn.log, so nothing
// is pending at the end of a connection, and the parser registers no removal hook.
//
// starttls.go is the parser; text.go, binary.go and socks.go define the protocols.
package starttls

import (
	"example.com/conn"
	"example.com/conn/analyzer/protocol"
)

const (
	maxSeen    = 16 << 10 // bytes of both sides that a negotiation may take
	maxWaiting = 16 << 10 // bytes that a client may send ahead of an answer
)

// A Protocol is a protocol that may give way to another.
type Protocol struct {
	name  string   // Zeek's
	ports []uint16 // Zeek's, or none

	// match implements protocol.Parser's Match.
	match func(orig, resp []byte) protocol.Verdict

	// step handles one message or line of a side, or begins to skip one. It takes nothing if it
	// needs more bytes; how many it waits for is bounded.
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

// Ports returns the ports where Zeek expects the protocol.
func (p *Parser) Ports() []uint16 { return p.p.ports }

// Match implements protocol.Parser.
func (p *Parser) Match(orig, resp []byte) protocol.Verdict { return p.p.match(orig, resp) }

// A state is the state of a negotiation.
type state struct {
	stage stage
	seen  int    // bytes of both sides
	skip  [2]int // bytes of each side that are still to be skipped
	tag   string // of the request, at most maxTag bytes
	id    uint32 // of the request

	confirmed bool   // the connection speaks the protocol
	weird     string // name of an anomaly that the current step found, or empty
}

// A stage is what has happened so far. Each protocol uses some of the stages, in this order.
type stage uint8

const (
	begun      stage = iota
	greeted          // the server has sent something
	offered          // the client has offered to authenticate
	chosen           // the server wants authentication
	authorized       // the client has authenticated
	asked            // the client has asked for the next protocol, and waits
	refused          // the server has refused
)

// stateSize is what a state takes, about, without its tag.
const stateSize = 128 // bytes

var session conn.Field[state] // in Zeek, a part of the analyzers

// MemoryUsed implements protocol.Parser.
func (p *Parser) MemoryUsed(c *conn.Connection) int {
	if s := session.Get(c); s != nil {
		return stateSize + len(s.tag)
	}
	return 0
}

// FreeMemory does nothing: a state is small.
func (p *Parser) FreeMemory(*conn.Connection) {}

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
		case s.stage == asked && pkt.Side == protocol.Orig: // perhaps the next protocol already
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

// End does nothing.
func (p *Parser) End(*conn.Connection, protocol.Packet) {}

// done is what step returns when there is nothing more to learn, since a handover is no longer
// possible.
func (s *state) done() (int, protocol.Next) {
	if s.confirmed {
		return 0, protocol.Stop
	}
	return 0, protocol.Violation
}
