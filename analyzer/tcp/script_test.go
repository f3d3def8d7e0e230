package tcp_test

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/conn/analyzer/tcp"
)

// A script is a conversation, one segment per line:
//
//	> S 100                   from the originator, flags, sequence number
//	< SA 500 101              from the responder, with an acknowledgment number
//	> A 101 501 hello         with data; "x*1000" is a thousand times x
//	< A 501 106 w=0           with a window of 0; else it is 1000
//	> S 100 - scale=7         with the window scale option, and no acknowledgment number
//	> A 106 501 hello len=9   with four bytes that were not captured
//	wait 1m                   time passes; there is a millisecond between segments
//	end                       no more segments follow
//	= S1 ShAD 5/0             the connection is in this state, with this history and these bytes
//
// The expected events follow a |. The sink gets data as ">hello", a gap as ">[5]" and an end as
// ">.", with ">" from the originator and "<" from the responder; "^" says that the sides were
// swapped; a weird is named. The outcome comes last, unless it is Followed, with "closed" and
// "reopened" for what Over returns.
type script string

// start is when scripts begin.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// A player plays the segments of a script to a connection.
type player struct {
	conn tcp.Conn
	over bool // what conn.Over returned last
	now  time.Time
	sink recorder
}

// A recorder is a sink that records its input.
type recorder struct {
	events []string
	got    [2]strings.Builder // data alone
	at     [2]time.Time       // of the latest event of a side
	weirds []string
	addl   string // of the latest weird
	source string
	onData func() // called with each data
}

var arrows = [2]string{">", "<"}

func (r *recorder) note(side tcp.Side, at time.Time, what string) {
	r.events = append(r.events, arrows[side]+what)
	r.at[side] = at
}

func (r *recorder) Data(side tcp.Side, at time.Time, data []byte) {
	if r.got[side].Write(data); len(data) > 50 {
		data = fmt.Appendf(nil, "%c*%d", data[0], len(data))
	}
	if r.note(side, at, string(data)); r.onData != nil {
		r.onData()
	}
}

func (r *recorder) Gap(side tcp.Side, at time.Time, n int64) {
	r.note(side, at, fmt.Sprintf("[%d]", n))
}

func (r *recorder) EOF(side tcp.Side, at time.Time) { r.note(side, at, ".") }

func (r *recorder) Weird(name, addl, source string) {
	r.events = append(r.events, name)
	r.weirds = append(r.weirds, name)
	r.addl, r.source = addl, source
}

func (r *recorder) Flip() { r.events = append(r.events, "^") }

var outcomes = map[tcp.Outcome]string{
	tcp.UnexpectedSYN: "unexpected", tcp.SYNAnswered: "answered", tcp.NewConnection: "begins",
}

// take returns the events recorded since the last call, and the outcome.
func (p *player) take(o tcp.Outcome) string {
	events := p.sink.events
	p.sink.events = nil
	if s := outcomes[o]; s != "" {
		events = append(events, s)
	}
	if over := p.conn.Over(); over != p.over {
		p.over = over
		events = append(events, map[bool]string{true: "closed", false: "reopened"}[over])
	}
	return strings.Join(events, " ")
}

// A segment of a script.
type segment struct {
	side     tcp.Side
	flags    string // letters of SAFRU
	seq, ack uint32
	data     string
	window   uint16
	scale    int // -1 for none
	length   int // of the data on the wire
}

func (s segment) header() tcp.Header {
	h := make(tcp.Header, 20, 24)
	binary.BigEndian.PutUint16(h, 40000)
	binary.BigEndian.PutUint16(h[2:], 80)
	binary.BigEndian.PutUint32(h[4:], s.seq)
	binary.BigEndian.PutUint32(h[8:], s.ack)
	h[12] = 5 << 4
	for i, letter := range "FSR-AU" {
		if strings.ContainsRune(s.flags, letter) && letter != '-' {
			h[13] |= 1 << i
		}
	}
	binary.BigEndian.PutUint16(h[14:], s.window)
	if s.scale >= 0 {
		h = append(h, 1, 3, 3, byte(s.scale))
		h[12] = 6 << 4
	}
	return h
}

// segment passes a segment to the connection.
func (p *player) segment(s segment) tcp.Outcome {
	p.now = p.now.Add(time.Millisecond)
	h, data := s.header(), []byte(s.data)
	defer clear(h) // nothing of the packet is kept
	defer clear(data)
	return p.conn.Segment(s.side, p.now, h, data, s.length, &p.sink)
}

// parse returns the segment that a line describes.
func parse(t testing.TB, line string) segment {
	s := segment{window: 1000, scale: -1, length: -1}
	number := func(word string) uint32 {
		n, err := strconv.ParseUint(word, 10, 32)
		require.NoError(t, err, line)
		return uint32(n)
	}
	var words []string
	for _, word := range strings.Fields(line) {
		switch name, value, _ := strings.Cut(word, "="); name {
		case "w":
			s.window = uint16(number(value))
		case "scale":
			s.scale = int(number(value))
		case "len":
			s.length = int(number(value))
		default:
			words = append(words, word)
		}
	}
	require.GreaterOrEqual(t, len(words), 3, line)
	if words[0] == "<" {
		s.side = tcp.Resp
	}
	s.flags, s.seq = words[1], number(words[2])
	if len(words) > 3 && words[3] != "-" {
		s.ack = number(words[3])
	}
	if len(words) > 4 {
		s.data = words[4]
		if letter, n, ok := strings.Cut(s.data, "*"); ok {
			s.data = strings.Repeat(letter, int(number(n)))
		}
	}
	if s.length < 0 {
		s.length = len(s.data)
	}
	return s
}

// step plays a line and returns the events it causes.
func (p *player) step(t testing.TB, line string) string {
	switch word, rest, _ := strings.Cut(line, " "); word {
	case "wait":
		d, err := time.ParseDuration(strings.TrimSpace(rest))
		require.NoError(t, err)
		p.now = p.now.Add(d)
		return ""
	case "end":
		p.conn.Flush(&p.sink)
		return p.take(tcp.Followed)
	case "=":
		return ""
	}
	return p.take(p.segment(parse(t, line)))
}

// summary is the connection's row in conn.log, abbreviated.
func (p *player) summary() string {
	c := &p.conn
	return fmt.Sprintf("= %s %s %d/%d", c.State(), c.History.Letters(), c.Bytes(tcp.Orig), c.Bytes(tcp.Resp))
}

// play plays a script and checks the events of each line. It returns the connection.
func play(t *testing.T, scripts ...script) *player {
	t.Helper()
	p := &player{now: start}
	var got, want strings.Builder
	for _, s := range scripts {
		for line := range strings.Lines(string(s)) {
			input, expected, _ := strings.Cut(line, "|")
			if input = strings.TrimSpace(input); input == "" {
				continue
			}
			events := p.step(t, input)
			require.NoError(t, p.conn.Invariants(), input)
			if fmt.Fprintf(&want, "%-25s | %s\n", input, strings.TrimSpace(expected)); strings.HasPrefix(input, "=") {
				input = p.summary()
			}
			fmt.Fprintf(&got, "%-25s | %s\n", input, events)
		}
	}
	require.Equal(t, want.String(), got.String())
	return p
}

// handshake begins most scripts.
const handshake script = `
	> S 100
	< SA 500 101
	> A 101 501
`

// greeting is a handshake, a request and a reply.
const greeting = handshake + `
	> A 101 501 hello         | >hello
	< A 501 106 reply         | <reply
`
