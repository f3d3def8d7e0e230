package packet

import (
	"testing"

	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/require"
)

// A builder nests headers from the inside out, as a fuzzer's bytes direct. The headers have correct
// lengths: mutating the bytes of a packet hardly ever produces a valid long header.
type builder struct{ script []byte }

// next returns the next byte of the script, and 0 after its end.
func (b *builder) next() int {
	if len(b.script) == 0 {
		return 0
	}
	n := b.script[0]
	b.script = b.script[1:]
	return int(n)
}

// option returns an IPv6 option of any type and length.
func (b *builder) option() []byte {
	typ, n := b.next(), b.next()
	return cat(typ, n, make([]byte, n))
}

// extension prepends an IPv6 extension header to data, whose protocol is next.
func (b *builder) extension(next int, data []byte) (int, []byte) {
	kind := [...]int{0, 43, 44, 51, 60, 60, 60, 135}[b.next()%8]
	switch kind {
	case 44:
		return kind, cat(next, 0, b.next(), b.next(), 0, 0, 0, b.next()%4, data)
	case 51:
		words := b.next()
		return kind, cat(next, words, make([]byte, words*4+6), data)
	case 43:
		words := b.next()
		return kind, cat(next, words, b.next()%6, b.next()%3, make([]byte, words*8+4), data)
	case 135:
		return kind, cat(next, 0, make([]byte, 6), data)
	}
	header := []byte{byte(next), 0}
	for range 1 + b.next()%4 {
		header = append(header, b.option()...)
	}
	header = append(header, make([]byte, -len(header)&7)...)
	header[1] = byte(min(len(header)/8-1, 255))
	return kind, append(header, data...)
}

// packet returns an IP packet in up to four tunnels.
func (b *builder) packet() []byte {
	next, data := 6, payload
	for range 1 + b.next()%5 {
		how := b.next()
		if how&1 == 0 && len(data) < 60_000 {
			for range how >> 1 & 3 {
				next, data = b.extension(next, data)
			}
		}
		if len(data) > 60_000 {
			break
		}
		version := 4
		if how&1 == 0 {
			data, version = ip6(layers.IPProtocol(next), a6, b6, data), 6
		} else {
			data = ip4(layers.IPProtocol(next), a4, b4, data)
		}
		typ := map[int]int{4: 0x0800, 6: 0x86dd}[version]
		udp := func(port int, data []byte) []byte {
			return cat(0, 9, port>>8, port, len(data)+8>>8, len(data)+8, 0, 0, data)
		}
		switch how >> 3 & 7 {
		case 0, 1:
			next = map[int]int{4: 4, 6: 41}[version]
		case 2:
			next, data = 47, cat(0, 0, typ>>8, typ, data)
		case 3:
			next, data = 17, udp(4789, cat(8, 0, 0, 0, 0, 0, 0, 0, eth(uint16(typ), data)))
		case 4:
			words := b.next() & 0x3f
			next, data = 17, udp(6081, cat(words, 0, typ>>8, typ, 0, 0, 0, 0, make([]byte, words*4), data))
		case 5:
			n := len(data)
			next, data = 17, udp(2152, cat(0x30, 255, n>>8, n, 0, 0, 0, 1, data))
		case 6:
			next, data = 17, udp(3544, data)
		case 7:
			next, data = 47, cat(0, 0, 0x65, 0x58, eth(uint16(typ), data))
		}
	}
	if how := b.next(); how&1 != 0 || next == 17 {
		return ip4(layers.IPProtocol(next), a4, b4, data)
	}
	return ip6(layers.IPProtocol(next), a6, b6, data)
}

// FuzzNested decodes nested headers with correct lengths, whole and truncated.
func FuzzNested(f *testing.F) {
	for kind := range 8 { // each header, with the shortest and the longest option, in each tunnel
		for tunnel := range 8 {
			for _, n := range []byte{0, 1, 16, 252, 253, 254, 255} {
				f.Add([]byte{1, byte(tunnel<<3 | 2), byte(kind), n, n, n, n}, uint16(0xffff), true)
			}
		}
	}
	f.Fuzz(func(t *testing.T, script []byte, captured uint16, ignore bool) {
		data := (&builder{script}).packet()
		whole := len(data)
		data = data[:min(int(captured), whole)]
		frame := Frame{Data: data, Time: now, Link: layers.LinkTypeRaw, Wire: whole}
		checkPlain(t, frame, ignore)
		d := NewDecoder()
		d.IgnoreChecksums = ignore
		var c counter
		_ = d.Decode(frame, &c)
		_ = d.Decode(frame, &c)
		d.Close(&c)
		require.LessOrEqual(t, c.bytes, (maxDepth+1)*2*2*(len(data)+1))
	})
}
