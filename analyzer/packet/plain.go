package packet

import (
	"encoding/binary"
	"net/netip"

	"github.com/gopacket/gopacket/layers"

	"example.com/conn"
	"example.com/conn/analyzer/checksum"
)

// Plain returns the addresses of the packet in a plain frame, without decoding it. A frame is plain
// if any Decoder finds exactly one packet in it and nothing weird, whatever it has seen before:
// there is no tunnel, fragment, extension header or unusual link. So any Decoder may decode it,
// such as that of the worker that owns the connections between the two addresses. All other frames
// need the Decoder that sees the whole capture.
func (d *Decoder) Plain(f Frame) (src, dst netip.Addr, ok bool) {
	data := f.Data
	typ := 0
	switch {
	case f.Link == layers.LinkTypeEthernet && len(data) > 18:
		typ, data = be16(data[12:]), data[14:]
		for range 2 {
			if typ == 0x8100 || typ == 0x88a8 {
				typ, data = be16(data[2:]), data[4:]
			}
			if len(data) < 20 {
				return src, dst, false
			}
		}
	case f.Link == layers.LinkTypeLinuxSLL && len(data) > 16:
		typ, data = be16(data[14:]), data[16:]
	case f.Link == layers.LinkTypeLinuxSLL2 && len(data) > 20:
		typ, data = be16(data), data[20:]
	case f.Link == layers.LinkTypeRaw && len(data) > 0:
		typ = int(layers.EthernetTypeIPv4)
		if data[0]>>4 == 6 {
			typ = int(layers.EthernetTypeIPv6)
		}
	case f.Link == layers.LinkTypeNull && len(data) > 4:
		switch binary.LittleEndian.Uint32(data) {
		case 2:
			typ = int(layers.EthernetTypeIPv4)
		case 10, 24, 28, 30:
			typ = int(layers.EthernetTypeIPv6)
		}
		data = data[4:]
	}
	wire := len(data) + max(f.Wire-len(f.Data), 0)
	var proto conn.Proto
	switch {
	case typ == int(layers.EthernetTypeIPv4) && len(data) >= 20:
		total := be16(data[2:])
		if data[0] != 0x45 || total < 20 || total > wire || be16(data[6:])&0x3fff != 0 ||
			!d.IgnoreChecksums && !checksum.Valid(data[:20]) {
			return src, dst, false
		}
		proto = conn.Proto(data[9])
		src, dst = netip.AddrFrom4([4]byte(data[12:])), netip.AddrFrom4([4]byte(data[16:]))
		data = data[20:min(total, len(data))]
	case typ == int(layers.EthernetTypeIPv6) && len(data) >= 40:
		total := 40 + be16(data[4:])
		if data[0]>>4 != 6 || total > wire || d.IgnoreChecksums && total == 40 { // see ip6
			return src, dst, false
		}
		proto = conn.Proto(data[6])
		src, dst = netip.AddrFrom16([16]byte(data[8:])), netip.AddrFrom16([16]byte(data[24:]))
		data = data[40:min(total, len(data))]
	}
	switch proto {
	case conn.TCP, conn.ICMP, conn.ICMPv6:
		return src, dst, true
	case conn.UDP:
		return src, dst, !mayBeTunnel(data)
	}
	return src, dst, false
}
