package starttls

import (
	"encoding/binary"
	"math"

	"example.com/conn/analyzer/protocol"
	"golang.org/x/crypto/cryptobyte"
)

// PostgreSQL gives way to TLS when the server answers S to a client's request. The client may have
// asked for GSSAPI before.
var PostgreSQL = &Protocol{
	name: "postgresql", ports: []uint16{5432},
	match: func(orig, resp []byte) protocol.Verdict {
		return min(matchBytes(orig, postgresRequest...), matchBytes(resp, "SNG"))
	},
	step: postgresStep,
}

// postgresRequest lists the possible bytes of a request: its length, and the code for TLS or
// GSSAPI.
var postgresRequest = []string{"\x00", "\x00", "\x00", "\x08", "\x04", "\xd2", "\x16", "\x2f\x30"}

func postgresStep(s *state, side protocol.Side, data []byte) (int, protocol.Next) {
	const tls = 0x2f
	size := len(postgresRequest)
	switch {
	case side == protocol.Orig && matchBytes(data, postgresRequest...) == protocol.Maybe:
		return 0, protocol.More
	case side == protocol.Orig && matchBytes(data, postgresRequest...) == protocol.Yes:
		s.stage, s.id = asked, uint32(data[size-1])
		return size, protocol.More
	case side == protocol.Resp && s.stage == asked && data[0] == 'S' && s.id == tls:
		s.confirmed = true
		return 1, protocol.HandOver
	case side == protocol.Resp && s.stage == asked && data[0] == 'N':
		s.confirmed, s.stage = true, refused
		return 1, protocol.More
	}
	return s.done()
}

// MySQL gives way to TLS when the client asks for it after the server's greeting.
var MySQL = &Protocol{
	name: "mysql", ports: []uint16{1434, 3306},
	match: func(orig, resp []byte) protocol.Verdict {
		greeting := matchBytes(resp, "", "", "\x00", "\x00", "\x0a", "0123456789")
		return min(greeting, matchBytes(orig, "", "", "\x00", "\x01"))
	},
	step: mysqlStep,
}

func mysqlStep(s *state, side protocol.Side, data []byte) (int, protocol.Next) {
	const (
		header     = 4  // bytes: length and number
		tlsRequest = 32 // bytes of a login that is cut off because TLS follows
		clientTLS  = 1 << 11
	)
	if side == protocol.Orig && s.stage == begun {
		return wait(s, data) // for the greeting
	}
	if len(data) < header+4 {
		return 0, protocol.More
	}
	size := int(data[0]) | int(data[1])<<8 | int(data[2])<<16
	switch {
	case side == protocol.Resp && s.stage == begun && data[3] == 0 && data[header] == 10:
		s.stage = greeted
		return s.skipTo(side, header+size, data)
	case side == protocol.Resp || data[3] != 1:
		return s.done()
	}
	s.confirmed = true
	if size != tlsRequest || binary.LittleEndian.Uint32(data[header:])&clientTLS == 0 {
		return 0, protocol.Stop
	}
	if len(data) < header+size {
		return 0, protocol.More
	}
	return header + size, protocol.HandOver
}

// RDP gives way to TLS when the server chooses that, or a protocol on top of it.
var RDP = &Protocol{
	name: "rdp", ports: []uint16{3389},
	match: func(orig, resp []byte) protocol.Verdict {
		return min(matchBytes(orig, "\x03", "\x00", "", "", "", "\xe0"), matchBytes(resp, "\x03", "\x00", "", "", "", "\xd0"))
	},
	step: rdpStep,
}

func rdpStep(s *state, side protocol.Side, data []byte) (int, protocol.Next) {
	const (
		shortest = 7 // bytes
		request  = 0xe0
		confirm  = 0xd0
		answer   = 11 // offset of the negotiation response in a confirmation
		answered = 2
		failed   = 3
		mcs      = "\x02\xf0\x80\x7f\x65" // how RDP continues without TLS
	)
	if len(data) < 4 {
		return 0, protocol.More
	}
	size := int(binary.BigEndian.Uint16(data[2:]))
	if data[0] != 3 || data[1] != 0 || size < shortest || size > maxLine {
		return s.done()
	}
	if len(data) < size {
		return 0, protocol.More
	}
	switch {
	case side == protocol.Orig && s.stage == begun && data[5] == request:
		s.stage = asked
		return size, protocol.More
	case side == protocol.Orig && s.stage == refused && hasPrefix(data[4:size], mcs):
		s.confirmed = true
		return size, protocol.Stop
	case side == protocol.Orig || s.stage != asked || data[5] != confirm:
		return s.done()
	case size < answer+8 || data[answer] != answered && data[answer] != failed:
		s.stage = refused
		return size, protocol.More
	}
	if data[answer] == failed {
		return size, protocol.Stop
	}
	if binary.LittleEndian.Uint32(data[answer+4:]) == 0 {
		s.stage = refused
		return size, protocol.More
	}
	s.confirmed = true
	return size, protocol.HandOver
}

// LDAP gives way to TLS when the server grants the extended request for StartTLS (RFC 4511, section
// 4.14).
var LDAP = &Protocol{
	name: "ldap_tcp", ports: []uint16{389, 3268},
	match: func(orig, resp []byte) protocol.Verdict {
		return min(matchLDAP(orig), matchBytes(resp, "\x30"))
	},
	step: ldapStep,
}

const (
	ldapMessage  = 0x30 // BER tags
	ldapID       = 0x02
	ldapExtended = 0x77
	ldapAnswer   = 0x78
	ldapStartTLS = "\x80\x161.3.6.1.4.1.1466.20037"
	ldapGranted  = "\x0a\x01\x00"
	ldapEnough   = 64 // bytes of a message that are enough to classify it
)

// matchLDAP tells whether data begins with a request.
func matchLDAP(data []byte) protocol.Verdict {
	if len(data) > 0 && data[0] != ldapMessage {
		return protocol.No
	}
	m, whole := readLDAP(data)
	switch {
	case !whole && len(data) < ldapEnough:
		return protocol.Maybe
	case !whole:
		return protocol.No
	}
	for _, request := range []byte{0x4a, 0x60, 0x63, 0x66, 0x68, 0x6c, 0x6e, ldapExtended} {
		if m.kind == request {
			return protocol.Yes
		}
	}
	return protocol.No
}

// An ldap is the beginning of an LDAP message.
type ldap struct {
	size int // of the message
	id   uint32
	kind byte
	body cryptobyte.String // as far as it has arrived
}

// readLDAP reads the beginning of a message. ok is false if it is incomplete or malformed.
func readLDAP(data []byte) (m ldap, ok bool) {
	in := cryptobyte.String(data)
	tag, size, ok := readBER(&in)
	m.size = len(data) - len(in) + size
	if !ok || tag != ldapMessage {
		return m, false
	}
	in = in[:min(size, len(in))] // the rest belongs to the next message
	tag, size, ok = readBER(&in)
	if !ok || tag != ldapID || size < 1 || size > 4 {
		return m, false
	}
	for ; size > 0; size-- {
		var b uint8
		if !in.ReadUint8(&b) {
			return m, false
		}
		m.id = m.id<<8 | uint32(b)
	}
	m.kind, _, ok = readBER(&in)
	m.body = in
	return m, ok
}

// readBER reads a tag and a length. cryptobyte/asn1 accepts only DER, in which lengths are as short
// as possible.
func readBER(in *cryptobyte.String) (tag byte, size int, ok bool) {
	var b uint8
	if !in.ReadUint8(&tag) || !in.ReadUint8(&b) {
		return 0, 0, false
	}
	if b < 0x80 {
		return tag, int(b), true
	}
	n := b & 0x7f
	if n < 1 || n > 4 {
		return 0, 0, false
	}
	var long uint32
	for ; n > 0; n-- {
		if !in.ReadUint8(&b) {
			return 0, 0, false
		}
		long = long<<8 | uint32(b)
	}
	return tag, int(min(long, math.MaxInt32/2)), true // an int may have 32 bits
}

func ldapStep(s *state, side protocol.Side, data []byte) (int, protocol.Next) {
	if data[0] != ldapMessage { // perhaps encrypted by other means
		return s.done()
	}
	m, ok := readLDAP(data[:min(len(data), ldapEnough)])
	switch {
	case len(data) < ldapEnough && (!ok || len(data) < m.size):
		return 0, protocol.More
	case !ok:
		return s.done()
	case side == protocol.Orig && s.stage == begun:
		s.stage = greeted
	case side == protocol.Resp && s.stage != begun:
		s.confirmed = true
	}
	switch {
	case side == protocol.Orig && m.kind == ldapExtended && hasPrefix(m.body, ldapStartTLS):
		s.stage, s.id = asked, m.id
	case side == protocol.Resp && m.kind == ldapAnswer && s.stage == asked && m.id == s.id:
		if !hasPrefix(m.body, ldapGranted) {
			s.stage = refused
			break
		}
		if m.size > maxLine {
			return s.done()
		}
		if len(data) < m.size {
			return 0, protocol.More
		}
		return m.size, protocol.HandOver
	}
	return s.skipTo(side, m.size, data)
}

// skipTo takes as much of a message as has arrived, and skips the rest.
func (s *state) skipTo(side protocol.Side, size int, data []byte) (int, protocol.Next) {
	n := min(size, len(data))
	s.skip[side] = size - n
	return n, protocol.More
}

// wait takes nothing, since it is the other side's turn.
func wait(s *state, data []byte) (int, protocol.Next) {
	if len(data) > maxWaiting {
		return s.done()
	}
	return 0, protocol.More
}

func hasPrefix(data []byte, prefix string) bool {
	return len(data) >= len(prefix) && string(data[:len(prefix)]) == prefix
}
