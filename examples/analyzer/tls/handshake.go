package tls

import (
	"bytes"
	"strings"

	"example.com/conn"
	"example.com/conn/examples/analyzer/logs"
	"example.com/conn/examples/analyzer/protocol"
	"golang.org/x/crypto/cryptobyte"
)

const (
	messageHeader = 4        // bytes: type and length
	maxMessage    = 64 << 10 // bytes of a handshake message that is read; certificates are not
)

// Types of handshake messages that are read, or mean something.
const (
	clientHello       = 1
	serverHello       = 2
	serverKeyExchange = 12
	clientKeyExchange = 16
)

// letters has Zeek's letter for each type of handshake message.
var letters = map[byte]byte{
	0: 'h', clientHello: 'c', serverHello: 's', 3: 'v', 4: 't', 5: 'e', 6: 'j', 8: 'o', 11: 'x', serverKeyExchange: 'k',
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
)

// handshake takes the body of a handshake record: messages, the first and last of which may be parts. It reports false
// when they are nothing of the kind.
func (s *state) handshake(c *conn.Connection, pkt protocol.Packet, body []byte) bool {
	me := s.side(pkt)
	for len(body) > 0 {
		if missing := messageHeader - len(me.message); missing > 0 {
			n := min(missing, len(body))
			me.message, body = append(me.message, body[:n]...), body[n:]
			if n < missing {
				return true
			}
			me.left = int(me.message[1])<<16 | int(me.message[2])<<8 | int(me.message[3])
		}
		kind := me.message[0]
		n := min(me.left, len(body))
		if kind == clientHello || kind == serverHello || kind == serverKeyExchange {
			if me.left > maxMessage {
				return false
			}
			me.message = append(me.message, body[:n]...)
		}
		me.left, body = me.left-n, body[n:]
		if me.left > 0 {
			return true
		}
		m := me.message[messageHeader:]
		me.message = nil
		if !s.message(c, pkt, kind, m) {
			return false
		}
	}
	return true
}

// message takes a handshake message. The body is there only if it is read.
func (s *state) message(c *conn.Connection, pkt protocol.Packet, kind byte, body cryptobyte.String) bool {
	letter, ok := letters[kind]
	if !ok {
		return false
	}
	flip := !s.flipped && (kind == clientHello && pkt.Side == protocol.Resp || kind == serverHello && pkt.Side == protocol.Orig)
	if flip {
		s.flipped = true
	}
	client := (pkt.Side == protocol.Orig) != s.flipped
	switch kind {
	case clientHello:
		ok = s.clientHello(body)
	case serverHello:
		ok = s.serverHello(body)
	case serverKeyExchange:
		s.serverKeyExchange(body)
	case clientKeyExchange:
		s.clientKey = s.clientKey || client
	}
	if !ok {
		return false
	}
	s.begin(c, pkt)
	if flip {
		s.row.History += "^"
	}
	if s.retry {
		letter, s.retry = letters[6], false
	}
	s.history(client, letter)
	return true
}

func (s *state) clientHello(body cryptobyte.String) bool {
	var version uint16
	var id, ciphers, compression cryptobyte.String
	if !body.ReadUint16(&version) || !versionOK(version) ||
		!body.Skip(32) || // random
		!body.ReadUint8LengthPrefixed(&id) ||
		!body.ReadUint16LengthPrefixed(&ciphers) || len(ciphers) == 0 || len(ciphers)%2 != 0 ||
		!body.ReadUint8LengthPrefixed(&compression) || len(compression) == 0 {
		return false
	}
	ok := extensions(body, func(kind uint16, ext cryptobyte.String) {
		switch kind {
		case extServerName:
			if name, ok := serverName(ext); ok {
				s.row.ServerName = logs.Text(name)
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
	s.confirmed = true
	s.offer(id)
	return true
}

// offer notes the session that the client wants to resume.
func (s *state) offer(id []byte) {
	if len(id) > 0 && !bytes.Equal(id, make([]byte, 32)) {
		s.sessionID = string(id)
		s.ticket = false
	}
}

func (s *state) serverHello(body cryptobyte.String) bool {
	var version, cipher uint16
	var random []byte
	var id cryptobyte.String
	if !body.ReadUint16(&version) || !versionOK(version) || !body.ReadBytes(&random, 32) {
		return false
	}
	old := !isTLS13(version) // drafts of TLS 1.3 had no session ID and compression; the final one says it is TLS 1.2
	if old && !body.ReadUint8LengthPrefixed(&id) || !body.ReadUint16(&cipher) || old && !body.Skip(1) {
		return false
	}
	chosen := version
	var resumed bool
	var curve, alpn string
	ok := extensions(body, func(kind uint16, ext cryptobyte.String) {
		switch kind {
		case extSupportedVersions:
			ext.ReadUint16(&chosen)
		case extKeyShare:
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
		return false
	}
	s.choose(chosen, cipherName(cipher))
	s.retry = string(random) == retryRandom
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
	return true
}

// retryRandom makes a HelloRetryRequest of a ServerHello: RFC 8446, section 4.1.3.
const retryRandom = "\xCF\x21\xAD\x74\xE5\x9A\x61\x11\xBE\x1D\x8C\x02\x1E\x65\xB8\x91" +
	"\xC2\xA2\x11\x16\x7A\xBB\x8C\x5E\x07\x9E\x09\xE2\xC8\xA8\x33\x9C"

// choose notes what the server chose.
func (s *state) choose(version uint16, cipher string) {
	s.version = version
	s.row.Version = versionName(version)
	s.row.Cipher = cipher
}

// serverKeyExchange has the curve, if the cipher needs one.
func (s *state) serverKeyExchange(body cryptobyte.String) {
	const namedCurve = 3
	var kind uint8
	var curve uint16
	if strings.Contains(s.row.Cipher, "_ECDH") && body.ReadUint8(&kind) && kind == namedCurve && body.ReadUint16(&curve) {
		s.row.Curve = curveName(curve)
	}
}

// extensions calls f for each extension at the end of a hello. There may be none, and not even their length.
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

// serverName returns the first host name in the extension of a ClientHello.
func serverName(ext cryptobyte.String) (string, bool) {
	const hostName = 0
	var list, name cryptobyte.String
	var kind uint8
	if !ext.ReadUint16LengthPrefixed(&list) {
		return "", false
	}
	for list.ReadUint8(&kind) && list.ReadUint16LengthPrefixed(&name) {
		if kind == hostName {
			return string(name), true
		}
	}
	return "", false
}
