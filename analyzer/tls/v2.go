package tls

import (
	"encoding/binary"

	"example.com/conn"
	"example.com/conn/analyzer/protocol"
	"golang.org/x/crypto/cryptobyte"
)

// Old clients say hello in SSL 2, whatever versions they support. A server that supports SSL 3 or
// TLS answers in its own version.

// Types of SSL 2 messages.
const (
	v2ClientHello     = 1
	v2ClientMasterKey = 2
	v2ServerHello     = 4
)

// v2Hello is the body of a client's hello.
type v2Hello struct {
	version     uint16
	ciphers, id []byte
}

func readV2Hello(body cryptobyte.String) (h v2Hello, ok bool) {
	var ciphers, id, challenge uint16
	ok = body.ReadUint16(&h.version) &&
		body.ReadUint16(&ciphers) && body.ReadUint16(&id) && body.ReadUint16(&challenge) &&
		body.ReadBytes(&h.ciphers, int(ciphers)) && body.ReadBytes(&h.id, int(id)) && body.Skip(int(challenge)) &&
		(h.version == ssl2 || h.version>>8 == 3 && h.version < tls13)
	return h, ok
}

// v2Record returns the end of the record at the beginning of data, which has a two-byte header.
func v2Record(data []byte) int { return 2 + int(binary.BigEndian.Uint16(data)&0x7fff) }

// matchV2 tells whether data begins with a client's hello. It is strict, since there is no magic
// number.
func matchV2(data []byte) protocol.Verdict {
	if len(data) > 0 && data[0]&0x80 == 0 || len(data) > 2 && data[2] != v2ClientHello ||
		len(data) > 3 && data[3] != 0 && data[3] != 3 || len(data) > 4 && data[4] > 3 {
		return protocol.No
	}
	if len(data) < 3 {
		return protocol.Maybe
	}
	end := v2Record(data)
	if end < recordHeader {
		return protocol.No
	}
	if len(data) < end {
		return protocol.Maybe
	}
	h, ok := readV2Hello(data[3:end])
	if !ok || len(h.ciphers) == 0 || len(h.ciphers)%3 != 0 || len(h.id) != 0 && len(h.id) != 16 {
		return protocol.No
	}
	return protocol.Yes
}

// recordV2 handles a record of SSL 2, which is one message until encryption begins.
func (s *state) recordV2(c *conn.Connection, pkt protocol.Packet, data []byte) (int, protocol.Next) {
	end := v2Record(data)
	if data[0]&0x80 == 0 || end < recordHeader {
		return 0, protocol.Violation
	}
	if len(data) < end {
		return 0, protocol.More
	}
	body := cryptobyte.String(data[3:end])
	switch kind := data[2]; {
	case kind == v2ClientHello && pkt.Side == protocol.Orig && !s.v2:
		h, ok := readV2Hello(body)
		if !ok {
			return 0, protocol.Violation
		}
		s.begin(c, pkt)
		s.offer(h.id)
		s.confirm(c)
		s.history(c, true, 'c')
	case kind == v2ServerHello && pkt.Side == protocol.Resp && !s.v2:
		var version, cert, specs, id uint16
		if !body.Skip(2) || !body.ReadUint16(&version) || version != ssl2 {
			return 0, protocol.Violation
		}
		s.v2 = true
		s.begin(c, pkt)
		var cipher uint32 // the first one that the server offers; as in Zeek, 0 without one
		if body.ReadUint16(&cert) && body.ReadUint16(&specs) && body.ReadUint16(&id) && body.Skip(int(cert)) && specs >= 3 {
			body.ReadUint24(&cipher)
		}
		s.choose(version, cipherNameV2(cipher))
		s.history(c, false, 's')
	case kind == v2ClientMasterKey && pkt.Side == protocol.Orig && s.v2:
		s.row.Established = true
		return end, protocol.Stop
	case !s.v2:
		return 0, protocol.Violation
	}
	return end, protocol.More
}
