package packet

import (
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/packet/packettest"
)

// FuzzDecode decodes arbitrary bytes as any link type, first as one frame, then as several. The
// memory allocated, and the number and bytes of the packets found, must be in proportion to them.
func FuzzDecode(f *testing.F) {
	for _, c := range links {
		f.Add(uint16(c.link), c.frame, true)
	}
	for _, c := range tunnelled {
		f.Add(uint16(101), c.packet, false)
	}
	for link, frame := range packettest.Seeds() {
		f.Add(uint16(link), frame, true)
	}
	for _, piece := range pieces {
		f.Add(uint16(101), piece(1, 0, true, payload[:64]), true)
		f.Add(uint16(101), piece(1, 64, false, payload[64:]), true)
	}
	f.Fuzz(func(t *testing.T, link uint16, data []byte, ignore bool) {
		checkPlain(t, Frame{Data: data, Time: now, Link: layers.LinkType(link), Wire: len(data)}, ignore)
		d := NewDecoder()
		d.IgnoreChecksums = ignore
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var c counter
		_ = d.Decode(Frame{Data: data, Time: now, Link: layers.LinkType(link), Wire: len(data)}, &c)
		// the first byte is the length of a frame; each is later than the one before
		for cut := data; len(cut) > 0; {
			n := min(int(cut[0])+1, len(cut))
			_ = d.Decode(Frame{Data: cut[:n], Time: now.Add(time.Duration(len(data)-len(cut)) * time.Second), Link: layers.LinkType(link), Wire: n + n%3}, &c)
			cut = cut[n:]
		}
		d.Close(&c)
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<10+400*len(data)))
		require.LessOrEqual(t, c.packets, (maxDepth+1)*2*(len(data)/20+1))
		require.LessOrEqual(t, c.bytes, (maxDepth+1)*2*len(data))
		require.LessOrEqual(t, c.ended, c.begun)
	})
}

// A counter is a Sink that counts, without allocating.
type counter struct{ packets, bytes, begun, ended int }

func (c *counter) Packet(p *Packet) {
	c.packets++
	c.bytes += len(p.Payload)
	if len(p.Payload) > p.Length || p.IPLength > 0 && p.Length > p.IPLength || len(p.Tunnels) > maxDepth {
		panic("impossible packet")
	}
}

func (c *counter) Weird(time.Time, string, string) {}

func (c *counter) Log(row logs.Row) {
	if row.(*logs.Tunnel).Action == "Tunnel::DISCOVER" {
		c.begun++
	} else {
		c.ended++
	}
}

// Decoding must not allocate, neither for plain frames, by far the most common ones, nor for frames
// in a known tunnel.
func TestDecodeAllocatesNothing(t *testing.T) {
	d := NewDecoder()
	var c counter
	frames := map[string]Frame{}
	for name, p := range map[string][]byte{"TCP": inner, "UDP": udp4(1, 53, payload), "IPv6": inner6} {
		frames[name] = Frame{Data: p, Time: now, Link: 101, Wire: len(p)}
	}
	for name, l := range tunnelled {
		frames[name] = Frame{Data: l.packet, Time: now, Link: 101, Wire: len(l.packet)}
	}
	for name, f := range frames {
		assert.Zero(t, testing.AllocsPerRun(100, func() { _ = d.Decode(f, &c) }), name)
		assert.Zero(t, testing.AllocsPerRun(100, func() { d.Plain(f) }), name)
	}
}

// BenchmarkDecode decodes one frame of each kind, and compares that with Plain.
func BenchmarkDecode(b *testing.B) {
	frames := map[string][]byte{"plain": inner, "plain udp": udp4(1, 53, payload), "plain ip6": inner6}
	for _, name := range []string{"GRE", "VXLAN", "GTP", "all"} {
		frames[name] = tunnelled[name].packet
	}
	for _, name := range slices.Sorted(maps.Keys(frames)) {
		f := Frame{Data: eth(0x0800, frames[name]), Time: now, Link: layers.LinkTypeEthernet}
		if name == "plain ip6" {
			f.Data = eth(0x86dd, frames[name])
		}
		f.Wire = len(f.Data)
		d, c := NewDecoder(), &counter{}
		key := "frame=" + strings.ReplaceAll(name, " ", "-")
		b.Run(key+"/decode", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = d.Decode(f, c)
			}
		})
		b.Run(key+"/plain", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d.Plain(f)
			}
		})
	}
}
