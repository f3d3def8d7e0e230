package tls

import (
	"encoding/binary"
	"slices"

	"example.com/conn"
	"example.com/conn/analyzer/protocol"
	"golang.org/x/crypto/cryptobyte"
)

const (
	datagramHeader = 13 // bytes of the header of a record
	fragmentHeader = 12 // bytes of the header of a handshake message or of a piece
	maxJunk        = 10 // successive datagrams that are not DTLS; Zeek's SSL::dtls_max_version_errors
	maxSpan        = 30 // between the first and the last record of a message, as in Zeek
	maxPieces      = 32 // of a message
)

// A DatagramParser is a protocol.Parser for DTLS, which is TLS over UDP.
type DatagramParser struct{ account }

// NewDTLS returns a parser for DTLS.
func NewDTLS(o protocol.Owner) *DatagramParser { return &DatagramParser{account{o}} }

// Name returns Zeek's name for the service.
func (p *DatagramParser) Name() string { return "dtls" }

// Transport returns conn.UDP.
func (p *DatagramParser) Transport() conn.Proto { return conn.UDP }

// Ports returns the port where Zeek expects DTLS.
func (p *DatagramParser) Ports() []uint16 { return []uint16{443} }

// Match wants a client's hello from either side: after STUN, the originator may be the server.
func (p *DatagramParser) Match(orig, resp []byte) protocol.Verdict {
	return max(matchDTLS(orig), matchDTLS(resp))
}

func matchDTLS(data []byte) protocol.Verdict {
	const version = datagramHeader + fragmentHeader // its offset in the hello
	// data[3:10] is the epoch, and the number of one of the first records.
	if len(data) < version+2 || data[0] != handshake || !isDTLS(data[1], data[2]) ||
		string(data[3:10]) != "\x00\x00\x00\x00\x00\x00\x00" ||
		data[datagramHeader] != clientHello || !isDTLS(data[version], data[version+1]) {
		return protocol.No
	}
	return protocol.Yes
}

// isDTLS reports whether a version is DTLS 1.0, 1.2 or 1.3. Versions count down.
func isDTLS(major, minor byte) bool {
	return major == 0xfe && (minor == 0xff || minor == 0xfd || minor == 0xfc)
}

// Data takes the records of a datagram.
func (p *DatagramParser) Data(c *conn.Connection, pkt protocol.Packet, data []byte) (int, protocol.Next) {
	s := p.state(c)
	taken := 0
	for taken < len(data) {
		n, next := s.datagramRecord(c, pkt, data[taken:])
		if n == 0 && next == protocol.More { // no record
			if s.junk++; s.junk > maxJunk {
				next = protocol.Stop
			}
			n = len(data) - taken
		}
		taken += n
		if next != protocol.More {
			s.finish(c)
			return len(data), next
		}
	}
	return taken, protocol.More
}

// datagramRecord handles a record. It takes nothing where there is none.
func (s *state) datagramRecord(c *conn.Connection, pkt protocol.Packet, data []byte) (int, protocol.Next) {
	if data[0]>>5 == 1 && s.started {
		return unified(data), s.ciphertext(pkt)
	}
	if len(data) < datagramHeader || !isDTLS(data[1], data[2]) {
		return 0, protocol.More
	}
	const withID = 25 // RFC 9146: the connection ID has an unknown length, and so has the record
	if s.started && data[0] == withID {
		return len(data), s.ciphertext(pkt)
	}
	kind, epoch := data[0], binary.BigEndian.Uint16(data[3:])
	number := binary.BigEndian.Uint64(data[3:]) & (1<<48 - 1)
	end := datagramHeader + int(binary.BigEndian.Uint16(data[11:]))
	if end > len(data) || kind < changeCipherSpec {
		return 0, protocol.More
	}
	s.started = true
	if s.confirmed {
		s.junk = 0
	}
	body := data[datagramHeader:end]
	switch {
	case epoch > 0:
		return end, s.ciphertext(pkt)
	case len(body) == 0:
		return end, protocol.More
	case kind == handshake:
		s.begin(c, pkt)
		if !s.fragments(c, pkt, number, body) {
			return end, protocol.Violation
		}
	case kind > heartbeat:
		return end, protocol.Violation
	default:
		s.short(c, pkt, kind, body[:min(len(body), maxShort)], len(body) > maxShort)
	}
	return end, protocol.More
}

// unified returns the end of a record with DTLS 1.3's header for encrypted records (RFC 9147,
// section 4). Without a length, or after a connection ID, whose length is unknown, the record is
// the last of the datagram.
func unified(data []byte) int {
	const hasID, longNumber, hasLength = 1 << 4, 1 << 3, 1 << 2
	at := 2
	if data[0]&longNumber != 0 {
		at++
	}
	if data[0]&(hasID|hasLength) != hasLength || len(data) < at+2 {
		return len(data)
	}
	return min(at+2+int(binary.BigEndian.Uint16(data[at:])), len(data))
}

// fragments handles the body of a handshake record, which consists of messages and pieces of
// messages. It reports false if they are malformed.
func (s *state) fragments(c *conn.Connection, pkt protocol.Packet, number uint64, body cryptobyte.String) bool {
	for !body.Empty() {
		var f piece
		var length, size uint32
		if !body.ReadUint8(&f.kind) || !body.ReadUint24(&length) || !body.ReadUint16(&f.seq) || !body.ReadUint24(&f.offset) ||
			!body.ReadUint24(&size) || !body.ReadBytes(&f.data, int(size)) ||
			f.offset+size > length || length > maxMessage {
			return false
		}
		f.length = length
		if size < length {
			whole, ok := s.sides[pkt.Side].pieces.add(f, number)
			if !ok {
				return false
			}
			if whole == nil {
				continue
			}
			f.data = whole
		}
		if !s.message(c, pkt, f.kind, f.data, true) {
			return false
		}
	}
	return true
}

// A piece is a part of a handshake message.
type piece struct {
	kind           byte
	seq            uint16 // of the message
	length, offset uint32 // length of the message, and offset of the piece in it
	data           []byte
}

func (f *piece) end() uint32 { return f.offset + uint32(len(f.data)) }

func (f *piece) sameMessage(g *piece) bool {
	return f.kind == g.kind && f.seq == g.seq && f.length == g.length
}

const pieceSize = 2 * 40 // bytes of a piece without its data; slices grow to twice what is needed

// pieces are the pieces of one message so far. A piece of another message replaces them.
type pieces struct {
	list        []piece // by offset; at most maxPieces
	first, last uint64  // numbers of their records
	size        int     // bytes that list takes: at most 2*maxMessage, since pieces may overlap
}

// add keeps a piece from the record with the given number. It returns the message once that is
// whole. ok is false if the records are too far apart, or too many.
func (p *pieces) add(f piece, number uint64) (whole []byte, ok bool) {
	if len(p.list) == 0 || !p.list[0].sameMessage(&f) {
		*p = pieces{first: number, last: number}
	}
	p.first, p.last = min(p.first, number), max(p.last, number)
	if p.last-p.first > maxSpan {
		return nil, false
	}
	i, found := slices.BinarySearchFunc(p.list, f.offset, func(g piece, offset uint32) int { return int(g.offset) - int(offset) })
	if found && p.list[i].end() >= f.end() || len(f.data) == 0 {
		return nil, true // a repetition
	}
	if len(p.list) == maxPieces || p.size+pieceSize+len(f.data) > 2*maxMessage {
		return nil, false
	}
	f.data = slices.Clone(f.data)
	p.list = slices.Insert(p.list, i, f)
	p.size += pieceSize + cap(f.data)
	var end uint32
	for _, g := range p.list {
		if g.offset > end {
			return nil, true
		}
		end = max(end, g.end())
	}
	if end < f.length {
		return nil, true
	}
	whole = make([]byte, f.length)
	for _, g := range p.list {
		copy(whole[g.offset:], g.data)
	}
	*p = pieces{}
	return whole, true
}
