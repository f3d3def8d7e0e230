// Package metrics serves the analyzer's counters and health over HTTP, for Prometheus.
package metrics

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/conn/analyzer/flow"
	"example.com/conn/analyzer/logs"
)

// A Worker holds the counters and gauges of one worker.
type Worker struct {
	Name         string
	Packets      int
	Bytes        int64  // of these packets, as they were on the link
	OnLink       uint64 // packets that came to the ring of an interface, including dropped ones
	Dropped      uint64 // packets for which the ring had no room
	DecodeErrors int    // frames in which no packet was found
	Panics       int    // outside the flow table
	Flow         flow.Stats
	Active       int           // connections in the table
	Held         int           // bytes for them
	Lag          time.Duration // how far the worker is behind the clock, on an interface
	Down         bool          // the interface
}

// A Source is where metrics come from. Its functions are called at every scrape, by several scrapes
// at once, and must not wait for workers.
type Source struct {
	Workers func() []Worker
	Output  func() logs.OutputStats
	Weirds  func() map[string]uint64 // by name; each name is a time series, so there must be few
	Healthy func() error             // nil, or what is wrong

	// The limits of all workers together.
	MaxConnections int
	MaxHeld        int // bytes
}

// A metric is computed from the counters of workers.
type metric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(w *Worker) float64
}

// perWorker lists the metrics labeled by worker: large differences between workers show that the
// load is unevenly divided.
var perWorker = []metric{
	{desc("packets_total", "Packets that were analyzed.", "worker"),
		prometheus.CounterValue, func(w *Worker) float64 { return float64(w.Packets) }},
	{desc("packet_bytes_total", "Bytes of the packets that were analyzed, as they were on the link.", "worker"),
		prometheus.CounterValue, func(w *Worker) float64 { return float64(w.Bytes) }},
	{desc("link_packets_total", "Packets that came to the ring of an interface, including dropped ones.", "worker"),
		prometheus.CounterValue, func(w *Worker) float64 { return float64(w.OnLink) }},
	{desc("dropped_packets_total", "Packets that the kernel dropped because the ring was full.", "worker"),
		prometheus.CounterValue, func(w *Worker) float64 { return float64(w.Dropped) }},
	{desc("packet_lag_seconds", "Age of the latest packet when it was analyzed, or how long the worker has been stuck.", "worker"),
		prometheus.GaugeValue, func(w *Worker) float64 { return w.Lag.Seconds() }},
	{desc("interface_up", "1, or 0 while the interface is down.", "worker"),
		prometheus.GaugeValue, func(w *Worker) float64 {
			if w.Down {
				return 0
			}
			return 1
		}},
	{desc("table_connections", "Connections in the table.", "worker"),
		prometheus.GaugeValue, func(w *Worker) float64 { return float64(w.Active) }},
	{desc("held_bytes", "Memory for buffered bytes and the parsers' state.", "worker"),
		prometheus.GaugeValue, func(w *Worker) float64 { return float64(w.Held) }},
}

// summed lists the metrics that are summed over all workers.
var summed = []metric{
	{desc("decode_errors_total", "Packets that could not be decoded."),
		prometheus.CounterValue, func(w *Worker) float64 { return float64(w.DecodeErrors + w.Flow.DecodeErrors) }},
	{desc("bad_checksums_total", "Packets ignored because of a wrong checksum."),
		prometheus.CounterValue, func(w *Worker) float64 { return float64(w.Flow.BadChecksums) }},
	{desc("missed_bytes_total", "Bytes of TCP connections that were not captured: conn.log's missed_bytes."),
		prometheus.CounterValue, func(w *Worker) float64 { return float64(w.Flow.MissedBytes) }},
	{desc("connections_evicted_total", "Connections evicted to bound the table or memory."),
		prometheus.CounterValue, func(w *Worker) float64 { return float64(w.Flow.Evicted) }},
	{desc("hooks_run_total", "Removal hooks that ran."),
		prometheus.CounterValue, func(w *Worker) float64 { return float64(w.Flow.HooksRun) }},
	{desc("hook_seconds_total", "Time spent in removal hooks."),
		prometheus.CounterValue, func(w *Worker) float64 { return w.Flow.HookTime.Seconds() }},
	{desc("panics_total", "Panics that were contained. Each is a bug."),
		prometheus.CounterValue, func(w *Worker) float64 { return float64(w.Panics + w.Flow.Panics) }},
}

var (
	begun          = desc("connections_begun_total", "Connections that have begun.", "transport")
	active         = desc("connections", "Connections that have begun and are not removed yet.", "transport")
	removed        = desc("connections_removed_total", "Connections that were removed.", "reason")
	rows           = desc("log_rows_total", "Rows that were written.", "log")
	weirds         = desc("weirds_total", "Anomalies in the traffic, including those that weird.log omits.", "name")
	rotations      = desc("log_rotations_total", "Log files that were rotated.")
	rotationErrors = desc("log_rotation_errors_total", "Log files that could not be rotated or reopened. The first ends the run.")
	writeSeconds   = desc("log_write_seconds_total", "Time that workers spent writing rows, or waiting for another worker to write.")
	writeErrors    = desc("log_write_errors_total", "Writes that failed. The first ends the run.")
	healthy        = desc("healthy", "1 if /healthz answers 200, 0 if it answers 503.")
	maxConnections = desc("table_connections_limit", "Maximum of table_connections. Beyond it, connections are evicted.")
	maxHeld        = desc("held_bytes_limit", "Maximum of held_bytes. Beyond it, connections stop waiting for missing bytes.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("analyzer_"+name, help, labels, nil)
}

// collector turns a Source into metrics.
type collector struct{ Source }

// Describe implements prometheus.Collector. Sending nothing says that Collect is not checked
// against it: which labels there are depends on traffic.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	send := func(desc *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, kind, v, labels...)
	}
	workers := c.Workers()
	for i := range workers {
		for _, m := range perWorker {
			send(m.desc, m.kind, m.value(&workers[i]), workers[i].Name)
		}
	}
	for _, m := range summed {
		sum := 0.0
		for i := range workers {
			sum += m.value(&workers[i])
		}
		send(m.desc, m.kind, sum)
	}
	var all flow.Stats
	for i := range workers {
		all.Add(&workers[i].Flow, 1)
	}
	for t := range flow.NumTransports {
		send(begun, prometheus.CounterValue, float64(all.Begun[t]), t.String())
		send(active, prometheus.GaugeValue, float64(all.Active(t)), t.String())
	}
	for r := flow.Closed; r < flow.NumReasons; r++ {
		send(removed, prometheus.CounterValue, float64(all.RemovedFor[r]), strings.ReplaceAll(r.String(), " ", "_"))
	}
	out := c.Output()
	for log, n := range out.Rows {
		send(rows, prometheus.CounterValue, float64(n), log)
	}
	send(rotations, prometheus.CounterValue, float64(out.Rotations))
	send(rotationErrors, prometheus.CounterValue, float64(out.RotationErrors))
	send(writeSeconds, prometheus.CounterValue, out.WriteTime.Seconds())
	send(writeErrors, prometheus.CounterValue, float64(out.WriteErrors))
	for name, n := range c.Weirds() {
		send(weirds, prometheus.CounterValue, float64(n), strings.ToValidUTF8(name, "\uFFFD"))
	}
	ok := 0.0
	if c.Healthy() == nil {
		ok = 1
	}
	send(healthy, prometheus.GaugeValue, ok)
	send(maxConnections, prometheus.GaugeValue, float64(c.MaxConnections))
	send(maxHeld, prometheus.GaugeValue, float64(c.MaxHeld))
}
