package packet

import (
	"net/netip"

	"example.com/conn/analyzer/checksum"
)

// ipInIP opens IP in IP, IPv6 in IPv4 and so on. d.packet is the outer packet, which, as in Zeek,
// belongs to no connection.
func (d *Decoder) ipInIP(data []byte) (kind, []byte) {
	version := byte(4)
	if d.packet.Proto == 41 {
		version = 6
	}
	if data[0]>>4 != version {
		return d.badPacket("invalid_inner_IP_version", d.packet.Src, d.packet.Dst)
	}
	if length(data) < len(data)+d.missing { // Zeek ignores it; hosts do not
		d.weirdPacket("inner_IP_payload_length_mismatch", d.packet.Src, d.packet.Dst)
	}
	return d.enterIP("Tunnel::IP", ip, data)
}

// enterIP enters the tunnel between the addresses of d.packet, which carries data.
func (d *Decoder) enterIP(typ string, next kind, data []byte) (kind, []byte) {
	p := &d.packet
	t := d.outer(netip.AddrPortFrom(p.Src, 0), netip.AddrPortFrom(p.Dst, 0), p.Proto)
	d.refresh(t)
	if !d.enter(t, typ) {
		return done, nil
	}
	return next, data
}

// Bits in the first two bytes of GRE.
const (
	greChecksum = 0x8000
	greRouting  = 0x4000
	greKey      = 0x2000
	greSequence = 0x1000
	greAck      = 0x0080
	greUnknown  = 0x0078
	greVersion  = 0x0007
)

// gre opens GRE. Version 0 has an EtherType, which may be a vendor's for wrapped frames; version 1
// is PPTP's.
func (d *Decoder) gre(data []byte) (kind, []byte) {
	p := &d.packet
	flags, typ := be16(data), be16(data[2:])
	header := 4
	for _, bit := range []int{greChecksum, greKey, greSequence, greAck} {
		if flags&bit != 0 {
			header += 4
		}
	}
	version := flags & greVersion
	switch {
	case version > 1:
		return d.badPacket("unknown_gre_version", p.Src, p.Dst)
	case flags&greRouting != 0:
		return d.badPacket("gre_routing", p.Src, p.Dst)
	case flags&greUnknown != 0:
		return d.badPacket("unknown_gre_flags", p.Src, p.Dst)
	case len(data) < header:
		return d.badPacket("truncated_GRE", p.Src, p.Dst)
	case flags&greChecksum != 0 && !d.IgnoreChecksums && d.missing == 0 && !checksum.Valid(data):
		return d.badPacket("bad_GRE_checksum", p.Src, p.Dst)
	}
	next, inner := done, data[header:]
	switch {
	case version == 1 && typ == 0x880b:
		if len(inner) == 0 { // an acknowledgment
			return done, nil
		}
		next = ppp
	case version == 1 && typ == 0x6400: // MikroTik's EoIP, which has a length instead of the key
		next, inner = ethernet, d.limit(inner, be16(data[4:]))
	case version == 1:
		return d.badPacket("egre_protocol_type", p.Src, p.Dst)
	case typ == 0x88be && flags&greSequence == 0: // ERSPAN I
		next = ethernet
	case typ == 0x88be: // II
		next, inner = ethernet, inner[min(8, len(inner)):]
	case typ == 0x22eb: // III, which may have a platform-specific header
		n := 12
		if len(inner) >= 12 && inner[11]&1 != 0 {
			n += 8
		}
		next, inner = ethernet, inner[min(n, len(inner)):]
	case typ&0x8200 == 0x8200 && typ&0xf == 0, typ == 0x9000: // Aruba's 802.11 frames
		next = wlan
	default:
		if next = d.etherType(typ); next == done {
			return done, nil
		}
	}
	if len(inner) == 0 {
		return d.badPacket("truncated_GRE", p.Src, p.Dst)
	}
	return d.enterIP("Tunnel::GRE", next, inner)
}
