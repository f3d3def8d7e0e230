package main

import (
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

// newMark returns a mark for the given number of workers, with the reader's counters.
func newMark(at time.Time, workers int, reader *counts) *mark {
	m := &mark{at: at, counts: make([]counts, workers+1)}
	m.counts[workers] = *reader
	m.missing.Store(int32(workers))
	return m
}

// A statsLog knows when a row of stats.log is due, and writes it.
type statsLog struct {
	live   bool                 // frames come from an interface
	every  time.Duration        // between two rows; 0 for one row at the end
	marked time.Time            // the clock when the previous row was due, or at the first frame
	latest atomic.Pointer[mark] // on an interface; see passLatest
	before counts               // as of the previous row
}

// rowDue reports whether a row is due at now. It is used for capture files.
func (s *statsLog) rowDue(now time.Time) bool {
	due := !s.marked.IsZero() && s.every > 0 && now.Sub(s.marked) >= s.every
	if due || s.marked.IsZero() {
		s.marked = now
	}
	return due
}

// pass adds the counters of worker i to m. The last worker to pass a mark writes its row to log
// before any worker can be the last to pass the next one, so s.before needs no lock.
func (s *statsLog) pass(m *mark, i int, c counts, log *logs.Writer) {
	m.counts[i] = c
	if m.missing.Add(-1) > 0 {
		return
	}
	var now counts
	for i := range m.counts {
		now.add(&m.counts[i], 1)
	}
	log.Write(newStatsRow(m.at, &now, &s.before, s.live, false))
	s.before = now
}
