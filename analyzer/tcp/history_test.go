package tcp_test

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"example.com/conn/analyzer/tcp"
)

func TestHistoryIsBounded(t *testing.T) {
	var h tcp.History
	for i := range 3 * tcp.MaxHistory {
		h.Add(tcp.Side(i%2), 'X')
		want := min(i+1, tcp.MaxHistory)
		assert.Equal(t, strings.Repeat("Xx", tcp.MaxHistory/2)[:want], string(h.Letters()))
	}
	h.Flip()
	assert.Len(t, h.Letters(), tcp.MaxHistory)
}

func TestHistoryOfData(t *testing.T) {
	var h tcp.History
	assert.Empty(t, h.Letters())
	h.Data(tcp.Orig)
	h.Data(tcp.Orig)
	assert.Equal(t, "D", string(h.Letters()))
	assert.True(t, h.HasData(tcp.Orig))
	assert.False(t, h.HasData(tcp.Resp))
	assert.False(t, h.Flipped())
	h.Flip()
	assert.True(t, h.Flipped())
	assert.True(t, h.HasData(tcp.Resp))
	assert.False(t, h.HasData(tcp.Orig))
	h.Data(tcp.Resp)
	h.Data(tcp.Orig)
	assert.Equal(t, "D^D", string(h.Letters()))
}

func TestShortHistoryAllocatesNothing(t *testing.T) {
	assert.Zero(t, testing.AllocsPerRun(10, func() {
		var h tcp.History
		for range 12 {
			h.Add(tcp.Resp, 'D')
		}
		h.Flip()
		_ = h.Letters()
	}))
}

func TestCounter(t *testing.T) {
	var c tcp.Counter
	var due []int
	for i := 1; i <= 10000; i++ {
		if c.Add() {
			due = append(due, i)
		}
	}
	assert.Equal(t, []int{1, 10, 100, 1000, 10000}, due)
	c = math.MaxUint32
	assert.False(t, c.Add(), "after the last number")
}

// Letters of repeated events are recorded at the 1st, 10th and 100th time.
func TestRepeatedHistory(t *testing.T) {
	p := play(t, handshake)
	for range 112 {
		p.step(t, "> A 101 501 x")
		p.step(t, "> A 102 501") // has nothing to repeat
	}
	for range 5 {
		p.step(t, "> FA 102 501")
	}
	assert.Equal(t, "= S2 ShADTTTF 1/0", p.summary())
}
