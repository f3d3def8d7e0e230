package main

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/require"

	"example.com/conn/analyzer/capture"
	"example.com/conn/analyzer/logs"
	"example.com/conn/conntest"
)

// analyzeBytes runs the whole analyzer over a capture in memory.
func analyzeBytes(t testing.TB, data []byte, workers int, w io.Writer) (*statsRow, float64) {
	out := logs.NewOutput(w, nil)
	stats, hooks := analyzeTo(t, out, data, workers)
	require.NoError(t, out.Close())
	return stats, hooks
}

func analyzeTo(t testing.TB, out *logs.Output, data []byte, workers int) (*statsRow, float64) {
	if _, ok := t.(*testing.T); ok {
		conntest.VerifyRemoved(t)
	}
	o := defaults()
	o.flow.Errors = io.Discard
	a := newAnalysis(workers, o.flow, out)
	s, err := capture.FromBytes("test", data)
	require.NoError(t, err)
	a.start()
	require.NoError(t, a.read(context.Background(), s, func() {}))
	a.finish()
	stats, hooks := a.stats()
	return stats, hooks.Seconds()
}

// decodeEager only decodes and counts packets, the way most programs use gopacket.
func decodeEager(t testing.TB, data []byte) (n int) {
	r, err := pcapgo.NewReader(bytes.NewReader(data))
	require.NoError(t, err)
	for range gopacket.NewPacketSource(r, r.LinkType()).Packets() {
		n++
	}
	return n
}

// decodeInPlace decodes the fastest way gopacket offers: no copies, no allocation, and only the
// requested layers.
func decodeInPlace(t testing.TB, data []byte) (n int) {
	r, err := pcapgo.NewReader(bytes.NewReader(data))
	require.NoError(t, err)
	var (
		eth  layers.Ethernet
		vlan layers.Dot1Q
		sll  layers.LinuxSLL2
		ip4  layers.IPv4
		ip6  layers.IPv6
		tcp  layers.TCP
		udp  layers.UDP
		icmp layers.ICMPv4
	)
	first := r.LinkType().LayerType()
	p := gopacket.NewDecodingLayerParser(first, &eth, &vlan, &sll, &ip4, &ip6, &tcp, &udp, &icmp)
	p.IgnoreUnsupported = true
	var decoded []gopacket.LayerType
	for {
		frame, _, err := r.ZeroCopyReadPacketData()
		if err == io.EOF {
			return n
		}
		require.NoError(t, err)
		_ = p.DecodeLayers(frame, &decoded)
		n++
	}
}

// BenchmarkAnalyzer reports the packets per second of the whole analyzer, compared with only
// decoding and counting the same packets, and the share of time spent in hooks, including their
// logging.
func BenchmarkAnalyzer(b *testing.B) {
	for _, c := range []struct {
		name string
		data []byte
	}{
		{"demo", demo},
		{"syns", flood(b, 200_000)},
		{"requests", requests(b, 4000)},
		{"downloads", downloads(b, 1514)},
		{"lookups", lookups(b, 40_000)},
	} {
		packets := decodeInPlace(b, c.data)
		bench := func(name string, f func(b *testing.B)) {
			b.Run("capture="+c.name+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				f(b)
				b.ReportMetric(float64(packets)*float64(b.N)/b.Elapsed().Seconds(), "packets/s")
			})
		}
		bench("decode=eager", func(b *testing.B) {
			for b.Loop() {
				decodeEager(b, c.data)
			}
		})
		bench("decode=in-place", func(b *testing.B) {
			for b.Loop() {
				decodeInPlace(b, c.data)
			}
		})
		for _, workers := range []int{1, 2} {
			bench("analyze/workers="+string(rune('0'+workers)), func(b *testing.B) {
				hooks := 0.0
				for b.Loop() {
					_, seconds := analyzeBytes(b, c.data, workers, io.Discard)
					hooks += seconds
				}
				b.ReportMetric(100*hooks/b.Elapsed().Seconds(), "hooks%")
			})
		}
	}
}
