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

// Packet follows one packet. It does not retain p.Payload.
func (t *Table) Packet(p *packet.Packet) {
	if p.Time.After(t.at) || t.at.Sub(p.Time) > time.Second { // else it is merely out of order
		t.at = p.Time
	}
	t.Advance(p.Now)
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

// Advance moves the table's time to now, removes the connections that have timed out, and returns
// the table's time. That never goes back: if now is earlier, nothing changes. A [clock.Clock] turns
// timestamps that may be wrong into times that never go back.
func (t *Table) Advance(now time.Time) time.Time {
	if !now.After(t.now) {
		return t.now
	}
	t.now = now
	for f := t.timers.due(now); f != nil; f = t.timers.due(now) {
		t.remove(f, Timeout)
	}
	return t.now
}

// Resume makes t consistent again after Packet has panicked. The packet's connection continues
// without parsers, because the state of its bytes may be inconsistent.
func (t *Table) Resume() {
	t.ending, t.current = notRemoved, nil
	f := t.following
	if f == nil {
		return
	}
	t.ignore(f)
	t.ledger.set(f, f.holds())
	if f.timer == noTimer { // the packet was its first
		t.timers.start(f, briefTimer, t.now)
	}
	t.ranks.update(f)
}

// Close removes all connections, those idle longest first.
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
	if f != nil {
		switch {
		case p.Outer != nil && f.UID != p.Outer.UID: // see packet.Outer
			t.remove(f, Reused)
			f = nil
		case !f.outer && t.expired(f):
			t.remove(f, Timeout)
			f = nil
		}
	}
	f, side := t.join(f, p, k, src, dst)
	f.count(p, side) // even with a bad checksum, as Zeek does
	if !t.checksumValid(p) {
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
	if len(udp.Payload) > 0 && whole > 0 && whole <= p.Length { // else every host drops it
		t.feed(f, session.Event{Side: side, Time: p.Time, Data: udp.Payload})
	}
	t.ranks.update(f)
	t.limit(f)
}

// expired reports whether f's parser considers it over. The parser gets times of the table's clock,
// shifted to the start of f, because the two sides may have been captured with different clocks.
func (t *Table) expired(f *flow) (over bool) {
	outer := t.enter(f)
	over = f.session.Expired(t.parsers, &f.Connection, time.Unix(0, f.since).Add(-f.lag), t.now.Add(-f.lag))
	t.leave(f, outer)
	return over
}

// icmp4Answers and icmp6Answers map the ICMP types of requests to those of their replies, and back.
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

// icmpPacket follows ICMP as Zeek does: the ports are the packet's type and the type of its
// counterpart, or type and code if it has none.
func (t *Table) icmpPacket(p *packet.Packet, typ, code uint8, types map[uint8]uint8) {
	other, ok := types[typ]
	if !ok {
		other = code
	}
	f, side := t.find(p, netip.AddrPortFrom(p.Src, uint16(typ)), netip.AddrPortFrom(p.Dst, uint16(other)), !ok)
	f.count(p, side)
	if !t.checksumValid(p) {
		t.corrupt(f, side, "bad_ICMP_checksum", "ICMP")
		return
	}
	f.bytes[side] += int64(max(p.Length-8, 0))
	f.tcp.Last = p.Time
	t.timers.start(f, briefTimer, t.now)
	t.ranks.update(f)
}
