package tcp_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn/analyzer/tcp"
)

// Everything that is kept counts for the side that sent it.
func TestHeld(t *testing.T) {
	for name, c := range map[string]struct {
		script script
		want   [2]int // capacities of short slices are multiples of 8 up to 32
		then   string // a line after which nothing is kept
	}{
		"nothing": {greeting, [2]int{}, "end"},
		"a piece": {handshake + `
			> A 106 501 worldwide`, [2]int{tcp.PieceCost + 16, 0}, "> A 101 501 hello"},
		"pieces in order are one": {handshake + `
			> A 106 501 12345678
			> A 114 501 12345678`, [2]int{tcp.PieceCost + 16, 0}, "> A 101 501 hello"},
		"pieces of both sides": {handshake + `
			> A 106 501 12345678
			< A 510 101 1234
			< A 520 101 1234`, [2]int{tcp.PieceCost + 8, 2*tcp.PieceCost + 16}, ""},
		"a claim": {handshake + `
			> A 101 506 12345678`, [2]int{tcp.SegmentCost + 32, 0}, "< A 501 109 hello"},
		"claims": {handshake + `
			> A 101 506 12345678
			> FA 109 506`, [2]int{2*tcp.SegmentCost + 32 + 24, 0}, "< A 501 110 hello"},
		"a rival": {`
			> S 100
			< SA 500 101
			< SA 900 101 12345678`, [2]int{0, tcp.SegmentCost + 32}, "end"},
		"deferred segments of the client": {`
			> S 100
			> A 101 501
			> A 101 501 12345678`, [2]int{2*tcp.SegmentCost + 24 + 32, 0}, "< SA 500 101"},
		"deferred segments of the server": {`
			> S 100
			< SA 500 101
			< A 501 101 12345678`, [2]int{0, tcp.SegmentCost + 32}, "> A 101 501"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &player{now: start}
			for line := range strings.Lines(string(c.script)) {
				if line = strings.TrimSpace(line); line != "" {
					line, _, _ = strings.Cut(line, "|")
					p.step(t, strings.TrimSpace(line))
				}
			}
			assert.Equal(t, c.want, [2]int{p.conn.Held(tcp.Orig), p.conn.Held(tcp.Resp)})
			if c.then != "" {
				p.step(t, c.then)
				assert.Equal(t, [2]int{}, [2]int{p.conn.Held(tcp.Orig), p.conn.Held(tcp.Resp)})
			}
		})
	}
}

// Pieces, claims, deferred segments and rivals are bounded, whatever is sent.
func TestNumbersAreBounded(t *testing.T) {
	for name, c := range map[string]struct {
		script script
		flood  func(i uint32) string
		most   int // bytes
		want   []string
	}{
		"pieces": {handshake, func(i uint32) string { return fmt.Sprintf("> A %d 501 x", 110+2*i) },
			tcp.MaxPieces * (tcp.PieceCost + 8), []string{"above_hole_data_without_any_acks"}},
		"pieces after an ACK": {greeting, func(i uint32) string { return fmt.Sprintf("> A %d 501 x", 110+2*i) },
			tcp.MaxPieces * (tcp.PieceCost + 8), []string{"excessive_data_without_further_acks"}},
		"claims": {handshake, func(i uint32) string { return fmt.Sprintf("> A %d 600 x", 101+i%100) },
			tcp.MaxClaims * (tcp.SegmentCost + 24), nil},
		"claims of nothing": {handshake, func(uint32) string { return "> A 101 600" }, 0, nil},
		"deferred segments": {"> S 100", func(i uint32) string { return fmt.Sprintf("> A %d 501 x", 101+i) },
			tcp.MaxDeferred * (tcp.SegmentCost + 24), []string{"possible_split_routing", "data_before_established"}},
		"rivals": {"> S 100\n< SA 500 101", func(i uint32) string { return fmt.Sprintf("< SA %d 101", 501+i) },
			tcp.MaxRivals * (tcp.SegmentCost + 24), []string{"SYN_seq_jump"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := &player{now: start}
			for line := range strings.Lines(string(c.script)) {
				if line, _, _ = strings.Cut(line, "|"); strings.TrimSpace(line) != "" {
					p.step(t, strings.TrimSpace(line))
				}
			}
			most := 0
			for i := range uint32(3000) {
				p.now = start // no time passes
				p.step(t, c.flood(i))
				require.NoError(t, p.conn.Invariants())
				most = max(most, p.conn.Held(tcp.Orig)+p.conn.Held(tcp.Resp))
			}
			assert.Equal(t, c.most, most)
			for _, name := range c.want {
				assert.Contains(t, p.sink.weirds, name)
			}
			if c.want == nil {
				assert.Empty(t, p.sink.weirds)
			}
		})
	}
}

// after returns a function that is true from the nth call on: when [tcp.Conn.Free] has given up
// n-1 things.
func after(n int) (enough func() bool) {
	return func() bool { n--; return n <= 0 }
}

const never = 1 << 30

func TestFreeSkipsGaps(t *testing.T) {
	p := play(t, handshake+`
		> A 106 501 b
		> A 112 501 c`)
	free := func(side tcp.Side, at time.Time, n int) string {
		p.conn.Free(side, at, after(n), &p.sink)
		return p.take(tcp.Followed)
	}
	assert.Empty(t, free(tcp.Orig, start, 1), "enough is free")
	assert.Empty(t, free(tcp.Resp, start, never), "the other side")
	assert.Equal(t, "above_hole_data_without_any_acks >[5] >b", free(tcp.Orig, start.Add(time.Hour), 2))
	assert.Equal(t, start.Add(time.Hour), p.sink.at[tcp.Orig])
	assert.Equal(t, int64(5), p.conn.Missed())
	p.step(t, "< A 501 102")
	assert.Equal(t, "excessive_data_without_further_acks >[5] >c", free(tcp.Orig, start, never))
	assert.Zero(t, p.conn.Held(tcp.Orig))
	assert.Equal(t, int64(10), p.conn.Missed())
}

func TestFreeDropsClaims(t *testing.T) {
	p := play(t, handshake+`
		> A 101 600 decoy`)
	free := func(side tcp.Side, n int) string {
		p.conn.Free(side, start, after(n), &p.sink)
		return p.take(tcp.Followed)
	}
	assert.Empty(t, free(tcp.Resp, never))
	assert.Empty(t, free(tcp.Orig, 1), "enough is free")
	assert.NotZero(t, p.conn.Held(tcp.Orig))
	assert.Equal(t, "ack_outside_window", free(tcp.Orig, never))
	assert.Zero(t, p.conn.Held(tcp.Orig))
	p.step(t, "< A 501 106 x*99")
	assert.Equal(t, strings.Repeat("x", 99), p.sink.got[tcp.Resp].String())
	assert.Empty(t, p.sink.got[tcp.Orig].String(), "no longer accepted")
	assert.Empty(t, free(tcp.Orig, never), "there is nothing to drop")
}

func TestFreeDropsRivals(t *testing.T) {
	p := play(t, `
		> S 100
		< SA 500 101
		< SA 900 101 | SYN_seq_jump unexpected`)
	for side, want := range []int{tcp.SegmentCost + 24, 0} {
		p.conn.Free(tcp.Side(side), start, after(never), &p.sink)
		assert.Empty(t, p.take(tcp.Followed))
		assert.Equal(t, want, p.conn.Held(tcp.Resp))
	}
}

func TestFreeStopsDeferring(t *testing.T) {
	const waiting script = `
		> S 100
		> A 101 501 hello`
	p := play(t, waiting)
	free := func(side tcp.Side, n int) string {
		p.conn.Free(side, p.now, after(n), &p.sink)
		return p.take(tcp.Followed)
	}
	assert.Empty(t, free(tcp.Resp, never), "the other side")
	assert.Empty(t, free(tcp.Orig, 1), "enough is free")
	assert.NotZero(t, p.conn.Held(tcp.Orig))
	p.now = start.Add(10 * time.Second)
	assert.Equal(t, "possible_split_routing data_before_established >hello", free(tcp.Orig, never))
	assert.Equal(t, start.Add(2*time.Millisecond), p.sink.at[tcp.Orig], "when it was captured")
	assert.Equal(t, start.Add(2*time.Millisecond), p.conn.Last)
	assert.Equal(t, "data_before_established >more", p.step(t, "> A 106 501 more"), "no segment waits any more")

	p = play(t, waiting+`
		> FA 106 501`)
	assert.Contains(t, free(tcp.Orig, never), " >. closed", "the segments determine the outcome")
	assert.Empty(t, free(tcp.Orig, never))
}

// Replayed returns the capture time of a deferred segment only while the segment is followed.
func TestReplayed(t *testing.T) {
	p := play(t, `
		> S 100
		> A 101 501 hello
		wait 10s`)
	assert.Zero(t, p.conn.Replayed())
	replayed := time.Time{}
	p.sink.onData = func() { replayed = p.conn.Replayed() }
	p.step(t, "< SA 500 101")
	assert.Equal(t, start.Add(2*time.Millisecond), replayed)
	assert.Zero(t, p.conn.Replayed())
	assert.Equal(t, p.now, p.conn.Last, "does not go back")
	p.step(t, "> A 106 501 more")
	assert.Zero(t, replayed)

	p = play(t, `
		> S 100
		> A 101 501 hello`)
	p.sink.onData = func() { panic("parser trouble") }
	assert.Panics(t, func() { p.step(t, "< SA 500 101") })
	assert.Zero(t, p.conn.Replayed(), "after a panic, too")
}

// An ignored connection keeps no bytes and its sink gets none, but its row is the same.
func TestIgnore(t *testing.T) {
	lines := []string{
		"> A 106 501 world", "> A 106 501 wOrld", "> A 101 501 hello", "> A 111 501 more", "> A 111 501 MORE", "< A 501 106 reply",
		"< A 516 120", "< A 516 120 after", "> A 120 521 x", "> A 122 521 x", "> A 124 521 x", "> FA 125 521", "< FA 521 126",
	}
	p, ignored := play(t, handshake), play(t, handshake)
	p.step(t, lines[0])
	ignored.step(t, lines[0])
	ignored.conn.Ignore()
	assert.Equal(t, tcp.PieceCost, ignored.conn.Held(tcp.Orig))
	require.NoError(t, ignored.conn.Invariants())
	for _, line := range lines[1:] {
		p.step(t, line)
		ignored.step(t, line)
		require.NoError(t, ignored.conn.Invariants())
		assert.LessOrEqual(t, ignored.conn.Held(tcp.Orig), 3*tcp.PieceCost)
	}
	assert.Equal(t, p.summary(), ignored.summary())
	assert.Equal(t, p.conn.Missed(), ignored.conn.Missed())
	assert.Zero(t, ignored.conn.Held(tcp.Orig))
	assert.Zero(t, ignored.sink.at, "no bytes are reported")
	assert.Empty(t, ignored.sink.weirds, "bytes are not compared")

	ignored = play(t, handshake)
	ignored.conn.Ignore()
	ignored.step(t, "> A 101 506 early")
	assert.Zero(t, ignored.conn.Held(tcp.Orig), "no segment waits for confirmation")
}

// One-byte segments in any order: none takes long, whatever is already held.
func TestManySmallSegments(t *testing.T) {
	const n = 30_000
	for _, order := range []string{"reverse", "random", "every other"} {
		t.Run(order, func(t *testing.T) {
			at := rand.New(rand.NewPCG(1, 2)).Perm(n)
			for i := range at {
				switch order {
				case "reverse":
					at[i] = n - 1 - i
				case "every other":
					at[i] = i * 2 % n
				}
			}
			p := play(t, handshake)
			s := segment{flags: "A", ack: 501, data: "x", length: 1, window: 1000, scale: -1}
			for _, i := range at {
				s.seq = 102 + uint32(i)
				p.segment(s)
			}
			require.NoError(t, p.conn.Invariants())
			assert.LessOrEqual(t, p.conn.Held(tcp.Orig), tcp.MaxPieces*(tcp.PieceCost+8)+n)
		})
	}
}
