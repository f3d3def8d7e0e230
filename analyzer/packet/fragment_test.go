package packet

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn"
)

// piece returns a fragment of an IPv4 packet.
func piece(id, offset int, more bool, data []byte) []byte {
	flags := offset / 8
	if more {
		flags |= 0x2000
	}
	return changed(ip4(layers.IPProtocolTCP, a4, b4, data), 4, byte(id>>8), byte(id), byte(flags>>8), byte(flags))
}

// piece6 is piece for IPv6.
func piece6(id, offset int, more bool, data []byte) []byte {
	bits := offset
	if more {
		bits |= 1
	}
	return ip6(44, a6, b6, cat(6, 0, bits>>8, bits, 0, 0, id>>8, id, data))
}

var pieces = map[string]func(id, offset int, more bool, data []byte) []byte{"IPv4": piece, "IPv6": piece6}

// text is the datagram that tests fragment; no two parts of it are equal.
var text = func() []byte {
	b := make([]byte, 65_536)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}()

func TestFragmentsAreReassembled(t *testing.T) {
	for version, piece := range pieces {
		for _, length := range []int{225, 232, 1024, 1025, 5000, 60_000} {
			data := text[:length]
			for _, size := range []int{72, 512, 1480} {
				var frames [][]byte
				for at := 0; at < length; at += size {
					frames = append(frames, piece(9, at, at+size < length, data[at:min(at+size, length)]))
				}
				if len(frames) == 1 {
					continue
				}
				shuffled := slices.Clone(frames)
				rand.Shuffle(len(shuffled), func(i, k int) { shuffled[i], shuffled[k] = shuffled[k], shuffled[i] })
				reversed := slices.Clone(frames)
				slices.Reverse(reversed)
				for _, order := range [][][]byte{frames, reversed, shuffled} {
					d := NewDecoder()
					var r recorder
					for i, frame := range order {
						frame := bytes.Clone(frame)
						require.NoError(t, d.Decode(Frame{Data: frame, Time: now, Now: now, Link: 101, Wire: len(frame)}, &r))
						clear(frame) // the next frame is read into the same memory
						require.Equal(t, i == len(order)-1, len(r.packets) == 1)
					}
					assert.Empty(t, r.weirds)
					p := r.packets[0]
					assert.Equal(t, conn.TCP, p.Proto)
					require.Equal(t, data, p.Payload, "%s: %d by %d", version, length, size)
					assert.Equal(t, length, p.Length)
					assert.Equal(t, length+map[string]int{"IPv4": 20, "IPv6": 40}[version], p.IPLength)
					assert.Zero(t, d.fragments.size)
					assert.Zero(t, d.fragments.order.Len())
					assert.Empty(t, d.fragments.datagrams)
				}
			}
		}
	}
}

func TestFragmentsOfDifferentPackets(t *testing.T) {
	for _, piece := range pieces {
		d := NewDecoder()
		r, err := decode(d, 101, piece(1, 0, true, text[:64]), piece(2, 0, true, text[100:164]),
			piece(2, 64, false, text[164:170]), piece(1, 64, false, text[64:70]))
		require.NoError(t, err)
		require.Len(t, r.packets, 2)
		assert.Equal(t, text[100:170], r.packets[0].Payload)
		assert.Equal(t, text[:70], r.packets[1].Payload)
	}
	// In IPv4, the protocol also distinguishes datagrams.
	other := changed(piece(1, 64, false, text[:8]), 9, 99)
	r, err := decode(NewDecoder(), 101, piece(1, 0, true, text[:64]), other)
	require.NoError(t, err)
	assert.Empty(t, r.packets)
}

func TestAtomicFragment(t *testing.T) {
	r, err := decode(NewDecoder(), 101, piece6(1, 0, false, payload))
	require.NoError(t, err)
	require.Len(t, r.packets, 1)
	assert.Equal(t, payload, r.packets[0].Payload)
	assert.Equal(t, 40+len(payload), r.packets[0].IPLength)
}

// The datagram may begin with another extension header, which may change an address.
func TestExtensionAfterFragmentHeader(t *testing.T) {
	data := cat(6, 2, 0, 0, 0, 0, 201, 16, []byte(home), payload)
	first := piece6(1, 0, true, data[:64])
	first[40] = 60
	last := piece6(1, 64, false, data[64:])
	last[40] = 60
	r, err := decode(NewDecoder(), 101, first, last)
	require.NoError(t, err)
	assert.Empty(t, r.weirds)
	require.Len(t, r.packets, 1)
	p := r.packets[0]
	assert.Equal(t, conn.TCP, p.Proto)
	assert.Equal(t, payload, p.Payload)
	assert.Equal(t, len(payload), p.Length)
	assert.Equal(t, home.String(), p.Src.String())
	assert.Equal(t, 40+len(data), p.IPLength)

	last[40] = 17
	r, err = decode(NewDecoder(), 101, last, first)
	require.NoError(t, err)
	assert.Equal(t, []string{"fragment_protocol_inconsistency"}, r.names())
	require.Len(t, r.packets, 1)
	assert.Equal(t, conn.TCP, r.packets[0].Proto)

	// A fragment inside a fragment is not reassembled.
	data = cat(6, 0, 0, 1, 0, 0, 0, 9, payload)
	first, last = piece6(1, 0, true, data[:64]), piece6(1, 64, false, data[64:])
	first[40], last[40] = 44, 44
	r, err = decode(NewDecoder(), 101, first, last)
	require.NoError(t, err)
	require.Len(t, r.packets, 1)
	assert.Equal(t, payload, r.packets[0].Payload)
}

func TestWeirdFragments(t *testing.T) {
	x := bytes.Repeat([]byte("x"), 64)
	small := map[string]int{"IPv4": 64 - 20, "IPv6": 64 - 48} // including headers
	for version, piece := range pieces {
		for name, c := range map[string]struct {
			frames [][]byte
			weirds []string
			want   []byte // nil if there is no packet
		}{
			"same twice": {[][]byte{piece(1, 0, true, text[:64]), piece(1, 0, true, text[:64]), piece(1, 64, false, text[64:70])},
				[]string{"fragment_overlap"}, text[:70]},
			"last twice": {[][]byte{piece(1, 64, false, text[64:70]), piece(1, 64, false, text[64:70]), piece(1, 0, true, text[:64])},
				[]string{"fragment_overlap"}, text[:70]},
			"other bytes, after": {[][]byte{piece(1, 0, true, text[:64]), piece(1, 0, true, x), piece(1, 64, false, text[64:70])},
				[]string{"fragment_inconsistency"}, text[:70]},
			"other bytes, across": {[][]byte{piece(1, 0, true, text[:64]), piece(1, 128, false, text[128:150]), piece(1, 56, true, cat(text[56:128], x[:8]))},
				[]string{"fragment_inconsistency"}, text[:150]},
			"other bytes, in pages": {[][]byte{piece(1, 0, true, text[:1024]), piece(1, 512, true, cat(text[512:1016], x[:8], text[1024:1040])),
				piece(1, 1040, false, text[1040:1050])}, []string{"fragment_inconsistency"}, text[:1050]},
			"overlap, across": {[][]byte{piece(1, 0, true, text[:64]), piece(1, 128, false, text[128:150]), piece(1, 56, true, text[56:136])},
				[]string{"fragment_overlap"}, text[:150]},
			"small": {[][]byte{piece(1, 0, true, text[:8]), piece(1, 8, false, text[8:20])},
				map[string][]string{"IPv4": {"excessively_small_fragment"}, "IPv6": {"excessively_small_fragment"}}[version], text[:20]},
			"another end, shorter": {[][]byte{piece(1, 64, false, text[64:80]), piece(1, 64, false, text[64:72]), piece(1, 0, true, text[:64])},
				[]string{"fragment_size_inconsistency", "fragment_overlap"}, text[:80]},
			"another end, longer": {[][]byte{piece(1, 64, false, text[64:80]), piece(1, 64, false, text[64:90]), piece(1, 0, true, text[:64])},
				[]string{"fragment_size_inconsistency", "fragment_overlap"}, text[:90]},
			"after the end": {[][]byte{piece(1, 64, false, text[64:72]), piece(1, 128, true, text[128:192]), piece(1, 0, true, text[:64])},
				[]string{"fragment_size_inconsistency"}, nil},
			"before the end": {[][]byte{piece(1, 128, true, text[128:192]), piece(1, 64, false, text[64:72]), piece(1, 0, true, text[:64])},
				[]string{"fragment_size_inconsistency"}, text[:72]},
			"up to the end": {[][]byte{piece(1, 64, true, text[64:128]), piece(1, 64, false, text[64:72]), piece(1, 0, true, text[:64])},
				[]string{"fragment_overlap", "fragment_size_inconsistency"}, text[:128]},
			"large": {[][]byte{piece(1, 64_000, true, text[:64])}, []string{"excessively_large_fragment"}, nil},
			"too large": {[][]byte{piece(1, 65_528, false, text[:8]), piece(1, 65_528, false, text[:64])},
				[]string{"excessively_large_fragment"}, nil},
			"empty last one": {[][]byte{piece(1, 0, true, text[:64]), piece(1, 64, false, nil)}, nil, text[:64]},
			"just up to the end": {[][]byte{piece(1, 64, false, text[64:72]), piece(1, 8, true, text[8:72]), piece(1, 0, true, text[:64])},
				[]string{"fragment_overlap"}, text[:72]},
			"without a page": {[][]byte{piece(1, 1024, true, text[1024:1536]), piece(1, 512, false, text[512:1024])}, nil, nil},
			"without a part of a page": {[][]byte{piece(1, 0, true, text[:256]), piece(1, 600, true, text[600:1024]),
				piece(1, 512, false, text[512:600])}, nil, nil},
			"small, almost": {[][]byte{piece(1, 0, true, text[:small[version]]), piece(1, small[version]&^7, false, text[small[version]&^7:64])},
				nil, text[:64]},
			"large, almost": {[][]byte{piece(1, 63_992, false, text[:8])}, nil, nil},
			"large, just":   {[][]byte{piece(1, 63_992, false, text[:9])}, []string{"excessively_large_fragment"}, nil},
			"odd by one":    {[][]byte{piece(1, 0, true, text[:65]), piece(1, 64, false, text[64:70])}, nil, text[:70]},
			"odd":           {[][]byte{piece(1, 64, false, text[64:70]), piece(1, 0, true, text[:66])}, nil, text[:70]},
		} {
			if version == "IPv6" && slices.Contains([]string{"other bytes, across", "other bytes, in pages", "overlap, across", "another end, longer",
				"just up to the end"}, name) {
				c.want = nil // RFC 8200, section 4.5: no overlaps
			}
			if version == "IPv6" && strings.HasPrefix(name, "odd") {
				c.weirds, c.want = []string{"fragment_size_inconsistency"}, nil
			}
			r, err := decode(NewDecoder(), 101, c.frames...)
			assert.NoError(t, err)
			assert.Equal(t, c.weirds, r.names(), "%s %s", version, name)
			if c.want == nil {
				assert.Empty(t, r.packets, "%s %s", version, name)
			} else if assert.Len(t, r.packets, 1, "%s %s", version, name) {
				assert.Equal(t, c.want, r.packets[0].Payload, "%s %s", version, name)
				assert.Equal(t, len(c.want), r.packets[0].Length)
			}
		}
	}
	df := changed(piece(1, 0, true, text[:64]), 6, 0x60)
	options := cat(piece(1, 64, false, text[64:72])[:20], 1, 1, 1, 0, text[64:72])
	options[3] += 4
	r, err := decode(NewDecoder(), 101, df, changed(options, 0, 0x46))
	assert.NoError(t, err)
	assert.Equal(t, []string{"fragment_with_DF", "fragment_protocol_inconsistency"}, r.names())
	require.Len(t, r.packets, 1)
	assert.Equal(t, text[:72], r.packets[0].Payload)
	assert.Equal(t, 92, r.packets[0].IPLength)
}

// An IPv6 datagram with overlapping fragments is dropped as a whole, including later fragments.
func TestOverlapEndsIPv6Datagram(t *testing.T) {
	d := NewDecoder()
	r, err := decode(d, 101, piece6(1, 0, true, text[:64]), piece6(1, 56, true, text[56:128]), piece6(1, 0, true, text[:64]),
		piece6(1, 64, false, text[64:128]), piece6(2, 0, true, text[:64]), piece6(2, 64, false, text[64:128]))
	require.NoError(t, err)
	assert.Len(t, r.packets, 1, "of the other datagram")
	assert.Equal(t, []string{"fragment_overlap"}, r.names())
	assert.Len(t, d.fragments.datagrams, 1)
	assert.Equal(t, datagramCost, d.fragments.size)
}

// A truncated fragment is used only if it is the first.
func TestTruncatedFragment(t *testing.T) {
	for _, piece := range pieces {
		d := NewDecoder()
		var r recorder
		for _, offset := range []int{0, 64} {
			f := piece(1, offset, true, payload)
			require.NoError(t, d.Decode(Frame{Data: f[:len(f)-10], Link: 101, Wire: len(f)}, &r))
			require.Len(t, r.packets, 1, "at %d", offset)
		}
		assert.Equal(t, []string{"incompletely_captured_fragment"}, r.names())
		require.Len(t, r.packets, 1)
		assert.Equal(t, payload[:len(payload)-10], r.packets[0].Payload)
		assert.Equal(t, len(payload), r.packets[0].Length)
		assert.Empty(t, d.fragments.datagrams)
	}
}

func TestFragmentsExpire(t *testing.T) {
	d := NewDecoder()
	var r recorder
	at := func(frame []byte, after time.Duration) {
		require.NoError(t, d.Decode(Frame{Data: frame, Time: now.Add(after), Now: now.Add(after), Link: 101}, &r))
	}
	at(piece(1, 0, true, text[:64]), 0)
	at(piece(2, 0, true, text[:64]), time.Second)
	at(piece(1, 64, true, text[64:128]), 30*time.Second-1)
	assert.Len(t, d.fragments.datagrams, 2)
	at(inner, 30*time.Second)
	assert.Len(t, d.fragments.datagrams, 1)
	at(piece(1, 128, false, text[128:150]), 0) // timestamps may go back, the clock does not
	at(piece(2, 64, false, text[64:70]), 0)
	require.Len(t, r.packets, 2, "the completed datagram, and inner")
	assert.Equal(t, text[:70], r.packets[1].Payload)
}

// A datagram that is never completed is reported when it expires, is evicted, or the capture ends.
func TestIncompleteDatagramIsWeird(t *testing.T) {
	hosts := map[string]string{"IPv4": " 192.0.2.1 > 192.0.2.2", "IPv6": " 2001:db8::1 > 2001:db8::2"}
	for version, piece := range pieces {
		for name, end := range map[string]func(d *Decoder, r *recorder){
			"expires": func(d *Decoder, r *recorder) {
				require.NoError(t, d.Decode(Frame{Data: inner, Time: now.Add(30 * time.Second), Now: now.Add(30 * time.Second), Link: 101}, r))
			},
			"evicted": func(d *Decoder, r *recorder) {
				f := pieces["IPv4"](1, 64, false, nil)
				for i := 0; len(r.weirds) == 0 && i < 1<<20; i++ {
					from(f, i)
					require.NoError(t, d.Decode(Frame{Data: f, Time: now, Now: now, Link: 101, Wire: len(f)}, r))
				}
			},
			"end of the capture": func(d *Decoder, r *recorder) { d.Close(r) },
		} {
			t.Run(version+", "+name, func(t *testing.T) {
				d := NewDecoder()
				r, err := decode(d, 101, piece(1, 0, true, text[:64]),
					piece(2, 64, false, text[64:128]), piece(2, 0, true, text[:64])) // complete
				require.NoError(t, err)
				require.Len(t, r.packets, 1)
				require.Empty(t, r.weirds)
				end(d, &r)
				assert.Equal(t, []string{"fragment_incomplete" + hosts[version]}, r.weirds)
			})
		}
	}

	d := NewDecoder()
	r, err := decode(d, 101, piece6(1, 0, true, text[:64]), piece6(1, 56, true, text[56:128]))
	require.NoError(t, err)
	d.Close(&r)
	assert.Equal(t, []string{"fragment_overlap"}, r.names(), "which says why the datagram is lost")

	d = NewDecoder()
	mapped := piece6(1, 0, true, text[:64])
	copy(mapped[8:], netip.MustParseAddr("::ffff:192.0.2.1").AsSlice())
	r, err = decode(d, 101, mapped)
	require.NoError(t, err)
	d.Close(&r)
	assert.Equal(t, []string{"fragment_incomplete ::ffff:192.0.2.1 > 2001:db8::2"}, r.weirds)
}

func TestFragmentsInTunnels(t *testing.T) {
	d := NewDecoder()
	r, err := decode(d, 101, ip4(4, c4, d4, piece(1, 0, true, payload[:64])), gre4(0, 0x0800, piece(1, 64, false, payload[64:])))
	require.NoError(t, err)
	require.Len(t, r.packets, 1, "fragments may take different tunnels: a router may spread them")
	assertInner(t, r.packets[0])
	assert.Equal(t, "Tunnel::GRE", r.packets[0].Tunnels[0].Type)

	outer := gre4(0, 0x0800, inner)
	data := outer[20:]
	r, err = decode(d, 101, changed(ip4(47, c4, d4, data[:64]), 4, 0, 1, 0x20, 0), changed(ip4(47, c4, d4, data[64:]), 4, 0, 1, 0, 8))
	require.NoError(t, err)
	require.Len(t, r.packets, 1)
	assertInner(t, r.packets[0])
}

// Padding after a fragment is not part of it.
func TestFragmentsWithPadding(t *testing.T) {
	for version, piece := range pieces {
		r, err := decode(NewDecoder(), 101, cat(piece(1, 0, true, text[:64]), "padding"), cat(piece(1, 64, false, text[64:70]), "padding"))
		require.NoError(t, err)
		assert.Empty(t, r.weirds, version)
		require.Len(t, r.packets, 1, version)
		assert.Equal(t, text[:70], r.packets[0].Payload)
	}
}

func TestLongestReassembledPacket(t *testing.T) {
	for length, packets := range map[int]int{65_535: 1, 65_536: 0} {
		var frames [][]byte
		for at := 0; at < length; at += 1024 {
			frames = append(frames, piece6(1, at, at+1024 < length, text[at:min(at+1024, length)]))
		}
		r, err := decode(NewDecoder(), 101, frames...)
		require.NoError(t, err)
		assert.Equal(t, []string{"excessively_large_fragment"}, r.names())
		require.Len(t, r.packets, packets, "%d bytes", length)
		if packets > 0 {
			assert.Equal(t, text[:length], r.packets[0].Payload)
		}
	}
}

// The oldest datagram is evicted to make room.
func TestOldestDatagramIsEvicted(t *testing.T) {
	d := NewDecoder()
	var c counter
	decode := func(f []byte) {
		require.NoError(t, d.Decode(Frame{Data: f, Time: now, Now: now, Link: 101, Wire: len(f)}, &c))
	}
	f := piece(1, 64, false, nil) // takes 512 bytes, without a page
	const room = 32 << 20 / 512
	for i := range room {
		from(f, i)
		decode(f)
	}
	assert.Len(t, d.fragments.datagrams, room)
	for i, packets := range []int{0, 0, 1} { // the new pages need the memory of the first two
		f := piece(1, 0, true, text[:64])
		from(f, []int{room, 0, room - 1}[i])
		decode(f)
		assert.Equal(t, packets, c.packets, i)
	}
	assert.LessOrEqual(t, d.fragments.size, 32<<20)
	assert.Greater(t, d.fragments.size, 32<<20-4096)
}

// The memory of a datagram, its pages and their slots is counted.
func TestFragmentMemoryIsCounted(t *testing.T) {
	for _, c := range []struct {
		frames [][]byte
		size   int
	}{
		{[][]byte{piece(1, 8, true, nil)}, 512},
		{[][]byte{piece(1, 8, true, text[:8])}, 512 + 576 + 8},
		{[][]byte{piece(1, 504, true, text[:16])}, 512 + 2*(576+8)},
		{[][]byte{piece(1, 8, true, text[:8]), piece(1, 0, true, text[:8]), piece(2, 8, true, text[:8])}, 2 * (512 + 576 + 8)},
	} {
		d := NewDecoder()
		_, err := decode(d, 101, c.frames...)
		require.NoError(t, err)
		assert.Equal(t, c.size, d.fragments.size)
	}
}

// floods lists attacks with fragments of datagrams that are never completed. next turns frame into
// the i-th one.
var floods = map[string]struct {
	frame []byte
	next  func(frame []byte, i int)
}{
	"IPv4, small":  {piece(1, 8, true, text[:8]), from},
	"IPv4, far":    {piece(1, 65_000, true, text[:8]), from},
	"IPv4, large":  {piece(1, 1480, true, text[:1480]), from},
	"IPv6, small":  {piece6(1, 8, true, text[:8]), from},
	"in a tunnel":  {ip4(4, c4, d4, piece(1, 8, true, text[:8])), func(f []byte, i int) { from(f[20:], i) }},
	"nothing":      {piece(1, 8, true, nil), from},
	"nothing, far": {piece(1, 65_000, true, nil), from},
	"many pages": {piece(1, 0, true, text[:8]), func(f []byte, i int) {
		from(f, i/60)
		copy(f, changed(f, 7, byte(i%60*2)))
	}},
}

// from sets the source of a packet.
func from(f []byte, i int) {
	if f[0]>>4 == 6 {
		binary.BigEndian.PutUint32(f[12:], uint32(i))
	} else {
		copy(f, changed(f, 12, byte(i>>24), byte(i>>16), byte(i>>8), byte(i)))
	}
}

// Measured memory never exceeds counted memory, which never exceeds the bound.
func TestFragmentMemoryIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	for name, flood := range floods {
		t.Run(name, func(t *testing.T) {
			d := NewDecoder()
			heap := func() uint64 {
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				return m.HeapAlloc
			}
			before := heap()
			f := slices.Clone(flood.frame)
			var c counter
			for i := range 70_000 {
				flood.next(f, i)
				if err := d.Decode(Frame{Data: f, Time: now, Now: now, Link: 101, Wire: len(f)}, &c); err != nil || d.fragments.size > maxFragments {
					t.Fatalf("%d bytes, %v", d.fragments.size, err)
				}
			}
			kept := heap() - before
			assert.Less(t, kept, uint64(d.fragments.size)+1<<20)
			assert.Greater(t, kept, uint64(d.fragments.size/3), "the count is not much too high either")
			assert.Equal(t, len(d.fragments.datagrams), d.fragments.order.Len())
			runtime.KeepAlive(d)
		})
	}
}

// Adding a fragment takes the same time at the end of the longest datagram as at its beginning.
func TestFragmentCostDoesNotDependOnOffset(t *testing.T) {
	cost := func(offset int) uint64 {
		d := NewDecoder()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for i := range 1000 {
			f := piece(i, offset, true, make([]byte, 8))
			var c counter
			require.NoError(t, d.Decode(Frame{Data: f, Time: now, Now: now, Link: 101, Wire: len(f)}, &c))
		}
		runtime.ReadMemStats(&after)
		require.Len(t, d.fragments.datagrams, 1000)
		return after.TotalAlloc - before.TotalAlloc
	}
	near, far := cost(8), cost(65_504)
	assert.InDelta(t, near, far, float64(near/10))
}

// The limit of 65,535 bytes includes the header in IPv4, but not in IPv6.
func TestLengthLimits(t *testing.T) {
	for version, c := range map[string]struct{ offset, most int }{"IPv4": {65_504, 11}, "IPv6": {65_528, 7}} {
		for more, want := range []int{1, 0} {
			d := NewDecoder()
			f := pieces[version](1, c.offset, false, make([]byte, c.most+more))
			require.NoError(t, d.Decode(Frame{Data: f, Time: now, Now: now, Link: 101, Wire: len(f)}, &recorder{}))
			assert.Len(t, d.fragments.datagrams, want, "%s, %d bytes more", version, more)
		}
	}
	// after long headers, the limit is lower
	r, err := decode(NewDecoder(), 101, ip6(60, a6, b6, cat(44, 255, make([]byte, 2046), 6, 0, 0xf8, 0x00, 0, 0, 0, 1, make([]byte, 8))))
	require.NoError(t, err)
	assert.Equal(t, []string{"excessively_large_fragment"}, r.names())
}
