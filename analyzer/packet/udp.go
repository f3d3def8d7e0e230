package packet

import (
	"bytes"
	"net/netip"

	"example.com/conn"
	"example.com/conn/analyzer/checksum"
)

// A udpTunnel is a protocol that carries packets over UDP.
type udpTunnel struct {
	name  string // Zeek's Tunnel::Type; empty for GRE, which is a tunnel in its own right
	empty string // weird for a packet with nothing inside

	// open strips the tunnel's header from a UDP payload.
	open func(d *Decoder, data []byte) (next kind, inner []byte, found finding)
}

// A finding is the result of opening a UDP packet.
type finding int

const (
	// violation means that the packet is not of the tunnel's protocol. As in Zeek, no later packet of
	// the connection is opened.
	violation finding = iota

	opaque // the tunnel's protocol, without a packet inside
	inside // with a packet inside
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

// udpTunnels maps a responder's port to its tunnel.
var udpTunnels = map[uint16]*udpTunnel{
	2123: openedGTP,
	2152: openedGTP,
	3544: openedTeredo,
	4754: {"", "truncated_GRE", (*Decoder).greInUDP},
	4789: {"Tunnel::VXLAN", "vxlan_empty_packet", (*Decoder).vxlan},
	5072: openedAYIYA,
	6081: {"Tunnel::GENEVE", "geneve_empty_packet", (*Decoder).geneve},
}

// udp emits d.packet, and opens the tunnel if it is one.
func (d *Decoder) udp(data []byte) (kind, []byte) {
	if !mayBeTunnel(data) {
		return d.emit()
	}
	next, inner, t, u := d.openUDP(data)
	if t != nil {
		d.packet.Outer = t.Outer
	}
	if u != nil { // the packet inside does not depend on whether emit panics
		d.opened = opened{next, t, u.name}
		d.pending = append(d.pending, rest{udpInside, inner, d.missing, len(d.chain)})
	}
	return d.emit()
}

// An opened describes what is inside d.packet, a UDP packet that has been emitted.
type opened struct {
	next   kind // of what is inside
	tunnel *tunnel
	name   string // Zeek's Tunnel::Type
}

// udpInside enters the tunnel that udp opened last.
func (d *Decoder) udpInside(inner []byte) (kind, []byte) {
	o := d.opened
	switch {
	case o.next == gre: // a tunnel between the hosts, whatever the ports
		d.packet.Proto = protoGRE
	case !d.enter(o.tunnel, o.name):
		return done, nil
	}
	return o.next, inner
}

// mayBeTunnel reports whether a UDP packet needs a closer look: because of its ports, or because it
// begins like Teredo or AYIYA, which use any port between peers. Hosts drop packets with a length
// below 8, except 0, which is a jumbogram's.
func mayBeTunnel(data []byte) bool {
	if len(data) < 8 || 0 < be16(data[4:]) && be16(data[4:]) < 8 {
		return false
	}
	return isTunnelPort(be16(data)) || isTunnelPort(be16(data[2:])) || detect(data[8:]) != nil
}

// isTunnelPort reports whether port is in udpTunnels. It runs for every UDP packet, and is faster
// than the map.
func isTunnelPort(port int) bool {
	switch port {
	case 2123, 2152, 3544, 4754, 4789, 5072, 6081:
		return true
	}
	return false
}

// detect recognizes a tunnel by a packet's first bytes. It returns nil if there is none.
func detect(data []byte) *udpTunnel {
	prefix := []byte{0x20, 0x01, 0, 0} // Teredo's addresses
	switch {
	case len(data) >= 4 && data[1] == 0x52 && data[2] == 0x11:
		return openedAYIYA
	case len(data) < 40:
		return nil
	case data[0]>>4 == 6 && (bytes.HasPrefix(data[8:], prefix) || bytes.HasPrefix(data[24:], prefix)):
		return openedTeredo
	case data[0] == 0 && data[1] <= 1: // authentication, origin indication, or both
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

// openUDP opens a packet. t is the outer connection, nil if the packet belongs to no tunnel; u is
// nil if there is nothing inside.
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
	if d.dropsUDP(data) {
		return done, nil, t, nil
	}
	if t != nil {
		d.refresh(t)
	}
	if u == nil || t != nil && t.violated {
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
		d.refresh(t)
	}
	return next, inner, t, u
}

// dropsUDP reports whether a host drops d.packet because of its checksum. It is false if too little
// was captured to tell.
func (d *Decoder) dropsUDP(data []byte) bool {
	return !d.IgnoreChecksums && d.missing == 0 && be16(data[6:]) != 0 &&
		!checksum.ValidWithPseudoHeader(d.packet.Src, d.packet.Dst, conn.UDP, data)
}

// greInUDP opens GRE-in-UDP (RFC 8086), which has no header of its own.
func (d *Decoder) greInUDP(data []byte) (kind, []byte, finding) { return gre, data, inside }

func (d *Decoder) vxlan(data []byte) (kind, []byte, finding) {
	if len(data) < 8 || data[0]&8 == 0 { // the flag for a network identifier
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

// gtp opens GTPv1-U. Control messages, which use the same ports, and malformed ones are opaque.
func (d *Decoder) gtp(data []byte) (kind, []byte, finding) {
	if len(data) < 8 || data[0]>>5 != 1 {
		return done, nil, opaque
	}
	if p := d.via(); p.tunnel != nil && p.Type == gtpv1 { // GTP is never in GTP
		return done, nil, opaque
	}
	const payload = 255 // message type
	if data[0]&0x10 == 0 || data[1] != payload {
		return done, nil, opaque
	}
	header := 8
	if data[0]&7 != 0 {
		header = 12
		if len(data) < header {
			return done, nil, opaque
		}
		// An extension header begins with its length and ends with the type of the next.
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

// length returns the length that the IP header at the start of data gives, or -1 if there is none.
func length(data []byte) int {
	switch {
	case len(data) >= 20 && data[0]>>4 == 4:
		return be16(data[2:])
	case len(data) >= 40 && data[0]>>4 == 6:
		return 40 + be16(data[4:])
	}
	return -1
}

// teredo opens Teredo. An authentication and an origin indication may precede the packet.
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
	case n == 40 && data[6] == byte(nothing): // a bubble opens a path through NAT
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
