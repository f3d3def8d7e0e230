package packet

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/gopacket/gopacket/layers"

	"example.com/conn"
	"example.com/conn/analyzer/identity"
)

// A Decoder finds the IP packets in frames, opens their tunnels, and reassembles fragments. It is
// not safe for concurrent use. It must see every frame of a capture except plain ones; see
// [Decoder.Plain].
//
// Of gopacket, only the protocol numbers are used. Its layers reject some headers that hosts
// accept, such as those with malformed IP options, and do not say which of Zeek's weirds a bad
// header is.
type Decoder struct {
	IgnoreChecksums bool          // accept IP headers and tunnels whatever their checksums are
	UDPTimeout      time.Duration // the flow table's timeout for UDP; 0 means a minute

	// Servers tells which side of an outer connection is likely to be the originator. It must be
	// the same as the flow table's. NewDecoder sets it to identity.NewServers().
	Servers *identity.Servers

	tunnels   tunnels
	fragments fragments
	weirds    map[weird]struct{} // those reported, at most maxWeirds per name
	names     map[string]int     // counts weirds by name

	// State of the current frame.
	sink    Sink
	at      time.Time
	now     time.Time
	missing int     // bytes at its end that were not captured
	chain   []place // the tunnels entered so far
	pending []rest  // parts still to be decoded
	opened  opened  // for udpInside
	packet  Packet
	err     error
}

// A rest is a part of a frame that still has to be decoded.
type rest struct {
	kind    kind
	data    []byte
	missing int
	depth   int // length of the chain there
}

// Errors of Decode. A weird names the cause.
var (
	ErrUnknown   = errors.New("frame contains an unknown protocol")
	ErrMalformed = errors.New("frame contains a header that is malformed, truncated, or fails its checksum")
)

// NewDecoder returns a Decoder that has seen no frames.
func NewDecoder() *Decoder {
	return &Decoder{
		Servers:   identity.NewServers(),
		tunnels:   newTunnels(),
		fragments: newFragments(),
		weirds:    make(map[weird]struct{}),
		names:     make(map[string]int),
	}
}

// A kind is a protocol whose header the Decoder reads.
type kind int

const (
	done kind = iota // nothing left to decode
	ethernet
	vlan
	pbb
	vntag
	mpls
	pppoe
	ppp
	hdlc
	llc
	fddi
	wlan
	amsdu
	radiotap
	nflog
	sll
	sll2
	loopback
	ip
	ipInIP
	gre
	udp
	udpInside
)

// decoders maps each kind to its decoder, which strips a header and returns the rest of the data
// with its kind. Zeek chains its packet analyzers in the same way.
var decoders = [...]struct {
	min    int    // minimum length of data
	short  string // weird for shorter data
	decode func(d *Decoder, data []byte) (kind, []byte)
}{
	ethernet: {17, "truncated_ethernet_frame", (*Decoder).ethernet},
	vlan:     {6, "truncated_VLAN_header", (*Decoder).vlan},
	pbb:      {19, "truncated_PBB_header", (*Decoder).pbb},
	vntag:    {7, "truncated_vntag_header", (*Decoder).vntag},
	mpls:     {5, "truncated_link_header", (*Decoder).mpls},
	pppoe:    {9, "truncated_pppoe_header", (*Decoder).pppoe},
	ppp:      {3, "truncated_ppp_header", (*Decoder).ppp},
	hdlc:     {5, "truncated_ppp_serial_header", (*Decoder).hdlc},
	llc:      {4, "truncated_llc_header", (*Decoder).llc},
	fddi:     {17, "FDDI_analyzer_failed", (*Decoder).fddi},
	wlan:     {2, "truncated_802_11_header", (*Decoder).wlan},
	amsdu:    {14, "truncated_802_11_amsdu_header", (*Decoder).amsdu},
	radiotap: {4, "truncated_radiotap_header", (*Decoder).radiotap},
	nflog:    {5, "truncated_nflog_header", (*Decoder).nflog},
	sll:      {17, "truncated_Linux_SLL_header", (*Decoder).sll},
	sll2:     {21, "truncated_Linux_SLL2_header", (*Decoder).sll2},
	loopback: {5, "null_analyzer_failed", (*Decoder).loopback},
	ip:       {20, "truncated_IP", (*Decoder).ip},
	ipInIP:   {20, "truncated_inner_IP", (*Decoder).ipInIP},
	gre:      {4, "truncated_GRE", (*Decoder).gre},
	udp:      {0, "", (*Decoder).udp},

	udpInside: {0, "", (*Decoder).udpInside},
}

// These tables map the numbers of each registry to kinds. A protocol that maps to done is known,
// but carries no IP or none that can be read.
var (
	linkTypes = map[layers.LinkType]kind{
		layers.LinkTypeNull:           loopback,
		layers.LinkTypeEthernet:       ethernet,
		layers.LinkTypePPP:            ppp,
		layers.LinkTypeFDDI:           fddi,
		12:                            ip, // some systems write 12 or 14 for Raw
		14:                            ip,
		layers.LinkTypePPP_HDLC:       hdlc,
		layers.LinkTypePPPEthernet:    pppoe,
		layers.LinkTypeRaw:            ip,
		layers.LinkTypeC_HDLC:         hdlc,
		layers.LinkTypeIEEE802_11:     wlan,
		layers.LinkTypeLoop:           loopback,
		layers.LinkTypeLinuxSLL:       sll,
		layers.LinkTypeIEEE80211Radio: radiotap,
		219:                           mpls,
		layers.LinkTypeIPv4:           ip,
		layers.LinkTypeIPv6:           ip,
		239:                           nflog,
		layers.LinkTypeLinuxSLL2:      sll2,
	}
	etherTypes = map[layers.EthernetType]kind{
		layers.EthernetTypeIPv4:                        ip,
		layers.EthernetTypeARP:                         done,
		layers.EthernetTypeTransparentEthernetBridging: ethernet,
		0x8035:                                done, // RARP
		layers.EthernetTypeDot1Q:              vlan,
		layers.EthernetTypeIPv6:               ip,
		0x8809:                                done, // LACP
		layers.EthernetTypePPP:                ppp,
		layers.EthernetTypeMPLSUnicast:        mpls,
		layers.EthernetTypeMPLSMulticast:      mpls,
		layers.EthernetTypePPPoEDiscovery:     done,
		layers.EthernetTypePPPoESession:       pppoe,
		layers.EthernetTypeEAPOL:              done,
		layers.EthernetTypeQinQ:               vlan,
		layers.EthernetTypeLinkLayerDiscovery: done,
		0x88e7:                                pbb,
		0x8926:                                vntag,
		layers.EthernetTypeEthernetCTP:        done,
		0x9100:                                vlan, // QinQ before it was standardized
	}
	pppTypes = map[layers.PPPType]kind{
		layers.PPPTypeIPv4:          ip,
		layers.PPPTypeIPv6:          ip,
		0x00fd:                      done, // compressed or encrypted
		layers.PPPTypeMPLSUnicast:   mpls,
		layers.PPPTypeMPLSMulticast: mpls,
	}
	ipProtocols = map[conn.Proto]kind{
		4:        ipInIP,
		conn.UDP: udp,
		41:       ipInIP,
		protoGRE: gre,
	}
)

const protoGRE = conn.Proto(layers.IPProtocolGRE)

// Decode passes the IP packets in a frame to sink. There are none if the frame carries no IP, only
// a fragment that does not complete its packet, a packet that every host drops, or something that
// cannot be decoded. In the last case Decode returns ErrUnknown or ErrMalformed. A packet's payload
// points into the frame or into memory that the Decoder does not reuse.
func (d *Decoder) Decode(f Frame, sink Sink) error {
	d.sink, d.at, d.now, d.err = sink, f.Time, f.Now, nil
	d.expire()
	d.missing = max(f.Wire-len(f.Data), 0)
	d.chain, d.pending = d.chain[:0], d.pending[:0]

	k, ok := ethernet, true // the most common one skips the map
	if f.Link != layers.LinkTypeEthernet {
		k, ok = linkTypes[f.Link]
	}
	if !ok {
		k = d.unknown("link type", int(f.Link))
	}
	return d.decode(k, f.Data)
}

// Resume decodes the rest of the frame after Decode has panicked, in the sink or elsewhere, so that
// only one packet of the frame is lost. It returns what Decode would have returned. If Resume
// itself panics, call it again: as no part of a frame is decoded twice, the calls come to an end.
func (d *Decoder) Resume(sink Sink) error {
	d.sink = sink
	return d.decode(done, nil)
}

// decode decodes data, then what is pending.
func (d *Decoder) decode(k kind, data []byte) error {
	for {
		for k != done {
			dec := &decoders[k]
			if len(data) < dec.min {
				d.bad(dec.short)
				break
			}
			k, data = dec.decode(d, data)
		}
		n := len(d.pending) - 1
		if n < 0 {
			break
		}
		r := d.pending[n]
		d.pending[n].data = nil // do not keep the frame alive
		d.pending = d.pending[:n]
		k, data, d.missing, d.chain = r.kind, r.data, r.missing, d.chain[:r.depth]
	}
	err := d.err
	d.sink, d.err = nil, nil
	return err
}

// Close ends the tunnels over UDP, as the end of a capture does, and forgets all others. It reports
// incomplete datagrams as weird.
func (d *Decoder) Close(sink Sink) {
	d.sink = sink
	for g := d.fragments.oldest(); g != nil; g = d.fragments.oldest() {
		d.giveUp(g)
	}
	for t := first(d.tunnels.udp); t != nil; t = first(d.tunnels.udp) {
		d.endTunnel(t, "Tunnel::CLOSE", d.at)
	}
	d.sink, d.tunnels = nil, newTunnels()
}

// emit passes d.packet to the sink. It always returns done.
func (d *Decoder) emit() (kind, []byte) {
	d.packet.Time, d.packet.Now, d.packet.Tunnels = d.at, d.now, nil
	if p := d.via(); p.tunnel != nil {
		d.packet.Tunnels = p.path
		d.discover()
	}
	d.sink.Packet(&d.packet)
	return done, nil
}

// limit returns the part of data within the next n bytes on the wire.
func (d *Decoder) limit(data []byte, n int) []byte {
	n = min(n, len(data)+d.missing)
	d.missing = max(n-len(data), 0)
	return data[:min(len(data), n)]
}

// unknown reports that the next protocol is in none of the tables. It returns done.
func (d *Decoder) unknown(registry string, number int) kind {
	if d.err == nil {
		d.err = ErrUnknown
	}
	w := weird{name: "no_suitable_analyzer_found", registry: registry, number: number}
	if d.reports(w) {
		d.sink.Weird(d.at, w.name, fmt.Sprintf("%s %#x", registry, number))
	}
	return done
}

// bad reports that the frame cannot be decoded any further. Decoders return its result.
func (d *Decoder) bad(name string) (kind, []byte) {
	d.err = ErrMalformed
	d.weird(name)
	return done, nil
}

// badPacket is like bad, for a packet with addresses.
func (d *Decoder) badPacket(name string, src, dst netip.Addr) (kind, []byte) {
	d.err = ErrMalformed
	d.weirdPacket(name, src, dst)
	return done, nil
}

// maxWeirds bounds the weirds reported per name: they only tell an analyst where to look.
const maxWeirds = 100

// A weird is the key by which duplicates are recognized. It is not a string, because a frame may
// repeat a weird thousands of times and looking it up must not allocate.
type weird struct {
	name     string
	src, dst netip.Addr // of a packet; invalid if there is none
	registry string     // of an unknown protocol
	number   int        // in registry
}

// reports reports whether the caller is to report w. That is so once, and for at most maxWeirds
// weirds of a name.
func (d *Decoder) reports(w weird) bool {
	if d.names[w.name] >= maxWeirds {
		return false
	}
	if _, ok := d.weirds[w]; ok {
		return false
	}
	d.weirds[w] = struct{}{}
	d.names[w.name]++
	return true
}

// weird reports an anomaly that belongs to no packet.
func (d *Decoder) weird(name string) {
	if d.reports(weird{name: name}) {
		d.sink.Weird(d.at, name, "")
	}
}

// weirdPacket reports an anomaly of a packet.
func (d *Decoder) weirdPacket(name string, src, dst netip.Addr) {
	if d.reports(weird{name: name, src: src, dst: dst}) {
		d.sink.Weird(d.at, name, src.String()+" > "+dst.String())
	}
}
