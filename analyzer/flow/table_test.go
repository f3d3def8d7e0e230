package flow_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn"
	"example.com/conn/analyzer/flow"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/packet"
	"example.com/conn/analyzer/protocol"
	"example.com/conn/conntest"
)

var (
	client = netip.MustParseAddrPort("192.0.2.1:40000")
	server = netip.MustParseAddrPort("198.51.100.1:7000") // no well-known port
	start  = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

// A harness feeds a table with packets that the test builds.
type harness struct {
	t      *testing.T
	table  *flow.Table
	log    *logs.Writer
	rows   bytes.Buffer
	errors bytes.Buffer
	now    time.Time
	damage bool // checksums
}

func newHarness(t *testing.T, change func(*flow.Config), parsers ...*fake) *harness {
	conntest.VerifyRemoved(t)
	h := &harness{t: t, now: start}
	h.log = logs.NewWriter(logs.NewOutput(&h.rows, nil))
	cfg := flow.Config{
		MaxConnections: 1000, MaxBuffered: 1 << 20, MaxTotal: 1 << 30,
		TCPTimeout: 5 * time.Minute, UDPTimeout: time.Minute, AttemptTimeout: 5 * time.Second, CloseTimeout: 5 * time.Second,
		Log: h.log, Errors: &h.errors,
	}
	for _, p := range parsers {
		cfg.Parsers = append(cfg.Parsers, func(o protocol.Owner) protocol.Parser { p.owner = o; return p })
	}
	if change != nil {
		change(&cfg)
	}
	h.table = flow.New(cfg)
	t.Cleanup(h.table.Close)
	return h
}

// tcp feeds a segment. Flags are letters of SAFR.
func (h *harness) tcp(src, dst netip.AddrPort, flags string, seq, ack uint32, data string) {
	h.t.Helper()
	tcp := layers.TCP{
		SrcPort: layers.TCPPort(src.Port()), DstPort: layers.TCPPort(dst.Port()), Seq: seq, Ack: ack, Window: 1000,
		SYN: strings.Contains(flags, "S"), ACK: strings.Contains(flags, "A"),
		FIN: strings.Contains(flags, "F"), RST: strings.Contains(flags, "R"),
	}
	h.packet(src, dst, conn.TCP, serialize(h.t, src, dst, &tcp, data))
}

// damaged is like tcp, with a wrong checksum.
func (h *harness) damaged(src, dst netip.AddrPort, flags string, seq, ack uint32, data string) {
	h.damage = true
	h.tcp(src, dst, flags, seq, ack, data)
	h.damage = false
}

func (h *harness) udp(src, dst netip.AddrPort, data string) {
	h.t.Helper()
	udp := layers.UDP{SrcPort: layers.UDPPort(src.Port()), DstPort: layers.UDPPort(dst.Port())}
	h.packet(src, dst, conn.UDP, serialize(h.t, src, dst, &udp, data))
}

// icmp feeds an ICMP message.
func (h *harness) icmp(src, dst netip.AddrPort, typ, code uint8, data string) {
	h.t.Helper()
	icmp := layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(typ, code)}
	h.packet(src, dst, conn.ICMP, serialize(h.t, src, dst, &icmp, data))
}

// serialize returns the bytes of a transport layer and data, with checksums.
func serialize(t testing.TB, src, dst netip.AddrPort, l gopacket.SerializableLayer, data string) []byte {
	if c, ok := l.(interface {
		SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
	}); ok {
		var network gopacket.NetworkLayer = &layers.IPv4{SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice()}
		if src.Addr().Is6() {
			network = &layers.IPv6{SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice()}
		}
		require.NoError(t, c.SetNetworkLayerForChecksum(network))
	}
	b := gopacket.NewSerializeBuffer()
	opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	require.NoError(t, gopacket.SerializeLayers(b, opts, l, gopacket.Payload(data)))
	return b.Bytes()
}

// packet feeds a packet, one millisecond after the previous one.
func (h *harness) packet(src, dst netip.AddrPort, proto conn.Proto, payload []byte) {
	h.now = h.now.Add(time.Millisecond)
	if h.damage {
		payload[6] ^= 1
	}
	h.table.Packet(&packet.Packet{
		Time: h.now, Now: h.now, Src: src.Addr(), Dst: dst.Addr(), Proto: proto,
		Payload: payload, Length: len(payload), IPLength: len(payload) + 20,
	})
}

func (h *harness) handshake() {
	h.tcp(client, server, "S", 100, 0, "")
	h.tcp(server, client, "SA", 500, 101, "")
	h.tcp(client, server, "A", 101, 501, "")
}

// conns returns the rows of conn.log so far, abbreviated.
func (h *harness) conns() (rows []string) {
	h.log.Flush()
	for line := range strings.Lines(h.rows.String()) {
		var row struct {
			Path    string `json:"_path"`
			OrigP   int    `json:"id.orig_p"`
			RespP   int    `json:"id.resp_p"`
			Service string `json:"service"`
			State   string `json:"conn_state"`
			History string `json:"history"`
			Orig    *int   `json:"orig_bytes"`
			Resp    *int   `json:"resp_bytes"`
		}
		require.NoError(h.t, json.Unmarshal([]byte(line), &row), line)
		if row.Path == "conn" {
			size := "-"
			if row.Orig != nil {
				size = fmt.Sprintf("%d/%d", *row.Orig, *row.Resp)
			}
			rows = append(rows, strings.TrimSpace(fmt.Sprintf("%d>%d %s %s %s %s",
				row.OrigP, row.RespP, row.State, row.History, size, row.Service)))
		}
	}
	return rows
}

// weirds returns the names in weird.log so far.
func (h *harness) weirds() (names []string) {
	h.log.Flush()
	for line := range strings.Lines(h.rows.String()) {
		var row struct {
			Path string `json:"_path"`
			Name string
		}
		require.NoError(h.t, json.Unmarshal([]byte(line), &row), line)
		if row.Path == "weird" {
			names = append(names, row.Name)
		}
	}
	return names
}

// close closes the table, checks that it has removed all connections, and returns the rows of
// conn.log.
func (h *harness) close() []string {
	h.t.Helper()
	h.table.Close()
	s := h.table.Stats
	assert.Equal(h.t, s.Connections, s.Removed)
	return h.conns()
}

// A fake parser claims connections of which a side begins with its name, and records its input.
type fake struct {
	owner  protocol.Owner
	udp    bool
	asked  int // how often Match was called
	name   string
	ports  []uint16
	onData func(c *conn.Connection, p protocol.Packet, data []byte) (int, protocol.Next)
	got    strings.Builder
	ran    int // hooks
	state  conn.Field[int]
	hook   conn.RemovalHook
	unsure bool
	half   bool // Match is sure of one side only
	freed  int  // how often FreeMemory was called
	free   func(c *conn.Connection)
	gap    protocol.Next // what Gap returns
}

func (f *fake) Name() string { return f.name }

func (f *fake) Transport() conn.Proto {
	if f.udp {
		return conn.UDP
	}
	return conn.TCP
}

func (f *fake) Ports() []uint16 { return f.ports }

func (f *fake) Match(orig, resp []byte) protocol.Verdict {
	f.asked++
	for _, side := range []string{string(orig), string(resp)} {
		switch {
		case strings.HasPrefix(side, f.name) && f.half:
			return protocol.Half
		case strings.HasPrefix(side, f.name):
			return protocol.Yes
		case strings.HasPrefix(f.name, side) && side != "":
			return protocol.Maybe
		}
	}
	return protocol.No
}

func (f *fake) Data(c *conn.Connection, p protocol.Packet, data []byte) (int, protocol.Next) {
	if _, created := f.state.GetOrNew(c); created && f.hook == nil {
		f.hook = func(*conn.Connection) bool { f.ran++; return true }
	}
	conn.Register(c, f.hook)
	if !f.unsure {
		f.owner.Confirm(c)
	}
	if f.onData != nil {
		return f.onData(c, p, data)
	}
	f.note(p, string(data))
	return len(data), protocol.More
}

func (f *fake) Gap(_ *conn.Connection, p protocol.Packet, n int) protocol.Next {
	f.note(p, fmt.Sprintf("[%d]", n))
	return f.gap
}

// hold sets what MemoryUsed returns.
func (f *fake) hold(c *conn.Connection, n int) {
	held, _ := f.state.GetOrNew(c)
	*held = n
}

func (f *fake) MemoryUsed(c *conn.Connection) int {
	if n := f.state.Get(c); n != nil {
		return *n
	}
	return 0
}

func (f *fake) FreeMemory(c *conn.Connection) {
	f.freed++
	if f.free != nil {
		f.free(c)
	}
}

func (f *fake) End(_ *conn.Connection, p protocol.Packet) { f.note(p, ".") }

func (f *fake) note(p protocol.Packet, s string) {
	if p.Side == protocol.Orig {
		f.got.WriteString(">")
	} else {
		f.got.WriteString("<")
	}
	f.got.WriteString(s)
}

// States and histories are Zeek's, however a connection begins and ends.
func TestConnStates(t *testing.T) {
	fins := func(steps []step, n uint32) []step {
		for i := range n {
			steps = append(steps, step{"o", "FA", 101 + i, 501, ""})
		}
		return steps
	}
	syn, synAck, ack := step{"o", "S", 100, 0, ""}, step{"r", "SA", 500, 101, ""}, step{"o", "A", 101, 501, ""}
	up := []step{syn, synAck, ack}
	with := func(steps ...step) []step { return append(append([]step(nil), up...), steps...) }
	for name, c := range map[string]struct {
		steps []step
		want  string
	}{
		"attempt":                         {[]step{syn}, "S0 S -"},
		"repeated attempt":                {[]step{syn, syn}, "S0 S 0/0"},
		"rejected":                        {[]step{syn, {"r", "RA", 0, 101, ""}}, "REJ Sr 0/0"},
		"aborted attempt":                 {[]step{syn, {"o", "R", 101, 0, ""}}, "RSTOS0 SR 0/0"},
		"half open":                       {[]step{syn, {"o", "F", 101, 0, ""}}, "SH SF 0/0"},
		"established":                     {up, "S1 ShA 0/0"},
		"data":                            {with(step{"o", "A", 101, 501, "abc"}), "S1 ShAD 3/0"},
		"normal":                          {with(step{"o", "FA", 101, 501, ""}, step{"r", "FA", 501, 102, ""}, step{"o", "A", 102, 502, ""}), "SF ShAFf 0/0"},
		"closed by originator":            {with(step{"o", "FA", 101, 501, ""}), "S2 ShAF 0/0"},
		"closed by responder":             {with(step{"r", "FA", 501, 101, ""}), "S3 ShAf 0/0"},
		"reset by originator":             {with(step{"o", "RA", 101, 501, ""}), "RSTO ShAR 0/0"},
		"reset by responder":              {with(step{"o", "A", 101, 501, "x"}, step{"r", "R", 501, 0, ""}), "RSTR ShADr 1/0"},
		"reset after both FIN":            {with(step{"o", "FA", 101, 501, ""}, step{"r", "FA", 501, 102, ""}, step{"o", "R", 102, 0, ""}), "SF ShAFfR 0/0"},
		"no handshake":                    {[]step{{"o", "A", 900, 70, "abcd"}, {"r", "A", 70, 904, "xy"}}, "OTH Dd 4/2"},
		"no SYN":                          {[]step{{"o", "A", 900, 70, "abcd"}, {"o", "FA", 904, 70, ""}}, "SH DF 4/0"},
		"SYN-ACK first":                   {[]step{{"o", "SA", 500, 101, ""}, {"r", "A", 101, 501, ""}}, "OTH Ha 0/0"},
		"one side only":                   {[]step{syn, ack, {"o", "A", 101, 501, "abc"}}, "S0 SAD 3/0"},
		"retransmission":                  {with(step{"o", "A", 101, 501, "abc"}, step{"o", "A", 101, 501, "abc"}), "S1 ShADT 3/0"},
		"ACK of uncaptured data":          {with(step{"r", "A", 501, 111, ""}), "S1 ShAaG 10/0"},
		"SYN acknowledged before SYN-ACK": {[]step{syn, {"r", "A", 500, 101, ""}, synAck, ack}, "S1 SahA 0/0"},
		"FIN, RST, FIN":                   {with(step{"o", "FA", 101, 501, ""}, step{"o", "R", 102, 0, ""}, step{"r", "FA", 501, 102, ""}), "SF ShAFRf 0/0"},
		"RST out of sequence":             {[]step{syn, {"o", "R", 5000, 0, ""}}, "RSTOS0 SR 4899/0"},
		"RST of half-open connection":     {[]step{syn, {"r", "A", 900, 5000, ""}, {"o", "R", 5000, 0, ""}}, "RSTOS0 SaR 0/0"},
		"SYN and FIN only":                {[]step{syn, synAck, {"o", "FA", 3_000_000_101, 501, ""}}, "S2 ShF 3000000000/0"},
		"RST with data":                   {with(step{"o", "R", 101, 0, "junk"}), "RSTO ShART 0/0"},
		"RST far away":                    {[]step{syn, {"o", "R", 3_000_000, 0, ""}}, "RSTOS0 SR 0/0"},
		"FIN again, with less data":       {with(step{"o", "FA", 101, 501, "ab"}, step{"o", "FA", 102, 501, "b"}), "S2 ShAFT 2/0"},
		"RST without a handshake":         {[]step{{"o", "A", 900, 70, "x"}, {"o", "R", 901, 0, ""}}, "OTH DR 1/0"},
		"RSTs of both sides":              {with(step{"o", "R", 101, 0, ""}, step{"r", "R", 501, 0, ""}), "REJ ShARr 0/0"},
		"RSTs of both sides, after data":  {with(step{"o", "A", 101, 501, "x"}, step{"o", "R", 102, 0, ""}, step{"r", "R", 501, 0, ""}), "RSTR ShADRr 1/0"},
		"many FINs":                       {fins(with(), 300), "S2 ShA" + strings.Repeat("F", 125) + " 299/0"},
		"seen out of order":               {[]step{{"o", "SA", 500, 101, ""}, {"r", "S", 100, 0, ""}}, "S1 Hs^ 0/0"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, nil, &fake{name: "any", ports: []uint16{7000}, unsure: true})
			h.play(c.steps...)
			rows := h.close()
			require.Len(t, rows, 1)
			_, got, _ := strings.Cut(rows[0], " ")
			assert.Equal(t, c.want, got)
		})
	}
}

func TestFirstPacketFromServerPortFlips(t *testing.T) {
	web := netip.AddrPortFrom(server.Addr(), 80)
	h := newHarness(t, nil, &fake{name: "web", ports: []uint16{80}}, &fake{name: "names", udp: true, ports: []uint16{53}, unsure: true})
	h.tcp(web, client, "SA", 500, 101, "")
	h.tcp(client, web, "A", 101, 501, "")
	// from no well-known port, but an answer
	h.tcp(server, netip.AddrPortFrom(client.Addr(), 40001), "SA", 500, 101, "")
	h.tcp(web, netip.AddrPortFrom(client.Addr(), 443), "A", 500, 101, "")
	h.tcp(netip.AddrPortFrom(client.Addr(), 443), netip.AddrPortFrom(server.Addr(), 5432), "SA", 500, 101, "")
	h.udp(netip.AddrPortFrom(server.Addr(), 53), client, "answer")
	h.udp(netip.AddrPortFrom(server.Addr(), 53), netip.MustParseAddrPort("255.255.255.255:9"), "to all")
	assert.ElementsMatch(t, []string{
		"40000>80 S1 ^hA 0/0", "40001>7000 OTH ^h -", "443>80 OTH ^a -", "443>5432 OTH H -", "40000>53 SHR ^d -", "53>9 S0 D -",
	}, h.close())
}

func TestTimeouts(t *testing.T) {
	for name, c := range map[string]struct {
		packets func(h *harness)
		timeout time.Duration
	}{
		"attempt":     {func(h *harness) { h.tcp(client, server, "S", 100, 0, "") }, 5 * time.Second},
		"established": {func(h *harness) { h.handshake() }, 5 * time.Minute},
		"partial":     {func(h *harness) { h.tcp(client, server, "A", 100, 1, "x") }, 5 * time.Minute},
		"rejected": {func(h *harness) {
			h.tcp(client, server, "S", 100, 0, "")
			h.tcp(server, client, "RA", 0, 101, "")
		}, 5 * time.Second},
		"expected RST": {func(h *harness) {
			h.handshake()
			h.tcp(client, server, "A", 101, 501, "hello")
			h.tcp(client, server, "R", 106, 0, "")
		}, 5 * time.Second},
		"expected RST after uncaptured data": {func(h *harness) {
			h.handshake()
			h.tcp(server, client, "A", 501, 106, "")
			h.tcp(client, server, "A", 106, 501, "")
			h.tcp(client, server, "R", 106, 0, "")
		}, 5 * time.Second},
		"RST at start of sent data": {func(h *harness) {
			h.handshake()
			h.tcp(client, server, "A", 101, 501, "hello")
			h.tcp(client, server, "R", 101, 0, "")
		}, 5 * time.Minute},
		"RST inside sent data": {func(h *harness) {
			h.handshake()
			h.tcp(client, server, "A", 101, 501, "hello")
			h.tcp(client, server, "R", 104, 0, "")
		}, 5 * time.Minute},
		"FIN of the originator": {func(h *harness) { h.handshake(); h.tcp(client, server, "FA", 101, 501, "") }, 5 * time.Minute},
		"FIN of the responder":  {func(h *harness) { h.handshake(); h.tcp(server, client, "FA", 501, 101, "") }, 5 * time.Minute},
		"FIN of the only side captured": {func(h *harness) {
			h.tcp(client, server, "A", 101, 501, "x")
			h.tcp(client, server, "FA", 102, 501, "")
		}, 5 * time.Second},
		"UDP": {func(h *harness) { h.udp(client, server, "x") }, time.Minute},
		"ICMP": {func(h *harness) {
			h.icmp(client, server, 8, 0, "")
		}, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, nil)
			c.packets(h)
			h.table.Advance(h.now.Add(c.timeout - time.Nanosecond))
			assert.Equal(t, 0, h.table.Stats.Removed)
			h.table.Advance(h.now.Add(c.timeout))
			assert.Equal(t, 1, h.table.Stats.Removed)
		})
	}
}

// As in Zeek, an attempt times out five seconds after its SYN, whatever the originator sends later.
func TestUnansweredAttemptTimesOut(t *testing.T) {
	h := newHarness(t, nil)
	h.tcp(client, server, "S", 100, 0, "")
	h.now = h.now.Add(3 * time.Second)
	h.tcp(client, server, "A", 101, 501, "abc")
	h.now = h.now.Add(3 * time.Second)
	h.tcp(client, server, "A", 104, 501, "de")
	assert.Equal(t, []string{"40000>7000 S0 SD 3/0", "40000>7000 OTH D -"}, h.close())
}

func TestLateACKBeginsNoConnection(t *testing.T) {
	h := newHarness(t, nil)
	h.handshake()
	h.tcp(client, server, "FA", 101, 501, "")
	h.tcp(server, client, "FA", 501, 102, "")
	h.now = h.now.Add(4 * time.Second)
	h.tcp(client, server, "A", 102, 502, "")
	assert.Equal(t, []string{"40000>7000 SF ShAFf 0/0"}, h.close())
	assert.Contains(t, h.rows.String(), `"duration":0.004000`, "the ACK does not extend the duration")
}

func TestNewSYNBeginsAnotherConnection(t *testing.T) {
	h := newHarness(t, nil)
	h.handshake()
	h.tcp(client, server, "S", 100, 0, "") // retransmitted
	assert.Empty(t, h.conns())
	h.tcp(client, server, "S", 9000, 0, "")
	assert.Empty(t, h.conns(), "the server has not accepted it")
	h.tcp(server, client, "SA", 7000, 9001, "")
	assert.Equal(t, 2, h.table.Len())
	h.tcp(client, server, "A", 9001, 7001, "hello")
	assert.Equal(t, []string{"40000>7000 S1 ShA 0/0", "40000>7000 S1 ShD 5/0"}, h.close())
	assert.Contains(t, h.rows.String(), `"orig_pkts":2,"orig_ip_bytes":`)
}

// SYNs can be forged. While a connection is established, neither hosts nor the table accept them.
func TestConnectionSurvivesForgedSYNs(t *testing.T) {
	h := newHarness(t, nil)
	h.handshake()
	for i := uint32(1); i < 100; i++ {
		h.tcp(server, client, "S", 8000*i+7, 0, "x")
		h.tcp(client, server, "S", 9000*i+7, 0, "")
		h.tcp(server, client, "SA", 7000*i+7, 5, "")
		h.tcp(client, server, "SA", 6000*i+7, 9000*i+8, "") // answers a SYN of its own
	}
	h.tcp(client, server, "A", 101, 501, "hello")
	h.tcp(server, client, "A", 501, 106, "hi")
	assert.Equal(t, []string{"40000>7000 S1 ShADd 5/2"}, h.close())
	assert.Equal(t, []string{"active_connection_reuse", "SYN_seq_jump"}, h.weirds())
}

// Not even forged SYNs of both sides end a connection that continues, whatever segments follow
// them.
func TestConnectionSurvivesForgedHandshakes(t *testing.T) {
	for _, most := range []int{1, 2, 1000} {
		p := &fake{name: "hello"}
		h := newHarness(t, func(cfg *flow.Config) { cfg.MaxConnections = most }, p)
		h.handshake()
		h.tcp(client, server, "A", 101, 501, "hello")
		h.tcp(server, client, "A", 501, 103, "reply")
		for i := range uint32(20) {
			p.got.Reset()
			h.tcp(client, server, "S", 9000*i+7, 0, "")
			h.tcp(server, client, "SA", 7000*i+7, 9000*i+8, "")
			if i%2 == 0 {
				h.tcp(client, server, "A", 9000*i+8, 7000*i+8, "hello, decoy")
				h.tcp(server, client, "A", 7000*i+8, 9000*i+20, "decoy")
				assert.Equal(t, ">hello, decoy<decoy", p.got.String(), "nothing shows yet that they were forged")
			}
			require.NoError(t, h.table.Invariants())
			require.LessOrEqual(t, h.table.Len(), most)
		}
		p.got.Reset()
		if most == 2 {
			h.tcp(client, netip.AddrPortFrom(server.Addr(), 7001), "S", 1, 0, "")
			require.LessOrEqual(t, h.table.Len(), most)
			h.close()
			continue
		}
		h.tcp(server, client, "A", 506, 106, "again")
		require.NoError(t, h.table.Invariants())
		h.tcp(client, server, "A", 106, 511, "and again")
		if most > 1 {
			assert.Equal(t, "<again>and again", p.got.String())
			assert.Equal(t, 1, h.table.Len())
			assert.Len(t, h.close(), 21)
		}
		h.close()
	}
}

// A displaced connection is removed like any other.
func TestDisplacedConnectionRemoved(t *testing.T) {
	take := func(h *harness, seq uint32) {
		h.tcp(client, server, "S", seq, 0, "")
		h.tcp(server, client, "SA", seq, seq+1, "")
	}
	for name, c := range map[string]struct {
		then func(h *harness)
		want int // connections left in the table
	}{
		"by timeout": {func(h *harness) {
			h.now = h.now.Add(4 * time.Minute)
			h.tcp(client, server, "A", 9001, 9001, "")
			h.table.Advance(h.now.Add(2 * time.Minute))
		}, 1},
		"after the displacing one": {func(h *harness) {
			h.tcp(client, server, "R", 9001, 0, "")
			h.table.Advance(h.now.Add(6 * time.Second))
			h.tcp(client, server, "A", 106, 501, "again")
		}, 1},
		"by a SYN after the displacing one": {func(h *harness) {
			h.tcp(client, server, "FA", 9001, 9001, "")
			h.tcp(server, client, "FA", 9001, 9002, "")
			h.tcp(client, server, "S", 5000, 0, "")
			h.tcp(server, client, "SA", 5000, 5001, "")
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			p := &fake{name: "hello"}
			h := newHarness(t, nil, p)
			h.handshake()
			h.tcp(client, server, "A", 101, 501, "hello")
			take(h, 9000)
			require.NoError(t, h.table.Invariants())
			c.then(h)
			require.NoError(t, h.table.Invariants())
			assert.Equal(t, c.want, h.table.Len())
			h.close()
			assert.Equal(t, 1, p.ran)
		})
	}
}

// A parser may report an anomaly of a connection other than the one whose bytes it gets, as long as
// that is in the table, displaced or not.
func TestWeirdOfAnotherConnection(t *testing.T) {
	p := &fake{name: "hello"}
	var seen []*conn.Connection
	p.onData = func(c *conn.Connection, _ protocol.Packet, data []byte) (int, protocol.Next) {
		for i, other := range seen {
			p.owner.Weird(other, fmt.Sprint("weird of ", i), "")
		}
		seen = append(seen, c)
		return len(data), protocol.More
	}
	h := newHarness(t, nil, p)
	h.handshake()
	h.tcp(client, server, "A", 101, 501, "hello")
	h.tcp(client, server, "S", 9000, 0, "")
	h.tcp(server, client, "SA", 7000, 9001, "")
	h.tcp(client, server, "A", 9001, 7001, "hello") // of the connection that displaces the first
	assert.Equal(t, []string{"active_connection_reuse", "weird of 0"}, h.weirds())
	assert.Contains(t, h.rows.String(), `"uid":"`+seen[0].UID+`","id.orig_h":"192.0.2.1","id.orig_p":40000,`+
		`"id.resp_h":"198.51.100.1","id.resp_p":7000,"name":"weird of 0"`)

	h.tcp(server, client, "R", 7001, 0, "")
	h.table.Advance(h.now.Add(10 * time.Second))
	seen = append(seen[:1], &conn.Connection{ID: seen[0].ID})
	h.tcp(client, server, "A", 106, 501, "more")
	assert.Len(t, seen, 3)
	assert.Equal(t, []string{"active_connection_reuse", "weird of 0"}, h.weirds(), "not of one that is not in the table")
	h.close()
}

func TestICMPPairsRequestsWithReplies(t *testing.T) {
	h := newHarness(t, nil)
	h.icmp(client, server, 8, 0, "x")
	h.icmp(server, client, 0, 0, "x")
	h.icmp(client, server, 3, 1, "") // not paired: its ports are type and code
	h.icmp(server, client, 3, 1, "")
	assert.ElementsMatch(t, []string{"8>0 OTH  1/1", "3>1 OTH  -", "3>1 OTH  -"}, h.close())
}

func TestSYNOfSameConnection(t *testing.T) {
	for name, c := range map[string]struct {
		packets func(h *harness)
		want    int // connections
	}{
		"after a bad checksum": {func(h *harness) {
			h.damaged(client, server, "A", 7, 7, "x")
			h.tcp(client, server, "S", 100, 0, "")
		}, 1},
		"after its SYN-ACK": {func(h *harness) {
			h.tcp(server, client, "SA", 500, 101, "")
			h.tcp(client, server, "S", 100, 0, "")
		}, 1},
		"after the SYN-ACK of another": {func(h *harness) {
			h.tcp(server, client, "SA", 500, 101, "")
			h.tcp(client, server, "S", 99, 0, "")
		}, 2},
		"with sequence number 0": {func(h *harness) {
			h.tcp(client, server, "S", 100, 0, "")
			h.tcp(client, server, "S", 0, 0, "")
		}, 1},
		"that is answered": {func(h *harness) {
			h.tcp(client, server, "S", 100, 0, "")
			h.tcp(client, server, "S", 9000, 0, "")
			h.tcp(server, client, "SA", 500, 9001, "")
		}, 2},
		"whose predecessor is answered": {func(h *harness) {
			h.tcp(client, server, "S", 100, 0, "")
			h.tcp(client, server, "S", 9000, 0, "")
			h.tcp(server, client, "SA", 500, 101, "")
			h.tcp(server, client, "A", 501, 9001, "")
		}, 1},
		"twice": {func(h *harness) {
			h.tcp(client, server, "S", 100, 0, "")
			h.tcp(client, server, "S", 100, 0, "")
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, nil)
			c.packets(h)
			assert.Equal(t, c.want, h.table.Stats.Connections)
			h.close()
		})
	}
}

// When the SYN is captured after its SYN-ACK, bytes are counted for the side that sent them, even
// if the SYN-ACK is misleading because its destination is a server port.
func TestSYNAfterItsSYNACK(t *testing.T) {
	for port, want := range map[uint16]string{40000: "40000>7000 S2 ^hSDdF 4/6", 88: "88>7000 S2 Hs^DdF 4/6"} {
		h := newHarness(t, nil)
		client := netip.AddrPortFrom(client.Addr(), port)
		h.tcp(server, client, "SA", 500, 101, "")
		h.tcp(client, server, "S", 100, 0, "")
		h.tcp(client, server, "A", 101, 501, "four")
		h.tcp(server, client, "A", 501, 105, "sixsix")
		h.tcp(client, server, "FA", 105, 507, "")
		assert.Equal(t, []string{want}, h.close())
	}
}

// Counts of bad checksums follow their side once it is known.
func TestFlipAfterBadChecksumsOfTCP(t *testing.T) {
	h := newHarness(t, nil)
	client := netip.AddrPortFrom(client.Addr(), 88)
	h.damaged(server, client, "A", 7, 7, "x")
	h.tcp(server, client, "SA", 500, 101, "")
	h.tcp(client, server, "S", 100, 0, "")
	for range 9 {
		h.damaged(server, client, "A", 7, 7, "x")
	}
	assert.Equal(t, "CHs^c", strings.Fields(h.close()[0])[2])
}

// Data in a SYN is delivered.
func TestSYNWithData(t *testing.T) {
	p := &fake{name: "hello"}
	h := newHarness(t, nil, p)
	h.tcp(client, server, "S", 100, 0, "hell")
	h.tcp(server, client, "SA", 500, 105, "")
	h.tcp(client, server, "A", 105, 501, "o")
	assert.Equal(t, []string{"40000>7000 S1 SThD 5/0 hello"}, h.close())
	assert.Equal(t, ">hello", strings.ReplaceAll(p.got.String(), "l>", "l"))
}

// A FIN is delivered after all bytes before it.
func TestFINAfterMissingByte(t *testing.T) {
	p := &fake{name: "hello"}
	h := newHarness(t, nil, p)
	h.handshake()
	h.tcp(client, server, "A", 101, 501, "hello")
	h.tcp(client, server, "FA", 107, 501, "")
	assert.Equal(t, ">hello", p.got.String())
	h.tcp(client, server, "A", 106, 501, "!")
	assert.Equal(t, ">hello>!>.", p.got.String())
	h.close()
}

// The originator sends its FIN without any data, and the responder's data follow.
func TestSearchAfterEmptySide(t *testing.T) {
	p := &fake{name: "hello"}
	h := newHarness(t, nil, p)
	h.handshake()
	h.tcp(client, server, "FA", 101, 501, "")
	h.tcp(server, client, "A", 501, 102, "hello")
	assert.Equal(t, ">.<hello", p.got.String())
	h.close()
}

// A parser that claims to have consumed more than it got has consumed everything, and one that
// returns a negative number nothing.
func TestParserReturnsWrongCount(t *testing.T) {
	for n, want := range map[int]string{1000: ">hello>-", -5: ">hello>hello-"} {
		p := &fake{name: "hello"}
		p.onData = func(_ *conn.Connection, pkt protocol.Packet, data []byte) (int, protocol.Next) {
			p.note(pkt, string(data))
			return n, protocol.More
		}
		h := newHarness(t, nil, p)
		h.handshake()
		h.tcp(client, server, "A", 101, 501, "hello")
		h.tcp(client, server, "A", 106, 501, "-")
		assert.Equal(t, want, p.got.String())
		assert.Zero(t, h.table.Stats.Panics)
		h.close()
	}
}

// If the beginning was not captured, the sides are guessed from the ports. If both TCP ports are
// server ports, the responder is the one with the lower port.
func TestSideOfPorts(t *testing.T) {
	for _, tt := range []struct {
		proto    conn.Proto
		src, dst uint16
		flips    bool
	}{
		{conn.TCP, 445, 40000, true},
		{conn.TCP, 40000, 445, false},
		{conn.TCP, 139, 445, true},
		{conn.TCP, 445, 139, false},
		{conn.TCP, 445, 445, false},
		{conn.UDP, 123, 40000, true},
		{conn.UDP, 123, 161, false},
		{conn.UDP, 161, 123, false},
	} {
		h := newHarness(t, nil)
		src, dst := netip.AddrPortFrom(client.Addr(), tt.src), netip.AddrPortFrom(server.Addr(), tt.dst)
		if tt.proto == conn.UDP {
			h.udp(src, dst, "x")
		} else {
			h.tcp(src, dst, "A", 100, 500, "x")
		}
		assert.Equal(t, tt.flips, strings.Contains(h.close()[0], "^"), "%v", tt)
	}
}

// A Connection that a parser or hook may still refer to is never reused.
func TestRemovedConnectionNotReused(t *testing.T) {
	p := &fake{name: "hello", udp: true}
	var kept *conn.Connection
	p.onData = func(c *conn.Connection, _ protocol.Packet, data []byte) (int, protocol.Next) {
		kept = c
		return len(data), protocol.More
	}
	h := newHarness(t, nil, p)
	h.udp(client, server, "hello")
	uid := kept.UID
	h.now = h.now.Add(time.Hour)
	h.udp(server, client, "another")
	assert.Equal(t, uid, kept.UID)
	assert.True(t, kept.Removed())
	h.close()

	p = &fake{name: "hello", udp: true}
	p.onData = func(c *conn.Connection, _ protocol.Packet, data []byte) (int, protocol.Next) {
		kept = c
		conn.Unregister(c, p.hook)
		return len(data), protocol.More
	}
	h = newHarness(t, nil, p)
	h.udp(client, server, "hello")
	h.close()
	assert.True(t, kept.Removed(), "without hooks, too")
}

func TestProtocolWithoutPorts(t *testing.T) {
	h := newHarness(t, nil)
	h.packet(client, server, conn.Proto(132), []byte("SCTP is not looked into"))
	assert.Equal(t, []string{"0>0 OTH  -"}, h.close())
	assert.Contains(t, h.rows.String(), `"proto":"unknown_transport"`)
}

func TestPacketsAreCounted(t *testing.T) {
	for name, c := range map[string]struct {
		packet func(h *harness, from, to netip.AddrPort, reply bool)
		bytes  string
	}{
		"TCP": {func(h *harness, from, to netip.AddrPort, _ bool) { h.tcp(from, to, "A", 100, 100, "") }, "0/0"},
		"UDP": {func(h *harness, from, to netip.AddrPort, _ bool) { h.udp(from, to, "x") }, "3/1"},
		"ICMP": {func(h *harness, from, to netip.AddrPort, reply bool) {
			h.icmp(from, to, map[bool]uint8{false: 8, true: 0}[reply], 0, "x")
		}, "3/1"},
		"SCTP": {func(h *harness, from, to netip.AddrPort, _ bool) { h.packet(from, to, conn.SCTP, []byte("x")) }, "0/0"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, nil)
			for _, reply := range []bool{false, true, false, false} {
				from, to := client, server
				if reply {
					from, to = to, from
				}
				c.packet(h, from, to, reply)
			}
			rows := h.close()
			require.Len(t, rows, 1)
			assert.Contains(t, rows[0]+" ", " "+c.bytes+" ")
			assert.Contains(t, h.rows.String(), `"duration":0.003000,`)
			assert.Regexp(t, `"orig_pkts":3,"orig_ip_bytes":\d+,"resp_pkts":1,"resp_ip_bytes":\d+,`, h.rows.String())
		})
	}
}

func TestEmptyDatagram(t *testing.T) {
	p := &fake{name: "hello", udp: true}
	h := newHarness(t, nil, p)
	h.udp(client, server, "")
	assert.Zero(t, p.asked)
	h.udp(client, server, "hello")
	h.udp(client, server, "")
	assert.Equal(t, ">hello", p.got.String())
	h.close()
}

func TestAnswerOfKnownServer(t *testing.T) {
	for port, want := range map[uint16][]string{88: nil, 7000: {"connection_originator_SYN_ack"}} {
		h := newHarness(t, nil)
		h.tcp(netip.AddrPortFrom(server.Addr(), port), client, "SA", 500, 101, "")
		assert.Equal(t, want, h.weirds())
		h.close()
	}
}

// A protocol is found however small the segments are.
func TestSearchInManyPieces(t *testing.T) {
	p := &fake{name: strings.Repeat("hello", 60)}
	h := newHarness(t, nil, p)
	h.handshake()
	for i := range p.name {
		h.tcp(client, server, "A", 101+uint32(i), 501, p.name[i:i+1])
	}
	h.close() // until then, more may follow
	assert.Equal(t, p.name, strings.ReplaceAll(p.got.String(), ">", ""))

	p = &fake{name: p.name}
	h = newHarness(t, nil, p)
	h.handshake()
	for i := range p.name {
		h.tcp(server, client, "A", 501+uint32(i), 101, p.name[i:i+1])
	}
	h.close()
	assert.Equal(t, p.name, strings.ReplaceAll(p.got.String(), "<", ""))

	p = &fake{name: p.name}
	h = newHarness(t, nil, p)
	h.handshake()
	for i := range p.name {
		if i == 254 { // the last two events kept separately are one from each side
			h.tcp(server, client, "A", 501, 101, "<")
		}
		h.tcp(client, server, "A", 101+uint32(i), 501, p.name[i:i+1])
	}
	h.close()
	assert.Equal(t, p.name[:254]+"<<"+p.name[254:], strings.ReplaceAll(p.got.String(), ">", ""))
}

// The search for a protocol is bounded for both sides together.
func TestSearchOfBothSidesIsBounded(t *testing.T) {
	// 4096 bytes of both sides together
	for resp, searching := range map[int]bool{2095: true, 2096: false} {
		h := newHarness(t, nil, &fake{name: strings.Repeat("hello", 1000)})
		h.handshake()
		h.tcp(client, server, "A", 101, 501, strings.Repeat("hello", 400))
		h.tcp(server, client, "A", 501, 2101, strings.Repeat("hello", 420)[:resp])
		assert.Equal(t, searching, h.table.Held() > 0, "%d bytes", resp)
		h.close()
	}
}

// A connection in which only the responder sent anything is one-sided.
func TestOneSidedEvictedBeforeAnswered(t *testing.T) {
	h := newHarness(t, func(cfg *flow.Config) { cfg.MaxConnections = 2 })
	h.udp(client, server, "x")
	h.udp(server, client, "x")
	h.udp(netip.AddrPortFrom(server.Addr(), 67), client, "x")
	h.udp(client, netip.AddrPortFrom(server.Addr(), 7001), "x")
	assert.Equal(t, []string{"40000>67 SHR ^d -"}, h.conns())
	h.close()
}

func TestUnconsumedBytesDeliveredWithNext(t *testing.T) {
	p := &fake{name: "hello"}
	p.onData = func(_ *conn.Connection, pkt protocol.Packet, data []byte) (int, protocol.Next) {
		p.note(pkt, string(data))
		return len(data) - 1, protocol.More
	}
	h := newHarness(t, nil, p)
	h.handshake()
	h.tcp(client, server, "A", 101, 501, "hello")
	h.tcp(client, server, "A", 106, 501, "-")
	assert.Equal(t, ">hello>o-", p.got.String())
	h.close()
}

// Consecutive segments after missing bytes are merged.
func TestSegmentsAfterMissingBytesAreMerged(t *testing.T) {
	h := newHarness(t, nil, &fake{name: "hello"})
	h.handshake()
	h.tcp(client, server, "A", 201, 501, "7 bytes")
	held := h.table.Held()
	h.tcp(client, server, "A", 208, 501, "+")
	assert.Equal(t, held, h.table.Held(), "it fits into the buffer of the others")
	h.close()
}

// Ending tells hooks why their connection was removed.
func TestEnding(t *testing.T) {
	for want, end := range map[string]func(h *harness){
		"timeout":        func(h *harness) { h.table.Advance(h.now.Add(time.Hour)) },
		"end of capture": func(h *harness) { h.table.Close() },
		"table full":     func(h *harness) { h.tcp(client, netip.AddrPortFrom(server.Addr(), 7001), "S", 1, 0, "") },
		"closed": func(h *harness) {
			h.tcp(client, server, "R", 106, 0, "")
			h.table.Advance(h.now.Add(time.Hour))
		},
	} {
		p := &fake{name: "hello"}
		h := newHarness(t, func(cfg *flow.Config) { cfg.MaxConnections = 1 }, p)
		got := ""
		p.hook = func(*conn.Connection) bool { got = h.table.Ending(); return true }
		h.handshake()
		h.tcp(client, server, "A", 101, 501, "hello")
		end(h)
		assert.Equal(t, want, got)
		assert.Empty(t, h.table.Ending())
		h.close()
		counted := h.table.Stats.Removed
		for reason, n := range h.table.Stats.RemovedFor {
			counted -= n
			if reason := flow.Reason(reason); reason.String() == want {
				assert.Positive(t, n)
			} else if reason != flow.EndOfCapture {
				assert.Zero(t, n, reason)
			}
		}
		assert.Zero(t, counted)
	}
}

// Evicting a TCP connection logs a weird, unless it was only an attempt. Evicting UDP does not.
func TestEvictionLogsWeird(t *testing.T) {
	for name, c := range map[string]struct {
		packets func(h *harness)
		want    []string
	}{
		"attempt":     {func(h *harness) { h.tcp(client, server, "S", 1, 0, "") }, nil},
		"established": {func(h *harness) { h.handshake() }, []string{"connection_evicted"}},
		"UDP":         {func(h *harness) { h.udp(client, server, "x"); h.udp(server, client, "x") }, nil},
	} {
		h := newHarness(t, func(cfg *flow.Config) { cfg.MaxConnections = 1 })
		c.packets(h)
		h.tcp(client, netip.AddrPortFrom(server.Addr(), 7001), "S", 1, 0, "")
		assert.Equal(t, c.want, h.weirds(), name)
		h.close()
	}
}

func TestPrivateNetworksIn6to4(t *testing.T) {
	assert.Contains(t, flow.PrivateNetworks, netip.MustParsePrefix("2002:a00::/24"))
	assert.Contains(t, flow.PrivateNetworks, netip.MustParsePrefix("2002:c0a8::/32"))
}

func TestStatsCountHooks(t *testing.T) {
	p := &fake{name: "hello"}
	second := func(*conn.Connection) bool { // takes some time by any clock
		for begin := time.Now(); time.Since(begin) == 0; {
		}
		return true
	}
	taken := func(*conn.Connection) bool { return true }
	p.onData = func(c *conn.Connection, _ protocol.Packet, data []byte) (int, protocol.Next) {
		if string(data) == "hello twice" {
			conn.Register(c, second)
		}
		conn.Register(c, taken)
		conn.Unregister(c, taken)
		return len(data), protocol.More
	}
	h := newHarness(t, nil, p)
	run := 0
	for _, c := range []struct {
		data  string
		hooks int
	}{{"hello", 1}, {"hello twice", 2}} {
		h.handshake()
		h.tcp(client, server, "A", 101, 501, c.data)
		assert.Equal(t, run, h.table.Stats.HooksRun)
		h.close()
		run += c.hooks
		assert.Equal(t, run, h.table.Stats.HooksRun)
	}
	assert.Positive(t, h.table.Stats.HookTime)
}

// Requests and replies are paired as in RFC 792, 950 and 1256, and for ICMPv6 in RFC 2710, 4443,
// 4620, 4861 and 6275.
func TestICMPAnswers(t *testing.T) {
	for _, pair := range [][2]uint8{{8, 0}, {13, 14}, {15, 16}, {10, 9}, {17, 18}} {
		h := newHarness(t, nil)
		h.icmp(client, server, pair[0], 0, "x")
		h.icmp(server, client, pair[1], 0, "x")
		assert.Equal(t, []string{fmt.Sprintf("%d>%d OTH  1/1", pair[0], pair[1])}, h.close())
	}
	v6client, v6server := netip.MustParseAddrPort("[2001:db8::1]:0"), netip.MustParseAddrPort("[2001:db8::2]:0")
	for _, pair := range [][2]uint8{{128, 129}, {133, 134}, {135, 136}, {130, 131}, {139, 140}, {144, 145}} {
		h := newHarness(t, nil)
		message := func(src, dst netip.AddrPort, typ uint8) {
			icmp := layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(typ, 0)}
			h.packet(src, dst, conn.ICMPv6, serialize(t, src, dst, &icmp, "12345"))
		}
		// Too short: it is not counted.
		h.packet(v6client, v6server, conn.ICMPv6, serialize(t, v6client, v6server,
			&layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(pair[0], 0)}, ""))
		message(v6client, v6server, pair[0])
		message(v6server, v6client, pair[1])
		defer func() { assert.Contains(t, h.rows.String(), `"proto":"icmp"`) }()
		assert.Equal(t, []string{fmt.Sprintf("%d>%d OTH  1/1", pair[0], pair[1])}, h.close())
	}
}

func TestParserPortsAreServers(t *testing.T) {
	servers := newHarness(t, nil, &fake{name: "hello", ports: []uint16{7000}}).table.Servers()
	assert.True(t, servers.Likely(conn.TCP, 7000))
	assert.False(t, servers.Likely(conn.UDP, 7000))
	assert.False(t, servers.Likely(conn.TCP, 7001))
}

// With segments in any order and of any size, overlapping, and across the wraparound of sequence
// numbers, the parser gets the bytes as sent.
func TestStreamReassembled(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		sent := []byte("hello")
		for range 2000 {
			sent = append(sent, byte('a'+r.IntN(26)))
		}
		type piece struct{ from, to int }
		var pieces []piece
		for at := 0; at < len(sent); {
			to := min(at+1+r.IntN(60), len(sent))
			pieces = append(pieces, piece{max(at-r.IntN(30), 0), to}) // may overlap earlier pieces
			at = to
		}
		r.Shuffle(len(pieces), func(i, j int) { pieces[i], pieces[j] = pieces[j], pieces[i] })
		for range 10 {
			pieces = append(pieces, pieces[r.IntN(len(pieces))])
		}
		p := &fake{name: "hello"}
		isn := uint32(0) - uint32(r.IntN(3000)) // sequence numbers wrap inside the stream, or almost
		h := newHarness(t, nil, p)
		h.tcp(client, server, "S", isn, 0, "")
		h.tcp(server, client, "SA", 500, isn+1, "")
		for _, x := range pieces {
			h.tcp(client, server, "A", isn+1+uint32(x.from), 501, string(sent[x.from:x.to]))
		}
		h.tcp(client, server, "FA", isn+1+uint32(len(sent)), 501, "")
		rows := h.close()
		got := strings.ReplaceAll(p.got.String(), ">", "")
		require.Equal(t, string(sent)+".", got, "seed %d", seed)
		require.Contains(t, rows[0], fmt.Sprintf(" %d/0 ", len(sent)))
	}
}

func TestUncapturedAcknowledgedBytesAreGap(t *testing.T) {
	p := &fake{name: "hello"}
	h := newHarness(t, nil, p)
	h.handshake()
	h.tcp(client, server, "A", 101, 501, "hello")
	h.tcp(client, server, "A", 116, 501, "after")
	assert.Equal(t, ">hello", p.got.String())
	h.tcp(server, client, "A", 501, 121, "")
	assert.Equal(t, ">hello>[10]>after", p.got.String())
	h.tcp(client, server, "A", 106, 501, "too late..")
	h.tcp(client, server, "FA", 121, 501, "")
	assert.Equal(t, ">hello>[10]>after>.", p.got.String())
	h.close()
}

func TestBufferedBytesAreBounded(t *testing.T) {
	p := &fake{name: "hello"}
	h := newHarness(t, func(c *flow.Config) { c.MaxBuffered = 1000 }, p)
	h.handshake()
	h.tcp(client, server, "A", 101, 501, "hello")
	for i := range uint32(10) {
		h.tcp(client, server, "A", 200+i*100, 501, strings.Repeat("x", 100))
	}
	assert.Contains(t, p.got.String(), ">hello>[94]>xxx", "the table gives up the missing bytes")
	h.close()
}

// The bound applies to each side, which may reach it.
func TestSideHoldsAsMuchAsAllowed(t *testing.T) {
	begin := func(limit int) *harness {
		h := newHarness(t, func(c *flow.Config) { c.MaxBuffered = limit }, &fake{name: "hello"})
		h.handshake()
		h.tcp(client, server, "A", 101, 501, "hello")
		h.tcp(client, server, "A", 200, 501, "later")
		return h
	}
	most := begin(1000).table.Held()
	for limit, want := range map[int]int{most: 2 * most, most - 1: 0} {
		h := begin(limit)
		h.tcp(server, client, "A", 600, 106, "later")
		assert.Equal(t, want, h.table.Held(), "limit %d", limit)
	}
}

func TestParserConsumingNothingIsStopped(t *testing.T) {
	calls := 0
	p := &fake{name: "hello", onData: func(_ *conn.Connection, _ protocol.Packet, data []byte) (int, protocol.Next) {
		calls++
		assert.LessOrEqual(t, len(data), 2000)
		return 0, protocol.More
	}}
	h := newHarness(t, func(c *flow.Config) { c.MaxBuffered = 1000 }, p)
	h.handshake()
	h.tcp(client, server, "A", 101, 501, "hello")
	for i := range uint32(20) {
		h.tcp(client, server, "A", 106+i*100, 501, strings.Repeat("x", 100))
	}
	assert.Less(t, calls, 12)
	assert.Equal(t, 1, p.ran, "its hook runs at once")
	assert.Equal(t, []string{"buffer_limit_exceeded"}, h.weirds())
	assert.Equal(t, []string{"40000>7000 S1 ShAD 2005/0 hello"}, h.close())
	assert.Equal(t, 1, p.ran)
}

func TestUnconsumedBytesRedelivered(t *testing.T) {
	var seen []string
	p := &fake{name: "hello", onData: func(_ *conn.Connection, _ protocol.Packet, data []byte) (int, protocol.Next) {
		seen = append(seen, string(data))
		return bytes.LastIndexByte(data, ' ') + 1, protocol.More
	}}
	h := newHarness(t, nil, p)
	h.handshake()
	h.tcp(client, server, "A", 101, 501, "hello a b")
	h.tcp(client, server, "A", 110, 501, "c d")
	h.tcp(client, server, "A", 113, 501, " ")
	assert.Equal(t, []string{"hello a b", "bc d", "d "}, seen)
	h.close()
}

func TestProtocolFoundByEitherSide(t *testing.T) {
	p, other := &fake{name: "hello"}, &fake{name: "other", ports: []uint16{7000}}
	h := newHarness(t, nil, other, p)
	h.handshake()
	h.tcp(server, client, "A", 501, 101, "he")
	h.tcp(client, server, "A", 101, 503, "?")
	assert.Empty(t, p.got.String())
	h.tcp(server, client, "A", 503, 102, "llo")
	assert.Equal(t, "<he>?<llo", p.got.String(), "in order of arrival, despite the port")
	assert.Equal(t, []string{"40000>7000 S1 ShAdD 1/5 hello"}, h.close())
}

func TestPortDecidesWithoutMatch(t *testing.T) {
	p, ported := &fake{name: "hello"}, &fake{name: "other", ports: []uint16{7000}}
	h := newHarness(t, nil, p, ported)
	h.handshake()
	h.tcp(client, server, "A", 101, 501, "hell")
	assert.Empty(t, ported.got.String(), "the data may still become hello")
	h.tcp(client, server, "A", 105, 501, "!")
	assert.Equal(t, ">hell>!", ported.got.String())
	h.close()
}

func TestSearchEndsWithConnection(t *testing.T) {
	p, ported := &fake{name: "hello"}, &fake{name: "other", ports: []uint16{7000}}
	h := newHarness(t, nil, p, ported)
	h.handshake()
	h.tcp(client, server, "FA", 101, 501, "hell")
	assert.Equal(t, []string{"40000>7000 S2 ShAF 4/0 other"}, h.close())
	assert.Equal(t, ">hell>.", ported.got.String())
	assert.Equal(t, 1, ported.ran)
}

func TestPartialConnectionIsNotParsed(t *testing.T) {
	p := &fake{name: "hello", ports: []uint16{7000}}
	h := newHarness(t, nil, p)
	h.tcp(client, server, "A", 101, 501, "hello")
	h.tcp(server, client, "A", 501, 106, "hello")
	assert.Empty(t, p.got.String())
	assert.Equal(t, []string{"40000>7000 OTH Dd 5/5"}, h.close())
}

// An expirer is a fake whose connections expire after a second.
type expirer struct{ *fake }

func (expirer) Expired(_ *conn.Connection, last, now time.Time) bool {
	return now.Sub(last) > time.Second
}

func TestParserEndsConnection(t *testing.T) {
	p := expirer{&fake{name: "hello", udp: true}}
	h := newHarness(t, func(cfg *flow.Config) {
		cfg.Parsers = append(cfg.Parsers, func(o protocol.Owner) protocol.Parser { p.owner = o; return p })
	})
	h.udp(client, server, "hello")
	h.now = h.now.Add(time.Second - time.Millisecond)
	h.udp(client, server, "hello")
	assert.Empty(t, h.conns())
	h.now = h.now.Add(time.Second)
	h.udp(server, client, "other")
	assert.Equal(t, []string{"40000>7000 S0 D 10/0 hello"}, h.conns())
	assert.Len(t, h.close(), 2)
}

// The two sides may be captured with clocks an hour apart.
func TestExpiredGetsTimesOfTableClock(t *testing.T) {
	p := expirer{&fake{name: "hello", udp: true}}
	h := newHarness(t, func(cfg *flow.Config) {
		cfg.Parsers = append(cfg.Parsers, func(o protocol.Owner) protocol.Parser { p.owner = o; return p })
	})
	h.table.Advance(h.now.Add(time.Hour))
	h.udp(client, server, "hello")
	h.now = h.now.Add(time.Hour)
	h.udp(server, client, "other")
	assert.Equal(t, []string{"40000>7000 SF Dd 5/5 hello"}, h.close())
}

// A resumer is a fake that can begin in the middle of a stream.
type resumer struct{ *fake }

func (resumer) Resumes() bool { return true }

func TestPartialConnectionNeedsResumer(t *testing.T) {
	for name, ports := range map[string][]uint16{"by content": nil, "by port": {7000}} {
		t.Run(name, func(t *testing.T) {
			p, other := resumer{&fake{name: "hello", ports: ports}}, &fake{name: "h"}
			h := newHarness(t, func(cfg *flow.Config) {
				cfg.Parsers = append(cfg.Parsers, func(o protocol.Owner) protocol.Parser { p.owner = o; return p })
			}, other)
			data := "hello"
			if ports != nil {
				data = "any"
			}
			h.tcp(client, server, "A", 101, 501, data)
			assert.Equal(t, ">"+data, p.got.String())
			assert.Empty(t, other.got.String())
			assert.Contains(t, h.close()[0], "hello")
		})
	}
}

func TestConnectionParsedFromSYNACK(t *testing.T) {
	web := netip.AddrPortFrom(server.Addr(), 80)
	p := &fake{name: "hello"}
	h := newHarness(t, nil, p)
	h.tcp(web, client, "SA", 500, 101, "")
	h.tcp(client, web, "A", 101, 501, "hello")
	assert.Equal(t, ">hello", p.got.String())
	h.close()
}

func TestHandOverRestartsSearch(t *testing.T) {
	p, second := &fake{name: "hello", ports: []uint16{7000}}, &fake{name: "other"}
	p.onData = func(_ *conn.Connection, _ protocol.Packet, data []byte) (int, protocol.Next) {
		return len("hello"), protocol.HandOver
	}
	h := newHarness(t, nil, p, second)
	h.handshake()
	h.tcp(client, server, "A", 101, 501, "helloother one")
	h.tcp(server, client, "A", 501, 115, "fine")
	assert.Equal(t, ">other one<fine", second.got.String())
	assert.Equal(t, []string{"40000>7000 S1 ShADd 14/4 hello,other"}, h.close())
	assert.Equal(t, 2, p.ran+second.ran)
}

func TestEmptyLinesAfterHandOverAreDropped(t *testing.T) {
	for name, tt := range map[string]struct{ reply, more, want string }{
		"none":              {"hello", "", ">other<fine"},
		"after the reply":   {"hello\r\n", "", ">other<fine"},
		"several":           {"hello\n\r\n\n", "", ">other<fine"},
		"in a segment":      {"hello", "\r\n", ">other<fine"},
		"before the answer": {"hello\n", "\nwelcome", "<welcome>other<fine"},
	} {
		t.Run(name, func(t *testing.T) {
			p, second := &fake{name: "hello"}, &fake{name: "other"}
			p.onData = func(*conn.Connection, protocol.Packet, []byte) (int, protocol.Next) { return 5, protocol.HandOver }
			waits := &fake{name: "welcome again"} // keeps the search going
			h := newHarness(t, nil, p, second, waits)
			h.handshake()
			seq := uint32(501)
			for _, data := range []string{tt.reply, tt.more} {
				if data != "" {
					h.tcp(server, client, "A", seq, 101, data)
					seq += uint32(len(data))
				}
			}
			h.tcp(client, server, "A", 101, seq, "other")
			h.tcp(server, client, "A", seq, 106, "fine")
			assert.Equal(t, tt.want, second.got.String())
			h.close()
		})
	}
}

// A parser that recognizes only one side gets the connection if no other parser claims it.
func TestHalfSureParserComesLast(t *testing.T) {
	for name, tt := range map[string]struct {
		others []*fake
		want   string
	}{
		"alone":                         {nil, "half"},
		"with a sure parser":            {[]*fake{{name: "ha"}}, "ha"},
		"with a parser not yet sure":    {[]*fake{{name: "half and more"}}, "half"},
		"on another parser's port":      {[]*fake{{name: "port", ports: []uint16{7000}}}, "port"},
		"with another half-sure parser": {[]*fake{{name: "hal", half: true}}, "half"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, nil, append([]*fake{{name: "half", half: true}}, tt.others...)...)
			h.handshake()
			h.tcp(client, server, "FA", 101, 501, "half")
			assert.Equal(t, []string{"40000>7000 S2 ShAF 4/0 " + tt.want}, h.close())
		})
	}
}

func TestHandOverOfOneByte(t *testing.T) {
	p, second := &fake{name: "hello"}, &fake{name: "o"}
	p.onData = func(*conn.Connection, protocol.Packet, []byte) (int, protocol.Next) { return 5, protocol.HandOver }
	h := newHarness(t, nil, p, second)
	h.handshake()
	h.tcp(client, server, "A", 101, 501, "helloo")
	assert.Equal(t, ">o", second.got.String())
	h.close()
}

func TestPortDoesNotDecideAfterHandOver(t *testing.T) {
	p := &fake{name: "hello", ports: []uint16{7000}}
	p.onData = func(*conn.Connection, protocol.Packet, []byte) (int, protocol.Next) {
		p.got.WriteString("called ")
		return len("hello"), protocol.HandOver
	}
	h := newHarness(t, nil, p)
	h.handshake()
	h.tcp(client, server, "A", 101, 501, "hello?")
	h.close()
	assert.Equal(t, "called ", p.got.String())
}

func TestSearchIsBounded(t *testing.T) {
	p, ported := &fake{name: strings.Repeat("x", 10_000)}, &fake{name: "other", ports: []uint16{7000}}
	datagrams := &fake{name: "hello", udp: true}
	h := newHarness(t, nil, p, ported, datagrams)
	h.handshake()
	for i := range uint32(5) {
		h.tcp(client, server, "A", 101+1000*i, 501, strings.Repeat("x", 1000))
	}
	assert.Len(t, ported.got.String(), 5005)
	for range 2000 {
		h.udp(client, server, "?")
	}
	assert.Equal(t, 1025, datagrams.asked)
	h.close()
}

// Datagrams of another protocol may come first, such as STUN before DTLS. Their bytes are bounded,
// not their number.
func TestDatagramsBeforeTheProtocol(t *testing.T) {
	for n := 1; n <= 200; n++ {
		for _, c := range []struct {
			bytes int // before
			want  string
		}{{n, "hello"}, {1024, "hello"}, {1025, ""}} {
			p := &fake{name: "hello", udp: true}
			h := newHarness(t, nil, p)
			for i := range n {
				data := strings.Repeat("?", (c.bytes*(i+1))/n-c.bytes*i/n)
				if i%3 == 1 {
					h.udp(server, client, data)
				} else {
					h.udp(client, server, data)
				}
			}
			h.udp(client, server, "hello")
			require.Equal(t, strings.Replace(c.want, "h", ">h", 1), p.got.String(), "%d bytes in %d datagrams", c.bytes, n)
			h.close()
		}
	}
}

// The length in the UDP header of a jumbogram is 0: RFC 2675, section 4.
func TestDatagramBeyond64KB(t *testing.T) {
	src, dst := netip.MustParseAddrPort("[2001:db8::1]:40000"), netip.MustParseAddrPort("[2001:db8::2]:7000")
	for name, c := range map[string]struct {
		size, length int // of the datagram, including its header
		got          string
		weirds       []string
	}{
		"longest non-jumbogram":      {0xffff, 0xffff, ">true 65535", nil},
		"shortest jumbogram":         {0x10000, 0, ">true 65536", nil},
		"long jumbogram":             {200_000, 0, ">true 200000", nil},
		"length 0, but no jumbogram": {0xffff, 0, "", []string{"UDP_datagram_length_mismatch"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := &fake{name: "hello", udp: true}
			p.onData = func(_ *conn.Connection, from protocol.Packet, data []byte) (int, protocol.Next) {
				p.note(from, fmt.Sprint(strings.HasPrefix(string(data), "hello"), " ", 8+len(data)))
				return len(data), protocol.More
			}
			h := newHarness(t, nil, p)
			b := make([]byte, c.size)
			binary.BigEndian.PutUint16(b, src.Port())
			binary.BigEndian.PutUint16(b[2:], dst.Port())
			binary.BigEndian.PutUint16(b[4:], uint16(c.length))
			copy(b[8:], "hello")
			pseudo := append(src.Addr().AsSlice(), dst.Addr().AsSlice()...)
			pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(c.size))
			sum := gopacket.ComputeChecksum(append(pseudo, 0, 0, 0, byte(conn.UDP)), 0)
			binary.BigEndian.PutUint16(b[6:], gopacket.FoldChecksum(gopacket.ComputeChecksum(b, sum)))
			h.packet(src, dst, conn.UDP, b)
			assert.Equal(t, c.got, p.got.String())
			assert.Equal(t, c.weirds, h.weirds())
			h.close()
		})
	}
}

func TestExpectationsAreBounded(t *testing.T) {
	p := &fake{name: "hello"}
	h := newHarness(t, nil, p)
	h.udp(client, server, "x") // sets the table's clock
	attached := []int{}
	for i := range 1001 {
		at := netip.AddrPortFrom(server.Addr(), 1000+uint16(i))
		p.owner.Expect(netip.Addr{}, at, "hello-data", func(*conn.Connection) { attached = append(attached, i) })
	}
	for _, port := range []uint16{1000, 1001, 2000} {
		h.tcp(client, netip.AddrPortFrom(server.Addr(), port), "S", 1, 0, "")
	}
	assert.Equal(t, []int{1, 1000}, attached)
	h.close()
}

func TestViolationWithdrawsService(t *testing.T) {
	p := &fake{name: "hello"}
	p.onData = func(_ *conn.Connection, _ protocol.Packet, data []byte) (int, protocol.Next) {
		if string(data) == "bad" {
			return 0, protocol.Violation
		}
		return len(data), protocol.More
	}
	h := newHarness(t, nil, p)
	h.handshake()
	h.tcp(client, server, "A", 101, 501, "hello")
	h.tcp(client, server, "A", 106, 501, "bad")
	assert.Equal(t, []string{"40000>7000 S1 ShAD 8/0"}, h.close())
}

func TestPanicContained(t *testing.T) {
	p := &fake{name: "hello"}
	p.onData = func(_ *conn.Connection, _ protocol.Packet, data []byte) (int, protocol.Next) {
		if string(data) == "hello!" {
			panic("parser trouble")
		}
		p.note(protocol.Packet{}, string(data))
		return len(data), protocol.More
	}
	p.hook = func(*conn.Connection) bool { panic("hook trouble") }
	h := newHarness(t, nil, p)
	h.handshake()
	h.tcp(client, server, "A", 101, 501, "hello!")
	h.tcp(client, server, "A", 107, 501, "more")
	other := netip.AddrPortFrom(client.Addr(), 40001)
	h.tcp(other, server, "S", 100, 0, "")
	h.tcp(server, other, "SA", 500, 101, "")
	h.tcp(other, server, "A", 101, 501, "hello")
	assert.Equal(t, ">hello", p.got.String())
	assert.Len(t, h.close(), 2)
	assert.Equal(t, 3, h.table.Stats.Panics, "one in the parser, and one in the hook of each connection")
	for _, want := range []string{": panic: parser trouble\n", ": panic: hook trouble\n", "TestPanicContained.func"} {
		assert.Contains(t, h.errors.String(), want)
	}
	assert.Regexp(t, `^analyzer: connection C[0-9A-Za-z]{17}: panic`, h.errors.String())
}

// A thrower is a fake whose Match panics.
type thrower struct{ *fake }

func (thrower) Match(_, _ []byte) protocol.Verdict { panic("match trouble") }

func TestPanicInMatchContained(t *testing.T) {
	h := newHarness(t, func(cfg *flow.Config) {
		cfg.Parsers = append(cfg.Parsers, func(protocol.Owner) protocol.Parser { return thrower{&fake{name: "hello"}} })
	})
	h.handshake()
	h.tcp(client, server, "A", 101, 501, "hello")
	h.tcp(client, server, "A", 106, 501, "more")
	assert.Equal(t, []string{"40000>7000 S1 ShAD 9/0"}, h.close())
	assert.Equal(t, 1, h.table.Stats.Panics)
	assert.Contains(t, h.errors.String(), ": panic: match trouble\n")
}

func TestServiceConfirmed(t *testing.T) {
	for name, c := range map[string]struct {
		data, want string
	}{
		"never":         {"hello", "40000>7000 S1 ShAD 5/0"},
		"by the parser": {"hello+", "40000>7000 S1 ShAD 6/0 hello"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &fake{name: "hello", unsure: true}
			p.onData = func(c *conn.Connection, _ protocol.Packet, data []byte) (int, protocol.Next) {
				p.owner.Confirm(&conn.Connection{ID: c.ID}) // unknown to the table
				if strings.HasSuffix(string(data), "+") {
					p.owner.Confirm(c)
				}
				return len(data), protocol.More
			}
			h := newHarness(t, nil, p)
			h.handshake()
			h.tcp(client, server, "A", 101, 501, c.data)
			assert.Equal(t, []string{c.want}, h.close())
		})
	}
}

func TestHooksCounted(t *testing.T) {
	ran := 0
	a := conn.RemovalHook(func(*conn.Connection) bool { ran++; return true })
	b := conn.RemovalHook(func(*conn.Connection) bool { ran++; return false })
	p := &fake{name: "hello", hook: a}
	p.onData = func(c *conn.Connection, _ protocol.Packet, data []byte) (int, protocol.Next) {
		switch string(data) {
		case "+":
			conn.Register(c, b)
		case "-":
			conn.Unregister(c, b)
		}
		return len(data), protocol.More
	}
	h := newHarness(t, nil, p)
	h.handshake()
	seq := uint32(101)
	for _, data := range []string{"hello", "+", "+", "-", "+"} {
		h.tcp(client, server, "A", seq, 501, data)
		seq += uint32(len(data))
	}
	h.close()
	s := h.table.Stats
	assert.Equal(t, ran, s.HooksRun)
}

func TestExpectedConnectionIsAttached(t *testing.T) {
	data := netip.MustParseAddrPort("198.51.100.1:50000")
	ran := 0
	hook := conn.RemovalHook(func(*conn.Connection) bool { ran++; return true })
	p := &fake{name: "hello"}
	p.onData = func(_ *conn.Connection, _ protocol.Packet, b []byte) (int, protocol.Next) {
		p.owner.Expect(client.Addr(), data, "hello-data", func(c *conn.Connection) { conn.Register(c, hook) })
		return len(b), protocol.More
	}
	h := newHarness(t, nil, p)
	h.handshake()
	h.tcp(client, server, "A", 101, 501, "hello")
	stranger := netip.MustParseAddrPort("203.0.113.5:1")
	h.tcp(stranger, data, "S", 1, 0, "")
	h.tcp(client, data, "S", 1, 0, "")
	// one announcement is for one connection
	h.tcp(netip.AddrPortFrom(client.Addr(), 40001), data, "S", 1, 0, "")
	rows := h.close()
	assert.ElementsMatch(t, []string{
		"40000>7000 S1 ShAD 5/0 hello", "40000>50000 S0 S - hello-data", "1>50000 S0 S -", "40001>50000 S0 S -",
	}, rows)
	assert.Equal(t, 1, ran)
}

// An announcement may be captured after the connection begins, such as when the server's direction
// is late.
func TestConnectionIsExpectedLate(t *testing.T) {
	data := netip.MustParseAddrPort("198.51.100.1:50000")
	for name, tt := range map[string]struct {
		before, after func(h *harness) // the announcement
		want          string
	}{
		"the announcement comes during the connection": {
			before: func(h *harness) {
				h.tcp(client, data, "S", 1, 0, "")
				h.tcp(data, client, "SA", 1, 2, "")
			},
			after: func(h *harness) { h.tcp(client, data, "A", 2, 2, "bytes") },
			want:  "40000>50000 S1 ShD 5/0 hello-data",
		},
		"the announcement comes after the connection": {
			before: func(h *harness) {
				h.tcp(client, data, "S", 1, 0, "")
				h.tcp(data, client, "RA", 0, 2, "")
			},
			after: func(*harness) {},
			want:  "40000>50000 REJ Sr 0/0 hello-data",
		},
		"the connection has a parser of its own": {
			before: func(h *harness) {
				h.tcp(client, data, "S", 1, 0, "")
				h.tcp(data, client, "SA", 1, 2, "")
				h.tcp(client, data, "A", 2, 2, "hello")
			},
			after: func(*harness) {},
			want:  "40000>50000 S1 ShD 5/0 hello",
		},
	} {
		t.Run(name, func(t *testing.T) {
			attached := 0
			p := &fake{name: "hello"}
			h := newHarness(t, nil, p)
			tt.before(h)
			p.owner.Expect(client.Addr(), data, "hello-data", func(*conn.Connection) { attached++ })
			tt.after(h)
			assert.Equal(t, []string{tt.want}, h.close())
			assert.Equal(t, strings.HasSuffix(tt.want, "-data"), attached == 1)
		})
	}
}

func TestExpectationExpires(t *testing.T) {
	for name, tt := range map[string]struct {
		after    time.Duration
		attached bool
	}{
		"after five minutes": {5 * time.Minute, true},
		"later":              {5*time.Minute + 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := &fake{name: "hello"}
			h := newHarness(t, nil, p)
			h.udp(client, server, "x")
			attached := false
			p.owner.Expect(netip.Addr{}, server, "hello-data", func(*conn.Connection) { attached = true })
			h.now = h.now.Add(tt.after - time.Millisecond) // packet adds it
			h.tcp(client, server, "S", 1, 0, "")
			assert.Equal(t, tt.attached, attached)
			h.close()
		})
	}
}

func TestUIDDependsOnConnectionOnly(t *testing.T) {
	uids := func() map[string]bool {
		h := newHarness(t, nil)
		for i := range uint16(500) {
			h.udp(netip.AddrPortFrom(client.Addr(), 1000+i), server, "x")
		}
		h.close()
		set := make(map[string]bool)
		for line := range strings.Lines(h.rows.String()) {
			var row struct{ UID string }
			require.NoError(t, json.Unmarshal([]byte(line), &row))
			assert.Regexp(t, `^C[0-9A-Za-z]{17}$`, row.UID)
			set[row.UID] = true
		}
		return set
	}
	first := uids()
	assert.Len(t, first, 500)
	assert.Equal(t, first, uids())
}
