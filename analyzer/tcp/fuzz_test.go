package tcp_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/conn/analyzer/tcp"
)

// choices are the fuzzer's decisions, one byte each; 0 when none are left.
type choices []byte

// below returns a number below n.
func (c *choices) below(n int) int {
	if len(*c) == 0 {
		return 0
	}
	x := int((*c)[0])
	*c = (*c)[1:]
	return x % n
}

// conversation returns segments that two hosts may have sent, as captured, and the bytes of each.
// Nothing is forged or lost. Segments in flight at the same time overlap, repeat, and arrive in any
// order, or one direction is late as a whole.
func conversation(c choices) (segments []segment, sent [2]string, ends [2]bool) {
	var next [2]uint32
	for side := range next {
		for range 4 {
			next[side] = next[side]<<8 | uint32(c.below(256))
		}
	}
	iss := next
	say := func(side tcp.Side, flags string, from uint32, data string) {
		s := segment{side: side, flags: flags, seq: from, data: data, length: len(data), window: 1000, scale: -1}
		if strings.Contains(flags, "A") {
			s.ack = next[side.Other()]
		}
		segments = append(segments, s)
		if end := from + uint32(len(data)) + uint32(strings.Count(flags, "S")+strings.Count(flags, "F")); int32(end-next[side]) > 0 {
			next[side] = end
		}
	}
	say(tcp.Orig, "S", next[tcp.Orig], "")
	say(tcp.Resp, "SA", next[tcp.Resp], "")
	say(tcp.Orig, "A", next[tcp.Orig], "")

	late := tcp.Side(c.below(2))
	lag := c.below(8)
	for range c.below(16) {
		side := tcp.Side(c.below(2))
		if c.below(3) == 0 {
			say(side, "A", next[side], "")
			continue
		}
		data := make([]byte, c.below(40)+1)
		for i := range data {
			data[i] = byte('a' + (len(sent[side])+i)%26)
		}
		before := len(sent[side])
		sent[side] += string(data)
		burst := len(segments)
		for at := before; at < len(sent[side]); {
			from, to := at, min(at+c.below(20)+1, len(sent[side]))
			if lag == 0 {
				from = max(at-c.below(10), 0)
			}
			say(side, "A", iss[side]+1+uint32(from), sent[side][from:to])
			at = to
		}
		if lag > 0 {
			continue
		}
		for i := burst; i < len(segments); i++ {
			j := burst + c.below(len(segments)-burst)
			segments[i], segments[j] = segments[j], segments[i]
		}
		for range c.below(3) {
			segments = append(segments, segments[burst+c.below(len(segments)-burst)])
		}
	}
	for range c.below(3) {
		if side := tcp.Side(c.below(2)); !ends[side] {
			say(side, "FA", next[side], "")
			ends[side] = true
		}
	}
	say(tcp.Orig, "A", next[tcp.Orig], "")
	say(tcp.Resp, "A", next[tcp.Resp], "")
	if lag > 0 {
		segments = lagged(segments, late, lag)
	}
	return segments, sent, ends
}

// FuzzConversation follows conversations in which nothing was forged or lost: every byte sent is
// delivered, once and in order, followed by each end.
func FuzzConversation(f *testing.F) {
	f.Add([]byte("\xff\xff\xff\xf0\xff\xff\xff\xff\x00\x00\x08\x00\x01\x20\x05\x02\x01\x03\x01\x01\x01\x20\x07\x00\x01\x02\x00\x00\x02\x01\x01\x00"))
	f.Add([]byte("\x00\x00\x00\x64\x00\x00\x01\xf4\x01\x03\x0f\x00\x01\x09\x04\x04\x01\x01\x09\x04\x00\x01\x10\x20\x01\x01\x10\x20\x02\x00\x01"))
	f.Add([]byte("00000000" + strings.Repeat("\x00\x01\x27\x13\x09\x02", 40)))
	f.Add([]byte("zzzzyyyy" + strings.Repeat("\x01\x02\x25\x03\x08\x01\x07\x05\x00", 30)))
	f.Fuzz(func(t *testing.T, input []byte) {
		segments, sent, ends := conversation(input)
		p := &player{now: start}
		for _, s := range segments {
			p.segment(s)
			require.NoError(t, p.conn.Invariants())
			for side := range sent {
				require.True(t, strings.HasPrefix(sent[side], p.sink.got[side].String()), "side %d got %q", side, &p.sink.got[side])
			}
		}
		p.conn.Flush(&p.sink)
		for side, arrow := range arrows {
			require.Equal(t, sent[side], p.sink.got[side].String(), "%d, %v", side, segments)
			require.Equal(t, int64(len(sent[side])), p.conn.Bytes(tcp.Side(side)), "%v", segments)
			require.Zero(t, p.conn.Held(tcp.Side(side)))
			n := 0
			for _, e := range p.sink.events {
				if e == arrow+"." {
					n++
				}
			}
			require.Equal(t, ends[side], n == 1, "%v", segments)
			require.LessOrEqual(t, n, 1)
		}
		require.Zero(t, p.conn.Missed(), "%v", segments)
		require.True(t, p.conn.Established())
		require.False(t, p.conn.Partial())
		require.NotContains(t, p.sink.weirds, "rexmit_inconsistency")
		require.NotContains(t, p.sink.weirds, "segment_outside_window")
		require.Equal(t, ends[0] && ends[1], p.conn.State() == "SF")
	})
}

// FuzzSegments follows arbitrary segments. Nothing may panic, everything kept must be counted and
// bounded, and at the end only bytes after a gap may be waiting.
func FuzzSegments(f *testing.F) {
	f.Add([]byte("\x02\x00\x00\x00\x13\x00\x01\x00\x10\x01\x01\x05"))
	f.Add([]byte("\x02\x00\x00\x00\x10\x01\x01\x05\x10\x06\x01\x05\x13\x00\x01\x00\x11\x01\x0b\x05"))
	f.Add([]byte("\x13\x00\x01\x09\x13\x40\x01\x09\x02\x00\x00\x00\x10\x01\x01\x05\x04\x01\x00\x00"))
	f.Fuzz(func(t *testing.T, input []byte) {
		p := &player{now: start}
		for ; len(input) >= 4; input = input[4:] {
			what, seq, ack, n := input[0], input[1], input[2], int(input[3])
			s := segment{side: tcp.Side(what >> 3 & 1), seq: place(seq), ack: place(ack), window: uint16(n) << 8, scale: -1}
			for i, letter := range "FSR" {
				if what>>i&1 != 0 {
					s.flags += string(letter)
				}
			}
			if what&0x10 != 0 {
				s.flags += "A"
			}
			s.data = strings.Repeat(string(rune('a'+what>>5)), n%64)
			s.length = len(s.data) + n>>7
			switch what {
			case 0xff:
				p.conn.Ignore()
			case 0xfe:
				p.conn.Free(s.side, p.now, after(n%4), &p.sink)
			}
			p.segment(s)
			require.NoError(t, p.conn.Invariants())
			require.LessOrEqual(t, len(p.conn.History.Letters()), tcp.MaxHistory)
		}
		p.conn.Flush(&p.sink)
		require.NoError(t, p.conn.Invariants())
		for side := range tcp.Side(2) {
			require.GreaterOrEqual(t, p.conn.Bytes(side), int64(0))
			require.Equal(t, p.conn.Pending(side), p.conn.Held(side) > 0, "nothing else waits at the end")
		}
	})
}

// place returns a sequence number near an interesting one: 0, half the number space, or the
// window's end.
func place(b byte) uint32 {
	return [...]uint32{0, 1 << 31, 1<<32 - 8, 64 << 10, 1 << 20, 1000, 8, 100}[b>>5] + uint32(b&31)
}
