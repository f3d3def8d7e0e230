package main

import (
	"fmt"
	"strconv"
	"time"

	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/metrics"
)

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

// health returns an error if writing to out has failed or a worker is stuck.
func (a *analysis) health(out *logs.Output) error {
	if err := out.Stats().Err; err != nil {
		return err
	}
	for i, w := range a.workers {
		if w.board.busy() > stallTime {
			return fmt.Errorf("worker %d has been stuck for more than %v", i, stallTime)
		}
	}
	return nil
}

// observed returns the published counters of all workers. For capture files it includes the reader,
// which counts the packets.
func (a *analysis) observed() []metrics.Worker {
	var all []metrics.Worker
	add := func(name string, c counts) {
		all = append(all, metrics.Worker{
			Name: name, Packets: c.packets, Bytes: c.bytes, OnLink: c.onLink, Dropped: c.dropped,
			DecodeErrors: c.decodeErrors, Panics: c.panics, Flow: c.flow, Active: c.active, Held: c.held, Lag: c.lag, Down: c.down,
		})
	}
	for i, w := range a.workers {
		c := w.board.look()
		if busy := w.board.busy(); a.live && busy > 2*housekeeping { // its lag is from before
			c.lag = max(c.lag, busy)
		}
		add(strconv.Itoa(i), c)
	}
	if !a.live {
		add("reader", a.board.look())
	}
	return all
}

// maxNames bounds the names of weirds in metrics, each a time series in Prometheus. The program has
// a few hundred.
const maxNames = 1000

// weirds returns the number of weirds by name.
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
