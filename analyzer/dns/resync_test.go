package dns

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn"
	"example.com/conn/analyzer/protocol"
	. "example.com/conn/analyzer/protocol/protocoltest"
)

// segments plays turns to a parser for TCP, each a segment, and returns the rows in brief.
func segments(t *testing.T, turns ...Turn) []string {
	o, c := &Recorder{}, Conn()
	res := Play(t, tcp(o), c, turns...)
	assert.Equal(t, protocol.More, res.Next)
	require.True(t, conn.StateRemove(c))
	var rows []*Row
	for _, row := range o.Rows {
		rows = append(rows, row.(*Row))
	}
	return brief(rows)
}

func TestGap(t *testing.T) {
	inTCP := func(turn Turn) Turn { return framed(turn)[0] }
	q := func(id uint16) Turn { return inTCP(query(id, "a")) }
	r := func(id uint16) Turn { return inTCP(answer(id, "a", a("a"))) }
	lost := func(turn Turn) Turn { turn.Lost = 100; return turn }
	cut := func(turn Turn, from, to int) Turn { turn.Data = turn.Data[from:to]; return turn }
	rest := func(turn Turn, from int) Turn { return cut(turn, from, len(turn.Data)) }
	join := func(turns ...Turn) (all Turn) {
		all.FromOrig = turns[0].FromOrig
		for _, turn := range turns {
			all.Data += turn.Data
		}
		return all
	}
	long := inTCP(Resp(msg{id: 2, flags: isReply, an: []string{rr("a", 16, strings.Repeat("\x01x", 1000))}}.encode()))
	many := inTCP(Resp(msg{id: 2, flags: isReply, q: []string{question("a", 1)}, an: []string{a("a"), rrIn("", 41, 1232, 0, ""), a("b")}}.encode()))
	const ok = "a/A/NOERROR"
	for name, tt := range map[string]struct {
		turns []Turn
		want  []string
	}{
		"in the queries": {
			[]Turn{lost(q(1)), r(1), r(2), q(3), r(3)}, []string{"1 " + ok, "3 " + ok, "2 a//NOERROR"},
		},
		"in the replies": {
			[]Turn{q(1), lost(r(1)), q(2), q(3), r(3)}, []string{"1 " + ok, "3 " + ok, "2 a/A/"},
		},
		"in both": {
			[]Turn{lost(q(1)), lost(r(1)), q(3), r(3)}, []string{"1 " + ok, "3 " + ok},
		},
		"at the beginning": {
			[]Turn{lost(Orig("")), q(1), r(1)}, []string{"1 " + ok},
		},
		"again": {
			[]Turn{lost(Orig("")), lost(q(1)), r(1), lost(q(2)), r(2), q(3), r(3)}, []string{"1 " + ok, "2 " + ok, "3 " + ok},
		},
		"inside a message": {
			[]Turn{q(1), q(2), lost(cut(r(1), 0, 9)), rest(r(1), 20), r(2)}, []string{"2 " + ok, "1 a/A/"},
		},
		"before a message in pieces": {
			[]Turn{q(1), lost(Resp("")), cut(r(1), 0, 2), cut(r(1), 2, 13), cut(r(1), 13, 30), rest(r(1), 30)}, []string{"1 " + ok},
		},
		"before pieces that look like lengths": {
			[]Turn{q(0x1234), lost(Resp("")), cut(r(0x1234), 0, 2), cut(r(0x1234), 2, 4), rest(r(0x1234), 4)}, []string{"4660 " + ok},
		},
		"before a message that is not at the beginning of a segment": {
			[]Turn{q(2), lost(Resp("")), Resp("\x00"), Resp("\x00\x00"), join(Resp("\x00"), r(2))}, []string{"2 a/A/"},
		},
		"before a single byte": {
			[]Turn{q(1), lost(Resp("")), cut(r(1), 0, 1), rest(r(1), 1)}, []string{"1 " + ok},
		},
		"before the rest of a message, and pieces of another": {
			[]Turn{q(1), q(2), lost(Resp("")), rest(r(1), 7), cut(r(2), 0, 14), rest(r(2), 14)}, []string{"2 " + ok, "1 a/A/"},
		},
		"before what could be a length": {
			[]Turn{q(2), lost(Resp("")), Resp("\x12"), Resp("\x34"), r(2)}, []string{"2 " + ok},
		},
		"before what could be a long message": {
			[]Turn{q(2), lost(Resp("")), Resp("\x12\x34" + r(1).Data[2:]), r(2)}, []string{"2 " + ok},
		},
		"before several messages in a segment": {
			[]Turn{q(1), q(2), q(3), lost(Resp("")), join(r(1), r(2), cut(r(3), 0, 20)), rest(r(3), 20)},
			[]string{"1 " + ok, "2 " + ok, "3 " + ok},
		},
		"before a long message": {
			[]Turn{q(2), lost(Resp("")), cut(long, 0, 700), cut(long, 700, 1400), rest(long, 1400)}, []string{"2 " + ok},
		},
		"before a message without data in a record": {
			[]Turn{q(2), lost(Resp("")), many}, []string{"2 " + ok},
		},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tt.want, segments(t, tt.turns...)) })
	}
}

func TestPlausible(t *testing.T) {
	whole := framed(answer(1, "a", a("a"), a("b")))[0].Data
	encode := func(m msg) string { return framed(Resp(m.encode()))[0].Data }
	ask := []string{question("a", 1)}
	for name, tt := range map[string]struct {
		data         string
		whole, begun bool
	}{
		"a message":                     {whole, true, false},
		"a message and more":            {whole + "x", true, false},
		"nothing":                       {"", false, true},
		"a byte":                        {whole[:1], false, true},
		"a length":                      {whole[:2], false, true},
		"less than a header":            {whole[:13], false, true},
		"a header":                      {whole[:14], false, true},
		"all but a byte":                {whole[:len(whole)-1], false, true},
		"a length that is too short":    {"\x00\x0b" + whole[2:], false, false},
		"a message shorter than stated": {short(len(whole)-1) + whole[2:] + "x", false, false},
		"a message longer than stated":  {short(len(whole)-3) + whole[2:], false, false},
		"only a header":                 {encode(msg{}), false, false},
		"another opcode":                {encode(msg{flags: 1 << 11, q: ask}), false, false},
		"a notification":                {encode(msg{flags: notify, q: ask}), true, false},
		"an update":                     {encode(msg{flags: update, q: ask, ns: []string{a("a")}}), true, false},
		"too many questions":            {encode(msg{counts: [4]uint16{maxQueries + 1}, trailer: strings.Repeat(ask[0], maxQueries+1)}), false, false},
		"as many as there may be":       {encode(msg{counts: [4]uint16{maxQueries}, trailer: strings.Repeat(ask[0], maxQueries)}), true, false},
		"more records than fit":         {encode(msg{counts: [4]uint16{0, 2}, trailer: strings.Repeat("x", 21)})[:14], false, false},
		"more records than there are":   {encode(msg{counts: [4]uint16{1, 2}, q: ask, an: []string{rr("a", 16, strings.Repeat("x", 30))}}), false, false},
		"more questions than there are": {encode(msg{counts: [4]uint16{2}, q: []string{wire("aaaaaaaaa") + "1234"}}), false, false},
		"data that is too long":         {encode(msg{an: []string{wire("a") + short(1) + short(1) + short(0) + short(0) + short(5) + "1234"}}), false, false},
		"a pointer ahead":               {encode(msg{q: []string{"\xc0\xff" + short(1) + short(1)}}), false, false},
		"a pointer back":                {encode(msg{q: ask, an: []string{"\xc0\x0c" + a("")[1:]}}), true, false},
	} {
		t.Run(name, func(t *testing.T) {
			data := []byte(tt.data)
			whole, begun := plausible(data)
			assert.Equal(t, fmt.Sprint(tt.whole, tt.begun), fmt.Sprint(whole, begun))
			if tt.whole {
				assert.Zero(t, testing.AllocsPerRun(10, func() { plausible(data) }), "names are not expanded")
			}
		})
	}
}
