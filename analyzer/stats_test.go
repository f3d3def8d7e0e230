package main

import (
	"bytes"
	"encoding/json"
	"net"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn/analyzer/logs"
)

// everySecond returns a capture with one UDP packet per second, each from a different host.
func everySecond(t *testing.T, n int) []byte {
	var b bytes.Buffer
	w := pcapgo.NewWriter(&b)
	require.NoError(t, w.WriteFileHeader(65535, layers.LinkTypeRaw))
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range n {
		ip := layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: net.IP{192, 0, byte(i >> 8), byte(i)}, DstIP: net.IP{198, 51, 100, 1}}
		udp := layers.UDP{SrcPort: 1000, DstPort: 9}
		require.NoError(t, udp.SetNetworkLayerForChecksum(&ip))
		buf := gopacket.NewSerializeBuffer()
		opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
		require.NoError(t, gopacket.SerializeLayers(buf, opts, &ip, &udp, gopacket.Payload("x")))
		at := start.Add(time.Duration(i) * time.Second)
		length := len(buf.Bytes())
		require.NoError(t, w.WritePacket(gopacket.CaptureInfo{Timestamp: at, CaptureLength: length, Length: length}, buf.Bytes()))
	}
	return b.Bytes()
}

// statsRows returns the rows of stats.log in out, without machine-dependent values.
func statsRows(t *testing.T, out string) (rows []*statsRow) {
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, `{"_path":"stats"`) {
			row := new(statsRow)
			require.NoError(t, json.Unmarshal([]byte(line), row))
			if row.Duration == nil {
				assert.Positive(t, row.Mem)
			}
			row.Mem = 0
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b *statsRow) int { return int(a.TS - b.TS) })
	return rows
}

func TestStatsCountFromRowToRow(t *testing.T) {
	file := write(t, everySecond(t, 700))
	status, out, stderr := runWith(t, file)
	require.Equal(t, 0, status, stderr)
	got := statsRows(t, out)
	const second, size = 1e6, 29
	const start = 1767225600 * second
	// A connection ends 60 seconds after its packet, the last ones with the capture.
	want := []*statsRow{
		{TS: start + 300*second, PktsProc: 301, UDP: 301, ActiveUDP: 60, Connections: 241},
		{TS: start + 600*second, PktsProc: 300, UDP: 300, ActiveUDP: 60, Connections: 300},
		{TS: start + 699*second, PktsProc: 99, UDP: 99, Packets: 700, Connections: 700},
	}
	for _, row := range want {
		row.Path, row.Peer, row.BytesRecv, row.Removed = "stats", "analyzer", int64(row.PktsProc)*size, row.Connections
		if row.Packets == 0 {
			row.Packets = row.PktsProc
		}
		row.Bytes = int64(row.Packets) * size
	}
	require.Len(t, got, 3)
	require.NotNil(t, got[2].Duration)
	assert.Equal(t, logs.Interval(699*time.Second), *got[2].Duration)
	got[2].Duration = nil
	for _, row := range got {
		row.HeldBytes = 0 // the size of a connection is not tested here
	}
	assert.Equal(t, want, got)
}

func TestStatsDoNotDependOnWorkers(t *testing.T) {
	file := write(t, everySecond(t, 700))
	var want []*statsRow
	for _, workers := range []string{"1", "2", "7"} {
		status, out, _ := runWith(t, "-workers", workers, "-stats", "1m40s", file)
		require.Equal(t, 0, status)
		got := statsRows(t, out)
		if want == nil {
			want = got
		}
		assert.Equal(t, want, got, "%s workers", workers)
	}
	assert.Len(t, want, 7)
}

func TestStatsAtTheEndOnly(t *testing.T) {
	_, out, _ := runWith(t, "-stats", "0", write(t, everySecond(t, 700)))
	rows := statsRows(t, out)
	require.Len(t, rows, 1)
	assert.Equal(t, 700, rows[0].PktsProc)
}

func TestStatsOfNothing(t *testing.T) {
	_, out, _ := runWith(t, write(t, everySecond(t, 0)))
	rows := statsRows(t, out)
	require.Len(t, rows, 1)
	assert.Zero(t, rows[0].TS)
}

func TestMemoryInMegabytes(t *testing.T) {
	check := func() {
		t.Helper()
		// The runtime may release memory between the two readings.
		assert.EventuallyWithT(t, func(t *assert.CollectT) {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			row := newStatsRow(time.Unix(1, 0), &counts{}, &counts{}, true, false)
			assert.InDelta(t, (m.Sys-m.HeapReleased)>>20, row.Mem, 16)
		}, 10*time.Second, 10*time.Millisecond)
	}
	ballast := make([]byte, 64<<20)
	check()
	runtime.KeepAlive(ballast)
	debug.FreeOSMemory()
	check()
}

func TestCountsAddAndSubtract(t *testing.T) {
	var sum counts
	c := counts{packets: 1, bytes: 2, decodeErrors: 3, panics: 4, onLink: 5, dropped: 6, active: 7}
	c.flow.Removed, c.flow.MissedBytes = 8, 9
	sum.add(&c, 1)
	sum.add(&c, 1)
	sum.add(&c, -1)
	assert.Equal(t, c, sum)
}

func TestCountsOfSeveralWorkers(t *testing.T) {
	early, late := time.Unix(1, 0), time.Unix(9, 0)
	middle := time.Unix(5, 0)
	workers := []counts{
		{held: 1, lag: time.Second, first: early, last: middle},
		{held: 2, lag: time.Minute, first: middle, last: late},
		{held: 4}, // has got no frames
	}
	for range workers {
		workers = append(workers[1:], workers[0])
		var sum counts
		for i := range workers {
			sum.add(&workers[i], 1)
		}
		assert.Equal(t, counts{held: 7, lag: time.Minute, first: early, last: late}, sum)
	}
}
