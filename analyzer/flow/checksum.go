package flow

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"time"

	"example.com/conn"
	"example.com/conn/analyzer/packet"
	"example.com/conn/analyzer/protocol"
)

// believes reports whether the checksum of a TCP, UDP or ICMP packet is right, or cannot be checked
// since not all of the packet was captured.
func (t *Table) believes(p *packet.Packet) bool {
	if t.cfg.IgnoreChecksums || len(p.Payload) < p.Length {
		return true
	}
	data := p.Payload
	var pseudo uint64
	switch p.Proto {
	case conn.UDP:
		if t.udp.Checksum == 0 && p.Src.Is4() {
			return true // there is none
		}
		if n := int(t.udp.Length); n >= 8 {
			data = data[:min(n, len(data))]
		}
		fallthrough
	case conn.TCP, conn.ICMPv6:
		src, dst := p.Src.As16(), p.Dst.As16() // IPv4 addresses add ffff there, which is zero in this arithmetic
		n := uint32(len(data))
		pseudo = uint64(bits.ReverseBytes32(n)) + uint64(p.Proto)<<8
		pseudo = sum64(src[:], sum64(dst[:], pseudo))
	}
	sum := sum64(data, pseudo)
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return sum == 0xffff
}

// sum64 adds data to sum in one's complement, where words of any size and byte order serve to tell
// whether the sum of the 16-bit words is zero. It is gopacket.ComputeChecksum in a tenth of the
// time, which would be half of what a packet takes.
func sum64(data []byte, sum uint64) uint64 {
	var carry uint64
	for len(data) >= 32 {
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(data), 0)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(data[8:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(data[16:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(data[24:32]), carry)
		sum += carry
		data = data[32:]
	}
	for len(data) >= 8 {
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(data), 0)
		sum += carry
		data = data[8:]
	}
	if len(data) > 0 {
		var word [8]byte
		copy(word[:], data)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(word[:]), 0)
		sum += carry
	}
	return sum
}

// corrupt notes that a packet of f has a wrong checksum: the host did not take it, so nothing else
// comes of it.
func (t *Table) corrupt(f *flow, side protocol.Side, name, source string) {
	t.Stats.BadChecksums++
	if f.more().corrupt[side].add() {
		f.record(side, 'C')
	}
	t.weird(f, name, "", source)
	if f.queue == noQueue { // it is all there was so far
		t.requeue(f, brief)
		t.promote(f)
	}
}

// offloading notices captures of a host that leaves checksums to its network card, as Zeek's
// find-checksum-offloading does: by the share of packets whose checksum is wrong, ten seconds after
// the first packet and at the end.
type offloading struct {
	packets, tcp, udp int // of the latter, those with a wrong checksum
	next              time.Time
	done              bool
}

const (
	offloadingInterval = 10 * time.Second
	offloadingPackets  = 20 // that are needed for a judgment before the end
)

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
	const share = 20 // one in these
	if o.done || o.tcp <= o.packets/share && o.udp <= o.packets/share {
		return
	}
	o.done = true
	t.cfg.Once.Do(func() {
		fmt.Fprintf(t.cfg.Errors, "analyzer: %d of %d packets have wrong TCP or UDP checksums and were not believed; "+
			"if they were captured on the host that sent them, its network card makes the checksums: use -C to ignore them\n",
			o.tcp+o.udp, o.packets)
	})
}
