package dns

import (
	"encoding/json"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/protocol"
	. "example.com/conn/analyzer/protocol/protocoltest"
)

func TestAnswersAreBounded(t *testing.T) {
	rows, o := observe(t, server, answer(1, "a", strings.Split(strings.Repeat(a("a")+"|", maxAnswers+1), "|")[:maxAnswers+1]...))
	assert.Len(t, rows[0].Answers, maxAnswers)
	assert.Equal(t, []string{"log_container_field_truncated"}, o.Weirds)
	assert.True(t, o.Confirmed)
	_, o = observe(t, server, answer(1, "a", strings.Split(strings.Repeat(a("a")+"|", maxAnswers-1), "|")[:maxAnswers-1]...))
	assert.Empty(t, o.Weirds)

	txt := rr("a", 16, strings.Repeat("\xff"+strings.Repeat("x", 255), 20))
	var many []string
	for range 12 {
		many = append(many, txt)
	}
	rows = play(t, server, answer(1, "a", many...))
	size := 0
	for _, text := range rows[0].Answers {
		assert.Less(t, len(text), logs.MaxText+300)
		size += len(text)
	}
	assert.Greater(t, size, maxAnswerBytes-logs.MaxText)
	assert.Less(t, size, maxAnswerBytes+logs.MaxText+300)

	finger := play(t, server, answer(1, "a", rr("a", 44, strings.Repeat("x", 10000))))[0].Answers[0]
	assert.Len(t, finger, logs.MaxText+len("SSHFP: "))
}

// TestPendingIsBounded sends queries that are never answered, and replies to none.
func TestPendingIsBounded(t *testing.T) {
	big := answer(0, "a", rr("a", 16, strings.Repeat("\xff"+strings.Repeat("x", 255), 20)))
	for name, tt := range map[string]struct {
		turn    func(i int) Turn
		pending int // rows before the last one that fits
		flushed int // rows logged by the one that does not fit
	}{
		"IDs":     {func(i int) Turn { return query(uint16(i), "q") }, maxIDs + 1, maxIDs},
		"one ID":  {func(int) Turn { return answer(1, "a") }, maxQueued + 1, maxQueued + 1},
		"bytes":   {func(int) Turn { return big }, maxHeld / (logs.MaxText + 420), maxHeld / (logs.MaxText + 420)},
		"queries": {func(int) Turn { return query(1, strings.Repeat("a.", 120)) }, maxQueued + 1, maxQueued + 1},
	} {
		t.Run(name, func(t *testing.T) {
			o, c := &Recorder{}, Conn()
			p := udp(o)
			for i := range tt.pending {
				Play(t, p, c, tt.turn(i))
				require.Empty(t, o.Rows)
			}
			Play(t, p, c, tt.turn(tt.pending))
			assert.Len(t, o.Rows, tt.flushed)
			assert.Equal(t, []string{"dns_unmatched_msg_quantity"}, o.Weirds)
			for i := range 1000 {
				Play(t, p, c, tt.turn(i+tt.pending+1))
				require.Less(t, p.MemoryUsed(c), maxHeld+8000)
			}
			conn.StateRemove(c)
			assert.Len(t, o.Rows, tt.pending+1001, "all are logged")
			assert.Less(t, p.MemoryUsed(c), 200)
		})
	}
}

func TestOldestQueryStays(t *testing.T) {
	var turns []Turn
	for i := range maxIDs + 2 {
		turns = append(turns, query(uint16(i), "q"))
	}
	rows := play(t, server, append(turns, answer(0, "q"))...)
	require.Len(t, rows, maxIDs+2)
	assert.EqualValues(t, 1, rows[0].TransID)
	assert.EqualValues(t, 0, rows[maxIDs].TransID)
	assert.Equal(t, "NOERROR", rows[maxIDs].RCodeName)
}

// At the limit of IDs, each still has room for another query.
func TestPendingIDsHaveRoomForMore(t *testing.T) {
	o, c := &Recorder{}, Conn()
	p := udp(o)
	for i := range maxIDs + 1 {
		Play(t, p, c, query(uint16(i), "q"))
	}
	for i := range maxIDs + 1 {
		Play(t, p, c, query(uint16(i), "q"))
	}
	assert.Empty(t, o.Rows)
	assert.Empty(t, o.Weirds)
	Play(t, p, c, query(maxIDs+1, "q"))
	assert.Len(t, o.Rows, 2*maxIDs)
}

func TestParserKeepsNoMessage(t *testing.T) {
	p, c := New(&Recorder{}, conn.UDP), Conn()
	Play(t, p, c, query(1, "a"))
	assert.Nil(t, p.msg.data)
	Play(t, p, c, answer(1, "a", rr("a", 16, strings.Repeat("\xff"+strings.Repeat("x", 255), 100))))
	assert.Less(t, len(p.msg.text), logs.MaxText+300, "its buffers stay, but are not large")
}

// A fault can be repeated in every record of a message.
func TestFaultsAreKeptOncePerName(t *testing.T) {
	bad := "\x01a\xc0\xff" + a("")[1:] // a pointer ahead
	m := newMessage([]byte(msg{flags: isReply, an: slices.Repeat([]string{bad}, 100)}.encode()), message{})
	assert.True(t, m.read(nil, Start))
	assert.Equal(t, []fault{{name: "DNS_label_forward_compress_offset"}}, m.faults)
}

func TestFreeMemory(t *testing.T) {
	o, c := &Recorder{}, Conn()
	p := udp(o)
	p.FreeMemory(c)
	assert.Zero(t, p.MemoryUsed(c))
	Play(t, p, c, query(1, "a"), answer(2, "b"))
	assert.Greater(t, p.MemoryUsed(c), 2*384)
	p.FreeMemory(c)
	assert.Len(t, o.Rows, 2)
	assert.Less(t, p.MemoryUsed(c), 200)
	Play(t, p, c, query(3, "c"), answer(3, "c"))
	assert.Len(t, o.Rows, 3)
	conn.StateRemove(c)
	assert.Len(t, o.Rows, 3)
}

// reachable plays turns on n connections. It returns, per connection, how many bytes of the heap
// the state takes, and what MemoryUsed says.
func reachable(t *testing.T, n int, turns ...Turn) (real, held int) {
	conns := make([]conn.Connection, n)
	p := New(discard{}, conn.UDP)
	for i := range conns {
		conns[i] = *Conn()
	}
	heap := func() int {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return int(stats.HeapAlloc)
	}
	before := heap()
	for i := range conns {
		Play(t, p, &conns[i], turns...)
		held += p.MemoryUsed(&conns[i])
	}
	real = heap() - before
	runtime.KeepAlive(conns)
	return real / n, held / n
}

func TestHeldCountsTexts(t *testing.T) {
	held := func(turns ...Turn) int {
		p, c := udp(&Recorder{}), Conn()
		Play(t, p, c, turns...)
		return p.MemoryUsed(c)
	}
	assert.Equal(t, 192+384+40+1, held(query(1, "a")))
	assert.Equal(t, 192, held(query(1, "a"), answer(1, "a")), "nothing is left of what is logged")
	assert.Equal(t, 8, held(query(1, "nine.byte"))-held(query(1, "a")))
	assert.Equal(t, 8, held(answer(1, "nine.byte"))-held(answer(1, "a")))
	nothing := func(answers ...string) Turn { return Resp(msg{flags: isReply, an: answers}.encode()) }
	assert.Equal(t, 8, held(nothing(rr("nine.byte", 1, "1234")))-held(nothing(rr("a", 1, "1234"))))
	assert.Equal(t, 8, held(answer(1, "a", rr("a", 5, wire("nine.byte"))))-held(answer(1, "a", rr("a", 5, wire("a")))))
	assert.Equal(t, 25, held(answer(1, "a", rr("b", 5, wire("c"))))-held(answer(1, "a")), "a text, a string, and a TTL")
}

func TestHeldIsWhatIsReachable(t *testing.T) {
	assert.LessOrEqual(t, unsafe.Sizeof(Row{}), uintptr(384))
	var several []Turn
	for i := range 20 {
		several = append(several, query(uint16(i), "www.example.com"))
	}
	var long []string
	for range 50 {
		long = append(long, rr("a", 5, wire(strings.Repeat("a.", 60)+"a")))
	}
	for name, turns := range map[string][]Turn{
		"a query":         {query(1, "www.example.com")},
		"queries":         several,
		"answered":        {query(1, "www.example.com"), answer(1, "www.example.com")},
		"a reply":         {answer(1, "www.example.com", a("www.example.com"))},
		"a long reply":    {answer(1, "a", long...)},
		"a burst":         append(append([]Turn(nil), several...), answer(0, "a"), answer(1, "a")),
		"replies, one ID": {answer(1, "a"), answer(1, "a"), answer(1, "a"), answer(1, "a"), answer(1, "a"), answer(1, "a")},
	} {
		t.Run(name, func(t *testing.T) {
			real, held := reachable(t, 2000, turns...)
			assert.InDelta(t, 1, float64(held+100)/float64(real+100), 0.35, "%s: held %d, reachable %d", name, held, real)
		})
	}
}

// discard is an owner that keeps nothing.
type discard struct{ protocol.Owner }

func (discard) Log(logs.Row)                           {}
func (discard) Confirm(*conn.Connection)               {}
func (discard) Weird(*conn.Connection, string, string) {}

// hostile returns messages made to be expensive.
func hostile() map[string][]byte {
	fill := func(head, record string, n int) []byte {
		m := msg{flags: isReply, q: []string{head}, an: []string{strings.Repeat(record, n)}}
		m.counts = [4]uint16{1, uint16(n)}
		return []byte(m.encode())
	}
	long := question(strings.Repeat(strings.Repeat("A", 62)+".", 3)+strings.Repeat("B", 61), 1)
	binary := strings.ReplaceAll(strings.ReplaceAll(long, "A", "\xff"), "B", "\xff")
	labels := question(strings.Repeat("A.", 126)+"A", 1)
	chain := msg{counts: [4]uint16{1}}.encode() // of pointers, each to the one before
	chain = chain[:2] + "\x80" + chain[3:] + question("a", 1)
	n := 0
	for ; len(chain) < 16000; n++ {
		at := headerLen
		if n > 0 {
			at = len(chain) - 16
		}
		chain += pointer(at) + short(5) + short(1) + "\x00\x00\x00\x00" + short(2) + pointer(at) + "\x00\x00"[:2]
	}
	pointers := fill(labels, pointer(headerLen)+short(5)+short(1)+"\x00\x00\x00\x00"+short(2)+pointer(headerLen), 4000)
	update := []byte(fill(labels, pointer(headerLen)+short(1)+short(classNone)+"\x00\x00\x00\x00"+short(0), 4000))
	update[2] |= opUpdate << 3
	return map[string][]byte{
		"friendly":         []byte(answer(1, "www.example.com", a("www.example.com"), a("www.example.com")).Data),
		"long names":       fill(long, pointer(headerLen)+short(5)+short(1)+"\x00\x00\x00\x00"+short(2)+pointer(headerLen), 100),
		"binary names":     fill(binary, pointer(headerLen)+short(5)+short(1)+"\x00\x00\x00\x00"+short(2)+pointer(headerLen), 60),
		"many labels":      fill(labels, pointer(headerLen)+short(5)+short(1)+"\x00\x00\x00\x00"+short(2)+pointer(headerLen), 100),
		"many long names":  pointers,
		"chain":            []byte(chain),
		"questions":        []byte(msg{counts: [4]uint16{maxQueries}, q: []string{labels, strings.Repeat(pointer(headerLen)+short(1)+short(1), maxQueries-1)}}.encode()),
		"strings":          fill(long, "\x00"+short(16)+short(1)+"\x00\x00\x00\x00"+short(200)+strings.Repeat("\x00", 200), 290),
		"binary strings":   fill(long, "\x00"+short(16)+short(1)+"\x00\x00\x00\x00"+short(256)+"\xff"+strings.Repeat("\xff", 255), 200),
		"unknown types":    fill(long, "\x00"+short(999)+short(1)+"\x00\x00\x00\x00"+short(1)+"\x00", 5000),
		"forward pointers": fill(long, pointer(0x3fff)+short(11)+short(1)+"\x00\x00\x00\x00"+short(1)+"\x00", 4000),
		"update":           update,
		"noise":            noise(4000),
	}
}

func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	copy(b[2:6], "\x80\x00\x00\x05")
	return b
}

// maxAlloc bounds the bytes that a message of n bytes may allocate: some for each byte, and those
// of the answers, each of which may be a pointer of two bytes to a name whose logged form has a
// thousand.
func maxAlloc(n int) int { return 2048 + 40*n + 3*maxAnswerBytes }

func TestAllocationIsBounded(t *testing.T) {
	for name, m := range hostile() {
		t.Run(name, func(t *testing.T) {
			c, o := Conn(), discard{}
			p := New(o, conn.UDP)
			p.message(c, protocol.Packet{Time: Start}, m)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			const rounds = 50
			for range rounds {
				p.message(c, protocol.Packet{Time: Start}, m)
			}
			runtime.ReadMemStats(&after)
			got := int(after.TotalAlloc-before.TotalAlloc) / rounds
			assert.LessOrEqual(t, got, maxAlloc(len(m)), "%s, %d bytes", name, len(m))
		})
	}
}

func BenchmarkMessage(b *testing.B) {
	for name, m := range hostile() {
		b.Run("message="+strings.ReplaceAll(name, " ", "_"), func(b *testing.B) {
			c, o := Conn(), discard{}
			p := New(o, conn.UDP)
			b.SetBytes(int64(len(m)))
			b.ReportAllocs()
			for b.Loop() {
				p.message(c, protocol.Packet{Time: Start}, m)
				p.FreeMemory(c)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(m)), "ns/byte")
		})
	}
}

func FuzzUDP(f *testing.F) {
	f.Add(Encode(query(1, "a.example"), answer(1, "a.example", a("a.example"))))
	f.Add(Encode(query(1, "a"), query(2, "b"), answer(3, "c"), answer(2, "b")))
	f.Add(Encode(Orig("\x00\x01\x29\x00\x00\x01\x00\x00\x00\x00\x00\x00\x20EGEPEPCACACACACACACACACACACACAAA\x00\x00\x20\x00\x01")))
	f.Add(Encode(Resp("\x00\x01\x80\x00\x00\x00\x00\x01\x00\x00\x00\x00\xc0\x0c\x00\x2e\x00\x01\x00\x00\x00\x00\x00\x02\x00\x01")))
	f.Add(Encode(Resp("\x00\x01\xa8\x00\x00\x01\x00\x01\x00\x01\x00\x00\x01a\x00\x00\x06\x00\x01\xc0\x0c\x00\x05\x00\xfe\x00\x00\x00\x00\x00\x00" +
		"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x00\x00\x041234")))
	for kind := range readers {
		f.Add(Encode(answer(1, "a", rr("a", int(kind), "\x00\x01\x00\x02\x01s\x03SIP\x00\x00\x00"))))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		turns := Decode(input)
		for _, resp := range []string{server, nbns, "224.0.0.251:5353"} {
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
				assert.Len(t, row.TTLs, len(row.Answers))
			}
		}
	})
}

// FuzzMessage checks what one message may cost.
func FuzzMessage(f *testing.F) {
	for _, m := range hostile() {
		if len(m) < 4000 {
			f.Add(m)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := Conn()
		p := New(discard{}, conn.UDP)
		p.message(c, protocol.Packet{Time: Start}, data)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		p.message(c, protocol.Packet{Time: Start}, data)
		runtime.ReadMemStats(&after)
		assert.LessOrEqual(t, int(after.TotalAlloc-before.TotalAlloc), maxAlloc(len(data))+4096)
		s := session.Get(c)
		if s == nil {
			return
		}
		assert.Equal(t, sum(&s.queries), s.queries.size)
		assert.Equal(t, sum(&s.replies), s.replies.size)
		assert.LessOrEqual(t, p.MemoryUsed(c), maxAlloc(len(data))*2)
		assert.Equal(t, len(s.queries.queues)+len(s.replies.queues) > 0, conn.Registered(c, finalize))
		p.FreeMemory(c)
		assert.Less(t, p.MemoryUsed(c), 200)
	})
}

func sum(p *pending) (n int) {
	for _, q := range p.queues {
		for _, r := range q.rows {
			n += r.held()
		}
	}
	return n
}

func FuzzTCP(f *testing.F) {
	f.Add(Encode(framed(query(1, "a"), query(2, "b"), answer(3, "c"), answer(2, "b"))...))
	f.Add(Encode(Orig("\x00\x00\x00\x0c\x00\x01\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff")))
	// After a gap the parser resumes where a segment begins with a message, so that rows depend on
	// the segments; only their bounds are checked then.
	f.Add(Encode(Turn{FromOrig: true, Data: "\x00\x13", Lost: 1}, framed(query(1, "a"))[0]))
	f.Fuzz(func(t *testing.T, input []byte) {
		turns := Decode(input)
		if slices.ContainsFunc(turns, func(turn Turn) bool { return turn.Lost > 0 }) {
			Play(t, tcp(&Recorder{}), Conn(), turns...)
			for i := range turns {
				turns[i].Lost = 0
			}
		}
		FuzzRows(t, tcp, turns...)
	})
}
