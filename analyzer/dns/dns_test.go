package dns

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn"
	"example.com/conn/analyzer/protocol"
	. "example.com/conn/analyzer/protocol/protocoltest"
)

func udp(o protocol.Owner) protocol.Parser { return New(o, conn.UDP) }
func tcp(o protocol.Owner) protocol.Parser { return New(o, conn.TCP) }

// A msg is a message to be encoded. Its sections are in the form of the wire.
type msg struct {
	id      uint16
	flags   uint16
	counts  [4]uint16 // if not given, questions and records are counted
	q, an   []string
	ns, ar  []string
	trailer string
}

const (
	isReply = 0x8000
	update  = opUpdate << 11
	notify  = opNotify << 11
	aaRA    = 0x0480
	rd      = 0x0100
)

func (m msg) encode() string {
	if m.counts == [4]uint16{} {
		m.counts = [4]uint16{uint16(len(m.q)), uint16(len(m.an)), uint16(len(m.ns)), uint16(len(m.ar))}
	}
	b := binary.BigEndian.AppendUint16(nil, m.id)
	b = binary.BigEndian.AppendUint16(b, m.flags)
	for _, n := range m.counts {
		b = binary.BigEndian.AppendUint16(b, n)
	}
	s := string(b)
	for _, section := range [][]string{m.q, m.an, m.ns, m.ar} {
		s += strings.Join(section, "")
	}
	return s + m.trailer
}

// wire returns a domain name as messages have it.
func wire(name string) string {
	if name == "" {
		return "\x00"
	}
	var s string
	for label := range strings.SplitSeq(name, ".") {
		s += string(byte(len(label))) + label
	}
	return s + "\x00"
}

// short returns a number in two bytes.
func short(n int) string { return string([]byte{byte(n >> 8), byte(n)}) }

func question(name string, kind int) string { return wire(name) + short(kind) + short(1) }

// rr returns a record of class 1 with a TTL of 300.
func rr(name string, kind int, data string) string { return rrIn(name, kind, 1, 300, data) }

func rrIn(name string, kind, class, ttl int, data string) string {
	return wire(name) + short(kind) + short(class) + short(ttl>>16) + short(ttl) + short(len(data)) + data
}

func a(name string) string { return rr(name, 1, "\xc0\x00\x02\x01") }

func query(id uint16, name string) Turn {
	return Orig(msg{id: id, flags: rd, q: []string{question(name, 1)}}.encode())
}

// answer returns the reply to a query for an address.
func answer(id uint16, name string, answers ...string) Turn {
	return Resp(msg{id: id, flags: isReply | aaRA, q: []string{question(name, 1)}, an: answers}.encode())
}

// play returns the rows of turns over UDP, one datagram per turn, with a responder at the given
// address.
func play(t testing.TB, resp string, turns ...Turn) (rows []*Row) {
	t.Helper()
	rows, _ = observe(t, resp, turns...)
	return rows
}

// observe also returns everything else that was reported.
func observe(t testing.TB, resp string, turns ...Turn) (rows []*Row, o *Recorder) {
	t.Helper()
	o, c := &Recorder{}, Conn()
	c.ID.Proto, c.ID.Resp = conn.UDP, netip.MustParseAddrPort(resp)
	Play(t, udp(o), c, turns...)
	require.True(t, conn.StateRemove(c))
	for _, row := range o.Rows {
		rows = append(rows, row.(*Row))
	}
	return rows, o
}

const (
	server = "198.51.100.2:53"
	nbns   = "192.0.2.255:137"
)

// brief returns the distinguishing fields of a row.
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
		rrIn("www.example.com", 5, 1, 60, wire("Web.example.com")), a("web.example.com")))
	require.Len(t, rows, 1)
	line, err := json.Marshal(rows[0])
	require.NoError(t, err)
	assert.JSONEq(t, `{
		"_path": "dns", "ts": 1715940000.000000, "uid": "CTest", "proto": "udp",
		"id.orig_h": "192.0.2.1", "id.orig_p": 40000, "id.resp_h": "198.51.100.2", "id.resp_p": 53,
		"trans_id": 7, "rtt": 1.000000, "query": "www.example.com",
		"qclass": 1, "qclass_name": "C_INTERNET", "qtype": 1, "qtype_name": "A", "rcode": 0, "rcode_name": "NOERROR",
		"AA": true, "TC": false, "RD": true, "RA": true, "Z": 0, "rejected": false, "opcode": 0, "opcode_name": "query",
		"answers": ["web.example.com", "192.0.2.1"], "TTLs": [60.000000, 300.000000]
	}`, string(line))
}

func TestHeaderBits(t *testing.T) {
	r := play(t, server, Orig(msg{flags: 0x0270, q: []string{question("a", 255)}}.encode()))[0]
	assert.True(t, r.TC)
	assert.False(t, r.RD)
	assert.EqualValues(t, 7, r.Z)
	assert.Equal(t, "*", r.QTypeName)
	r = play(t, server, Orig(msg{flags: 0x0120, q: []string{wire("a") + short(600) + short(600)}}.encode()))[0]
	assert.False(t, r.TC)
	assert.True(t, r.RD)
	assert.EqualValues(t, 2, r.Z)
	assert.Equal(t, "query-600", r.QTypeName)
	assert.Equal(t, "qclass-600", r.QClassName)
	assert.EqualValues(t, 600, *r.QClass)
	assert.EqualValues(t, 600, *r.QType)

	reply := msg{flags: isReply | 0x0400 | 3, an: []string{a("a")}}
	r = play(t, server, Resp(reply.encode()))[0]
	assert.True(t, r.AA)
	assert.False(t, r.RA)
	assert.False(t, r.TC, "only the query's counts")
	assert.EqualValues(t, 3, *r.RCode)
	reply.flags = isReply | 0x02f0
	r = play(t, server, Resp(reply.encode()))[0]
	assert.False(t, r.AA)
	assert.True(t, r.RA)
	assert.False(t, r.TC)
	assert.Zero(t, r.Z)
	reply.flags = isReply | 0x0100
	assert.False(t, play(t, server, Resp(reply.encode()))[0].AA)
	reply.flags, reply.an = isReply|0x00f0, nil
	r = play(t, server, Resp(reply.encode()))[0]
	assert.False(t, r.RA, "it takes an answer")
}

func TestPairing(t *testing.T) {
	early := answer(1, "a", a("other"))
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
			[]Turn{answer(1, "a", a("a")), answer(2, "b")},
			[]string{"1 a//NOERROR", "2 b/A/NOERROR"},
		},
		"reply before its query":   {[]Turn{answer(1, "a"), query(1, "a")}, []string{"1 a/A/NOERROR"}},
		"the query tells its name": {[]Turn{early, query(1, "a")}, []string{"1 a/A/NOERROR"}},
		"reply twice":              {[]Turn{query(1, "a"), answer(1, "a"), answer(1, "a")}, []string{"1 a/A/NOERROR", "1 a/A/NOERROR"}},
		"both from one side":       {[]Turn{query(1, "a"), {FromOrig: true, Data: answer(1, "a").Data}}, []string{"1 a/A/NOERROR"}},
		"ID zero":                  {[]Turn{query(0, "a"), query(0, "b"), answer(0, "")}, []string{"0 a/A/NOERROR", "0 b/A/"}},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tt.want, brief(play(t, server, tt.turns...)))
		})
	}
}

// In multicast DNS, messages share the ID 0, and no reply belongs to a particular query.
func TestMulticastIsNotPaired(t *testing.T) {
	pairs := func(id uint16) []Turn {
		reply := func(name string) string { return msg{id: id, flags: isReply | aaRA, an: []string{a(name)}}.encode() }
		return []Turn{
			query(id, "a"), Orig(reply("b")), query(id, "c"), query(id, "d"), Resp(reply("e")), Resp(reply("f")),
		}
	}
	const peer = "192.0.2.1:5353"
	for name, tt := range map[string]struct {
		orig, resp string
		id         uint16
		paired     bool
	}{
		"to the group over IPv4":      {peer, "224.0.0.251:5353", 0, false},
		"to the group over IPv6":      {"[2001:db8::1]:5353", "[ff02::fb]:5353", 0, false},
		"to another scope":            {"[2001:db8::1]:5353", "[ff05::fb]:5353", 0, false},
		"to the group, with an ID":    {peer, "224.0.0.251:5353", 7, false},
		"from another port":           {"192.0.2.1:40000", "224.0.0.251:5353", 0, false},
		"to the group of LLMNR":       {"192.0.2.1:40000", "224.0.0.252:5355", 7, false},
		"to a host over IPv4":         {peer, "192.0.2.2:5353", 0, false},
		"to a host over IPv6":         {"[2001:db8::1]:5353", "[2001:db8::2]:5353", 0, false},
		"to a host, with an ID":       {peer, "192.0.2.2:5353", 7, true},
		"to a host from another port": {"192.0.2.1:40000", "192.0.2.2:5353", 0, true},
		"to a server":                 {peer, server, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			o, c := &Recorder{}, Conn()
			c.ID = conn.ID{Orig: netip.MustParseAddrPort(tt.orig), Resp: netip.MustParseAddrPort(tt.resp), Proto: conn.UDP}
			p := udp(o)
			Play(t, p, c, pairs(tt.id)...)
			if tt.paired {
				assert.Len(t, o.Rows, 3)
				return
			}
			assert.False(t, conn.Registered(c, finalize), "nothing is pending")
			var got []string
			for _, row := range o.Rows {
				r := row.(*Row)
				got = append(got, fmt.Sprint(*r.Query, r.Answers))
				assert.Nil(t, r.RTT)
			}
			assert.Equal(t, []string{"a[]", "b[192.0.2.1]", "c[]", "d[]", "e[192.0.2.1]", "f[192.0.2.1]"}, got)
		})
	}
	t.Run("over TCP", func(t *testing.T) {
		assert.Len(t, Rows(t, tcp, framed(query(0, "a"), answer(0, "a"))...), 1)
	})
}

func TestQuestionOfReplyWithoutQuery(t *testing.T) {
	soa := rr("example", 6, wire("ns")+wire("host")+strings.Repeat("\x00", 20))
	ask := []string{wire("Exfil.example") + short(16) + short(3)}
	for name, tt := range map[string]struct {
		msg
		typed bool
	}{
		"no answers":           {msg{q: ask}, true},
		"only authority":       {msg{q: ask, ns: []string{soa}}, true},
		"only additional":      {msg{q: ask, ar: []string{a("ns")}}, true},
		"an answer":            {msg{q: ask, an: []string{a("other.example")}}, false},
		"an answer Zeek skips": {msg{q: ask, an: []string{rr("exfil.example", 32, "x")}}, false},
		"a damaged answer":     {msg{q: ask, counts: [4]uint16{1, 1}, trailer: "\x01"}, false},
		"several questions":    {msg{q: []string{question("a", 1), ask[0]}}, true},
		"RD, TC and Z set":     {msg{flags: 0x0370, q: ask}, true},
	} {
		t.Run(name, func(t *testing.T) {
			tt.flags |= isReply | 3
			rows := play(t, server, Resp(tt.encode()))
			require.Len(t, rows, 1)
			r := rows[0]
			assert.Equal(t, "exfil.example", *r.Query)
			assert.Equal(t, "NXDOMAIN", r.RCodeName)
			if tt.typed {
				assert.Equal(t, "TXT", r.QTypeName)
				assert.Equal(t, "C_CHAOS", r.QClassName)
			} else {
				assert.Empty(t, r.QTypeName)
				assert.Empty(t, r.QClassName)
				assert.Nil(t, r.QType)
				assert.Nil(t, r.QClass)
			}
			assert.False(t, r.RD || r.TC || r.Z != 0, "only the query's bits count")
		})
	}
	t.Run("query with answers", func(t *testing.T) {
		m := msg{q: ask, an: []string{a("exfil.example")}}
		assert.Equal(t, []string{"0 exfil.example/TXT/"}, brief(play(t, server, Orig(m.encode()))))
	})
	t.Run("query without a question", func(t *testing.T) {
		rows := play(t, server, Orig(msg{}.encode()), answer(0, "a", a("a")))
		assert.Equal(t, []string{"0 a//NOERROR"}, brief(rows))
	})
	t.Run("no question", func(t *testing.T) {
		assert.Equal(t, []string{"0//NXDOMAIN"}, brief(play(t, server, Resp(msg{flags: isReply | 3}.encode()))))
	})
	t.Run("a dynamic update", func(t *testing.T) {
		m := msg{flags: isReply | update | 3, q: ask}
		assert.Equal(t, []string{"0//NXDOMAIN"}, brief(play(t, server, Resp(m.encode()))), "it is a zone")
	})
	t.Run("the query comes later", func(t *testing.T) {
		m := msg{id: 1, flags: isReply | 3, q: ask}
		rows := play(t, server, Resp(m.encode()), query(1, "a"))
		assert.Equal(t, []string{"1 a/A/NXDOMAIN"}, brief(rows))
		assert.True(t, rows[0].RD)
	})
}

func TestReplyFirst(t *testing.T) {
	reply := []byte(answer(1, "a").Data)
	at := func(side protocol.Side) protocol.Packet { return protocol.Packet{Time: Start, Side: side} }
	c := Conn()
	p := New(&Recorder{}, conn.UDP)
	for _, data := range [][]byte{reply, reply[:headerLen]} {
		n, next := p.Data(c, at(protocol.Orig), data)
		assert.Zero(t, n)
		assert.Equal(t, protocol.Flip, next)
	}
	for name, tt := range map[string]struct {
		side protocol.Side
		resp string
		data string
	}{
		"a reply from the responder":   {protocol.Resp, server, string(reply)},
		"a query":                      {protocol.Orig, server, query(1, "a").Data},
		"a reply to a multicast group": {protocol.Orig, "224.0.0.251:5353", string(reply)},
		"less than a header":           {protocol.Orig, server, string(reply[:headerLen-1])},
	} {
		t.Run(name, func(t *testing.T) {
			c := Conn()
			c.ID.Resp = netip.MustParseAddrPort(tt.resp)
			for range 2 {
				n, next := p.Data(c, at(tt.side), []byte(tt.data))
				assert.Equal(t, len(tt.data), n)
				assert.Equal(t, protocol.More, next)
			}
			_, next := p.Data(c, at(protocol.Orig), reply)
			assert.Equal(t, protocol.More, next, "not later")
		})
	}
	assert.Len(t, Rows(t, tcp, framed(Orig(string(reply)))...), 1, "a TCP handshake shows who opened it")
}

func TestExpired(t *testing.T) {
	p, c := New(nil, conn.UDP), Conn()
	after := func(seconds float64) time.Time { return Start.Add(time.Duration(seconds * float64(time.Second))) }
	for _, tt := range []struct{ last, over float64 }{
		{0, 10}, {1, 10}, {1.000_000_001, 20}, {9, 20}, {11, 20}, {11.5, 30}, {1000, 1010}, {1001, 1010}, {1002, 1020},
	} {
		t.Run(fmt.Sprintf("last packet after %v s", tt.last), func(t *testing.T) {
			assert.True(t, p.Expired(c, after(tt.last), after(tt.over)))
			assert.False(t, p.Expired(c, after(tt.last), after(tt.over-0.001)))
		})
	}
	var _ protocol.Expirer = p
}

func TestRoundTripNeedsBothWays(t *testing.T) {
	assert.Nil(t, play(t, server, answer(1, "a", a("a")))[0].RTT)
	assert.Nil(t, play(t, server, query(1, "a"), answer(1, "a"))[0].RTT, "and an answer")
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
	p.FreeMemory(c)
	assert.False(t, conn.Registered(c, finalize))
}

func TestRejected(t *testing.T) {
	refuse := msg{id: 1, flags: isReply | 5, q: []string{question("a", 1)}}
	rows := play(t, server, query(1, "a"), Resp(refuse.encode()), query(2, "a"), answer(2, "a"))
	assert.True(t, rows[0].Rejected)
	assert.Equal(t, "REFUSED", rows[0].RCodeName)
	assert.True(t, rows[1].Rejected, "nothing but a question, and no error: Zeek calls it so")
	for _, section := range []*[]string{&refuse.an, &refuse.ns, &refuse.ar} {
		*section = []string{a("a")}
		assert.False(t, play(t, server, query(1, "a"), Resp(refuse.encode()))[0].Rejected)
		*section = nil
	}
	refuse.q = []string{question("", 0)}
	for i := range 3 { // the number's second byte is zero, and what follows it is, too
		refuse.counts = [4]uint16{1}
		assert.True(t, play(t, server, query(1, "a"), Resp(refuse.encode()))[0].Rejected)
		refuse.counts[1+i] = 256
		assert.False(t, play(t, server, query(1, "a"), Resp(refuse.encode()))[0].Rejected)
	}
	refuse.q, refuse.counts = nil, [4]uint16{}
	assert.True(t, play(t, server, query(1, "a"), Resp(refuse.encode()))[0].Rejected)
	refuse.flags = isReply
	assert.False(t, play(t, server, query(1, "a"), Resp(refuse.encode()))[0].Rejected)
}

func TestExtendedRCodeIsLeftOut(t *testing.T) {
	badVersion := rrIn("", 41, 1232, 1<<24, "")
	m := msg{id: 1, flags: isReply, q: []string{question("a", 1)}, ar: []string{badVersion}}
	assert.Equal(t, "NOERROR", play(t, server, query(1, "a"), Resp(m.encode()))[0].RCodeName)
}

func TestLastOfSeveralQuestions(t *testing.T) {
	m := msg{q: []string{question("a", 1), question("b", 28), question("c", 16)}}
	assert.Equal(t, []string{"0 c/TXT/"}, brief(play(t, server, Orig(m.encode()))))
	m.q[2] = "\x01c\x00"
	m.counts = [4]uint16{3}
	rows, o := observe(t, server, Orig(m.encode()))
	assert.Equal(t, []string{"0 b/AAAA/"}, brief(rows), "the last that is whole")
	assert.Equal(t, []string{"DNS_truncated_quest_too_short"}, o.Weirds)
	assert.False(t, o.Confirmed)
}

func TestTooManyQuestions(t *testing.T) {
	m := msg{counts: [4]uint16{maxQueries}, q: []string{strings.Repeat(question("a", 1), maxQueries+1)}}
	rows, o := observe(t, server, Orig(m.encode()))
	assert.Equal(t, []string{"0 a/A/"}, brief(rows))
	assert.True(t, o.Confirmed)
	m.counts[0]++
	rows, o = observe(t, server, Orig(m.encode()))
	assert.Equal(t, []string{"0//"}, brief(rows))
	assert.Equal(t, []string{"DNS_Conn_count_too_large"}, o.Weirds)
	assert.False(t, o.Confirmed)

	c := Conn()
	p := udp(&Recorder{})
	assert.Equal(t, protocol.More, Play(t, p, c, Orig(m.encode())).Next, "not yet known to be DNS")
	assert.Equal(t, protocol.Violation, Play(t, p, c, query(1, "a"), Orig(m.encode())).Next)

	late := []Turn{query(1, "a")}
	for range 10 {
		late = append(late, Resp(string(make([]byte, 1024))))
	}
	assert.Equal(t, protocol.Violation, Play(t, udp(&Recorder{}), Conn(), append(late[:10:10], Orig(m.encode()))...).Next)
	assert.Equal(t, protocol.More, Play(t, udp(&Recorder{}), Conn(), append(late, Orig(m.encode()))...).Next)
}

func TestDamagedMessages(t *testing.T) {
	whole := answer(1, "www.example.com", a("www.example.com"), a("www.example.com"))
	const question = headerLen + 17 + 4
	for cut := 1; cut < len(whole.Data); cut++ {
		rows, o := observe(t, server, Resp(whole.Data[:cut]))
		require.False(t, o.Confirmed)
		require.NotEmpty(t, o.Weirds)
		if cut < headerLen {
			require.Empty(t, rows)
			require.Equal(t, "DNS_truncated_len_lt_hdr_len", o.Weirds[0])
			continue
		}
		require.Len(t, rows, 1)
		require.EqualValues(t, 1, rows[0].TransID)
		require.Len(t, rows[0].Answers, max(0, cut-question)/((len(whole.Data)-question)/2))
	}
	for cut := range question {
		rows := play(t, server, Orig(query(1, "www.example.com").Data[:cut]))
		if cut >= headerLen {
			assert.Equal(t, []string{"1//"}, brief(rows))
		}
	}
	_, o := observe(t, server, whole)
	assert.True(t, o.Confirmed)
	assert.Empty(t, o.Weirds)
}

// A query of multicast DNS lists the answers that are known (RFC 6762, section 7.1).
func TestDamagedAnswersOfQuery(t *testing.T) {
	whole := msg{q: []string{question("b", 1)}, an: []string{a("a"), a("b")}}.encode()
	for name, tt := range map[string]struct {
		message string
		weirds  []string
	}{
		"whole": {whole, nil},
		"cut":   {whole[:len(whole)-1], []string{"DNS_truncated_RR_rdlength_lt_len"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, o := observe(t, server, Orig(tt.message))
			assert.Equal(t, tt.weirds == nil, o.Confirmed)
			assert.Equal(t, tt.weirds, o.Weirds)
		})
	}
}

// Type 33 is SRV elsewhere. Nothing of the reply is logged.
func TestReplyToNBSTAT(t *testing.T) {
	m := msg{q: []string{question("a", 33)}}
	reply := msg{flags: isReply | aaRA, an: []string{rr("a", 33, "\x00names")}}
	rows, o := observe(t, nbns, Orig(m.encode()), Resp(reply.encode()))
	require.Len(t, rows, 1)
	assert.Equal(t, "NBSTAT", rows[0].QTypeName)
	assert.Nil(t, rows[0].RTT)
	assert.False(t, rows[0].AA)
	assert.Empty(t, rows[0].Answers)
	assert.Empty(t, o.Weirds)
}

// As only the last question is logged, no other is expanded.
func TestOnlyLastQuestionIsExpanded(t *testing.T) {
	damaged := "\xc0\x00" + short(1) + short(1) // a pointer to the ID, as a label of 80 bytes
	for name, tt := range map[string]struct {
		questions []string
		weirds    []string
	}{
		"last":  {[]string{question("a", 1), damaged}, []string{"DNS_label_len_gt_pkt"}},
		"first": {[]string{damaged, question("a", 1)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, o := observe(t, server, Orig(msg{id: 0x5050, q: tt.questions}.encode()))
			assert.Equal(t, tt.weirds, o.Weirds)
		})
	}
}

func TestOpcodes(t *testing.T) {
	for opcode, want := range map[int]string{
		0: "query", 4: "notify", 5: "dynamic-update", 1: "", 2: "", 3: "", 6: "", 15: "",
	} {
		t.Run(fmt.Sprint(opcode), func(t *testing.T) {
			rows, o := observe(t, server, Orig(msg{flags: uint16(opcode) << 11, q: []string{question("a", 6)}}.encode()))
			if want == "" {
				assert.Empty(t, rows)
				assert.Equal(t, map[string]string{"DNS_unknown_opcode": fmt.Sprint(opcode)}, o.Addl)
				assert.False(t, o.Confirmed)
				return
			}
			assert.Equal(t, want, rows[0].OpCodeName)
			assert.EqualValues(t, opcode, rows[0].OpCode)
			assert.Empty(t, o.Weirds)
		})
	}
	for opcode, want := range map[int]string{0: "netbios-query", 4: "netbios-opcode-4", 5: "netbios-registration", 6: ""} {
		t.Run(fmt.Sprint(opcode), func(t *testing.T) {
			rows, o := observe(t, nbns, Orig(msg{flags: uint16(opcode) << 11, q: []string{question("a", 6)}}.encode()))
			assert.Empty(t, o.Weirds)
			assert.True(t, o.Confirmed)
			if want == "" {
				assert.Empty(t, rows)
				return
			}
			assert.Equal(t, want, rows[0].OpCodeName)
		})
	}
}

func TestDynamicUpdate(t *testing.T) {
	const none, zone = classNone, classAny
	m := msg{
		id: 1, flags: update, q: []string{question("example.com", 6)},
		an: []string{
			rrIn("h.example.com", 255, none, 0, ""), rrIn("h.example.com", 255, zone, 0, ""),
			rrIn("h.example.com", 5, none, 0, ""), rrIn("h.example.com", 1, zone, 0, ""), rr("h.example.com", 1, "1234"),
		},
		ns: []string{
			rrIn("h.example.com", 255, zone, 0, ""), rrIn("h.example.com", 28, zone, 0, ""),
			rrIn("h.example.com", 1, none, 0, "1234"), a("h.example.com"), rr("h.example.com", 28, strings.Repeat("\x00", 16)),
			rr("h.example.com", 38, strings.Repeat("\x00", 16)), rr("p.example.com", 12, wire("H.example.com")),
		},
	}
	assert.Equal(t, []string{"1//"}, brief(play(t, server, Orig(m.encode()))), "Zeek logs a reply's")
	request := m.encode()
	m.flags |= isReply | 5
	rows, o := observe(t, server, Orig(request), Resp(m.encode()))
	assert.Equal(t, []string{"1 h.example.com//REFUSED"}, brief(rows))
	assert.Equal(t, []string{
		"pre: NameNotInUse h.example.com", "pre: NameInUse h.example.com", "pre: NoRRSet CNAME h.example.com",
		"pre: RRSetExists A h.example.com", "pre: RRSetExists A h.example.com",
		"del: RRSet * h.example.com", "del: RRSet AAAA", "del: RR A h.example.com",
		"add: A h.example.com 192.0.2.1", "add: AAAA h.example.com ::", "add: A6 h.example.com ::", "add: h.example.com",
	}, rows[0].Answers)
	assert.False(t, rows[0].Rejected)
	assert.Nil(t, rows[0].QClass)
	assert.Len(t, rows[0].TTLs, 12)
	assert.Empty(t, o.Weirds)
	assert.True(t, o.Confirmed)

	m = msg{id: 1, flags: isReply | update, q: []string{question("example.com", 6)}}
	assert.False(t, play(t, server, Resp(m.encode()))[0].Rejected, "servers need not repeat the changes")
	m.an, m.counts = []string{rrIn("h", 1, none, 0, "")}, [4]uint16{1, 2}
	_, o = observe(t, server, Resp(m.encode()))
	assert.False(t, o.Confirmed)
}

func TestNetBIOS(t *testing.T) {
	const name = "EGEPEPCACACACACACACACACACACACAAA" // FOO, padded
	rows := play(t, nbns, Orig(msg{id: 1, flags: update, q: []string{question(name, 32)}}.encode()),
		Orig(msg{id: 2, q: []string{question(name, 33)}}.encode()), query(3, strings.ToLower(name)), query(4, name+".scope"),
		query(5, "CKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), query(6, "CACACACACACACACACACACACACACACACA"), query(7, name[:30]),
		query(8, "zz"+name[2:]), query(9, name[:30]+"!A"), query(10, "ABACFPFPENFDECFCEPFHFDEFFPFPACAB"),
		query(11, strings.Repeat("IA", 16)), query(12, strings.Repeat("HO", 16)), query(13, "A~"+name[2:]), query(14, strings.Repeat("HP", 16)),
		query(15, "EG"+strings.Repeat("PA", 15)))
	assert.Equal(t, []string{
		"1 FOO/NIMLOC/", "2 FOO/NBSTAT/", "3 FOO/A/", "4 FOO/A/", "5 */A/",
		"6 cacacacacacacacacacacacacacacaca/A/", "7 " + strings.ToLower(name[:30]) + "/A/",
		"8 zz" + strings.ToLower(name[2:]) + "/A/", "9 FOO/A/", "10 \x01\x02__MSBROWSE__\x02/A/",
		"11 " + strings.Repeat("ia", 16) + "/A/", "12 " + strings.Repeat("~", 15) + "/A/", "13 a~" + strings.ToLower(name[2:]) + "/A/",
		"14 " + strings.Repeat("hp", 16) + "/A/", "15 F/A/",
	}, brief(rows))
	assert.Equal(t, "netbios-registration", rows[0].OpCodeName)
	rows = play(t, server, query(1, name))
	assert.Equal(t, []string{"1 " + strings.ToLower(name) + "/A/"}, brief(rows), "nowhere else")

	long := string(rune(100)) + strings.Repeat("x", 100) + "\x00" + short(1) + short(1)
	assert.Equal(t, []string{"0 " + strings.Repeat("x", 100) + "/A/"}, brief(play(t, nbns, Orig(msg{q: []string{long}}.encode()))))

	stat := msg{flags: isReply, an: []string{rr(name, 33, "\x01names"), a("b")}}
	assert.Equal(t, []string{"192.0.2.1"}, play(t, nbns, Resp(stat.encode()))[0].Answers, "names are skipped")
}

// framed prefixes each message with its length, as over TCP.
func framed(turns ...Turn) []Turn {
	for i := range turns {
		turns[i].Data = short(len(turns[i].Data)) + turns[i].Data
	}
	return turns
}

func TestTCP(t *testing.T) {
	turns := framed(query(1, "a.example"), query(2, "b.example"), answer(2, "b.example"), answer(1, "a.example"), query(3, "c"))
	both := Turn{FromOrig: true, Data: turns[0].Data + turns[1].Data}
	lines := Rows(t, tcp, both, turns[2], turns[3], turns[4])
	require.Len(t, lines, 3)
	for i, want := range []string{`"trans_id":2`, `"trans_id":1`, `"query":"c"`} {
		t.Run(want, func(t *testing.T) {
			assert.Contains(t, lines[i], want)
			assert.Contains(t, lines[i], `"proto":"tcp"`)
		})
	}
	p := New(&Recorder{}, conn.TCP)
	for data, want := range map[string]int{"": 0, "\x00": 0, "\x00\x00": 2, "\x00\x00\x00": 2, "\x00\x01": 0, "\x00\x01x": 3} {
		t.Run(data, func(t *testing.T) {
			n, next := p.Data(Conn(), protocol.Packet{Time: Start}, []byte(data))
			assert.Equal(t, want, n)
			assert.Equal(t, protocol.More, next)
		})
	}
}

func TestTCPViolation(t *testing.T) {
	many := Orig(msg{counts: [4]uint16{maxQueries + 1}}.encode())
	c := Conn()
	turns := framed(query(1, "a"), many, query(2, "b"))
	res := Play(t, tcp(&Recorder{}), c, Orig(turns[0].Data+turns[1].Data+turns[2].Data))
	assert.Equal(t, protocol.Violation, res.Next)
	assert.Len(t, Rows(t, tcp, framed(query(1, "a"), many, query(2, "b"))...), 2)
}

// The names of numbers are those in Zeek's logs.
func TestNamesOfNumbers(t *testing.T) {
	text := func(names map[uint16]string) string {
		var all []string
		for _, n := range slices.Sorted(maps.Keys(names)) {
			all = append(all, fmt.Sprint(n, " ", names[n]))
		}
		return strings.Join(all, ", ")
	}
	assert.Equal(t, "0 query, 4 notify, 5 dynamic-update", text(opcodes))
	assert.Equal(t, "0 netbios-query, 5 netbios-registration", text(netbiosOpcodes))
	assert.Equal(t, "1 C_INTERNET, 2 C_CSNET, 3 C_CHAOS, 4 C_HESIOD, 254 C_NONE, 255 C_ANY", text(classes))
	assert.Equal(t, "0 NOERROR, 1 FORMERR, 2 SERVFAIL, 3 NXDOMAIN, 4 NOTIMP, 5 REFUSED, 6 YXDOMAIN, 7 YXRRSET, 8 NXRRSet, "+
		"9 NOTAUTH, 10 NOTZONE, 11 unassigned-11, 12 unassigned-12, 13 unassigned-13, 14 unassigned-14, 15 unassigned-15", text(rcodes))
	assert.Equal(t, "1 A, 2 NS, 3 MD, 4 MF, 5 CNAME, 6 SOA, 7 MB, 8 MG, 9 MR, 10 NULL, 11 WKS, 12 PTR, 13 HINFO, "+
		"14 MINFO, 15 MX, 16 TXT, 17 RP, 18 AFSDB, 19 X25, 20 ISDN, 21 RT, 22 NSAP, 23 NSAP-PTR, 24 SIG, "+
		"25 KEY, 26 PX, 27 GPOS, 28 AAAA, 29 LOC, 30 NXT, 31 EID, 32 NIMLOC, 33 SRV, 34 ATMA, 35 NAPTR, "+
		"36 KX, 37 CERT, 38 A6, 39 DNAME, 40 SINK, 41 OPT, 42 APL, 43 DS, 44 SSHFP, 45 IPSECKEY, 46 RRSIG, "+
		"47 NSEC, 48 DNSKEY, 49 DHCID, 50 NSEC3, 51 NSEC3PARAM, 52 TLSA, 53 SMIMEA, 55 HIP, 56 NINFO, "+
		"57 RKEY, 58 TALINK, 59 CDS, 60 CDNSKEY, 61 OPENPGPKEY, 62 CSYNC, 63 ZONEMD, 64 SVCB, 65 HTTPS, "+
		"99 SPF, 100 UINFO, 101 UID, 102 GID, 103 UNSPEC, 104 NID, 105 L32, 106 L64, 107 LP, 108 EUI48, "+
		"109 EUI64, 249 TKEY, 250 TSIG, 251 IXFR, 252 AXFR, 253 MAILB, 254 MAILA, 255 *, 256 URI, 257 CAA, "+
		"32768 TA, 32769 DLV, 65281 WINS, 65282 WINS-R, 65422 XPF, 65521 INTEGRITY", text(types))
}

func TestOnlyPortIdentifiesDNS(t *testing.T) {
	for _, p := range []*Parser{New(nil, conn.UDP), New(nil, conn.TCP)} {
		assert.Equal(t, "dns", p.Name())
		assert.Equal(t, protocol.No, p.Match([]byte(query(1, "a").Data), []byte(answer(1, "a").Data)))
		assert.True(t, p.Resumes())
	}
}
