package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn/analyzer/logs"
)

// freeAddress returns an address on which nothing listens.
func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "localhost:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// get returns the status and body served at a URL; the status is 0 if nothing is served.
func get(t *testing.T, url string) (status int, body string) {
	r, err := http.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return r.StatusCode, string(text)
}

// fromPipe runs the program on a pipe as standard input. It returns the writing end, and a function
// that waits for the exit status.
func fromPipe(t *testing.T, stdout, stderr io.Writer, args ...string) (w *os.File, wait func() int) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	old := os.Stdin
	os.Stdin = r
	t.Cleanup(func() { os.Stdin = old; w.Close() })
	ended := make(chan int, 1)
	go func() { ended <- run(context.Background(), append(args, "-"), stdout, stderr) }()
	return w, func() int {
		select {
		case status := <-ended:
			return status
		case <-time.After(20 * time.Second):
			t.Fatal("still running")
			return 0
		}
	}
}

// value returns the sum of a metric over its labels.
func value(t *testing.T, body, name string) (sum float64) {
	for _, m := range regexp.MustCompile(`(?m)^`+name+`(?:\{[^}]*\})? (\S+)$`).FindAllStringSubmatch(body, -1) {
		v, err := strconv.ParseFloat(m[1], 64)
		require.NoError(t, err)
		sum += v
	}
	return sum
}

func TestMetricsWhileItRuns(t *testing.T) {
	for _, workers := range []string{"1", "2"} {
		t.Run(workers+" workers", func(t *testing.T) {
			addr := freeAddress(t)
			var out, stderr bytes.Buffer
			w, wait := fromPipe(t, &out, &stderr, "-metrics", addr, "-workers", workers)
			_, err := w.Write(demo)
			require.NoError(t, err)
			var body string
			require.Eventually(t, func() bool {
				_, body = get(t, "http://"+addr+"/metrics")
				// the reader publishes what it has read before the workers have followed it
				return value(t, body, "analyzer_packets_total") == 1811 && value(t, body, "analyzer_connections_begun_total") == 184 &&
					value(t, body, "analyzer_log_rows_total") > 0
			}, 10*time.Second, 50*time.Millisecond, "%s", body)
			assert.Equal(t, 300449.0, value(t, body, "analyzer_packet_bytes_total"))
			active := value(t, body, "analyzer_connections")
			assert.Positive(t, active)
			assert.Equal(t, active, value(t, body, "analyzer_table_connections"))
			assert.Equal(t, 184-active, value(t, body, "analyzer_connections_removed_total"))
			assert.Positive(t, value(t, body, "analyzer_weirds_total"))
			assert.Positive(t, value(t, body, "analyzer_held_bytes"))
			status, _ := get(t, "http://"+addr+"/healthz")
			assert.Equal(t, http.StatusOK, status)

			w.Close()
			assert.Equal(t, 0, wait())
			assert.Empty(t, stderr.String())
			status, _ = get(t, "http://"+addr+"/healthz")
			assert.Zero(t, status, "still served after the end")
		})
	}
}

func TestWeirdsAreSummed(t *testing.T) {
	a := newAnalysis(2, defaults().flow, logs.NewOutput(io.Discard, nil))
	for _, l := range []*logs.WeirdLimit{&a.weird, &a.workers[0].weird, &a.workers[1].weird, a.workers[1].table.Weirds()} {
		l.Allow("x", time.Unix(1, 0))
	}
	assert.Equal(t, map[string]uint64{"x": 4}, a.weirds())
	for i := range maxNames {
		a.weird.Allow(fmt.Sprint("reader ", i), time.Unix(1, 0))
		a.workers[0].weird.Allow(fmt.Sprint("worker ", i), time.Unix(1, 0))
	}
	weirds := a.weirds()
	assert.Len(t, weirds, maxNames+1)
	assert.EqualValues(t, 4, weirds["x"])
	assert.EqualValues(t, maxNames-1, weirds["other"], "the worker counts as many names and x")
}

// stuckWriter blocks in Write until it is closed, and then fails.
type stuckWriter chan struct{}

func (w stuckWriter) Write([]byte) (int, error) { <-w; return 0, io.ErrClosedPipe }

func TestHealthOfStuckAndFailingOutput(t *testing.T) {
	stuck := make(stuckWriter)
	out := logs.NewOutput(stuck, nil)
	a := newAnalysis(1, defaults().flow, out)
	a.observe()
	assert.NoError(t, a.health(out), "before it starts")
	a.start()
	a.workers[0].log.Write(logs.NewWeird(nil, time.Unix(1, 0), "x", "", ""))
	a.tick(time.Time{}, true) // the worker gets stuck in a write
	require.Eventually(t, func() bool { return a.workers[0].board.since.Load() != 0 }, 10*time.Second, time.Millisecond)
	assert.NoError(t, a.health(out), "stuck only briefly")
	a.workers[0].board.since.Add(-int64(stallTime))
	assert.EqualError(t, a.health(out), "worker 0 has been stuck for more than 30s")
	assert.Len(t, a.observed(), 2, "metrics do not wait for the worker")
	assert.Zero(t, a.observed()[0].Lag, "the packets of a file are not late")
	a.live = true
	assert.GreaterOrEqual(t, a.observed()[0].Lag, stallTime)
	close(stuck)
	require.Eventually(t, func() bool { return a.workers[0].board.since.Load() == 0 }, 10*time.Second, time.Millisecond)
	assert.ErrorIs(t, a.health(out), io.ErrClosedPipe)
	a.finish()
}

func TestReaderWritesItsRowsInPauses(t *testing.T) {
	out := logs.NewOutput(io.Discard, nil)
	a := newAnalysis(1, defaults().flow, out)
	a.start()
	defer a.finish()
	a.Weird(time.Unix(1, 0), "x", "")
	a.tick(time.Unix(1, 0), false)
	assert.Empty(t, out.Stats().Rows)
	a.tick(time.Unix(1, 0), true)
	assert.EqualValues(t, 1, out.Stats().Rows["weird"])
}

func TestWorkersPublishWithoutAllocating(t *testing.T) {
	a := newAnalysis(1, defaults().flow, logs.NewOutput(io.Discard, nil))
	a.observe()
	w := a.workers[0]
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		w.packets++
		w.board.begin()
		w.show()
		w.board.wait()
	}))
	assert.Equal(t, w.packets, w.board.look().packets)

	w.board.mu.Lock() // as a reader does
	w.packets++
	w.show()
	w.board.mu.Unlock()
	assert.Equal(t, w.packets-1, w.board.look().packets, "the worker did not wait")
}

func TestMetricsAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "localhost:0")
	require.NoError(t, err)
	defer l.Close()
	dir := t.TempDir()
	status, _, stderr := runWith(t, "-metrics", l.Addr().String(), "-o", dir, write(t, demo))
	assert.Equal(t, 1, status)
	assert.Contains(t, stderr, "analyzer: metrics: ")
	assert.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
	out, err := logs.NewDir(dir, nil)
	require.NoError(t, err, "the folder is not locked")
	require.NoError(t, out.Close())
}

// The program notifies systemd over the socket that systemd names.
func TestSystemdNotified(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Skip("needs Unix datagram sockets: ", err)
	}
	defer socket.Close()
	t.Setenv("NOTIFY_SOCKET", name)
	t.Setenv("WATCHDOG_USEC", "200000")
	t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
	next := func() string {
		b := make([]byte, 100)
		require.NoError(t, socket.SetReadDeadline(time.Now().Add(10*time.Second)))
		n, err := socket.Read(b)
		require.NoError(t, err)
		return string(b[:n])
	}
	w, wait := fromPipe(t, io.Discard, io.Discard)
	assert.Equal(t, "READY=1", next())
	for range 3 {
		assert.Equal(t, "WATCHDOG=1", next())
	}
	_, err = w.Write(demo)
	require.NoError(t, err)
	w.Close()
	assert.Equal(t, 0, wait())
	last := next()
	for last == "WATCHDOG=1" {
		last = next()
	}
	assert.Equal(t, "STOPPING=1", last)
}
