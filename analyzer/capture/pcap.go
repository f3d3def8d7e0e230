package capture

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gopacket/gopacket/layers"

	"example.com/conn/analyzer/packet"
)

// maxFrame is how many bytes of a frame are read, libpcap's MAXIMUM_SNAPLEN. What else lengths in a
// file claim is never believed.
const maxFrame = 256 << 10

// A reader reads pieces of a file.
type reader struct {
	*bufio.Reader
	buf []byte // for what is longer than the Reader's own buffer
}

// take returns the next n bytes, which are good until the next call. At the end of the file it
// returns io.EOF, or io.ErrUnexpectedEOF if that is amid them.
func (r *reader) take(n int) ([]byte, error) {
	if n <= r.Size() {
		b, err := r.Peek(n)
		if err == io.EOF && len(b) > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err == nil {
			_, err = r.Discard(n)
		}
		return b, err
	}
	if cap(r.buf) < n {
		r.buf = make([]byte, n)
	}
	_, err := io.ReadFull(r, r.buf[:n])
	return r.buf[:n], err
}

// whole returns err, but io.ErrUnexpectedEOF instead of io.EOF: something was to follow.
func whole(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

var errFormat = errors.New("neither a pcap nor a pcapng capture")

// pcapFormats has the kinds of pcap files by the number that they begin with.
var pcapFormats = map[uint32]struct {
	header int           // of a frame
	unit   time.Duration // of the fraction of a second
}{
	0xa1b2c3d4: {16, time.Microsecond},
	0xa1b23c4d: {16, time.Nanosecond},
	0xa1b2cd34: {24, time.Microsecond}, // what some Linux distributions once wrote; Kuznetsov's
}

// readPcap returns a function that reads the frames of a pcap file. gopacket's reader knows two of
// the formats, and lets a file claim frames of any length.
func readPcap(b *bufio.Reader) (func() (packet.Frame, error), error) {
	r := &reader{Reader: b}
	head, err := r.take(24)
	if err != nil {
		return nil, errFormat
	}
	var order binary.ByteOrder = binary.LittleEndian
	format, ok := pcapFormats[order.Uint32(head)]
	if !ok {
		order = binary.BigEndian
		format, ok = pcapFormats[order.Uint32(head)]
	}
	if !ok {
		return nil, errFormat
	}
	if major := order.Uint16(head[4:]); major != 2 {
		return nil, fmt.Errorf("pcap of version %d is not known", major)
	}
	link := layers.LinkType(order.Uint32(head[20:])) // the upper half says how long checksums of frames are
	return func() (packet.Frame, error) {
		head, err := r.take(format.header)
		if err != nil {
			return packet.Frame{}, err
		}
		f := packet.Frame{
			Time: time.Unix(int64(order.Uint32(head)), int64(order.Uint32(head[4:]))*int64(format.unit)).UTC(),
			Link: link,
			Wire: int(order.Uint32(head[12:])),
		}
		n := order.Uint32(head[8:])
		if n > maxFrame {
			return f, fmt.Errorf("is said to have %d bytes: the file is damaged", n)
		}
		f.Data, err = r.take(int(n))
		f.Wire = max(f.Wire, len(f.Data))
		return f, whole(err)
	}, nil
}
