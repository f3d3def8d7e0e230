package main

import (
	"sync"
	"sync/atomic"
	"time"
)

// A board publishes a worker's counters, and whether it is busy, for metrics and health checks. The
// worker never waits for a reader or allocates. begin and wait accept a nil board.
type board struct {
	mu    sync.Mutex
	shown counts

	// since is the uptime when the worker began its current work; 0 while it waits for frames.
	since atomic.Int64
}

var started = time.Now()

// uptime returns how long the program has been running, even if the system clock is set meanwhile.
func uptime() time.Duration { return time.Since(started) }

// begin records that the worker starts some work: a batch of frames, or removing all connections.
func (b *board) begin() {
	if b != nil {
		b.since.Store(int64(uptime()))
	}
}

// wait records that the worker waits for frames.
func (b *board) wait() {
	if b != nil {
		b.since.Store(0)
	}
}

// show publishes c, unless a reader holds the lock: the next call comes soon.
func (b *board) show(c *counts) {
	if b.mu.TryLock() {
		b.shown = *c
		b.mu.Unlock()
	}
}

// busy returns how long the worker has been at its current work, 0 if it waits for frames.
func (b *board) busy() time.Duration {
	if since := b.since.Load(); since != 0 {
		return uptime() - time.Duration(since)
	}
	return 0
}

// look returns the counters published last.
func (b *board) look() counts {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.shown
}
