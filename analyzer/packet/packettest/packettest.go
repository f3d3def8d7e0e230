// Package packettest builds frames from the inside out, for fuzzing: with every header and option
// that package packet decodes, at any length, in every encapsulation.
package packettest

import (
	"bytes"
	"encoding/binary"
	"iter"

	"github.com/gopacket/gopacket"
)

// A Part is the inner part of a frame.
type Part struct {
	Type int // IP protocol, EtherType or link type, as the header around it states
	Data []byte
}

// A Layer is one or more headers that Wrap puts before a Part. n, at most 255, is the length of
// their variable part, in its own units. Headers without one state a wrong length for some n; see
// stated.
type Layer struct {
	Name string
	Wrap func(p Part, n int) Part
}

// Lengths lists the values of n that reveal most mistakes.
var Lengths = []int{0, 1, 2, 16, 127, 128, 251, 252, 254, 255}

// Seeds yields frames with their link types: each header and each encapsulation at each of Lengths,
// and each header, empty and at its longest, in each encapsulation. There are no more combinations,
// as a fuzzer runs all seeds before it begins.
func Seeds() iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		var frames []Part
		tcp := TCP(Part{}, 0)
		for _, h := range Headers {
			for _, n := range Lengths {
				frames = append(frames, Raw(IPv6(h.Wrap(tcp, n), 0), 0))
			}
			for _, n := range []int{0, 255} {
				frames = append(frames, encapsulations(IPv6(h.Wrap(tcp, n), 0), 0)...)
			}
		}
		for _, n := range Lengths {
			frames = append(frames, Raw(IPv4(tcp, n), 0), Raw(IPv6(tcp, n), 0))
			frames = append(frames, encapsulations(IPv6(tcp, 0), n)...)
			frames = append(frames, encapsulations(IPv4(tcp, 0), n)...)
		}
		for _, f := range frames {
			if !yield(f.Type, f.Data) {
				return
			}
		}
	}
}

// encapsulations returns an IP packet in each encapsulation, with headers of length n.
func encapsulations(ip Part, n int) (frames []Part) {
	for _, l := range Links {
		frames = append(frames, l.Wrap(ip, n))
	}
	for _, l := range Tags {
		frames = append(frames, Ethernet(l.Wrap(ip, n), 0))
	}
	for _, l := range Tunnels {
		frames = append(frames, Raw(IPv4(l.Wrap(ip, n), 0), 0))
	}
	return frames
}

// IP protocols and EtherTypes.
const (
	hopByHop    = 0
	tcp         = 6
	udp         = 17
	routing     = 43
	fragment    = 44
	gre         = 47
	ah          = 51
	destination = 60
	mobility    = 135

	ip4      = 0x0800
	ip6      = 0x86dd
	bridging = 0x6558
	dot1Q    = 0x8100
)

// Headers lists what may follow an IPv6 header. Wrap gets a Part whose Type is an IP protocol, and
// returns another such Part.
var Headers = []Layer{
	{"hop-by-hop option", option(hopByHop, 5)},
	{"jumbo payload", option(hopByHop, 0xc2)},
	{"destination option", option(destination, 5)},
	{"home address", option(destination, 201)},
	{"unknown option", option(destination, 0xff)},
	{"long header", func(p Part, n int) Part { // full of options of two bytes each
		return Part{destination, cat(p.Type, n, bytes.Repeat([]byte{1, 0}, 4*n+3), p.Data)}
	}},
	{"short header", func(p Part, n int) Part { // with an option that is longer than it
		return Part{destination, cat(p.Type, 0, 5, n, 0, 0, 0, 0, p.Data)}
	}},
	{"routing header", func(p Part, n int) Part {
		return Part{routing, cat(p.Type, n, n&6, 1, make([]byte, 8*n+4), p.Data)}
	}},
	{"fragment", func(p Part, n int) Part { // atomic if n is 0
		return Part{fragment, cat(p.Type, 0, n, n, 0, 0, 0, n&1, p.Data)}
	}},
	{"authentication", func(p Part, n int) Part {
		return Part{ah, cat(p.Type, n, make([]byte, 4*n+6), p.Data)}
	}},
	{"mobility", func(p Part, n int) Part {
		return Part{mobility, cat(p.Type, n, make([]byte, 8*n+6), p.Data)}
	}},
	{"TCP option", TCP},
	{"UDP", func(p Part, n int) Part { return datagram(9, n, p.Data) }},
}

// option returns a header with one option of the given type and n bytes.
func option(header, typ int) func(p Part, n int) Part {
	return func(p Part, n int) Part {
		b := cat(p.Type, (2+2+n+7)/8-1, typ, n, make([]byte, n))
		return Part{header, cat(b, make([]byte, -len(b)&7), p.Data)}
	}
}

// TCP returns a SYN with an option that states the length n, whatever p is.
func TCP(_ Part, n int) Part {
	options := cat(3, n, make([]byte, min(max(n-2, 0), 38)))
	options = append(options, make([]byte, -len(options)&3)...)
	return Part{tcp, cat(0x9c, 0x40, 0x1b, 0x58, make([]byte, 8), (20+len(options))/4<<4, 2, 0xff, 0xff, 0, 0, 0, 0, options)}
}

// IPv4 puts p into an IPv4 packet with options of n bytes, up to 40.
func IPv4(p Part, n int) Part {
	options := min(n, 40) &^ 3
	b := cat(0x45+options/4, 0, word(stated(n, 20+options+len(p.Data))), 0, 7, 0, 0, 64, p.Type, 0, 0,
		192, 0, 2, 1, 192, 0, 2, 2, bytes.Repeat([]byte{1}, options))
	binary.BigEndian.PutUint16(b[10:], gopacket.FoldChecksum(gopacket.ComputeChecksum(b, 0)))
	return Part{ip4, append(b, p.Data...)}
}

// IPv6 puts p into an IPv6 packet, whose header has no variable part.
func IPv6(p Part, n int) Part {
	return Part{ip6, cat(0x60, 0, 0, 0, word(stated(n, len(p.Data))), p.Type, 64,
		0x20, 1, 0xd, 0xb8, make([]byte, 11), 1, 0x20, 1, 0xd, 0xb8, make([]byte, 11), 2, p.Data)}
}

// Tags lists what may come between an Ethernet header and an IP header. Wrap gets a Part whose Type
// is an EtherType, and returns another such Part.
var Tags = []Layer{
	{"VLAN", func(p Part, n int) Part { return Part{dot1Q, cat(0, n, word(p.Type), p.Data)} }},
	{"QinQ", func(p Part, _ int) Part { return Part{0x88a8, cat(0, 5, word(dot1Q), 0, 6, word(p.Type), p.Data)} }},
	{"VLAN with SNAP", func(p Part, n int) Part {
		p = snap(p)
		return Part{dot1Q, cat(0, 5, word(stated(n, len(p.Data))), p.Data)}
	}},
	{"PBB", func(p Part, n int) Part { return Part{0x88e7, cat(1, 2, 3, 4, Ethernet(p, n).Data)} }},
	{"VN-Tag", func(p Part, n int) Part { return Part{0x8926, cat(1, 2, 3, n, word(p.Type), p.Data)} }},
	{"MPLS", mpls},
	{"pseudowire", func(p Part, n int) Part { return mpls(Part{0, cat(0, 0, 0, 9, Ethernet(p, 0).Data)}, n) }},
	{"PPPoE", func(p Part, n int) Part {
		return Part{0x8864, cat(0x11, 0, 0, 1, word(stated(n, 2+len(p.Data))), ppp(p), p.Data)}
	}},
	{"bridging", func(p Part, n int) Part { return Part{bridging, Ethernet(p, n).Data} }},
	{"FabricPath", func(p Part, n int) Part { return Part{0x8903, cat(1, n, Ethernet(p, 0).Data)} }},
}

// mpls puts n+1 labels before p.
func mpls(p Part, n int) Part {
	return Part{0x8847, cat(bytes.Repeat([]byte{1, 2, 0, 4}, n), 1, 2, 1, 4, p.Data)}
}

// Tunnels lists tunnels. Wrap gets a Part whose Type is an EtherType, and returns one whose Type is
// an IP protocol.
var Tunnels = []Layer{
	{"IP in IP", func(p Part, _ int) Part {
		if p.Type == ip6 {
			return Part{41, p.Data}
		}
		return Part{4, p.Data}
	}},
	{"GRE", func(p Part, n int) Part { // with the fields for which n has bits
		fields := n>>7&1 + n>>5&1 + n>>4&1 // checksum, key, sequence number
		return Part{gre, cat(n&0xb0, 0, word(p.Type), make([]byte, 4*fields), p.Data)}
	}},
	{"GRE with any flags", func(p Part, n int) Part { return Part{gre, cat(n, n, word(p.Type), p.Data)} }},
	{"GRE with Ethernet", func(p Part, n int) Part { return Part{gre, cat(0, 0, word(bridging), Ethernet(p, n).Data)} }},
	{"GRE in UDP", func(p Part, n int) Part { return datagram(4754, n, cat(0, 0, word(p.Type), p.Data)) }},
	{"ERSPAN I", func(p Part, n int) Part { return Part{gre, cat(0, 0, 0x88, 0xbe, Ethernet(p, n).Data)} }},
	{"ERSPAN II", func(p Part, n int) Part {
		return Part{gre, cat(0x10, 0, 0x88, 0xbe, make([]byte, 4+8), Ethernet(p, n).Data)}
	}},
	{"ERSPAN III", func(p Part, n int) Part { // with a platform-specific header if n is odd
		return Part{gre, cat(0x10, 0, 0x22, 0xeb, make([]byte, 4+11), n&1, make([]byte, n&1*8), Ethernet(p, 0).Data)}
	}},
	{"EoIP", func(p Part, n int) Part {
		p = Ethernet(p, 0)
		return Part{gre, cat(0x20, 1, 0x64, 0, word(stated(n, len(p.Data))), 1, 0, p.Data)}
	}},
	{"PPTP", func(p Part, n int) Part {
		return Part{gre, cat(0x30, 0x81, 0x88, 0x0b, word(stated(n, 4+len(p.Data))), make([]byte, 10), 0xff, 3, ppp(p), p.Data)}
	}},
	{"Aruba", func(p Part, n int) Part { return Part{gre, cat(0, 0, 0x90, 0, amsdu(p, n).Data)} }},
	{"VXLAN", func(p Part, n int) Part { return datagram(4789, n, cat(8, make([]byte, 7), Ethernet(p, 0).Data)) }},
	{"Geneve", func(p Part, n int) Part { // with 4*n bytes of options, n up to 63
		n = min(n, 63)
		return datagram(6081, 0, cat(n, 0, word(p.Type), 0, 0, 9, 0, make([]byte, 4*n), p.Data))
	}},
	{"GTP", func(p Part, n int) Part {
		return datagram(2152, 0, cat(0x30, 255, word(stated(n, len(p.Data))), 0, 0, 0, 1, p.Data))
	}},
	{"GTP extension", func(p Part, n int) Part { // of 4*n bytes
		extension := make([]byte, max(4*n, 1))
		extension[0] = byte(n)
		return datagram(2152, 0, cat(0x34, 255, word(4+len(extension)+len(p.Data)), 0, 0, 0, 1, 0, 1, 0, 0x85, extension, p.Data))
	}},
	{"Teredo", func(p Part, n int) Part { return datagram(3544, n, p.Data) }},
	{"Teredo with authentication and origin", func(p Part, n int) Part {
		return datagram(3544, 0, cat(0, 1, n, n, make([]byte, 2*n+9), make([]byte, 8), p.Data))
	}},
	// with an identity of 1<<(n>>4) bytes, and a signature of 4*(n&15)
	{"AYIYA", func(p Part, n int) Part {
		proto := 4
		if p.Type == ip6 {
			proto = 41
		}
		return datagram(5072, 0, cat(n, n<<4, 0x11, proto, 0, 0, 0, 0, make([]byte, 1<<(n>>4)+4*(n&15)), p.Data))
	}},
}

// datagram returns a UDP packet to a port.
func datagram(port, n int, data []byte) Part {
	return Part{udp, cat(0xc3, 0x50, word(port), word(stated(n, 8+len(data))), 0, 0, data)}
}

// Links lists the link layers. Wrap gets a Part whose Type is an EtherType, and returns one whose
// Type is a link type.
var Links = []Layer{
	{"Ethernet", Ethernet},
	{"802.3", func(p Part, n int) Part {
		p = snap(p)
		return Part{1, Ethernet(Part{stated(n, len(p.Data)), p.Data}, 0).Data}
	}},
	{"raw", Raw},
	{"BSD loopback", func(p Part, n int) Part {
		if p.Type == ip6 {
			n = 30
		}
		return Part{0, cat(max(n, 2), 0, 0, 0, p.Data)}
	}},
	{"PPP", func(p Part, _ int) Part { return Part{9, cat(ppp(p), p.Data)} }},
	{"PPP as in HDLC", func(p Part, _ int) Part { return Part{50, cat(0xff, 3, ppp(p), p.Data)} }},
	{"Cisco HDLC", func(p Part, n int) Part { return Part{104, cat(0x0f, n, word(p.Type), p.Data)} }},
	{"FDDI", func(p Part, _ int) Part { return Part{10, cat(make([]byte, 13), snap(p).Data)} }},
	{"PPPoE without Ethernet", func(p Part, n int) Part {
		return Part{51, cat(0x11, 0, 0, 1, word(stated(n, 2+len(p.Data))), ppp(p), p.Data)}
	}},
	{"MPLS without Ethernet", func(p Part, n int) Part { return Part{219, mpls(p, n).Data} }},
	{"Linux cooked", func(p Part, n int) Part { return Part{113, cat(make([]byte, 13), n, word(p.Type), p.Data)} }},
	{"Linux cooked, 802.2", func(p Part, _ int) Part { return Part{113, cat(make([]byte, 15), 4, snap(p).Data)} }},
	{"Linux cooked, new", func(p Part, n int) Part { return Part{276, cat(word(p.Type), make([]byte, 17), n, p.Data)} }},
	{"NFLOG", func(p Part, n int) Part { // after another value, of n bytes with its header
		family := 2
		if p.Type == ip6 {
			family = 10
		}
		return Part{239, cat(family, 0, 0, 0, n, 0, 1, 0, make([]byte, max((n+3)&^3-4, 0)), 4+len(p.Data), (4+len(p.Data))>>8, 9, 0, p.Data)}
	}},
	{"802.11", func(p Part, _ int) Part { return Part{105, cat(8, 0, make([]byte, 22), snap(p).Data)} }},
	{"802.11 with any flags", func(p Part, n int) Part { return Part{105, cat(0x88, n&^0x40, make([]byte, 24), snap(p).Data)} }},
	{"A-MSDU", amsdu},
	{"radiotap", func(p Part, n int) Part { // of n bytes, at least four
		return Part{127, cat(0, 0, n, 0, make([]byte, max(n-4, 0)), amsdu(p, 0).Data)}
	}},
	{"radiotap, very long", func(p Part, n int) Part {
		return Part{127, cat(0, 0, n, n, make([]byte, max(n<<8|n-4, 0)), amsdu(p, 0).Data)}
	}},
}

// Ethernet puts p into an Ethernet frame, with n bytes of padding.
func Ethernet(p Part, n int) Part {
	return Part{1, cat(bytes.Repeat([]byte{2}, 12), word(p.Type), p.Data, make([]byte, n))}
}

// Raw makes p a frame without a link layer, with n bytes of padding.
func Raw(p Part, n int) Part { return Part{101, cat(p.Data, make([]byte, n))} }

// amsdu returns an 802.11 frame with two packets, both p.
func amsdu(p Part, n int) Part {
	p = snap(p)
	sub := cat(make([]byte, 12), word(stated(n, len(p.Data))), p.Data, make([]byte, -(14+len(p.Data))&3))
	return Part{105, cat(0x88, 1, make([]byte, 22), 0x80, 0, sub, sub)}
}

// snap returns p with 802.2 headers. Its Type is the length, which an Ethernet header states.
func snap(p Part) Part {
	return Part{len(p.Data) + 8, cat(0xaa, 0xaa, 3, 0, 0, 0, word(p.Type), p.Data)}
}

// ppp returns the PPP number of p.
func ppp(p Part) []byte {
	switch p.Type {
	case ip4:
		return word(0x21)
	case ip6:
		return word(0x57)
	}
	return word(0x281) // MPLS
}

// stated returns the length that a header states: the correct one, unless n asks for one that is
// too short or too long.
func stated(n, correct int) int {
	switch {
	case n == 1:
		return 0
	case n > 250:
		return 0xff00 | n
	}
	return correct
}

func word(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }

// cat concatenates byte slices, and single bytes that are passed as ints.
func cat(parts ...any) (b []byte) {
	for _, p := range parts {
		switch p := p.(type) {
		case []byte:
			b = append(b, p...)
		case int:
			b = append(b, byte(p))
		}
	}
	return b
}
