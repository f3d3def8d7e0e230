package main

import (
	"context"
	"io"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn/analyzer/capture"
	"example.com/conn/analyzer/logs"
)

// A million SYNs, each from its own address and port: the table stays within its bound, and so does
// memory.
//
// The bound is 100,000 connections of about 1 kB each, including the map, doubled by garbage not
// yet collected, with some room: 300 MB. The capture itself, which this test keeps in memory, is
// not counted.
func TestMemoryIsBoundedInFlood(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	const n, bound = 1_000_000, 300 << 20
	data := flood(t, n)
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)

	o := defaults()
	out := logs.NewOutput(io.Discard, nil)
	a := newAnalysis(1, o.flow, out)
	s, err := capture.FromBytes("flood", data)
	require.NoError(t, err)
	highest := uint64(0)
	a.start()
	require.NoError(t, a.read(context.Background(), s, func() {
		if a.packets%(64<<10) == 0 {
			runtime.ReadMemStats(&now)
			highest = max(highest, now.HeapAlloc-before.HeapAlloc)
		}
	}))
	a.finish()
	stats, _ := a.stats()
	assert.Equal(t, n, stats.Packets)
	assert.Equal(t, n, stats.Connections)
	assert.Equal(t, n, stats.Removed)
	assert.Less(t, highest, uint64(bound), "bytes of heap")
	t.Logf("highest heap: %d MB", highest>>20)
}
