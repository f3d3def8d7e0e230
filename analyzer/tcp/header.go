package tcp

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"time"
)

// A Header is a TCP header with its options, as on the wire: RFC 9293, section 3.1. Its methods
// read it in place and never fail, because [Parse] has checked its length. It shares the packet's
// memory: clone it to keep it.
type Header []byte

// minHeader is the length of a header without options.
const minHeader = 20

// Parse splits a segment into header and payload. It is not ok if the header is incomplete, or
// gives a length that is too short for a header.
func Parse(data []byte) (h Header, payload []byte, ok bool) {
	if len(data) < minHeader {
		return nil, nil, false
	}
	n := DataOffset(data)
	if n < minHeader || n > len(data) {
		return nil, nil, false
	}
	return data[:n], data[n:], true
}

// DataOffset returns where the payload of a segment begins, according to its header. The segment
// must have at least 20 bytes. A result below 20 is invalid.
func DataOffset(data []byte) int { return int(data[12]>>4) * 4 }

func (h Header) SrcPort() uint16 { return binary.BigEndian.Uint16(h) }
func (h Header) DstPort() uint16 { return binary.BigEndian.Uint16(h[2:]) }
func (h Header) Seq() uint32     { return binary.BigEndian.Uint32(h[4:]) }
func (h Header) Ack() uint32     { return binary.BigEndian.Uint32(h[8:]) }
func (h Header) Window() uint16  { return binary.BigEndian.Uint16(h[14:]) } // not scaled

func (h Header) FIN() bool { return h[13]&0x01 != 0 }
func (h Header) SYN() bool { return h[13]&0x02 != 0 }
func (h Header) RST() bool { return h[13]&0x04 != 0 }
func (h Header) ACK() bool { return h[13]&0x10 != 0 }
func (h Header) URG() bool { return h[13]&0x20 != 0 }

// The kinds of options that WindowScale reads.
const (
	optionEnd         = 0
	optionNop         = 1
	optionWindowScale = 3
)

// maxScale is the largest shift count. It replaces a larger one: RFC 7323, section 2.3.
const maxScale = 14

// WindowScale returns the shift count of the window scale option of a SYN, 0 if it has none. Like a
// host, it stops at an option with an invalid length.
func (h Header) WindowScale() (shift uint8) {
	for options := h[minHeader:]; len(options) > 1 && options[0] != optionEnd; {
		n := 1
		if options[0] != optionNop {
			if options[1] < 2 || int(options[1]) > len(options) {
				break
			}
			n = int(options[1])
		}
		if options[0] == optionWindowScale && n == 3 {
			shift = min(options[2], maxScale)
		}
		options = options[n:]
	}
	return shift
}

// flags returns the initial letters of SYN, FIN, RST and ACK, as far as they are set.
func (h Header) flags() (letters string) {
	for i, set := range [...]bool{h.SYN(), h.FIN(), h.RST(), h.ACK()} {
		if set {
			letters += "SFRA"[i : i+1]
		}
	}
	return letters
}

// A Side is one of the two sides of a connection. It indexes arrays of two.
type Side uint8

const (
	Orig Side = iota // the originator: the client, which sends the SYN
	Resp             // the responder: the server, which answers with the SYN-ACK
)

// Other returns the other side.
func (s Side) Other() Side { return 1 - s }

// A segment is a TCP segment, as captured.
type segment struct {
	Header
	side   Side
	time   time.Time
	data   []byte // what was captured of the payload
	length int    // of the payload on the wire
}

// clone returns a copy of s that does not share the packet's memory.
func (s *segment) clone() segment {
	x, n := *s, len(s.Header)
	bytes := slices.Concat(s.Header, s.data)
	x.Header, x.data = bytes[:n], bytes[n:]
	return x
}

// segmentCost is how many bytes a clone takes besides those of the segment.
const segmentCost = 96

// cost returns how much memory a clone takes.
func (s *segment) cost() int { return segmentCost + cap(s.Header) } // which includes the data

// span returns how many sequence numbers the segment takes.
func (s *segment) span() int64 {
	n := int64(bits.OnesCount8(s.Header[13] & 0x03)) // SYN and FIN take one each
	if !s.RST() {
		n += int64(s.length)
	}
	return n
}
