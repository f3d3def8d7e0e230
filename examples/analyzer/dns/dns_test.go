package dns

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn"
	"example.com/conn/examples/analyzer/protocol"
	. "example.com/conn/examples/analyzer/protocol/protocoltest"
)

func udp(o protocol.Owner) protocol.Parser { return New(o, conn.UDP) }
func tcp(o protocol.Owner) protocol.Parser { return New(o, conn.TCP) }

// encode returns the bytes of m. It panics for what gopacket cannot encode.
func encode(m layers.DNS) string {
	b := gopacket.NewSerializeBuffer()
	if err := m.SerializeTo(b, gopacket.SerializeOptions{FixLengths: true}); err != nil {
		panic(err)
	}
	return string(b.Bytes())
}

func ask(id uint16, name string, kind layers.DNSType) layers.DNS {
	return layers.DNS{ID: id, RD: true, Questions: []layers.DNSQuestion{{Name: []byte(name), Type: kind, Class: 1}}}
}

func query(id uint16, name string) Turn { return Orig(encode(ask(id, name, layers.DNSTypeA))) }

// answer returns the reply to a query for an address.
func answer(id uint16, name string, answers ...layers.DNSResourceRecord) Turn {
	m := ask(id, name, layers.DNSTypeA)
	m.QR, m.AA, m.RA, m.Answers = true, true, true, answers
	return Resp(encode(m))
}

func address(name, ip string) layers.DNSResourceRecord {
	return layers.DNSResourceRecord{
		Name: []byte(name), Type: layers.DNSTypeA, Class: 1, TTL: 300, IP: net.ParseIP(ip).To4(),
	}
}

// play returns the rows of turns over UDP, a datagram each, in which the responder has the given address.
func play(t testing.TB, resp string, turns ...Turn) (rows []*Row) {
	t.Helper()
	o, c := &Recorder{}, Conn()
	c.ID.Proto, c.ID.Resp = conn.UDP, netip.MustParseAddrPort(resp)
	Play(t, udp(o), c, turns...)
	require.True(t, conn.StateRemove(c))
	for _, row := range o.Rows {
		rows = append(rows, row.(*Row))
	}
	return rows
}

const server = "198.51.100.2:53"

// brief has what tells rows apart.
func brief(rows []*Row) (texts []string) {
	for _, r := range rows {
		text := fmt.Sprint(r.TransID)
		if r.Query != nil {
			text += " " + *r.Query
		}
		texts = append(texts, strings.Join([]string{text, r.QTypeName, r.RCodeName}, "/"))
	}
	return texts
}

func TestQueryAndReply(t *testing.T) {
	rows := play(t, server, query(7, "WWW.example.com"), answer(7, "www.example.com",
		layers.DNSResourceRecord{
			Name: []byte("www.example.com"), Type: layers.DNSTypeCNAME, Class: 1, TTL: 60, CNAME: []byte("Web.example.com"),
		},
		address("web.example.com", "192.0.2.80"),
	))
	require.Len(t, rows, 1)
	line, err := json.Marshal(rows[0])
	require.NoError(t, err)
	assert.JSONEq(t, `{
		"_path": "dns", "ts": 1715940000.000000, "uid": "CTest", "proto": "udp",
		"id.orig_h": "192.0.2.1", "id.orig_p": 40000, "id.resp_h": "198.51.100.2", "id.resp_p": 53,
		"trans_id": 7, "rtt": 1.000000, "query": "www.example.com",
		"qclass": 1, "qclass_name": "C_INTERNET", "qtype": 1, "qtype_name": "A", "rcode": 0, "rcode_name": "NOERROR",
		"AA": true, "TC": false, "RD": true, "RA": true, "Z": 0, "rejected": false, "opcode": 0, "opcode_name": "query",
		"answers": ["web.example.com", "192.0.2.80"], "TTLs": [60.000000, 300.000000]
	}`, string(line))
}

func TestPairing(t *testing.T) {
	for name, tt := range map[string]struct {
		turns []Turn
		want  []string
	}{
		"replies in another order": {
			[]Turn{query(1, "a"), query(2, "b"), answer(2, "b"), answer(1, "a")},
			[]string{"2 b/A/NOERROR", "1 a/A/NOERROR"},
		},
		"one ID for two queries": {
			[]Turn{query(1, "a"), query(1, "b"), answer(1, "a"), answer(1, "b")},
			[]string{"1 a/A/NOERROR", "1 b/A/NOERROR"},
		},
		"no reply": {
			[]Turn{query(1, "a"), query(2, "b"), query(3, "c"), answer(2, "b")},
			[]string{"2 b/A/NOERROR", "1 a/A/", "3 c/A/"},
		},
		"no query": {
			[]Turn{answer(1, "a", address("a", "192.0.2.1")), answer(2, "b")},
			[]string{"1 a//NOERROR", "2//NOERROR"},
		},
		"reply before its query": {
			[]Turn{answer(1, "a"), query(1, "a")},
			[]string{"1 a/A/NOERROR"},
		},
		"reply twice": {
			[]Turn{query(1, "a"), answer(1, "a"), answer(1, "a")},
			[]string{"1 a/A/NOERROR", "1//NOERROR"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tt.want, brief(play(t, server, tt.turns...)))
		})
	}
}

func TestRoundTripNeedsBothWays(t *testing.T) {
	assert.Nil(t, play(t, server, answer(1, "a", address("a", "192.0.2.1")))[0].RTT)
}

func TestHookOnlyWhileSomethingIsPending(t *testing.T) {
	p, c := udp(&Recorder{}), Conn()
	for _, tt := range []struct {
		turn    Turn
		pending bool
	}{
		{query(1, "a"), true}, {query(2, "a"), true}, {answer(1, "a"), true}, {answer(2, "a"), false},
		{answer(3, "a"), true}, {query(3, "a"), false}, {query(4, "a"), true},
	} {
		Play(t, p, c, tt.turn)
		assert.Equal(t, tt.pending, conn.Registered(c, finalize))
	}
}

func TestPendingIsBounded(t *testing.T) {
	o, c := &Recorder{}, Conn()
	p := udp(o)
	for i := range 10 * maxPending {
		Play(t, p, c, query(uint16(i), "q"), answer(uint16(i+30000), "a"))
		s := session.Get(c)
		require.LessOrEqual(t, len(s.queries), maxPending)
		require.LessOrEqual(t, len(s.replies), maxPending)
	}
	conn.StateRemove(c)
	assert.Len(t, o.Rows, 2*10*maxPending, "all are logged")
}

func TestMulticastPairsNothing(t *testing.T) {
	for _, group := range []string{"224.0.0.251:5353", "[ff02::fb]:5353"} {
		rows := play(t, group, query(0, "a.local"), query(0, "b.local"))
		assert.Equal(t, []string{"0 a.local/A/", "0 b.local/A/"}, brief(rows))
		reply := answer(0, "a.local", address("a.local", "192.0.2.1"))
		reply.FromOrig = true
		rows = play(t, group, query(0, "a.local"), reply)
		assert.Equal(t, []string{"0 a.local/A/", "0 a.local//NOERROR"}, brief(rows))
	}
}

func TestRejected(t *testing.T) {
	refuse := ask(1, "a", layers.DNSTypeA)
	refuse.QR, refuse.ResponseCode = true, 5
	rows := play(t, server, query(1, "a"), Resp(encode(refuse)), query(2, "a"), answer(2, "a"))
	assert.True(t, rows[0].Rejected)
	assert.Equal(t, "REFUSED", rows[0].RCodeName)
	assert.False(t, rows[1].Rejected, "no answer, but no error either")
	refuse.Authorities = []layers.DNSResourceRecord{address("a", "192.0.2.1")}
	assert.False(t, play(t, server, query(1, "a"), Resp(encode(refuse)))[0].Rejected)
	refuse.Questions = nil
	assert.True(t, play(t, server, query(1, "a"), Resp(encode(refuse)))[0].Rejected)
}

func TestExtendedRCodeIsLeftOut(t *testing.T) {
	m := ask(1, "a", layers.DNSTypeA)
	m.QR = true
	m.Additionals = []layers.DNSResourceRecord{{Type: layers.DNSTypeOPT, Class: 1232, TTL: 1 << 24}} // BADVERS
	assert.Equal(t, "NOERROR", play(t, server, query(1, "a"), Resp(encode(m)))[0].RCodeName)
}

func TestDamagedMessages(t *testing.T) {
	whole := answer(1, "www.example.com", address("www.example.com", "192.0.2.1"), address("www.example.com", "192.0.2.2"))
	const question = headerLen + 17 + 4
	for cut := range len(whole.Data) {
		rows := play(t, server, Resp(whole.Data[:cut]))
		if cut < headerLen {
			assert.Empty(t, rows)
			continue
		}
		require.Len(t, rows, 1)
		assert.EqualValues(t, 1, rows[0].TransID)
		assert.Len(t, rows[0].Answers, (cut-question)/((len(whole.Data)-question)/2))
		p, c := New(&Recorder{}, conn.UDP), Conn()
		Play(t, p, c, Resp(whole.Data[:cut]))
		assert.False(t, p.Confirmed(c))
	}
	for cut := range question {
		rows := play(t, server, Orig(query(1, "www.example.com").Data[:cut]))
		if cut >= headerLen {
			assert.Equal(t, []string{"1//"}, brief(rows))
		}
	}
	p, c := New(&Recorder{}, conn.UDP), Conn()
	assert.False(t, p.Confirmed(c))
	Play(t, p, c, whole)
	assert.True(t, p.Confirmed(c))
}

func TestOtherOpcodes(t *testing.T) {
	m := ask(1, "example.com", layers.DNSTypeSOA)
	m.OpCode = layers.DNSOpCodeUpdate
	rows := play(t, server, Orig(encode(m)))
	assert.Equal(t, "dynamic-update", rows[0].OpCodeName)
	m.OpCode = layers.DNSOpCodeStatus
	assert.Empty(t, play(t, server, Orig(encode(m))))
}

func TestNetBIOS(t *testing.T) {
	const name = "EGEPEPCACACACACACACACACACACACAAA" // FOO, padded
	m := ask(1, name, 32)
	m.OpCode = layers.DNSOpCodeUpdate
	rows := play(t, "192.0.2.255:137", Orig(encode(m)), Orig(encode(ask(2, name, layers.DNSTypeSRV))),
		Orig(encode(ask(3, strings.ToLower(name), layers.DNSTypeA))))
	assert.Equal(t, []string{"1 FOO/NIMLOC/", "2 FOO/NBSTAT/", "3 " + strings.ToLower(name) + "/A/"}, brief(rows))
	assert.Equal(t, "netbios-registration", rows[0].OpCodeName)
	const browsers = "ABACFPFPENFDECFCEPFHFDEFFPFPACAB"
	assert.Equal(t, "\x01\x02__MSBROWSE__\x02", netbiosName([]byte(browsers)))
}

func TestAnswers(t *testing.T) {
	name := []byte("Name.example")
	for want, rr := range map[string]layers.DNSResourceRecord{
		"192.0.2.1":            {Type: layers.DNSTypeA, IP: net.IP{192, 0, 2, 1}},
		"2001:db8::1":          {Type: layers.DNSTypeAAAA, IP: net.ParseIP("2001:db8::1")},
		"name.example":         {Type: layers.DNSTypeMX, MX: layers.DNSMX{Name: name}},
		"TXT 3 one TXT 3 two":  {Type: layers.DNSTypeTXT, TXTs: [][]byte{[]byte("one"), []byte("two")}},
		"RRSIG 1 name.example": {Type: layers.DNSTypeRRSIG, RRSIG: layers.DNSRRSIG{TypeCovered: 1, SignerName: name}},
		"RRSIG 2 <Root>":       {Type: layers.DNSTypeRRSIG, RRSIG: layers.DNSRRSIG{TypeCovered: 2}},
		"DNSKEY 8":             {Type: layers.DNSTypeDNSKEY, DNSKEY: layers.DNSKEY{Algorithm: 8}},
		"DS 8 2":               {Type: 43, Data: []byte{0, 1, 8, 2, 3}},
		"SSHFP: 0aff":          {Type: 44, Data: []byte{1, 2, 0x0a, 0xff}},
		"LOC:  1 2 3":          {Type: 29, Data: []byte{0, 1, 2, 3, 4}},
		"NSEC3PARAM":           {Type: 51, Data: []byte{1}},
		"<unknown type=52>":    {Type: 52, Data: []byte{1}},
		"<unknown type=43>":    {Type: 43, Data: []byte{1}},
		"":                     {Type: layers.DNSTypeOPT, Data: []byte{1}},
	} {
		if rr.Data == nil {
			rr.Data = []byte{0}
		}
		assert.Equal(t, want, summary(&rr))
	}
	assert.Empty(t, summary(&layers.DNSResourceRecord{Type: layers.DNSTypeA}), "an update may leave the address out")

	many := make([]layers.DNSResourceRecord, 2*maxAnswers)
	for i := range many {
		many[i] = address("a", "192.0.2.1")
	}
	assert.Len(t, play(t, server, answer(1, "a", many...))[0].Answers, maxAnswers)
}

// framed puts the length in front of each message, as TCP has it.
func framed(turns ...Turn) []Turn {
	for i := range turns {
		turns[i].Data = string(binary.BigEndian.AppendUint16(nil, uint16(len(turns[i].Data)))) + turns[i].Data
	}
	return turns
}

func TestTCP(t *testing.T) {
	turns := framed(query(1, "a.example"), query(2, "b.example"), answer(2, "b.example"), answer(1, "a.example"), query(3, "c"))
	both := Turn{FromOrig: true, Data: turns[0].Data + turns[1].Data}
	lines := Rows(t, tcp, both, turns[2], turns[3], turns[4])
	require.Len(t, lines, 3)
	for i, want := range []string{`"trans_id":2`, `"trans_id":1`, `"query":"c"`} {
		assert.Contains(t, lines[i], want)
		assert.Contains(t, lines[i], `"proto":"tcp"`)
	}
	turns[0].Lost = 1
	assert.Len(t, Rows(t, tcp, turns[0], turns[1]), 1, "nothing is read after a gap")
}

func TestMatch(t *testing.T) {
	p := New(nil, conn.UDP)
	q, a := []byte(query(1, "example.com").Data), []byte(answer(1, "example.com").Data)
	mdns := ask(0, "x.local", layers.DNSTypePTR)
	mdns.QR, mdns.Questions, mdns.Answers = true, nil, []layers.DNSResourceRecord{address("x.local", "192.0.2.1")}
	mdns.Answers[0].Class |= 0x8000
	assert.Equal(t, protocol.Yes, p.Match(q, nil))
	assert.Equal(t, protocol.Yes, p.Match(nil, a))
	assert.Equal(t, protocol.Yes, p.Match([]byte(encode(mdns)), nil))
	for name, other := range map[string]string{
		"short":          string(q[:11]),
		"cut":            string(q[:20]),
		"NTP":            "\x23\x00\x06\xec\x00\x00\x00\x00\x00\x00\x00\x00" + strings.Repeat("\x00", 36),
		"STUN":           "\x00\x01\x00\x00\x21\x12\xa4\x42" + strings.Repeat("x", 12),
		"DHCP":           "\x01\x01\x06\x00\x12\x34\x56\x78" + strings.Repeat("\x00", 200),
		"SIP":            "REGISTER sip:example.com SIP/2.0\r\n",
		"zeros":          strings.Repeat("\x00", 60),
		"strange class":  string(q[:len(q)-2]) + "\x12\x34",
		"reserved bit":   string(q[:3]) + "\x40" + string(q[4:]),
		"code in query":  string(q[:3]) + "\x01" + string(q[4:]),
		"unknown opcode": string(q[:2]) + "\x79" + string(q[3:]),
	} {
		assert.Equal(t, protocol.No, p.Match([]byte(other), nil), name)
	}

	p = New(nil, conn.TCP)
	stream := []byte(framed(query(1, "example.com"))[0].Data)
	for n := range stream {
		assert.Equal(t, protocol.Maybe, p.Match(stream[:n], nil), "%d bytes", n)
	}
	assert.Equal(t, protocol.Yes, p.Match(stream, nil))
	assert.Equal(t, protocol.Yes, p.Match(append(stream, stream...), nil))
	assert.Equal(t, protocol.No, p.Match([]byte("GET / HTTP/1.1\r\n\r\n"), nil))
}

func FuzzUDP(f *testing.F) {
	f.Add(Encode(query(1, "a.example"), answer(1, "a.example", address("a.example", "192.0.2.1"))))
	f.Add(Encode(query(1, "a"), query(2, "b"), answer(3, "c"), answer(2, "b")))
	f.Add(Encode(Orig("\x00\x01\x29\x00\x00\x01\x00\x00\x00\x00\x00\x00\x20EGEPEPCACACACACACACACACACACACAAA\x00\x00\x20\x00\x01")))
	f.Add(Encode(Resp("\x00\x01\x80\x00\x00\x00\x00\x01\x00\x00\x00\x00\xc0\x0c\x00\x2e\x00\x01\x00\x00\x00\x00\x00\x02\x00\x01")))
	f.Fuzz(func(t *testing.T, input []byte) {
		turns := Decode(input)
		for _, resp := range []string{server, "192.0.2.255:137", "224.0.0.251:5353"} {
			rows := play(t, resp, turns...)
			messages := 0
			for _, turn := range turns {
				if len(turn.Data) >= headerLen {
					messages++
				}
			}
			assert.LessOrEqual(t, len(rows), messages)
			for _, row := range rows {
				_, err := json.Marshal(row)
				assert.NoError(t, err)
				assert.LessOrEqual(t, len(row.Answers), maxAnswers)
			}
		}
	})
}

func FuzzTCP(f *testing.F) {
	f.Add(Encode(framed(query(1, "a"), query(2, "b"), answer(3, "c"), answer(2, "b"))...))
	f.Add(Encode(Orig("\x00\x00\x00\x0c\x00\x01\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff")))
	f.Fuzz(func(t *testing.T, input []byte) {
		FuzzRows(t, tcp, Decode(input)...)
	})
}
