package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
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

	// State of the reader. It decodes tunnels and fragments itself, because the packets inside may
	// belong to a different worker than the frame.
	frames
	board *board // nil if metrics are off
	clock clock.Clock

	// waiting holds frames that wait for the clock's decision about their timestamps. Those with a
	// Now, for which it has been made, come first.
	waiting []packet.Frame

	tickDue time.Time // when all workers get the next tick

	// For stats.log; see mark.
	live   bool                 // frames come from an interface
	every  time.Duration        // between two rows; 0 for one row at the end
	marked time.Time            // the clock when the previous row was due, or at the first frame
	due    atomic.Pointer[mark] // on an interface
	before counts               // as of the previous row
}

// frames is the state of a goroutine that reads frames.
type frames struct {
	decoder *packet.Decoder
	log     *logs.Writer
	weird   logs.WeirdLimit
	report  *panics.Reporter
	counts
}

func newFrames(cfg flow.Config, out *logs.Output) frames {
	d := packet.NewDecoder()
	d.IgnoreChecksums, d.UDPTimeout = cfg.IgnoreChecksums, cfg.UDPTimeout
	return frames{decoder: d, log: logs.NewWriter(out), report: cfg.Panics.Share()}
}

func (f *frames) count(frame packet.Frame) {
	f.packets++
	f.report.Frame = f.packets
	f.bytes += int64(frame.Wire)
	if f.first.IsZero() {
		f.first = frame.Time
	}
	if frame.Time.After(f.last) {
		f.last = frame.Time
	}
}

// panicked counts and reports a panic. The deferred function that recovered from it must call it.
func (f *frames) panicked(with any) {
	f.panics++
	f.report.Report(with, "")
}

// closeDecoder closes the Decoder, again after each panic. That terminates, because each tunnel and
// datagram is deleted before its end is logged.
func (f *frames) closeDecoder(sink packet.Sink) {
	f.report.Frame = 0
	for closed := false; !closed; {
		func() {
			defer func() {
				if with := recover(); with != nil {
					f.panicked(with)
				}
			}()
			f.decoder.Close(sink)
			closed = true
		}()
	}
}

// Weird is part of packet.Sink.
func (f *frames) Weird(at time.Time, name, addl string) {
	if f.weird.Allow(name, at) {
		f.Log(logs.NewWeird(nil, at, name, addl, ""))
	}
}

// Log is part of packet.Sink.
func (f *frames) Log(row logs.Row) { f.log.Write(row) }

// decode passes the packets in a frame to sink.
func (f *frames) decode(frame packet.Frame, sink packet.Sink) {
	if err := f.decoder.Decode(frame, sink); err != nil {
		f.decodeErrors++
	}
}

// resume passes the packets in the rest of a frame to sink, after decode has panicked.
func (f *frames) resume(sink packet.Sink) {
	if err := f.decoder.Resume(sink); err != nil {
		f.decodeErrors++
	}
}

// A worker follows its share of the connections.
type worker struct {
	frames
	table   *flow.Table
	board   *board      // nil if metrics are off
	batch   *batch      // being filled
	full    chan *batch // to the worker
	drained chan *batch // and back
}

// A batch carries frames and their bytes to a worker. The worker returns it for reuse.
type batch struct {
	items []item
	bytes []byte
	clock time.Time // of the capture, when the batch was sent
	mark  *mark     // after the frames, or nil
	flush bool      // write all rows, because no frames may come for a while
}

// An item is a frame, or a packet that the reader has decoded.
type item struct {
	number int // of the frame, counted from 1
	frame  packet.Frame
	packet *packet.Packet // nil if there is a frame
}

// A batch is sent when it has this many items or bytes. Each worker has only a few batches, so that
// they stay in the processor's cache.
const (
	batchItems = 512
	batchBytes = 64 << 10
)

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

func newWorker(cfg flow.Config, out *logs.Output) *worker {
	w := &worker{frames: newFrames(cfg, out)}
	if cfg.Log == nil {
		cfg.Log = w.log
	}
	cfg.Panics = w.report
	w.table = flow.New(cfg)
	w.decoder.Servers = w.table.Servers()
	w.batch, w.full, w.drained = new(batch), make(chan *batch, 2), make(chan *batch, 4)
	return w
}

// Packet makes w a packet.Sink.
func (w *worker) Packet(p *packet.Packet) { w.table.Packet(p) }

// run follows frames until there are no more. It calls pass for each mark between them.
func (w *worker) run(pass func(*mark)) {
	for b := range w.full {
		w.board.begin()
		for next := 0; next < len(b.items); {
			next = w.take(b.items, next)
		}
		w.table.Advance(b.clock)
		if b.mark != nil {
			pass(b.mark)
		}
		if b.flush {
			w.log.Flush()
		}
		w.show()
		w.board.wait()
		clear(b.items)
		*b = batch{items: b.items[:0], bytes: b.bytes[:0]}
		select {
		case w.drained <- b:
		default:
		}
	}
}

// take follows items[next:]. It returns the index after the last item that it followed, which is
// len(items) unless an item panicked. One deferred call for all items costs less than one per item.
func (w *worker) take(items []item, next int) (end int) {
	end = next
	defer w.recovered()
	for end < len(items) {
		it := &items[end]
		end++
		w.report.Frame = it.number
		if it.packet != nil {
			w.table.Packet(it.packet)
		} else {
			w.decode(it.frame, w)
		}
	}
	return end
}

// recovered must be deferred. It recovers from a panic, if any, reports it, makes the table
// consistent again, and follows the other packets of the frame, which may panic, too.
func (w *worker) recovered() {
	if with := recover(); with != nil {
		w.panicked(with)
		w.table.Resume()
		defer w.recovered()
		w.resume(w)
	}
}

// frame follows one frame of a ring.
func (w *worker) frame(f packet.Frame) {
	w.count(f)
	defer w.recovered()
	f.Now = w.table.Advance(f.Time)
	w.decode(f, w)
}

// end removes all connections.
func (w *worker) end() {
	w.board.begin()
	w.closeDecoder(w)
	w.table.Close()
	w.log.Flush()
	w.show()
	w.board.wait()
}

// send sends w its batch.
func (w *worker) send(clock time.Time) {
	w.batch.clock = clock
	w.full <- w.batch
	select {
	case w.batch = <-w.drained:
	default:
		w.batch = new(batch)
	}
}

// start starts the workers for read.
func (a *analysis) start() {
	for i, w := range a.workers {
		a.wait.Go(func() {
			w.run(func(m *mark) { a.pass(m, w, i) })
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

// keep returns a copy of data in the memory of b.
func (b *batch) keep(data []byte) []byte {
	start := len(b.bytes)
	b.bytes = append(b.bytes, data...) // if it moves, the items before keep the old bytes
	return b.bytes[start:len(b.bytes):len(b.bytes)]
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
	if a.marked.IsZero() {
		a.marked = now
	} else if a.every > 0 && now.Sub(a.marked) >= a.every {
		a.marked = now
		m = a.newMark(a.clock.Last())
	}
	for _, w := range a.workers {
		w.batch.mark, w.batch.flush = m, flush
		w.send(now)
	}
}

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
			if err := w.follow(ctx, rings[i], say, report, a.passDue(w, i)); err != nil {
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
