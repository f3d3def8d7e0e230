package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn/analyzer/capture"
	"example.com/conn/analyzer/logs"
)

// writeFlood writes a capture of n SYNs, each from its own address and port, a microsecond apart.
func writeFlood(t testing.TB, w io.Writer, n int) {
	out := pcapgo.NewWriter(w)
	require.NoError(t, out.WriteFileHeader(65535, layers.LinkTypeEthernet))
	buf := gopacket.NewSerializeBuffer()
	eth := layers.Ethernet{SrcMAC: make([]byte, 6), DstMAC: make([]byte, 6), EthernetType: layers.EthernetTypeIPv4}
	ip := layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, DstIP: netip.MustParseAddr("198.51.100.1").AsSlice()}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range n {
		ip.SrcIP = binary.BigEndian.AppendUint32(nil, 10<<24+uint32(i))
		tcp := layers.TCP{SYN: true, Window: 1024, DstPort: 80, SrcPort: layers.TCPPort(1024 + i%60000), Seq: uint32(i) * 7919}
		require.NoError(t, tcp.SetNetworkLayerForChecksum(&ip))
		opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
		require.NoError(t, gopacket.SerializeLayers(buf, opts, &eth, &ip, &tcp))
		ci := gopacket.CaptureInfo{
			Timestamp:     start.Add(time.Duration(i) * time.Microsecond),
			CaptureLength: len(buf.Bytes()),
			Length:        len(buf.Bytes()),
		}
		require.NoError(t, out.WritePacket(ci, buf.Bytes()))
	}
}

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
	var flood bytes.Buffer
	writeFlood(t, &flood, n)
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)

	o := defaults()
	out := logs.NewOutput(io.Discard, nil)
	a := newAnalysis(1, o.flow, out)
	s, err := capture.FromBytes("flood", flood.Bytes())
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
