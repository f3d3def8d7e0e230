package protocoltest

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"example.com/conn"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/protocol"
)

// A row holds a line of a connection.
type row struct {
	logs.Header
	Line string `json:"line"`
}

// An echo is a parser that logs each line, or each datagram, and breaks its promises in the ways
// that are set.
type echo struct {
	owner     protocol.Owner
	transport conn.Proto

	impatient, tooMuch, keeps, negative, holds, clings, unsure, leaves bool

	kept []byte
}

func (p *echo) Name() string          { return "echo" }
func (p *echo) Transport() conn.Proto { return p.transport }
func (p *echo) Ports() []uint16       { return nil }

func (p *echo) Match(orig, _ []byte) protocol.Verdict {
	if bytes.Contains(orig, []byte("\n")) {
		return protocol.Yes
	}
	return protocol.Maybe
}

func (p *echo) Data(c *conn.Connection, _ protocol.Packet, data []byte) (n int, next protocol.Next) {
	switch {
	case p.tooMuch:
		return len(data) + 1, protocol.More
	case p.leaves:
		conn.Register(c, func(*conn.Connection) bool { return false })
	case p.keeps && p.kept != nil:
		p.owner.Log(&row{Line: string(p.kept)})
	}
	p.kept = data
	if p.unsure && len(data) > 3 {
		p.owner.Confirm(c)
	}
	for {
		end := bytes.IndexByte(data[n:], '\n')
		switch {
		case end < 0 && (p.impatient || p.transport == conn.UDP):
			end = len(data[n:]) - 1
		case end < 0:
			return n, protocol.More
		}
		if end < 0 {
			return n, protocol.More
		}
		p.owner.Log(&row{Line: strings.TrimSpace(string(data[n : n+end+1]))})
		n += end + 1
	}
}

func (p *echo) Gap(*conn.Connection, protocol.Packet, int) protocol.Next { return protocol.Stop }
func (p *echo) End(*conn.Connection, protocol.Packet)                    {}

func (p *echo) MemoryUsed(c *conn.Connection) int {
	switch {
	case p.negative:
		return -1
	case p.holds:
		return heldAlways + 100*heldPerByte
	case p.clings:
		return MaxRetained + 1
	}
	return 0
}

func (p *echo) FreeMemory(*conn.Connection) {}

// A failing is a testing.TB that records failures.
type failing struct {
	testing.TB
	messages strings.Builder
}

type failed struct{}

func (f *failing) Helper()                           {}
func (f *failing) Errorf(format string, args ...any) { f.messages.WriteString(format) }
func (f *failing) FailNow()                          { panic(failed{}) }

// fails reports whether Rows fails for a parser.
func fails(t *testing.T, p echo, turns ...Turn) (failed bool) {
	f := &failing{TB: t}
	defer func() {
		if recover() != nil {
			failed = true
		}
	}()
	Rows(f, func(o protocol.Owner) protocol.Parser { q := p; q.owner = o; return &q }, turns...)
	return f.messages.Len() > 0
}

func TestRowsNoticesBrokenPromises(t *testing.T) {
	turns := []Turn{Orig("a line\n"), Resp("another\nand a third\n")}
	for name, c := range map[string]struct {
		parser echo
		want   bool
	}{
		"none":                         {echo{}, false},
		"depends on cuts":              {echo{impatient: true}, true},
		"takes more than it was given": {echo{tooMuch: true}, true},
		"keeps data":                   {echo{keeps: true}, true},
		"holds a negative amount":      {echo{negative: true}, true},
		"holds more than it got":       {echo{holds: true}, true},
		"holds much after FreeMemory":  {echo{clings: true}, true},
		"is sure of some cuts":         {echo{unsure: true}, false},
		"a hook does not complete":     {echo{leaves: true}, true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, transport := range []conn.Proto{conn.TCP, conn.UDP} {
				c.parser.transport = transport
				want := c.want && (transport == conn.TCP || !c.parser.impatient && !c.parser.tooMuch) || c.parser.tooMuch
				assert.Equal(t, want, fails(t, c.parser, turns...), transport)
			}
		})
	}
	assert.True(t, fails(t, echo{unsure: true, transport: conn.TCP}, Orig("a\nb\n")), "sure only if they come together")
}

func TestDatagramsAreNotCut(t *testing.T) {
	rows := Rows(t, func(o protocol.Owner) protocol.Parser { return &echo{owner: o, transport: conn.UDP} },
		Orig("a"), Resp("b"))
	assert.Len(t, rows, 2)
	assert.Contains(t, rows[1], `"line":"b"`)
}

func TestMatchAsksInTurns(t *testing.T) {
	tcp, udp := &echo{transport: conn.TCP}, &echo{transport: conn.UDP}
	assert.Equal(t, protocol.Yes, Match(t, tcp, Orig("a"), Resp("x"), Orig("\n"), Orig("b")))
	assert.Equal(t, protocol.Maybe, Match(t, tcp, Orig("a")))
	assert.Equal(t, protocol.Maybe, Match(t, udp), "nothing yet")
	assert.Equal(t, protocol.Yes, Match(t, udp, Orig("a"), Orig("\n")))
}
