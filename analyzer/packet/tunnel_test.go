package packet

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn"
	"example.com/conn/analyzer/identity"
)

func vxlan(src, dst uint16, inside []byte) []byte {
	return udp4(src, dst, cat(8, make([]byte, 7), eth(0x0800, inside)))
}

func reverse(p []byte) []byte {
	return changed(p, 12, append(append([]byte{}, p[16:20]...), p[12:16]...)...)
}

func TestTunnelHasSameUIDInBothDirections(t *testing.T) {
	d := NewDecoder()
	there, back := vxlan(50000, 4789, inner), reverse(vxlan(4789, 50000, inner))
	r, err := decode(d, 101, there, back)
	require.NoError(t, err)
	require.Len(t, r.packets, 4)
	one, other := r.packets[1].Tunnels, r.packets[3].Tunnels
	require.Len(t, one, 1)
	assert.Equal(t, one, other)
	assert.Same(t, &one[0], &other[0], "packets share them")
	assert.Equal(t, "198.51.100.1:50000", one[0].ID.Orig.String())
	assert.Equal(t, "198.51.100.2:4789", one[0].ID.Resp.String())
	assert.Equal(t, conn.UDP, one[0].ID.Proto)
	row := "tunnel " + one[0].UID + " 198.51.100.1:50000 198.51.100.2:4789 Tunnel::VXLAN Tunnel::"
	assert.Equal(t, []string{row + "DISCOVER"}, r.tunnels)

	// The same if a reply comes first: the port tells.
	r, err = decode(NewDecoder(), 101, back, there)
	require.NoError(t, err)
	assert.Equal(t, one, r.packets[1].Tunnels)
	assert.Equal(t, one, r.packets[3].Tunnels)

	var end recorder
	d.Close(&end)
	assert.Equal(t, []string{row + "CLOSE"}, end.tunnels)
	end = recorder{}
	d.Close(&end)
	assert.Empty(t, end.tunnels)
}

// Tunnels without ports are not connections: Close forgets them, and does not log their end.
func TestCloseForgetsTunnels(t *testing.T) {
	d := NewDecoder()
	for range 2 {
		r, err := decode(d, 101, gre4(0, 0x0800, inner))
		require.NoError(t, err)
		assert.Len(t, r.tunnels, 1)
		d.Close(&r)
		assert.Len(t, r.tunnels, 1)
	}
}

func TestResponderOfTunnel(t *testing.T) {
	vxlanAndDNS := identity.NewServers()
	vxlanAndDNS.Add(conn.UDP, 53)
	for _, c := range []struct {
		src, dst uint16
		resp     string
		opened   bool
		servers  *identity.Servers
	}{
		{4789, 4789, "198.51.100.2:4789", true, identity.NewServers()},
		{4789, 6081, "198.51.100.2:6081", false, identity.NewServers()},
		{4789, 53, "198.51.100.1:4789", true, identity.NewServers()},
		{4789, 53, "198.51.100.2:53", false, vxlanAndDNS},
		{4789, 50000, "198.51.100.1:4789", true, vxlanAndDNS},
		{4789, 50000, "198.51.100.2:50000", false, new(identity.Servers)},
	} {
		d := NewDecoder()
		d.Servers = c.servers
		r, _ := decode(d, 101, vxlan(c.src, c.dst, inner))
		assert.Equal(t, c.opened, len(r.packets) == 2, "%d to %d", c.src, c.dst)
		for _, known := range d.tunnels.known {
			assert.Equal(t, c.resp, known.ID.Resp.String())
		}
	}
	// A broadcast has no reply.
	r, err := decode(NewDecoder(), 101, serialize(
		&layers.IPv4{Version: 4, SrcIP: c4, DstIP: net.IP{255, 255, 255, 255}, Protocol: layers.IPProtocolUDP, TTL: 1},
		&layers.UDP{SrcPort: 4789, DstPort: 50000}))
	require.NoError(t, err)
	require.Len(t, r.packets, 1)
	assert.Empty(t, r.weirds, "it is not VXLAN, so there is no violation")
}

// A tunnel's connection starts at its first packet, even if nothing is inside.
func TestTunnelStartsAtFirstPacket(t *testing.T) {
	d := NewDecoder()
	var r recorder
	at := func(frame []byte, after time.Duration) {
		require.NoError(t, d.Decode(Frame{Data: frame, Time: now.Add(after), Now: now.Add(after), Link: 101, Wire: len(frame)}, &r))
	}
	at(udp4(2152, 2152, cat(0x30, 1, 0, 0, 0, 0, 0, 0)), 0) // an echo
	assert.Empty(t, r.tunnels)
	at(udp4(2152, 2152, cat(0x30, 255, 0, len(inner), 0, 0, 0, 1, inner)), time.Second)
	require.Len(t, r.packets, 3)
	assert.Equal(t, now, r.packets[0].Outer.Start)
	assert.Equal(t, now, r.packets[1].Outer.Start)
	tunnel := r.packets[2].Tunnels[0]
	assert.Equal(t, now, tunnel.Start)
	assert.Equal(t, identity.UID(r.packets[2].Tunnels[0].ID, now), tunnel.UID)
	assert.Equal(t, []time.Time{now.Add(time.Second)}, r.ended, "when it was discovered")
}

func TestTunnelsExpire(t *testing.T) {
	for _, c := range []struct {
		frame   []byte
		timeout time.Duration // of the Decoder
		after   time.Duration
		late    time.Duration
		action  string
	}{
		{vxlan(50000, 4789, inner), 0, time.Minute, 5, "CLOSE"},
		{vxlan(50000, 4789, inner), 5 * time.Second, 5 * time.Second, 0, "CLOSE"},
		{udp4(50000, 50001, ip6(6, net.ParseIP("2001::1"), b6, payload)), 0, time.Minute, 5, "CLOSE"},
		{gre4(0, 0x0800, inner), 5 * time.Second, time.Hour, 0, "EXPIRE"},
		{gre4(0, 0x0800, inner), 5 * time.Second, time.Hour, 5, "EXPIRE"},
	} {
		d := NewDecoder()
		d.UDPTimeout = c.timeout
		var r recorder
		latest := now
		at := func(frame []byte, after time.Duration) {
			if at := now.Add(after); at.After(latest) {
				latest = at
			}
			require.NoError(t, d.Decode(Frame{Data: frame, Time: now.Add(after), Now: latest, Link: 101, Wire: len(frame)}, &r))
		}
		at(c.frame, 0)
		at(c.frame, time.Second) // keeps it alive
		at(inner, time.Second+c.after-1)
		require.Len(t, r.tunnels, 1)
		at(inner, time.Second+c.after+c.late)
		require.Len(t, r.tunnels, 2)
		assert.Contains(t, r.tunnels[1], "Tunnel::"+c.action)
		assert.Equal(t, now.Add(time.Second+c.after), r.ended[1], "when it ended, not when that was noticed")
		at(c.frame, 0) // timestamps may go back, the clock does not
		first, last := r.packets[0], r.packets[len(r.packets)-1]
		if first.Proto == conn.TCP {
			assert.NotEqual(t, first.Tunnels[0].UID, identity.UID(first.Tunnels[0].ID, now.Add(1)))
		}
		require.Len(t, last.Tunnels, 1)
		assert.Len(t, r.tunnels, 3, "rediscovered")
		assert.Empty(t, d.tunnels.ip.Len()+d.tunnels.udp.Len()-1)
	}
}

// A tunnel in use does not keep later ones alive.
func TestTunnelsExpireByLatestPacket(t *testing.T) {
	used, idle := vxlan(50000, 4789, inner), vxlan(50001, 4789, inner)
	d := NewDecoder()
	var r recorder
	for i, frame := range [][]byte{used, idle, used, inner} {
		at := now.Add(time.Duration(i) * 25 * time.Second)
		require.NoError(t, d.Decode(Frame{Data: frame, Time: at, Now: at, Link: 101, Wire: len(frame)}, &r))
	}
	require.Len(t, r.tunnels, 2, "both began")
	at := now.Add(25*time.Second + time.Minute)
	require.NoError(t, d.Decode(Frame{Data: inner, Time: at, Now: at, Link: 101, Wire: len(inner)}, &r))
	require.Len(t, r.tunnels, 3)
	assert.Contains(t, r.tunnels[2], "198.51.100.1:50001")
}

// A full Decoder forgets the tunnel that has been idle longest, of either kind.
func TestIdlestTunnel(t *testing.T) {
	d := NewDecoder()
	assert.Nil(t, d.tunnels.idlest())
	var r recorder
	udp, ip := vxlan(50000, 4789, inner), gre4(0, 0x0800, inner)
	for i, c := range []struct {
		frame  []byte
		idlest string
	}{{ip, "GRE"}, {udp, "GRE"}, {ip, "VXLAN"}, {udp, "GRE"}} {
		at := now.Add(time.Duration(i) * time.Second)
		require.NoError(t, d.Decode(Frame{Data: c.frame, Time: at, Now: at, Link: 101, Wire: len(c.frame)}, &r))
		assert.Equal(t, "Tunnel::"+c.idlest, d.tunnels.idlest().Type)
	}
	d = NewDecoder()
	require.NoError(t, d.Decode(Frame{Data: udp, Time: now, Now: now, Link: 101, Wire: len(udp)}, &r))
	assert.Equal(t, "Tunnel::VXLAN", d.tunnels.idlest().Type)
}

// A connection in which no packet was found is not in tunnel.log.
func TestConnectionWithoutTunnelIsNotLogged(t *testing.T) {
	d := NewDecoder()
	r, err := decode(d, 101, udp4(2152, 2152, cat(0x30, 1, 0, 0, 0, 0, 0, 0)))
	require.NoError(t, err)
	assert.Len(t, d.tunnels.known, 1)
	d.Close(&r)
	assert.Empty(t, r.tunnels)
}

// Peers may change the protocol on the same ports.
func TestTunnelChangesType(t *testing.T) {
	teredo := udp4(50000, 50001, ip6(6, net.ParseIP("2001::1"), b6, payload))
	ayiya := tunnelled["AYIYA between peers"].packet
	r, err := decode(NewDecoder(), 101, teredo, ayiya, teredo)
	require.NoError(t, err)
	require.Len(t, r.packets, 6)
	for i, typ := range []string{"TEREDO", "AYIYA", "TEREDO"} {
		require.Len(t, r.packets[2*i+1].Tunnels, 1)
		assert.Equal(t, "Tunnel::"+typ, r.packets[2*i+1].Tunnels[0].Type)
		assert.Equal(t, r.packets[1].Tunnels[0].UID, r.packets[2*i+1].Tunnels[0].UID)
	}
}

// A bubble has no payload, and starts a Teredo connection.
func TestBubbleBetweenPeers(t *testing.T) {
	bubble := ip6(59, net.ParseIP("2001::1"), b6, nil)
	for name, data := range map[string][]byte{
		"alone": bubble, "origin": cat(make([]byte, 8), bubble), "both": cat(0, 1, make([]byte, 11), make([]byte, 8), bubble),
	} {
		r, err := decode(NewDecoder(), 101, udp4(50000, 50001, data))
		require.NoError(t, err, name)
		assert.Empty(t, r.weirds, name)
		require.Len(t, r.packets, 1, name)
		assert.Equal(t, now, r.packets[0].Outer.Start, name)
	}
}

// isTunnelPort agrees with udpTunnels.
func TestTunnelPorts(t *testing.T) {
	for port := range 1 << 16 {
		assert.Equal(t, udpTunnels[uint16(port)] != nil, isTunnelPort(port), "%d", port)
	}
}

func TestTunnelsAreBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	d := NewDecoder()
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	var c counter
	frame := vxlan(50000, 4789, ip4(4, a4, b4, ip4(4, b4, c4, ip4(4, c4, d4, inner))))
	plain := gre4(0, 0x0800, inner)
	require.Equal(t, 1<<15, maxTunnels)
	for i := range 2 * maxTunnels {
		for _, f := range [][]byte{frame, plain} {
			from(f, i)
			binary.BigEndian.PutUint16(frame[26:], 0) // UDP checksum
			if err := d.Decode(Frame{Data: f, Time: now.Add(time.Duration(i)), Now: now.Add(time.Duration(i)), Link: 101, Wire: len(f)}, &c); err != nil ||
				len(d.tunnels.known) > maxTunnels {
				t.Fatalf("%d tunnels, %v", len(d.tunnels.known), err)
			}
		}
	}
	assert.Equal(t, 2*maxTunnels*3, c.packets)
	assert.Len(t, d.tunnels.known, maxTunnels)
	assert.Equal(t, maxTunnels, d.tunnels.udp.Len()+d.tunnels.ip.Len())
	assert.Less(t, heap()-before, uint64(maxTunnels*2<<10))
	runtime.KeepAlive(d)
}

func TestTunnelsInTunnels(t *testing.T) {
	nest := func(depth int) []byte {
		p := inner
		for i := range depth {
			p = ip4(4, net.IP{10, 0, 0, byte(i)}, d4, p)
		}
		return p
	}
	r, err := decode(NewDecoder(), 101, nest(8))
	require.NoError(t, err)
	require.Len(t, r.packets, 1)
	assert.Len(t, r.packets[0].Tunnels, 8)
	assert.Equal(t, "10.0.0.7:0", r.packets[0].Tunnels[0].ID.Orig.String(), "the outermost")

	r, err = decode(NewDecoder(), 101, nest(9))
	assert.Equal(t, ErrMalformed, err)
	assert.Equal(t, []string{"exceeded_tunnel_max_depth 10.0.0.0 > 198.51.100.2"}, r.weirds)
	assert.Empty(t, r.packets)
	assert.Empty(t, r.tunnels)

	// A tunnel inside itself, twice.
	self := ip4(4, c4, d4, ip4(4, c4, d4, inner))
	r, err = decode(NewDecoder(), 101, self, self, ip4(4, c4, d4, inner))
	require.NoError(t, err)
	require.Len(t, r.packets, 3)
	assert.Equal(t, r.packets[0].Tunnels, r.packets[1].Tunnels)
	assert.Len(t, r.packets[1].Tunnels, 2)
	assert.Len(t, r.packets[2].Tunnels, 1)
	assert.Len(t, r.tunnels, 1)

	// The same tunnel, inside different ones in turn: each packet has its own path.
	wrapped := vxlan(50000, 4789, inner)
	d := NewDecoder()
	for range 2 {
		for i := range 3 {
			outer := net.IP{10, 0, 0, byte(i)}
			r, err := decode(d, 101, ip4(4, outer, d4, wrapped))
			require.NoError(t, err)
			require.Len(t, r.packets, 2)
			assert.Len(t, r.packets[0].Tunnels, 1)
			require.Len(t, r.packets[1].Tunnels, 2)
			assert.Equal(t, outer.String(), r.packets[1].Tunnels[0].ID.Orig.Addr().String())
			assert.Equal(t, "Tunnel::VXLAN", r.packets[1].Tunnels[1].Type)
		}
	}
}

func TestUDPWithoutTunnel(t *testing.T) {
	gtp := func(flags, typ int, rest ...any) []byte {
		return udp4(2152, 2152, cat(flags, typ, 0, 0, 0, 0, 0, 1, cat(rest...)))
	}
	teredo := func(data ...any) []byte { return udp4(50000, 3544, cat(data...)) }
	six := ip6(6, a6, b6, payload)
	for name, c := range map[string]struct {
		packet []byte
		weird  string
	}{
		"VXLAN, cut":                 {udp4(50000, 4789, []byte{8, 0, 0, 0, 0, 0, 0}), "tunnel_protocol_violation"},
		"VXLAN without network":      {udp4(50000, 4789, cat(0xf7, make([]byte, 7), eth(0x0800, inner))), "tunnel_protocol_violation"},
		"VXLAN, empty":               {udp4(50000, 4789, []byte{8, 0, 0, 0, 0, 0, 0, 0}), "vxlan_empty_packet"},
		"Geneve, cut":                {udp4(50000, 6081, []byte{0, 0, 8, 0, 0, 0, 0}), "tunnel_protocol_violation"},
		"Geneve, options cut":        {udp4(50000, 6081, []byte{1, 0, 8, 0, 0, 0, 0, 0, 1, 2, 3}), "tunnel_protocol_violation"},
		"Geneve, version":            {udp4(50000, 6081, cat(0x40, 0, 8, 0, 0, 0, 0, 0, inner)), "geneve_invalid_version"},
		"Geneve, empty":              {udp4(50000, 6081, []byte{0, 0, 0x77, 0, 0, 0, 0, 0}), "geneve_empty_packet"},
		"GTP, cut":                   {udp4(2152, 2152, []byte{0x30, 255, 0, 0, 0, 0, 0}), ""},
		"GTP, version":               {gtp(0x50, 255, inner), ""},
		"GTP prime":                  {gtp(0x20, 255, inner), ""},
		"GTP prime, numbered":        {gtp(0x21, 255, 0, 0, 0, 0, inner), ""},
		"GTP, echo":                  {gtp(0x30, 1), ""},
		"GTP, empty":                 {gtp(0x30, 255), ""},
		"GTP, not IP":                {gtp(0x30, 255, "x", inner), ""},
		"GTP, short":                 {gtp(0x30, 255, inner[:len(inner)-1]), ""},
		"GTP, long":                  {gtp(0x30, 255, inner, 0), ""},
		"GTP, cut sequence":          {gtp(0x32, 255, 0, 0, 0), ""},
		"GTP, cut extension":         {gtp(0x34, 255, 0, 0, 0, 0x85), ""},
		"GTP, cut extension's end":   {gtp(0x34, 255, 0, 0, 0, 0x85, 2, 0, 0, 0, 0, 0, 0), ""},
		"GTP, empty extension":       {gtp(0x34, 255, 0, 0, 0, 0x85, 0, 0, 0, 0, inner), ""},
		"Teredo, nothing":            {teredo(), "tunnel_protocol_violation"},
		"Teredo, packet and more":    {teredo(ip6(6, a6, b6, nil), payload), "tunnel_protocol_violation"},
		"Teredo, bubble, long":       {teredo(ip6(59, a6, b6, payload), 0), "tunnel_protocol_violation"},
		"Teredo, cut":                {teredo(six[:39]), "tunnel_protocol_violation"},
		"Teredo, IPv4":               {teredo(inner), "tunnel_protocol_violation"},
		"Teredo, long":               {teredo(six, 0), "tunnel_protocol_violation"},
		"Teredo, authentication cut": {teredo(0, 1, 200, 200, make([]byte, 40)), "tunnel_protocol_violation"},
		"Teredo, origin cut":         {teredo(0, 0, 1, 2, 3, 4, 5), "tunnel_protocol_violation"},
		"Teredo, bubble":             {teredo(ip6(59, a6, b6, nil)), ""},
		"Teredo, bubble with data":   {teredo(ip6(59, a6, b6, nil), payload), "Teredo_bubble_with_payload"},
		"AYIYA, cut":                 {udp4(50000, 5072, []byte{0x44, 0x52, 0x11, 4, 0, 0, 0}), "tunnel_protocol_violation"},
		"AYIYA, identity cut":        {udp4(50000, 5072, cat(0x44, 0x52, 0x11, 4, make([]byte, 4+16+19))), "tunnel_protocol_violation"},
		"AYIYA, heartbeat":           {udp4(50000, 5072, cat(0x44, 0x52, 0x10, 59, make([]byte, 4+16+20))), ""},
		"AYIYA, not IP":              {udp4(50000, 5072, cat(0x44, 0x52, 0x11, 59, make([]byte, 4+16+20))), ""},
		"AYIYA, empty":               {udp4(50000, 5072, cat(0x44, 0x52, 0x11, 4, make([]byte, 4+16+20))), "ayiya_empty_packet"},
		"nothing":                    {udp4(50000, 4789, nil), "tunnel_protocol_violation"},
		"half a header":              {ip4(17, c4, d4, []byte{1, 2, 18, 181, 5, 6, 7}), ""},
		"like AYIYA":                 {udp4(50000, 50001, cat(0x44, 0x52, 0x11, 6, make([]byte, 4+16+20), inner)), ""},
		"like Teredo":                {udp4(50000, 50001, cat(six, 0)), ""},
		"IPv6 in UDP":                {udp4(50000, 50001, inner6), ""},
		"only an authentication":     {udp4(50000, 50001, cat(0, 1, 25, 0, make([]byte, 9+25), 0, 0)), ""},
		"like an authentication":     {udp4(50000, 50001, cat(0, 1, 200, 200, make([]byte, 40))), ""},
		"authentication, no origin": {udp4(50000, 50001, cat(0, 1, 0, 0, make([]byte, 9),
			ip6(4, net.ParseIP("6000::1"), b6, inner))), ""},
		"like an origin": {udp4(50000, 50001, cat(0, 0, make([]byte, 6), 0x60, make([]byte, 40))), ""},
	} {
		d := NewDecoder()
		r, err := decode(d, 101, c.packet)
		assert.NoError(t, err, name)
		require.Len(t, r.packets, 1, name)
		assert.Equal(t, conn.UDP, r.packets[0].Proto)
		assert.Empty(t, r.tunnels, name)
		if c.weird == "" {
			assert.Empty(t, r.weirds, name)
		} else {
			assert.Equal(t, []string{c.weird + " 198.51.100.1 > 198.51.100.2"}, r.weirds)
		}
	}
}

// After one packet of another protocol, no later packet of the connection is opened.
func TestTunnelViolation(t *testing.T) {
	good, bad := vxlan(50000, 4789, inner), udp4(50000, 4789, make([]byte, 60))
	other := vxlan(50001, 4789, inner)
	r, err := decode(NewDecoder(), 101, good, bad, good, other)
	require.NoError(t, err)
	assert.Len(t, r.packets, 6, "the first and the last have one inside")
	assert.Equal(t, []string{"tunnel_protocol_violation 198.51.100.1 > 198.51.100.2"}, r.weirds)

	// GTP has many types of messages.
	gtp := udp4(2152, 2152, cat(0x30, 255, 0, len(inner), 0, 0, 0, 1, inner))
	r, err = decode(NewDecoder(), 101, udp4(2152, 2152, make([]byte, 60)), gtp)
	require.NoError(t, err)
	assert.Len(t, r.packets, 3)
}

func TestGTPIsNeverInGTP(t *testing.T) {
	gtp := func(inside []byte) []byte { return udp4(2152, 2152, cat(0x30, 255, 0, 0, 0, 0, 0, 1, inside)) }
	r, err := decode(NewDecoder(), 101, gtp(gtp(inner)))
	require.NoError(t, err)
	assert.Len(t, r.packets, 2)
}

// A host drops a packet with a wrong checksum, and with it the packet inside. Zeek accepts packets
// without a checksum.
func TestTunnelChecksum(t *testing.T) {
	for _, c := range []struct {
		sum    int
		ignore bool
		opened bool
	}{{-1, false, true}, {0, false, true}, {1, false, false}, {1, true, true}} {
		for _, at := range []int{20, 40} {
			f := vxlan(50000, 4789, inner)
			if at == 40 {
				f = serialize(&layers.IPv6{Version: 6, SrcIP: a6, DstIP: b6, NextHeader: 17},
					&layers.UDP{SrcPort: 50000, DstPort: 4789}, gopacket.Payload(cat(8, make([]byte, 7), eth(0x0800, inner))))
			}
			if c.sum >= 0 {
				binary.BigEndian.PutUint16(f[at+6:], uint16(c.sum))
			}
			d := NewDecoder()
			d.IgnoreChecksums = c.ignore
			r, err := decode(d, 101, f)
			require.NoError(t, err)
			assert.Equal(t, c.opened, len(r.packets) == 2, fmt.Sprint(c, at))
			assert.Equal(t, now, r.packets[0].Outer.Start)
		}
	}
	f := vxlan(50000, 4789, inner)
	f[26]++
	var r recorder
	require.NoError(t, NewDecoder().Decode(Frame{Data: f, Link: 101, Wire: len(f)}, &r))
	assert.Len(t, r.packets, 1)
	require.NoError(t, NewDecoder().Decode(Frame{Data: f[:len(f)-1], Link: 101, Wire: len(f)}, &r))
	assert.Len(t, r.packets, 3, "the checksum cannot be verified")
}

// Bytes beyond the UDP length are not part of the datagram.
func TestUDPLength(t *testing.T) {
	gtp := udp4(2152, 2152, cat(0x30, 255, 0, len(inner), 0, 0, 0, 1, inner))
	longer := changed(cat(gtp, 1, 2, 3), 3, gtp[3]+3)
	r, err := decode(NewDecoder(), 101, longer)
	require.NoError(t, err)
	require.Len(t, r.packets, 2)
	assertInner(t, r.packets[1])

	// Hosts drop a datagram with a length below 8, so it belongs to no tunnel. 0 is a jumbogram's
	// length.
	for length, opened := range map[byte]bool{8: false, 0: true, 1: false, 7: false} {
		f := vxlan(50000, 4789, inner)
		f[25], f[26], f[27] = length, 1, 1
		d := NewDecoder()
		d.IgnoreChecksums = true
		r, err = decode(d, 101, f)
		require.NoError(t, err)
		assert.Equal(t, opened, len(r.packets) == 2, length)
	}
}

func TestMalformedGRE(t *testing.T) {
	for _, c := range []struct {
		packet []byte
		weird  string
	}{
		{ip4(47, c4, d4, []byte{0, 0, 8}), "truncated_GRE"},
		{gre4(0xb000, 0x0800, make([]byte, 11)), "truncated_GRE 198.51.100.1 > 198.51.100.2"},
		{gre4(0x0080, 0x0800, make([]byte, 3)), "truncated_GRE 198.51.100.1 > 198.51.100.2"},
		{gre4(0, 0x0800), "truncated_GRE 198.51.100.1 > 198.51.100.2"},
		{gre4(0x1000, 0x88be, make([]byte, 12)), "truncated_GRE 198.51.100.1 > 198.51.100.2"},
		{gre4(0x1000, 0x22eb, make([]byte, 16)), "truncated_GRE 198.51.100.1 > 198.51.100.2"},
		{gre4(2, 0x0800, inner), "unknown_gre_version 198.51.100.1 > 198.51.100.2"},
		{gre4(0x4000, 0x0800, inner), "gre_routing 198.51.100.1 > 198.51.100.2"},
		{gre4(8, 0x0800, inner), "unknown_gre_flags 198.51.100.1 > 198.51.100.2"},
		{gre4(1, 0x0800, inner), "egre_protocol_type 198.51.100.1 > 198.51.100.2"},
		{ip4(4, c4, d4, inner6), "invalid_inner_IP_version 198.51.100.1 > 198.51.100.2"},
		{ip4(41, c4, d4, inner), "invalid_inner_IP_version 198.51.100.1 > 198.51.100.2"},
		{ip4(4, c4, d4, inner[:19]), "truncated_inner_IP"},
	} {
		r, err := decode(NewDecoder(), 101, c.packet)
		assert.Equal(t, ErrMalformed, err, c.weird)
		assert.Equal(t, []string{c.weird}, r.weirds)
		assert.Empty(t, r.packets)
		assert.Empty(t, r.tunnels)
	}
	r, err := decode(NewDecoder(), 101, ip4(4, c4, d4, cat(inner, 0)))
	require.NoError(t, err)
	assert.Equal(t, []string{"inner_IP_payload_length_mismatch 198.51.100.1 > 198.51.100.2"}, r.weirds)
	require.Len(t, r.packets, 1)
	assertInner(t, r.packets[0])
	r, err = decode(NewDecoder(), 101, gre4(0, 0x1234, inner))
	assert.Equal(t, ErrUnknown, err)
	assert.Equal(t, []string{"no_suitable_analyzer_found EtherType 0x1234"}, r.weirds)
	// EoIP has the length of the frame.
	r, err = decode(NewDecoder(), 101, gre4(0x2001, 0x6400, 0, 14+len(inner), 1, 0, eth(0x0800, cat(inner, 1, 2, 3))))
	require.NoError(t, err)
	assertInner(t, r.packets[0])
	_, err = decode(NewDecoder(), 101, gre4(0x2001, 0x6400, 0, 13+len(inner), 1, 0, eth(0x0800, inner)))
	assert.Equal(t, ErrMalformed, err)
}

// A tunnel may contain itself. The path of a packet is that of its place, not of the deepest place
// in the same frame.
func TestTunnelInItself(t *testing.T) {
	sub := func(ip []byte) []byte {
		data := cat(snap(0x0800), ip)
		b := cat(make([]byte, 12), len(data)>>8, len(data)&0xff, data)
		return append(b, make([]byte, (4-len(b)%4)%4)...)
	}
	aruba := func(packets ...[]byte) []byte { // GRE with an A-MSDU
		frame := cat(0x88, 1, make([]byte, 22), 0x80, 0, bytes.Join(packets, nil))
		return ip4(layers.IPProtocolGRE, a4, b4, cat(0, 0, 0x90, 0, frame))
	}
	frame := aruba(sub(aruba(sub(inner), sub(inner))), sub(inner), sub(aruba(sub(inner))))
	d := NewDecoder()
	for range 2 {
		r, err := decode(d, layers.LinkTypeRaw, frame)
		require.NoError(t, err)
		var depths []int
		for _, p := range r.packets {
			depths = append(depths, len(p.Tunnels))
		}
		assert.Equal(t, []int{2, 2, 1, 2}, depths)
	}
}
