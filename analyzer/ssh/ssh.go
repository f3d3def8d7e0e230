// Package ssh follows SSH 1 and 2 until they encrypt, and guesses from the sizes of later packets
// whether the user logged in. The log ssh has a row for each connection, as Zeek's does.
//
// ssh.go is the parser and reads the greeting; row.go defines the row; kex.go reads the key
// exchange; auth.go guesses.
package ssh

import (
	"bytes"

	"example.com/conn"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/protocol"
)

const (
	maxLine   = 1024      // bytes of a line before or with the version; RFC 4253 allows 255
	maxPacket = 256 << 10 // bytes of a packet before encryption; OpenSSH allows that much
	maxRead   = 64 << 10  // bytes of a packet that is read as a whole
)

// A Parser is a protocol.Parser.
type Parser struct{ owner protocol.Owner }

// New returns a parser for SSH.
func New(o protocol.Owner) *Parser { return &Parser{owner: o} }

func (p *Parser) Name() string          { return "ssh" }
func (p *Parser) Transport() conn.Proto { return conn.TCP }

// A state is the state of a connection. It begins with the first version, as the row does.
// finalize is registered until the row is logged.
type state struct {
	parser    *Parser
	row       *Row    // nil once it is logged
	sides     [2]side // client and server
	hostKeyIn byte    // type of the message with the server's key, 0 without one
	auth      auth
}

// A side is the state of one side.
type side struct {
	phase   phase
	version byte   // supported versions: '1', '2', '9' for both, 0 while unknown
	skip    int    // bytes of the current packet to skip
	init    []byte // its KEXINIT, until the other side's is there; at most maxRead bytes
}

type phase byte

const (
	greeting  phase = iota // lines, of which the last is the version
	exchange               // packets of the key exchange
	encrypted              // nothing can be read
)

var session conn.Field[state] // Zeek: redef record connection += { ssh: Info &optional; };

// finalize is the removal hook: it logs the connection as far as it got. Parser.line registers it
// with the first version.
func finalize(c *conn.Connection) bool {
	s := session.Get(c)
	s.parser.owner.Log(s.row)
	s.row = nil
	s.sides[0].init, s.sides[1].init = nil, nil
	return true
}

// finish runs the hook now, unless it has run.
func finish(c *conn.Connection) {
	if conn.Unregister(c, finalize) {
		finalize(c)
	}
}

// MemoryUsed implements protocol.Parser.
func (p *Parser) MemoryUsed(c *conn.Connection) int {
	const stateSize = 208 // bytes, with its place in c
	s := session.Get(c)
	if s == nil {
		return 0
	}
	n := stateSize + cap(s.sides[0].init) + cap(s.sides[1].init)
	if s.row != nil {
		n += s.row.held()
	}
	return n
}

// FreeMemory implements protocol.Parser. It gives up the connection.
func (p *Parser) FreeMemory(c *conn.Connection) { finish(c) }

// Ports returns the port on which Zeek treats all traffic as SSH, so that one side is enough.
func (p *Parser) Ports() []uint16 { return []uint16{22} }

// Match wants the versions of both sides.
func (p *Parser) Match(orig, resp []byte) protocol.Verdict { return min(match(orig), match(resp)) }

func match(data []byte) protocol.Verdict {
	prefix := []byte("SSH-")
	n := min(len(data), len(prefix))
	switch {
	case n == 0:
		return protocol.Maybe
	case !bytes.EqualFold(data[:n], prefix[:n]),
		len(data) > 4 && data[4] != '1' && data[4] != '2',
		len(data) > 5 && data[5] != '.':
		return protocol.No
	case len(data) < 6:
		return protocol.Maybe
	}
	return protocol.Yes
}

// Data takes whole lines and the whole packets that are read. It skips the others.
func (p *Parser) Data(c *conn.Connection, pkt protocol.Packet, data []byte) (int, protocol.Next) {
	taken := 0
	s := session.Get(c)
	for taken < len(data) {
		var n int
		next := protocol.More
		rest := data[taken:]
		switch {
		case s == nil:
			n, next = p.line(c, pkt, rest)
			s = session.Get(c)
		case s.sides[pkt.Side].phase == greeting:
			n, next = p.line(c, pkt, rest)
		case s.row == nil:
			return len(data), protocol.Stop // FreeMemory has logged it
		case s.sides[pkt.Side].phase == exchange:
			n, next = s.packet(c, pkt.Side, rest)
		default:
			n = len(rest)
			s.segment(pkt, n)
		}
		taken += n
		if s != nil && s.complete() {
			finish(c)
			return taken, protocol.Stop
		}
		if n == 0 || next != protocol.More {
			return taken, next
		}
	}
	return taken, protocol.More
}

// Gap gives up, as Zeek does: what follows cannot be read without the missing bytes.
func (p *Parser) Gap(*conn.Connection, protocol.Packet, int) protocol.Next { return protocol.Stop }

// End does nothing: the other side may continue.
func (p *Parser) End(*conn.Connection, protocol.Packet) {}

// line handles a line of the greeting.
func (p *Parser) line(c *conn.Connection, pkt protocol.Packet, data []byte) (int, protocol.Next) {
	n := bytes.IndexByte(data, '\n') + 1
	if n > maxLine || n == 0 && len(data) > maxLine {
		return 0, protocol.Violation
	}
	if n == 0 {
		return 0, protocol.More
	}
	line := bytes.TrimSuffix(data[:n-1], []byte("\r"))
	if match(line) != protocol.Yes {
		if pkt.Side == protocol.Orig {
			return 0, protocol.Violation
		}
		return n, protocol.More // a server may send other lines first
	}
	s, created := session.GetOrNew(c)
	if created {
		s.parser = p
		s.row = newRow(c, pkt.Time)
		conn.Register(c, finalize)
	}
	if s.row == nil {
		return n, protocol.Stop // FreeMemory has logged it
	}
	me := &s.sides[pkt.Side]
	me.phase = exchange
	me.version = line[4]
	if len(line) > 7 && string(line[4:8]) == "1.99" {
		me.version = '9'
	}
	if pkt.Side == protocol.Orig {
		s.row.Client = logs.Text(line)
	} else {
		s.row.Server = logs.Text(line)
	}
	client, server := s.sides[protocol.Orig].version, s.sides[protocol.Resp].version
	s.row.Version = common(client, server)
	if client != 0 && server != 0 && s.row.Version == 0 {
		p.owner.Weird(c, "SSH_version_mismatch", s.row.Server+" vs "+s.row.Client)
	}
	return n, protocol.More
}

// common returns the protocol version that both sides support, or 0.
func common(client, server byte) int {
	switch {
	case client == 0 || server == 0:
		return 0
	case client != '1' && server != '1':
		return 2
	case client != '2' && server != '2':
		return 1
	}
	return 0
}

// complete reports whether nothing more can be learned from the rest of the connection.
func (s *state) complete() bool {
	client, server := &s.sides[protocol.Orig], &s.sides[protocol.Resp]
	switch {
	case s.row == nil || client.phase == greeting || server.phase == greeting:
		return false
	case s.row.Version == 2 && !compressed(s.row.CompAlg):
		return s.auth.decided
	case s.row.Version == 0:
		return true
	}
	return client.phase == encrypted && server.phase == encrypted
}
