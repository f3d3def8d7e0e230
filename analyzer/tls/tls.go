// Package tls follows the handshakes of TLS, SSL and DTLS. The log ssl has a row for each
// connection.
//
// tls.go reads the records of TLS, v2.go those of SSL 2, dtls.go those of DTLS; session.go holds
// the state of a connection, its row, and the removal hook; handshake.go reads messages and
// certs.go certificates; names.go and ciphers.go name numbers.
package tls

import (
	"encoding/binary"

	"example.com/conn"
	"example.com/conn/analyzer/protocol"
)

const (
	recordHeader = 5             // bytes
	maxRecord    = 1<<14 + 2<<10 // bytes of a record's body: RFC 5246, section 6.2.3
	maxAlerts    = 10            // in one record; Zeek's SSL::max_alerts_per_record
	maxShort     = 2 * maxAlerts // bytes that are read of a record other than a handshake's
)

// Content types of records.
const (
	changeCipherSpec = 20
	alert            = 21
	handshake        = 22
	applicationData  = 23
	heartbeat        = 24
)

// A Parser is a protocol.StreamParser for SSL and TLS.
type Parser struct{ account }

// New returns a parser for SSL and TLS.
func New(o protocol.Owner) *Parser { return &Parser{account{o}} }

// Name returns Zeek's name for the service.
func (p *Parser) Name() string { return "ssl" }

// Transport returns conn.TCP.
func (p *Parser) Transport() conn.Proto { return conn.TCP }

// Ports returns the ports where Zeek expects TLS.
func (p *Parser) Ports() []uint16 {
	return []uint16{443, 563, 585, 614, 636, 989, 990, 992, 993, 995, 5223}
}

// Match wants the hello of either side, since a capture may have only one.
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

// matchHello tells whether data begins with a hello of the given kind, in records of any length.
func matchHello(data []byte, kind byte) protocol.Verdict {
	var hello [messageHeader + 2]byte
	for have := 0; have < len(hello); {
		if len(data) > 0 && data[0] != handshake || len(data) > 1 && data[1] != 3 || len(data) > 2 && data[2] > 3 {
			return protocol.No
		}
		if len(data) < recordHeader {
			return protocol.Maybe
		}
		n := int(binary.BigEndian.Uint16(data[3:]))
		if n == 0 || n > maxRecord {
			return protocol.No
		}
		data = data[recordHeader:]
		n = copy(hello[have:], data[:min(n, len(data))])
		have, data = have+n, data[n:]
		if have > 0 && hello[0] != kind ||
			have > messageHeader && hello[4] != 3 && (hello[4] != draft || kind != serverHello) ||
			have > messageHeader+1 && hello[5] > 4 && hello[4] != draft {
			return protocol.No
		}
	}
	return protocol.Yes
}

// Data takes records in any pieces, but headers and the bodies of short records whole.
func (p *Parser) Data(c *conn.Connection, pkt protocol.Packet, data []byte) (int, protocol.Next) {
	s := p.state(c)
	for taken := 0; ; {
		n, next := s.step(c, pkt, data[taken:])
		taken += n
		if next != protocol.More {
			s.finish(c)
			return taken, next
		}
		if n == 0 {
			return taken, protocol.More
		}
	}
}

// Gap gives up, as Zeek does: nothing tells where the next record begins.
func (p *Parser) Gap(c *conn.Connection, _ protocol.Packet, _ int) protocol.Next {
	p.state(c).finish(c)
	return protocol.Stop
}

// End does nothing: the other side may still send an alert.
func (p *Parser) End(*conn.Connection, protocol.Packet) {}

// A treatment is what happens to the body of a record.
type treatment uint8

const (
	read   treatment = iota // it contains handshake messages
	peek                    // its first bytes are read
	skip                    // it is ignored
	opaque                  // it is encrypted; only that it was sent matters
)

// A record is the current record of one side.
type record struct {
	kind byte
	treatment
	left int // bytes of the body still to come
}

// step handles a part of a record, and takes nothing if that is too short. Next is not More once
// the connection is established, or if this is not TLS.
func (s *state) step(c *conn.Connection, pkt protocol.Packet, data []byte) (int, protocol.Next) {
	r := &s.sides[pkt.Side].record
	switch {
	case r.left > 0:
		return s.body(c, pkt, r, data[:min(len(data), r.left)])
	case len(data) < recordHeader:
		return 0, protocol.More
	case !s.started && (s.v2 || data[0]&0x80 != 0):
		return s.recordV2(c, pkt, data)
	}
	return recordHeader, s.header(pkt, r, data)
}

// header begins a record.
func (s *state) header(pkt protocol.Packet, r *record, data []byte) protocol.Next {
	r.kind, r.left = data[0], int(binary.BigEndian.Uint16(data[3:]))
	if data[1] != 3 || data[2] > 3 || r.left > maxRecord {
		return protocol.Violation
	}
	s.started = true
	switch {
	case s.sides[pkt.Side].encrypted,
		r.kind == applicationData && !s.beforeTLS13(): // TLS 1.3 does not announce encryption
		r.treatment = opaque
	case r.kind == handshake:
		r.treatment = read
	case r.kind >= changeCipherSpec && r.kind <= heartbeat:
		r.treatment = peek
	case r.left > 0:
		return protocol.Violation
	}
	return protocol.More
}

// body handles a part of the body of a record.
func (s *state) body(c *conn.Connection, pkt protocol.Packet, r *record, data []byte) (int, protocol.Next) {
	switch r.treatment {
	case read:
		if !s.handshake(c, pkt, data) {
			return 0, protocol.Violation
		}
	case peek:
		if len(data) < min(r.left, maxShort) {
			return 0, protocol.More
		}
		s.short(c, pkt, r.kind, data[:min(r.left, maxShort)], r.left > maxShort)
		r.treatment = skip
	}
	if r.left -= len(data); r.left > 0 {
		return len(data), protocol.More
	}
	switch r.treatment {
	case read:
		s.begin(c, pkt)
	case opaque:
		return len(data), s.ciphertext(pkt)
	}
	return len(data), protocol.More
}
