package main

import (
	"context"
	"runtime/metrics"
	"sync/atomic"
	"time"

	"example.com/conn/analyzer/flow"
	"example.com/conn/analyzer/logs"
)

// counts holds the counters of one goroutine since the start.
type counts struct {
	packets      int
	bytes        int64
	decodeErrors int
	panics       int       // outside the flow table
	onLink       uint64    // packets for the goroutine's ring, including dropped ones
	dropped      uint64    // by the kernel, because the ring was full
	first, last  time.Time // of frames
	flow         flow.Stats
	active       int           // connections in the table
	held         int           // bytes held for them
	lag          time.Duration // of the latest frame behind the clock, on an interface
	down         bool          // the interface
}

// add adds n times the counters of o: 1 to sum, -1 to get the difference since o. The fields that
// are not counters, such as the times of frames, are left alone if n is -1.
func (c *counts) add(o *counts, n int) {
	c.packets += n * o.packets
	c.bytes += int64(n) * o.bytes
	c.decodeErrors += n * o.decodeErrors
	c.panics += n * o.panics
	c.onLink += uint64(n) * o.onLink
	c.dropped += uint64(n) * o.dropped
	c.flow.Add(&o.flow, n)
	c.active += n * o.active
	if n < 0 {
		return
	}
	c.held += o.held
	c.lag = max(c.lag, o.lag)
	if o.first.IsZero() {
		return
	}
	if c.first.IsZero() || o.first.Before(c.first) {
		c.first = o.first
	}
	if o.last.After(c.last) {
		c.last = o.last
	}
}

// A statsRow is a row of stats.log: Zeek's fields first, then our own. Counters cover the time
// since the previous row, except that in the last row, the one with a Duration, our own cover the
// whole run.
type statsRow struct {
	Path string      `json:"_path"`
	TS   logs.Micros `json:"ts"`
	Peer string      `json:"peer"`
	Mem  uint64      `json:"mem,omitempty"` // MB; omitted from the last row of files

	PktsProc    int          `json:"pkts_proc"`
	BytesRecv   int64        `json:"bytes_recv"`
	PktsDropped *uint64      `json:"pkts_dropped,omitempty"` // only on an interface, like the next two
	PktsLink    *uint64      `json:"pkts_link,omitempty"`    // including dropped ones
	PktLag      *logs.Micros `json:"pkt_lag,omitempty"`      // how far workers are behind the clock
	ActiveTCP   int          `json:"active_tcp_conns"`
	ActiveUDP   int          `json:"active_udp_conns"`
	ActiveICMP  int          `json:"active_icmp_conns"`
	TCP         int          `json:"tcp_conns"` // that have begun
	UDP         int          `json:"udp_conns"`
	ICMP        int          `json:"icmp_conns"`

	Packets      int          `json:"packets"`
	Bytes        int64        `json:"bytes"`
	HeldBytes    int          `json:"held_bytes"`  // now, for all connections
	Dropped      uint64       `json:"dropped"`     // by the kernel, on an interface
	Connections  int          `json:"connections"` // no longer in the table
	Removed      int          `json:"removed"`     // the same, counted where hooks run
	HooksRun     int          `json:"hooks_run"`
	DecodeErrors int          `json:"decode_errors"`
	BadChecksums int          `json:"bad_checksums"` // packets ignored because of a wrong checksum
	Evicted      int          `json:"evicted"`       // to bound the table or memory
	Panics       int          `json:"panics"`
	Duration     *logs.Micros `json:"duration,omitempty"` // from the first frame to the last
}

// LogName implements logs.Row.
func (r *statsRow) LogName() string { return r.Path }

// newStatsRow returns the row for time at. now holds the current counters, before those of the
// previous row. In the last row, the fields that are not Zeek's cover the whole run.
func newStatsRow(at time.Time, now, before *counts, live, last bool) *statsRow {
	since := *now
	since.add(before, -1)
	r := &statsRow{
		Path: "stats", Peer: "analyzer",
		PktsProc: since.packets, BytesRecv: since.bytes,
		ActiveTCP:  now.flow.Active(flow.TCP),
		ActiveUDP:  now.flow.Active(flow.UDP),
		ActiveICMP: now.flow.Active(flow.ICMP),
		TCP:        since.flow.Begun[flow.TCP],
		UDP:        since.flow.Begun[flow.UDP],
		ICMP:       since.flow.Begun[flow.ICMP],
	}
	if !at.IsZero() { // as it is if there was no frame
		r.TS = logs.Time(at)
	}
	if live || !last {
		r.Mem = memory() >> 20
	}
	if live {
		r.PktsDropped, r.PktsLink, r.PktLag = &since.dropped, &since.onLink, new(logs.Interval(now.lag))
	}
	ours := &since
	if last {
		ours = now
		r.Duration = new(logs.Interval(now.last.Sub(now.first)))
	}
	r.Packets, r.Bytes, r.HeldBytes, r.Dropped = ours.packets, ours.bytes, now.held, ours.dropped
	r.Connections, r.Removed = ours.flow.Connections-ours.active, ours.flow.Removed
	r.HooksRun = ours.flow.HooksRun
	r.DecodeErrors, r.BadChecksums = ours.decodeErrors+ours.flow.DecodeErrors, ours.flow.BadChecksums
	r.Evicted, r.Panics = ours.flow.Evicted, ours.flow.Panics+ours.panics
	return r
}

// memory returns how many bytes Go's runtime has obtained from the system. Rings are not included.
func memory() uint64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64() - samples[1].Value.Uint64()
}

// A mark is a place in the stream of packets where a row of stats.log is due. Each worker that
// reaches it adds its counters, and the last one writes the row, so no worker waits for another.
type mark struct {
	at      time.Time
	counts  []counts // of each worker, and of the reader
	missing atomic.Int32
}

// newMark returns a mark with the reader's counters.
func (a *analysis) newMark(at time.Time) *mark {
	m := &mark{at: at, counts: make([]counts, len(a.workers)+1)}
	m.counts[len(a.workers)] = a.counts
	m.missing.Store(int32(len(a.workers)))
	return m
}

// pass adds the counters of w, which is worker i, to m. The last worker to pass a mark writes its
// row before any worker can be the last to pass the next one, so a.before needs no lock.
func (a *analysis) pass(m *mark, w *worker, i int) {
	m.counts[i] = w.counted()
	if m.missing.Add(-1) > 0 {
		return
	}
	var now counts
	for i := range m.counts {
		now.add(&m.counts[i], 1)
	}
	w.log.Write(newStatsRow(m.at, &now, &a.before, a.live, false))
	a.before = now
}

// counted returns the counters of w and its table.
func (w *worker) counted() counts {
	c := w.counts
	c.flow, c.active, c.held = w.table.Stats, w.table.Len(), w.table.Held()
	return c
}

// markEvery makes marks by the system clock until ctx ends, for an interface.
func (a *analysis) markEvery(ctx context.Context) {
	ticker := time.NewTicker(a.every)
	defer ticker.Stop()
	for {
		select {
		case at := <-ticker.C:
			a.due.Store(a.newMark(at))
		case <-ctx.Done():
			return
		}
	}
}

// passDue returns a function for w, which is worker i, that passes the latest mark once. A mark
// that a busy worker misses gets no row; the next row covers its time.
func (a *analysis) passDue(w *worker, i int) func() {
	var passed *mark
	return func() {
		if m := a.due.Load(); m != passed {
			passed = m
			a.pass(m, w, i)
		}
	}
}

// stats returns the last row, and the time spent in hooks, after all connections were removed.
func (a *analysis) stats() (*statsRow, time.Duration) {
	all := a.counts
	for _, w := range a.workers {
		c := w.counted()
		all.add(&c, 1)
	}
	at := a.clock.Last()
	if a.live {
		at = time.Now()
	}
	return newStatsRow(at, &all, &a.before, a.live, true), all.flow.HookTime
}
