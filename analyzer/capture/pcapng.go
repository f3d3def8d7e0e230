package capture

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"

	"github.com/gopacket/gopacket/layers"

	"example.com/conn/analyzer/packet"
)

// Types of pcapng blocks. Others are skipped.
const (
	sectionHeader  = 0x0a0d0d0a
	interfaceBlock = 1
	oldPacket      = 2 // obsolete, replaced by enhanced packets
	simplePacket   = 3
	enhancedPacket = 6
)

const (
	maxBlock      = maxFrame + 64<<10 // bytes of a block that are read; only options can exceed it
	maxInterfaces = 1 << 16           // per section; frames of further ones have unknownLink
)

// unknownLink is the link type of frames whose interface the file does not describe, or whose kind
// the system does not tell. No real link type has this number.
const unknownLink layers.LinkType = math.MaxUint16

// An ng reads a pcapng file. gopacket's reader keeps the names of all interfaces, all comments of a
// packet, and the names and secrets of a section in memory, and fails at a frame of an interface
// that it does not know.
type ng struct {
	reader
	order      binary.ByteOrder
	skip       bool // the section has an unknown version
	interfaces []ngInterface
	last       time.Time // time of the latest frame that had one, for simple packets; 1970 at first
}

// An ngInterface describes an interface. It is small because a file may have many.
type ngInterface struct {
	link   layers.LinkType
	snap   uint32 // frames are cut to this length; 0 for no limit
	units  uint64 // of time per second; 0 if so many that no timestamp reaches a second
	offset int64  // seconds
}

// readNg returns a function that reads the next frame of a pcapng file.
func readNg(b *bufio.Reader) (func() (packet.Frame, error), error) {
	r := &ng{reader: reader{Reader: b}, order: binary.LittleEndian, last: time.Unix(0, 0).UTC()}
	typ, body, err := r.block()
	if err == nil && typ == sectionHeader {
		err = r.section(body)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errFormat, whole(err))
	}
	return r.next, nil
}

var errBlock = errors.New("damaged pcapng block")

// block returns the type and body of the next block, at most maxBlock bytes of it. The body is
// valid until the next call.
func (r *ng) block() (typ uint32, body []byte, err error) {
	head, err := r.Peek(12)
	if err != nil {
		if len(head) > 0 {
			err = whole(err)
		}
		return 0, nil, err
	}
	if typ = r.order.Uint32(head); typ == sectionHeader {
		switch uint32(0x1a2b3c4d) { // tells the byte order
		case binary.LittleEndian.Uint32(head[8:]):
			r.order = binary.LittleEndian
		case binary.BigEndian.Uint32(head[8:]):
			r.order = binary.BigEndian
		default:
			return 0, nil, errBlock
		}
	}
	length := r.order.Uint32(head[4:])
	if length < 12 || length%4 != 0 {
		return 0, nil, errBlock
	}
	_, _ = r.Discard(8)
	left := int64(length) - 8 // including the length at the end
	if known(typ) {
		// Bytes beyond maxBlock are skipped. A body of that size is in r.buf, not in the Reader's
		// buffer.
		if body, err = r.take(int(min(left, maxBlock))); err != nil {
			return 0, nil, whole(err)
		}
		left -= int64(len(body))
	}
	tail := body
	if left > 0 {
		for left > 4 && err == nil {
			var n int
			n, err = r.Discard(int(min(left-4, math.MaxInt32)))
			left -= int64(n)
		}
		if err == nil {
			tail, err = r.take(4)
		}
		if err != nil {
			return 0, nil, whole(err)
		}
	} else {
		body = body[:len(body)-4]
	}
	if r.order.Uint32(tail[len(tail)-4:]) != length {
		return 0, nil, errBlock
	}
	return typ, body, nil
}

// known reports whether blocks of a type are read.
func known(typ uint32) bool {
	switch typ {
	case sectionHeader, interfaceBlock, oldPacket, simplePacket, enhancedPacket:
		return true
	}
	return false
}

// next returns the next frame.
func (r *ng) next() (packet.Frame, error) {
	for {
		typ, body, err := r.block()
		if err != nil {
			return packet.Frame{}, err
		}
		switch {
		case typ == sectionHeader:
			err = r.section(body)
		case r.skip:
		case typ == interfaceBlock:
			err = r.describe(body)
		case typ != oldPacket && typ != simplePacket && typ != enhancedPacket:
		default:
			return r.frame(typ, body)
		}
		if err != nil {
			return packet.Frame{}, err
		}
	}
}

// section starts a new section.
func (r *ng) section(body []byte) error {
	if len(body) < 16 {
		return errBlock
	}
	r.skip = r.order.Uint16(body[4:]) != 1
	r.interfaces = r.interfaces[:0]
	return nil
}

// describe adds an interface.
func (r *ng) describe(body []byte) error {
	if len(body) < 8 {
		return errBlock
	}
	if len(r.interfaces) >= maxInterfaces {
		return nil
	}
	i := ngInterface{link: layers.LinkType(r.order.Uint16(body)), snap: r.order.Uint32(body[4:]), units: 1e6}
	for options := body[8:]; len(options) >= 4; {
		code, n := r.order.Uint16(options), int(r.order.Uint16(options[2:]))
		value := options[4:]
		if n > len(value) {
			break
		}
		switch {
		case code == 9 && n == 1:
			i.units = units(value[0])
		case code == 14 && n == 8:
			i.offset = int64(r.order.Uint64(value))
		}
		options = value[min((n+3)&^3, len(value)):]
	}
	r.interfaces = append(r.interfaces, i)
	return nil
}

// units returns the number of time units per second for a resolution.
func units(resolution byte) uint64 {
	n := resolution & 0x7f
	if resolution&0x80 != 0 {
		return 1 << n // 0 if it overflows
	}
	if n > 19 {
		return 0
	}
	u := uint64(1)
	for range n {
		u *= 10
	}
	return u
}

// frame returns the frame in a packet block.
func (r *ng) frame(typ uint32, body []byte) (packet.Frame, error) {
	head := 20
	if typ == simplePacket {
		head = 4
	}
	if len(body) < head {
		return packet.Frame{}, errBlock
	}
	id, captured, data := uint32(0), uint32(0), body[head:]
	f := packet.Frame{Link: unknownLink}
	switch typ {
	case simplePacket:
		f.Wire = int(r.order.Uint32(body))
		captured = min(uint32(f.Wire), uint32(len(data)))
	case oldPacket:
		id = uint32(r.order.Uint16(body))
	default:
		id = r.order.Uint32(body)
	}
	if typ != simplePacket {
		captured, f.Wire = r.order.Uint32(body[12:]), int(r.order.Uint32(body[16:]))
	}
	if int64(id) < int64(len(r.interfaces)) {
		i := &r.interfaces[id]
		f.Link = i.link
		if typ == simplePacket && i.snap > 0 {
			captured = min(captured, i.snap)
		}
		if typ != simplePacket {
			r.last = i.time(uint64(r.order.Uint32(body[4:]))<<32 | uint64(r.order.Uint32(body[8:])))
		}
	}
	captured = min(captured, maxFrame)
	if int(captured) > len(data) {
		return f, errBlock
	}
	f.Time, f.Data = r.last, data[:captured]
	f.Wire = max(f.Wire, len(f.Data))
	return f, nil
}

// time converts t, in units since 1970.
func (i *ngInterface) time(t uint64) time.Time {
	if i.units == 0 {
		return time.Unix(i.offset, 0).UTC()
	}
	hi, lo := bits.Mul64(t%i.units, 1e9)
	nanos, _ := bits.Div64(hi, lo, i.units)
	return time.Unix(int64(t/i.units)+i.offset, int64(nanos)).UTC()
}
