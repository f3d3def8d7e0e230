package flow

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/gopacket/gopacket"

	"example.com/conn"
	"example.com/conn/analyzer/identity"
	"example.com/conn/analyzer/packet"
	"example.com/conn/analyzer/session"
	"example.com/conn/analyzer/tcp"
)

// Packet follows one packet. It keeps nothing of p.Payload.
func (t *Table) Packet(p *packet.Packet) {
	if back := t.at.Sub(p.Time); back < 0 || back > time.Second { // else it is merely out of order
		t.at = p.Time
	}
	t.Advance(p.Time)
	t.following = nil
	t.offload.packets++
	t.checkOffloading()
	switch p.Proto {
	case conn.TCP:
		t.tcpPacket(p)
	case conn.UDP:
		t.udpPacket(p)
	case conn.ICMP:
		if err := t.icmp4.DecodeFromBytes(p.Payload, gopacket.NilDecodeFeedback); err != nil {
			t.badHeader(p, 8)
			return
		}
		t.icmpPacket(p, t.icmp4.TypeCode.Type(), t.icmp4.TypeCode.Code(), icmp4Answers)
	case conn.ICMPv6:
		if err := t.icmp6.DecodeFromBytes(p.Payload, gopacket.NilDecodeFeedback); err != nil {
			t.badHeader(p, 4)
			return
		}
		t.icmpPacket(p, t.icmp6.TypeCode.Type(), t.icmp6.TypeCode.Code(), icmp6Answers)
	default: // a protocol without ports
		f, side := t.find(p, netip.AddrPortFrom(p.Src, 0), netip.AddrPortFrom(p.Dst, 0), false)
		f.count(p, side)
		f.tcp.Last = p.Time
		t.timers.start(f, briefTimer, t.now)
		t.ranks.update(f)
	}
}

// Advance removes the connections whose time is over at now, by a clock that never goes back; an
// earlier time changes nothing. A clock.Clock makes such a time of timestamps that may be wrong.
func (t *Table) Advance(now time.Time) {
	if !now.After(t.now) {
		return
	}
	t.now = now
	for f := t.timers.due(now); f != nil; f = t.timers.due(now) {
		t.remove(f, Timeout)
	}
}

// Resume makes t consistent again after Packet has panicked. The connection that the packet was of
// goes on without parsers, for what was held of its bytes may not be what t takes it for.
func (t *Table) Resume() {
	t.ending, t.current = notRemoved, nil
	f := t.following
	if f == nil {
		return
	}
	t.ignore(f)
	f.tcp.Drop()
	t.ledger.set(f, f.holds())
	if f.timer == noTimer { // the packet was its first
		t.timers.start(f, briefTimer, t.now)
	}
	t.ranks.update(f)
}

// Close removes all connections, those that time out first before the others.
func (t *Table) Close() {
	for f := t.timers.idlest(); f != nil; f = t.timers.idlest() {
		t.remove(f, EndOfCapture)
	}
	t.warnOfOffloading()
}

func (t *Table) udpPacket(p *packet.Packet) {
	udp := &t.udp
	if err := udp.DecodeFromBytes(p.Payload, gopacket.NilDecodeFeedback); err != nil {
		t.badHeader(p, 8)
		return
	}
	src, dst := netip.AddrPortFrom(p.Src, uint16(udp.SrcPort)), netip.AddrPortFrom(p.Dst, uint16(udp.DstPort))
	k := identity.KeyOf(src, dst, conn.UDP, false)
	f := t.flows[k]
	if f != nil && t.expired(f) {
		t.remove(f, Timeout)
		f = nil
	}
	f, side := t.join(f, p, k, src, dst)
	f.count(p, side) // Zeek counts those with a bad checksum, too
	if !t.believes(p) {
		t.corrupt(f, side, "bad_UDP_checksum", "UDP")
		t.offload.udp++
		return
	}
	f.tcp.Last = p.Time
	whole := int(udp.Length)
	if whole == 0 && p.Length > 0xffff { // RFC 2675, section 4
		whole = p.Length
	}
	length := p.Length - 8
	if whole > 0 {
		length = whole - 8
	}
	if whole != p.Length {
		t.weird(f, "UDP_datagram_length_mismatch", fmt.Sprintf("%d != %d", whole, p.Length), "UDP")
	}
	f.bytes[side] += int64(length)
	f.tcp.History.Data(tcp.Side(side))
	t.timers.start(f, briefTimer, t.now)
	if len(udp.Payload) > 0 && whole > 0 && whole <= p.Length { // else no host takes it
		t.feed(f, session.Event{Side: side, Time: p.Time, Data: udp.Payload})
	}
	t.ranks.update(f)
	t.limit(f)
}

// expired reports whether the parser of f says that it is over. The times are the table's, seen from
// the start of f: its two sides may have been captured with clocks that differ.
func (t *Table) expired(f *flow) (over bool) {
	outer := t.enter(f)
	over = f.session.Expired(t.parsers, &f.Connection, f.since.Add(-f.lag), t.now.Add(-f.lag))
	t.leave(f, outer)
	return over
}

// icmp4Answers and icmp6Answers have the types of ICMP that make a conversation.
var (
	icmp4Answers = answers(8, 0, 13, 14, 15, 16, 10, 9, 17, 18)
	icmp6Answers = answers(128, 129, 133, 134, 135, 136, 130, 131, 139, 140, 144, 145)
)

func answers(pairs ...uint8) map[uint8]uint8 {
	m := make(map[uint8]uint8)
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]], m[pairs[i+1]] = pairs[i+1], pairs[i]
	}
	return m
}

// icmpPacket follows ICMP as Zeek does: the type and that of the answer are the ports, or the type
// and the code where there is no answer.
func (t *Table) icmpPacket(p *packet.Packet, typ, code uint8, types map[uint8]uint8) {
	other, ok := types[typ]
	if !ok {
		other = code
	}
	f, side := t.find(p, netip.AddrPortFrom(p.Src, uint16(typ)), netip.AddrPortFrom(p.Dst, uint16(other)), !ok)
	f.count(p, side)
	if !t.believes(p) {
		t.corrupt(f, side, "bad_ICMP_checksum", "ICMP")
		return
	}
	f.bytes[side] += int64(max(p.Length-8, 0))
	f.tcp.Last = p.Time
	t.timers.start(f, briefTimer, t.now)
	t.ranks.update(f)
}
