package tls

import (
	"bytes"
	"strings"

	"example.com/conn"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/protocol"
	"golang.org/x/crypto/cryptobyte"
)

const (
	messageHeader   = 4         // bytes: type and length
	maxMessage      = 64 << 10  // bytes of a handshake message that is read; no hello is longer
	maxCertificates = 512 << 10 // bytes of a message with certificates that is read
	maxServerName   = 1 << 10   // bytes of a server name that are kept
)

// Types of handshake messages.
const (
	clientHello       = 1
	serverHello       = 2
	helloRetryRequest = 6 // of drafts of TLS 1.3
	certificate       = 11
	serverKeyExchange = 12
	clientKeyExchange = 16
)

// letters maps a type of handshake message to Zeek's letter for it.
var letters = map[byte]byte{
	0: 'h', clientHello: 'c', serverHello: 's', 3: 'v', 4: 't', 5: 'e', helloRetryRequest: 'j', 8: 'o',
	certificate: 'x', serverKeyExchange: 'k',
	13: 'r', 14: 'n', 15: 'y', clientKeyExchange: 'g', 20: 'f', 21: 'w', 22: 'u', 23: 'a', 24: 'p', 254: 'm',
}

// Extensions.
const (
	extServerName        = 0
	extALPN              = 16
	extSessionTicket     = 35
	extPreSharedKey      = 41
	extSupportedVersions = 43
	extKeyShare          = 51
	extKeyShareOld       = 40 // of drafts of TLS 1.3
)

// A message is the current handshake message, as far as it has arrived.
type message struct {
	head [messageHeader]byte
	have int    // bytes of head
	left int    // bytes of the body still to come
	read bool   // the body is kept
	body []byte // at most maxLength(head[0]) bytes
}

// drop discards the body, which will not be read.
func (m *message) drop() { m.body, m.read = nil, false }

// take adds the next bytes, and reports whether the message is whole with the first n of them. body
// is valid until the next call.
func (m *message) take(data []byte) (n int, body []byte, whole bool) {
	if m.have < messageHeader {
		n = copy(m.head[m.have:], data)
		if m.have += n; m.have < messageHeader {
			return n, nil, false
		}
		m.left = m.length()
		m.read = m.left <= maxLength(m.head[0])
		data = data[n:]
	}
	part := data[:min(m.left, len(data))]
	n, m.left = n+len(part), m.left-len(part)
	switch {
	case m.read && (m.left > 0 || len(m.body) > 0):
		m.body = append(m.body, part...)
		body = m.body
	case m.read:
		body = part
	}
	if m.left > 0 {
		return n, nil, false
	}
	m.have, m.body = 0, nil
	return n, body, true
}

// maxLength returns the longest message of a kind that is read, 0 for a kind that is not.
func maxLength(kind byte) int {
	switch kind {
	case clientHello, serverHello, serverKeyExchange:
		return maxMessage
	case certificate:
		return maxCertificates
	}
	return 0
}

// handshake handles a part of a handshake record: messages, of which the first and last may be
// incomplete. It reports false if they are not TLS.
func (s *state) handshake(c *conn.Connection, pkt protocol.Packet, data []byte) bool {
	m := &s.sides[pkt.Side].message
	for len(data) > 0 {
		n, body, whole := m.take(data)
		data = data[n:]
		if !m.sane() || whole && !s.message(c, pkt, m.head[0], body, m.read) {
			return false
		}
	}
	return true
}

// sane reports false for a hello that is too long to be one.
func (m *message) sane() bool {
	return m.have < messageHeader || m.length() <= maxMessage || m.head[0] != clientHello && m.head[0] != serverHello
}

// length returns the length of the body, once the header is there.
func (m *message) length() int { return int(m.head[1])<<16 | int(m.head[2])<<8 | int(m.head[3]) }

// message handles a handshake message. body is set only if it was read.
func (s *state) message(c *conn.Connection, pkt protocol.Packet, kind byte, body cryptobyte.String, read bool) bool {
	letter, ok := letters[kind]
	if !ok {
		return false
	}
	flip := !s.flipped && (kind == clientHello && pkt.Side == protocol.Resp || kind == serverHello && pkt.Side == protocol.Orig)
	s.flipped = s.flipped || flip
	client := s.isClient(pkt)
	switch {
	case kind == clientKeyExchange:
		s.clientKey = s.clientKey || client
	case !read:
	case kind == clientHello:
		ok = s.clientHello(c, body)
	case kind == serverHello:
		var retry bool
		if retry, ok = s.serverHello(body); retry {
			letter = letters[helloRetryRequest]
		}
	case kind == serverKeyExchange:
		s.serverKeyExchange(body)
	case kind == certificate:
		s.certificates(c, client, body)
	}
	if !ok {
		return false
	}
	s.begin(c, pkt)
	if flip {
		s.row.History += "^"
	}
	s.history(c, client, letter)
	return true
}

func (s *state) clientHello(c *conn.Connection, body cryptobyte.String) bool {
	var version uint16
	var id, cookie, ciphers, compression cryptobyte.String
	if !body.ReadUint16(&version) || !versionOK(version) ||
		!body.Skip(32) || // random
		!body.ReadUint8LengthPrefixed(&id) ||
		isDTLS(byte(version>>8), byte(version)) && !body.ReadUint8LengthPrefixed(&cookie) ||
		!body.ReadUint16LengthPrefixed(&ciphers) || len(ciphers) == 0 || len(ciphers)%2 != 0 ||
		!body.ReadUint8LengthPrefixed(&compression) || len(compression) == 0 {
		return false
	}
	ok := extensions(body, func(kind uint16, ext cryptobyte.String) {
		switch kind {
		case extServerName:
			if name, n := serverName(ext); n > 0 {
				s.row.ServerName = logs.Text(name[:min(len(name), maxServerName)])
				if n > 1 {
					s.owner.Weird(c, "SSL_many_server_names", "")
				}
			}
		case extSessionTicket:
			s.ticket = s.ticket || len(ext) > 0
		case extPreSharedKey:
			s.psk = true
		}
	})
	if !ok {
		return false
	}
	s.offer(id)
	s.confirm(c)
	return true
}

// confirm notes a client's hello.
func (s *state) confirm(c *conn.Connection) {
	s.confirmed = true
	s.owner.Confirm(c)
}

// offer notes the session that the client wants to resume.
func (s *state) offer(id []byte) {
	if len(id) > 0 && !bytes.Equal(id, make([]byte, 32)) {
		s.sessionID = string(id)
		s.ticket = false
	}
}

// serverHello also reports whether the message is really a HelloRetryRequest.
func (s *state) serverHello(body cryptobyte.String) (retry, ok bool) {
	var version, cipher uint16
	var random []byte
	var id cryptobyte.String
	if !body.ReadUint16(&version) || !versionOK(version) || !body.ReadBytes(&random, 32) {
		return false, false
	}
	// Drafts of TLS 1.3 had neither session ID nor compression; the final version says it is TLS 1.2.
	old := version != tls13 && version>>8 != draft
	if old && !body.ReadUint8LengthPrefixed(&id) || !body.ReadUint16(&cipher) || old && !body.Skip(1) {
		return false, false
	}
	chosen := version
	var resumed bool
	var curve, alpn string
	ok = extensions(body, func(kind uint16, ext cryptobyte.String) {
		switch kind {
		case extSupportedVersions:
			ext.ReadUint16(&chosen)
		case extKeyShare, extKeyShareOld:
			var group uint16
			if ext.ReadUint16(&group) {
				curve = curveName(group)
			}
		case extALPN:
			var list, name cryptobyte.String
			if ext.ReadUint16LengthPrefixed(&list) && list.ReadUint8LengthPrefixed(&name) {
				alpn = logs.Text(name)
			}
		case extPreSharedKey:
			resumed = s.psk
		}
	})
	if !ok {
		return false, false
	}
	s.choose(chosen, cipherName(cipher))
	if s.sessionID != "" && s.sessionID == string(id) && !isTLS13(s.version) {
		resumed = true
	}
	s.row.Resumed = s.row.Resumed || resumed
	if curve != "" {
		s.row.Curve = curve
	}
	if alpn != "" {
		s.row.NextProtocol = alpn
	}
	return string(random) == retryRandom, true
}

// retryRandom is the random of a ServerHello that is a HelloRetryRequest (RFC 8446, section 4.1.3).
const retryRandom = "\xCF\x21\xAD\x74\xE5\x9A\x61\x11\xBE\x1D\x8C\x02\x1E\x65\xB8\x91" +
	"\xC2\xA2\x11\x16\x7A\xBB\x8C\x5E\x07\x9E\x09\xE2\xC8\xA8\x33\x9C"

// choose notes what the server chose.
func (s *state) choose(version uint16, cipher string) {
	s.version = version
	s.row.Version = versionName(version)
	s.row.Cipher = cipher
}

// serverKeyExchange reads the curve, if the cipher needs one.
func (s *state) serverKeyExchange(body cryptobyte.String) {
	const namedCurve = 3
	var kind uint8
	var curve uint16
	if strings.Contains(s.row.Cipher, "_ECDH") && body.ReadUint8(&kind) && kind == namedCurve && body.ReadUint16(&curve) {
		s.row.Curve = curveName(curve)
	}
}

// extensions calls f for each extension at the end of a hello. The list, with its length, may be
// missing.
func extensions(body cryptobyte.String, f func(kind uint16, ext cryptobyte.String)) bool {
	if body.Empty() {
		return true
	}
	var list cryptobyte.String
	if !body.ReadUint16LengthPrefixed(&list) {
		return false
	}
	for !list.Empty() {
		var kind uint16
		var ext cryptobyte.String
		if !list.ReadUint16(&kind) || !list.ReadUint16LengthPrefixed(&ext) {
			return false
		}
		f(kind, ext)
	}
	return true
}

// serverName returns the first host name in the extension of a ClientHello, and how many there are.
func serverName(ext cryptobyte.String) (first []byte, n int) {
	const hostName = 0
	var list, name cryptobyte.String
	var kind uint8
	if !ext.ReadUint16LengthPrefixed(&list) {
		return nil, 0
	}
	for list.ReadUint8(&kind) && list.ReadUint16LengthPrefixed(&name) {
		if kind == hostName {
			if n++; n == 1 {
				first = name
			}
		}
	}
	return first, n
}
