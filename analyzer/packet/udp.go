package packet

import (
	"bytes"
	"net/netip"

	"example.com/conn"
	"example.com/conn/analyzer/checksum"
)

// A udpTunnel is a protocol that puts packets into UDP.
type udpTunnel struct {
	name  string // Zeek's Tunnel::Type; empty for GRE, which is a tunnel of its own
	empty string // the weird if there is nothing inside

	// open takes the header off the payload of a packet.
	open func(d *Decoder, data []byte) (next kind, inner []byte, found finding)
}

// A finding is what opening a packet of UDP came to.
type finding int

const (
	violation finding = iota // it is not the protocol's; nor is any later one of the connection, as in Zeek
	opaque                   // it is, but there is no packet inside
	inside                   // there is
)

const (
	gtpv1  = "Tunnel::GTPv1"
	teredo = "Tunnel::TEREDO"
)

var (
	openedAYIYA  = &udpTunnel{"Tunnel::AYIYA", "ayiya_empty_packet", (*Decoder).ayiya}
	openedTeredo = &udpTunnel{teredo, "", (*Decoder).teredo}
	openedGTP    = &udpTunnel{gtpv1, "", (*Decoder).gtp}
)

// udpTunnels has the ports of responders that tunnels have.
var udpTunnels = map[uint16]*udpTunnel{
	2123: openedGTP,
	2152: openedGTP,
	3544: openedTeredo,
	4754: {"", "truncated_GRE", (*Decoder).greInUDP},
	4789: {"Tunnel::VXLAN", "vxlan_empty_packet", (*Decoder).vxlan},
	5072: openedAYIYA,
	6081: {"Tunnel::GENEVE", "geneve_empty_packet", (*Decoder).geneve},
}

// udp hands on d.packet, which is UDP, and opens the tunnel that it may be.
func (d *Decoder) udp(data []byte) (kind, []byte) {
	if !mayBeTunnel(data) {
		return d.emit()
	}
	next, inner, t, u := d.openUDP(data)
	if t != nil {
		d.packet.Start = t.Start
	}
	d.emit()
	switch {
	case u == nil:
		return done, nil
	case next == gre: // which is between the hosts, whatever the ports are
		d.packet.Proto = protoGRE
		return gre, inner
	case !d.enter(t, u.name):
		return done, nil
	}
	return next, inner
}

// mayBeTunnel reports whether a packet of UDP needs a closer look: because of its ports, or as it
// begins as Teredo or AYIYA do, which have none between peers.
func mayBeTunnel(data []byte) bool {
	if len(data) < 8 {
		return false
	}
	return isTunnelPort(be16(data)) || isTunnelPort(be16(data[2:])) || detect(data[8:]) != nil
}

// isTunnelPort reports whether port is in udpTunnels; it is asked for every packet of UDP, and a
// map takes longer.
func isTunnelPort(port int) bool {
	switch port {
	case 2123, 2152, 3544, 4754, 4789, 5072, 6081:
		return true
	}
	return false
}

// detect returns the tunnel that a packet's first bytes are of, nil if they are of none.
func detect(data []byte) *udpTunnel {
	prefix := []byte{0x20, 0x01, 0, 0} // Teredo's addresses
	switch {
	case len(data) >= 4 && data[1] == 0x52 && data[2] == 0x11:
		return openedAYIYA
	case len(data) < 40:
		return nil
	case data[0]>>4 == 6 && (bytes.HasPrefix(data[8:], prefix) || bytes.HasPrefix(data[24:], prefix)):
		return openedTeredo
	case data[0] == 0 && data[1] <= 1: // an authentication, an origin, or both
		if data[1] == 1 {
			if data = data[min(13+int(data[2])+int(data[3]), len(data)):]; len(data) < 2 || be16(data) != 0 {
				return nil
			}
		}
		if len(data) >= 48 && data[8]>>4 == 6 {
			return openedTeredo
		}
	}
	return nil
}

// openUDP opens a packet. t is the outer connection, nil if it is that of no tunnel; u is nil if
// there is nothing inside.
func (d *Decoder) openUDP(data []byte) (next kind, inner []byte, t *tunnel, u *udpTunnel) {
	p := &d.packet
	src, dst := netip.AddrPortFrom(p.Src, uint16(be16(data))), netip.AddrPortFrom(p.Dst, uint16(be16(data[2:])))
	if isTunnelPort(be16(data)) || isTunnelPort(be16(data[2:])) {
		t = d.outer(src, dst, conn.UDP)
		u = udpTunnels[t.ID.Resp.Port()]
	}
	if u == nil {
		u = detect(data[8:])
	}
	if n := be16(data[4:]); n >= 8 {
		data = d.limit(data, n)
	}
	if u == nil || t != nil && t.violated || d.dropsUDP(data) {
		return done, nil, t, nil
	}
	next, inner, found := u.open(d, data[8:])
	switch {
	case found == violation:
		if t != nil {
			t.violated = true
			d.weirdPacket("tunnel_protocol_violation", p.Src, p.Dst)
		}
		return done, nil, t, nil
	case found == opaque:
		return done, nil, t, nil
	case len(inner) == 0:
		d.weirdPacket(u.empty, p.Src, p.Dst)
		return done, nil, t, nil
	case t == nil:
		t = d.outer(src, dst, conn.UDP)
	}
	return next, inner, t, u
}

// dropsUDP reports whether a host drops d.packet for its checksum, as far as that can be known.
func (d *Decoder) dropsUDP(data []byte) bool {
	return !d.IgnoreChecksums && d.missing == 0 && be16(data[6:]) != 0 &&
		!checksum.ValidWithPseudoHeader(d.packet.Src, d.packet.Dst, conn.UDP, data)
}

// greInUDP opens GRE as RFC 8086 has it: nothing is put before it.
func (d *Decoder) greInUDP(data []byte) (kind, []byte, finding) { return gre, data, inside }

func (d *Decoder) vxlan(data []byte) (kind, []byte, finding) {
	if len(data) < 8 || data[0]&8 == 0 { // says that there is a network identifier
		return done, nil, violation
	}
	return ethernet, data[8:], inside
}

func (d *Decoder) geneve(data []byte) (kind, []byte, finding) {
	if len(data) < 8 {
		return done, nil, violation
	}
	if data[0]>>6 != 0 {
		d.weirdPacket("geneve_invalid_version", d.packet.Src, d.packet.Dst)
		return done, nil, opaque
	}
	header := 8 + int(data[0]&0x3f)*4
	if len(data) < header {
		return done, nil, violation
	}
	if len(data) == header {
		return done, nil, inside
	}
	return d.etherType(be16(data[2:])), data[header:], inside
}

// gtp opens GTPv1-U, and passes by messages about tunnels, which have the same ports, and what is
// malformed.
func (d *Decoder) gtp(data []byte) (kind, []byte, finding) {
	if len(data) < 8 || data[0]>>5 != 1 {
		return done, nil, opaque
	}
	if t := d.via(); t != nil && t.Type == gtpv1 { // GTP is never in GTP
		return done, nil, opaque
	}
	const payload = 255 // the message's type
	if data[0]&0x10 == 0 || data[1] != payload {
		return done, nil, opaque
	}
	header := 8
	if data[0]&7 != 0 {
		header = 12
		if len(data) < header {
			return done, nil, opaque
		}
		// Extension headers have their length first, and the type of the next at their end.
		for more := data[0]&4 != 0 && data[11] != 0; more; more = data[header-1] != 0 {
			if len(data) <= header || data[header] == 0 || len(data) < header+int(data[header])*4 {
				return done, nil, opaque
			}
			header += int(data[header]) * 4
		}
	}
	inner := data[header:]
	if length(inner) != len(inner)+d.missing {
		return done, nil, opaque
	}
	return ip, inner, inside
}

// length returns how long the IP packet says it is that data begins with, -1 if it does not begin
// with one.
func length(data []byte) int {
	switch {
	case len(data) >= 20 && data[0]>>4 == 4:
		return be16(data[2:])
	case len(data) >= 40 && data[0]>>4 == 6:
		return 40 + be16(data[4:])
	}
	return -1
}

// teredo opens Teredo: an authentication and an origin may stand before the packet.
func (d *Decoder) teredo(data []byte) (kind, []byte, finding) {
	if len(data) >= 4 && be16(data) == 1 {
		data = data[min(13+int(data[2])+int(data[3]), len(data)):]
	}
	if len(data) >= 8 && be16(data) == 0 {
		data = data[8:]
	}
	if len(data) < 40 || data[0]>>4 != 6 {
		return done, nil, violation
	}
	switch n := length(data); {
	case n == len(data)+d.missing:
	case n == 40 && data[6] == byte(nothing): // a bubble opens the way through address translation
		d.weirdPacket("Teredo_bubble_with_payload", d.packet.Src, d.packet.Dst)
	default:
		return done, nil, violation
	}
	return ip, data, inside
}

func (d *Decoder) ayiya(data []byte) (kind, []byte, finding) {
	if len(data) < 8 {
		return done, nil, violation
	}
	header := 8 + 1<<(data[0]>>4) + int(data[1]>>4)*4 // with the identity and the signature
	if len(data) < header {
		return done, nil, violation
	}
	const forward = 1
	if data[2]&0xf != forward || data[3] != 4 && data[3] != 41 {
		return done, nil, opaque
	}
	return ip, data[header:], inside
}
