package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/require"

	"example.com/conn/analyzer/capture"
	"example.com/conn/analyzer/flow"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/panics"
)

// A tunnelTape is a capture of random tunnels between a few endpoints, so that connections overlap,
// pause, end and begin again. Each packet inside is a connection of its own.
type tunnelTape struct {
	t      *testing.T
	random *rand.Rand
	b      bytes.Buffer
	w      *pcapgo.Writer
	at     time.Time
	outer  map[string][2]netip.AddrPort // by the originator inside
	frames int                          // with a valid outer header
}

func newTunnelTape(t *testing.T, seed uint64) *tunnelTape {
	c := &tunnelTape{
		t: t, random: rand.New(rand.NewPCG(seed, 0)), at: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		outer: make(map[string][2]netip.AddrPort),
	}
	c.w = pcapgo.NewWriter(&c.b)
	require.NoError(t, c.w.WriteFileHeader(65535, layers.LinkTypeRaw))
	return c
}

// endpoint returns one of a few endpoints. Some ports are a tunnel's, a parser's or a client's.
func (c *tunnelTape) endpoint(v6 bool) netip.AddrPort {
	ports := [...]uint16{4789, 4789, 2152, 3544, 53, 50000, 50001}
	addr := netip.AddrFrom4([4]byte{10, 0, 0, byte(1 + c.random.IntN(3))})
	if v6 {
		addr = netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", 1+c.random.IntN(3)))
	}
	return netip.AddrPortFrom(addr, ports[c.random.IntN(len(ports))])
}

// inside returns a packet unlike any other, after the given layers, for a tunnel between src and
// dst.
func (c *tunnelTape) inside(src, dst netip.AddrPort, v6 bool, before ...gopacket.SerializableLayer) []byte {
	id := binary.BigEndian.AppendUint16(nil, uint16(len(c.outer)))
	udp := &layers.UDP{SrcPort: 9, DstPort: 9}
	var ip interface {
		gopacket.SerializableLayer
		gopacket.NetworkLayer
	}
	var from net.IP
	if v6 {
		from = append(net.ParseIP("2001::")[:14], id...)
		ip = &layers.IPv6{Version: 6, HopLimit: 1, NextHeader: layers.IPProtocolUDP, SrcIP: from, DstIP: net.ParseIP("2001:db8:1::1")}
	} else {
		from = append(net.IP{172, 16}, id...)
		ip = &layers.IPv4{Version: 4, TTL: 1, Protocol: layers.IPProtocolUDP, SrcIP: from, DstIP: net.IP{172, 31, 0, 1}}
	}
	require.NoError(c.t, udp.SetNetworkLayerForChecksum(ip))
	c.outer[from.String()] = [2]netip.AddrPort{src, dst}
	return c.serialize(append(before, ip, udp)...)
}

func (c *tunnelTape) vxlan(src, dst netip.AddrPort) []byte {
	mac := make(net.HardwareAddr, 6)
	return c.inside(src, dst, false, &layers.VXLAN{ValidIDFlag: true},
		&layers.Ethernet{SrcMAC: mac, DstMAC: mac, EthernetType: layers.EthernetTypeIPv4})
}

func (c *tunnelTape) serialize(ls ...gopacket.SerializableLayer) []byte {
	b := gopacket.NewSerializeBuffer()
	require.NoError(c.t, gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ls...))
	return b.Bytes()
}

// datagram writes a frame. If change is not nil, it modifies the UDP header.
func (c *tunnelTape) datagram(src, dst netip.AddrPort, payload []byte, change func(udp []byte)) {
	udp := &layers.UDP{SrcPort: layers.UDPPort(src.Port()), DstPort: layers.UDPPort(dst.Port())}
	var data []byte
	if src.Addr().Is4() {
		ip := &layers.IPv4{Version: 4, TTL: 1, Protocol: layers.IPProtocolUDP, SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice()}
		require.NoError(c.t, udp.SetNetworkLayerForChecksum(ip))
		data = c.serialize(ip, udp, gopacket.Payload(payload))
	} else {
		ip := &layers.IPv6{Version: 6, HopLimit: 1, NextHeader: layers.IPProtocolUDP, SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice()}
		require.NoError(c.t, udp.SetNetworkLayerForChecksum(ip))
		data = c.serialize(ip, udp, gopacket.Payload(payload))
	}
	if change != nil {
		change(data[len(data)-len(payload)-8:])
	}
	c.frames++
	require.NoError(c.t, c.w.WritePacket(gopacket.CaptureInfo{Timestamp: c.at, CaptureLength: len(data), Length: len(data)}, data))
}

// frame writes a frame of any kind, after a pause that is sometimes as long as the timeout.
func (c *tunnelTape) frame() {
	c.at = c.at.Add(time.Duration(1+c.random.IntN(1000)) * time.Millisecond)
	if c.random.IntN(30) == 0 {
		c.at = c.at.Add(time.Duration(c.random.IntN(80)) * time.Second)
	}
	v6 := c.random.IntN(4) == 0
	src, dst := c.endpoint(v6), c.endpoint(v6)
	switch c.random.IntN(9) {
	case 0, 1, 2:
		var change func([]byte)
		if v6 { // RFC 6935
			change = func(udp []byte) { udp[6], udp[7] = 0, 0 }
			if src.Port() != 4789 {
				dst = netip.AddrPortFrom(dst.Addr(), 4789)
			}
		}
		c.datagram(src, dst, c.vxlan(src, dst), change)
	case 3, 4: // on any port
		c.datagram(src, dst, c.inside(src, dst, true), nil)
	case 5:
		c.datagram(src, dst, []byte("hello"), nil)
	case 6: // a response to a query that is not in the capture
		c.datagram(src, dst, []byte("\x12\x34\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00\x01x\x00\x00\x01\x00\x01"), nil)
	case 7:
		c.datagram(src, dst, c.vxlan(src, dst), func(udp []byte) { udp[6] ^= 1 })
	case 8:
		c.datagram(src, dst, c.vxlan(src, dst), func(udp []byte) { copy(udp[4:], []byte{0, 7, 0, 0}) })
		c.frames--
	}
}

// flood writes a frame for each of n outer connections.
func (c *tunnelTape) flood(n int) {
	for i := range n {
		src := netip.AddrPortFrom(netip.AddrFrom4([4]byte{11, 0, byte(i >> 8), byte(i)}), 1)
		c.datagram(src, netip.MustParseAddrPort("10.0.0.9:4789"), []byte{8, 0, 0, 0, 0, 0, 0, 0}, nil)
	}
}

// A tunnel's UID in conn.log and tunnel.log is that of its outer connection, whose row covers the
// packet inside.
func TestTunnelsAreConnections(t *testing.T) {
	seeds := uint64(20)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		c := newTunnelTape(t, seed)
		for range 400 {
			c.frame()
		}
		if seed%10 == 9 { // more tunnels than the decoder tracks
			c.flood(1<<15 + 10)
			for range 100 {
				c.frame()
			}
		}
		live := func(cfg flow.Config, w io.Writer) {
			out := logs.NewOutput(w, nil)
			worker := newWorker(cfg, out)
			s, err := capture.FromBytes("test", c.b.Bytes())
			require.NoError(t, err)
			for f, err := s.Next(); err == nil; f, err = s.Next() {
				worker.frame(f)
			}
			worker.end()
			require.NoError(t, out.Close())
		}
		read := func(workers int) func(flow.Config, io.Writer) {
			return func(cfg flow.Config, w io.Writer) {
				out := logs.NewOutput(w, nil)
				a := newAnalysis(workers, cfg, out)
				s, err := capture.FromBytes("test", c.b.Bytes())
				require.NoError(t, err)
				a.start()
				require.NoError(t, a.read(context.Background(), s, func() {}))
				a.finish()
				require.NoError(t, out.Close())
			}
		}
		for name, run := range map[string]func(flow.Config, io.Writer){"1 worker": read(1), "2 workers": read(2), "interface": live} {
			for _, max := range []int{1 << 20, 10} {
				t.Run(fmt.Sprintf("seed=%d/%s/max=%d", seed, name, max), func(t *testing.T) {
					cfg := defaults().flow
					cfg.Errors, cfg.Panics, cfg.MaxConnections = io.Discard, panics.NewReporter(io.Discard), max
					var rows bytes.Buffer
					run(cfg, &rows)
					c.check(t, &rows, max > 10, max > 10 && seed%10 < 9)
				})
			}
		}
	}
}

type tunnelRow struct {
	Path      string      `json:"_path"`
	TS        logs.Micros `json:"ts"`
	Duration  logs.Micros `json:"duration"`
	UID       string      `json:"uid"`
	OrigH     netip.Addr  `json:"id.orig_h"`
	OrigP     uint16      `json:"id.orig_p"`
	RespH     netip.Addr  `json:"id.resp_h"`
	RespP     uint16      `json:"id.resp_p"`
	OrigPkts  int         `json:"orig_pkts"`
	RespPkts  int         `json:"resp_pkts"`
	Parents   []string    `json:"tunnel_parents"`
	endpoints [2]netip.AddrPort
}

// check checks the rows. unique is set if the table was never full, whole if the decoder never was
// either.
func (c *tunnelTape) check(t *testing.T, rows io.Reader, unique, whole bool) {
	var inside, tunnels []tunnelRow
	conns := make(map[string][]tunnelRow)
	last := make(map[[2]netip.AddrPort]tunnelRow)
	isTunnel := map[uint16]bool{4789: true, 2152: true, 3544: true}
	packets := 0
	b, err := io.ReadAll(rows)
	require.NoError(t, err)
	for line := range strings.Lines(string(b)) {
		var r tunnelRow
		require.NoError(t, json.Unmarshal([]byte(line), &r), line)
		r.endpoints = [2]netip.AddrPort{netip.AddrPortFrom(r.OrigH, r.OrigP), netip.AddrPortFrom(r.RespH, r.RespP)}
		switch {
		case r.Path == "tunnel":
			tunnels = append(tunnels, r)
		case r.Path == "conn" && len(r.Parents) > 0:
			inside = append(inside, r)
		case r.Path == "conn":
			packets += r.OrigPkts + r.RespPkts
			conns[r.UID] = append(conns[r.UID], r)
			if unique {
				require.Len(t, conns[r.UID], 1, "rows with one UID")
			}
			before, after := r.endpoints, last[r.endpoints]
			if after.UID == "" {
				before[0], before[1] = before[1], before[0]
				after = last[before]
			}
			if whole && after.UID != "" && (isTunnel[r.OrigP] || isTunnel[r.RespP]) {
				require.GreaterOrEqual(t, r.TS-after.TS-after.Duration, logs.Interval(time.Minute), "an outer connection has two rows")
			}
			last[before] = r
		}
	}
	require.Equal(t, c.frames, packets, "every outer packet is in one row")
	require.NotEmpty(t, inside)
	for _, r := range inside {
		require.Len(t, r.Parents, 1)
		src, dst := c.outer[r.OrigH.String()][0], c.outer[r.OrigH.String()][1]
		covered := false
		for _, o := range conns[r.Parents[0]] {
			between := o.endpoints == [2]netip.AddrPort{src, dst} || o.endpoints == [2]netip.AddrPort{dst, src}
			covered = covered || between && o.TS <= r.TS && r.TS <= o.TS+o.Duration
		}
		require.True(t, covered, "the packet of %s at %d was inside %v > %v, but its tunnel is %+v", r.UID, r.TS, src, dst, conns[r.Parents[0]])
	}
	for _, r := range tunnels {
		require.NotEmpty(t, conns[r.UID], "tunnel.log has %+v", r)
		for _, o := range conns[r.UID] {
			require.Equal(t, o.endpoints, r.endpoints)
		}
	}
}
