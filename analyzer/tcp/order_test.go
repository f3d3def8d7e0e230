package tcp_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/conn/analyzer/tcp"
)

// One direction is captured late, or not at all.
func TestOrder(t *testing.T) {
	for name, s := range map[string]script{
		"ACK before the SYN-ACK": `
			> S 100
			> A 101 501
			> A 101 501 hello
			< SA 500 101              | >hello
			< A 501 106 reply         | <reply
			= S1 ShADd 5/5
		`,
		"replies before the SYN": `
			< SA 500 101
			< A 501 106 reply
			> S 100
			> A 101 501 hello         | >hello <reply
			= S1 hSDd 5/5
		`,
		"replies before the SYN, sides mistaken because of the ports": `
			> SA 500 101
			> A 501 106 reply
			< S 100                   | ^
			> A 101 501 hello         | >hello <reply
			= S1 Hs^Dd 5/5
		`,
		"SYN with data, after its SYN-ACK": `
			< SA 500 106
			> S 100 - hello           | SYN_with_data >hello
			> A 106 501 again         | >again
			< A 501 111 reply         | <reply
		`,
		"SYN with data, after its SYN-ACK and replies": `
			< SA 500 106
			< A 501 106 reply
			> S 100 - hello           | SYN_with_data >hello
			> A 106 506 again         | <reply >again
		`,
		"SYN with data, after the SYN-ACK that refused the data": `
			< SA 500 101
			> S 100 - hello           | SYN_with_data >hello
			> A 101 501 hello
			< A 501 106 reply         | <reply
		`,
		"SYN with data, after its SYN-ACK, sides mistaken because of the ports": `
			> SA 500 106
			< S 100 - hello           | SYN_with_data ^ >hello
			> A 106 501 again         | >again
			< A 501 111 reply         | <reply
		`,
		"SYN with data that its SYN-ACK does not acknowledge": `
			< SA 500 107
			> S 100 - hello           | active_connection_reuse begins
		`,
		"ACK before the SYN-ACK with data": `
			> S 100
			> A 101 508 hello
			< SA 500 101 welcome      | SYN_with_data <welcome >hello
			< A 508 106 reply         | <reply
		`,
		"ACKs before the SYN-ACK with data": `
			> S 100
			> A 101 508
			> A 101 513 hello
			< SA 500 101 welcome      | SYN_with_data <welcome
			< A 508 101 again         | <again
			< A 513 106               | >hello
		`,
		"ACK before a SYN-ACK with data that it does not acknowledge": `
			> S 100
			> A 101 501 hello
			< SA 500 101 welcome      | SYN_with_data >hello
			< A 501 106 welcome       | <welcome
		`,
		"SYN with data that ends where the stream began": `
			> A 1 501 x               | >x
			< A 501 2 y               | <y
			> S 4294967295 - z        | active_connection_reuse begins
		`,
		"replies before the client's ACK": `
			> S 100
			< SA 500 101
			< A 501 106 reply
			< FA 506 106
			> A 101 501
			> A 101 501 hello         | >hello
			= S3 ShAdfD 5/6
		`,
		"SYN-ACK was lost": `
			> S 100
			> A 101 501
			> A 101 501 hello
			< A 501 106 reply         | possible_split_routing data_before_established >hello <reply
			= OTH SADd 5/5
		`,
		"SYN-ACK was lost, and data elsewhere is not accepted": `
			> S 100
			> A 101 501 hello
			< A 9000000 106 decoy     | segment_outside_window
			< A 4290000000 106 decoy  | segment_outside_window
			< A 501 106 reply         | data_before_established >hello <reply
			= OTH SdD 5/5
		`,
		"SYN was lost": `
			< SA 500 101
			> A 101 501 hello         | >hello
			< A 501 106 reply         | <reply
			= S1 hDd 5/5
		`,
		"SYN was lost, and the SYN-ACK is late, as is the reply to what was lost with the SYN": `
			> A 110 501 second        | >second
			< SA 500 101              | TCP_ack_underflow_or_misorder
			< A 501 106 first         | TCP_ack_underflow_or_misorder <first
		`,
		"client's ACK was lost": `
			> S 100
			< SA 500 101
			< A 501 101 welcome
			> A 101 508 hello         | <welcome >hello
			= S1 ShdD 5/7
		`,
		"RST while the server's data waits": `
			> S 100
			< SA 500 101
			< A 501 101 welcome
			> R 101                   | <welcome closed
			= RSTO ShdR 0/7
		`,
		"RST before the SYN-ACK, while the client's data waits": `
			> S 100
			> A 101 501 hello
			< RA 0 101                | closed
			end                       | data_before_established >hello <[501]
			= REJ SrD 5/501
		`,
		"one direction alone": `
			> S 100
			> A 101 501 hello
			> FA 106 501
			end                       | possible_split_routing data_before_established >hello inappropriate_FIN >. closed
			= SH SDF 5/0
		`,
		"the other direction alone": `
			< SA 500 101
			< A 501 106 reply
			end                       | possible_split_routing <reply
			= OTH hd 0/5
		`,
		"one direction alone, for too long": `
			> S 100
			> A 101 501 hello
			wait 59.999s
			> A 106 501 more
			> A 110 501 again         | possible_split_routing data_before_established >hello data_before_established >more data_before_established >again
			> A 115 501 on            | data_before_established >on
			= S0 SD 16/0
		`,
		"acknowledged data was not captured": handshake + `
			> A 101 501 hello         | >hello
			> A 106 506 again
			> A 111 506 +
			< A 506 112 reply         | <[5] >again >+ <reply
			> FA 112 521
			< A 521 113               | <[10] >.
			< FA 531 113
			> A 113 532               | <[10] <. closed
			= SF ShADgdFaf 11/30
		`,
		"acknowledged data at the end was not captured": handshake + `
			> A 101 501 hello         | >hello
			> A 106 506
			end                       | <[5]
			= S1 ShADg 5/5
		`,
		"acknowledged data is captured late": handshake + `
			> A 101 501 hello         | >hello
			> A 106 506 again
			< A 501 106 reply         | <reply
			< A 506 111               | >again
			= S1 ShADda 10/5
		`,
		"acknowledged data is captured late, at the end": handshake + `
			> A 101 501 hello         | >hello
			> A 106 506 again
			< A 501 106 reply         | <reply
			end                       | >again
			= S1 ShADd 10/5
		`,
		"acknowledged data is never captured": handshake + `
			> A 101 501 hello         | >hello
			> A 106 1501 decoy
			> A 106 506 again
			< A 506 111 reply         | <[5] >again <reply
			end                       | ack_outside_window <[990]
			= S1 ShADTdg 10/1000
		`,
		"FIN that acknowledges uncaptured data": handshake + `
			> A 101 501 hello         | >hello
			> FA 106 506
			< A 501 106 reply         | <reply
			< A 506 107               | >.
			= S2 ShADFda 5/5
		`,
		"data replaced by another segment": handshake + `
			> A 101 501 hello         | >hello
			> A 106 506 decoy
			> A 106 501 truth         | >truth
			< A 501 106 reply         | <reply
			end                       | ack_outside_window
			= S1 ShADTd 10/5
		`,
		"data with the SYN-ACK's ACK, then the same as ACK": handshake + `
			> A 101 501 hello         | >hello
			> A 101 501 hello
			= S1 ShADT 5/0
		`,
		"replies before the request, whose SYN was lost": `
			< SA 500 101              |
			< A 501 106 reply         |
			> A 101 501 hello         | >hello <reply
			= S1 hDd 5/5
		`,
		"replies before a FIN, whose SYN was lost": `
			< SA 500 101              |
			< A 501 106 reply         |
			> FA 101 501              | possible_split_routing <reply >.
			= S2 hdF 0/5
		`,
		"replies before a RST, whose SYN was lost": `
			< SA 500 101              |
			< A 501 106 reply         |
			> R 101                   | <reply closed
			= RSTO hRd 5/5
		`,
		"replies before the request without ACK, whose SYN was lost": `
			< SA 500 101              |
			< A 501 106 reply         |
			> - 101 - hello           | possible_split_routing <reply >hello
			= OTH hdD 5/5
		`,
		"one direction alone for too long, and the other elsewhere": `
			> S 100
			> A 101 501 hello
			wait 61s
			> A 106 501 more          | possible_split_routing data_before_established >hello data_before_established >more
			< A 9000000 110 decoy     | segment_outside_window
			< FA 9000000 110          | segment_outside_window
			< A 4290000000 110 decoy  | segment_outside_window
			< R 9000000               | segment_outside_window
			< SA 9000000 90           | bad_SYN_ack
			< A 9000000 110
			= OTH SDdfrha 9/0
		`,
		"one direction alone for too long, and the other as expected": `
			> S 100
			> A 101 501 hello
			wait 61s
			> A 106 501 more          | possible_split_routing data_before_established >hello data_before_established >more
			< A 501 110 reply         | <reply
			= OTH SDd 9/5
		`,
	} {
		t.Run(name, func(t *testing.T) { play(t, s) })
	}
}

// A talk builds a conversation, in the order in which it was sent.
type talk struct {
	segments []segment
	next     [2]uint32 // sequence numbers
}

func newTalk() *talk {
	c := &talk{next: [2]uint32{100, 500}}
	return c.say(tcp.Orig, "S", "").say(tcp.Resp, "SA", "")
}

// say adds a segment that acknowledges everything the other side has sent.
func (c *talk) say(side tcp.Side, flags, data string) *talk {
	s := segment{side: side, flags: flags, seq: c.next[side], data: data, length: len(data), window: 1000, scale: -1}
	if strings.Contains(flags, "A") {
		s.ack = c.next[side.Other()]
	}
	c.segments = append(c.segments, s)
	c.next[side] += uint32(len(data))
	if strings.ContainsAny(flags, "SF") {
		c.next[side]++
	}
	return c
}

// exchange adds a request and its reply.
func (c *talk) exchange(n int, acks bool) *talk {
	c.say(tcp.Orig, "A", fmt.Sprintf("request%d", n))
	if acks {
		c.say(tcp.Resp, "A", "")
	}
	c.say(tcp.Resp, "A", fmt.Sprintf("reply%d", n))
	if acks {
		c.say(tcp.Orig, "A", "")
	}
	return c
}

// conversations returns the segments of conversations by name.
func conversations() map[string][]segment {
	all := make(map[string][]segment)
	for _, acks := range []bool{true, false} {
		for _, welcome := range []bool{true, false} {
			for end, segments := range map[string][]string{
				"no end": nil, "client's FIN": {">FA", "<FA", ">A"}, "server's FIN": {"<FA", ">FA", "<A"},
				"FIN and RST": {">FA", "<A", "<RA"}, "client's RST": {">RA"}, "server's RST": {"<RA"},
			} {
				c := newTalk()
				if acks || welcome {
					c.say(tcp.Orig, "A", "")
				}
				if welcome {
					c.say(tcp.Resp, "A", "welcome")
				}
				for n := range 4 {
					c.exchange(n, acks)
				}
				c.say(tcp.Orig, "A", "upload").say(tcp.Orig, "A", "more")
				c.say(tcp.Resp, "A", "done").say(tcp.Resp, "A", "and done").say(tcp.Orig, "A", "")
				for _, s := range segments {
					c.say(tcp.Side(strings.Index("><", s[:1])), s[1:], "")
				}
				all[fmt.Sprintf("acks %t, welcome %t, %s", acks, welcome, end)] = c.segments
			}
		}
	}
	return all
}

// lagged returns segments as they are captured if those of one side are late by the given number of
// segments of the other side.
func lagged(segments []segment, side tcp.Side, by int) (late []segment) {
	var waits []segment
	var due []int
	others := 0
	for _, s := range segments {
		if s.side == side {
			waits, due = append(waits, s), append(due, others+by)
			continue
		}
		for len(due) > 0 && due[0] <= others {
			late = append(late, waits[0])
			waits, due = waits[1:], due[1:]
		}
		late = append(late, s)
		others++
	}
	return append(late, waits...)
}

// run follows all segments, and returns the sink's input without weirds.
func run(t *testing.T, segments []segment) (p *player, events string) {
	t.Helper()
	p = &player{now: start}
	for _, s := range segments {
		p.segment(s)
		require.NoError(t, p.conn.Invariants())
	}
	p.conn.Flush(&p.sink)
	require.NoError(t, p.conn.Invariants())
	for side := range tcp.Side(2) {
		require.Zero(t, p.conn.Held(side), "at the end")
	}
	p.over = p.conn.Over()
	p.sink.events = slices.DeleteFunc(p.sink.events, func(e string) bool { return slices.Contains(p.sink.weirds, e) })
	return p, p.take(tcp.Followed)
}

// row is a connection's row in conn.log, without the history.
func row(p *player) string {
	return fmt.Sprint(p.conn.State(), p.conn.Bytes(tcp.Orig), p.conn.Bytes(tcp.Resp), p.conn.Missed(), p.conn.Partial())
}

// Capturing one direction late, all of it or by some segments, changes neither the sink's input nor
// its order.
func TestLateDirection(t *testing.T) {
	for name, segments := range conversations() {
		t.Run(name, func(t *testing.T) {
			p, want := run(t, segments)
			require.Contains(t, want, ">request3 <reply3 >upload >more <done <and done")
			for side := range tcp.Side(2) {
				for by := 1; by <= len(segments); by++ {
					q, got := run(t, lagged(segments, side, by))
					require.Equal(t, want, got, "side %d late by %d", side, by)
					require.Equal(t, row(p), row(q))
					require.Empty(t, q.sink.weirds)
				}
			}
		})
	}
}

// The client's ACK shows which of several SYN-ACKs counts, whatever their numbers, and whether the
// ACK comes alone or with the request.
func TestSeveralSYNACKs(t *testing.T) {
	const far = 1 << 31
	for numbers, rivals := range map[string][]uint32{
		"higher": {9000}, "little higher": {501}, "lower": {400}, "little lower": {499}, "far": {500 + far}, "nearly far": {499 + far},
		"wraps": {1<<32 - 1}, "three": {9000, 77}, "many": {1, 2, 3, 4, 5, 6, 7}, "zero": {0}, "banner's": {508},
	} {
		t.Run(numbers, func(t *testing.T) {
			for name, segments := range conversations() {
				p, want := run(t, segments)
				for _, first := range []bool{true, false} {
					for _, decoy := range []string{"", "decoy"} {
						var forged []segment
						for _, seq := range rivals {
							s := segment{side: tcp.Resp, flags: "SA", seq: seq, ack: 101, data: decoy, length: len(decoy), window: 1000, scale: -1}
							if forged = append(forged, s); decoy != "" {
								s.flags, s.seq = "A", seq+1
								forged = append(forged, s)
							}
						}
						at := 2 // after the true SYN-ACK
						if first {
							at = 1
						}
						q, got := run(t, slices.Insert(slices.Clone(segments), at, forged...))
						require.Equal(t, want, got, "%s: first %t, with %q", name, first, decoy)
						if require.Equal(t, row(p), row(q), name); decoy == "" {
							require.Equal(t, p.summary(), q.summary(), name)
						}
						require.Contains(t, q.sink.weirds, "SYN_seq_jump")
					}
				}
			}
		})
	}
}

// Before the SYN-ACK, nothing from the server is accepted except a rejection, and that only until
// the SYN-ACK arrives.
func TestSegmentsBeforeSYNACK(t *testing.T) {
	forgeries := []string{
		"< RA 0 101", "< RA 501 101", "< RA 0 101 decoy", "< RA 0 77", "< R 501",
		"< FA 501 101", "< F 501", "< A 501 101 decoy", "< A 0 101 decoy", "< FA 0 101 decoy", "< A 0 101 decoy*99999",
		"< A 501 101", "< A 501 60000", "> F 101", "> FA 101 3000000000", "> R 101", "> - 101 - decoy",
	}
	for _, first := range forgeries {
		for _, second := range forgeries {
			if strings.HasPrefix(first, "> F") && second == "> R 101" {
				continue // once the SYN-ACK is there, the RST has the expected number
			}
			t.Run(first+", then "+second, func(t *testing.T) {
				for name, segments := range conversations() {
					_, want := run(t, segments)
					_, got := run(t, slices.Insert(slices.Clone(segments), 1, parse(t, first), parse(t, second)))
					require.Equal(t, want, got, name)
				}
			})
		}
	}
}
