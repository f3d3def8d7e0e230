package tcp_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"example.com/conn/analyzer/tcp"
)

// In a SYN flood there is a Conn for each packet.
func TestConnIsSmall(t *testing.T) {
	assert.LessOrEqual(t, int(tcp.Size), 336)
}

func TestSegmentAllocatesNothing(t *testing.T) {
	p := play(t, greeting)
	h, data, seq := parse(t, "> A 106 506").header(), []byte("0123456789"), uint32(106)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		binary.BigEndian.PutUint32(h[4:], seq)
		p.conn.Segment(tcp.Orig, start, h, data, len(data), discard{})
		seq += uint32(len(data))
	}))
	syn := parse(t, "> S 100").header()
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		p.conn = tcp.Conn{}
		p.conn.Segment(tcp.Orig, start, syn, nil, 0, discard{})
	}))
}

// discard is a sink that takes everything and does nothing.
type discard struct{}

func (discard) Data(tcp.Side, time.Time, []byte) {}
func (discard) Gap(tcp.Side, time.Time, int64)   {}
func (discard) EOF(tcp.Side, time.Time)          {}
func (discard) Weird(string, string, string)     {}
func (discard) Flip()                            {}

// The details of weirds, and Zeek's source for each.
func TestWeirdDetails(t *testing.T) {
	for name, c := range map[string]struct {
		script           script
		line             string
		want, addl, from string
	}{
		"before the window":     {greeting, "> RA 102 506", "segment_outside_window", "RA at 2 of 6", "TCP"},
		"beyond the window":     {greeting, "< FA 10000000 106", "segment_outside_window", "FA at 9999500 of 6", "TCP"},
		"ACK beyond the window": {greeting, "> A 106 10000000", "ack_outside_window", "9999500 of 6", "TCP"},
		"ACK of old segment":    {greeting, "> A 106 400", "TCP_ack_underflow_or_misorder", "", "TCP"},
		"SYN again":             {greeting, "< SA 500 101", "SYN_inside_connection", "", ""},
		"SYN and RST":           {"", "> SR 100", "TCP_christmas", "", ""},
		"urgent SYN":            {"", "> SU 100", "baroque_SYN", "", ""},
		"SYN with data":         {"", "> S 100 - x", "SYN_with_data", "", "TCP"},
		"shrinking window":      {greeting, "< A 506 106 w=1", "window_recision", "", ""},
		"another SYN":           {greeting, "> S 1", "active_connection_reuse", "", "TCP"},
		"another SYN-ACK":       {greeting, "< SA 1 101", "SYN_seq_jump", "", "TCP"},
		"SYN after partial":     {"> A 100 1 x | >x", "> S 99 1", "SYN_after_partial", "", "TCP"},
	} {
		t.Run(name, func(t *testing.T) {
			p := play(t, c.script)
			p.step(t, c.line)
			assert.Equal(t, c.want, p.sink.weirds[len(p.sink.weirds)-1])
			assert.Equal(t, c.addl, p.sink.addl)
			assert.Equal(t, c.from, p.sink.source)
		})
	}
}

// A connection tells its owner how far it has progressed.
func TestProgress(t *testing.T) {
	for name, c := range map[string]struct {
		script                                    script
		attempt, handshaking, established, partly bool
	}{
		"nothing":                  {"", false, true, false, false},
		"SYN":                      {"> S 100", true, true, false, false},
		"SYN and data":             {"> S 100\n> - 101 - x | data_before_established", true, true, false, false},
		"SYN and deferred data":    {"> S 100\n> A 101 501 x", true, true, false, false},
		"SYN-ACK of the client":    {"> SA 100 500", true, true, false, true},
		"SYN-ACK alone":            {"< SA 500 101", false, false, false, false},
		"handshake without ACK":    {"> S 100\n< SA 500 101", false, false, true, false},
		"handshake":                {handshake, false, false, true, false},
		"rejection":                {"> S 100\n< RA 0 101 | closed", false, false, false, false},
		"SYN and FIN":              {"> S 100\n> F 101 | inappropriate_FIN", false, false, false, false},
		"after RST":                {handshake + "> R 101 | closed", false, false, true, false},
		"no handshake":             {"> A 100 500 x | >x", false, false, false, true},
		"no handshake, both sides": {"> A 100 500 x | >x\n< A 500 101 y | <y", false, false, false, true},
		"no handshake, responder":  {"< A 100 500 x | <x", false, false, false, true},
		"only the SYN is missing":  {"< SA 500 101\n> A 101 501 x | >x", false, false, true, false},
		"SYN-ACK is missing":       {"> S 100\n> A 101 501 x\n< A 501 102 y | possible_split_routing data_before_established >x <y", false, false, false, true},
		"SYN after its SYN-ACK":    {"> SA 500 101\n< S 100 | ^", false, false, true, false},
		"RST of the responder":     {"< R 100 | closed", false, false, false, false},
		"RST of the originator":    {"> R 100 | closed", false, false, false, true},
		"SYN, ACK, late SYN-ACK":   {"> S 100\n> A 101 501\n< SA 500 101", false, false, true, false},
		"FIN after a SYN-ACK":      {"< SA 500 101\n> FA 101 501 | >.", false, false, false, true},
		"RST after a SYN-ACK":      {"< SA 500 101\n> RA 101 501 | closed", false, false, false, true},
		"ACK of the responder":     {"< A 500 101", false, false, false, true},
		"SYN acknowledged, no SYN": {"> S 100\n< A 500 101", true, true, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := play(t, c.script)
			assert.Equal(t, c.attempt, p.conn.Attempt(), "attempt")
			assert.Equal(t, c.handshaking, p.conn.Handshaking(), "handshaking")
			assert.Equal(t, c.established, p.conn.Established(), "established")
			assert.Equal(t, c.partly, p.conn.Partial(), "partial")
		})
	}
}

// Neither the last ACK, nor anything after it, nor segments that hosts drop extend the duration.
func TestLast(t *testing.T) {
	p := play(t, greeting)
	at := p.now
	assert.Equal(t, at, p.conn.Last)
	p.step(t, "> RA 102 506")
	p.step(t, "> A 106 400 decoy")
	p.step(t, "> S 9000")
	assert.Equal(t, at, p.conn.Last)
	p.step(t, "> FA 106 506")
	p.step(t, "> A 107 506")
	assert.Equal(t, p.now, p.conn.Last, "one side may still send")
	p.step(t, "< FA 506 107")
	assert.Equal(t, p.now, p.conn.Last)
	at = p.now
	p.step(t, "> A 107 507")
	assert.Equal(t, at, p.conn.Last)

	p = play(t, `
		> S 100
		> F 101                  | inappropriate_FIN`)
	assert.Equal(t, p.now, p.conn.Last, "attempts count")
	p = play(t, `
		> S 100
		< SA 500 101
		> FA 3000000101 501`)
	assert.Equal(t, p.now, p.conn.Last)
}

// A displaced connection continues with the next bytes expected in it, and with nothing else.
func TestContinues(t *testing.T) {
	const sent = greeting + `
		> A 106 506 again         | >again
	`
	for line, want := range map[string]bool{
		"> A 111 506 x": true, "< A 506 111 x": true, "< A 506 106": true, "< A 506 108": true, "> FA 111 506": true,
		"> A 110 506 x": false, "> A 112 506 x": false, "> A 111 505 x": false, "> A 111 507 x": false,
		"< A 506 105 x": false, "< A 506 112 x": false, "> - 111": false, "> - 111 506": false, "> SA 111 506": false, "> RA 111 506": false,
	} {
		t.Run(line, func(t *testing.T) {
			p := play(t, sent)
			s := parse(t, line)
			assert.Equal(t, want, p.conn.Continues(s.side, s.header()))
		})
	}
}

// Weirds that are reported only if there were no others are not reported after one of the owner's.
func TestWeirdOfOwner(t *testing.T) {
	play(t, "> S 100\n> A 101 501 \nend | possible_split_routing")
	p := play(t, "> S 100\n> A 101 501 \n")
	p.conn.NoteWeird()
	assert.Empty(t, p.step(t, "end"))
}

func TestFlip(t *testing.T) {
	var c tcp.Conn
	c.History.Data(tcp.Orig)
	c.Flip()
	assert.True(t, c.History.HasData(tcp.Resp))
	assert.True(t, c.History.Flipped())
}
