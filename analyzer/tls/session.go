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
	ServerName      string   `json:"server_name,omitempty"` // made of maxServerName bytes at most
	Resumed         bool     `json:"resumed"`
	LastAlert       string   `json:"last_alert,omitempty"`
	NextProtocol    string   `json:"next_protocol,omitempty"` // made of 255 bytes at most
	Established     bool     `json:"established"`
	History         string   `json:"ssl_history"` // maxHistory bytes at most
	CertChain       []string `json:"cert_chain_fps,omitzero"`
	ClientCertChain []string `json:"client_cert_chain_fps,omitzero"` // these two are set once there was a certificate
	SNIMatchesCert  *bool    `json:"sni_matches_cert,omitempty"`     // unset without both a server name and a certificate
}

// A state is what is known of a connection until it is established. finalize is registered as long
// as the row has something to log.
type state struct {
	owner protocol.Owner
	row   Row     // has something to log if its path is set
	sides [2]side // originator and responder

	started bool   // a record of SSL 3, TLS or DTLS was seen
	v2      bool   // the server chose SSL 2
	flipped bool   // the responder is the client
	version uint16 // that the server chose, 0 as long as it has not
	junk    uint8  // datagrams that were not DTLS, since the last that was

	sessionID string // that the client offers to resume; 255 bytes at most
	ticket    bool   // the client offers one, and no session ID
	psk       bool   // the client offers a key of an earlier connection
	clientKey bool   // the client has sent its half of a new key
	confirmed bool   // a client has said hello
}

// stateSize is what a state takes itself, about.
const stateSize = 1 << 10 // bytes

// A side is what one side has sent.
type side struct {
	encrypted bool
	record    record
	message   message // at hand, of TLS
	pieces    pieces  // of a message, of DTLS
}

var session conn.Field[state] // Zeek: redef record connection += { ssl: Info &optional; };

// An account is what the parsers of TLS and of DTLS have in common: how they account for what they
// keep.
type account struct{ owner protocol.Owner }

// state returns the state of c, which it makes if there is none.
func (a account) state(c *conn.Connection) *state {
	s, created := session.GetOrNew(c)
	if created {
		s.owner = a.owner
	}
	return s
}

// Held returns how many bytes the state of c takes.
func (a account) Held(c *conn.Connection) int {
	s := session.Get(c)
	if s == nil {
		return 0
	}
	n := stateSize + len(s.sessionID) + len(s.row.ServerName) + len(s.row.NextProtocol) + len(s.row.History)
	n += (len(s.row.CertChain) + len(s.row.ClientCertChain)) * 2 * fingerprintSize // slices grow to twice what is needed
	for i := range s.sides {
		n += cap(s.sides[i].message.body) + s.sides[i].pieces.size
	}
	return n
}

// Flush drops the parts of messages. What is in the row already stays: it is a few kilobytes at
// most.
func (a account) Flush(c *conn.Connection) {
	if s := session.Get(c); s != nil {
		for i := range s.sides {
			s.sides[i].message.drop()
			s.sides[i].pieces = pieces{}
		}
	}
}

// begin makes a row if there is none yet.
func (s *state) begin(c *conn.Connection, pkt protocol.Packet) {
	if s.row.Path == "" {
		s.row.Header = logs.NewHeader("ssl", c, pkt.Time)
		conn.Register(c, finalize)
	}
}

// finish logs what is known, and forgets it.
func (s *state) finish(c *conn.Connection) {
	finalize(c)
	conn.Unregister(c, finalize)
}

// finalize logs a handshake, which was cut short if finish does not call it. There is nothing to
// say if there is no row.
func finalize(c *conn.Connection) bool {
	s := session.Get(c)
	if s.row.Path != "" {
		s.owner.Log(&s.row)
	}
	session.Delete(c)
	return true
}

// history notes that a side has sent something, as long as there is room: capital letters are the
// client's.
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

// beforeTLS13 reports whether the server chose a version in which ChangeCipherSpec means what it
// says. Of a version that is not known, or not known yet, only TLS 1.3 can send application data.
func (s *state) beforeTLS13() bool {
	return s.version == ssl2 || s.version>>8 == 3 && s.version < tls13
}

func isTLS13(version uint16) bool {
	return version == tls13 || version == dtls13 || version>>8 == draft
}
