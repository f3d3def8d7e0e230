package tls

import (
	"example.com/conn"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/protocol"
)

const maxHistory = 100 // letters; Zeek's SSL::max_ssl_history_length

// A Row is one row of the log ssl.
type Row struct {
	logs.Header
	Version         string   `json:"version,omitempty"`
	Cipher          string   `json:"cipher,omitempty"`
	Curve           string   `json:"curve,omitempty"`
	ServerName      string   `json:"server_name,omitempty"` // from at most maxServerName bytes
	Resumed         bool     `json:"resumed"`
	LastAlert       string   `json:"last_alert,omitempty"`
	NextProtocol    string   `json:"next_protocol,omitempty"` // from at most 255 bytes
	Established     bool     `json:"established"`
	History         string   `json:"ssl_history"` // at most maxHistory bytes
	CertChain       []string `json:"cert_chain_fps,omitzero"`
	ClientCertChain []string `json:"client_cert_chain_fps,omitzero"` // set with CertChain
	SNIMatchesCert  *bool    `json:"sni_matches_cert,omitempty"`     // nil if either is missing
}

// A state is the state of a connection until it is established. finalize is registered while there
// is a row to log.
type state struct {
	owner protocol.Owner
	row   Row     // to be logged if its path is set
	sides [2]side // originator and responder

	started bool   // a record of SSL 3, TLS or DTLS was seen
	v2      bool   // the server chose SSL 2
	flipped bool   // the responder is the client
	version uint16 // chosen by the server, 0 before
	junk    uint8  // datagrams since the last one of DTLS

	sessionID string // offered by the client for resumption; at most 255 bytes
	ticket    bool   // the client offers one and no session ID
	psk       bool   // the client offers a key of an earlier connection
	clientKey bool   // the client has sent its half of a new key
	confirmed bool   // a client hello was seen
}

// stateSize is the size of a state, without what it refers to.
const stateSize = 1 << 10 // bytes, about

// A side is the state of one side.
type side struct {
	encrypted bool
	record    record
	message   message // current, of TLS
	pieces    pieces  // of the current message, of DTLS
}

var session conn.Field[state] // Zeek: redef record connection += { ssl: Info &optional; };

// finalize is the removal hook: it logs a handshake, which was cut short unless finish calls it.
// Without a row, there is nothing to log. state.begin registers it with the row.
func finalize(c *conn.Connection) bool {
	s := session.Get(c)
	if s.row.Path != "" {
		s.owner.Log(&s.row)
	}
	session.Delete(c)
	return true
}

// finish logs the row and deletes the state.
func (s *state) finish(c *conn.Connection) {
	conn.Unregister(c, finalize)
	finalize(c)
}

// An account is common to the parsers of TLS and DTLS: the state of connections, and how much
// memory it takes.
type account struct{ owner protocol.Owner }

// state returns the state of c, which it creates if necessary.
func (a account) state(c *conn.Connection) *state {
	s, created := session.GetOrNew(c)
	if created {
		s.owner = a.owner
	}
	return s
}

// MemoryUsed implements protocol.Parser.
func (a account) MemoryUsed(c *conn.Connection) int {
	s := session.Get(c)
	if s == nil {
		return 0
	}
	n := stateSize + len(s.sessionID) + len(s.row.ServerName) + len(s.row.NextProtocol) + len(s.row.History)
	// Slices grow to twice what is needed.
	n += (len(s.row.CertChain) + len(s.row.ClientCertChain)) * 2 * fingerprintSize
	for i := range s.sides {
		n += cap(s.sides[i].message.body) + s.sides[i].pieces.size
	}
	return n
}

// FreeMemory implements protocol.Parser. It drops the incomplete messages. The row stays: it has at
// most a few kilobytes.
func (a account) FreeMemory(c *conn.Connection) {
	if s := session.Get(c); s != nil {
		for i := range s.sides {
			s.sides[i].message.drop()
			s.sides[i].pieces = pieces{}
		}
	}
}

// begin creates the row if there is none yet.
func (s *state) begin(c *conn.Connection, pkt protocol.Packet) {
	if s.row.Path == "" {
		s.row.Header = logs.NewHeader("ssl", c, pkt.Time)
		conn.Register(c, finalize)
	}
}

// history appends a letter to the history while there is room: a capital one for the client.
func (s *state) history(c *conn.Connection, client bool, letter byte) {
	if len(s.row.History) >= maxHistory {
		return
	}
	if client {
		letter -= 'a' - 'A'
	}
	if s.row.History += string(letter); len(s.row.History) == maxHistory {
		s.owner.Weird(c, "SSL_max_ssl_history_length_reached", "")
	}
}

func (s *state) isClient(pkt protocol.Packet) bool { return (pkt.Side == protocol.Orig) != s.flipped }

// ciphertext records that a side has sent an encrypted record.
func (s *state) ciphertext(pkt protocol.Packet) protocol.Next {
	s.sides[pkt.Side].encrypted = true
	if !s.sides[pkt.Side.Other()].encrypted {
		return protocol.More
	}
	s.row.Established = true
	return protocol.Stop
}

// short handles the first bytes of a record in the clear that is not a handshake's.
func (s *state) short(c *conn.Connection, pkt protocol.Packet, kind byte, body []byte, more bool) {
	client := s.isClient(pkt)
	s.begin(c, pkt)
	switch kind {
	case changeCipherSpec:
		s.history(c, client, 'i')
		if client && s.ticket && !s.clientKey {
			s.row.Resumed = true
		}
		if !isTLS13(s.version) { // which sends it only for middleboxes
			s.sides[pkt.Side].encrypted = true
		}
	case alert:
		s.alerts(c, client, body)
		if more {
			s.owner.Weird(c, "SSL_Excessive_alerts_in_record", "")
		}
	case heartbeat:
		s.history(c, client, 'b')
	case applicationData:
		s.owner.Weird(c, "ssl_early_application_data", "")
	}
}

func (s *state) alerts(c *conn.Connection, client bool, body []byte) {
	n := len(body) / 2
	if isTLS13(s.version) {
		n = min(n, 1)
	}
	for range n {
		s.history(c, client, 'l')
	}
	if n > 0 {
		s.row.LastAlert = alertName(body[2*n-1])
	}
}

// beforeTLS13 reports whether the server chose a version in which ChangeCipherSpec begins
// encryption. While the version is unknown, application data can only be TLS 1.3's.
func (s *state) beforeTLS13() bool {
	return s.version == ssl2 || s.version>>8 == 3 && s.version < tls13
}

func isTLS13(version uint16) bool {
	return version == tls13 || version == dtls13 || version>>8 == draft
}
