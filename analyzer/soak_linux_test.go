package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

var (
	soak    = flag.Duration("soak", 0, "keep the analyzer under load for `TIME` in TestSoak, which is skipped without it")
	soakPPS = flag.Int("soak-pps", 5000, "`PACKETS` per second for TestSoak: a third of what the machine sustains")
)

const (
	burst     = 8 * time.Second // of load, between two checks
	diskSize  = 256 << 20       // bytes: room for the rows of several bursts
	slowBytes = 64 << 10        // per second, for the slow reader
)

// TestSoak keeps two analyzers on one interface under load:
//
//	go test -run '^TestSoak$' -soak 1h -timeout 0 .
//
// One writes into a folder. It is killed, its disk fills up, its files are rotated and reopened,
// its interface goes down and up, and its metrics are scraped every second. The other writes to a
// pipe whose reader is so slow that the kernel must drop packets.
//
// After each burst of load, every packet that the interface received must have been analyzed or
// reported as dropped. At the end, goleak must find no goroutine in either process, and conntest no
// hook in the second that did not run.
func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("takes minutes: run it with -soak 5m")
	}
	end := time.Now().Add(*soak)
	g := &soaking{rig: newRig(t), dir: tmpfs(t)}
	g.file, g.frames = withoutFragments(t, demo)
	slowRows := make(chan *rowCounts, 1)
	// With timeouts this short, tables and memory reach a steady state within seconds.
	start := func(rings int, stdout *os.File, args ...string) *rigProcess {
		return g.start(rings, stdout, append(args, "-stats", "2s", "-tcp-timeout", "5s", "-udp-timeout", "5s")...)
	}
	t.Setenv(asAnalyzer, withHooks)
	slow := start(1, g.slowPipe(slowRows), "-metrics", "127.0.0.1:9480", "-buffer", "2097152")
	t.Setenv(asAnalyzer, plain)
	startMain := func() *rigProcess {
		return start(2, nil, "-metrics", "127.0.0.1:9479", "-workers", "2", "-o", g.dir, "-rotate", "10s")
	}
	main := startMain()
	rows := new(rowCounts) // of main, in rotated files

	// restart ends main in the middle of a burst, and starts it again as a supervisor would. No row
	// that it counted as written may be lost.
	restart := func(end func()) {
		g.load(burst, func() {
			time.Sleep(burst / 2)
			end()
			counted := main.last().connRows
			main = startMain()
			g.collect(rows) // including the files that the new process rotated
			assert.GreaterOrEqual(t, float64(rows.conn), counted, "rows of conn.log")
			*rows = rowCounts{}
		})
	}
	kill := func() {
		require.NoError(t, main.Process.Kill())
		main.wait()
	}
	fillDisk := func() {
		free := fillUp(t, g.dir)
		main.wait()
		free()
		assert.Equal(t, 1, main.ProcessState.ExitCode())
		assert.Contains(t, main.stderr.String(), "no space left on device")
	}
	hangUpAndCollect := func() {
		for range 4 {
			time.Sleep(burst / 5)
			require.NoError(t, main.Process.Signal(syscall.SIGHUP))
			g.collect(rows)
		}
	}
	// Packets sent before the interface is up again are not received.
	flap := func() {
		g.in(t, g.receiver, "ip", "link", "set", "tap", "down")
		g.awaitSockets(0)
		main.await(func(now scrape) bool { return now.up == 0 })
		g.in(t, g.receiver, "ip", "link", "set", "tap", "up")
		g.awaitSockets(3)
		main.await(func(now scrape) bool { return now.up == 2 })
	}
	// account sends a burst in which no packet may be missed.
	account := func(during func()) {
		received, inMain, inSlow := g.received(), main.settled(), slow.settled()
		g.load(burst, during)
		received = g.received() - received
		assert.GreaterOrEqual(t, received, float64(g.frames))
		for name, now := range map[string]scrape{"main": main.settled().since(inMain), "slow": slow.settled().since(inSlow)} {
			assert.Equal(t, received, now.onLink, "%s: packets that reached its rings", name)
			assert.Equal(t, received, now.packets+now.dropped, "%s: packets analyzed, and %v dropped by the kernel", name, now.dropped)
		}
	}

	restart(kill)
	restart(fillDisk)
	long := main
	for n := 0; n < 2 || time.Until(end) > 5*burst; n++ {
		account(hangUpAndCollect)
		g.load(burst/2, flap)
	}
	restart(fillDisk)
	long.assertFlat()
	account(hangUpAndCollect)

	main.terminate()
	slow.terminate()
	g.collect(rows)
	g.collectCurrent(rows)
	rows.assertComplete(t)
	last := <-slowRows
	last.assertComplete(t)
	require.NotZero(t, last.last.Dropped, "the slow reader was not slow")
	assert.Contains(t, slow.stderr.String(), "the kernel has dropped")
	if rows.last.Dropped == 0 {
		assert.NotContains(t, main.stderr.String(), "the kernel has dropped")
	}
}

// tmpfs returns a small disk.
func tmpfs(t *testing.T) string {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+strconv.Itoa(diskSize)); err != nil {
		t.Skip("needs permission to mount: ", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// fillUp leaves no room in dir until free is called.
func fillUp(t *testing.T, dir string) (free func()) {
	f, err := os.Create(filepath.Join(dir, "filler"))
	require.NoError(t, err)
	defer f.Close()
	for _, size := range []int{1 << 20, 1} {
		for zeros := make([]byte, size); err == nil; {
			_, err = f.Write(zeros)
		}
		require.ErrorIs(t, err, unix.ENOSPC)
		err = nil
	}
	return func() { require.NoError(t, os.Remove(f.Name())) }
}

// soaking is a soak test.
type soaking struct {
	*rig
	dir    string // the log folder, on its own disk
	frames int    // in the capture to send
	loaded atomic.Bool
}

// load sends the capture repeatedly for the given time, while it calls during.
func (g *soaking) load(d time.Duration, during func()) {
	loops := max(1, int(d.Seconds()*float64(*soakPPS))/g.frames)
	g.loaded.Store(true)
	defer g.loaded.Store(false)
	g.send(during, "--loop", strconv.Itoa(loops), "--pps", strconv.Itoa(*soakPPS))
}

// A rowCounts summarizes the rows of one process.
type rowCounts struct {
	conn int      // rows of conn.log
	last statsRow // of stats.log
}

// count counts a line, which must be a whole row.
func (c *rowCounts) count(t *testing.T, line []byte) {
	var row statsRow
	if !assert.NoError(t, json.Unmarshal(line, &row), "%q", line) {
		return
	}
	switch row.Path {
	case "conn":
		c.conn++
	case "stats":
		assert.Equal(t, row.Connections, row.Removed, "%s", line)
		assert.Zero(t, row.Panics, "%s", line)
		c.last = row
	}
}

// assertComplete checks that the process ended properly, and that each of its connections has a
// row.
func (c *rowCounts) assertComplete(t *testing.T) {
	require.NotNil(t, c.last.Duration, "the last row of stats.log is missing")
	assert.Equal(t, c.last.Connections, c.conn, "rows of conn.log")
	assert.Equal(t, c.last.Connections, c.last.Removed)
}

// collect counts the rows of rotated files and removes the files, like a log shipper.
func (g *soaking) collect(rows *rowCounts) { g.collectFiles(rows, `^\w+\.\d{8}T[\d.]+Z(\.\d+)?\.log$`) }

// collectCurrent does the same with the current files of a process that has ended.
func (g *soaking) collectCurrent(rows *rowCounts) { g.collectFiles(rows, `^\w+\.log$`) }

func (g *soaking) collectFiles(rows *rowCounts, pattern string) {
	files, err := os.ReadDir(g.dir)
	require.NoError(g, err)
	for _, f := range files {
		if !regexp.MustCompile(pattern).MatchString(f.Name()) {
			continue
		}
		name := filepath.Join(g.dir, f.Name())
		text, err := os.ReadFile(name)
		require.NoError(g, err)
		for line := range bytes.Lines(text) {
			assert.True(g, bytes.HasSuffix(line, []byte("\n")), "%s: %q", name, line)
			rows.count(g.T, line)
		}
		require.NoError(g, os.Remove(name))
	}
}

// slowPipe returns a pipe whose reader is slow under load. When the pipe is closed, rows receives
// the counts of its rows.
func (g *soaking) slowPipe(rows chan<- *rowCounts) *os.File {
	r, w, err := os.Pipe()
	require.NoError(g, err)
	go func() {
		defer r.Close()
		counts := new(rowCounts)
		lines := bufio.NewScanner(r)
		for taken := 0; lines.Scan(); {
			counts.count(g.T, lines.Bytes())
			if taken += len(lines.Bytes()); taken > slowBytes && g.loaded.Load() {
				taken = 0
				time.Sleep(time.Second)
			}
		}
		assert.NoError(g, lines.Err())
		rows <- counts
	}()
	return w
}

// settled waits until the counts of p no longer change and returns them. The kernel's counts are
// read every second.
func (p *rigProcess) settled() (now scrape) {
	for deadline := time.Now().Add(patience); ; {
		before := now
		time.Sleep(2 * housekeeping)
		var err error
		now, err = p.scrape()
		require.NoError(p.rig, err)
		if now.since(before) == (scrape{}) {
			return now
		}
		require.True(p.rig, time.Now().Before(deadline), "packets still arrive")
	}
}

// assertFlat checks that p, which has ended, used no more memory or goroutines in the second half
// of its run than in the first. Memory may vary with the garbage collector, and scraping may take
// one goroutine more or less.
func (p *rigProcess) assertFlat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Greater(p.rig, len(p.scrapes), 10)
	var highest, fewest [2]float64
	for i, now := range p.scrapes {
		half := 2 * i / len(p.scrapes)
		highest[half] = max(highest[half], now.resident)
		if fewest[half] == 0 || now.goroutines < fewest[half] {
			fewest[half] = now.goroutines
		}
	}
	p.rig.Logf("%d scrapes; by half: at most %.0f and %.0f bytes resident, at least %v and %v goroutines; %v packets, %v dropped",
		len(p.scrapes), highest[0], highest[1], fewest[0], fewest[1], p.scrapes[len(p.scrapes)-1].packets, p.scrapes[len(p.scrapes)-1].dropped)
	assert.LessOrEqual(p.rig, highest[1], 1.1*highest[0]+8<<20, "bytes resident")
	assert.LessOrEqual(p.rig, fewest[1], fewest[0]+1, "goroutines")
}
