package packet

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/ip4defrag"
	"github.com/gopacket/gopacket/ip6defrag"
	"github.com/gopacket/gopacket/layers"

	"example.com/conn"
)

// A Decoder finds the IP packets in frames and puts fragments together. It belongs to one goroutine.
type Decoder struct {
	IgnoreChecksums bool // believe IP headers and tunnels without looking at their checksums

	eth      layers.Ethernet
	vlan     layers.Dot1Q
	loopback layers.Loopback
	sll      layers.LinuxSLL
	sll2     layers.LinuxSLL2
	ip4      layers.IPv4
	ip6      layers.IPv6
	skip     layers.IPv6ExtensionSkipper
	frag     layers.IPv6Fragment
	links    gopacket.DecodingLayerArray // what may stand before IP

	defrag4   *ip4defrag.IPv4Defragmenter
	defrag6   *ip6defrag.IPv6Defragmenter
	fragments int       // bytes given to the defragmenters since they last forgot, with fragmentCost for each
	forgotten time.Time // when that was
}

// What the defragmenters may keep: bytes, and for how long. Zeek's frag_timeout has no default; 30 s is Linux'.
const (
	maxFragments    = 64 << 20
	fragmentCost    = 512 // what they need for a fragment besides its bytes
	fragmentTimeout = 30 * time.Second
)

// NewDecoder returns a Decoder that has seen no fragments.
func NewDecoder() *Decoder {
	d := new(Decoder)
	for _, l := range []gopacket.DecodingLayer{&d.eth, &d.vlan, &d.loopback, &d.sll, &d.sll2} {
		d.links = d.links.Put(l).(gopacket.DecodingLayerArray)
	}
	d.forget()
	return d
}

// FirstLayer returns the layer that frames of a link type begin with; raw IP has none and is told by its version.
func FirstLayer(link layers.LinkType) (first gopacket.LayerType, ok bool) {
	switch link {
	case layers.LinkTypeEthernet:
		return layers.LayerTypeEthernet, true
	case layers.LinkTypeNull, layers.LinkTypeLoop:
		return layers.LayerTypeLoopback, true
	case layers.LinkTypeLinuxSLL:
		return layers.LayerTypeLinuxSLL, true
	case layers.LinkTypeLinuxSLL2:
		return layers.LayerTypeLinuxSLL2, true
	case layers.LinkTypeRaw, layers.LinkTypeIPv4, layers.LinkTypeIPv6, 12, 14: // 12 and 14: what some systems write for Raw
		return gopacket.LayerTypeZero, true
	}
	return gopacket.LayerTypeZero, false
}

// Decode gives sink the IP packets in a frame. There is none if the frame holds something else, or a fragment that does
// not complete its packet, or what cannot be decoded, which is an error. A packet's payload is part of the frame or of
// memory that the Decoder does not use again.
func (d *Decoder) Decode(f Frame, sink Sink) error {
	p, ok, err := d.decode(f.Link, f.Data, f.Time)
	if ok {
		sink.Packet(&p)
	}
	return err
}

func (d *Decoder) decode(link layers.LinkType, frame []byte, at time.Time) (p Packet, ok bool, err error) {
	typ, _ := FirstLayer(link)
	for typ != gopacket.LayerTypeZero && typ != layers.LayerTypeIPv4 && typ != layers.LayerTypeIPv6 {
		l, known := d.links.Decoder(typ)
		if !known {
			return p, false, nil
		}
		if err := l.DecodeFromBytes(frame, gopacket.NilDecodeFeedback); err != nil {
			return p, false, err
		}
		typ, frame = l.NextLayerType(), l.LayerPayload()
	}
	if len(frame) == 0 {
		return p, false, errors.New("frame without a packet")
	}
	p.Time = at
	switch version := frame[0] >> 4; version {
	case 4:
		ok, err = d.decode4(&p, frame)
	case 6:
		ok, err = d.decode6(&p, frame)
	default:
		err = fmt.Errorf("IP version %d", version)
	}
	return p, ok, err
}

func (d *Decoder) decode4(p *Packet, data []byte) (ok bool, err error) {
	ip := &d.ip4
	if err := ip.DecodeFromBytes(data, gopacket.NilDecodeFeedback); err != nil {
		return false, err
	}
	if ip.Flags&layers.IPv4MoreFragments != 0 || ip.FragOffset != 0 {
		ip = new(layers.IPv4)
		if err := ip.DecodeFromBytes(d.keep(data, p.Time), gopacket.NilDecodeFeedback); err != nil {
			return false, err
		}
		if ip, err = d.defrag4.DefragIPv4WithTimestamp(ip, p.Time); ip == nil {
			return false, err
		}
	}
	p.Src, _ = netip.AddrFromSlice(ip.SrcIP)
	p.Dst, _ = netip.AddrFromSlice(ip.DstIP)
	p.Proto = conn.Proto(ip.Protocol)
	p.IPLength = max(int(ip.Length), len(data))
	p.Payload, p.Length = ip.Payload, max(int(ip.Length)-int(ip.IHL)*4, len(ip.Payload))
	return true, nil
}

func (d *Decoder) decode6(p *Packet, data []byte) (ok bool, err error) {
	ip := &d.ip6
	if err := ip.DecodeFromBytes(data, gopacket.NilDecodeFeedback); err != nil {
		return false, err
	}
	p.Src, _ = netip.AddrFromSlice(ip.SrcIP)
	p.Dst, _ = netip.AddrFromSlice(ip.DstIP)
	p.IPLength = 40 + int(ip.Length)
	cut := max(40+int(ip.Length)-len(data), 0) // not captured
	next, payload := ip.NextHeader, ip.Payload
	if ip.HopByHop != nil {
		next = ip.HopByHop.NextHeader
	}
	for {
		switch next {
		case layers.IPProtocolIPv6Routing, layers.IPProtocolIPv6Destination, layers.IPProtocolIPv6HopByHop:
			if err := d.skip.DecodeFromBytes(payload, gopacket.NilDecodeFeedback); err != nil {
				return false, err
			}
			next, payload = d.skip.NextHeader, d.skip.Payload
		case layers.IPProtocolIPv6Fragment:
			if err := d.frag.DecodeFromBytes(payload, gopacket.NilDecodeFeedback); err != nil {
				return false, err
			}
			next, payload = d.frag.NextHeader, d.frag.Payload
			if d.frag.FragmentOffset == 0 && !d.frag.MoreFragments {
				continue
			}
			if cut > 0 {
				return false, errors.New("IPv6 fragment that was not captured whole")
			}
			ip, frag := new(layers.IPv6), d.frag
			kept := d.keep(data, p.Time)
			if err := ip.DecodeFromBytes(kept, gopacket.NilDecodeFeedback); err != nil {
				return false, err
			}
			frag.Payload = slices.Clone(payload)
			if ip = d.defrag6.DefragIPv6(ip, &frag); ip == nil {
				return false, nil
			}
			next, payload = ip.NextHeader, ip.Payload
		default:
			p.Proto, p.Payload, p.Length = conn.Proto(next), payload, len(payload)+cut
			return true, nil
		}
	}
}

// keep returns a copy of a fragment for a defragmenter, and sees to it that these do not keep too many.
func (d *Decoder) keep(data []byte, now time.Time) []byte {
	d.fragments += len(data) + fragmentCost
	switch {
	case d.fragments > maxFragments:
		d.forget()
		d.forgotten = now
	case now.Sub(d.forgotten) > fragmentTimeout:
		d.defrag4.DiscardOlderThan(now.Add(-fragmentTimeout))
		d.defrag6.DiscardOlderThan(time.Now().Add(-fragmentTimeout)) // it knows no time but the machine's
		d.forgotten = now
	}
	return slices.Clone(data)
}

func (d *Decoder) forget() {
	d.defrag4, d.defrag6, d.fragments = ip4defrag.NewIPv4Defragmenter(), ip6defrag.NewIPv6Defragmenter(), 0
}
