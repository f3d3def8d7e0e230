package metrics_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn/analyzer/flow"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/metrics"
)

// source returns a Source with two workers.
func source() metrics.Source {
	one := flow.Stats{
		Connections: 10, Removed: 4, Evicted: 2, HooksRun: 3, DecodeErrors: 5, BadChecksums: 6, MissedBytes: 1460, Panics: 1,
		HookTime: 1500 * time.Millisecond,
		Begun:    [flow.NumTransports]int{flow.TCP: 7, flow.UDP: 3}, Ended: [flow.NumTransports]int{flow.TCP: 4},
		RemovedFor: [flow.NumReasons]int{flow.Timeout: 1, flow.TableFull: 2, flow.EndOfCapture: 1},
	}
	return metrics.Source{
		Workers: func() []metrics.Worker {
			return []metrics.Worker{
				{Name: "0", Packets: 100, Bytes: 6000, OnLink: 110, Dropped: 8, DecodeErrors: 1, Panics: 4, Flow: one, Active: 6, Held: 4096, Lag: 20 * time.Millisecond},
				{Name: "1", Packets: 200, Down: true, Flow: flow.Stats{Panics: 2, Begun: [flow.NumTransports]int{flow.TCP: 1}}},
			}
		},
		Output: func() logs.OutputStats {
			return logs.OutputStats{Rows: map[string]uint64{"conn": 4}, Rotations: 3, WriteErrors: 1, WriteTime: 250 * time.Millisecond}
		},
		Weirds:         func() map[string]uint64 { return map[string]uint64{"bad_TCP_checksum": 6, "not \xff UTF-8": 1} },
		Healthy:        func() error { return nil },
		MaxConnections: 1000,
		MaxHeld:        1 << 20,
	}
}

// serve returns a function that gets a path from a Server.
func serve(t *testing.T, from metrics.Source) (get func(path string) (status int, body string)) {
	s, err := metrics.Serve("localhost:0", from)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return func(path string) (int, string) {
		r, err := http.Get("http://" + s.Addr() + path)
		require.NoError(t, err)
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		return r.StatusCode, string(body)
	}
}

func TestScrape(t *testing.T) {
	status, body := serve(t, source())("/metrics")
	require.Equal(t, http.StatusOK, status, body)
	for want := range strings.Lines(`analyzer_packets_total{worker="0"} 100
analyzer_packets_total{worker="1"} 200
analyzer_packet_bytes_total{worker="0"} 6000
analyzer_link_packets_total{worker="0"} 110
analyzer_dropped_packets_total{worker="0"} 8
analyzer_packet_lag_seconds{worker="0"} 0.02
analyzer_interface_up{worker="0"} 1
analyzer_interface_up{worker="1"} 0
analyzer_table_connections{worker="0"} 6
analyzer_held_bytes{worker="0"} 4096
analyzer_decode_errors_total 6
analyzer_bad_checksums_total 6
analyzer_missed_bytes_total 1460
analyzer_connections_evicted_total 2
analyzer_hooks_run_total 3
analyzer_hook_seconds_total 1.5
analyzer_panics_total 7
analyzer_connections_begun_total{transport="tcp"} 8
analyzer_connections{transport="tcp"} 4
analyzer_connections{transport="udp"} 3
analyzer_connections_removed_total{reason="timeout"} 1
analyzer_connections_removed_total{reason="table_full"} 2
analyzer_connections_removed_total{reason="closed"} 0
analyzer_log_rows_total{log="conn"} 4
analyzer_log_rotations_total 3
analyzer_log_rotation_errors_total 0
analyzer_log_write_errors_total 1
analyzer_log_write_seconds_total 0.25
analyzer_weirds_total{name="bad_TCP_checksum"} 6
analyzer_weirds_total{name="not � UTF-8"} 1
analyzer_healthy 1
analyzer_table_connections_limit 1000
analyzer_held_bytes_limit 1.048576e+06
`) {
		assert.Contains(t, body, "\n"+want)
	}
	for _, runtime := range []string{"go_goroutines ", "go_gc_duration_seconds_count ", "go_build_info{"} {
		assert.Contains(t, body, "\n"+runtime)
	}
}

func TestNamesFollowConventions(t *testing.T) {
	_, body := serve(t, source())("/metrics")
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	require.NoError(t, err)
	assert.Empty(t, problems)
}

// A page or dashboard that names a metric that does not exist shows nothing, and no error.
func TestDocumentedMetricsExist(t *testing.T) {
	_, body := serve(t, source())("/metrics")
	for _, file := range []string{"../README.md", "../SCALING.md", "../deploy/dashboard.json"} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		names := regexp.MustCompile(`\b(?:analyzer|process|go)_[a-z_]*[a-z]\b`).FindAllString(string(text), -1)
		assert.NotEmpty(t, names, file)
		for _, name := range names {
			if strings.HasPrefix(name, "process_") && runtime.GOOS == "darwin" {
				continue // which has fewer
			}
			assert.Contains(t, body, "\n# TYPE "+name+" ", file)
		}
	}
}

func TestHealth(t *testing.T) {
	from := source()
	var wrong error
	from.Healthy = func() error { return wrong }
	get := serve(t, from)
	status, body := get("/healthz")
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, "ok\n", body)

	wrong = errors.New("writing logs: no space left on device")
	status, body = get("/healthz")
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.Equal(t, "writing logs: no space left on device\n", body)
	_, body = get("/metrics")
	assert.Contains(t, body, "\nanalyzer_healthy 0\n")
}

func TestAddress(t *testing.T) {
	for addr, loopback := range map[string]bool{":0": true, "localhost:0": true, "127.0.0.1:0": true, "[127.0.0.1]:0": true, "0.0.0.0:0": false} {
		s, err := metrics.Serve(addr, source())
		require.NoError(t, err)
		host, _, err := net.SplitHostPort(s.Addr())
		require.NoError(t, err)
		assert.Equal(t, loopback, net.ParseIP(host).IsLoopback(), addr)

		_, err = metrics.Serve(s.Addr(), source())
		assert.ErrorContains(t, err, "metrics: ", "in use")
		s.Close()
	}
	for _, addr := range []string{"", "9479", "localhost", "localhost:nonsense"} {
		_, err := metrics.Serve(addr, source())
		assert.ErrorContains(t, err, "metrics: ", addr)
	}
}
