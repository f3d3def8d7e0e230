// Package tls follows the handshakes of TLS and SSL: the log ssl has a row for each connection.
package tls

import (
	"encoding/binary"

	"example.com/conn"
	"example.com/conn/examples/analyzer/logs"
	"example.com/conn/examples/analyzer/protocol"
)

const (
	recordHeader = 5             // bytes
	maxRecord    = 1<<14 + 2<<10 // bytes of a record's body: RFC 5246, section 6.2.3
	maxAlerts    = 10            // in one record; Zeek's SSL::max_alerts_per_record
	maxHistory   = 100           // letters; Zeek's SSL::max_ssl_history_length
)

// Content types of records.
const (
	changeCipherSpec = 20
	alert            = 21
	handshake        = 22
	applicationData  = 23
	heartbeat        = 24
)

// A Parser is a protocol.Parser.
type Parser struct{ owner protocol.Owner }

// New returns a parser for TLS.
func New(o protocol.Owner) *Parser { return &Parser{owner: o} }

func (p *Parser) Name() string          { return "ssl" }
func (p *Parser) Transport() conn.Proto { return conn.TCP }

// Ports has where Zeek expects TLS.
func (p *Parser) Ports() []uint16 {
	return []uint16{443, 563, 585, 614, 636, 989, 990, 992, 993, 995, 5223}
}

// A state is what is known of a connection.
type state struct {
	parser *Parser
	row    Row     // has something to log if its path is set
	sides  [2]side // originator and responder

	started bool   // a record of SSL 3 or TLS was seen
	v2      bool   // the server chose SSL 2
	flipped bool   // the responder is the client
	version uint16 // that the server chose, 0 as long as it has not

	sessionID string // that the client offers to resume
	ticket    bool   // the client offers one, and no session ID
	psk       bool   // the client offers a key of an earlier connection
	clientKey bool   // the client has sent its half of a new key
	retry     bool   // the message at hand is not really a ServerHello, but a HelloRetryRequest
	confirmed bool   // a client has said hello
}

// A side is what one side has sent.
type side struct {
	encrypted bool
	message   []byte // the handshake message at hand: its header, and its body if that is read
	left      int    // bytes of it that are still to come
}

// A Row is one row of the log ssl.
type Row struct {
	logs.Header
	Version      string `json:"version,omitempty"`
	Cipher       string `json:"cipher,omitempty"`
	Curve        string `json:"curve,omitempty"`
	ServerName   string `json:"server_name,omitempty"`
	Resumed      bool   `json:"resumed"`
	LastAlert    string `json:"last_alert,omitempty"`
	NextProtocol string `json:"next_protocol,omitempty"`
	Established  bool   `json:"established"`
	History      string `json:"ssl_history,omitempty"`
}

var session conn.Field[state] // Zeek: redef record connection += { ssl: Info &optional; };

// Held returns how many bytes the state of c takes.
func (p *Parser) Held(c *conn.Connection) int { return 0 }

// Flush lets go of what is pending.
func (p *Parser) Flush(c *conn.Connection) {}

// Match wants the hello of either side, since a capture may have one side only.
func (p *Parser) Match(orig, resp []byte) protocol.Verdict {
	a, b := match(orig), match(resp)
	if a == protocol.Yes || b == protocol.Yes {
		return protocol.Yes
	}
	return min(a, b)
}

func match(data []byte) protocol.Verdict {
	v := max(matchHello(data, clientHello), matchHello(data, serverHello), matchV2(data))
	const alertRecord = recordHeader + 2 // a server may warn before it says hello
	if len(data) > alertRecord && data[0] == alert {
		v = max(v, matchHello(data[alertRecord:], serverHello))
	} else if len(data) > 0 && data[0] == alert {
		v = max(v, protocol.Maybe)
	}
	return v
}

// matchHello judges whether data begins with a record that begins with a hello of the given kind.
func matchHello(data []byte, kind byte) protocol.Verdict {
	const enough = recordHeader + messageHeader + 2
	for i, b := range data[:min(len(data), enough)] {
		ok := true
		switch i {
		case 0:
			ok = b == handshake
		case 1:
			ok = b == 3
		case 2:
			ok = b <= 3
		case 5:
			ok = b == kind
		case 9:
			ok = b == 3 || b == draft && kind == serverHello
		case 10:
			ok = b <= 4 || data[9] == draft
		}
		if !ok {
			return protocol.No
		}
	}
	if len(data) < enough {
		return protocol.Maybe
	}
	return protocol.Yes
}

// Data takes whole records.
func (p *Parser) Data(c *conn.Connection, pkt protocol.Packet, data []byte) (int, protocol.Next) {
	s, created := session.GetOrNew(c)
	if created {
		s.parser = p
		s.parser.owner.Register(c, finalize)
	}
	taken := 0
	for len(data)-taken >= recordHeader {
		rest := data[taken:]
		var n int
		var next protocol.Next
		if !s.started && (s.v2 || rest[0]&0x80 != 0) {
			n, next = s.recordV2(c, pkt, rest)
		} else {
			n, next = s.record(c, pkt, rest)
		}
		taken += n
		if s.confirmed {
			p.owner.Confirm(c)
		}
		if next != protocol.More {
			s.log()
			s.parser.owner.Unregister(c, finalize)
			return taken, next
		}
		if n == 0 {
			break
		}
	}
	return taken, protocol.More
}

// Gap gives up, as Zeek does: where the next record begins is lost.
func (p *Parser) Gap(c *conn.Connection, _ protocol.Packet, _ int) protocol.Next {
	return protocol.Stop
}

// End has nothing to do: the other side may still send an alert.
func (p *Parser) End(*conn.Connection, protocol.Packet) {}

// finalize logs a handshake that was cut short.
func finalize(c *conn.Connection) bool {
	session.Get(c).log()
	return true
}

// log writes the row if there is something to say.
func (s *state) log() {
	if s.row.Path != "" {
		s.parser.owner.Log(&s.row)
	}
}

// begin makes a row if there is none yet.
func (s *state) begin(c *conn.Connection, pkt protocol.Packet) {
	if s.row.Path == "" {
		s.row.Header = logs.NewHeader("ssl", c, pkt.Time)
	}
}

// history notes that a side has sent something: capital letters are the client's.
func (s *state) history(client bool, letter byte) {
	if client {
		letter -= 'a' - 'A'
	}
	if len(s.row.History) < maxHistory {
		s.row.History += string(letter)
	}
}

func (s *state) side(pkt protocol.Packet) *side {
	if pkt.Side == protocol.Orig {
		return &s.sides[0]
	}
	return &s.sides[1]
}

// record takes a record. When the connection is established, or when this is not TLS, Next is not More.
func (s *state) record(c *conn.Connection, pkt protocol.Packet, data []byte) (int, protocol.Next) {
	kind := data[0]
	if data[1] != 3 || data[2] > 3 {
		return 0, protocol.Violation
	}
	s.started = true
	end := recordHeader + int(binary.BigEndian.Uint16(data[3:]))
	if end > recordHeader+maxRecord {
		return 0, protocol.Violation
	}
	if len(data) < end {
		return 0, protocol.More
	}
	body := data[recordHeader:end]
	if len(body) == 0 {
		return end, protocol.More
	}
	me, client := s.side(pkt), (pkt.Side == protocol.Orig) != s.flipped
	if kind == applicationData && !s.beforeTLS13() {
		me.encrypted = true // TLS 1.3 does not say when that begins
	}
	switch {
	case me.encrypted:
		if s.sides[0].encrypted && s.sides[1].encrypted {
			s.row.Established = true
			return end, protocol.Stop
		}
	case kind == changeCipherSpec:
		s.begin(c, pkt)
		s.history(client, 'i')
		if client && s.ticket && !s.clientKey {
			s.row.Resumed = true
		}
		if !isTLS13(s.version) { // which sends it for the looks only
			me.encrypted = true
		}
	case kind == alert:
		s.alerts(c, pkt, client, body)
	case kind == handshake:
		if !s.handshake(c, pkt, body) {
			return 0, protocol.Violation
		}
	case kind == heartbeat:
		s.begin(c, pkt)
		s.history(client, 'b')
	case kind != applicationData:
		return 0, protocol.Violation
	}
	return end, protocol.More
}

func (s *state) alerts(c *conn.Connection, pkt protocol.Packet, client bool, body []byte) {
	n := maxAlerts
	if isTLS13(s.version) {
		n = 1
	}
	for ; n > 0 && len(body) >= 2; n-- {
		s.begin(c, pkt)
		s.history(client, 'l')
		s.row.LastAlert = alertName(body[1])
		body = body[2:]
	}
}

// beforeTLS13 reports whether the server chose a version in which ChangeCipherSpec means what it says. Of a version that
// is not known, or not known yet, only TLS 1.3 can send application data.
func (s *state) beforeTLS13() bool {
	return s.version == ssl2 || s.version>>8 == 3 && s.version < tls13
}

func isTLS13(version uint16) bool { return version == tls13 || version>>8 == draft }
