package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"slices"
	"sync"
	"time"

	"example.com/conn/analyzer/capture"
	"example.com/conn/analyzer/clock"
	"example.com/conn/analyzer/flow"
	"example.com/conn/analyzer/identity"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/packet"
	"example.com/conn/analyzer/panics"
)

// An analysis distributes connections over workers. Each worker has its own flow table and shares
// only the output with the others.
//
// One goroutine reads capture files and passes frames on by a hash of their addresses, so that one
// worker gets all packets of a connection, in order. Workers decode the frames. On an interface,
// each worker has its own ring, and the kernel distributes the frames.
type analysis struct {
	workers []*worker
	wait    sync.WaitGroup

	// The state of the reader. It decodes tunnels and fragments itself, because the packets inside may
	// belong to a different worker than the frame.
	frames
	board *board // nil if metrics are off
	clock clock.Clock

	// waiting holds frames that wait for the clock's decision about their timestamps. Those with a
	// Now, for which it has been made, come first.
	waiting []packet.Frame

	tickDue time.Time // when all workers get the next tick
	statsLog
}

// newAnalysis returns an analysis with n workers, each with its own table of the given
// configuration and its share of the connections and the memory.
func newAnalysis(n int, cfg flow.Config, out *logs.Output) *analysis {
	cfg.Panics = panics.NewReporter(cfg.Errors)
	a := &analysis{frames: newFrames(cfg, out)}
	cfg.Once = new(sync.Once)
	cfg.MaxConnections = max(cfg.MaxConnections/n, 1)
	cfg.MaxTotal = max(cfg.MaxTotal/n, 1)
	for range n {
		a.workers = append(a.workers, newWorker(cfg, out))
	}
	a.decoder.Servers = a.workers[0].decoder.Servers
	return a
}

// start starts the workers for read.
func (a *analysis) start() {
	for i, w := range a.workers {
		a.wait.Go(func() {
			w.run(func(m *mark) { a.pass(m, i, w.counted(), w.log) })
			w.end()
		})
	}
}

// read distributes the frames of one capture file until it or ctx ends. It calls tick every 1024
// frames.
func (a *analysis) read(ctx context.Context, s *capture.Source, tick func()) error {
	a.clock.NewFile()
	defer a.flush()
	for {
		before := a.packets
		over, err := a.takeFrom(ctx, s, tick)
		if over {
			return err
		}
		if a.packets == before {
			return errors.New("reading the capture panicked: the rest of it is lost")
		}
	}
}

// takeFrom is read until a frame panics. Then it returns false; called again, it continues after
// that frame. One deferred call for all frames costs less than one per frame.
func (a *analysis) takeFrom(ctx context.Context, s *capture.Source, tick func()) (over bool, err error) {
	defer a.recovered()
	for {
		if a.packets%1024 == 0 {
			if ctx.Err() != nil {
				return true, nil
			}
			tick()
		}
		f, err := s.Next()
		switch {
		case err == nil:
			a.frame(f)
		case err == io.EOF:
			return true, nil
		case errors.Is(err, capture.ErrIdle):
			a.flush()
			a.tick(a.clock.Now(), true)
		default:
			return true, err
		}
	}
}

// recovered must be deferred. It recovers from a panic, if any, reports it, and distributes the
// other packets of the frame. Batches keep no state that a panic could corrupt.
func (a *analysis) recovered() {
	if with := recover(); with != nil {
		a.panicked(with)
		defer a.recovered()
		a.resume(a)
	}
}

// tickEvery is the capture time between ticks, which advance the clocks of workers without packets.
const tickEvery = time.Second

// frame distributes f and the frames that waited for its timestamp, or makes f wait.
func (a *analysis) frame(f packet.Frame) {
	readings := a.clock.Add(f.Time)
	if len(a.waiting) == 0 && len(readings) == 1 { // unless the clock jumps
		f.Time, f.Now = readings[0].Time, readings[0].Now
		a.distribute(f)
		return
	}
	f.Data = bytes.Clone(f.Data)
	a.waiting = append(a.waiting, f)
	a.decided(readings)
}

// flush distributes all waiting frames.
func (a *analysis) flush() { a.decided(a.clock.Flush()) }

// decided distributes the frames whose readings the clock has returned.
func (a *analysis) decided(readings []clock.Reading) {
	for i, r := range readings {
		a.waiting[i].Time, a.waiting[i].Now = r.Time, r.Now
	}
	for len(a.waiting) > 0 && !a.waiting[0].Now.IsZero() {
		a.release()
	}
}

// release distributes the first waiting frame. Its panic must not stop the others.
func (a *analysis) release() {
	defer a.recovered()
	f := a.waiting[0]
	a.waiting = slices.Delete(a.waiting, 0, 1)
	a.distribute(f)
}

// distribute passes f to the worker of its connection.
func (a *analysis) distribute(f packet.Frame) {
	a.count(f)
	if src, dst, ok := a.decoder.Plain(f); ok {
		b := a.batchFor(src, dst, f.Now)
		f.Data = b.keep(f.Data)
		b.items = append(b.items, item{number: a.packets, frame: f})
	} else {
		a.decode(f, a)
	}
	if !f.Now.Before(a.tickDue) {
		a.tick(f.Now, false)
	}
}

// Packet makes a a packet.Sink: it passes a packet that the reader decoded to the worker of its
// connection.
func (a *analysis) Packet(p *packet.Packet) {
	b := a.batchFor(p.Src, p.Dst, p.Now)
	kept := *p
	kept.Payload = b.keep(p.Payload)
	b.items = append(b.items, item{number: a.packets, packet: &kept})
}

// batchFor returns the batch of the worker for two addresses. It has room for another item.
func (a *analysis) batchFor(src, dst netip.Addr, now time.Time) *batch {
	w := a.workers[0]
	if len(a.workers) > 1 {
		w = a.workers[identity.Shard(src, dst, len(a.workers))]
	}
	if len(w.batch.items) >= batchItems || len(w.batch.bytes) >= batchBytes {
		w.send(now)
	}
	return w.batch
}

// tick sends all workers their batches, and the clock.
func (a *analysis) tick(now time.Time, flush bool) {
	a.tickDue = now.Add(tickEvery)
	if a.board != nil {
		a.board.show(&a.counts)
	}
	if flush {
		a.log.Flush()
	}
	var m *mark
	if a.rowDue(now) {
		m = newMark(a.clock.Last(), len(a.workers), &a.counts)
	}
	for _, w := range a.workers {
		w.batch.mark, w.batch.flush = m, flush
		w.send(now)
	}
}

// finish removes all connections of the capture.
func (a *analysis) finish() {
	a.closeDecoder(a)
	a.log.Flush()
	for _, w := range a.workers {
		w.send(a.clock.Now())
		close(w.full)
	}
	a.wait.Wait()
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
