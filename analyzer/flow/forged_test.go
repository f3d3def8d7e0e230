package flow_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn"
	"example.com/conn/analyzer/flow"
	"example.com/conn/analyzer/packet"
	"example.com/conn/analyzer/protocol"
)

func TestBadChecksumsIgnored(t *testing.T) {
	p := &fake{name: "hello"}
	h := newHarness(t, nil, p)
	h.handshake()
	h.tcp(client, server, "A", 101, 501, "hello")
	h.damaged(client, server, "A", 106, 501, "decoy")
	h.damaged(client, server, "RA", 106, 501, "")
	h.damaged(server, client, "FA", 501, 106, "")
	h.damaged(client, server, "S", 9000, 0, "")
	h.tcp(client, server, "A", 106, 501, "truth")
	assert.Equal(t, ">hello>truth", p.got.String())
	assert.Equal(t, []string{"bad_TCP_checksum"}, h.weirds(), "once per connection")
	assert.Equal(t, []string{"40000>7000 S1 ShADCc 10/0 hello"}, h.close())
	assert.Equal(t, 4, h.table.Stats.BadChecksums)
}

func TestBadChecksumsOfOtherTransports(t *testing.T) {
	v6client, v6server := netip.MustParseAddrPort("[2001:db8::1]:40000"), netip.MustParseAddrPort("[2001:db8::2]:7000")
	p := &fake{name: "hello", udp: true}
	h := newHarness(t, nil, p)
	h.damage = true
	h.udp(client, server, "hello")
	h.udp(v6client, v6server, "hello")
	h.tcp(v6client, v6server, "S", 100, 0, "")
	h.icmp(client, server, 8, 0, "x")
	icmp6 := layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(128, 0)}
	h.packet(v6client, v6server, conn.ICMPv6, serialize(t, v6client, v6server, &icmp6, "12345"))
	h.damage = false
	assert.Empty(t, p.got.String())
	assert.ElementsMatch(t, []string{
		"bad_UDP_checksum", "bad_UDP_checksum", "bad_TCP_checksum", "bad_ICMP_checksum", "bad_ICMP_checksum"}, h.weirds())
	h.table.Advance(h.now.Add(time.Minute + time.Second))
	assert.ElementsMatch(t, []string{
		"40000>7000 OTH C -", "40000>7000 OTH C -", "40000>7000 OTH C -", "8>0 OTH C -", "128>129 OTH C -"}, h.conns())
	assert.Contains(t, h.rows.String(), `"proto":"udp","conn_state":"OTH","local_orig":true,"local_resp":true,`+
		`"missed_bytes":0,"history":"C","orig_pkts":1`)
	assert.Contains(t, h.rows.String(), `"proto":"tcp","conn_state":"OTH","local_orig":true,"local_resp":true,`+
		`"missed_bytes":0,"history":"C","orig_pkts":0`)

	h.udp(v6client, v6server, "hello")
	h.icmp(client, server, 8, 0, "x")
	h.packet(v6client, v6server, conn.ICMPv6, serialize(t, v6client, v6server, &icmp6, "12345"))
	assert.Equal(t, ">hello", p.got.String())
	assert.Len(t, h.weirds(), 5)
	h.close()
}

func TestUncheckableChecksumsAccepted(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*flow.Config)
		packet func(h *harness)
	}{
		"none in UDP": {nil, func(h *harness) {
			b := serialize(h.t, client, server, &layers.UDP{SrcPort: 40000, DstPort: 7000}, "hello")
			b[6], b[7] = 0, 0
			h.packet(client, server, conn.UDP, b)
		}},
		"partly captured": {nil, func(h *harness) {
			b := serialize(h.t, client, server, &layers.UDP{SrcPort: 40000, DstPort: 7000}, "hello, this is long")
			h.table.Packet(&packet.Packet{
				Time: h.now, Now: h.now, Src: client.Addr(), Dst: server.Addr(), Proto: conn.UDP, Payload: b[:15], Length: len(b)})
		}},
		"padding after UDP": {nil, func(h *harness) {
			b := serialize(h.t, client, server, &layers.UDP{SrcPort: 40000, DstPort: 7000}, "hello")
			h.packet(client, server, conn.UDP, append(b, "padding"...))
		}},
		"padding after empty UDP": {nil, func(h *harness) {
			b := serialize(h.t, client, server, &layers.UDP{SrcPort: 40000, DstPort: 7000}, "")
			h.packet(client, server, conn.UDP, append(b, "padding"...))
			h.udp(client, server, "hello")
		}},
		"ignored": {func(c *flow.Config) { c.IgnoreChecksums = true }, func(h *harness) {
			h.damage = true
			h.udp(client, server, "hello")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			p := &fake{name: "hello", udp: true}
			h := newHarness(t, c.change, p)
			c.packet(h)
			assert.True(t, strings.HasPrefix(p.got.String(), ">hello"))
			assert.NotContains(t, h.weirds(), "bad_UDP_checksum")
			h.close()
		})
	}
	p := &fake{name: "hello", udp: true}
	h := newHarness(t, nil, p)
	v6client, v6server := netip.MustParseAddrPort("[2001:db8::1]:40000"), netip.MustParseAddrPort("[2001:db8::2]:7000")
	b := serialize(h.t, v6client, v6server, &layers.UDP{SrcPort: 40000, DstPort: 7000}, "hello")
	b[6], b[7] = 0, 0
	h.packet(v6client, v6server, conn.UDP, b)
	assert.Empty(t, p.got.String(), "the checksum is mandatory in IPv6")
	h.close()
}

// Hosts drop a datagram whose length field exceeds the packet or is 0. Bytes after the
// datagram are not part of it.
func TestUDPLength(t *testing.T) {
	for length, c := range map[uint16]struct{ got, size string }{
		0: {"", "10/0"}, 13: {">hello>hello", "10/0"}, 14: {"", "12/0"}, 12: {">hell>hell", "8/0"},
	} {
		p := &fake{name: "hell", udp: true}
		h := newHarness(t, func(cfg *flow.Config) { cfg.IgnoreChecksums = true }, p)
		b := serialize(t, client, server, &layers.UDP{SrcPort: 40000, DstPort: 7000}, "hello")
		binary.BigEndian.PutUint16(b[4:], length)
		h.packet(client, server, conn.UDP, b)
		h.packet(client, server, conn.UDP, b)
		assert.Equal(t, c.got, p.got.String(), "%d bytes", length)
		assert.Equal(t, length != 13, len(h.weirds()) == 1)
		assert.Contains(t, h.close()[0], "40000>7000 S0 D "+c.size)
	}
}

func TestOffloadingWarningOnce(t *testing.T) {
	for name, c := range map[string]struct {
		bad, good int
		udp       bool
		tables    int
		want      int
	}{
		"none":             {0, 100, false, 1, 0},
		"few":              {5, 95, false, 1, 0},
		"many":             {6, 94, false, 1, 1},
		"many in UDP":      {6, 94, true, 1, 1},
		"in a few packets": {3, 3, false, 1, 1},
		"in two tables":    {50, 50, false, 2, 1},
	} {
		t.Run(name, func(t *testing.T) {
			once := new(sync.Once)
			said := ""
			for range c.tables {
				h := newHarness(t, func(cfg *flow.Config) { cfg.Once = once })
				for i := range c.bad + c.good {
					h.damage = i < c.bad
					if c.udp {
						h.udp(client, server, "x")
					} else {
						h.tcp(client, server, "A", 100, 1, "x")
					}
				}
				assert.Empty(t, h.errors.String(), "not yet")
				h.close()
				said += h.errors.String()
			}
			assert.Equal(t, c.want, strings.Count(said, "\n"))
			if c.want > 0 {
				assert.Contains(t, said, "use -C")
				assert.Contains(t, said, fmt.Sprintf("%d of %d packets", c.bad, c.bad+c.good))
			}
		})
	}

	h := newHarness(t, nil)
	for i := range 60 {
		h.damage = i%2 == 0
		h.udp(client, server, "x")
		h.now = h.now.Add(400 * time.Millisecond)
		assert.Equal(t, h.now.Sub(start) > 10*time.Second+401*time.Millisecond, h.errors.String() != "", "after %v", h.now.Sub(start))
	}
	h = newHarness(t, nil)
	for i := range 600 {
		h.damage = i > 300 // after the check
		h.udp(client, server, "x")
		h.now = h.now.Add(100 * time.Millisecond)
	}
	h.close()
	assert.Empty(t, h.errors.String())

	for good, said := range map[int]bool{18: true, 19: false} { // 20 with the first bad one
		h = newHarness(t, nil)
		for range good {
			h.udp(client, server, "x")
		}
		h.now = h.now.Add(10 * time.Second)
		h.damage = true
		for range 30 {
			h.udp(client, server, "x")
		}
		h.close()
		assert.Equal(t, said, h.errors.String() != "", "after %d good packets", good)
	}
}

// A segment outside the window changes nothing, and later segments are followed.
func TestSegmentsOutsideWindow(t *testing.T) {
	for name, c := range map[string]struct {
		flags    string
		seq      uint32
		data     string
		accepted bool
	}{
		"RST before":      {"RA", 102, "", false},
		"FIN before":      {"FA", 102, "", false},
		"RST far beyond":  {"RA", 10_000_000, "", false},
		"data far beyond": {"A", 10_000_000, "junk", false},
		"FIN far beyond":  {"FA", 10_000_000, "", false},
		"RST as expected": {"RA", 106, "", true},
		"FIN as expected": {"FA", 106, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			p := &fake{name: "hello"}
			h := newHarness(t, nil, p)
			h.handshake()
			h.tcp(client, server, "A", 101, 501, "hello")
			h.tcp(server, client, "A", 501, 106, "reply")
			h.tcp(client, server, c.flags, c.seq, 506, c.data)
			assert.Equal(t, !c.accepted, len(h.weirds()) == 1, h.weirds())
			if c.accepted {
				return
			}
			assert.Equal(t, "segment_outside_window", h.weirds()[0])
			assert.Contains(t, h.rows.String(), fmt.Sprintf(`"addl":"%s at %d of 6"`, c.flags, c.seq-100))
			h.tcp(client, server, "A", 106, 506, "again")
			h.tcp(server, client, "A", 506, 111, "reply")
			assert.Equal(t, ">hello<reply>again<reply", p.got.String())
			assert.Regexp(t, `^40000>7000 S1 .* 10/10 hello$`, h.close()[0])
		})
	}
}

// A host may drop a RST in the window: if the connection continues, so does its analysis.
func TestConnectionContinuesAfterRST(t *testing.T) {
	for name, seq := range map[string]uint32{"exact": 106, "in window": 300} {
		t.Run(name, func(t *testing.T) {
			p := &fake{name: "hello"}
			h := newHarness(t, nil, p)
			h.handshake()
			h.tcp(client, server, "A", 101, 501, "hello")
			h.tcp(client, server, "R", seq, 0, "")
			h.now = h.now.Add(4 * time.Second)
			h.tcp(client, server, "A", 106, 501, "again")
			h.now = h.now.Add(4 * time.Second)
			h.tcp(client, server, "A", 111, 501, "and again")
			assert.Equal(t, ">hello>again>and again", p.got.String())
			assert.Equal(t, []string{"data_after_reset"}, h.weirds())
			assert.Zero(t, h.table.Stats.Removed)
			h.close()
		})
	}
	h := newHarness(t, nil)
	h.handshake()
	h.tcp(client, server, "R", 101, 0, "")
	h.table.Advance(h.now.Add(5 * time.Second))
	assert.Equal(t, 1, h.table.Stats.Removed, "the RST ends a connection that does not continue")
}

// A FIN or RST ends a connection only at the next expected byte, or once the other side
// acknowledges it. Only after such an end does a SYN begin another connection.
func TestSYNAfterUnconfirmedEnd(t *testing.T) {
	for name, c := range map[string]struct {
		end      func(h *harness)
		accepted bool
	}{
		"RST in window":       {func(h *harness) { h.tcp(client, server, "R", 300, 0, "") }, false},
		"expected RST":        {func(h *harness) { h.tcp(client, server, "R", 106, 0, "") }, true},
		"RST, then data":      {func(h *harness) { h.tcp(client, server, "R", 106, 0, ""); h.tcp(client, server, "A", 106, 501, "-") }, false},
		"FIN of one side":     {func(h *harness) { h.tcp(client, server, "FA", 106, 501, "") }, false},
		"FINs in window":      {func(h *harness) { h.tcp(client, server, "FA", 300, 501, ""); h.tcp(server, client, "FA", 700, 106, "") }, false},
		"FINs, one in window": {func(h *harness) { h.tcp(client, server, "FA", 106, 501, ""); h.tcp(server, client, "FA", 700, 107, "") }, false},
		"expected FINs":       {func(h *harness) { h.tcp(client, server, "FA", 106, 501, ""); h.tcp(server, client, "FA", 501, 107, "") }, true},
		"FINs, one ACKed":     {func(h *harness) { h.tcp(client, server, "FA", 300, 501, ""); h.tcp(server, client, "FA", 501, 301, "") }, true},
		"FIN, expected RST":   {func(h *harness) { h.tcp(client, server, "FA", 106, 501, ""); h.tcp(server, client, "R", 501, 0, "") }, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, nil, &fake{name: "hello"})
			h.handshake()
			h.tcp(client, server, "A", 101, 501, "hello")
			c.end(h)
			h.tcp(client, server, "S", 9_000_000, 0, "")
			assert.Equal(t, c.accepted, h.table.Stats.Connections == 2)
			h.close()
		})
	}
}

// Ignored bytes are not compared.
func TestIgnoredBytesAreNotInconsistent(t *testing.T) {
	h := newHarness(t, nil, &fake{name: "hello", onData: func(_ *conn.Connection, _ protocol.Packet, data []byte) (int, protocol.Next) {
		return len(data), protocol.Stop
	}})
	h.handshake()
	h.tcp(client, server, "A", 101, 501, "hello")
	h.tcp(client, server, "A", 106, 501, "again and again")
	h.tcp(client, server, "A", 106, 501, "again and again")
	assert.Empty(t, h.weirds())
	h.close()
}

// If an ACK of bytes that were never sent were accepted, the bytes up to it would be skipped.
func TestACKOutsideWindow(t *testing.T) {
	p := &fake{name: "hello"}
	h := newHarness(t, nil, p)
	h.handshake()
	h.tcp(client, server, "A", 101, 501, "hello")
	h.tcp(client, server, "A", 106, 60_000_501, "")
	h.tcp(server, client, "A", 501, 106, "reply")
	assert.Equal(t, ">hello<reply", p.got.String())
	assert.Equal(t, []string{"ack_outside_window"}, h.weirds())
	assert.Regexp(t, ` 5/5 hello$`, h.close()[0])
}

func TestStreamContinuesAfterGap(t *testing.T) {
	p := &fake{name: "hello"}
	h := newHarness(t, nil, p)
	h.handshake()
	h.tcp(client, server, "A", 101, 501, "hello")
	h.tcp(server, client, "A", 501, 106, "reply")
	h.tcp(server, client, "A", 10_000_506, 106, "after") // not accepted yet
	h.tcp(client, server, "A", 106, 10_000_511, "")
	h.tcp(server, client, "A", 10_000_511, 106, "more")
	h.tcp(client, server, "A", 106, 10_000_515, "")
	assert.Equal(t, ">hello<reply<[10000005]<more", p.got.String())
	h.close()
}

// A step is one segment: o from the client, r from the server.
type step struct {
	from, flags string
	seq, ack    uint32
	data        string
}

func (h *harness) play(steps ...step) {
	for _, s := range steps {
		if s.from == "o" {
			h.tcp(client, server, s.flags, s.seq, s.ack, s.data)
		} else {
			h.tcp(server, client, s.flags, s.seq, s.ack, s.data)
		}
	}
}

// Segments that every host drops, or queues as future data, do not change what the parser gets.
func TestForgedSegments(t *testing.T) {
	for name, forged := range map[string][]step{
		"nothing":                   nil,
		"FIN without ACK":           {{"o", "F", 106, 0, ""}},
		"reply's FIN without ACK":   {{"r", "F", 506, 0, ""}},
		"FIN before":                {{"o", "FA", 105, 506, ""}},
		"reply's FIN before":        {{"r", "FA", 505, 106, ""}},
		"FIN ahead":                 {{"o", "FA", 107, 506, ""}},
		"FIN far ahead":             {{"o", "FA", 1106, 506, ""}},
		"reply's FIN ahead":         {{"r", "FA", 507, 106, ""}},
		"FIN with early ACK":        {{"o", "FA", 106, 600, ""}},
		"both FINs ahead":           {{"o", "FA", 107, 506, ""}, {"r", "FA", 507, 106, ""}},
		"both FINs ahead, SYN":      {{"o", "FA", 107, 506, ""}, {"r", "FA", 507, 106, ""}, {"o", "S", 9_000_000, 0, ""}},
		"early ACK":                 {{"o", "A", 106, 507, ""}},
		"much too early ACK":        {{"o", "A", 106, 1506, ""}},
		"early ACK of the server":   {{"r", "A", 506, 107, ""}},
		"early ACKs, then a FIN":    {{"r", "A", 506, 107, ""}, {"o", "A", 106, 507, ""}, {"o", "FA", 105, 506, ""}},
		"early ACK far ahead":       {{"o", "A", 106, 60_000_506, ""}},
		"data with early ACK":       {{"o", "A", 106, 1506, "decoy"}},
		"data with ACK far ahead":   {{"o", "A", 106, 60_000_506, "decoy"}},
		"data with old ACK":         {{"o", "A", 106, 400, "decoy"}},
		"data with ACK of 0":        {{"o", "A", 106, 0, "decoy"}},
		"reply with early ACK":      {{"r", "A", 506, 1106, "decoy"}},
		"SYN of the server":         {{"r", "S", 500, 0, ""}},
		"SYN-ACK of the client":     {{"o", "SA", 9_000_000, 506, ""}, {"o", "A", 9_000_001, 506, "decoy"}},
		"RST ahead":                 {{"o", "R", 107, 0, ""}},
		"RST ahead, twice":          {{"o", "R", 107, 0, ""}, {"o", "R", 108, 0, ""}},
		"RST ahead of the server":   {{"r", "R", 507, 0, ""}},
		"RST ahead, SYN":            {{"o", "R", 107, 0, ""}, {"o", "S", 9_000_000, 0, ""}},
		"RST ahead, after ACK":      {{"o", "A", 1106, 506, ""}, {"o", "R", 1106, 0, ""}, {"o", "S", 9_000_000, 0, ""}},
		"RST before, SYN":           {{"o", "R", 101, 0, ""}, {"o", "S", 9_000_000, 0, ""}},
		"RST after data ahead, SYN": {{"o", "A", 116, 506, "later"}, {"o", "R", 121, 0, ""}, {"o", "S", 9_000_000, 0, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			p := &fake{name: "hello"}
			h := newHarness(t, nil, p)
			h.handshake()
			h.play(step{"o", "A", 101, 501, "hello"}, step{"r", "A", 501, 106, "reply"})
			h.play(forged...)
			h.now = h.now.Add(time.Minute)
			h.play(step{"o", "A", 106, 506, "and again"}, step{"r", "A", 506, 115, "another"})
			h.now = h.now.Add(time.Minute)
			want := ">hello<reply>and again<another"
			if name != "RST after data ahead, SYN" { // its data is delivered later
				h.play(step{"o", "FA", 115, 513, ""}, step{"r", "FA", 513, 116, ""}, step{"o", "A", 116, 514, ""})
				want += ">.<."
			}
			assert.Equal(t, want, p.got.String())
			assert.Len(t, h.close(), 1)
		})
	}
}

// An ACK of bytes that were not captured is accepted once their sender continues after them, and
// the data sent with the ACK is delivered after the gap.
func TestACKOfUncapturedData(t *testing.T) {
	p := &fake{name: "hello"}
	h := newHarness(t, nil, p)
	h.handshake()
	h.play(step{"o", "A", 101, 501, "hello"}, step{"o", "A", 106, 506, "again"}, step{"o", "A", 111, 506, "+"})
	assert.Equal(t, ">hello", p.got.String())
	h.play(step{"r", "A", 506, 112, "reply"})
	assert.Equal(t, ">hello<[5]>again>+<reply", p.got.String())
	h.play(step{"o", "FA", 112, 521, ""})
	assert.Equal(t, ">hello<[5]>again>+<reply", p.got.String())
	h.play(step{"r", "A", 521, 113, ""})
	assert.Equal(t, ">hello<[5]>again>+<reply<[10]>.", p.got.String())
	h.play(step{"r", "FA", 531, 113, ""}, step{"o", "A", 113, 532, ""})
	assert.Equal(t, ">hello<[5]>again>+<reply<[10]>.<[10]<.", p.got.String())
	assert.Equal(t, []string{"40000>7000 SF ShADgdFaf 11/30 hello"}, h.close())

	p = &fake{name: "hello"}
	h = newHarness(t, nil, p)
	h.handshake()
	h.play(step{"o", "A", 101, 501, "hello"}, step{"o", "A", 106, 506, ""})
	assert.Equal(t, ">hello", p.got.String())
	assert.Equal(t, []string{"40000>7000 S1 ShADg 5/5 hello"}, h.close())
	assert.Equal(t, ">hello<[5]", p.got.String())
}

// Without the SYN-ACK, the beginning of the server's stream may be missing.
func TestUncapturedSYNACK(t *testing.T) {
	p := &fake{name: "hello"}
	h := newHarness(t, nil, p)
	h.play(step{"o", "S", 100, 0, ""}, step{"o", "A", 101, 501, ""}, step{"r", "A", 501, 101, "welcome"}, step{"o", "A", 101, 508, "hello"})
	assert.Empty(t, p.got.String())
	assert.Equal(t, []string{"40000>7000 OTH SAdD 5/7"}, h.close())
}

// When too much waits for missing bytes, they are given up, with Zeek's weird.
func TestMissingBytesAreGivenUp(t *testing.T) {
	for ack, want := range map[uint32]string{101: "above_hole_data_without_any_acks", 106: "excessive_data_without_further_acks"} {
		p := &fake{name: "hello"}
		h := newHarness(t, func(cfg *flow.Config) { cfg.MaxBuffered = 10_000 }, p)
		h.handshake()
		h.play(step{"o", "A", 101, 501, "hello"}, step{"r", "A", 501, ack, ""})
		for i := range uint32(11) {
			h.play(step{"o", "A", 116 + 1000*i, 501, strings.Repeat("x", 1000)})
		}
		assert.Equal(t, []string{want}, h.weirds())
		assert.Contains(t, p.got.String(), ">hello>[10]>xxx")
		h.close()
	}
}

// Segments that wait for confirmation are bounded, and dropped if the other side does not confirm
// them.
func TestUnconfirmedSegmentsAreBounded(t *testing.T) {
	p := &fake{name: "hello"}
	h := newHarness(t, func(cfg *flow.Config) { cfg.MaxBuffered = 10_000 }, p)
	h.handshake()
	h.play(step{"o", "A", 101, 501, "hello"})
	for i := range uint32(8) {
		h.play(step{"o", "A", 106 + 1000*i, 600, strings.Repeat("x", 1000)})
		assert.Greater(t, h.table.Held(), 1000*int(i+1))
		require.NoError(t, h.table.Invariants())
	}
	h.play(step{"o", "A", 106 + 8000, 600, strings.Repeat("x", 1000)})
	assert.Zero(t, h.table.Held())
	assert.Equal(t, []string{"ack_outside_window"}, h.weirds())
	h.play(step{"o", "A", 106, 501, "again"})
	assert.Equal(t, ">hello>again", p.got.String())
	h.close()

	h = newHarness(t, nil, &fake{name: "hello"})
	h.handshake()
	h.play(step{"o", "A", 101, 501, "hello"})
	for i := range uint32(5000) {
		h.play(step{"o", "A", 106 + i%100, 600, "x"}, step{"o", "A", 106, 600, ""})
	}
	assert.Less(t, h.table.Held(), 1025*(96+24))
	require.NoError(t, h.table.Invariants())
	h.close()
	assert.Equal(t, []string{"ack_outside_window"}, h.weirds())
}

// If only SYNs and FINs were captured, matching FINs end the connection.
func TestMatchingFINs(t *testing.T) {
	for name, c := range map[string]struct {
		steps   []step
		timeout time.Duration
		want    string
	}{
		"one FIN":         {[]step{{"o", "FA", 3_000_000_101, 501, ""}}, 5 * time.Minute, "S2 ShF 3000000000/0"},
		"matching FINs":   {[]step{{"o", "FA", 3_000_000_101, 501, ""}, {"r", "FA", 2_000_000_501, 3_000_000_102, ""}}, 5 * time.Second, "SF ShFf 3000000000/2000000000"},
		"mismatched FINs": {[]step{{"o", "FA", 3_000_000_101, 501, ""}, {"r", "FA", 2_000_000_501, 3_000_000_101, ""}}, 5 * time.Minute, "SF ShFf 3000000000/2000000000"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, nil)
			h.play(step{"o", "S", 100, 0, ""}, step{"r", "SA", 500, 101, ""})
			h.play(c.steps...)
			h.table.Advance(h.now.Add(c.timeout - time.Millisecond))
			assert.Zero(t, h.table.Stats.Removed)
			h.table.Advance(h.now.Add(c.timeout + time.Millisecond))
			assert.Equal(t, []string{"40000>7000 " + c.want}, h.close())
			assert.Empty(t, h.weirds())
		})
	}
}
