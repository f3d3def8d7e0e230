package packet

import (
	"encoding/binary"

	"github.com/gopacket/gopacket/layers"
)

func be16(data []byte) int { return int(binary.BigEndian.Uint16(data)) }

// etherType returns the kind of an EtherType.
func (d *Decoder) etherType(n int) kind {
	if n == int(layers.EthernetTypeIPv4) {
		return ip // the most common one skips the map
	}
	k, ok := etherTypes[layers.EthernetType(n)]
	if !ok {
		return d.unknown("EtherType", n)
	}
	return k
}

// typeOrLength returns the kind of what follows a field that is either an EtherType or a length.
func (d *Decoder) typeOrLength(n int, data []byte, undefined string) (kind, []byte) {
	switch {
	case n >= 1536:
		return d.etherType(n), data
	case n <= 1500:
		return llc, d.limit(data, n)
	}
	return d.bad(undefined)
}

func (d *Decoder) ethernet(data []byte) (kind, []byte) {
	n := be16(data[12:])
	if n == 0x8903 { // Cisco FabricPath: another Ethernet header follows
		return ethernet, data[16:]
	}
	return d.typeOrLength(n, data[14:], "undefined_ether_type")
}

func (d *Decoder) vlan(data []byte) (kind, []byte) {
	return d.typeOrLength(be16(data[2:]), data[4:], "undefined_vlan_protocol")
}

// pbb opens 802.1ah: the customer's frame follows the service tag.
func (d *Decoder) pbb(data []byte) (kind, []byte) { return ethernet, data[4:] }

func (d *Decoder) vntag(data []byte) (kind, []byte) { return d.etherType(be16(data[4:])), data[6:] }

// mpls skips the labels. They do not say what follows: IP, or a pseudowire, which is a frame that a
// control word may precede.
func (d *Decoder) mpls(data []byte) (kind, []byte) {
	for bottom := false; !bottom; data = data[4:] {
		if len(data) <= 4 {
			return d.bad("truncated_link_header")
		}
		bottom = data[2]&1 != 0
	}
	switch first := data[0] >> 4; {
	case first == 4 && data[0]&0xf >= 5, first == 6:
		return ip, data
	case first == 0 && len(data) > 4:
		return ethernet, data[4:]
	case first == 1: // a control channel
		return done, nil
	}
	return ethernet, data
}

func (d *Decoder) pppoe(data []byte) (kind, []byte) { return ppp, d.limit(data[6:], be16(data[4:])) }

func (d *Decoder) ppp(data []byte) (kind, []byte) {
	if data[0] == 0xff && data[1] == 0x03 { // HDLC-like framing
		if data = data[2:]; len(data) < 3 {
			return d.bad("truncated_ppp_hdlc_header")
		}
	}
	if data[0]&1 != 0 { // protocol number of one byte
		return d.pppType(int(data[0])), data[1:]
	}
	return d.pppType(be16(data)), data[2:]
}

func (d *Decoder) pppType(n int) kind {
	k, ok := pppTypes[layers.PPPType(n)]
	switch {
	case ok:
		return k
	case n >= 0x8000: // a control protocol
		return done
	}
	return d.unknown("PPP protocol", n)
}

// hdlc opens frames of serial lines: PPP, or Cisco HDLC, which has an EtherType.
func (d *Decoder) hdlc(data []byte) (kind, []byte) {
	if data[0] == 0x0f || data[0] == 0x8f {
		return d.etherType(be16(data[2:])), data[4:]
	}
	return d.pppType(be16(data[2:])), data[4:]
}

// llc opens 802.2, with SNAP for EtherTypes.
func (d *Decoder) llc(data []byte) (kind, []byte) {
	header := 3
	if data[2]&3 != 3 {
		header = 4 // with sequence numbers
	}
	switch data[0] {
	case 0x06: // IP: RFC 948
		return ip, data[header:]
	case 0x42, 0xff: // spanning tree, Novell
		return done, nil
	case 0xaa:
	default:
		return d.unknown("LLC SAP", int(data[0])), nil
	}
	if len(data) < header+5 {
		return d.bad("truncated_snap_header")
	}
	// vendor-specific
	if oui := data[header:]; oui[0] != 0 || oui[1] != 0 || oui[2] != 0 && oui[2] != 0xf8 {
		return done, nil
	}
	return d.etherType(be16(data[header+3:])), data[header+5:]
}

func (d *Decoder) fddi(data []byte) (kind, []byte) { return llc, data[13:] }

// sll opens Linux cooked frames. Their lowest protocol numbers are not EtherTypes.
func (d *Decoder) sll(data []byte) (kind, []byte) { return d.cooked(be16(data[14:]), data[16:]) }

func (d *Decoder) sll2(data []byte) (kind, []byte) { return d.cooked(be16(data), data[20:]) }

func (d *Decoder) cooked(n int, data []byte) (kind, []byte) {
	switch n {
	case 1: // Novell
		return done, nil
	case 4:
		return llc, data
	}
	return d.etherType(n), data
}

// loopback opens frames that begin with an address family, in the byte order of the capturing host.
func (d *Decoder) loopback(data []byte) (kind, []byte) {
	family := binary.LittleEndian.Uint32(data)
	if family > 0xffff {
		family = binary.BigEndian.Uint32(data)
	}
	return d.family(int(family)), data[4:]
}

// nflog opens packets logged by Linux netfilter. Values are in the byte order of the capturing
// host, which is assumed to be little-endian.
func (d *Decoder) nflog(data []byte) (kind, []byte) {
	k := d.family(int(data[0]))
	if data[1] != 0 {
		return d.bad("unknown_nflog_version")
	}
	data = data[4:]
	for len(data) > 4 {
		n, typ := int(binary.LittleEndian.Uint16(data)), binary.LittleEndian.Uint16(data[2:])
		switch {
		case n < 4:
			return d.bad("nflog_bad_tlv_len")
		case typ == 9: // the packet
			return k, data[4:]
		}
		data = data[min((n+3)&^3, len(data)):]
	}
	return d.bad("nflog_no_pcap_payload")
}

// family returns the kind of an address family. Systems number IPv6 differently.
func (d *Decoder) family(n int) kind {
	switch n {
	case 2, 10, 23, 24, 28, 30:
		return ip
	}
	return d.unknown("address family", n)
}
