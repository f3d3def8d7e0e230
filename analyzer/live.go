package main

import (
	"context"
	"errors"
	"time"

	"example.com/conn/analyzer/capture"
	"example.com/conn/analyzer/packet"
)

// follow has each worker follow one ring of an interface, until ctx ends or a ring fails. It
// returns the error of the first ring to fail. It calls say with messages about the interface and,
// regularly, report with the number of packets that the kernel has dropped.
func (a *analysis) follow(ctx context.Context, rings []*capture.Ring, say func(error), report func(dropped uint64)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for i, w := range a.workers {
		a.wait.Go(func() {
			say := say
			if i > 0 { // all rings get the same messages
				say = func(error) {}
			}
			if err := w.follow(ctx, rings[i], say, report, a.passLatest(w, i)); err != nil {
				cancel(err)
			}
			w.end()
		})
	}
	if a.every > 0 {
		go a.markEvery(ctx)
	}
	a.wait.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// housekeeping is how often a worker on an interface writes its rows and asks for the kernel's
// count of drops.
const housekeeping = time.Second

// follow follows the frames of a ring until ctx ends and the ring is drained, or the ring fails. It
// calls pass regularly between frames.
func (w *worker) follow(ctx context.Context, r *capture.Ring, say func(error), report func(dropped uint64), pass func()) (err error) {
	started := time.Now()
	last := started
	var stop time.Time // when ctx had ended
	for n := 1; ; n++ {
		f, err := r.Next()
		idle := errors.Is(err, capture.ErrIdle)
		switch {
		case err == nil:
			w.frame(f)
		case !idle:
			w.onLink, w.dropped, _ = r.Stats()
			return err
		case err != capture.ErrIdle:
			say(err)
		}
		if !idle && n%256 != 0 && f.Time.Sub(last) < housekeeping {
			continue
		}
		now := time.Now()
		w.board.begin()
		w.lag = 0
		// monotonic, even if the system clock was set back
		w.table.Advance(started.Add(now.Sub(started)).Round(0))
		if !idle {
			w.lag = now.Sub(f.Time)
		}
		w.down = r.Down()
		w.show()
		if ctx.Err() != nil && stop.IsZero() {
			stop = now
		}
		over := !stop.IsZero() && (idle || f.Time.After(stop))
		if over || now.Sub(last) > housekeeping {
			last = now
			w.log.Flush()
			if w.onLink, w.dropped, err = r.Stats(); err != nil {
				return err
			}
			report(w.dropped)
			pass()
		}
		if over {
			return nil
		}
	}
}

// frame follows one frame of a ring.
func (w *worker) frame(f packet.Frame) {
	w.count(f)
	defer w.recovered()
	f.Now = w.table.Advance(f.Time)
	w.decode(f, w)
}

// markEvery makes marks by the system clock until ctx ends, for an interface.
func (a *analysis) markEvery(ctx context.Context) {
	ticker := time.NewTicker(a.every)
	defer ticker.Stop()
	for {
		select {
		case at := <-ticker.C:
			a.latest.Store(newMark(at, len(a.workers), &a.counts))
		case <-ctx.Done():
			return
		}
	}
}

// passLatest returns a function for w, which is worker i, that passes the latest mark once. A mark
// that a busy worker misses gets no row; the next row covers its time.
func (a *analysis) passLatest(w *worker, i int) func() {
	var passed *mark
	return func() {
		if m := a.latest.Load(); m != passed {
			passed = m
			a.pass(m, i, w.counted(), w.log)
		}
	}
}
