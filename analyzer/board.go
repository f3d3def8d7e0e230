package main

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/metrics"
)

// A board is where a worker publishes what it has counted, and whether it is busy, for metrics and
// for whoever asks whether it is stuck. The worker neither waits for a reader nor allocates. The
// methods that workers call do nothing if there is no board.
type board struct {
	mu    sync.Mutex
	shown counts
	since atomic.Int64 // when the worker began its current work, in Unix nanoseconds; 0 while it waits for frames
}

// begin says that the worker begins some work: a batch of frames, or removing all connections.
func (b *board) begin() {
	if b != nil {
		b.since.Store(time.Now().UnixNano())
	}
}

// wait says that the worker waits for frames.
func (b *board) wait() {
	if b != nil {
		b.since.Store(0)
	}
}

// show publishes c. If a reader has the lock at that moment, c is left out: the next one is not far.
func (b *board) show(c *counts) {
	if b.mu.TryLock() {
		b.shown = *c
		b.mu.Unlock()
	}
}

// show publishes what w has counted.
func (w *worker) show() {
	if w.board != nil {
		c := w.counted()
		w.board.show(&c)
	}
}

// look returns what was published last.
func (b *board) look() counts {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.shown
}

// stallTime is how long a worker may take for a batch of frames, with the rows that it writes for
// them, before it counts as stuck.
const stallTime = 30 * time.Second

// observe gives the reader and all workers a board, before they start.
func (a *analysis) observe() {
	a.board = new(board)
	for _, w := range a.workers {
		w.board = new(board)
	}
}

// health returns what is wrong with a, which writes to out: an error of writing, or a worker that
// has been stuck for some time; or nil.
func (a *analysis) health(out *logs.Output) error {
	if err := out.Stats().Err; err != nil {
		return err
	}
	for i, w := range a.workers {
		if since := w.board.since.Load(); since != 0 && time.Since(time.Unix(0, since)) > stallTime {
			return fmt.Errorf("worker %d has been stuck for more than %v", i, stallTime)
		}
	}
	return nil
}

// observed returns what the workers have published, for metrics. The reader of recordings, which
// counts their packets, is listed among them.
func (a *analysis) observed() []metrics.Worker {
	var all []metrics.Worker
	add := func(name string, c counts) {
		all = append(all, metrics.Worker{
			Name: name, Packets: c.packets, Bytes: c.bytes, OnLink: c.onLink, Dropped: c.dropped,
			DecodeErrors: c.decodeErrors, Panics: c.panics, Flow: c.flow, Active: c.active, Held: c.held, Lag: c.lag, Down: c.down,
		})
	}
	for i, w := range a.workers {
		add(strconv.Itoa(i), w.board.look())
	}
	if !a.live {
		add("reader", a.board.look())
	}
	return all
}

// maxNames bounds the names of weirds in metrics, each of which is a time series in Prometheus. The
// program has some hundred.
const maxNames = 1000

// weirds returns how often what should not be in traffic was found, by name.
func (a *analysis) weirds() map[string]uint64 {
	all := make(map[string]uint64)
	add := func(l *logs.WeirdLimit) {
		for name, n := range l.Counts() {
			if _, ok := all[name]; !ok && len(all) >= maxNames {
				name = "other"
			}
			all[name] += n
		}
	}
	add(&a.weird)
	for _, w := range a.workers {
		add(&w.weird)
		add(w.table.Weirds())
	}
	return all
}
