package session

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"example.com/conn"
	"example.com/conn/analyzer/protocol"
)

// An owner records a session's calls.
type owner struct {
	flips    bool // whether Flip succeeds
	panicked []any
	weirds   []string
}

func (o *owner) Flip(c *conn.Connection) bool {
	if o.flips {
		c.ID.Orig, c.ID.Resp = c.ID.Resp, c.ID.Orig
	}
	return o.flips
}

func (o *owner) Panicked(_ *conn.Connection, value any) { o.panicked = append(o.panicked, value) }

func (o *owner) Weird(_ *conn.Connection, name, _ string) { o.weirds = append(o.weirds, name) }

// A parser claims connections of which a side begins with its name, and records its input: bytes as
// ">bytes" or "<bytes", gaps as ">[3]", ends as ">.".
type parser struct {
	name    string
	ports   []uint16
	udp     bool
	resumes bool
	half    bool // Match is sure of one side only
	got     strings.Builder
	asked   int
	held    int
	onData  func(data string) (int, protocol.Next)
}

func (p *parser) Name() string    { return p.name }
func (p *parser) Ports() []uint16 { return p.ports }
func (p *parser) Resumes() bool   { return p.resumes }

func (p *parser) Transport() conn.Proto {
	if p.udp {
		return conn.UDP
	}
	return conn.TCP
}

func (p *parser) Match(orig, resp []byte) protocol.Verdict {
	p.asked++
	for _, side := range []string{string(orig), string(resp)} {
		switch {
		case strings.HasPrefix(side, "panic"):
			panic("in Match")
		case strings.HasPrefix(side, p.name) && p.half:
			return protocol.Half
		case strings.HasPrefix(side, p.name):
			return protocol.Yes
		case side != "" && strings.HasPrefix(p.name, side):
			return protocol.Maybe
		}
	}
	return protocol.No
}

func (p *parser) note(e protocol.Packet, text string) {
	p.got.WriteString([2]string{">", "<"}[e.Side] + text)
}

func (p *parser) Data(_ *conn.Connection, e protocol.Packet, data []byte) (int, protocol.Next) {
	p.note(e, string(data))
	if p.onData != nil {
		return p.onData(string(data))
	}
	return len(data), protocol.More
}

func (p *parser) Gap(_ *conn.Connection, e protocol.Packet, n int) protocol.Next {
	p.note(e, fmt.Sprintf("[%d]", n))
	return protocol.More
}

func (p *parser) End(_ *conn.Connection, e protocol.Packet) { p.note(e, ".") }
func (p *parser) MemoryUsed(*conn.Connection) int           { return p.held }
func (p *parser) FreeMemory(*conn.Connection)               { p.held = 0 }

// A harness feeds one session.
type harness struct {
	owner   owner
	parsers *Parsers
	c       conn.Connection
	s       Session
}

func newHarness(parsers ...*parser) *harness {
	h := new(harness)
	var all []protocol.Parser
	for _, p := range parsers {
		all = append(all, p)
	}
	h.parsers = NewParsers(&h.owner, all)
	h.c.ID = conn.ID{
		Orig:  netip.MustParseAddrPort("192.0.2.1:40000"),
		Resp:  netip.MustParseAddrPort("198.51.100.7:80"),
		Proto: parsers[0].Transport(),
	}
	return h
}

// feed plays events written as a parser notes them, separated by spaces.
func (h *harness) feed(events string) {
	for i, text := range strings.Fields(events) {
		e := Event{Time: time.Unix(int64(i), 0), Side: protocol.Orig}
		if text[0] == '<' {
			e.Side = protocol.Resp
		}
		switch text = text[1:]; {
		case text == ".":
		case text[0] == '[':
			_, _ = fmt.Sscanf(text, "[%d]", &e.Gap)
		default:
			e.Data = []byte(text)
		}
		h.s.Feed(h.parsers, &h.c, e)
	}
}

// take returns a function for onData that takes n bytes at a time.
func take(n int) func(string) (int, protocol.Next) {
	return func(data string) (int, protocol.Next) { return len(data) / n * n, protocol.More }
}

func TestParserIsFound(t *testing.T) {
	for _, tt := range []struct {
		name   string
		events string
		http   string // the parsers' input
		smtp   string
	}{
		{"by the originator's bytes", ">http <x", ">http<x", ""},
		{"by more bytes", ">ht <x >tp", ">ht<x>tp", ""},
		{"by the responder's bytes, and gets what came before", "<s >x <mtp", "", "<s>x<mtp"},
		{"by its port, if none is sure", ">x <y", ">x<y", ""},
		{"against its port", "<smtp >x", "", "<smtp>x"},
		{"by its port, after a gap", ">ht >[1] >tp", ">ht>[1]>tp", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			web, mail := &parser{name: "http", ports: []uint16{80}}, &parser{name: "smtp", ports: []uint16{25}}
			h := newHarness(web, mail)
			h.feed(tt.events)
			assert.Equal(t, tt.http, web.got.String())
			assert.Equal(t, tt.smtp, mail.got.String())
			assert.Zero(t, h.s.Searching(), "the search is over")
		})
	}
}

func TestUnknownProtocolIgnored(t *testing.T) {
	p := &parser{name: "http", ports: []uint16{81}}
	h := newHarness(p)
	h.feed(">x")
	assert.True(t, h.s.IsIgnored())
	assert.True(t, h.s.Untouched())
	h.feed(">http")
	assert.Empty(t, p.got.String())
	assert.Zero(t, h.s.Searching())
}

func TestHalfSureParserComesLast(t *testing.T) {
	half := &parser{name: "GET", half: true}
	sure, byPort := &parser{name: "GETTING"}, &parser{name: "x", ports: []uint16{80}}
	for name, tt := range map[string]struct {
		parsers []*parser
		want    *parser
	}{
		"alone":           {[]*parser{half}, half},
		"and a sure one":  {[]*parser{half, sure}, sure},
		"and one by port": {[]*parser{half, byPort}, byPort},
	} {
		t.Run(name, func(t *testing.T) {
			for _, p := range tt.parsers {
				p.got.Reset()
			}
			newHarness(tt.parsers...).feed(">GETTING")
			assert.Equal(t, ">GETTING", tt.want.got.String())
		})
	}
}

func TestDecideEndsTheSearch(t *testing.T) {
	for name, tt := range map[string]struct {
		ports  []uint16
		events string
		want   string
	}{
		"by the port":   {[]uint16{80}, ">ht", ">ht"},
		"no parser":     {nil, ">ht", ""},
		"without bytes": {[]uint16{80}, "", ""},
		"with an end":   {[]uint16{80}, ">ht >.", ">ht>."},
	} {
		t.Run(name, func(t *testing.T) {
			p := &parser{name: "http", ports: tt.ports}
			h := newHarness(p)
			h.feed(tt.events)
			assert.Empty(t, p.got.String())
			h.s.Decide(h.parsers, &h.c)
			assert.Equal(t, tt.want, p.got.String())
		})
	}
}

func TestDecideAsksAboutNewBytes(t *testing.T) {
	p := &parser{name: strings.Repeat("h", 100)}
	h := newHarness(p)
	h.feed(">" + strings.Repeat("h", 95) + " >h >h >h >h >h")
	assert.Empty(t, p.got.String(), "single bytes are no reason to ask again")
	h.s.Decide(h.parsers, &h.c)
	assert.NotEmpty(t, p.got.String())
}

func TestSearchIsBounded(t *testing.T) {
	long := strings.Repeat("h", 2*maxSearch)
	for name, piece := range map[string]int{"large pieces": 1000, "small pieces": 100, "single bytes": 1} {
		t.Run(name, func(t *testing.T) {
			p := &parser{name: long} // Match is never sure
			h := newHarness(p)
			for n := 0; n < len(long) && !h.s.IsIgnored(); n += piece {
				h.feed(">" + long[:piece])
				if !h.s.IsIgnored() {
					assert.GreaterOrEqual(t, h.s.Searching(), len(h.s.search.events)*eventCost+h.s.search.len())
				}
				assert.Less(t, h.s.Searching(), 2*maxSearch+2*maxEvents*eventCost)
			}
			assert.True(t, h.s.IsIgnored())
			assert.Less(t, p.asked, 100, "asking for each byte would take quadratic time")
		})
	}
}

func TestSearchEndsAtItsBound(t *testing.T) {
	for n, over := range map[int]bool{maxSearch - 1: false, maxSearch: true} {
		h := newHarness(&parser{name: strings.Repeat("h", 2*maxSearch)})
		h.feed(">" + strings.Repeat("h", n-10) + " <" + strings.Repeat("h", 10))
		assert.Equal(t, over, h.s.IsIgnored(), "%d bytes", n)
	}
}

func TestSearchCountsBothSides(t *testing.T) {
	h := newHarness(&parser{name: strings.Repeat("h", 2*maxSearch)})
	h.feed(">" + strings.Repeat("h", 1000) + " <" + strings.Repeat("h", 1000))
	assert.GreaterOrEqual(t, h.s.Searching(), 2000)
}

func TestFoundInSmallSegments(t *testing.T) {
	name := strings.Repeat("h", maxEvents) + "ttp"
	p := &parser{name: name}
	h := newHarness(p)
	for i := range len(name) {
		h.feed(">" + name[i:i+1])
	}
	h.feed("<x")
	h.s.Decide(h.parsers, &h.c)
	assert.Equal(t, strings.Repeat(">h", maxEvents-1)+">http<x", p.got.String(), "the last ones are merged")
}

func TestSidesAreNotMerged(t *testing.T) {
	p := &parser{name: strings.Repeat("h", 2*maxEvents), ports: []uint16{80}}
	h := newHarness(p)
	h.feed(strings.Repeat(">h ", maxEvents) + ">h <x")
	assert.Equal(t, strings.Repeat(">h", maxEvents-1)+">hh<x", p.got.String())

	p = &parser{name: p.name, ports: p.ports}
	h = newHarness(p)
	h.feed(strings.Repeat(">h ", maxEvents-1) + ">. >h") // the end was forged
	assert.Equal(t, strings.Repeat(">h", maxEvents-1)+">.>h", p.got.String(), "nor are bytes and an end")

	p = &parser{name: p.name, ports: p.ports}
	h = newHarness(p)
	h.feed(strings.Repeat(">h ", maxEvents) + ">. <x")
	assert.Equal(t, strings.Repeat(">h", maxEvents)+">.<x", p.got.String(), "nor an end and bytes")
}

func TestDatagramsBeforeTheProtocolAreSkipped(t *testing.T) {
	for name, tt := range map[string]struct {
		size  int
		found bool
	}{"up to the bound": {maxSkipped, true}, "beyond": {maxSkipped + 1, false}} {
		t.Run(name, func(t *testing.T) {
			p := &parser{name: "dtls", udp: true}
			h := newHarness(p)
			h.feed(">" + strings.Repeat("x", tt.size-1) + " <y >dtls")
			if tt.found {
				assert.Equal(t, ">dtls", p.got.String(), "but not the datagrams before")
			} else {
				assert.Empty(t, p.got.String())
			}
		})
	}
}

func TestUnconsumedBytesRedelivered(t *testing.T) {
	p := &parser{name: "a", onData: take(4)}
	h := newHarness(p)
	h.feed(">ab >cde <x >fgh")
	assert.Equal(t, ">ab>abcde<x>efgh", p.got.String())
	assert.Zero(t, h.s.untaken[0].len())
	assert.Equal(t, 1, h.s.untaken[1].len())
	assert.Positive(t, h.s.Waiting(protocol.Resp))
}

func TestConsumedBytesAreNotKept(t *testing.T) {
	h := newHarness(&parser{name: "a"})
	h.feed(">a >bc <d")
	assert.Nil(t, h.s.untaken)
}

func TestGapAndEndDropUnconsumedBytes(t *testing.T) {
	p := &parser{name: "a", onData: take(4)}
	h := newHarness(p)
	h.feed(">ab >[3] >cdef >g >. <x")
	assert.Equal(t, ">ab>[3]>cdef>g>.<x", p.got.String())
	assert.Zero(t, h.s.Waiting(protocol.Orig))
}

func TestParserReturnsWrongCount(t *testing.T) {
	for name, n := range map[string]int{"more": 100, "negative": -1} {
		t.Run(name, func(t *testing.T) {
			p := &parser{name: "a", onData: func(string) (int, protocol.Next) { return n, protocol.More }}
			h := newHarness(p)
			h.feed(">ab >cd")
			assert.False(t, h.s.IsIgnored())
			assert.Empty(t, h.owner.panicked)
		})
	}
}

func TestHandOver(t *testing.T) {
	outer, inner := &parser{name: "connect", ports: []uint16{80}}, &parser{name: "http"}
	outer.onData = func(data string) (int, protocol.Next) {
		if rest, ok := strings.CutPrefix(data, "switch"); ok {
			return len(data) - len(rest), protocol.HandOver
		}
		return len(data), protocol.More
	}
	h := newHarness(outer, inner)
	h.feed(">connect <switchh <ttp >x")
	h.s.Confirm()
	assert.Equal(t, ">connect<switchh", outer.got.String())
	assert.Equal(t, "<h<ttp>x", inner.got.String(), "including the rest of the last segment")
	assert.Equal(t, "http", h.s.Services())
}

func TestPortIgnoredAfterHandOver(t *testing.T) {
	p := &parser{name: "connect", ports: []uint16{80}, onData: func(data string) (int, protocol.Next) {
		return len(data), protocol.HandOver
	}}
	h := newHarness(p)
	h.feed(">connect >x")
	assert.Equal(t, ">connect", p.got.String())
	assert.True(t, h.s.IsIgnored())
}

func TestEmptyLinesAfterHandOverAreDropped(t *testing.T) {
	outer, inner := &parser{name: "connect"}, &parser{name: "http"}
	outer.onData = func(data string) (int, protocol.Next) { return len(data), protocol.HandOver }
	h := newHarness(outer, inner)
	h.feed(">connect")
	for _, data := range []string{"\r\n", "\n", "\n\r\nhttp", "\r\n"} {
		h.s.Feed(h.parsers, &h.c, Event{Side: protocol.Resp, Data: []byte(data)})
	}
	assert.Equal(t, "<http<\r\n", inner.got.String())

	inner = &parser{name: "http"}
	h = newHarness(outer, inner)
	h.feed(">connect >. <http")
	assert.Equal(t, ">.<http", inner.got.String(), "the end of a side is no empty line")

	inner = &parser{name: "a\r\nb"}
	h = newHarness(outer, inner)
	h.feed(">connect <a")
	h.s.Feed(h.parsers, &h.c, Event{Side: protocol.Resp, Data: []byte("\r\nb")})
	assert.Equal(t, "<a<\r\nb", inner.got.String(), "but not those inside")
}

func TestHandOversAreBounded(t *testing.T) {
	p := &parser{name: "t", onData: func(string) (int, protocol.Next) { return 1, protocol.HandOver }}
	h := newHarness(p)
	h.feed(">" + strings.Repeat("t", 2*maxHandOvers))
	assert.Equal(t, maxHandOvers+1, strings.Count(p.got.String(), ">"))
	assert.Equal(t, []string{"too_many_nested_protocols"}, h.owner.weirds)
	h.s.Confirm()
	assert.Equal(t, "t", h.s.Services())
	assert.Len(t, h.s.services, 1, "each protocol once")
	assert.True(t, h.s.IsIgnored())
}

func TestViolationWithdrawsConfirmation(t *testing.T) {
	next := protocol.More
	p := &parser{name: "http", onData: func(data string) (int, protocol.Next) { return len(data), next }}
	h := newHarness(p)
	h.feed(">http")
	assert.True(t, h.s.Identified())
	assert.Empty(t, h.s.Services(), "not confirmed yet")
	h.s.Confirm()
	assert.Equal(t, "http", h.s.Services())
	next = protocol.Violation
	h.feed(">x >y")
	assert.Equal(t, ">http>x", p.got.String())
	assert.Empty(t, h.s.Services())
	assert.False(t, h.s.Identified())
	assert.Equal(t, "http", h.s.Service(), "the protocol found is kept")
}

func TestStopKeepsTheService(t *testing.T) {
	p := &parser{name: "http", onData: func(data string) (int, protocol.Next) { return len(data), protocol.Stop }}
	h := newHarness(p)
	h.feed(">http")
	h.s.Confirm()
	assert.True(t, h.s.IsIgnored())
	assert.Equal(t, "http", h.s.Services())
}

func TestFlip(t *testing.T) {
	for name, flips := range map[string]bool{"swapped": true, "not swapped": false} {
		t.Run(name, func(t *testing.T) {
			p := &parser{name: "dns", udp: true}
			p.onData = func(data string) (int, protocol.Next) {
				p.onData = nil
				return len(data), protocol.Flip
			}
			h := newHarness(p)
			h.owner.flips = flips
			h.feed(">dns")
			if flips {
				assert.Equal(t, ">dns<dns", p.got.String(), "the datagram is delivered again, from the other side")
			} else {
				assert.Equal(t, ">dns", p.got.String())
				assert.True(t, h.s.IsIgnored())
			}
		})
	}
}

func TestOnlyResumersParsePartialConnections(t *testing.T) {
	for name, resumes := range map[string]bool{"a Resumer": true, "another parser": false} {
		t.Run(name, func(t *testing.T) {
			p := &parser{name: "http", ports: []uint16{80}, resumes: resumes}
			h := newHarness(p)
			h.s.Partial = true
			h.feed(">http")
			assert.Equal(t, resumes, p.got.Len() > 0)
			assert.Equal(t, resumes, p.asked > 0)
		})
	}
}

// The search goes on after a parser that cannot begin in the middle of a stream.
func TestResumerAfterAnotherParser(t *testing.T) {
	first, second := &parser{name: "http"}, &parser{name: "http", resumes: true}
	h := newHarness(first, second)
	h.s.Partial = true
	h.feed(">http")
	assert.Empty(t, first.got.String())
	assert.Equal(t, ">http", second.got.String())
}

func TestParserPanics(t *testing.T) {
	p := &parser{name: "http", onData: func(string) (int, protocol.Next) { panic("in Data") }}
	h := newHarness(p)
	h.feed(">http >x")
	assert.Equal(t, []any{"in Data"}, h.owner.panicked)
	assert.True(t, h.s.IsIgnored())

	p.ports = []uint16{80}
	h = newHarness(p)
	h.feed(">panic >x")
	assert.Equal(t, []any{"in Match"}, h.owner.panicked)
	assert.True(t, h.s.IsIgnored())
}

func TestAnnouncedConnectionHasNoParser(t *testing.T) {
	p := &parser{name: "http"}
	h := newHarness(p)
	h.s.Announce("ftp-data")
	h.feed(">http")
	assert.Empty(t, p.got.String())
	assert.Equal(t, "ftp-data", h.s.Services())
	assert.True(t, h.s.Identified())
	assert.False(t, h.s.Untouched())
}

func TestMemoryOfParsers(t *testing.T) {
	p := &parser{name: "http", held: 1000}
	h := newHarness(p)
	assert.Zero(t, h.s.ParsersHold())
	h.feed(">http")
	assert.Equal(t, 1000, h.s.ParsersHold())
	h.s.FreeMemory(h.parsers, &h.c)
	assert.Zero(t, h.s.ParsersHold())
	p.held = 1
	h.s.Count(h.parsers, &h.c)
	assert.Equal(t, 1, h.s.ParsersHold())
	h.s.FreeMemory(h.parsers, &h.c)
	assert.Zero(t, h.s.ParsersHold(), "even of a single byte")
}

// A fading parser considers a connection over after a second.
type fading struct{ *parser }

func (fading) Expired(_ *conn.Connection, last, now time.Time) bool {
	return now.Sub(last) > time.Second
}

func TestExpired(t *testing.T) {
	p := &parser{name: "dns", udp: true}
	for name, tt := range map[string]struct {
		parser protocol.Parser
		after  time.Duration
		want   bool
	}{
		"over":       {fading{p}, 2 * time.Second, true},
		"not over":   {fading{p}, time.Second, false},
		"never over": {p, time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(p)
			h.parsers = NewParsers(&h.owner, []protocol.Parser{tt.parser})
			assert.False(t, h.s.Expired(h.parsers, &h.c, time.Unix(0, 0), time.Unix(3600, 0)), "no parser yet")
			h.feed(">dns")
			assert.Equal(t, tt.want, h.s.Expired(h.parsers, &h.c, time.Unix(1, 0), time.Unix(1, 0).Add(tt.after)))
		})
	}
}

func TestZeroSession(t *testing.T) {
	var s Session
	assert.Empty(t, s.Service()+s.Services())
	assert.False(t, s.Identified())
	assert.True(t, s.Untouched())
	assert.Zero(t, s.Searching()+s.ParsersHold()+s.Waiting(protocol.Orig))
	s.Confirm()
	assert.Empty(t, s.Services())
}

func TestBufferReleasesLargeMemory(t *testing.T) {
	var b buffer
	b.append(make([]byte, 10*roomy))
	b.take(9 * roomy)
	assert.Equal(t, roomy, b.len())
	assert.LessOrEqual(t, b.size(), 2*roomy)
	b.take(roomy)
	assert.Zero(t, b.len())
	b.append(make([]byte, 10*roomy))
	b.take(10 * roomy)
	assert.Zero(t, b.size())
}
