package flow

import (
	"fmt"

	"example.com/conn"
	"example.com/conn/analyzer/checksum"
	"example.com/conn/analyzer/packet"
	"example.com/conn/analyzer/protocol"
	"example.com/conn/analyzer/tcp"
)

// checksumValid reports whether the checksum of a TCP, UDP or ICMP packet is right, or cannot be
// checked because the packet was not captured whole.
func (t *Table) checksumValid(p *packet.Packet) bool {
	if t.cfg.IgnoreChecksums || len(p.Payload) < p.Length {
		return true
	}
	data := p.Payload
	switch p.Proto {
	case conn.ICMP:
		return checksum.Valid(data)
	case conn.UDP:
		if t.udp.Checksum == 0 && (p.Src.Is4() || p.Outer != nil) {
			return true // sent without a checksum; over IPv6, only tunnels do: RFC 6935
		}
		if n := int(t.udp.Length); n >= 8 {
			data = data[:min(n, len(data))]
		}
	}
	return checksum.ValidWithPseudoHeader(p.Src, p.Dst, p.Proto, data)
}

// badHeader counts and logs a packet whose transport header, of at least size bytes, is malformed.
func (t *Table) badHeader(p *packet.Packet, size int) {
	t.Stats.DecodeErrors++
	name := "internally_truncated_header"
	switch {
	case p.Length < size:
		name = "truncated_header"
	case p.Proto == conn.TCP && len(p.Payload) >= size && tcp.DataOffset(p.Payload) < size:
		name = "bad_TCP_header_len"
	case p.Proto == conn.UDP && len(p.Payload) >= size:
		name = "UDP_datagram_length_mismatch"
	}
	t.packetWeird(p, name)
}

// corrupt counts and logs a packet of f with a wrong checksum. It has no other effect, as hosts
// drop such packets.
func (t *Table) corrupt(f *flow, side protocol.Side, name, source string) {
	t.Stats.BadChecksums++
	if f.more().corrupt[side].Add() {
		f.tcp.History.Add(tcp.Side(side), 'C')
	}
	t.weird(f, name, "", source)
	if f.timer == noTimer { // f's first packet
		t.timers.start(f, briefTimer, t.now)
		t.ranks.update(f)
	}
}

func (t *Table) checkOffloading() {
	o := &t.offload
	switch {
	case o.done || t.now.Before(o.next):
	case o.next.IsZero():
		o.next = t.now.Add(offloadingInterval)
	default:
		t.warnOfOffloading()
		o.done = o.done || o.packets >= offloadingPackets
		o.next = t.now.Add(offloadingInterval)
	}
}

func (t *Table) warnOfOffloading() {
	o := &t.offload
	const share = 20 // warn above one in share
	if o.done || o.tcp <= o.packets/share && o.udp <= o.packets/share {
		return
	}
	o.done = true
	t.cfg.Once.Do(func() {
		fmt.Fprintf(t.cfg.Errors, "analyzer: ignored %d of %d packets because of wrong TCP or UDP checksums; "+
			"if they were captured on the host that sent them, its network card computes the checksums: use -C to accept them\n",
			o.tcp+o.udp, o.packets)
	})
}
