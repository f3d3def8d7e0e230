package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn/analyzer/capture"
	"example.com/conn/analyzer/logs"
)

// A link is a pair of connected interfaces: packets replayed on "tap-in" in one network namespace
// arrive on "tap" in another. Neither leads anywhere else.
type link struct{ sender, receiver string }

// newLink makes a link, or skips t with the reason why it cannot.
func newLink(t *testing.T) link {
	for _, program := range []string{"ip", "tcpreplay"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s: %v", program, err)
		}
	}
	l := link{fmt.Sprintf("conn-tx-%d", os.Getpid()), fmt.Sprintf("conn-rx-%d", os.Getpid())}
	for _, ns := range []string{l.sender, l.receiver} {
		if out, err := exec.Command("ip", "netns", "add", ns).CombinedOutput(); err != nil {
			t.Skipf("needs permission to create network namespaces: %s", out)
		}
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", ns).Run() })
	}
	l.ip(t, "link", "add", "tap-in", "netns", l.sender, "type", "veth", "peer", "name", "tap", "netns", l.receiver)
	for ns, name := range map[string]string{l.sender: "tap-in", l.receiver: "tap"} {
		// or the kernel sends packets of its own
		l.in(t, ns, "sysctl", "-q", "-w", "net.ipv6.conf."+name+".disable_ipv6=1")
		l.in(t, ns, "ip", "link", "set", name, "mtu", "9000", "up")
	}
	return l
}

func (l link) ip(t *testing.T, args ...string) {
	out, err := exec.Command("ip", args...).CombinedOutput()
	require.NoError(t, err, "ip %s: %s", strings.Join(args, " "), out)
}

// in runs a command in a namespace.
func (l link) in(t *testing.T, ns string, args ...string) {
	l.ip(t, append([]string{"netns", "exec", ns}, args...)...)
}

// replay sends a capture at 50 Mbit/s.
func (l link) replay(t *testing.T, file string) {
	l.in(t, l.sender, "tcpreplay", "--quiet", "--mbps", "50", "--intf1", "tap-in", file)
}

// A process is an analyzer capturing at the receiving end.
type process struct {
	*exec.Cmd
	dir    string // log folder
	stderr bytes.Buffer
}

// capture starts an analyzer and waits until the kernel lists its packet sockets.
func (l link) capture(t *testing.T, program string, rings int, args ...string) *process {
	p := &process{dir: t.TempDir()}
	before := l.sockets(t)
	p.Cmd = exec.Command("ip", append([]string{"netns", "exec", l.receiver, program, "-o", p.dir, "-i", "tap"}, args...)...)
	p.Stderr = &p.stderr
	require.NoError(t, p.Start())
	t.Cleanup(func() { _ = p.Process.Kill() })
	require.Eventually(t, func() bool { return l.sockets(t) == before+rings }, 10*time.Second, 10*time.Millisecond)
	time.Sleep(200 * time.Millisecond) // until the rings have joined their group
	return p
}

func (l link) sockets(t *testing.T) int {
	out, err := exec.Command("ip", "netns", "exec", l.receiver, "cat", "/proc/net/packet").Output()
	require.NoError(t, err)
	return bytes.Count(out, []byte("\n")) - 1
}

// awaitFrames waits until the processes, started with -stats 1s, have received n frames in all.
func awaitFrames(t *testing.T, n int, processes ...*process) {
	t.Helper()
	require.Eventually(t, func() bool {
		taken := 0
		for _, p := range processes {
			text, _ := os.ReadFile(filepath.Join(p.dir, "stats.log"))
			text = text[:bytes.LastIndexByte(text, '\n')+1] // whole rows
			for _, row := range statsRows(t, string(text)) {
				taken += row.PktsProc
			}
		}
		return taken >= n
	}, time.Minute, 100*time.Millisecond)
}

// The number of frames in the demo capture, and the number that reaches rings in a fanout group,
// for which the kernel reassembles fragments.
const (
	demoFrames      = 1811
	demoGroupFrames = 1808
)

// stop ends the analyzer as an operator would, and returns its rows by log.
func (p *process) stop(t *testing.T, signal os.Signal) map[string][]map[string]any {
	require.NoError(t, p.Process.Signal(signal))
	require.NoError(t, p.Wait(), "%s", p.stderr.String())
	return p.rows(t)
}

func (p *process) rows(t *testing.T) map[string][]map[string]any {
	rows := make(map[string][]map[string]any)
	files, err := filepath.Glob(filepath.Join(p.dir, "*.log"))
	require.NoError(t, err)
	for _, file := range files {
		f, err := os.Open(file)
		require.NoError(t, err)
		defer f.Close()
		for s := bufio.NewScanner(f); s.Scan(); {
			var row map[string]any
			require.NoError(t, json.Unmarshal(s.Bytes(), &row))
			path := row["_path"].(string)
			rows[path] = append(rows[path], row)
		}
	}
	return rows
}

// whole describes a connection, leaving out all that depends on the replay speed.
func whole(row map[string]any) string {
	return fmt.Sprint(row["proto"], row["id.orig_h"], row["id.orig_p"], row["id.resp_h"], row["id.resp_p"],
		row["orig_pkts"], row["resp_pkts"], row["orig_bytes"], row["resp_bytes"], row["history"])
}

// services describes the rows with their services, except ftp-data: an FTP data connection may
// belong to a different worker from the one that saw its announcement.
func services(rows ...map[string]any) (texts []string) {
	for _, row := range rows {
		text := whole(row)
		if s, _ := row["service"].(string); s != "" && s != "ftp-data" {
			text += " " + s
		}
		texts = append(texts, text)
	}
	slices.Sort(texts)
	return texts
}

// demoFile writes the demo capture to a file.
func demoFile(t *testing.T) string { return write(t, demo) }

// Two processes, or the workers of one, share an interface: all packets of a connection reach the
// same one. The only loss is the service ftp-data of connections that reach a different worker from
// the one that saw their announcement.
func TestFanoutSeesEachConnectionOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	l, program := newLink(t), program(t)
	file := demoFile(t)
	reference := l.capture(t, program, 1, "-C", "-stats", "1s")
	l.replay(t, file)
	awaitFrames(t, demoFrames, reference)
	all := reference.stop(t, syscall.SIGTERM)
	want := services(all["conn"]...)
	require.Greater(t, len(want), 100)

	for name, args := range map[string][][]string{
		"two processes": {{"-C", "-fanout", "7"}, {"-C", "-fanout", "7"}},
		"two workers":   {{"-C", "-workers", "2"}},
		"two of two":    {{"-C", "-workers", "2", "-fanout", "8"}, {"-C", "-workers", "2", "-fanout", "8"}},
	} {
		t.Run(name, func(t *testing.T) {
			var processes []*process
			for _, a := range args {
				rings := 1 + strings.Count(strings.Join(a, " "), "-workers")
				processes = append(processes, l.capture(t, program, rings, append(a, "-stats", "1s")...))
			}
			l.replay(t, file)
			awaitFrames(t, demoGroupFrames, processes...)
			var got []map[string]any
			for _, p := range processes {
				rows := p.stop(t, syscall.SIGINT)
				require.NotEmpty(t, rows["stats"])
				stats := rows["stats"][len(rows["stats"])-1]
				assert.Zero(t, stats["dropped"])
				assert.Equal(t, stats["connections"], stats["removed"])
				assert.NotZero(t, stats["connections"], "each gets a share")
				assert.Empty(t, p.stderr.String())
				got = append(got, rows["conn"]...)
			}
			assert.Equal(t, want, services(got...))
		})
	}
}

// Rows of stats.log appear during the run, by the computer's clock.
func TestStatsOfInterface(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	l, program := newLink(t), program(t)
	p := l.capture(t, program, 2, "-C", "-workers", "2", "-stats", "1s")
	l.replay(t, demoFile(t))
	rows := func() []*statsRow {
		text, _ := os.ReadFile(filepath.Join(p.dir, "stats.log"))
		return statsRows(t, string(text))
	}
	require.Eventually(t, func() bool { return len(rows()) >= 4 }, 20*time.Second, 100*time.Millisecond)
	p.stop(t, syscall.SIGTERM)
	all := rows()
	last := all[len(all)-1]
	require.NotNil(t, last.Duration)
	assert.Positive(t, last.Connections)
	packets, onLink, begun := 0, uint64(0), 0
	for _, row := range all {
		assert.WithinDuration(t, time.Now(), time.UnixMicro(int64(row.TS)), time.Minute)
		assert.Equal(t, row.Connections, row.Removed)
		assert.Zero(t, *row.PktsDropped)
		assert.Less(t, *row.PktLag, logs.Interval(time.Second))
		packets += row.PktsProc
		onLink += *row.PktsLink
		begun += row.TCP + row.UDP + row.ICMP
	}
	assert.Equal(t, last.Packets, packets)
	assert.EqualValues(t, packets, onLink)
	assert.Equal(t, last.Connections, begun)
}

func TestMetricsOfInterface(t *testing.T) {
	ring, err := capture.Live(capture.LiveConfig{Interface: "lo", Fanout: -1})
	if errors.Is(err, os.ErrPermission) {
		t.Skip("needs the right to capture: ", err)
	}
	require.NoError(t, err)
	defer ring.Close()
	cfg := defaults().flow
	cfg.Errors = io.Discard
	a := newAnalysis(1, cfg, logs.NewOutput(io.Discard, nil))
	a.live = true
	a.observe()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- a.follow(ctx, []*capture.Ring{ring}, func(err error) { t.Error("said ", err) }, func(uint64) {})
	}()

	c, err := net.Dial("udp4", "127.0.0.1:9")
	require.NoError(t, err)
	defer c.Close()
	require.Eventually(t, func() bool {
		_, _ = c.Write([]byte("x")) // fails if the port is closed, after the packet was sent
		w := a.observed()[0]
		return w.Packets > 0 && w.Active > 0 && w.OnLink > 0 && w.Lag > 0
	}, 10*time.Second, 50*time.Millisecond)
	time.Sleep(500 * time.Millisecond) // no packets
	assert.Less(t, a.observed()[0].Lag, time.Second)
	assert.False(t, a.observed()[0].Down)
	assert.NoError(t, a.health(logs.NewOutput(io.Discard, nil)))
	stop()
	assert.NoError(t, <-ended)
	assert.Zero(t, a.workers[0].table.Len(), "all connections are removed")
}

// Removing the interface ends the run with an error, after all rows are written.
func TestRemovedInterfaceEndsRun(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	l, program := newLink(t), program(t)
	p := l.capture(t, program, 2, "-workers", "2")
	l.replay(t, demoFile(t))
	l.in(t, l.receiver, "ip", "link", "del", "tap")
	done := make(chan error, 1)
	go func() { done <- p.Wait() }()
	select {
	case err := <-done:
		require.Error(t, err)
		assert.Equal(t, 1, p.ProcessState.ExitCode())
	case <-time.After(10 * time.Second):
		t.Fatal("still running without an interface")
	}
	assert.Contains(t, p.stderr.String(), "interface tap")
	rows := p.rows(t)
	assert.NotEmpty(t, rows["conn"])
	assert.Len(t, rows["stats"], 1)
}

// When the interface goes down, the workers wait until it is up again.
func TestInterfaceDownAndUp(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	l, program := newLink(t), program(t)
	before := l.sockets(t)
	p := l.capture(t, program, 3, "-C", "-workers", "3")
	l.replay(t, demoFile(t))
	l.in(t, l.receiver, "ip", "link", "set", "tap", "down")
	require.Eventually(t, func() bool { return l.sockets(t) == before }, 10*time.Second, 10*time.Millisecond)
	l.in(t, l.receiver, "ip", "link", "set", "tap", "up")
	require.Eventually(t, func() bool { return l.sockets(t) == before+3 }, 10*time.Second, 10*time.Millisecond)
	require.Eventually(t, func() bool { // or the sender drops packets
		out, err := exec.Command("ip", "-netns", l.sender, "-br", "link", "show", "tap-in").Output()
		return err == nil && strings.Contains(string(out), " UP ")
	}, 10*time.Second, 10*time.Millisecond)
	time.Sleep(200 * time.Millisecond) // until the rings have joined their group
	l.replay(t, demoFile(t))
	rows := p.stop(t, syscall.SIGTERM)
	assert.Equal(t, "analyzer: interface tap: is down: waiting until it is up\nanalyzer: interface tap: is up\n", p.stderr.String())
	require.Len(t, rows["stats"], 1)
	assert.EqualValues(t, 2*demoGroupFrames, rows["stats"][0]["packets"])
	assert.EqualValues(t, 2*demoGroupFrames, rows["stats"][0]["pkts_link"])
}

// SIGHUP begins a new file where logrotate moved one away, and continues a file that is still
// there.
func TestHangupBeginsNewFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	l, program := newLink(t), program(t)
	p := l.capture(t, program, 1, "-C")
	file := demoFile(t)
	l.replay(t, file)
	conn, dns := filepath.Join(p.dir, "conn.log"), filepath.Join(p.dir, "dns.log")
	rows := func(name string) int {
		b, _ := os.ReadFile(name)
		return bytes.Count(b, []byte("\n"))
	}
	require.Eventually(t, func() bool { return rows(dns) > 0 && rows(conn) > 0 }, 10*time.Second, 10*time.Millisecond)
	before := rows(dns)
	require.NoError(t, os.Rename(conn, conn+".1"))
	require.NoError(t, p.Process.Signal(syscall.SIGHUP))
	require.Eventually(t, func() bool { _, err := os.Stat(conn); return err == nil }, 10*time.Second, 10*time.Millisecond)
	old := rows(conn + ".1")
	l.replay(t, file)
	all := p.stop(t, syscall.SIGTERM)
	assert.NotZero(t, rows(conn))
	assert.Equal(t, old, rows(conn+".1"), "no rows added after SIGHUP")
	assert.Greater(t, rows(dns), before, "continued")
	assert.Len(t, all["stats"], 1)
}
