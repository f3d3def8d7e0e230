// Package ssh follows SSH 1 and 2 up to where they encrypt, and guesses from the sizes of what follows whether the user got
// in: the log ssh has a row for each connection.
package ssh

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"example.com/conn"
	"example.com/conn/examples/analyzer/logs"
	"example.com/conn/examples/analyzer/protocol"
)

const (
	maxLine   = 1024      // bytes of a line before or with the version; RFC 4253 allows 255
	maxPacket = 256 << 10 // bytes of a packet before encryption; OpenSSH allows that much
	maxRead   = 64 << 10  // bytes of a packet that is read as a whole

	msgKexInit     = 20
	msgNewKeys     = 21
	cmsgSessionKey = 3 // of SSH 1
)

// A Parser is a protocol.Parser.
type Parser struct{ owner protocol.Owner }

// New returns a parser for SSH.
func New(o protocol.Owner) *Parser { return &Parser{owner: o} }

func (p *Parser) Name() string          { return "ssh" }
func (p *Parser) Transport() conn.Proto { return conn.TCP }

// A state is what is known of a connection. It begins with the first version, as the row does.
type state struct {
	parser    *Parser
	row       Row
	sides     [2]side // client and server
	auth      auth
	confirmed bool // keys were exchanged
}

// A side is what one side has sent.
type side struct {
	version byte       // what it can do: '1', '2', '9' for both, 0 as long as it has not said so
	skip    int        // bytes of the packet at hand that are of no interest
	lists   *[8][]byte // of its KEXINIT, until the other's is there
	phase   phase
}

type phase int

const (
	greeting  phase = iota // lines, the last is the version
	exchange               // packets of the key exchange
	encrypted              // nothing to be read any more
)

// A Row is one row of the log ssh.
type Row struct {
	logs.Header
	Version      int    `json:"version,omitempty"`
	AuthSuccess  *bool  `json:"auth_success,omitempty"`
	AuthAttempts int    `json:"auth_attempts"`
	Direction    string `json:"direction,omitempty"`
	Client       string `json:"client,omitempty"`
	Server       string `json:"server,omitempty"`
	CipherAlg    string `json:"cipher_alg,omitempty"`
	MACAlg       string `json:"mac_alg,omitempty"`
	CompAlg      string `json:"compression_alg,omitempty"`
	KexAlg       string `json:"kex_alg,omitempty"`
	HostKeyAlg   string `json:"host_key_alg,omitempty"`
}

var session conn.Field[state] // Zeek: redef record connection += { ssh: Info &optional; };

// Held returns how many bytes the state of c takes.
func (p *Parser) Held(c *conn.Connection) int { return 0 }

// Flush lets go of what is pending.
func (p *Parser) Flush(c *conn.Connection) {}

// Ports has the one where Zeek takes all for SSH, so that half a conversation is enough.
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

// Data takes lines and packets as they are complete, and passes over what is of no interest.
func (p *Parser) Data(c *conn.Connection, pkt protocol.Packet, data []byte) (int, protocol.Next) {
	taken := 0
	for taken < len(data) {
		var n int
		next := protocol.More
		rest := data[taken:]
		s := session.Get(c)
		if s == nil || s.side(pkt).phase == greeting {
			n, next = p.line(c, pkt, rest)
		} else if s.side(pkt).phase == exchange {
			n, next = s.packet(pkt, rest)
		} else {
			n = len(rest)
			s.segment(pkt, n)
		}
		taken += n
		if s != nil && s.confirmed {
			p.owner.Confirm(c)
		}
		if s := session.Get(c); s != nil && s.complete() {
			s.log()
			s.parser.owner.Unregister(c, finalize)
			return taken, protocol.Stop
		}
		if n == 0 || next != protocol.More {
			return taken, next
		}
	}
	return taken, protocol.More
}

// Gap gives up, as Zeek does: what follows makes sense only as a whole.
func (p *Parser) Gap(*conn.Connection, protocol.Packet, int) protocol.Next { return protocol.Stop }

// End has nothing to do: the other side may go on.
func (p *Parser) End(*conn.Connection, protocol.Packet) {}

// finalize logs a connection that ended before all was known.
func finalize(c *conn.Connection) bool {
	session.Get(c).log()
	return true
}

func (s *state) log() { s.parser.owner.Log(&s.row) }

func (s *state) side(pkt protocol.Packet) *side {
	if pkt.Side == protocol.Orig {
		return &s.sides[0]
	}
	return &s.sides[1]
}

// line takes a line of the greeting.
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
		return n, protocol.More // a server may say something else first
	}
	s, created := session.GetOrNew(c)
	if created {
		s.parser = p
		s.row.Header = logs.NewHeader("ssh", c, pkt.Time)
		s.row.Direction = direction(c.ID)
		s.parser.owner.Register(c, finalize)
	}
	me := s.side(pkt)
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
	s.row.Version = common(s.sides[0].version, s.sides[1].version)
	return n, protocol.More
}

// common returns the version of the protocol that both sides can do, 0 if there is none or one side has not spoken.
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

// direction tells which way a connection crosses the border between private and public addresses.
func direction(id conn.ID) string {
	switch orig, resp := local(id.Orig.Addr()), local(id.Resp.Addr()); {
	case orig && !resp:
		return "OUTBOUND"
	case resp && !orig:
		return "INBOUND"
	}
	return ""
}

func local(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast()
}

// packet takes a packet of the key exchange, or a part of one that is of no interest.
func (s *state) packet(pkt protocol.Packet, data []byte) (int, protocol.Next) {
	me := s.side(pkt)
	if me.skip > 0 {
		n := min(me.skip, len(data))
		me.skip -= n
		return n, protocol.More
	}
	version := s.row.Version
	if me.version == '2' {
		version = 2 // does not have to wait for the other side
	}
	switch version {
	case 1:
		return s.packet1(me, data)
	case 2:
		return s.packet2(me, data)
	}
	return len(data), protocol.More // no telling what it is without the other side
}

// packet1 takes a packet of SSH 1. Each side sends one in the clear.
func (s *state) packet1(me *side, data []byte) (int, protocol.Next) {
	if len(data) < 4 {
		return 0, protocol.More
	}
	size := binary.BigEndian.Uint32(data)
	if size > maxPacket {
		return 0, protocol.Violation
	}
	padding := 8 - int(size%8)
	if len(data) <= 4+padding {
		return 0, protocol.More
	}
	if data[4+padding] == cmsgSessionKey {
		s.confirmed = true
	}
	me.phase = encrypted
	return 4 + padding, protocol.More
}

// packet2 takes a packet of SSH 2: its size, how much padding it has, its type.
func (s *state) packet2(me *side, data []byte) (int, protocol.Next) {
	const header = 6
	if len(data) < header {
		return 0, protocol.More
	}
	size := binary.BigEndian.Uint32(data)
	if size < header-4 || size > maxPacket {
		return 0, protocol.Violation
	}
	end := 4 + int(size)
	kind := data[5]
	if kind != msgKexInit && kind != msgNewKeys {
		me.skip = end - header
		return header, protocol.More
	}
	if end > maxRead {
		return 0, protocol.Violation
	}
	if len(data) < end {
		return 0, protocol.More
	}
	if kind == msgKexInit {
		s.kexInit(me, data[header:end])
	} else {
		me.phase = encrypted
		s.confirmed = s.confirmed || s.row.Version == 2
	}
	return end, protocol.More
}

// complete reports whether the rest of the connection tells nothing more.
func (s *state) complete() bool {
	client, server := &s.sides[0], &s.sides[1]
	switch {
	case client.phase == greeting || server.phase == greeting:
		return false
	case s.row.Version == 2 && !compressed(s.row.CompAlg):
		return s.auth.decided
	case s.row.Version == 0:
		return true
	}
	return client.phase == encrypted && server.phase == encrypted
}
