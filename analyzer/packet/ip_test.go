package packet

import (
	"bytes"
	"encoding/binary"
	"net"
	"slices"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn"
)

// changed returns a copy of an IPv4 packet with the bytes at an offset replaced, and its checksum
// corrected.
func changed(b []byte, at int, with ...byte) []byte {
	b = slices.Clone(b)
	copy(b[at:], with)
	binary.BigEndian.PutUint16(b[10:], 0)
	binary.BigEndian.PutUint16(b[10:], gopacket.FoldChecksum(gopacket.ComputeChecksum(b[:min(int(b[0]&15)*4, len(b))], 0)))
	return b
}

func TestMalformedIP(t *testing.T) {
	for _, c := range []struct {
		packet []byte
		weird  string
	}{
		{changed(inner, 0, 0x55), "unknown_ip_version"},
		{inner[:19], "truncated_IP"},
		{inner6[:39], "truncated_IP"},
		{changed(inner, 2, 0, 117), "truncated_IP_len 192.0.2.1 > 192.0.2.2"},
		{changed(inner, 2, 0, 0), "ip_hdr_len_zero 192.0.2.1 > 192.0.2.2"},
		{changed(inner, 2, 0, 19), "invalid_IP_header_size 192.0.2.1 > 192.0.2.2"},
		{changed(inner, 0, 0x44), "IPv4_min_header_size 192.0.2.1 > 192.0.2.2"},
		{append(slices.Clone(inner[:115]), 0)[:115], "truncated_IP_len 192.0.2.1 > 192.0.2.2"},
		{inner6[:135], "truncated_IP_len 2001:db8::1 > 2001:db8::2"},
	} {
		r, err := decode(NewDecoder(), layers.LinkTypeRaw, c.packet)
		assert.Equal(t, ErrMalformed, err, c.weird)
		assert.Equal(t, []string{c.weird}, r.weirds)
		assert.Empty(t, r.packets)
	}
	var r recorder
	f := Frame{Data: changed(inner, 0, 0x4f)[:40], Link: layers.LinkTypeRaw, Wire: len(inner)}
	assert.Equal(t, ErrMalformed, NewDecoder().Decode(f, &r))
	assert.Equal(t, []string{"internally_truncated_header"}, r.names())
}

func TestIPChecksum(t *testing.T) {
	bad := slices.Clone(inner)
	bad[10]++
	r, err := decode(NewDecoder(), layers.LinkTypeRaw, bad)
	assert.Equal(t, ErrMalformed, err)
	assert.Equal(t, []string{"bad_IP_checksum 192.0.2.1 > 192.0.2.2"}, r.weirds)
	assert.Empty(t, r.packets)

	d := NewDecoder()
	d.IgnoreChecksums = true
	r, err = decode(d, layers.LinkTypeRaw, bad)
	assert.NoError(t, err)
	assert.Empty(t, r.weirds)
	assert.Len(t, r.packets, 1)
}

// A packet that the network card will segment may have neither a length nor a checksum.
func TestIPWithoutLength(t *testing.T) {
	d := NewDecoder()
	d.IgnoreChecksums = true
	r, err := decode(d, layers.LinkTypeRaw, changed(inner, 2, 0, 0))
	assert.NoError(t, err)
	assert.Equal(t, []string{"ip_hdr_len_zero"}, r.names())
	require.Len(t, r.packets, 1)
	assert.Zero(t, r.packets[0].IPLength)
	r.packets[0].IPLength = len(inner)
	assertInner(t, r.packets[0])
}

func TestTruncatedPacket(t *testing.T) {
	for _, whole := range [][]byte{inner, inner6} {
		var r recorder
		err := NewDecoder().Decode(Frame{Data: whole[:len(whole)-10], Link: layers.LinkTypeRaw, Wire: len(whole)}, &r)
		require.NoError(t, err)
		require.Len(t, r.packets, 1)
		p := r.packets[0]
		assert.Equal(t, payload[:len(payload)-10], p.Payload)
		assert.Equal(t, len(payload), p.Length)
		assert.Equal(t, len(whole), p.IPLength)
	}
	// The same in tunnels, whose lengths do not say how much was captured, and with padding.
	for name, c := range tunnelled {
		var r recorder
		err := NewDecoder().Decode(Frame{Data: c.packet[:len(c.packet)-10], Time: now, Link: 101, Wire: len(c.packet) + 5}, &r)
		require.NoError(t, err, name)
		p := r.packets[len(r.packets)-1]
		assert.Equal(t, payload[:len(payload)-10], p.Payload, name)
		assert.Equal(t, len(payload), p.Length, name)
	}
}

func TestOptionsOfIPv4AreSkipped(t *testing.T) {
	frame := cat(inner[:20], 7, 99, 99, 99, payload) // an option longer than its header
	frame[0], frame[3] = 0x46, byte(len(frame))
	r, err := decode(NewDecoder(), layers.LinkTypeRaw, changed(frame, 1, 0))
	require.NoError(t, err)
	require.Len(t, r.packets, 1)
	assert.Equal(t, payload, r.packets[0].Payload)
}

// extended is an IPv6 packet with extension headers and UDP, which is not opened.
func extended(first layers.IPProtocol, headers ...any) []byte {
	return ip6(first, a6, b6, cat(cat(headers...), payload))
}

var home, final = net.ParseIP("2001:db8::a"), net.ParseIP("2001:db8::b")

// Extensions that no host accepts yield no packet.
func TestRejectedExtensions(t *testing.T) {
	padding := []byte{1, 4, 0, 0, 0, 0}
	for name, c := range map[string]struct {
		packet []byte
		weird  string
	}{
		"option unknown to the destination":      {extended(60, 6, 0, 0x41, 4, 0, 0, 0, 0), "unknown_ipv6_option"},
		"option unknown to each hop":             {extended(0, 6, 0, 0x81, 4, 0, 0, 0, 0), "unknown_ipv6_option"},
		"home address among hop-by-hop options":  {extended(0, 6, 2, 1, 2, 0, 0, 201, 16, []byte(home)), "unknown_ipv6_option"},
		"hop-by-hop options not first":           {extended(60, 0, 0, padding, 6, 0, padding), "ipv6_hop_by_hop_not_first"},
		"unknown routing type":                   {extended(43, 6, 2, 9, 1, 0, 0, 0, 0, []byte(final)), "unknown_routing_type"},
		"option assigned by IANA":                {extended(0, 6, 0, 0x63, 4, 0, 0, 0, 0), ""},
		"option that may be skipped":             {extended(0, 6, 0, 0x1e, 4, 0, 0, 0, 0), ""},
		"hop-by-hop options first":               {extended(0, 60, 0, padding, 6, 0, padding), ""},
		"unknown routing type, no segments left": {extended(43, 6, 2, 9, 0, 0, 0, 0, 0, []byte(final)), "unknown_routing_type"},
	} {
		r, err := decode(NewDecoder(), layers.LinkTypeRaw, c.packet)
		assert.NoError(t, err)
		var weirds []string
		if c.weird != "" {
			weirds = []string{c.weird}
		}
		assert.Equal(t, weirds, r.names(), name)
		refused := c.weird != "" && name != "unknown routing type, no segments left"
		assert.Equal(t, refused, len(r.packets) == 0, name)
	}
}

func TestExtensionsOfIPv6(t *testing.T) {
	option := func(typ int, value []byte) []byte { return cat(typ, len(value), value) }
	homeAddress := cat(6, 2, 0, 0, 0, 0, option(201, home)) // after padding
	for name, c := range map[string]struct {
		packet   []byte
		src, dst net.IP
		weirds   []string
	}{
		"several": {extended(0, 60, 0, 1, 4, 0, 0, 0, 0, 43, 0, 1, 4, 0, 0, 0, 0, 51, 0, 2, 0, 0, 0, 0, 0,
			44, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 9), a6, b6, nil},
		"home address": {extended(60, homeAddress), home, b6, nil},
		"empty option": {extended(60, 6, 0, 1, 2, 0, 0, 5, 0), a6, b6, nil},
		"two home addresses, and a bad option": {extended(60, 6, 4, option(201, home), option(201, final), 5, 9), home, b6,
			[]string{"multiple_home_addr_opts 2001:db8::a > 2001:db8::2"}},
		"two home addresses": {extended(60, 60, homeAddress[1:], 6, 2, 0, 0, 0, 0, option(201, final)), home, b6,
			[]string{"multiple_home_addr_opts 2001:db8::a > 2001:db8::2"}},
		"bad home address": {extended(60, 6, 0, option(201, make([]byte, 4))), a6, b6,
			[]string{"bad_home_addr_len 2001:db8::1 > 2001:db8::2"}},
		"bad option":   {extended(60, 6, 0, 1, 5, 0, 0, 0, 0), a6, b6, []string{"bad_ipv6_dest_opt_len 2001:db8::1 > 2001:db8::2"}},
		"option's end": {extended(60, 6, 0, 0, 0, 0, 0, 0, 1), a6, b6, []string{"bad_ipv6_dest_opt_len 2001:db8::1 > 2001:db8::2"}},
		"other option": {extended(60, 6, 0, option(5, make([]byte, 4))), a6, b6, nil},
		"routing 0": {extended(43, 6, 2, 0, 1, 0, 0, 0, 0, []byte(final)), a6, final,
			[]string{"routing0_hdr 2001:db8::1 > 2001:db8::b"}},
		"routing 0, by two": {extended(43, 6, 4, 0, 2, 0, 0, 0, 0, []byte(home), []byte(final)), a6, final,
			[]string{"routing0_hdr 2001:db8::1 > 2001:db8::b"}},
		"routing 0, arrived": {extended(43, 6, 2, 0, 0, 0, 0, 0, 0, []byte(final)), a6, b6,
			[]string{"routing0_hdr 2001:db8::1 > 2001:db8::2"}},
		"routing 0, empty": {extended(43, 6, 0, 0, 1, 0, 0, 0, 0), a6, b6,
			[]string{"routing0_hdr 2001:db8::1 > 2001:db8::2"}},
		"routing 0, half an address": {extended(43, 6, 1, 0, 1, 0, 0, 0, 0, make([]byte, 8)), a6, b6,
			[]string{"routing0_hdr 2001:db8::1 > 2001:db8::2"}},
		"routing 0, odd": {extended(43, 6, 3, 0, 1, 0, 0, 0, 0, []byte(final), make([]byte, 8)), a6, b6,
			[]string{"odd_routing0_len 2001:db8::1 > 2001:db8::2", "routing0_hdr 2001:db8::1 > 2001:db8::2"}},
		"routing 2":          {extended(43, 6, 2, 2, 1, 0, 0, 0, 0, []byte(final)), a6, final, nil},
		"routing 2, arrived": {extended(43, 6, 2, 2, 0, 0, 0, 0, 0, []byte(final)), a6, b6, nil},
		"routing 2, bad": {extended(43, 6, 4, 2, 1, 0, 0, 0, 0, []byte(final), make([]byte, 16)), a6, b6,
			[]string{"bad_routing2_len 2001:db8::1 > 2001:db8::2"}},
		"routing of another type": {extended(43, 6, 2, 4, 1, 0, 0, 0, 0, []byte(final)), a6, b6,
			[]string{"unknown_routing_type 2001:db8::1 > 2001:db8::2"}},
		"two routings": {extended(43, 43, 2, 2, 1, 0, 0, 0, 0, []byte(final), 6, 2, 2, 1, 0, 0, 0, 0, []byte(home)), a6, final,
			[]string{"multiple_routing_headers 2001:db8::1 > 2001:db8::b"}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := decode(NewDecoder(), layers.LinkTypeRaw, c.packet)
			require.NoError(t, err)
			assert.Equal(t, c.weirds, r.weirds)
			require.Len(t, r.packets, 1)
			p := r.packets[0]
			assert.Equal(t, conn.TCP, p.Proto)
			assert.Equal(t, payload, p.Payload)
			assert.Equal(t, len(payload), p.Length)
			assert.Equal(t, c.src.String(), p.Src.String())
			assert.Equal(t, c.dst.String(), p.Dst.String())
		})
	}
}

// An option may have any length that fits in a byte, and a header up to 2048 bytes.
func TestOptionsOfEveryLength(t *testing.T) {
	fragments := func(header layers.IPProtocol, data []byte) [][]byte {
		half := len(data) / 16 * 8
		fragment := func(offset, more int) []byte { return cat(int(header), 0, offset>>8, offset&0xf8|more, 0, 0, 0, 9) }
		return [][]byte{
			ip6(44, a6, b6, cat(fragment(0, 1), data[:half])),
			ip6(44, a6, b6, cat(fragment(half, 0), data[half:])),
		}
	}
	for _, header := range []layers.IPProtocol{0, 60} {
		for n := range 256 {
			options := cat(6, 0, 5, n, make([]byte, n))
			options = append(options, make([]byte, -len(options)&7)...)
			options[1] = byte(len(options)/8 - 1)
			whole := extended(header, options)
			frames := map[string][][]byte{
				"plain":             {whole},
				"in IPv4":           {ip4(41, a4, b4, whole)},
				"in VXLAN":          {udp4(9, 4789, cat(8, 0, 0, 0, 0, 0, 0, 0, eth(0x86dd, whole)))},
				"in a long header":  {extended(header, 6, 255, 5, n, make([]byte, n), make([]byte, 2044-n))},
				"in a short header": {extended(header, 6, 0, 1, 0, 5, n, 0, 0)},
			}
			if header == 60 { // hop-by-hop is not accepted after the fragment header
				frames["in fragments"] = fragments(header, whole[40:])
			}
			for name, frames := range frames {
				r, err := decode(NewDecoder(), layers.LinkTypeRaw, frames...)
				require.NoError(t, err)
				i := slices.IndexFunc(r.packets, func(p Packet) bool { return p.Proto == conn.TCP })
				require.GreaterOrEqual(t, i, 0, "header %d %s with %d bytes", header, name, n)
				require.Equal(t, payload, r.packets[i].Payload)
			}
		}
	}
}

// Hosts accept an option or routing header that its number lets them skip, or that IANA has
// assigned.
func TestAcceptedIPv6OptionsAndRouting(t *testing.T) {
	var options, headers []int
	for n := range 256 {
		if r, _ := decode(NewDecoder(), 101, extended(0, 6, 0, n, 4, 0, 0, 0, 0)); len(r.packets) == 1 && n >= 0x40 {
			options = append(options, n)
		} else {
			assert.Equal(t, n < 0x40, len(r.packets) == 1, n)
		}
		if r, _ := decode(NewDecoder(), 101, extended(43, 6, 2, n, 1, 0, 0, 0, 0, []byte(final))); len(r.packets) == 1 {
			headers = append(headers, n)
		}
	}
	assert.Equal(t, []int{0x4d, 0x63, 0x6d, 0x8a, 0x8b, 0x8c, 0xee}, options, "and 0xc2 in a jumbogram")
	assert.Equal(t, []int{0, 2, 3, 4}, headers)
}

// A packet may consist of headers only.
func TestPacketsWithoutPayload(t *testing.T) {
	for name, packet := range map[string][]byte{
		"IPv4": ip4(6, a4, b4, nil), "IPv6": ip6(6, a6, b6, nil), "extension": ip6(60, a6, b6, cat(6, 0, 1, 4, 0, 0, 0, 0)),
		"UDP": ip4(17, a4, b4, nil),
	} {
		r, err := decode(NewDecoder(), 101, packet)
		require.NoError(t, err, name)
		assert.Empty(t, r.weirds, name)
		require.Len(t, r.packets, 1, name)
		assert.Empty(t, r.packets[0].Payload, name)
		assert.Zero(t, r.packets[0].Length, name)
		r, err = decode(NewDecoder(), 101, udp4(2152, 2152, cat(0x30, 255, 0, len(packet), 0, 0, 0, 1, packet)))
		require.NoError(t, err, name)
		assert.Empty(t, r.weirds, name)
		assert.Len(t, r.packets, 2, name)
	}
}

func TestMalformedExtensions(t *testing.T) {
	long := ip6(60, a6, b6, cat(6, 1, make([]byte, 6)))
	r, err := decode(NewDecoder(), layers.LinkTypeRaw, cat(long, make([]byte, 20)))
	assert.Equal(t, ErrMalformed, err)
	assert.Equal(t, []string{"invalid_IP_header_size 2001:db8::1 > 2001:db8::2"}, r.weirds)
	assert.Empty(t, r.packets)

	r, err = decode(NewDecoder(), layers.LinkTypeRaw, long) // truncated: the transport is unknown
	assert.NoError(t, err)
	require.Len(t, r.packets, 1)
	assert.Equal(t, destination, r.packets[0].Proto)
	assert.Equal(t, 8, r.packets[0].Length)

	r, err = decode(NewDecoder(), layers.LinkTypeRaw, ip6(60, a6, b6, []byte{6}))
	assert.NoError(t, err)
	require.Len(t, r.packets, 1)
	assert.Equal(t, destination, r.packets[0].Proto)

	r, err = decode(NewDecoder(), layers.LinkTypeRaw, ip6(59, a6, b6, nil))
	assert.NoError(t, err)
	assert.Equal(t, []string{"ipv6_no_next 2001:db8::1 > 2001:db8::2"}, r.weirds)
	assert.Empty(t, r.packets)
}

func TestMobility(t *testing.T) {
	message := func(next int) []byte {
		m := cat(next, 1, 5, 0, 0, 0, make([]byte, 10))
		pseudo := cat([]byte(a6), []byte(b6), 0, 0, 0, len(m), 0, 0, 0, 135, m)
		binary.BigEndian.PutUint16(m[4:], gopacket.FoldChecksum(gopacket.ComputeChecksum(pseudo, 0)))
		return m
	}
	good, piggyback, bad := message(59), message(6), message(59)
	bad[8]++
	for _, c := range []struct {
		message []byte
		err     error
		weirds  []string
	}{
		{good, nil, nil},
		{piggyback, nil, []string{"mobility_piggyback 2001:db8::1 > 2001:db8::2"}},
		{bad, ErrMalformed, []string{"bad_MH_checksum 2001:db8::1 > 2001:db8::2"}},
	} {
		r, err := decode(NewDecoder(), layers.LinkTypeRaw, ip6(135, a6, b6, c.message))
		assert.Equal(t, c.err, err)
		assert.Equal(t, c.weirds, r.weirds)
		if c.err != nil {
			assert.Empty(t, r.packets)
			continue
		}
		require.Len(t, r.packets, 1)
		assert.Equal(t, mobility, r.packets[0].Proto)
		assert.Equal(t, c.message, r.packets[0].Payload)
		assert.Equal(t, len(c.message), r.packets[0].Length)
	}
	d := NewDecoder()
	d.IgnoreChecksums = true
	r, err := decode(d, layers.LinkTypeRaw, ip6(135, a6, b6, bad))
	assert.NoError(t, err)
	assert.Empty(t, r.weirds)
	assert.Len(t, r.packets, 1)
}

// A frame may contain thousands of bad headers and options.
func TestRepeatedWeirdDoesNotAllocate(t *testing.T) {
	for name, header := range map[string][]byte{
		"routing":          cat(43, 0, 4, 0, 0, 0, 0, 0),
		"deprecated":       cat(43, 0, 0, 0, 0, 0, 0, 0),
		"bad home address": cat(60, 0, 201, 0, 201, 0, 201, 0),
	} {
		data := ip6(layers.IPProtocol(header[0]), a6, b6, cat(bytes.Repeat(header, 4000), 59, 0, 4, 0, 0, 0, 0, 0))
		d, f := NewDecoder(), Frame{Data: data, Link: layers.LinkTypeRaw, Wire: len(data)}
		var r recorder
		assert.LessOrEqual(t, testing.AllocsPerRun(10, func() { _ = d.Decode(f, &r) }), 1.0, name)
		assert.NotEmpty(t, r.weirds, name)
	}
}

// Options after the first bad home address are ignored.
func TestManyBadHomeAddresses(t *testing.T) {
	r, err := decode(NewDecoder(), layers.LinkTypeRaw, extended(60, 6, 2, 201, 0, 201, 16, home, 1, 0))
	assert.NoError(t, err)
	assert.Equal(t, []string{"bad_home_addr_len 2001:db8::1 > 2001:db8::2"}, r.weirds)
	assert.Equal(t, net.IP(a6).String(), r.packets[0].Src.String())
}

// An encrypted or unknown transport still yields a packet between two hosts. IPv6 extension headers
// are not transports, and nothing follows 59.
func TestOtherTransports(t *testing.T) {
	for n := range 256 {
		proto := conn.Proto(n)
		switch proto {
		case 4, conn.UDP, 41, protoGRE:
			continue // these are opened
		}
		t.Run(proto.String(), func(t *testing.T) {
			r, err := decode(NewDecoder(), 101, ip4(layers.IPProtocol(n), a4, b4, payload))
			require.NoError(t, err)
			require.Len(t, r.packets, 1)
			assert.Equal(t, proto, r.packets[0].Proto)
			assert.Equal(t, payload, r.packets[0].Payload)
			switch proto {
			case hopByHop, routing, fragmented, ah, nothing, destination, mobility:
				return
			}
			atomic := cat(n, 0, 0, 0, 0, 0, 0, 1)
			for name, frames := range map[string][][]byte{
				"alone":           {ip6(layers.IPProtocol(n), a6, b6, payload)},
				"after an option": {ip6(60, a6, b6, cat(n, 0, 1, 4, 0, 0, 0, 0, payload))},
				"after AH":        {ip6(51, a6, b6, cat(n, 1, make([]byte, 10), payload))},
				"atomic fragment": {ip6(44, a6, b6, cat(atomic, payload))},
				"two fragments": {
					ip6(44, a6, b6, cat(n, 0, 0, 1, 0, 0, 0, 1, payload[:48])),
					ip6(44, a6, b6, cat(n, 0, 0, 48, 0, 0, 0, 1, payload[48:])),
				},
			} {
				r, err := decode(NewDecoder(), 101, frames...)
				require.NoError(t, err, name)
				require.Len(t, r.packets, 1, name)
				assert.Equal(t, proto, r.packets[0].Proto, name)
				assert.Equal(t, payload, r.packets[0].Payload, name)
				assert.Equal(t, len(payload), r.packets[0].Length, name)
			}
		})
	}
}

// jumbogram is a TCP packet with a jumbo payload option, and length in its IPv6 header.
func jumbogram(length, option int, data []byte) []byte {
	b := ip6(0, a6, b6, cat(6, 0, 0xc2, 4, option>>24, option>>16, option>>8, option))
	binary.BigEndian.PutUint16(b[4:], uint16(length))
	return append(b, data...)
}

func TestJumbograms(t *testing.T) {
	for _, n := range []int{0xffff + 1 - 8, 150_000, 524_280 - 48} {
		data := bytes.Repeat([]byte("x"), n)
		padded := append(jumbogram(0, n+16, nil), make([]byte, 8)...)
		padded[41] = 1 // eight bytes more
		copy(padded[43:], padded[42:48])
		padded[42] = 0 // Pad1
		for name, c := range map[string]struct {
			packet []byte
			ignore bool
			weirds []string
		}{
			"with the option":         {packet: jumbogram(0, n+8, data)},
			"followed by other bytes": {packet: cat(jumbogram(0, n+8, data), make([]byte, 9))},
			"after padding":           {packet: cat(padded, data)},
			"without": {packet: cat(ip6(6, a6, b6, nil), data), ignore: true,
				weirds: []string{"ip_hdr_len_zero 2001:db8::1 > 2001:db8::2"}},
		} {
			d := NewDecoder()
			d.IgnoreChecksums = c.ignore
			r, err := decode(d, layers.LinkTypeEthernet, eth(0x86dd, c.packet))
			require.NoError(t, err, name)
			assert.Equal(t, c.weirds, r.weirds, name)
			require.Len(t, r.packets, 1, name)
			assert.Equal(t, conn.TCP, r.packets[0].Proto, name)
			assert.Equal(t, n, r.packets[0].Length, name)
			assert.Len(t, r.packets[0].Payload, n, name)
			assert.GreaterOrEqual(t, r.packets[0].IPLength, 40+n, name)
		}
	}
	for _, captured := range [][]byte{payload, {}} { // truncated by the capture
		var r recorder
		f := Frame{Data: jumbogram(0, 70_008, captured), Link: layers.LinkTypeRaw, Wire: 48 + 70_000}
		require.NoError(t, NewDecoder().Decode(f, &r))
		require.Len(t, r.packets, 1)
		assert.Equal(t, 70_000, r.packets[0].Length)
		assert.Equal(t, captured, r.packets[0].Payload)
	}
}

// The UDP length of a jumbogram is 0: RFC 2675, section 4.
func TestJumbogramOfUDP(t *testing.T) {
	for name, port := range map[string]int{"port of no tunnel": 0x09, "port of VXLAN": 0xb5} {
		t.Run(name, func(t *testing.T) {
			udp := cat(0x12, port, 0x12, port, 0, 0, 0, 0, make([]byte, 70_000))
			b := changed(jumbogram(0, len(udp)+8, udp), 40, byte(conn.UDP))
			d := NewDecoder()
			d.IgnoreChecksums = true
			r, err := decode(d, layers.LinkTypeRaw, b)
			require.NoError(t, err)
			require.Len(t, r.packets, 1)
			assert.Equal(t, conn.UDP, r.packets[0].Proto)
			assert.Equal(t, 70_008, r.packets[0].Length)
			assert.Equal(t, 70_008, len(r.packets[0].Payload))
		})
	}
}

func TestRejectedJumbograms(t *testing.T) {
	data := make([]byte, 70_000)
	for name, c := range map[string]struct {
		packet []byte
		weird  string
	}{
		"with two lengths":          {jumbogram(108, 70_008, data), "bad_ipv6_jumbo_len"},
		"too short for a jumbogram": {jumbogram(0, 0xffff, data), "bad_ipv6_jumbo_len"},
		"longer than the frame":     {jumbogram(0, 70_009, data), "truncated_IP_len"},
		"much longer":               {jumbogram(0, -1, data), "truncated_IP_len"},
	} {
		for _, ignore := range []bool{false, true} {
			d := NewDecoder()
			d.IgnoreChecksums = ignore
			r, err := decode(d, layers.LinkTypeRaw, c.packet)
			assert.Equal(t, ErrMalformed, err, name)
			assert.Equal(t, []string{c.weird}, r.names(), name)
			assert.Empty(t, r.packets, name)
		}
	}
}

// A packet without a length is empty, unless checksums are ignored: then a network card may be
// about to segment it.
func TestIPv6WithoutLength(t *testing.T) {
	for name, c := range map[string]struct {
		after  int
		ignore bool
		length int
	}{
		"padding":                             {6, true, 0},
		"more than padding":                   {20, true, 20},
		"more than padding, checksums matter": {20, false, 0},
		"nothing":                             {0, true, 0},
		"padding, checksums matter":           {6, false, 0},
	} {
		d := NewDecoder()
		d.IgnoreChecksums = c.ignore
		r, err := decode(d, layers.LinkTypeEthernet, eth(0x86dd, cat(ip6(6, a6, b6, nil), make([]byte, c.after))))
		require.NoError(t, err, name)
		require.Len(t, r.packets, 1, name)
		assert.Equal(t, c.length, r.packets[0].Length, name)
	}
}
