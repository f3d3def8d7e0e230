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

const (
	// maxFrame bounds the bytes read of a frame: Linux's longest packet, a jumbogram of 524,280
	// bytes (GSO_MAX_SIZE), with link headers. The rest of a longer frame is skipped, as if it had
	// not been captured.
	maxFrame = 520 << 10

	// snapLimit is libpcap's MAXIMUM_SNAPLEN. A pcap file may have frames up to it, even if its header
	// announces shorter ones.
	snapLimit = 256 << 10

	// longestFrame is the longest frame that the header may announce: libpcap's limit for USB.
	longestFrame = 128 << 20
)

// A reader reads a file in pieces.
type reader struct {
	*bufio.Reader
	buf []byte // for pieces longer than the Reader's own buffer
}

// take returns the next n bytes, which are valid until the next call. At the end of the file it
// returns io.EOF, or io.ErrUnexpectedEOF if some of the bytes are there.
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

// whole returns err, but io.ErrUnexpectedEOF instead of io.EOF: more data had to follow.
func whole(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

var errFormat = errors.New("neither a pcap nor a pcapng capture")

// pcapFormats maps the magic number of a pcap file to its format.
var pcapFormats = map[uint32]struct {
	header int           // length of a frame's header
	unit   time.Duration // of the timestamp's fraction
}{
	0xa1b2c3d4: {16, time.Microsecond},
	0xa1b23c4d: {16, time.Nanosecond},
	// Kuznetsov's format, which some Linux distributions once wrote
	0xa1b2cd34: {24, time.Microsecond},
}

// readPcap returns a function that reads the next frame of a pcap file. gopacket's reader knows
// only two of the formats, and allocates whatever length a file claims.
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
		return nil, fmt.Errorf("unknown pcap version %d", major)
	}
	// the upper half gives the length of frame checksums
	link := layers.LinkType(order.Uint32(head[20:]))
	longest := min(max(order.Uint32(head[16:]), snapLimit), longestFrame)
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
		if n > longest {
			return f, fmt.Errorf("has a length of %d bytes: the file is damaged", n)
		}
		f.Wire = max(f.Wire, int(n))
		// More than maxFrame is skipped. A frame of that size is in r.buf, not in the Reader's buffer.
		if f.Data, err = r.take(int(min(n, maxFrame))); err == nil {
			_, err = r.Discard(int(n) - len(f.Data))
		}
		return f, whole(err)
	}, nil
}
