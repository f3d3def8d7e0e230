package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var throughput = flag.Duration("throughput", 0, "send for `TIME` at each rate that TestThroughput tries; it is skipped without it")

// TestThroughput finds the highest rate at which an analyzer on an interface misses nothing, and
// prints it as rows of the README's table:
//
//	go test -run '^TestThroughput$' -throughput 10s -timeout 0 -v .
//
// It tries tcpreplay's highest rate first, and then bisects between a rate that was too high and
// one that was not.
func TestThroughput(t *testing.T) {
	if *throughput == 0 {
		t.Skip("takes minutes: run it with -throughput 10s")
	}
	for _, traffic := range []struct {
		name string
		file func(t *testing.T) string
	}{
		{"downloads in packets of 60 bytes", func(t *testing.T) string { return write(t, downloads(t, 60)) }},
		{"downloads in packets of 1514 bytes", func(t *testing.T) string { return write(t, downloads(t, 1514)) }},
		{"the embedded capture", func(t *testing.T) string { file, _ := withoutFragments(t, demo); return file }},
	} {
		for _, workers := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s, workers: %d", traffic.name, workers), func(t *testing.T) {
				g := newRig(t)
				g.file = traffic.file(t)
				best, missed := g.try(workers, "--topspeed")
				limit := " (tcpreplay's limit)"
				if missed {
					limit = ""
					low, high := sent{}, best
					for range 6 {
						now, missed := g.try(workers, "--pps", strconv.Itoa(int(low.packets+high.packets)/2))
						if missed {
							high.packets = min(now.packets, high.packets)
						} else {
							low = now
						}
					}
					best = low
				}
				require.NotZero(t, best.packets)
				fmt.Printf("| %s | %d | %.0f,000%s | %.2f | %.2f |\n", traffic.name, workers, best.packets/1e3, limit, best.bits/1e9, best.cpu*1e6)
			})
		}
	}
}

// sent is the rate that was sent, and its cost to the analyzer.
type sent struct {
	packets, bits float64
	cpu           float64 // core seconds per packet
}

// try sends at the given rate to an analyzer that writes into a folder, and reports whether it
// missed anything: whether packets were dropped, or still waited a second after the last was sent.
func (g *rig) try(workers int, rate ...string) (s sent, missed bool) {
	dir := g.TempDir()
	defer os.RemoveAll(dir)
	p := g.start(workers, nil, "-metrics", "127.0.0.1:9479", "-workers", strconv.Itoa(workers), "-o", dir)
	received := g.received()
	report := g.send(func() {}, append([]string{"--loop", "0", "--duration", strconv.Itoa(int(throughput.Seconds()))}, rate...)...)
	time.Sleep(time.Second)
	now, err := p.scrape()
	require.NoError(g, err)
	received = g.received() - received
	p.terminate()
	m := regexp.MustCompile(`Rated: ([\d.]+) Bps, .* ([\d.]+) pps`).FindStringSubmatch(report)
	require.NotNil(g, m, report)
	bytes, _ := strconv.ParseFloat(m[1], 64)
	packets, _ := strconv.ParseFloat(m[2], 64)
	g.Logf("%.0f packets/s: %.0f received, %.0f analyzed, %.0f dropped", packets, received, now.packets, now.dropped)
	cpu := p.ProcessState.UserTime() + p.ProcessState.SystemTime()
	return sent{packets, 8 * bytes, cpu.Seconds() / now.packets}, now.packets < received
}
