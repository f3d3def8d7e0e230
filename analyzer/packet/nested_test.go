package packet

import (
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn/analyzer/packet/packettest"
)

// nested builds a frame from the inside out, with IP packets in one another, as a fuzzer's bytes
// direct. Lengths are correct unless a byte asks for wrong ones: mutating the bytes of a frame
// hardly ever produces a valid long header.
func nested(script []byte) packettest.Part {
	next := func() int { // 0 after the script's end
		if len(script) == 0 {
			return 0
		}
		n := script[0]
		script = script[1:]
		return int(n)
	}
	one := func(from []packettest.Layer, p packettest.Part) packettest.Part {
		l := from[next()%len(from)]
		if len(p.Data) > 60_000 {
			return p
		}
		return l.Wrap(p, next())
	}
	p := packettest.TCP(packettest.Part{}, 0)
	for {
		how := next()
		for range how & 3 {
			p = one(packettest.Headers, p)
		}
		if how&4 == 0 {
			p = packettest.IPv6(p, 0)
		} else {
			p = packettest.IPv4(p, next())
		}
		for range how >> 3 & 3 {
			p = one(packettest.Tags, p)
		}
		if how>>5&3 == 0 || len(p.Data) > 60_000 {
			return one(packettest.Links, p)
		}
		p = one(packettest.Tunnels, p)
	}
}

// FuzzNested decodes nested headers, whole and truncated, twice with the same Decoder.
func FuzzNested(f *testing.F) {
	// each layer in the simplest frame, with each length
	for _, n := range packettest.Lengths {
		for i := range packettest.Headers {
			f.Add([]byte{1, byte(i), byte(n)}, uint16(0xffff), true)
		}
		for i := range packettest.Tags {
			f.Add([]byte{1 << 3, byte(i), byte(n)}, uint16(0xffff), true)
		}
		for i := range packettest.Tunnels {
			f.Add([]byte{1 << 5, byte(i), byte(n)}, uint16(0xffff), true)
		}
		for i := range packettest.Links {
			f.Add([]byte{0, byte(i), byte(n)}, uint16(0xffff), true)
		}
	}
	// a tunnel in itself, with two packets in each place
	f.Add([]byte(" ddddddddddddddd"), uint16(0xffff), true)
	f.Fuzz(func(t *testing.T, script []byte, captured uint16, ignore bool) {
		p := nested(script)
		whole := len(p.Data)
		data := slices.Clip(p.Data[:min(int(captured), whole)])
		frame := Frame{Data: data, Time: now, Link: layers.LinkType(p.Type), Wire: whole}
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

// What packettest builds is decoded, unless it states a wrong length.
func TestPackettest(t *testing.T) {
	tcp := packettest.TCP(packettest.Part{}, 0)
	decodes := func(frame packettest.Part) bool {
		d := NewDecoder()
		d.IgnoreChecksums = true
		r, err := decode(d, layers.LinkType(frame.Type), frame.Data)
		return err == nil && len(r.packets) > 0 && slices.Equal(tcp.Data, r.packets[len(r.packets)-1].Payload)
	}
	// for layers that are valid with any length from some n on: that n
	least := map[string]int{
		"hop-by-hop option": 0, "destination option": 0, "long header": 0, "authentication": 0, "MPLS": 0, "pseudowire": 0, "Geneve": 0,
		"GTP extension": 1, "Teredo with authentication and origin": 0, "AYIYA": 0, "NFLOG": 4, "radiotap": 4, "radiotap, very long": 1,
	}
	check := func(version string, list []packettest.Layer, frame func(l packettest.Layer, n int) packettest.Part) {
		for _, l := range list {
			from, ok := least[l.Name]
			if !ok && strings.HasPrefix(version, "header") || version == "IPv4" && strings.HasPrefix(l.Name, "Teredo") {
				continue
			}
			t.Run(version+" in "+l.Name, func(t *testing.T) {
				for _, n := range packettest.Lengths {
					if n == 0 && !ok || n >= from && ok {
						assert.True(t, decodes(frame(l, n)), "length %d", n)
					}
				}
			})
		}
	}
	for version, ip := range map[string]packettest.Part{"IPv4": packettest.IPv4(tcp, 0), "IPv6": packettest.IPv6(tcp, 0)} {
		check(version, packettest.Links, func(l packettest.Layer, n int) packettest.Part { return l.Wrap(ip, n) })
		check(version, packettest.Tags, func(l packettest.Layer, n int) packettest.Part {
			return packettest.Ethernet(l.Wrap(ip, n), 0)
		})
		check(version, packettest.Tunnels, func(l packettest.Layer, n int) packettest.Part {
			return packettest.Raw(packettest.IPv4(l.Wrap(ip, n), 0), 0)
		})
	}
	check("header", packettest.Headers, func(l packettest.Layer, n int) packettest.Part {
		return packettest.Raw(packettest.IPv6(l.Wrap(tcp, n), 0), 0)
	})
}
