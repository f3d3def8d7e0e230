package packet

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"weak"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn"
	"example.com/conn/analyzer/identity"
	"example.com/conn/analyzer/logs"
)

var (
	now     = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	a4, b4  = net.IP{192, 0, 2, 1}, net.IP{192, 0, 2, 2}
	c4, d4  = net.IP{198, 51, 100, 1}, net.IP{198, 51, 100, 2}
	a6, b6  = net.ParseIP("2001:db8::1"), net.ParseIP("2001:db8::2")
	payload = bytes.Repeat([]byte("0123456789abcdef"), 6)
)

// A recorder is a Sink that records what it receives.
type recorder struct {
	packets []Packet
	weirds  []string
	tunnels []string // rows of tunnel.log
	ended   []time.Time
}

func (r *recorder) Packet(p *Packet) { r.packets = append(r.packets, *p) }

func (r *recorder) Weird(at time.Time, name, addl string) {
	r.weirds = append(r.weirds, strings.TrimSpace(name+" "+addl))
}

func (r *recorder) Log(row logs.Row) {
	t := row.(*logs.Tunnel)
	r.tunnels = append(r.tunnels, strings.Join([]string{t.Path, t.UID,
		netip.AddrPortFrom(t.OrigH, t.OrigP).String(), netip.AddrPortFrom(t.RespH, t.RespP).String(), t.Type, t.Action}, " "))
	r.ended = append(r.ended, time.UnixMicro(int64(t.TS)).UTC())
}

// names returns the names of the weirds, without details.
func (r *recorder) names() (names []string) {
	for _, w := range r.weirds {
		names = append(names, strings.Fields(w)[0])
	}
	return names
}

// decode decodes frames of a link type with d, and returns what it found and the last error.
func decode(d *Decoder, link layers.LinkType, frames ...[]byte) (r recorder, err error) {
	for _, f := range frames {
		f = slices.Clip(bytes.Clone(f)) // so that reading past the end panics
		err = d.Decode(Frame{Data: f, Time: now, Link: link, Wire: len(f)}, &r)
	}
	return r, err
}

func serialize(ls ...gopacket.SerializableLayer) []byte {
	b := gopacket.NewSerializeBuffer()
	for _, l := range ls {
		if u, ok := l.(*layers.UDP); ok {
			for _, n := range ls {
				if n, ok := n.(gopacket.NetworkLayer); ok {
					_ = u.SetNetworkLayerForChecksum(n)
				}
			}
		}
	}
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ls...); err != nil {
		panic(err)
	}
	return bytes.Clone(b.Bytes())
}

func ip4(proto layers.IPProtocol, src, dst net.IP, data []byte) []byte {
	ip := &layers.IPv4{Version: 4, SrcIP: src, DstIP: dst, Protocol: proto, TTL: 1, Id: 7}
	return serialize(ip, gopacket.Payload(data))
}

func ip6(next layers.IPProtocol, src, dst net.IP, data []byte) []byte {
	return serialize(&layers.IPv6{Version: 6, SrcIP: src, DstIP: dst, NextHeader: next, HopLimit: 1}, gopacket.Payload(data))
}

// udp4 is a UDP packet from c4 to d4.
func udp4(src, dst uint16, data []byte) []byte {
	return serialize(&layers.IPv4{Version: 4, SrcIP: c4, DstIP: d4, Protocol: layers.IPProtocolUDP, TTL: 1},
		&layers.UDP{SrcPort: layers.UDPPort(src), DstPort: layers.UDPPort(dst)}, gopacket.Payload(data))
}

func eth(typ uint16, data []byte) []byte {
	return append(binary.BigEndian.AppendUint16(bytes.Repeat([]byte{2}, 12), typ), data...)
}

func cat(parts ...any) (b []byte) {
	for _, p := range parts {
		switch p := p.(type) {
		case []byte:
			b = append(b, p...)
		case int:
			b = append(b, byte(p))
		case string:
			b = append(b, p...)
		}
	}
	return b
}

// inner is the innermost packet: TCP, as far as the Decoder is concerned.
var (
	inner  = ip4(layers.IPProtocolTCP, a4, b4, payload)
	inner6 = ip6(layers.IPProtocolTCP, a6, b6, payload)
)

func snap(typ uint16) []byte { return cat(0xaa, 0xaa, 3, 0, 0, 0, int(typ>>8), int(typ&0xff)) }

// links lists a frame with inner for every link layer.
var links = map[string]struct {
	link  layers.LinkType
	frame []byte
}{
	"Ethernet":                        {1, eth(0x0800, inner)},
	"padding":                         {1, eth(0x0800, cat(inner, make([]byte, 9)))},
	"802.3, the longest":              {1, eth(1500, cat(snap(0x0800), inner))},
	"FabricPath":                      {1, eth(0x8903, cat(1, 2, eth(0x0800, inner)))},
	"802.3 with SNAP":                 {1, eth(uint16(8+len(inner)), cat(snap(0x0800), inner, 1, 2))},
	"SNAP, numbered":                  {1, eth(uint16(9+len(inner)), cat(0xaa, 0xaa, 0, 3, 0, 0, 0, 8, 0, inner))},
	"SNAP of a bridge":                {1, eth(uint16(8+len(inner)), cat(0xaa, 0xaa, 3, 0, 0, 0xf8, 8, 0, inner))},
	"LLC":                             {1, eth(uint16(3+len(inner)), cat(6, 6, 3, inner))},
	"VLAN":                            {1, eth(0x8100, cat(0, 5, 8, 0, inner))},
	"QinQ":                            {1, eth(0x88a8, cat(0, 5, 0x81, 0, 0, 6, 8, 0, inner))},
	"QinQ, old":                       {1, eth(0x9100, cat(0, 5, 0x81, 0, 0, 6, 8, 0, inner))},
	"VLAN with SNAP":                  {1, eth(0x8100, cat(0, 5, 0, 8+len(inner), snap(0x0800), inner))},
	"PBB":                             {1, eth(0x88a8, cat(0, 5, 0x88, 0xe7, 1, 2, 3, 4, eth(0x0800, inner)))},
	"VN-Tag":                          {1, eth(0x8926, cat(1, 2, 3, 4, 0x81, 0, 0, 5, 8, 0, inner))},
	"MPLS":                            {1, eth(0x8847, cat(1, 2, 0, 4, 1, 2, 1, 4, inner))},
	"MPLS, multicast":                 {1, eth(0x8848, cat(1, 2, 1, 4, inner))},
	"pseudowire":                      {1, eth(0x8847, cat(1, 2, 1, 4, 0, 0, 0, 9, eth(0x0800, inner)))},
	"pseudowire without control word": {1, eth(0x8847, cat(1, 2, 1, 4, eth(0x0800, inner)[:0], 0x22, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 8, 0, inner))},
	"pseudowire like IP":              {1, eth(0x8847, cat(1, 2, 1, 4, 0x42, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 8, 0, inner))},
	"PPPoE":                           {1, eth(0x8864, cat(0x11, 0, 0, 1, 0, len(inner)+2, 0, 0x21, inner))},
	"PPPoE in VLAN":                   {1, eth(0x8100, cat(0, 5, 0x88, 0x64, 0x11, 0, 0, 1, 0, len(inner)+2, 0, 0x21, inner))},
	"PPPoE without Ethernet":          {51, cat(0x11, 0, 0, 1, 0, len(inner)+2, 0, 0x21, inner)},
	"bridging":                        {1, eth(0x6558, eth(0x0800, inner))},
	"PPP":                             {9, cat(0, 0x21, inner)},
	"PPP, compressed number":          {9, cat(0x21, inner)},
	"PPP as in HDLC":                  {9, cat(0xff, 3, 0, 0x21, inner)},
	"PPP with MPLS":                   {9, cat(2, 0x81, 1, 2, 1, 4, inner)},
	"PPP on a serial line":            {50, cat(0xff, 3, 0, 0x21, inner)},
	"Cisco's HDLC":                    {104, cat(0x0f, 0, 8, 0, inner)},
	"Cisco's HDLC, multicast":         {50, cat(0x8f, 0, 8, 0, inner)},
	"FDDI":                            {10, cat(make([]byte, 13), snap(0x0800), inner)},
	"BSD loopback":                    {0, cat(2, 0, 0, 0, inner)},
	"BSD loopback, big-endian":        {0, cat(0, 0, 0, 2, inner)},
	"OpenBSD loopback":                {108, cat(0, 0, 0, 2, inner)},
	"raw":                             {101, inner},
	"raw, old number":                 {12, inner},
	"raw, another old number":         {14, inner},
	"IPv4":                            {228, inner},
	"IPv6":                            {229, ip6(4, a6, b6, inner)},
	"MPLS without Ethernet":           {219, cat(1, 2, 1, 4, inner)},
	"Linux cooked":                    {113, cat(0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 8, 0, inner)},
	"Linux cooked, 802.2":             {113, cat(0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 0, 4, snap(0x0800), inner)},
	"Linux cooked, new":               {276, cat(8, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, inner)},
	"NFLOG, empty value":              {239, cat(2, 0, 0, 0, 4, 0, 1, 0, 104, 0, 9, 0, inner)},
	"NFLOG":                           {239, cat(2, 0, 0, 0, 5, 0, 1, 0, 1, 0, 0, 0, 8, 0, 2, 0, 0, 0, 0, 0, 104, 0, 9, 0, inner)},
	"802.11":                          {105, cat(0x08, 0, make([]byte, 22), snap(0x0800), inner)},
	// as in Zeek, the version does not matter
	"802.11, another version":   {105, cat(0x09, 0, make([]byte, 22), snap(0x0800), inner)},
	"802.11, wireless backbone": {105, cat(0x08, 3, make([]byte, 28), snap(0x0800), inner)},
	"802.11 with QoS":           {105, cat(0x88, 1, make([]byte, 24), snap(0x0800), inner)},
	"802.11 with QoS, priority": {105, cat(0x88, 1, make([]byte, 22), 7, 0, snap(0x0800), inner)},
	"802.11 with HT control":    {105, cat(0x88, 0x81, make([]byte, 28), snap(0x0800), inner)},
	"radiotap":                  {127, cat(0, 0, 10, 0, make([]byte, 6), 0x08, 2, make([]byte, 22), snap(0x0800), inner)},
}

// tunnelled lists a packet with inner for every tunnel, and the tunnel's type.
var tunnelled = map[string]struct {
	packet []byte
	types  string
}{
	"IP in IP":                        {ip4(4, c4, d4, inner), "Tunnel::IP"},
	"IP in IPv6":                      {ip6(4, a6, b6, inner), "Tunnel::IP"},
	"GRE":                             {gre4(0, 0x0800, inner), "Tunnel::GRE"},
	"GRE with all fields":             {gre4(0xb000, 0x0800, make([]byte, 12), inner), "Tunnel::GRE"},
	"GRE with an acknowledgment":      {gre4(0x0080, 0x0800, make([]byte, 4), inner), "Tunnel::GRE"},
	"GRE with Ethernet":               {gre4(0, 0x6558, eth(0x0800, inner)), "Tunnel::GRE"},
	"GRE with MPLS":                   {gre4(0, 0x8847, 1, 2, 1, 4, inner), "Tunnel::GRE"},
	"ERSPAN I":                        {gre4(0, 0x88be, eth(0x0800, inner)), "Tunnel::GRE"},
	"ERSPAN II":                       {gre4(0x1000, 0x88be, 0, 0, 0, 1, make([]byte, 8), eth(0x8100, cat(0, 5, 8, 0, inner))), "Tunnel::GRE"},
	"ERSPAN III":                      {gre4(0x1000, 0x22eb, 0, 0, 0, 1, make([]byte, 12), eth(0x0800, inner)), "Tunnel::GRE"},
	"ERSPAN III with platform header": {gre4(0x1000, 0x22eb, 0, 0, 0, 1, make([]byte, 11), 1, make([]byte, 8), eth(0x0800, inner)), "Tunnel::GRE"},
	"EoIP":                            {gre4(0x2001, 0x6400, 0, 14+len(inner), 1, 0, eth(0x0800, inner)), "Tunnel::GRE"},
	"PPTP":                            {gre4(0x3081, 0x880b, make([]byte, 12), 0xff, 3, 0, 0x21, inner), "Tunnel::GRE"},
	"PPTP without a call ID":          {gre4(0x1001, 0x880b, make([]byte, 4), 0xff, 3, 0, 0x21, inner), "Tunnel::GRE"},
	"Aruba":                           {gre4(0, 0x8200, 0x08, 2, make([]byte, 22), snap(0x0800), inner), "Tunnel::GRE"},
	"Aruba, another":                  {gre4(0, 0x9000, 0x08, 2, make([]byte, 22), snap(0x0800), inner), "Tunnel::GRE"},
	"Aruba, the last":                 {gre4(0, 0x8370, 0x08, 2, make([]byte, 22), snap(0x0800), inner), "Tunnel::GRE"},
	"VXLAN":                           {udp4(50000, 4789, cat(8, 0, 0, 0, 0, 0, 9, 0, eth(0x0800, inner))), "Tunnel::VXLAN"},
	"Geneve":                          {udp4(50000, 6081, cat(0, 0, 0x65, 0x58, 0, 0, 9, 0, eth(0x0800, inner))), "Tunnel::GENEVE"},
	"Geneve with options":             {udp4(50000, 6081, cat(2, 0, 0x08, 0x00, 0, 0, 9, 0, 1, 2, 3, 1, 5, 6, 7, 8, inner)), "Tunnel::GENEVE"},
	"GTP":                             {udp4(2152, 2152, cat(0x30, 255, 0, len(inner), 0, 0, 0, 1, inner)), "Tunnel::GTPv1"},
	"GTP with sequence":               {udp4(2152, 2152, cat(0x32, 255, 0, 4+len(inner), 0, 0, 0, 1, 0, 1, 0, 0, inner)), "Tunnel::GTPv1"},
	"GTP with an extension type, but no extension": {udp4(2152, 2152, cat(0x33, 255, 0, 4+len(inner), 0, 0, 0, 1, 0, 1, 0, 0x85, inner)), "Tunnel::GTPv1"},
	"GTP with an empty list of extensions":         {udp4(2152, 2152, cat(0x34, 255, 0, 4+len(inner), 0, 0, 0, 1, 0, 1, 0, 0, inner)), "Tunnel::GTPv1"},
	"GTP's other port":                             {udp4(50000, 2123, cat(0x30, 255, 0, len(inner), 0, 0, 0, 1, inner)), "Tunnel::GTPv1"},
	"GTP with a long extension": {udp4(2152, 2152, cat(0x34, 255, 2, 0x58, 0, 0, 0, 1, 0, 1, 0, 0x85, 120, make([]byte, 478), 0, inner)),
		"Tunnel::GTPv1"},
	"GTP with extensions": {udp4(2152, 2152, cat(0x34, 255, 0, 16+len(inner), 0, 0, 0, 1, 0, 1, 0, 0x85,
		1, 2, 3, 0x85, 2, 2, 3, 4, 5, 6, 7, 0, inner)), "Tunnel::GTPv1"},
	"AYIYA": {udp4(50000, 5072, cat(0x44, 0x52, 0x11, 4, 0, 0, 0, 0, make([]byte, 16), make([]byte, 20), inner)), "Tunnel::AYIYA"},
	"AYIYA with IPv6": {udp4(50000, 5072, cat(0x44, 0x52, 0x11, 41, 0, 0, 0, 0, make([]byte, 16), make([]byte, 20),
		ip6(4, a6, b6, inner))), "Tunnel::AYIYA Tunnel::IP"},
	"AYIYA between peers": {udp4(50000, 50001, cat(0x44, 0x52, 0x11, 4, 0, 0, 0, 0, make([]byte, 16), make([]byte, 20), inner)),
		"Tunnel::AYIYA"},
	"Teredo": {udp4(50000, 3544, ip6(4, a6, b6, inner)), "Tunnel::TEREDO Tunnel::IP"},
	"Teredo with both": {udp4(50000, 3544, cat(0, 1, 2, 3, make([]byte, 2+3+9), 0, 0, make([]byte, 6), ip6(4, a6, b6, inner))),
		"Tunnel::TEREDO Tunnel::IP"},
	"Teredo between peers": {udp4(50000, 50001, ip6(4, net.ParseIP("2001::1"), b6, inner)), "Tunnel::TEREDO Tunnel::IP"},
	"Teredo to a peer":     {udp4(50000, 50001, ip6(4, b6, net.ParseIP("2001::1"), inner)), "Tunnel::TEREDO Tunnel::IP"},
	"Teredo with an origin between peers": {udp4(50000, 50001, cat(0, 0, make([]byte, 6), ip6(4, a6, b6, inner))),
		"Tunnel::TEREDO Tunnel::IP"},
	"Teredo with both between peers": {udp4(50000, 50001, cat(0, 1, 1, 1, make([]byte, 2+9), 0, 0, make([]byte, 6), ip6(4, a6, b6, inner))),
		"Tunnel::TEREDO Tunnel::IP"},
	"all": {ip4(4, c4, d4, gre4(0, 0x0800, udp4(1, 4789, cat(8, make([]byte, 7), eth(0x0800, ip4(4, a4, b4, inner)))))),
		"Tunnel::IP Tunnel::GRE Tunnel::VXLAN Tunnel::IP"},
}

// gre4 is a GRE packet from c4 to d4, with a valid checksum if the flags ask for one.
func gre4(flags, typ uint16, parts ...any) []byte {
	b := cat(binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, flags), typ), cat(parts...))
	if flags&greChecksum != 0 {
		binary.BigEndian.PutUint16(b[4:], gopacket.FoldChecksum(gopacket.ComputeChecksum(b, 0)))
	}
	return ip4(47, c4, d4, b)
}

// A host drops a tunnel's packet with a wrong checksum.
func TestGREChecksum(t *testing.T) {
	f := gre4(0x8000, 0x0800, make([]byte, 4), inner)
	f[len(f)-1] ^= 1
	for ignore, want := range map[bool][]string{false: {"bad_GRE_checksum 198.51.100.1 > 198.51.100.2"}, true: nil} {
		d := NewDecoder()
		d.IgnoreChecksums = ignore
		var r recorder
		err := d.Decode(Frame{Data: f, Time: now, Link: 101, Wire: len(f)}, &r)
		assert.Equal(t, ignore, err == nil)
		assert.Equal(t, want, r.weirds)
		r = recorder{}
		require.NoError(t, d.Decode(Frame{Data: f[:len(f)-1], Time: now, Link: 101, Wire: len(f)}, &r), "an incomplete packet cannot be checked")
	}
}

func assertInner(t *testing.T, p Packet) {
	t.Helper()
	assert.Equal(t, now, p.Time)
	assert.Equal(t, "192.0.2.1", p.Src.String())
	assert.Equal(t, "192.0.2.2", p.Dst.String())
	assert.Equal(t, conn.TCP, p.Proto)
	assert.Equal(t, payload, p.Payload)
	assert.Equal(t, len(payload), p.Length)
	assert.Equal(t, len(payload)+20, p.IPLength)
	assert.Nil(t, p.Outer)
}

func TestLinks(t *testing.T) {
	for name, c := range links {
		t.Run(name, func(t *testing.T) {
			r, err := decode(NewDecoder(), c.link, c.frame)
			require.NoError(t, err)
			require.Empty(t, r.weirds)
			require.Len(t, r.packets, 1)
			assertInner(t, r.packets[0])
		})
	}
}

func TestLinksWithIPv6(t *testing.T) {
	for name, c := range map[string]struct {
		link  layers.LinkType
		frame []byte
	}{
		"Ethernet":     {1, eth(0x86dd, inner6)},
		"padding":      {1, eth(0x86dd, cat(inner6, make([]byte, 9)))},
		"VLAN":         {1, eth(0x8100, cat(0, 5, 0x86, 0xdd, inner6))},
		"raw":          {101, inner6},
		"PPP":          {9, cat(0, 0x57, inner6)},
		"loopback":     {0, cat(24, 0, 0, 0, inner6)},
		"Linux cooked": {113, cat(0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 0x86, 0xdd, inner6)},
		"NFLOG":        {239, cat(10, 0, 0, 0, 104, 0, 9, 0, inner6)},
		"MPLS":         {1, eth(0x8847, cat(1, 2, 1, 4, inner6))},
	} {
		r, err := decode(NewDecoder(), c.link, c.frame)
		require.NoError(t, err, name)
		require.Empty(t, r.weirds, name)
		require.Len(t, r.packets, 1, name)
		p := r.packets[0]
		assert.Equal(t, "2001:db8::1", p.Src.String())
		assert.Equal(t, "2001:db8::2", p.Dst.String())
		assert.Equal(t, payload, p.Payload)
		assert.Equal(t, len(payload), p.Length)
		assert.Equal(t, len(payload)+40, p.IPLength)
	}
}

func TestTunnels(t *testing.T) {
	for name, c := range tunnelled {
		t.Run(name, func(t *testing.T) {
			r, err := decode(NewDecoder(), layers.LinkTypeRaw, c.packet)
			require.NoError(t, err)
			require.Empty(t, r.weirds)
			p := r.packets[len(r.packets)-1]
			assertInner(t, p)
			var types []string
			for _, tunnel := range p.Tunnels {
				types = append(types, tunnel.Type)
				assert.Equal(t, now, tunnel.Start)
				assert.Equal(t, identity.UID(tunnel.ID, tunnel.Start), tunnel.UID)
			}
			assert.Equal(t, c.types, strings.Join(types, " "))

			// The outer packets of UDP tunnels also form connections.
			outer := slices.DeleteFunc(slices.Clone(p.Tunnels), func(t Tunnel) bool { return t.ID.Proto != conn.UDP })
			require.Len(t, r.packets, len(outer)+1)
			for i, tunnel := range outer {
				assert.Equal(t, conn.UDP, r.packets[i].Proto)
				assert.Equal(t, now, r.packets[i].Outer.Start)
				assert.Equal(t, r.packets[i].Src, tunnel.ID.Orig.Addr())
				assert.Equal(t, be16(r.packets[i].Payload), int(tunnel.ID.Orig.Port()))
			}
			assert.Len(t, r.tunnels, len(p.Tunnels))
		})
	}
}

// GRE over UDP is a tunnel between hosts, and its UDP packets form a connection.
func TestGREInUDP(t *testing.T) {
	wrapped := udp4(50000, 4754, cat(0, 0, 0x08, 0x00, inner))
	r, err := decode(NewDecoder(), layers.LinkTypeRaw, wrapped, reverse(wrapped), gre4(0, 0x0800, inner))
	require.NoError(t, err)
	require.Empty(t, r.weirds)
	require.Len(t, r.packets, 5)
	for _, i := range []int{0, 2} {
		assert.Equal(t, conn.UDP, r.packets[i].Proto)
		assert.Empty(t, r.packets[i].Tunnels)
		assertInner(t, r.packets[i+1])
		require.Len(t, r.packets[i+1].Tunnels, 1)
		assert.Equal(t, "Tunnel::GRE", r.packets[i+1].Tunnels[0].Type)
		assert.Zero(t, r.packets[i+1].Tunnels[0].ID.Orig.Port())
	}
	assert.Equal(t, r.packets[1].Tunnels, r.packets[4].Tunnels)
	assert.Len(t, r.tunnels, 1)

	r, err = decode(NewDecoder(), layers.LinkTypeRaw, udp4(50000, 4754, []byte{0, 0, 8}))
	require.ErrorIs(t, err, ErrMalformed)
	assert.Equal(t, []string{"truncated_GRE"}, r.names())
}

func TestSixInFour(t *testing.T) {
	for _, outer := range [][]byte{ip4(41, c4, d4, inner6), ip6(41, a6, b6, inner6)} {
		r, err := decode(NewDecoder(), layers.LinkTypeRaw, outer)
		require.NoError(t, err)
		require.Len(t, r.packets, 1)
		assert.Equal(t, "2001:db8::1", r.packets[0].Src.String())
		assert.Equal(t, payload, r.packets[0].Payload)
	}
}

func TestSeveralPacketsInFrame(t *testing.T) {
	sub := func(data []byte) []byte {
		b := cat(make([]byte, 12), 0, len(data), data)
		return append(b, make([]byte, (4-len(b)%4)%4)...)
	}
	one, two := cat(snap(0x0800), inner), cat(snap(0x86dd), inner6)
	short := cat(snap(0x0800), ip4(layers.IPProtocolTCP, a4, b4, payload[:21]))
	even := cat(snap(0x0800), ip4(layers.IPProtocolTCP, a4, b4, payload[:22])) // needs no padding
	frame := cat(0x88, 1, make([]byte, 22), 0x80, 0, sub(one), sub(short), sub(even), sub(two), sub(one)[:14+len(one)])
	r, err := decode(NewDecoder(), layers.LinkTypeIEEE802_11, frame)
	require.NoError(t, err)
	require.Len(t, r.packets, 5)
	assertInner(t, r.packets[0])
	assert.Equal(t, payload[:21], r.packets[1].Payload)
	assert.Equal(t, payload[:22], r.packets[2].Payload)
	assert.Equal(t, "2001:db8::1", r.packets[3].Src.String())
	assertInner(t, r.packets[4])

	// Each packet is in the frame's tunnel, but not in the tunnel of another packet in the frame.
	frame = cat(0x88, 1, make([]byte, 22), 0x80, 0, sub(cat(snap(0x0800), ip4(4, c4, d4, inner))), sub(one))
	r, err = decode(NewDecoder(), layers.LinkTypeRaw, gre4(0, 0x8200, frame))
	require.NoError(t, err)
	require.Len(t, r.packets, 2)
	assert.Len(t, r.packets[0].Tunnels, 2)
	assert.Len(t, r.packets[1].Tunnels, 1)

	r, err = decode(NewDecoder(), layers.LinkTypeIEEE802_11, frame[:len(frame)-len(sub(one))+13])
	assert.Equal(t, ErrMalformed, err)
	assert.Equal(t, []string{"truncated_802_11_amsdu_header"}, r.weirds)
	assert.Len(t, r.packets, 1, "what was before")
	r, err = decode(NewDecoder(), layers.LinkTypeIEEE802_11, frame[:len(frame)-4])
	assert.Equal(t, ErrMalformed, err)
	assert.Equal(t, []string{"truncated_802_11_amsdu_packet"}, r.weirds)
}

// Bytes that are missing at the end of a frame are not missing from the earlier packets in it.
func TestTruncatedFrameWithSeveralPackets(t *testing.T) {
	long := cat(snap(0x0800), changed(inner, 3, byte(len(inner)+9)))
	frame := cat(0x88, 1, make([]byte, 22), 0x80, 0, make([]byte, 13), len(long), long, 0, 0, make([]byte, 13), 200)
	var r recorder
	err := NewDecoder().Decode(Frame{Data: frame, Link: layers.LinkTypeIEEE802_11, Wire: len(frame) + 200}, &r)
	assert.Equal(t, ErrMalformed, err)
	assert.Equal(t, []string{"truncated_IP_len", "truncated_802_11_amsdu_packet"}, r.names())
	assert.Empty(t, r.packets)
}

// A nervousSink panics at every packet whose number, counted from 1, is in at.
type nervousSink struct {
	recorder
	at []int
}

func (s *nervousSink) Packet(p *Packet) {
	s.recorder.Packet(p)
	if slices.Contains(s.at, len(s.packets)) {
		panic("a packet too many")
	}
}

// A panic costs one packet of a frame: Resume continues with the others.
func TestResumeAfterPanic(t *testing.T) {
	sub := func(data []byte) []byte {
		b := cat(make([]byte, 12), 0, len(data), data)
		return append(b, make([]byte, (4-len(b)%4)%4)...)
	}
	outer := sub(cat(snap(0x0800), ip4(4, c4, d4, inner)))
	amsdu := cat(0x88, 1, make([]byte, 22), 0x80, 0, outer, outer, outer)
	for name, c := range map[string]struct {
		link  layers.LinkType
		frame []byte
		err   error
	}{
		"A-MSDU":            {layers.LinkTypeIEEE802_11, amsdu, nil},
		"A-MSDU, malformed": {layers.LinkTypeIEEE802_11, cat(amsdu, 1), ErrMalformed},
		"UDP tunnels":       {layers.LinkTypeRaw, vxlan(9, 4789, udp4(9, 4754, cat(0, 0, 8, 0, inner))), nil},
		"UDP over A-MSDU":   {layers.LinkTypeRaw, udp4(9, 4754, cat(0, 0, 0x90, 0, amsdu)), nil},
	} {
		t.Run(name, func(t *testing.T) {
			frame := Frame{Time: now, Link: c.link, Data: c.frame}
			var want recorder
			assert.Equal(t, c.err, NewDecoder().Decode(frame, &want))
			for _, at := range [][]int{{1}, {2}, {3}, {1, 2}, {1, 3}, {1, 2, 3, 4}} {
				d := NewDecoder()
				sink := &nervousSink{at: at}
				panics := 0
				try := func(decode func() error) (done bool) {
					defer func() {
						if recover() != nil {
							panics++
						}
					}()
					assert.Equal(t, c.err, decode(), at)
					return true
				}
				done := try(func() error { return d.Decode(frame, sink) })
				for !done {
					done = try(func() error { return d.Resume(sink) })
				}
				assert.Equal(t, len(slices.DeleteFunc(slices.Clone(at), func(n int) bool { return n > len(want.packets) })), panics, at)
				assert.Equal(t, want, sink.recorder, at)
				assert.NoError(t, d.Resume(sink), "nothing is left")
				assert.Equal(t, want, sink.recorder, at)

				var r recorder
				require.NoError(t, d.Decode(Frame{Time: now, Link: layers.LinkTypeRaw, Data: inner}, &r), at)
				require.Len(t, r.packets, 1, at)
				assertInner(t, r.packets[0])
				assert.Empty(t, r.packets[0].Tunnels, at)
			}
		})
	}
}

func TestAddressFamilies(t *testing.T) {
	var known, plain []int
	for n := range 256 {
		f := Frame{Data: cat(n, 0, 0, 0, inner6), Link: layers.LinkTypeNull}
		if checkPlain(t, f, false) {
			plain = append(plain, n)
		}
		if r, _ := decode(NewDecoder(), f.Link, f.Data); len(r.packets) == 1 {
			known = append(known, n)
		}
	}
	assert.Equal(t, []int{2, 10, 23, 24, 28, 30}, known)
	assert.Equal(t, []int{10, 24, 28, 30}, plain)
}

// Between frames, a Decoder keeps neither the last frame nor its sink alive.
func TestDecoderDoesNotRetainFrames(t *testing.T) {
	d := NewDecoder()
	var r counter
	frame, sink := func() (weak.Pointer[byte], weak.Pointer[counter]) {
		sub := cat(make([]byte, 12), 0, 8+len(inner), snap(0x0800), inner, 0, 0)
		f, c := cat(0x88, 1, make([]byte, 22), 0x80, 0, sub, sub, sub), new(counter)
		require.NoError(t, d.Decode(Frame{Data: f, Link: layers.LinkTypeIEEE802_11, Wire: len(f)}, &r))
		require.Equal(t, 3, r.packets)
		require.NoError(t, d.Decode(Frame{Data: slices.Clone(inner), Link: layers.LinkTypeRaw, Wire: len(inner)}, c))
		return weak.Make(&f[0]), weak.Make(c)
	}()
	runtime.GC()
	assert.Nil(t, frame.Value())
	assert.Nil(t, sink.Value())
	runtime.KeepAlive(d)
}

// Frames without IP are not errors.
func TestFramesWithoutPacket(t *testing.T) {
	for name, c := range map[string]struct {
		link  layers.LinkType
		frame []byte
	}{
		"ARP":                 {1, eth(0x0806, make([]byte, 28))},
		"RARP":                {1, eth(0x8035, make([]byte, 28))},
		"LLDP":                {1, eth(0x88cc, make([]byte, 28))},
		"LACP":                {1, eth(0x8809, make([]byte, 28))},
		"EAPOL":               {1, eth(0x888e, make([]byte, 28))},
		"PPPoE discovery":     {1, eth(0x8863, make([]byte, 28))},
		"Ethernet test":       {1, eth(0x9000, make([]byte, 28))},
		"spanning tree":       {1, eth(38, cat(0x42, 0x42, 3, make([]byte, 43)))},
		"Novell":              {1, eth(38, cat(0xff, 0xff, 3, make([]byte, 43)))},
		"SNAP of a vendor":    {1, eth(38, cat(0xaa, 0xaa, 3, 0, 0, 0xc, make([]byte, 43)))},
		"SNAP of another":     {1, eth(38, cat(0xaa, 0xaa, 3, 1, 0, 0, 8, 0, make([]byte, 43)))},
		"SNAP of a third":     {1, eth(38, cat(0xaa, 0xaa, 3, 0, 1, 0, 8, 0, make([]byte, 43)))},
		"MPLS control":        {1, eth(0x8847, cat(1, 2, 1, 4, 0x10, 0, 0, 0, make([]byte, 20)))},
		"MPLS control, short": {1, eth(0x8847, cat(1, 2, 1, 4, 0x10))},
		"PPP's first control": {9, cat(0x80, 0, make([]byte, 10))},
		"LCP":                 {9, cat(0xc0, 0x21, make([]byte, 10))},
		"IPCP":                {9, cat(0x80, 0x21, make([]byte, 10))},
		"PPP, compressed":     {9, cat(0, 0xfd, make([]byte, 10))},
		"Linux cooked, IPX":   {113, cat(0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 0, 1, inner)},
		"beacon":              {105, cat(0x80, 0, make([]byte, 40))},
		"acknowledgment":      {105, cat(0xd4, 0, make([]byte, 8))},
		"802.11 without data": {105, cat(0x48, 0, make([]byte, 22))},
		"802.11, encrypted":   {105, cat(0x08, 0x40, make([]byte, 22), snap(0x0800), inner)},
		"PPTP, only acks":     {101, gre4(0x2081, 0x880b, make([]byte, 8))},
		"GRE with ARP":        {101, gre4(0, 0x0806, make([]byte, 28))},
	} {
		r, err := decode(NewDecoder(), c.link, c.frame)
		assert.NoError(t, err, name)
		assert.Empty(t, r.weirds, name)
		assert.Empty(t, r.packets, name)
		assert.Empty(t, r.tunnels, name)
	}
}

func TestUnknownFrames(t *testing.T) {
	d := NewDecoder()
	for name, c := range map[string]struct {
		link  layers.LinkType
		frame []byte
	}{
		"link type 0x93":        {147, make([]byte, 60)},
		"EtherType 0x88b5":      {1, eth(0x88b5, make([]byte, 28))},
		"EtherType 0x600":       {1, eth(0x0600, make([]byte, 28))}, // the first
		"PPP protocol 0x3d":     {9, cat(0, 0x3d, make([]byte, 28))},
		"PPP protocol 0x3":      {9, cat(0, 3, 0, 0x21, inner)}, // without HDLC framing
		"PPP protocol 0xff":     {9, cat(0xff, 4, 0, 0x21, inner)},
		"LLC SAP 0xfe":          {1, eth(20, cat(0xfe, 0xfe, 3, make([]byte, 28)))},
		"address family 0xffff": {0, cat(0xff, 0xff, 0, 0, make([]byte, 28))},
		"address family 0x100":  {0, cat(0, 0, 1, 0, make([]byte, 28))}, // big-endian
		"address family 0x7":    {0, cat(7, 0, 0, 0, make([]byte, 28))},
		"address family 0x11":   {239, cat(17, 0, 0, 0, 104, 0, 9, 0, inner)},
	} {
		r, err := decode(d, c.link, c.frame, c.frame)
		assert.Equal(t, ErrUnknown, err)
		assert.Equal(t, []string{"no_suitable_analyzer_found " + name}, r.weirds, "once")
		assert.Empty(t, r.packets)
	}
}

// Every decoder reports a weird for a frame that is too short for it, whatever the length.
func TestShortFrames(t *testing.T) {
	shorts := make(map[string]bool)
	note := func(link layers.LinkType, frame []byte) {
		for n := range frame {
			r, err := decode(NewDecoder(), link, frame[:n])
			for _, w := range r.names() {
				shorts[w] = true
			}
			if err != nil {
				assert.Equal(t, ErrMalformed, err)
				assert.NotEmpty(t, r.weirds)
			}
		}
	}
	for _, c := range links {
		note(c.link, c.frame)
	}
	for _, c := range tunnelled {
		note(layers.LinkTypeRaw, c.packet)
	}
	for _, k := range decoders {
		if k.short != "" && k.short != "truncated_inner_IP" && k.short != "truncated_GRE" && k.short != "truncated_802_11_amsdu_header" {
			assert.True(t, shorts[k.short], k.short)
		}
	}
	for _, name := range []string{"truncated_ppp_hdlc_header", "truncated_snap_header", "nflog_no_pcap_payload"} {
		assert.True(t, shorts[name], name)
	}
}

// The longest frame that is too short for each header, and the shortest that is not.
func TestShortHeaders(t *testing.T) {
	for _, c := range []struct {
		link  layers.LinkType
		frame []byte
		weird string
	}{
		{1, eth(0x0800, make([]byte, 2)), "truncated_ethernet_frame"},
		{1, eth(0x0800, make([]byte, 3)), "truncated_IP"},
		{1, eth(0x8100, []byte{0, 5, 8, 0, 0x45}), "truncated_VLAN_header"},
		{1, eth(0x8100, []byte{0, 5, 8, 0, 0x45, 0}), "truncated_IP"},
		{1, eth(0x88e7, make([]byte, 18)), "truncated_PBB_header"},
		{1, eth(0x88e7, cat(make([]byte, 16), 8, 0, 0x45)), "truncated_ethernet_frame"},
		{1, eth(0x8926, make([]byte, 6)), "truncated_vntag_header"},
		{1, eth(0x8926, []byte{1, 2, 3, 4, 8, 0, 0x45}), "truncated_IP"},
		{1, eth(0x8847, make([]byte, 4)), "truncated_link_header"},
		{1, eth(0x8847, []byte{1, 2, 1, 4, 0x45}), "truncated_IP"},
		{51, []byte{0x11, 0, 0, 1, 0, 2, 0, 0x21}, "truncated_pppoe_header"},
		{51, []byte{0x11, 0, 0, 1, 0, 3, 0, 0x21, 0x45}, "truncated_IP"},
		{1, eth(0x8847, make([]byte, 8)), "truncated_link_header"},
		{9, []byte{0, 0x21}, "truncated_ppp_header"},
		{9, []byte{0xff, 3, 0, 0x21}, "truncated_ppp_hdlc_header"},
		{9, []byte{0, 0x21, 0x45}, "truncated_IP"},
		{9, []byte{0xff, 3, 0, 0x21, 0x45}, "truncated_IP"},
		{50, []byte{0xff, 3, 0, 0x21}, "truncated_ppp_serial_header"},
		{50, []byte{0xff, 3, 0, 0x21, 0x45}, "truncated_IP"},
		{1, eth(8, snap(0x0800)), "truncated_IP"},
		{1, eth(4, cat(6, 6, 3, 0x45)), "truncated_IP"},
		{1, eth(7, cat(0xaa, 0xaa, 3, 0, 0, 0, 8)), "truncated_snap_header"},
		{1, eth(3, cat(6, 6, 3)), "truncated_llc_header"},
		{10, make([]byte, 16), "FDDI_analyzer_failed"},
		{10, cat(make([]byte, 13), 6, 6, 3, 0x45), "truncated_IP"},
		{105, []byte{8}, "truncated_802_11_header"},
		{105, cat(0x88, 0, make([]byte, 22), 0x80, 0, make([]byte, 13)), "truncated_802_11_amsdu_header"},
		{105, cat(0x88, 0, make([]byte, 22), 0x80, 0, make([]byte, 14)), "truncated_llc_header"},
		{105, cat(8, 0, make([]byte, 22)), "truncated_802_11_header"},
		{105, cat(0x88, 0, make([]byte, 24)), "truncated_802_11_header"},
		{127, cat(0, 0, 8, 0, 0, 0, 0, 0), "truncated_radiotap_header"},
		{239, cat(2, 1, 0, 0, 104, 0, 9, 0, inner), "unknown_nflog_version"},
		{239, cat(2, 0, 0, 0, 3, 0, 1, 0, 1, 0, 0, 0), "nflog_bad_tlv_len"},
		{239, cat(2, 0, 0, 0, 5, 0, 9, 0, 0x45), "truncated_IP"},
		{239, cat(2, 0, 0, 0, 4, 0, 9, 0), "nflog_no_pcap_payload"},
		{113, make([]byte, 16), "truncated_Linux_SLL_header"},
		{113, cat(make([]byte, 14), 8, 0, 0x45), "truncated_IP"},
		{276, make([]byte, 20), "truncated_Linux_SLL2_header"},
		{276, cat(8, 0, make([]byte, 18), 0x45), "truncated_IP"},
		{0, make([]byte, 4), "null_analyzer_failed"},
		{0, []byte{2, 0, 0, 0, 0x45}, "truncated_IP"},
		{101, nil, "truncated_IP"},
		{1, eth(1501, make([]byte, 60)), "undefined_ether_type"},
		{1, eth(200, cat(snap(0x0800), changed(inner, 3, 150))), "truncated_IP_len 192.0.2.1 > 192.0.2.2"},
		{1, eth(1535, make([]byte, 60)), "undefined_ether_type"},
		{1, eth(0x8100, cat(0, 5, 5, 0xdd, inner)), "undefined_vlan_protocol"},
	} {
		r, err := decode(NewDecoder(), c.link, c.frame)
		assert.Equal(t, ErrMalformed, err, c.weird)
		assert.Equal(t, []string{c.weird}, r.weirds)
		assert.Empty(t, r.packets)
	}
}

func TestWeirdsAreBounded(t *testing.T) {
	d := NewDecoder()
	var r recorder
	for i := range 70_000 {
		f := eth(uint16(i), make([]byte, 20))
		_ = d.Decode(Frame{Data: f, Time: now, Link: layers.LinkTypeEthernet}, &r)
		bad := slices.Clone(inner)
		binary.BigEndian.PutUint32(bad[12:], uint32(i))
		_ = d.Decode(Frame{Data: bad, Time: now, Link: layers.LinkTypeRaw}, &r)
	}
	names := r.names()
	for _, name := range []string{"no_suitable_analyzer_found", "bad_IP_checksum"} {
		n := 0
		for _, w := range names {
			if w == name {
				n++
			}
		}
		assert.Equal(t, 100, n, name)
	}
	assert.Less(t, len(d.weirds), 1000)
}

// Bytes beyond the PPPoE length are padding, which hosts ignore.
func TestLengthOfPPPoE(t *testing.T) {
	for length, want := range map[int]string{len(inner) + 2: "", len(inner) + 1: "truncated_IP_len", 1: "truncated_ppp_header", 0: "truncated_ppp_header"} {
		f := eth(0x8864, cat(0x11, 0, 0, 1, 0, length, 0, 0x21, inner, "padding"))
		r, err := decode(NewDecoder(), 1, f)
		assert.Equal(t, want == "", err == nil)
		if want != "" {
			assert.Equal(t, []string{want}, r.names(), "%d", length)
		}
		assert.Len(t, r.packets, map[bool]int{true: 1}[want == ""])
	}
}
