package flow_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/assert"

	"example.com/conn"
	"example.com/conn/analyzer/flow"
	"example.com/conn/analyzer/packet"
	"example.com/conn/analyzer/protocol"
)

// Weirds about TCP are Zeek's, and in Zeek's order.
func TestWeirdTCP(t *testing.T) {
	syn, synAck, ack := step{"o", "S", 100, 0, ""}, step{"r", "SA", 500, 101, ""}, step{"o", "A", 101, 501, ""}
	up := func(steps ...step) []step { return append([]step{syn, synAck, ack}, steps...) }
	for name, c := range map[string]struct {
		steps []step
		want  []string
	}{
		"normal":                       {up(step{"o", "A", 101, 501, "x"}, step{"o", "FA", 102, 501, ""}, step{"r", "FA", 501, 103, ""}, step{"o", "A", 103, 502, ""}), nil},
		"data before SYN-ACK":          {[]step{syn, {"o", "A", 101, 501, "x"}}, []string{"possible_split_routing", "data_before_established"}},
		"SYN with data":                {[]step{{"o", "S", 100, 0, "x"}}, []string{"SYN_with_data"}},
		"SYN-ACK first":                {[]step{{"o", "SA", 100, 7, ""}}, []string{"connection_originator_SYN_ack"}},
		"SYN and RST":                  {[]step{{"o", "SR", 100, 0, ""}}, []string{"TCP_christmas"}},
		"another SYN":                  {[]step{syn, {"o", "S", 200, 0, ""}}, []string{"SYN_seq_jump"}},
		"another SYN when established": {up(step{"o", "S", 9000, 0, ""}), []string{"active_connection_reuse"}},
		"another SYN-ACK":              {up(step{"r", "SA", 800, 101, ""}), []string{"SYN_seq_jump"}},
		"SYN-ACK again, after data":    {up(step{"r", "A", 501, 101, "x"}, step{"r", "SA", 500, 101, ""}), []string{"SYN_inside_connection"}},
		"SYN from the responder":       {[]step{syn, {"r", "S", 100, 0, ""}}, []string{"simultaneous_open"}},
		"SYN-ACK with a wrong ACK":     {[]step{syn, {"r", "SA", 500, 300, ""}}, []string{"bad_SYN_ack"}},
		"SYN-ACK with an old ACK":      {[]step{syn, {"r", "SA", 500, 90, ""}}, []string{"bad_SYN_ack"}},
		"SYN with ACK after SYN":       {[]step{syn, {"o", "SA", 100, 1, ""}}, []string{"repeated_SYN_with_ack"}},
		"retransmitted SYN":            {[]step{syn, syn}, nil},
		"SYN with ACK and RST":         {[]step{syn, {"o", "SAR", 100, 1, ""}}, []string{"TCP_christmas"}},
		"SYN with ACK and FIN":         {[]step{syn, {"o", "SAF", 100, 1, ""}}, []string{"inappropriate_FIN"}},
		"SYN-ACK with ACK again":       {[]step{{"o", "SA", 100, 7, ""}, {"o", "SA", 100, 7, ""}}, []string{"connection_originator_SYN_ack"}},
		"no flags":                     {[]step{{"o", "", 100, 0, "x"}, {"o", "", 101, 0, "x"}}, nil},
		"no flags, after a partial connection": {[]step{{"o", "A", 100, 500, "x"}, {"r", "A", 500, 101, "x"}, {"o", "FA", 101, 501, ""}, {"r", "FA", 501, 102, ""},
			{"o", "", 102, 0, "x"}}, nil},
		"SYN with data, then an ACK":    {[]step{{"o", "S", 100, 0, "x"}, {"o", "A", 102, 501, ""}}, []string{"SYN_with_data"}},
		"late SYN-ACK with a wrong ACK": {[]step{syn, ack, {"r", "SA", 500, 300, ""}}, []string{"bad_SYN_ack"}},
		"late SYN-ACK":                  {[]step{syn, ack, {"r", "SA", 500, 101, ""}}, nil},
		"another SYN after a rejection": {[]step{syn, {"r", "RA", 0, 101, ""}, {"o", "S", 9000, 0, ""}}, []string{"SYN_seq_jump"}},
		"FIN instead of SYN-ACK":        {[]step{syn, {"o", "F", 101, 0, ""}}, []string{"inappropriate_FIN"}},
		"FIN after data":                {[]step{syn, ack, {"r", "A", 501, 101, "x"}, {"o", "FA", 101, 502, ""}}, []string{"possible_split_routing"}},
		"new SYN after RST":             {up(step{"o", "FA", 101, 501, ""}, step{"r", "R", 501, 0, ""}, step{"o", "S", 9000, 0, ""}), nil},
		"SYN after partial":             {[]step{{"o", "A", 100, 1, "x"}, {"o", "S", 99, 1, ""}}, []string{"SYN_inside_connection", "SYN_after_partial"}},
		"SYN after its FIN":             {up(step{"o", "FA", 101, 501, ""}, step{"o", "S", 100, 0, ""}), []string{"SYN_after_close"}},
		"SYN after RST":                 {[]step{syn, {"o", "R", 101, 0, ""}, syn}, []string{"SYN_after_reset"}},
		"data after RST":                {up(step{"o", "R", 101, 501, ""}, step{"o", "A", 101, 501, "x"}), []string{"data_after_reset"}},
		"FIN beyond the first":          {up(step{"o", "FA", 101, 501, ""}, step{"o", "FA", 105, 501, ""}), []string{"FIN_advanced_last_seq"}},
		"segment before the SYN":        {[]step{syn, {"o", "A", 90, 501, ""}}, []string{"segment_outside_window"}},
		"ACK below the SYN-ACK":         {up(step{"o", "A", 101, 490, ""}), []string{"TCP_ack_underflow_or_misorder"}},
		"new SYN right after FINs":      {up(step{"o", "FA", 101, 501, ""}, step{"r", "FA", 501, 102, ""}, step{"o", "S", 9000, 0, ""}), []string{"premature_connection_reuse"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, nil)
			h.play(c.steps...)
			h.close()
			assert.Equal(t, c.want, h.weirds())
		})
	}
}

// A weird at the end of a connection has the time of the connection's last packet, because the time
// of removal depends on packets of other connections.
func TestWeirdAtEndHasTimeOfLastPacket(t *testing.T) {
	for _, after := range []time.Duration{5 * time.Minute, time.Hour} {
		p := &fake{name: "hello"}
		p.hook = func(c *conn.Connection) bool { p.owner.Weird(c, "unfinished", ""); return true }
		h := newHarness(t, nil, p)
		h.handshake()
		h.tcp(client, server, "A", 101, 501, "hello")
		h.tcp(client, server, "A", 106, 502, "with an ACK of what was not sent")
		h.table.Advance(h.now.Add(after))
		assert.Equal(t, []string{"ack_outside_window", "unfinished"}, h.weirds())
		assert.Equal(t, 2, strings.Count(h.rows.String(), fmt.Sprintf(`"weird","ts":%d.005000,`, start.Unix())))
		h.close()
	}
}

// Rows about packets without a connection are limited.
func TestPacketWeirdsBounded(t *testing.T) {
	h := newHarness(t, nil)
	for range 10_000 {
		h.packet(client, server, conn.TCP, make([]byte, 19))
	}
	assert.Equal(t, 10_000, h.table.Stats.DecodeErrors)
	assert.Less(t, len(h.weirds()), 6000)
	h.close()
}

func TestConnectionWeirdsBounded(t *testing.T) {
	p := &fake{name: "hello"}
	p.onData = func(c *conn.Connection, _ protocol.Packet, data []byte) (int, protocol.Next) {
		p.owner.Weird(c, "first", "more of it")
		p.owner.Weird(c, "first", "other")
		p.owner.Weird(&conn.Connection{ID: c.ID}, "of an unknown connection", "")
		for i := range 100 {
			p.owner.Weird(c, fmt.Sprint("made up ", i), "")
		}
		return len(data), protocol.More
	}
	h := newHarness(t, nil, p)
	for i := range uint16(2) {
		h.tcp(h.establish(i+1), server, "A", 101, 501, "hello")
	}
	names := h.weirds()
	assert.Len(t, names, 32)
	assert.Equal(t, []string{"first", "made up 0", "made up 1"}, names[:3])
	assert.Equal(t, "first", names[16])
	assert.Contains(t, h.rows.String(), `"name":"first","addl":"more of it","notice":false,"source":"HELLO"`)
	h.close()
}

func TestMalformedHeaders(t *testing.T) {
	tcp := func(offset byte) []byte {
		b := serialize(t, client, server, &layers.TCP{SrcPort: 1, DstPort: 2, SYN: true}, "")
		b[12] = offset << 4
		return b
	}
	for name, c := range map[string]struct {
		proto   conn.Proto
		payload []byte
		length  int
		want    string
	}{
		"short TCP":                     {conn.TCP, make([]byte, 19), 19, "truncated_header"},
		"TCP, not captured whole":       {conn.TCP, make([]byte, 19), 60, "internally_truncated_header"},
		"TCP header of 16 bytes":        {conn.TCP, tcp(4), 20, "bad_TCP_header_len"},
		"TCP header of 24 bytes":        {conn.TCP, tcp(6), 20, "internally_truncated_header"},
		"TCP, last byte not captured":   {conn.TCP, make([]byte, 19), 20, "internally_truncated_header"},
		"UDP, last byte not captured":   {conn.UDP, make([]byte, 7), 8, "internally_truncated_header"},
		"ICMP, last byte not captured":  {conn.ICMP, make([]byte, 7), 8, "internally_truncated_header"},
		"ICMPv6 cut at the end":         {conn.ICMPv6, make([]byte, 3), 4, "internally_truncated_header"},
		"short UDP":                     {conn.UDP, make([]byte, 7), 7, "truncated_header"},
		"UDP length below the header's": {conn.UDP, []byte{0, 1, 0, 2, 0, 7, 0, 0}, 8, "UDP_datagram_length_mismatch"},
		"short ICMP":                    {conn.ICMP, make([]byte, 7), 7, "truncated_header"},
		"short ICMPv6":                  {conn.ICMPv6, make([]byte, 3), 3, "truncated_header"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, nil)
			h.table.Packet(&packet.Packet{
				Time: h.now, Now: h.now, Src: client.Addr(), Dst: server.Addr(), Proto: c.proto, Payload: c.payload, Length: c.length})
			assert.Equal(t, []string{c.want}, h.weirds())
			assert.Contains(t, h.rows.String(), `"id.orig_h":"192.0.2.1","id.orig_p":0,"id.resp_h":"198.51.100.1","id.resp_p":0,`)
			assert.Equal(t, 1, h.table.Stats.DecodeErrors)
			assert.Empty(t, h.close())
		})
	}
}

func TestUDPLengthMismatch(t *testing.T) {
	h := newHarness(t, nil)
	b := serialize(t, client, server, &layers.UDP{SrcPort: 40000, DstPort: 7000}, "hello")
	h.packet(client, server, conn.UDP, append(b, "tail"...))
	assert.Equal(t, []string{"UDP_datagram_length_mismatch"}, h.weirds())
	assert.Contains(t, h.rows.String(), `"addl":"13 != 17"`)
	h.close()
}

func TestTruncatedPayloadIsWeird(t *testing.T) {
	p := &fake{name: "hello"}
	h := newHarness(t, nil, p)
	h.handshake()
	b := serialize(t, client, server, &layers.TCP{SrcPort: 40000, DstPort: 7000, Seq: 101, Ack: 501, ACK: true, Window: 1000}, "hello")
	h.table.Packet(&packet.Packet{
		Time: h.now, Now: h.now, Src: client.Addr(), Dst: server.Addr(), Proto: conn.TCP, Payload: b[:22], Length: len(b)})
	assert.Equal(t, []string{"truncated_tcp_payload"}, h.weirds())
	assert.Empty(t, p.got.String())
	h.tcp(server, client, "A", 501, 106, "")
	assert.Equal(t, []string{"40000>7000 S1 ShADaG 5/0"}, h.close())
	assert.Contains(t, h.rows.String(), `"missed_bytes":5`)
	assert.EqualValues(t, 5, h.table.Stats.MissedBytes)
}

func TestWeirdsBoundedAcrossConnections(t *testing.T) {
	h := newHarness(t, nil)
	for i := range 6000 {
		h.tcp(netip.AddrPortFrom(client.Addr(), uint16(i+1)), server, "S", 100, 0, "x")
	}
	assert.Len(t, h.weirds(), 5001)
	h.close()
}

func TestFieldsOfConn(t *testing.T) {
	h := newHarness(t, func(c *flow.Config) { c.Local = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	tunnel := func(uids ...string) (ts []packet.Tunnel) {
		for _, uid := range uids {
			ts = append(ts, packet.Tunnel{Outer: &packet.Outer{UID: uid}})
		}
		return ts
	}
	for i, uids := range [][]string{nil, {"C1"}, {"C1", "C2"}, {"C2"}, {"C1"}} {
		b := serialize(t, client, server, &layers.UDP{SrcPort: 40000, DstPort: 7000}, "hello")
		h.table.Packet(&packet.Packet{
			Time: start.Add(time.Duration(i)), Now: start.Add(time.Duration(i)), Src: client.Addr(), Dst: server.Addr(), Proto: conn.UDP,
			Payload: b, Length: len(b), IPLength: 100, Tunnels: tunnel(uids...),
		})
	}
	for i := range 20 {
		b := serialize(t, server, client, &layers.UDP{SrcPort: 7000, DstPort: 40000}, "")
		h.table.Packet(&packet.Packet{
			Time: start.Add(time.Second), Now: start.Add(time.Second), Src: server.Addr(), Dst: client.Addr(), Proto: conn.UDP,
			Payload: b, Length: len(b), IPLength: 28, Tunnels: tunnel(fmt.Sprint("D", i)),
		})
	}
	h.close()
	assert.Contains(t, h.rows.String(), `"duration":1.000000,"orig_bytes":25,"resp_bytes":0,"conn_state":"SF",`+
		`"local_orig":true,"local_resp":false,"missed_bytes":0,"history":"Dd","orig_pkts":5,"orig_ip_bytes":500,`+
		`"resp_pkts":20,"resp_ip_bytes":560,"tunnel_parents":["C1","C2","D0","D1","D2","D3","D4","D5"],"ip_proto":17}`)
}

func TestPrivateNetworks(t *testing.T) {
	for addr, want := range map[string]bool{
		"10.1.2.3": true, "11.1.2.3": false, "192.168.0.1": true, "239.255.255.250": true, "8.8.8.8": false,
		"fe80::1": true, "2001:db8::1": true, "2600::1": false, "2002:0a01:0203::1": true, "2002:0b01:0203::1": false,
		"2002:c0a8:1::1": true, "2002:c0a9:1::1": false,
	} {
		a := netip.MustParseAddr(addr)
		n := 0
		for _, p := range flow.PrivateNetworks {
			if p.Contains(a) {
				n++
			}
		}
		assert.Equal(t, want, n > 0, addr)
	}
	h := newHarness(t, nil)
	h.udp(netip.MustParseAddrPort("8.8.8.8:1"), netip.MustParseAddrPort("10.0.0.1:1"), "x")
	h.udp(netip.MustParseAddrPort("[2600::1]:1"), netip.MustParseAddrPort("[fd00::1]:1"), "x")
	h.close()
	assert.Equal(t, 2, strings.Count(h.rows.String(), `"local_orig":false,"local_resp":true`))
}

// A weird that a parser reports for every byte allocates only the first time.
func TestRepeatedWeirdAllocatesNothing(t *testing.T) {
	p := &fake{name: "hello"}
	allocs := -1.0
	p.onData = func(c *conn.Connection, _ protocol.Packet, data []byte) (int, protocol.Next) {
		allocs = testing.AllocsPerRun(10, func() { p.owner.Weird(c, "odd", "") })
		return len(data), protocol.More
	}
	h := newHarness(t, nil, p)
	h.handshake()
	h.tcp(client, server, "A", 101, 501, "hello")
	assert.Zero(t, allocs)
	assert.Equal(t, []string{"odd"}, h.weirds())
	h.close()
}

// A weird has the time of the packet that shows it, even if the packet does not count towards the
// duration. One that is found at the removal has the time of the last packet that does count,
// because the time of removal depends on other connections.
func TestWeirdTime(t *testing.T) {
	h := newHarness(t, nil)
	h.handshake()
	h.tcp(client, server, "A", 101, 600, "decoy") // at 4 ms; weird when the connection is removed
	h.tcp(server, client, "A", 501, 50, "")       // at 5 ms; dropped
	h.tcp(h.establish(1), server, "A", 101, 501, "hello")
	h.close()
	h.log.Flush()
	assert.Regexp(t, `"ts":1767225600.005\d*,.*"name":"TCP_ack_underflow_or_misorder"`, h.rows.String())
	assert.Regexp(t, `"ts":1767225600.004\d*,.*"name":"ack_outside_window"`, h.rows.String())
}
