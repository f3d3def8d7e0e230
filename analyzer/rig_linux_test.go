package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const patience = time.Minute // for a process to start, to catch up, or to end

// A rig is a link with analyzers at its receiving end. Their metrics are scraped every second.
type rig struct {
	*testing.T
	link
	program string // the test binary; see asAnalyzer
	file    string // the capture to send
}

// newRig makes a rig, or fails t if it cannot: these tests only run on request.
func newRig(t *testing.T) *rig {
	t.Cleanup(func() {
		if t.Skipped() {
			t.Error("requested, but cannot run here")
		}
	})
	program, err := os.Executable()
	require.NoError(t, err)
	t.Setenv(asAnalyzer, plain)
	g := &rig{T: t, link: newLink(t), program: program}
	g.ip(t, "-netns", g.receiver, "link", "set", "lo", "up") // for metrics
	return g
}

// send sends the capture with the given tcpreplay arguments, from different addresses each time,
// while it calls during. It returns tcpreplay's report.
func (g *rig) send(during func(), args ...string) string {
	args = append([]string{"netns", "exec", g.sender, "tcpreplay", "--quiet", "--preload-pcap", "--unique-ip", "--intf1", "tap-in"}, args...)
	var out bytes.Buffer
	sender := exec.Command("ip", append(args, g.file)...)
	sender.Stdout, sender.Stderr = &out, &out
	require.NoError(g, sender.Start())
	g.Cleanup(func() { _ = sender.Process.Kill() })
	during()
	require.NoError(g, sender.Wait(), "%s", out.String())
	return out.String()
}

// received returns the kernel's count of packets received on the interface.
func (g *rig) received() float64 {
	text, err := exec.Command("ip", "netns", "exec", g.receiver, "cat", "/sys/class/net/tap/statistics/rx_packets").Output()
	require.NoError(g, err)
	n, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
	require.NoError(g, err)
	return n
}

func (g *rig) awaitSockets(n int) {
	require.Eventually(g, func() bool { return g.sockets(g.T) == n }, patience, 50*time.Millisecond, "%d rings", n)
}

// dial connects to an address in the receiver's network namespace.
func (g *rig) dial(ctx context.Context, network, addr string) (c net.Conn, err error) {
	done := make(chan struct{})
	go func() { // on a thread that ends with the goroutine
		defer close(done)
		runtime.LockOSThread()
		var ns *os.File
		if ns, err = os.Open("/run/netns/" + g.receiver); err != nil {
			return
		}
		defer ns.Close()
		if err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err == nil {
			c, err = new(net.Dialer).DialContext(ctx, network, addr)
		}
	}()
	<-done
	return c, err
}

// withoutFragments writes a capture to a file without its fragments, and returns the number of
// frames left. The kernel reassembles fragments for rings in a fanout group, so packets could not
// be counted.
func withoutFragments(t *testing.T, data []byte) (file string, frames int) {
	r, err := pcapgo.NewReader(bytes.NewReader(data))
	require.NoError(t, err)
	f, err := os.Create(filepath.Join(t.TempDir(), "soak.pcap"))
	require.NoError(t, err)
	defer f.Close()
	w := pcapgo.NewWriter(f)
	require.NoError(t, w.WriteFileHeader(r.Snaplen(), r.LinkType()))
	for {
		frame, info, err := r.ReadPacketData()
		if err == io.EOF {
			return f.Name(), frames
		}
		require.NoError(t, err)
		p := gopacket.NewPacket(frame, r.LinkType(), gopacket.Default)
		ip, _ := p.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
		if ip != nil && (ip.FragOffset > 0 || ip.Flags&layers.IPv4MoreFragments != 0) || p.Layer(layers.LayerTypeIPv6Fragment) != nil {
			continue
		}
		require.NoError(t, w.WritePacket(info, frame))
		frames++
	}
}

// A rigProcess is an analyzer whose metrics are scraped every second.
type rigProcess struct {
	*exec.Cmd
	rig    *rig
	url    string
	client http.Client
	stderr bytes.Buffer  // to be read after the end
	ended  chan struct{} // closed then

	mu      sync.Mutex
	scrapes []scrape
}

// start starts an analyzer and waits until it captures with the given number of rings. The first
// argument must be -metrics.
func (g *rig) start(rings int, stdout *os.File, args ...string) *rigProcess {
	before := g.sockets(g.T)
	p := &rigProcess{rig: g, url: "http://" + args[1] + "/metrics", ended: make(chan struct{})}
	p.client = http.Client{Transport: &http.Transport{DialContext: g.dial}, Timeout: patience}
	args = append([]string{"netns", "exec", g.receiver, g.program, "-i", "tap", "-C"}, args...)
	p.Cmd = exec.Command("ip", args...)
	p.Stdout, p.Stderr = stdout, &p.stderr
	require.NoError(g, p.Start())
	if stdout != nil {
		require.NoError(g, stdout.Close())
	}
	go func() {
		_ = p.Wait()
		close(p.ended)
	}()
	g.Cleanup(func() {
		_ = p.Process.Kill()
		<-p.ended
		p.client.CloseIdleConnections()
	})
	g.awaitSockets(before + rings)
	time.Sleep(200 * time.Millisecond) // until the rings have joined their group
	go p.watch()
	return p
}

// wait waits until p has ended.
func (p *rigProcess) wait() {
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.rig.Fatal("still running")
	}
}

// terminate ends p as an operator would.
func (p *rigProcess) terminate() {
	require.NoError(p.rig, p.Process.Signal(syscall.SIGTERM))
	p.wait()
	assert.Zero(p.rig, p.ProcessState.ExitCode(), "%s", p.stderr.String())
}

// watch scrapes p every second until p has ended.
func (p *rigProcess) watch() {
	for {
		now, err := p.scrape()
		if err != nil || now.healthy == 0 {
			select { // expected then
			case <-p.ended:
			case <-time.After(patience):
				assert.NoError(p.rig, err)
				assert.Fail(p.rig, "unhealthy, but still running")
			}
			return
		}
		assert.Equal(p.rig, now.begun-now.removed, now.active, "active connections: begun minus removed")
		assert.Equal(p.rig, now.active, now.table, "connections in the table")
		p.mu.Lock()
		if n := len(p.scrapes); n > 0 {
			since := now.since(p.scrapes[n-1])
			assert.GreaterOrEqual(p.rig, min(since.onLink, since.packets, since.dropped), 0.0, "a counter decreased")
		}
		p.scrapes = append(p.scrapes, now)
		p.mu.Unlock()
		select {
		case <-time.After(time.Second):
		case <-p.ended:
			return
		}
	}
}

// A scrape holds the metrics at one moment.
type scrape struct {
	healthy, up                    float64 // up is the number of workers whose interface is up
	onLink, packets, dropped       float64
	begun, removed, active, table  float64 // connections
	connRows, resident, goroutines float64
}

func (p *rigProcess) scrape() (now scrape, err error) {
	r, err := p.client.Get(p.url)
	if err != nil {
		return scrape{}, err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return scrape{}, err
	}
	body := string(text)
	for name, to := range map[string]*float64{
		"analyzer_healthy": &now.healthy, "analyzer_interface_up": &now.up,
		"analyzer_link_packets_total": &now.onLink, "analyzer_packets_total": &now.packets, "analyzer_dropped_packets_total": &now.dropped,
		"analyzer_connections_begun_total": &now.begun, "analyzer_connections_removed_total": &now.removed,
		"analyzer_connections": &now.active, "analyzer_table_connections": &now.table,
		"process_resident_memory_bytes": &now.resident, "go_goroutines": &now.goroutines,
	} {
		*to = value(p.rig.T, body, name)
	}
	if _, rest, ok := strings.Cut(body, `analyzer_log_rows_total{log="conn"} `); ok {
		line, _, _ := strings.Cut(rest, "\n")
		now.connRows, err = strconv.ParseFloat(line, 64)
	}
	return now, err
}

// last returns the latest scrape; zeros if there is none.
func (p *rigProcess) last() scrape {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.scrapes) == 0 {
		return scrape{}
	}
	return p.scrapes[len(p.scrapes)-1]
}

// since returns the packets counted since before.
func (now scrape) since(before scrape) scrape {
	return scrape{onLink: now.onLink - before.onLink, packets: now.packets - before.packets, dropped: now.dropped - before.dropped}
}

// await waits until a scrape meets the condition.
func (p *rigProcess) await(ok func(now scrape) bool) {
	require.Eventually(p.rig, func() bool {
		now, err := p.scrape()
		return err == nil && ok(now)
	}, patience, 100*time.Millisecond)
}
