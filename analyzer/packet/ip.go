package packet

import (
	"encoding/binary"
	"math"
	"net/netip"
	"slices"

	"github.com/gopacket/gopacket/layers"

	"example.com/conn"
	"example.com/conn/analyzer/checksum"
)

// ip opens an IP packet. The checks are in Zeek's order.
func (d *Decoder) ip(data []byte) (kind, []byte) {
	switch data[0] >> 4 {
	case 4:
		return d.ip4(data)
	case 6:
		return d.ip6(data)
	}
	return d.bad("unknown_ip_version")
}

func (d *Decoder) ip4(data []byte) (kind, []byte) {
	p := &d.packet
	*p = Packet{
		Src:   netip.AddrFrom4([4]byte(data[12:])),
		Dst:   netip.AddrFrom4([4]byte(data[16:])),
		Proto: conn.Proto(data[9]),
	}
	header, total := int(data[0]&0xf)*4, be16(data[2:])
	if total == 0 {
		// A network card will segment the packet and only then fill in the checksum.
		if !d.IgnoreChecksums {
			return d.badPacket("ip_hdr_len_zero", p.Src, p.Dst)
		}
		d.weirdPacket("ip_hdr_len_zero", p.Src, p.Dst)
		total = len(data)
	}
	switch {
	case total > len(data)+d.missing:
		return d.badPacket("truncated_IP_len", p.Src, p.Dst)
	case header > total:
		return d.badPacket("invalid_IP_header_size", p.Src, p.Dst)
	case header > len(data):
		return d.badPacket("internally_truncated_header", p.Src, p.Dst)
	case header < 20:
		return d.badPacket("IPv4_min_header_size", p.Src, p.Dst)
	case !d.IgnoreChecksums && !checksum.Valid(data[:header]):
		return d.badPacket("bad_IP_checksum", p.Src, p.Dst)
	}
	data = d.limit(data, total)
	p.Payload, p.Length, p.IPLength = data[header:], total-header, be16(data[2:])
	if flags := be16(data[6:]); flags&0x3fff != 0 {
		whole := d.reassemble(&fragment{
			key:     fragmentKey{p.Src.As16(), p.Dst.As16(), uint32(be16(data[4:])), p.Proto, false},
			next:    p.Proto,
			header:  header,
			total:   total,
			offset:  flags & 0x1fff * 8,
			more:    flags&0x2000 != 0,
			df:      flags&0x4000 != 0,
			payload: p.Payload,
		})
		if !whole {
			return done, nil
		}
	}
	return d.transport()
}

// IPv6's extension headers, and the number that says that no header follows.
const (
	hopByHop    = conn.Proto(layers.IPProtocolIPv6HopByHop)
	routing     = conn.Proto(layers.IPProtocolIPv6Routing)
	fragmented  = conn.Proto(layers.IPProtocolIPv6Fragment)
	ah          = conn.Proto(layers.IPProtocolAH)
	nothing     = conn.Proto(layers.IPProtocolNoNextHeader)
	destination = conn.Proto(layers.IPProtocolIPv6Destination)
	mobility    = conn.Proto(135)
)

func (d *Decoder) ip6(data []byte) (kind, []byte) {
	if len(data) < 40 {
		return d.bad("truncated_IP")
	}
	p := &d.packet
	*p = Packet{
		Src: netip.AddrFrom16([16]byte(data[8:])),
		Dst: netip.AddrFrom16([16]byte(data[24:])),
	}
	next, at, seen := conn.Proto(data[6]), 40, extensions{}
	total := 40 + be16(data[4:])
	jumbo, isJumbo := 0, false
	if next == hopByHop {
		jumbo, isJumbo = jumboLength(data[40:])
	}
	switch {
	case isJumbo && (total > 40 || jumbo <= 0xffff): // no host accepts it: RFC 2675, section 3
		return d.badPacket("bad_ipv6_jumbo_len", p.Src, p.Dst)
	case isJumbo:
		total = 40 + jumbo
	case total == 40 && next != nothing && d.IgnoreChecksums && len(data) > 40+ethernetPadding:
		// A network card will segment the packet, as in ip4, or has merged segments.
		d.weirdPacket("ip_hdr_len_zero", p.Src, p.Dst)
		total = len(data)
	}
	if total > len(data)+d.missing {
		return d.badPacket("truncated_IP_len", p.Src, p.Dst)
	}
	p.IPLength = total
	reassembled := false
	for {
		header := next
		n := extensionLength(header, data[at:])
		if n == 0 || n > len(data)-at {
			break // a transport's header, or a truncated one
		}
		extension := data[at : at+n]
		next, at = conn.Proto(extension[0]), at+n
		ok := true
		switch header {
		case hopByHop:
			if ok = at == 40+n; !ok {
				d.weirdPacket("ipv6_hop_by_hop_not_first", p.Src, p.Dst)
			}
			ok = ok && d.options(header, extension[2:], &seen)
		case routing:
			ok = d.routing(extension, &seen)
		case destination:
			ok = d.options(header, extension[2:], &seen)
		}
		if !ok {
			return done, nil
		}
		if at > total {
			return d.badPacket("invalid_IP_header_size", p.Src, p.Dst)
		}
		switch header {
		case mobility:
			if !d.mobility(extension, next) {
				return done, nil
			}
			data = d.limit(data, total)
			p.Proto, p.Payload, p.Length = mobility, data[at-n:], total-(at-n)
			return d.emit()
		case fragmented:
			if reassembled {
				break
			}
			reassembled = true
			data = d.limit(data, total)
			bits := be16(extension[2:])
			p.Proto, p.Payload, p.Length = next, data[at:], total-at
			whole := d.reassemble(&fragment{
				key:     fragmentKey{p.Src.As16(), p.Dst.As16(), binary.BigEndian.Uint32(extension[4:]), 0, true},
				next:    next,
				header:  at - 8,
				total:   total,
				offset:  bits &^ 7,
				more:    bits&1 != 0,
				payload: p.Payload,
			})
			if !whole {
				return done, nil
			}
			data, at, total, next = p.Payload, 0, p.Length, p.Proto
		}
	}
	data = d.limit(data, total)
	p.Proto, p.Payload, p.Length = next, data[min(at, len(data)):], total-at
	if next == nothing {
		if via := d.via(); via.tunnel == nil || via.Type != teredo {
			d.weirdPacket("ipv6_no_next", p.Src, p.Dst)
		}
		return done, nil
	}
	return d.transport()
}

// extensionLength returns the length of the extension header at the start of data, or 0 if header
// is not an IPv6 extension.
func extensionLength(header conn.Proto, data []byte) int {
	if len(data) < 2 {
		return 0
	}
	switch header {
	case hopByHop, routing, destination, mobility:
		return (int(data[1]) + 1) * 8
	case fragmented:
		return 8
	case ah:
		return (int(data[1]) + 2) * 4
	}
	return 0
}

// extensions says which addresses of a packet its headers have replaced so far.
type extensions struct{ home, final bool }

// routing reads the final destination from a routing header. It reports whether a host accepts the
// header.
func (d *Decoder) routing(header []byte, seen *extensions) bool {
	p := &d.packet
	if seen.final {
		d.weirdPacket("multiple_routing_headers", p.Src, p.Dst)
		return true
	}
	words, left := header[1], header[3] > 0
	switch typ := header[2]; {
	case typ == 0 && left && words >= 2 && words%2 != 0:
		d.weirdPacket("odd_routing0_len", p.Src, p.Dst)
	case typ == 2 && left && words != 2:
		d.weirdPacket("bad_routing2_len", p.Src, p.Dst)
	case typ != 0 && typ != 2:
		d.weirdPacket("unknown_routing_type", p.Src, p.Dst)
	case left && words >= 2:
		seen.final = true
		p.Dst = netip.AddrFrom16([16]byte(header[len(header)-16:]))
	}
	if header[2] == 0 { // deprecated
		d.weirdPacket("routing0_hdr", p.Src, p.Dst)
	}
	// Type 0 is accepted, as in Zeek; 2 to 4 belong to Mobile IPv6, RPL and segment routing.
	return !left || header[2] == 0 || header[2] >= 2 && header[2] <= 4
}

// requiredOptions lists the options of IANA's "Destination Options and Hop-by-Hop Options" for
// which a host that does not know them must drop the packet, except the home address.
var requiredOptions = []byte{0x4d, 0x63, 0x6d, 0x8a, 0x8b, 0x8c, 0xc2, 0xee}

// options reads a mobile node's home address from the options in a destination or hop-by-hop
// header. It reports whether a host accepts the options; malformed ones are accepted, as in Zeek.
func (d *Decoder) options(header conn.Proto, options []byte, seen *extensions) bool {
	const homeAddress = 201
	p := &d.packet
	for len(options) > 0 {
		if options[0] == 0 { // padding
			options = options[1:]
			continue
		}
		if len(options) < 2 || len(options)-2 < int(options[1]) {
			d.weirdPacket("bad_ipv6_dest_opt_len", p.Src, p.Dst)
			return true
		}
		value := options[2 : 2+int(options[1])]
		switch typ := options[0]; {
		case typ == homeAddress && header == destination:
			switch {
			case len(value) != 16:
				d.weirdPacket("bad_home_addr_len", p.Src, p.Dst)
				return true
			case seen.home:
				d.weirdPacket("multiple_home_addr_opts", p.Src, p.Dst)
				return true
			}
			seen.home = true
			p.Src = netip.AddrFrom16([16]byte(value))
		case typ&0xc0 != 0 && !slices.Contains(requiredOptions, typ):
			d.weirdPacket("unknown_ipv6_option", p.Src, p.Dst)
			return false
		}
		options = options[2+len(value):]
	}
	return true
}

// ethernetPadding is the number of bytes after an empty IPv6 packet in the shortest frame.
const ethernetPadding = 60 - 14 - 40

// jumboLength returns the length in the jumbo payload option of a hop-by-hop header (RFC 2675). It
// reports whether there is one.
func jumboLength(header []byte) (length int, ok bool) {
	const jumboPayload = 0xc2
	n := extensionLength(hopByHop, header)
	if n == 0 || n > len(header) {
		return 0, false
	}
	for options := header[2:n]; len(options) > 0; {
		if options[0] == 0 { // padding
			options = options[1:]
			continue
		}
		if len(options) < 2 || len(options)-2 < int(options[1]) {
			return 0, false
		}
		if options[0] == jumboPayload && options[1] == 4 {
			// still longer than any frame
			return int(min(binary.BigEndian.Uint32(options[2:]), math.MaxInt32/2)), true
		}
		options = options[2+int(options[1]):]
	}
	return 0, false
}

// mobility checks a Mobile IPv6 message, and reports whether a host accepts it. Nothing follows it.
func (d *Decoder) mobility(header []byte, next conn.Proto) bool {
	p := &d.packet
	if !d.IgnoreChecksums && !checksum.ValidWithPseudoHeader(p.Src, p.Dst, mobility, header) {
		d.badPacket("bad_MH_checksum", p.Src, p.Dst)
		return false
	}
	if next != nothing {
		d.weirdPacket("mobility_piggyback", p.Src, p.Dst)
	}
	return true
}

// transport passes d.packet to the decoder of the protocol it carries, or to the sink.
func (d *Decoder) transport() (kind, []byte) {
	if d.packet.Proto == conn.TCP { // the most common one skips the map
		return d.emit()
	}
	if k, ok := ipProtocols[d.packet.Proto]; ok {
		return k, d.packet.Payload
	}
	return d.emit()
}
