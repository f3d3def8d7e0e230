package packet

import (
	"bytes"
	"encoding/binary"
	"net"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn"
)

var (
	now     = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	a4, b4  = net.IP{192, 0, 2, 1}, net.IP{192, 0, 2, 2}
	a6, b6  = net.ParseIP("2001:db8::1"), net.ParseIP("2001:db8::2")
	payload = bytes.Repeat([]byte("0123456789abcdef"), 6)
)

func serialize(t *testing.T, ls ...gopacket.SerializableLayer) []byte {
	b := gopacket.NewSerializeBuffer()
	require.NoError(t, gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true}, ls...))
	return bytes.Clone(b.Bytes())
}

func ip4() *layers.IPv4 {
	return &layers.IPv4{Version: 4, SrcIP: a4, DstIP: b4, Protocol: layers.IPProtocolUDP, TTL: 1, Id: 7}
}

func ip6(next layers.IPProtocol) *layers.IPv6 {
	return &layers.IPv6{Version: 6, SrcIP: a6, DstIP: b6, NextHeader: next, HopLimit: 1}
}

func TestLinkTypes(t *testing.T) {
	data := gopacket.Payload(payload)
	eth := func(typ layers.EthernetType) *layers.Ethernet {
		return &layers.Ethernet{SrcMAC: make([]byte, 6), DstMAC: make([]byte, 6), EthernetType: typ}
	}
	inner := serialize(t, ip4(), data)
	sll := append([]byte{0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 8, 0}, inner...)
	sll2 := append([]byte{8, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0}, inner...)
	for name, c := range map[string]struct {
		link  layers.LinkType
		frame []byte
	}{
		"Ethernet":         {layers.LinkTypeEthernet, serialize(t, eth(layers.EthernetTypeIPv4), ip4(), data)},
		"Ethernet, padded": {layers.LinkTypeEthernet, append(serialize(t, eth(layers.EthernetTypeIPv4), ip4(), data), make([]byte, 9)...)},
		"VLAN": {layers.LinkTypeEthernet, serialize(t, eth(layers.EthernetTypeDot1Q),
			&layers.Dot1Q{VLANIdentifier: 5, Type: layers.EthernetTypeIPv4}, ip4(), data)},
		"VLAN in VLAN": {layers.LinkTypeEthernet, serialize(t, eth(layers.EthernetTypeQinQ),
			&layers.Dot1Q{VLANIdentifier: 5, Type: layers.EthernetTypeDot1Q},
			&layers.Dot1Q{VLANIdentifier: 6, Type: layers.EthernetTypeIPv4}, ip4(), data)},
		"raw":               {layers.LinkTypeRaw, inner},
		"raw, old number":   {12, inner},
		"IPv4":              {layers.LinkTypeIPv4, inner},
		"BSD loopback":      {layers.LinkTypeNull, append([]byte{2, 0, 0, 0}, inner...)},
		"OpenBSD loopback":  {layers.LinkTypeLoop, append([]byte{0, 0, 0, 2}, inner...)},
		"Linux cooked":      {layers.LinkTypeLinuxSLL, sll},
		"Linux cooked, new": {layers.LinkTypeLinuxSLL2, sll2},
	} {
		t.Run(name, func(t *testing.T) {
			p, ok, err := NewDecoder().Decode(c.link, c.frame, now)
			require.NoError(t, err)
			require.True(t, ok)
			assert.Equal(t, "192.0.2.1", p.Src.String())
			assert.Equal(t, "192.0.2.2", p.Dst.String())
			assert.Equal(t, conn.UDP, p.Proto)
			assert.Equal(t, payload, p.Payload)
			assert.Equal(t, len(payload), p.Length)
		})
	}
}

func TestFramesWithoutPacket(t *testing.T) {
	d := NewDecoder()
	arp := append(bytes.Repeat([]byte{1}, 12), 8, 6, 0, 1)
	_, ok, err := d.Decode(layers.LinkTypeEthernet, arp, now)
	assert.False(t, ok)
	assert.NoError(t, err, "it is only not IP")
	for name, frame := range map[string][]byte{
		"nothing": {}, "short": {0x45, 0, 0}, "version": append([]byte{0x95}, make([]byte, 30)...),
		"length": append([]byte{0x45, 0, 0, 3}, make([]byte, 30)...), "IPv6": {0x60, 0, 0, 0},
	} {
		_, ok, err = d.Decode(layers.LinkTypeRaw, frame, now)
		assert.False(t, ok, name)
		assert.Error(t, err, name)
	}
}

func TestCutPacketKeepsLength(t *testing.T) {
	for _, frame := range [][]byte{serialize(t, ip4(), gopacket.Payload(payload)), serialize(t, ip6(17), gopacket.Payload(payload))} {
		p, ok, err := NewDecoder().Decode(layers.LinkTypeRaw, frame[:len(frame)-10], now)
		require.NoError(t, err)
		require.True(t, ok)
		assert.Equal(t, payload[:len(payload)-10], p.Payload)
		assert.Equal(t, len(payload), p.Length)
	}
}

func TestIPv6ExtensionsAreSkipped(t *testing.T) {
	frame := serialize(t, ip6(layers.IPProtocolIPv6HopByHop), gopacket.Payload(append([]byte{
		60, 0, 1, 4, 0, 0, 0, 0, // hop by hop: padding
		43, 0, 1, 4, 0, 0, 0, 0, // destination options
		44, 0, 0, 0, 0, 0, 0, 0, // routing
		17, 0, 0, 0, 0, 0, 0, 9, // a fragment that is the whole
	}, payload...)))
	p, ok, err := NewDecoder().Decode(layers.LinkTypeRaw, frame, now)
	require.NoError(t, err)
	require.True(t, ok)
	assert.Equal(t, conn.UDP, p.Proto)
	assert.Equal(t, payload, p.Payload)
	assert.Equal(t, len(payload), p.Length)
}

// fragments cuts payload into three IP packets.
func fragments(t *testing.T, version int, id uint32) (frames [][]byte) {
	for i, cut := range []struct{ from, to int }{{0, 32}, {32, 64}, {64, len(payload)}} {
		more := i < 2
		data := gopacket.Payload(payload[cut.from:cut.to])
		if version == 4 {
			ip := ip4()
			ip.Id, ip.FragOffset = uint16(id), uint16(cut.from/8)
			if more {
				ip.Flags = layers.IPv4MoreFragments
			}
			frames = append(frames, serialize(t, ip, data))
		} else {
			frag := &layers.IPv6Fragment{NextHeader: 17, FragmentOffset: uint16(cut.from / 8), MoreFragments: more, Identification: id}
			frames = append(frames, serialize(t, ip6(layers.IPProtocolIPv6Fragment), frag, data))
		}
	}
	return frames
}

func TestFragmentsAreReassembled(t *testing.T) {
	for _, version := range []int{4, 6} {
		for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {0, 0, 2, 2, 1}} {
			d := NewDecoder()
			frames := fragments(t, version, 9)
			whole := 0
			for i, n := range order {
				frame := bytes.Clone(frames[n])
				p, ok, err := d.Decode(layers.LinkTypeRaw, frame, now)
				require.NoError(t, err)
				clear(frame) // the next frame is read into the same memory
				if ok {
					whole++
					assert.Equal(t, len(order)-1, i)
					assert.Equal(t, conn.UDP, p.Proto)
					assert.Equal(t, payload, p.Payload, "IPv%d %v", version, order)
					assert.Equal(t, len(payload), p.Length)
				}
			}
			assert.Equal(t, 1, whole, "IPv%d %v", version, order)
		}
	}
}

func TestFragmentsAreForgotten(t *testing.T) {
	d := NewDecoder()
	frames := fragments(t, 4, 9)
	decode := func(frame []byte, at time.Time) bool {
		_, ok, err := d.Decode(layers.LinkTypeRaw, frame, at)
		require.NoError(t, err)
		return ok
	}
	decode(frames[0], now)
	decode(frames[1], now.Add(time.Second))
	decode(fragments(t, 4, 10)[0], now.Add(2*fragmentTimeout))
	assert.False(t, decode(frames[2], now.Add(2*fragmentTimeout)), "after a while")

	d.fragments = maxFragments
	decode(frames[0], now.Add(2*fragmentTimeout))
	assert.Equal(t, 0, d.fragments, "when there are too many")
}

// Hundreds of thousands of small fragments, each of a packet that is never completed.
func TestFragmentsAreBounded(t *testing.T) {
	const bound = 200 << 20 // of heap: three times maxFragments, as the garbage collector runs late
	d := NewDecoder()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	highest := int64(0)
	for i := range 500_000 {
		frame := slices.Clone(fragment)
		binary.BigEndian.PutUint32(frame[12:], uint32(i)) // the source
		_, ok, err := d.Decode(layers.LinkTypeRaw, frame, now)
		require.NoError(t, err)
		require.False(t, ok)
		if i%20_000 == 0 {
			runtime.ReadMemStats(&after)
			highest = max(highest, int64(after.HeapAlloc)-int64(before.HeapAlloc))
		}
	}
	assert.Less(t, highest, int64(bound))
	t.Logf("highest heap: %d MB", highest>>20)
}

// fragment has eight bytes of a UDP packet, and not the first.
var fragment = []byte{
	0x45, 0, 0, 28, 0, 0, 0x20, 1, 64, 17, 0, 0, 192, 0, 2, 1, 198, 51, 100, 1,
	1, 2, 3, 4, 5, 6, 7, 8,
}
