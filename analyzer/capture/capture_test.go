package capture

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/bpf"

	"example.com/conn/analyzer/packet"
)

var (
	little = binary.LittleEndian
	big    = binary.BigEndian
	start  = time.Unix(1_800_000_000, 0).UTC()
)

type byteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// all reads a capture to its end, and returns the error that ended it. The frames' data is copied.
func all(capture []byte) (frames []packet.Frame, err error) {
	s, err := FromBytes("test", capture)
	for err == nil {
		var f packet.Frame
		if f, err = s.Next(); err == nil {
			f.Data = bytes.Clone(f.Data)
			frames = append(frames, f)
		}
	}
	return frames, err
}

// pcap returns a capture with one frame per element of data, a second apart, with a fraction of 7.
func pcap(order byteOrder, magic uint32, link uint32, data ...string) []byte {
	b := order.AppendUint32(nil, magic)
	b = order.AppendUint16(order.AppendUint16(b, 2), 4)
	b = order.AppendUint32(append(b, make([]byte, 8)...), 65535)
	b = order.AppendUint32(b, link)
	for i, d := range data {
		b = order.AppendUint32(order.AppendUint32(b, uint32(start.Unix())+uint32(i)), 7)
		b = order.AppendUint32(order.AppendUint32(b, uint32(len(d))), uint32(len(d))+2)
		if magic == 0xa1b2cd34 {
			b = append(b, 1, 2, 3, 4, 5, 6, 7, 8)
		}
		b = append(b, d...)
	}
	return b
}

func TestPcap(t *testing.T) {
	for _, order := range []byteOrder{little, big} {
		for magic, unit := range map[uint32]time.Duration{
			0xa1b2c3d4: time.Microsecond, 0xa1b23c4d: time.Nanosecond, 0xa1b2cd34: time.Microsecond,
		} {
			long := strings.Repeat("long", 50_000)
			frames, err := all(pcap(order, magic, 1<<26|113, "one", "", long))
			require.Equal(t, io.EOF, err)
			require.Len(t, frames, 3)
			for i, data := range []string{"one", "", long} {
				assert.Equal(t, packet.Frame{
					Data: []byte(data), Time: start.Add(time.Duration(i)*time.Second + 7*unit), Link: 113, Wire: len(data) + 2,
				}, frames[i], "%v %x", order, magic)
			}
		}
	}
}

func TestGzippedCaptures(t *testing.T) {
	s := begin(little, 1)
	s.iface(1, 0)
	s.packet(0, 5e6, "one")
	s.packet(0, 5e6, "two")
	for _, data := range [][]byte{pcap(little, 0xa1b2c3d4, 1, "one", "two"), s.b} {
		var zipped bytes.Buffer
		w := gzip.NewWriter(&zipped)
		_, err := w.Write(data)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		frames, err := all(zipped.Bytes())
		assert.Equal(t, io.EOF, err)
		assert.Len(t, frames, 2)
		_, err = all(zipped.Bytes()[:zipped.Len()-3])
		assert.ErrorContains(t, err, "ends in the middle of frame")
	}
}

func TestDamagedPcap(t *testing.T) {
	good := pcap(little, 0xa1b2c3d4, 1, "one", "two", "three")
	long := slices.Clone(good)
	little.PutUint32(long[24+16+3+8:], snapLimit+1)
	frames, err := all(long)
	assert.EqualError(t, err, "test: frame 2: has a length of 262145 bytes: the file is damaged")
	assert.Len(t, frames, 1, "what was before")

	version := slices.Clone(good)
	version[4] = 3
	_, err = all(version)
	assert.EqualError(t, err, "test: unknown pcap version 3")

	for name, data := range map[string][]byte{
		"nothing": nil, "short": good[:23], "random": bytes.Repeat([]byte{1, 2, 3, 4}, 20),
	} {
		_, err = all(data)
		assert.ErrorContains(t, err, "test: ", name)
	}
	for want, data := range map[string][]byte{
		"is empty":                             {},
		"neither a pcap nor a pcapng capture":  {0xd4},
		"is cut off at its beginning":          {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 1},
		"gzip: invalid header":                 {0x1f, 0x8b, 9, 0, 0, 0, 0, 0, 0, 0xff, 1},
		errFormat.Error() + ": unexpected EOF": begin(little, 1).b[:11],
	} {
		_, err = all(data)
		assert.EqualError(t, err, "test: "+want)
	}
	_, err = new(Source).open(iotest.ErrReader(errors.New("unreadable")))
	assert.EqualError(t, err, "unreadable")
	small := slices.Clone(good)
	little.PutUint32(small[24+12:], 1)
	frames, _ = all(small)
	assert.Equal(t, 3, frames[0].Wire, "no frame is longer captured than it was")
}

// A frame may be as long as the file's header says, or up to snapLimit. Only maxFrame bytes of it are
// kept.
func TestLongFrames(t *testing.T) {
	for name, c := range map[string]struct {
		snap  uint32
		long  int
		valid bool
	}{
		"longer than announced":     {65_535, snapLimit, true},
		"much longer":               {65_535, snapLimit + 1, false},
		"limit of 0":                {0, snapLimit + 1, false},
		"jumbogram":                 {1 << 20, 524_280 + 14, true},
		"as long as announced":      {1 << 20, 1 << 20, true},
		"longer, above libpcap's":   {1 << 20, 1<<20 + 1, false},
		"no limit":                  {math.MaxUint32, 1 << 20, true},
		"no limit, longest":         {math.MaxUint32, longestFrame, true},
		"no limit, beyond anything": {math.MaxUint32, longestFrame + 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			head := pcap(little, 0xa1b2c3d4, 1)
			little.PutUint32(head[16:], c.snap)
			frame := pcap(little, 0xa1b2c3d4, 1, "")[24:]
			little.PutUint32(frame[8:], uint32(c.long))
			little.PutUint32(frame[12:], uint32(c.long)-2)
			last := pcap(little, 0xa1b2c3d4, 1, "last")[24:]
			capture := func(long int) io.Reader {
				return io.MultiReader(bytes.NewReader(slices.Concat(head, frame)), io.LimitReader(xs{}, int64(long)), bytes.NewReader(last))
			}
			s := &Source{name: "test"}
			var err error
			s.next, err = s.open(capture(c.long))
			require.NoError(t, err)
			f, err := s.Next()
			if !c.valid {
				assert.EqualError(t, err, fmt.Sprintf("test: frame 1: has a length of %d bytes: the file is damaged", c.long))
				return
			}
			require.NoError(t, err)
			assert.Equal(t, strings.Repeat("x", min(c.long, 520<<10)), string(f.Data))
			assert.Equal(t, c.long, f.Wire)
			f, err = s.Next()
			require.NoError(t, err)
			assert.Equal(t, "last", string(f.Data))

			n, _ := allocated(t, capture(c.long))
			assert.Less(t, n, uint64(1<<20))

			s = &Source{name: "test"}
			s.next, err = s.open(io.LimitReader(capture(c.long), int64(24+16+c.long-1)))
			require.NoError(t, err)
			_, err = s.Next()
			assert.EqualError(t, err, "test: the capture ends in the middle of frame 1")
		})
	}
}

// xs reads as x forever.
type xs struct{}

func (xs) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

// A section builds a pcapng section.
type section struct {
	order byteOrder
	b     []byte
}

func (s *section) block(typ uint32, body []byte) {
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	s.b = s.order.AppendUint32(s.order.AppendUint32(s.b, typ), uint32(len(body))+12)
	s.b = s.order.AppendUint32(append(s.b, body...), uint32(len(body))+12)
}

// begin starts a section of version major.
func begin(order byteOrder, major uint16) *section {
	s := &section{order: order}
	body := order.AppendUint16(order.AppendUint32(nil, 0x1a2b3c4d), major)
	body = order.AppendUint16(body, 0)
	s.block(sectionHeader, append(body, 255, 255, 255, 255, 255, 255, 255, 255))
	return s
}

func (s *section) option(code uint16, value ...byte) []byte {
	b := s.order.AppendUint16(s.order.AppendUint16(nil, code), uint16(len(value)))
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func (s *section) iface(link uint16, snap uint32, options ...[]byte) {
	body := s.order.AppendUint16(s.order.AppendUint16(nil, link), 0)
	s.block(interfaceBlock, append(s.order.AppendUint32(body, snap), slices.Concat(options...)...))
}

func (s *section) packet(id uint32, at uint64, data string, options ...[]byte) {
	b := s.order.AppendUint32(nil, id)
	b = s.order.AppendUint32(s.order.AppendUint32(b, uint32(at>>32)), uint32(at))
	b = append(s.order.AppendUint32(s.order.AppendUint32(b, uint32(len(data))), uint32(len(data))+2), data...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	s.block(enhancedPacket, append(b, slices.Concat(options...)...))
}

func TestPcapng(t *testing.T) {
	require.Equal(t, []uint32{0x0a0d0d0a, 1, 2, 3, 6}, []uint32{sectionHeader, interfaceBlock, oldPacket, simplePacket, enhancedPacket})
	micros := uint64(start.UnixMicro())
	for _, order := range []byteOrder{little, big} {
		s := begin(order, 1)
		s.block(0x0bad, make([]byte, 100_000)) // of an unknown type
		s.block(0x0bad, nil)
		s.iface(1, 0, s.option(2, []byte("eth0")...), s.option(0))
		s.packet(0, micros, "one", s.option(1, make([]byte, 1000)...), s.option(0))
		s.iface(113, 5)
		s.packet(1, micros+7, "two")
		s.block(simplePacket, append(order.AppendUint32(nil, 9), "simple..."...))
		old := order.AppendUint16(order.AppendUint16(nil, 1), 9) // interface, number of drops
		old = order.AppendUint32(order.AppendUint32(old, uint32(micros>>32)), uint32(micros))
		old = append(order.AppendUint32(order.AppendUint32(old, 3), 4), "old"...)
		s.block(oldPacket, old)
		want := []packet.Frame{
			{Data: []byte("one"), Time: start, Link: layers.LinkTypeEthernet, Wire: 5},
			{Data: []byte("two"), Time: start.Add(7 * time.Microsecond), Link: layers.LinkTypeLinuxSLL, Wire: 5},
			{Data: []byte("simple..."), Time: start.Add(7 * time.Microsecond), Link: layers.LinkTypeEthernet, Wire: 9},
			{Data: []byte("old"), Time: start, Link: layers.LinkTypeLinuxSLL, Wire: 4},
		}
		frames, err := all(s.b)
		assert.Equal(t, io.EOF, err)
		assert.Equal(t, want, frames)
	}
}

func TestPcapngSimplePacketsAreTruncated(t *testing.T) {
	// The data is no longer than the block.
	for snap, data := range map[uint32]string{1: "s", 5: "simpl", 12: "simpl\x00\x00\x00"} {
		s := begin(little, 1)
		s.iface(1, snap)
		s.block(simplePacket, append(little.AppendUint32(nil, 9), "simpl"...))
		s.packet(0, 0, "others say how long they are")
		frames, err := all(s.b)
		assert.Equal(t, io.EOF, err)
		require.Len(t, frames, 2)
		assert.Equal(t, packet.Frame{Data: []byte(data), Time: time.Unix(0, 0).UTC(), Link: 1, Wire: 9}, frames[0])
		assert.Equal(t, "others say how long they are", string(frames[1].Data))
	}
}

// A frame may be empty, or fill its block. No more than the frame's length counts as captured.
func TestPcapngLengths(t *testing.T) {
	for _, data := range []string{"", "four"} {
		s := begin(little, 1)
		s.iface(1, 0)
		s.packet(0, 0, data)
		s.block(simplePacket, append(little.AppendUint32(nil, uint32(len(data))), data...))
		head := append(little.AppendUint32(make([]byte, 12), uint32(len(data))), 1, 0, 0, 0)
		s.block(oldPacket, append(head, data...))
		frames, err := all(s.b)
		assert.Equal(t, io.EOF, err)
		require.Len(t, frames, 3)
		for i, wire := range []int{len(data) + 2, len(data), max(len(data), 1)} {
			assert.Equal(t, data, string(frames[i].Data))
			assert.Equal(t, wire, frames[i].Wire)
		}
	}
}

func TestPcapngSections(t *testing.T) {
	first, other, last := begin(little, 1), begin(big, 2), begin(big, 1)
	first.iface(1, 0)
	first.packet(0, 5e6, "first")
	other.iface(1, 0)
	other.packet(0, 5e6, "of an unknown version")
	last.iface(113, 0)
	last.packet(0, 6e6, "last")
	last.packet(1, 6e6, "this section has but one interface")
	frames, err := all(slices.Concat(first.b, other.b, last.b))
	assert.Equal(t, io.EOF, err)
	require.Len(t, frames, 3)
	assert.Equal(t, "first", string(frames[0].Data))
	assert.Equal(t, "last", string(frames[1].Data))
	assert.Equal(t, layers.LinkTypeLinuxSLL, frames[1].Link)
	assert.Equal(t, time.Unix(6, 0).UTC(), frames[1].Time)
	assert.Equal(t, unknownLink, frames[2].Link)
	assert.Equal(t, time.Unix(6, 0).UTC(), frames[2].Time)

	frames, err = all(slices.Concat(other.b, last.b, first.b)) // even if it comes first
	assert.Equal(t, io.EOF, err)
	require.Len(t, frames, 3)
	assert.Equal(t, "first", string(frames[2].Data))
}

func TestPcapngTimes(t *testing.T) {
	for _, c := range []struct {
		resolution byte
		offset     uint64
		units      uint64
		want       time.Time
	}{
		{0, 0, 5, time.Unix(5, 0)},
		{3, 0, 5_007, time.Unix(5, 7e6)},
		{6, 100, 5_000_007, time.Unix(105, 7e3)},
		{9, 0, 5_000_000_007, time.Unix(5, 7)},
		{12, 0, 5_000_000_007_999, time.Unix(5, 7)},
		{19, 0, 1<<64 - 1, time.Unix(1, 844_674_407)},
		{20, 3, 1<<64 - 1, time.Unix(3, 0)},
		{0x80, 0, 5, time.Unix(5, 0)},
		{0x80 | 1, 0, 5, time.Unix(2, 5e8)},
		{0x80 | 63, 0, 1<<64 - 1, time.Unix(1, 999_999_999)},
		{0x80 | 64, 7, 1<<64 - 1, time.Unix(7, 0)},
	} {
		s := begin(little, 1)
		s.iface(1, 0, s.option(9, c.resolution), s.option(14, little.AppendUint64(nil, c.offset)...))
		s.packet(0, c.units, "x")
		frames, err := all(s.b)
		assert.Equal(t, io.EOF, err)
		require.Len(t, frames, 1)
		assert.Equal(t, c.want.UTC(), frames[0].Time, "resolution %#x", c.resolution)
	}
}

func TestPcapngMalformedOptions(t *testing.T) {
	s := begin(little, 1)
	s.iface(1, 0, s.option(9), s.option(14, 1), s.option(9, 3), s.option(2, 1), s.option(9), s.option(9, 1, 2), []byte{9, 0, 255, 255})
	s.packet(0, 5_000, "x")
	frames, err := all(s.b)
	assert.Equal(t, io.EOF, err)
	require.Len(t, frames, 1)
	assert.Equal(t, time.Unix(5, 0).UTC(), frames[0].Time)
}

func TestDamagedPcapng(t *testing.T) {
	s := begin(little, 1)
	s.iface(1, 0)
	s.packet(0, 5e6, "one")
	before := len(s.b)
	s.packet(0, 5e6, "two")
	for name, damage := range map[string]func(b []byte){
		"length of the block":          func(b []byte) { b[before+4]++ },
		"length that is too short":     func(b []byte) { b[before+4] = 8 },
		"length at the end":            func(b []byte) { b[len(b)-4] += 4 },
		"length of the frame":          func(b []byte) { b[before+8+12] = 6 },
		"length of a frame, enormous":  func(b []byte) { b[before+8+15] = 255 },
		"block too short for a packet": func(b []byte) { b[before+4], b[before+12] = 16, 16 },
	} {
		b := slices.Clone(s.b)
		damage(b)
		frames, err := all(b)
		assert.ErrorContains(t, err, "test: frame 2: damaged pcapng block", name)
		assert.Len(t, frames, 1, name)
	}
	order := begin(little, 1)
	order.b[8] = 0
	first := &section{order: little}
	first.block(sectionHeader, begin(little, 1).b[8:20])
	for _, b := range [][]byte{order.b, first.b} {
		_, err := all(b)
		assert.EqualError(t, err, "test: neither a pcap nor a pcapng capture: damaged pcapng block")
	}
	for typ, body := range map[uint32][]byte{
		sectionHeader: {0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 0, 0, 0, 0}, interfaceBlock: make([]byte, 4),
		simplePacket: nil, enhancedPacket: make([]byte, 16), oldPacket: make([]byte, 16),
	} {
		s := begin(little, 1)
		s.block(typ, body)
		_, err := all(s.b)
		assert.EqualError(t, err, "test: frame 1: damaged pcapng block", "%#x", typ)
	}
}

// A capture that is cut anywhere except between two frames gives an error.
func TestTruncationIsReported(t *testing.T) {
	s := begin(big, 1)
	s.iface(1, 0)
	s.packet(0, 5e6, "one", s.option(1, 1, 2, 3, 4, 5))
	s.block(0x0bad, make([]byte, 50))
	s.packet(0, 5e6, "three")
	for name, data := range map[string][]byte{
		"pcap": pcap(little, 0xa1b2c3d4, 1, "one", "two", "three"), "pcapng": s.b,
	} {
		var clean []int
		for n := 1; n < len(data); n++ {
			frames, err := all(data[:n])
			if err == io.EOF {
				clean = append(clean, len(frames))
			} else {
				assert.ErrorContains(t, err, "test: ")
			}
		}
		assert.Equal(t, map[string][]int{"pcap": {0, 1, 2}, "pcapng": {0, 0, 1, 1}}[name], clean)
	}
}

// repeated reads as head, followed by the same bytes n times.
type repeated struct {
	head, again []byte
	n           int
}

func (r *repeated) Read(b []byte) (int, error) {
	if len(r.head) == 0 {
		if r.n == 0 {
			return 0, io.EOF
		}
		r.n--
		r.head = r.again
	}
	n := copy(b, r.head)
	r.head = r.head[n:]
	return n, nil
}

// allocated returns the bytes that reading a capture allocates, and the number of its frames.
func allocated(t *testing.T, r io.Reader) (bytes uint64, frames []packet.Frame) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s := &Source{name: "test"}
	var err error
	s.next, err = s.open(r)
	require.NoError(t, err)
	for {
		f, err := s.Next()
		if err != nil {
			require.Equal(t, io.EOF, err)
			break
		}
		f.Data = nil
		frames = append(frames, f)
	}
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc, frames
}

func TestPcapngMemoryIsBounded(t *testing.T) {
	const bound = 16 << 20 // the interfaces, also while they grow, and buffers
	s := begin(little, 1)
	one := &section{order: little}
	one.iface(1, 0, one.option(2, make([]byte, 100)...))
	n, _ := allocated(t, &repeated{s.b, one.b, 2_000_000})
	assert.Less(t, n, uint64(bound), "interfaces")

	s.iface(1, 0)
	head := s.b
	one = &section{order: little}
	one.packet(0, 5e6, "x")
	frame := one.b
	little.PutUint32(frame[4:], uint32(len(frame)+4*10_000_000))
	n, frames := allocated(t, io.MultiReader(
		bytes.NewReader(append(slices.Clone(head), frame[:len(frame)-4]...)),
		&repeated{nil, []byte{1, 0, 0, 0}, 10_000_000}, // comments
		bytes.NewReader(frame[4:8]),
	))
	assert.Less(t, n, uint64(bound), "options of a packet")
	require.Len(t, frames, 1)

	other := &repeated{nil, make([]byte, 1<<20), 200}
	length := little.AppendUint32(nil, 200<<20+12)
	n, _ = allocated(t, io.MultiReader(bytes.NewReader(head), bytes.NewReader([]byte{10, 0, 0, 0}), bytes.NewReader(length),
		other, bytes.NewReader(length)))
	assert.Less(t, n, uint64(bound), "secrets")
}

// A file is read in large pieces, and long frames share one buffer.
func TestReadingAllocatesLittle(t *testing.T) {
	reads := 0
	short := pcap(little, 0xa1b2c3d4, 1, slices.Repeat([]string{"0123456789abcdef"}, 10_000)...)
	_, frames := allocated(t, readerFunc(func(b []byte) (n int, err error) {
		reads++
		if n = copy(b, short); n == 0 {
			err = io.EOF
		}
		short = short[n:]
		return n, err
	}))
	assert.Len(t, frames, 10_000)
	assert.Less(t, reads, 10)

	long := pcap(little, 0xa1b2c3d4, 1, strings.Repeat("x", 100_000))
	n, frames := allocated(t, &repeated{long[:24], long[24:], 100})
	assert.Len(t, frames, 100)
	assert.Less(t, n, uint64(1<<20))
}

// A readerFunc is a Reader.
type readerFunc func(b []byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func TestPcapngOversizedFrame(t *testing.T) {
	s := begin(little, 1)
	s.iface(1, 0)
	s.packet(0, 5e6, strings.Repeat("x", 2<<20))
	s.packet(0, 6e6, "y")
	frames, err := all(s.b)
	assert.Equal(t, io.EOF, err)
	require.Len(t, frames, 2)
	assert.Len(t, frames[0].Data, maxFrame)
	assert.Equal(t, 2<<20+2, frames[0].Wire)
	assert.Equal(t, "y", string(frames[1].Data))
}

func TestPcapngInterfacesAreBounded(t *testing.T) {
	s := begin(little, 1)
	for range maxInterfaces + 1 {
		s.iface(1, 0)
	}
	s.packet(maxInterfaces-1, 5e6, "x")
	s.packet(maxInterfaces, 5e6, "x")
	frames, err := all(s.b)
	assert.Equal(t, io.EOF, err)
	require.Len(t, frames, 2)
	assert.Equal(t, layers.LinkTypeEthernet, frames[0].Link)
	assert.Equal(t, unknownLink, frames[1].Link)
}

func TestOpenFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "capture")
	require.NoError(t, os.WriteFile(name, pcap(little, 0xa1b2c3d4, 1, "one", "two"), 0o600))
	s, err := Open(t.Context(), name)
	require.NoError(t, err)
	_, err = s.Next()
	require.NoError(t, err)
	assert.Equal(t, 1.0, s.Progress())
	require.NoError(t, s.Close())
	assert.ErrorIs(t, s.Close(), os.ErrClosed)
	_, err = Open(t.Context(), filepath.Dir(name))
	assert.ErrorContains(t, err, "is a directory")
	require.NoError(t, os.WriteFile(name, []byte("nonsense that is long enough for a header"), 0o600))
	_, err = Open(t.Context(), name)
	assert.EqualError(t, err, name+": neither a pcap nor a pcapng capture")
	_, err = Open(t.Context(), name+"s")
	assert.ErrorContains(t, err, name+"s: no such file")
}

// A program may try to open many files.
func TestNonCaptureFileIsClosed(t *testing.T) {
	name := filepath.Join(t.TempDir(), "nonsense")
	require.NoError(t, os.WriteFile(name, []byte("nonsense"), 0o600))
	open := func() (n int) {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("only Linux tells which files are open: ", err)
		}
		for _, fd := range fds {
			if target, _ := os.Readlink("/proc/self/fd/" + fd.Name()); target == name {
				n++
			}
		}
		return n
	}
	_, err := Open(t.Context(), name)
	require.Error(t, err)
	assert.Zero(t, open())
}

// standardInput makes f standard input for the rest of a test.
func standardInput(t *testing.T, f *os.File) {
	old := os.Stdin
	os.Stdin = f
	t.Cleanup(func() { os.Stdin = old })
}

// awaited returns the next frame, after any number of pauses.
func awaited(s *Source) (f packet.Frame, err error) {
	for err = ErrIdle; err == ErrIdle; {
		f, err = s.Next()
	}
	return f, err
}

// A pipe's frames are read as they arrive, and all of them before it ends.
func TestStandardInputWithPauses(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	standardInput(t, r)
	const long = 100_000
	data := pcap(little, 0xa1b2c3d4, 1, strings.Repeat("1", long), strings.Repeat("2", long), "three")
	first := 24 + 2*(16+long)
	go func() { _, _ = w.Write(data[:first]) }()
	s, err := Open(t.Context(), "-")
	require.NoError(t, err)
	one, err := awaited(s)
	require.NoError(t, err)
	two, err := awaited(s)
	require.NoError(t, err)
	_, err = s.Next()
	assert.Equal(t, ErrIdle, err)
	_, err = w.Write(data[first : len(data)-1])
	require.NoError(t, err)
	require.NoError(t, w.Close())
	_, err = awaited(s)
	assert.EqualError(t, err, "standard input: the capture ends in the middle of frame 3")
	_, again := s.Next()
	assert.Equal(t, err, again, "the end is final")
	assert.Equal(t, strings.Repeat("1", long), string(one.Data), "frames of a pipe do not share memory")
	assert.Equal(t, strings.Repeat("2", long), string(two.Data))
	assert.Zero(t, s.Progress(), "unknown")
	assert.NoError(t, s.Close())
}

func TestPipeKeepsReturningEOF(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	standardInput(t, r)
	_, err = w.Write(pcap(little, 0xa1b2c3d4, 1, "one"))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	s, err := Open(t.Context(), "-")
	require.NoError(t, err)
	_, err = awaited(s)
	require.NoError(t, err)
	_, err = awaited(s)
	require.Equal(t, io.EOF, err)
	_, err = s.Next()
	require.Equal(t, io.EOF, err, "not ErrIdle")
}

func TestStandardInputFromFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "capture")
	require.NoError(t, os.WriteFile(name, pcap(little, 0xa1b2c3d4, 1, "one")[:41], 0o600))
	f, err := os.Open(name)
	require.NoError(t, err)
	standardInput(t, f)
	s, err := Open(t.Context(), "-")
	require.NoError(t, err)
	assert.Equal(t, 1.0, s.Progress())
	_, err = s.Next()
	assert.EqualError(t, err, "standard input: the capture ends in the middle of frame 1")
	assert.NoError(t, s.Close())
}

func TestPipeWithoutCapture(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	standardInput(t, r)
	_, err = w.Write([]byte("nonsense that is long enough for a header"))
	require.NoError(t, err)
	_, err = Open(t.Context(), "-")
	assert.EqualError(t, err, "standard input: neither a pcap nor a pcapng capture")
}

// After an interrupt, a Source ends and its goroutine stops reading.
func TestInterruptedPipe(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	standardInput(t, r)
	defer w.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	goroutines := runtime.NumGoroutine()
	// more than the Source reads ahead
	_, err = w.Write(pcap(little, 0xa1b2c3d4, 1, make([]string, 1000)...))
	require.NoError(t, err)
	s, err := Open(ctx, "-")
	require.NoError(t, err)
	_, err = awaited(s)
	require.NoError(t, err)
	interrupt()
	for n := 0; err == nil; n++ {
		require.Less(t, n, 900)
		_, err = awaited(s)
	}
	assert.Equal(t, io.EOF, err)
	// Eventually runs the condition in another goroutine.
	assert.Eventually(t, func() bool { return runtime.NumGoroutine() <= goroutines+1 },
		10*time.Second, 10*time.Millisecond)
}

// Opening a pipe without a writer blocks.
func TestInterruptBeforePipeIsWritten(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pipe")
	if err := exec.Command("mkfifo", name).Run(); err != nil {
		t.Skip("no mkfifo: ", err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, interrupt)
	s, err := Open(ctx, name)
	require.NoError(t, err)
	_, err = awaited(s)
	assert.Equal(t, io.EOF, err)
	assert.NoError(t, s.Close())
}

func TestParseFilter(t *testing.T) {
	want := []bpf.RawInstruction{{Op: 40, K: 12}, {Op: 21, Jf: 1, K: 2048}, {Op: 6, K: 262144}, {Op: 6}}
	for _, text := range []string{
		"4\n40 0 0 12\n21 0 1 2048\n6 0 0 262144\n6 0 0 0\n", "4,40 0 0 12,21 0 1 2048,6 0 0 262144,6 0 0 0", " 4 , 40 0 0 12,\n21 0 1 2048,6 0 0 262144,6 0 0 0",
	} {
		program, err := ParseFilter(text)
		assert.NoError(t, err, text)
		assert.Equal(t, want, program, text)
	}
	program, err := ParseFilter("1,6 0 0 1")
	assert.NoError(t, err)
	assert.Len(t, program, 1)
	for text, want := range map[string]string{
		"": "is empty", ",\n": "is empty",
		"tcp":                 `"tcp" is not the number of instructions, 0`,
		"0":                   `"0" is not the number of instructions, 0`,
		"2,6 0 0 1":           `"2" is not the number of instructions, 1`,
		"1,6 0 0 1,6 0 0 1":   `"1" is not the number of instructions, 2`,
		"x,6 0 0 1":           `"x" is not the number of instructions, 1`,
		"2,6 0 0 1,6 0 0":     `instruction 2, "6 0 0"`,
		"2,6 0 0 1,6 0 0 x":   `instruction 2, "6 0 0 x"`,
		"2,6 0 0 1,6 0 0 1 x": `instruction 2, "6 0 0 1 x"`,
		"2,6 0 256 1,6 0 0 1": `instruction 1, "6 0 256 1"`,
		"1,65535 0 0 1":       "contains an invalid instruction",
	} {
		_, err := ParseFilter(text)
		assert.EqualError(t, err, "filter: "+want+`: want what "tcpdump -ddd EXPRESSION" prints`)
	}
}

// FuzzCapture reads arbitrary bytes as a capture. Reading must end, and take memory in proportion
// to their number.
func FuzzCapture(f *testing.F) {
	s := begin(little, 1)
	s.iface(1, 0, s.option(9, 3))
	s.packet(0, 5e6, "one", s.option(1, 1, 2, 3, 4, 5))
	s.block(simplePacket, []byte{2, 0, 0, 0, 1, 2})
	b := begin(big, 1)
	b.iface(113, 0)
	b.packet(0, 5e6, "two")
	f.Add(append(s.b, b.b...))
	f.Add(pcap(little, 0xa1b2c3d4, 1, "one", "two"))
	f.Add(pcap(big, 0xa1b2cd34, 1, "one"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
			return // its unzipped size is not in proportion
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s, err := FromBytes("test", data)
		captured := 0
		for n := 0; err == nil; n++ {
			require.LessOrEqual(t, n, len(data)/12)
			var f packet.Frame
			if f, err = s.Next(); err == nil {
				captured += len(f.Data)
				require.LessOrEqual(t, len(f.Data), f.Wire)
			}
		}
		require.LessOrEqual(t, captured, len(data))
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20+100*len(data)))
	})
}
