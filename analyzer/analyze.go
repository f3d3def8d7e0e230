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

// An analysis distributes the connections of a capture, or of an interface, over workers. Each
// worker has a flow table of its own and shares nothing with other workers but the output.
//
// One goroutine reads a recording and hands frames on by a hash of the addresses in them, so that
// each connection's packets come to one worker in their order; the workers decode. On an interface
// each worker has a ring of its own, and the kernel does what the reader does.
type analysis struct {
	workers []*worker
	wait    sync.WaitGroup

	// Of the reader, which also decodes what Plain does not know: tunnels and fragments, for what
	// is in them may belong to another worker than what is around them.
	frames
	board   *board // nil if nobody looks at it
	clock   clock.Clock
	now     time.Time      // the clock at the frame that is distributed
	waiting []packet.Frame // for the clock; those that it has decided about, which have a Now, come first
	ticked  time.Time      // when all workers were told

	// For stats.log; see mark.
	live   bool                 // frames come from an interface
	every  time.Duration        // between two rows; 0 for one at the end
	marked time.Time            // the clock when the row before was due, or at the first frame
	due    atomic.Pointer[mark] // on an interface
	before counts               // as of the row before
}

// frames is what is known of the frames that one goroutine reads.
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

// recovered reports the panic that a deferred call of it ends, if there is one. The Decoder and the
// batches need no repair: they begin each frame as if it was the first.
func (f *frames) recovered() {
	if panicked := recover(); panicked != nil {
		f.panics++
		f.report.Report(panicked, "")
	}
}

// closeDecoder closes the Decoder. Each tunnel is forgotten before its end is logged, so whatever
// panics, there are fewer left.
func (f *frames) closeDecoder(sink packet.Sink) {
	f.report.Frame = 0
	for closed := false; !closed; {
		func() {
			defer f.recovered()
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

// decode gives sink the packets in a frame.
func (f *frames) decode(frame packet.Frame, sink packet.Sink) {
	if err := f.decoder.Decode(frame, sink); err != nil {
		f.decodeErrors++
	}
}

// A worker follows its share of the connections.
type worker struct {
	frames
	table   *flow.Table
	board   *board      // nil if nobody looks at it
	batch   *batch      // that is being filled
	full    chan *batch // to the worker
	drained chan *batch // and back
}

// A batch is frames on their way to a worker, with their bytes. It goes back to the reader to be
// filled again.
type batch struct {
	items []item
	bytes []byte
	clock time.Time // of the capture, when the batch was sent
	mark  *mark     // after the frames, or nil
	flush bool      // nothing may come for a while: rows are to be written
}

// An item is a frame, or a packet that the reader has decoded.
type item struct {
	clock  time.Time // of the capture then: workers must not depend on what others get
	number int       // of the frame, counted from 1
	frame  packet.Frame
	packet *packet.Packet // nil if there is a frame
}

// A batch is sent when it has this many items or bytes.
const (
	batchItems = 512
	batchBytes = 128 << 10
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
	w.batch, w.full, w.drained = new(batch), make(chan *batch, 4), make(chan *batch, 6)
	return w
}

// Packet makes w a packet.Sink.
func (w *worker) Packet(p *packet.Packet) { w.table.Packet(p) }

// run follows frames until there are no more. pass is called where there is a mark between them.
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

// take follows items from number next on. It returns the number of the one behind the last that it
// has taken, which has panicked unless it was the last of all. One deferred call for all of them
// costs less than one for each.
func (w *worker) take(items []item, next int) (end int) {
	end = next
	defer w.recovered()
	for end < len(items) {
		it := &items[end]
		end++
		w.report.Frame = it.number
		w.table.Advance(it.clock)
		if it.packet != nil {
			w.table.Packet(it.packet)
		} else {
			w.decode(it.frame, w)
		}
	}
	return end
}

// recovered is that of frames, and makes the table consistent again.
func (w *worker) recovered() {
	if panicked := recover(); panicked != nil {
		w.panics++
		w.report.Report(panicked, "")
		w.table.Resume()
	}
}

// frame follows one frame of a ring.
func (w *worker) frame(f packet.Frame) {
	w.count(f)
	defer w.recovered()
	w.decode(f, w)
}

// end ends all connections.
func (w *worker) end() {
	w.board.begin()
	w.closeDecoder(w)
	w.table.Close()
	w.log.Flush()
	w.show()
	w.board.wait()
}

// send sends w what was gathered for it.
func (w *worker) send(clock time.Time) {
	w.batch.clock = clock
	w.full <- w.batch
	select {
	case w.batch = <-w.drained:
	default:
		w.batch = new(batch)
	}
}

// start starts the workers of recordings, for read.
func (a *analysis) start() {
	for i, w := range a.workers {
		a.wait.Go(func() {
			w.run(func(m *mark) { a.pass(m, w, i) })
			w.end()
		})
	}
}

// read takes the frames of one recording until it ends, or ctx does. tick is called every thousand
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
			return errors.New("reading the capture panicked: what follows is lost")
		}
	}
}

// takeFrom is read until a frame panics. Then it returns false, and goes on behind that frame when
// it is called again. One deferred call for all frames costs less than one for each.
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
			a.tick(true)
		default:
			return true, err
		}
	}
}

// tickEvery is how much time of the capture passes before workers that get no packets are told.
const tickEvery = time.Second

// frame follows f, and the frames that have waited for its timestamp, or lets it wait.
func (a *analysis) frame(f packet.Frame) {
	readings := a.clock.Add(f.Time)
	if len(a.waiting) == 0 && len(readings) == 1 { // as always but at a jump
		f.Time, f.Now = readings[0].Time, readings[0].Now
		a.distribute(f)
		return
	}
	f.Data = bytes.Clone(f.Data)
	a.waiting = append(a.waiting, f)
	a.decided(readings)
}

// flush follows the frames that wait, as none may come for a while.
func (a *analysis) flush() { a.decided(a.clock.Flush()) }

// decided follows the frames that the clock has decided about.
func (a *analysis) decided(readings []clock.Reading) {
	for i, r := range readings {
		a.waiting[i].Time, a.waiting[i].Now = r.Time, r.Now
	}
	for len(a.waiting) > 0 && !a.waiting[0].Now.IsZero() {
		a.release()
	}
}

// release follows the first frame that has waited. That frame's panic must not stop the others.
func (a *analysis) release() {
	defer a.recovered()
	f := a.waiting[0]
	a.waiting = slices.Delete(a.waiting, 0, 1)
	a.distribute(f)
}

// distribute gives f to the worker that has its connection.
func (a *analysis) distribute(f packet.Frame) {
	a.now = f.Now
	a.count(f)
	if src, dst, ok := a.decoder.Plain(f); ok {
		b := a.batchFor(src, dst)
		f.Data = b.keep(f.Data)
		b.items = append(b.items, item{clock: a.now, number: a.packets, frame: f})
	} else {
		a.decode(f, a)
	}
	if a.now.Sub(a.ticked) >= tickEvery {
		a.tick(false)
	}
}

// Packet makes a a packet.Sink: it gives a packet that the reader has decoded to the worker that
// has its connection.
func (a *analysis) Packet(p *packet.Packet) {
	b := a.batchFor(p.Src, p.Dst)
	kept := *p
	kept.Payload = b.keep(p.Payload)
	b.items = append(b.items, item{clock: a.now, number: a.packets, packet: &kept})
}

// batchFor returns the batch of the worker that has the connections between two addresses, with
// room for one more.
func (a *analysis) batchFor(src, dst netip.Addr) *batch {
	w := a.workers[0]
	if len(a.workers) > 1 {
		w = a.workers[identity.Shard(src, dst, len(a.workers))]
	}
	if len(w.batch.items) >= batchItems || len(w.batch.bytes) >= batchBytes {
		w.send(a.now)
	}
	return w.batch
}

// keep returns a copy of data in the memory of b.
func (b *batch) keep(data []byte) []byte {
	start := len(b.bytes)
	b.bytes = append(b.bytes, data...) // if it moves, the items before keep the old bytes
	return b.bytes[start:len(b.bytes):len(b.bytes)]
}

// tick sends all workers what there is, and the clock.
func (a *analysis) tick(flush bool) {
	a.ticked = a.now
	if a.board != nil {
		a.board.show(&a.counts)
	}
	if flush {
		a.log.Flush()
	}
	var m *mark
	if a.marked.IsZero() {
		a.marked = a.now
	} else if a.every > 0 && a.now.Sub(a.marked) >= a.every {
		a.marked = a.now
		m = a.newMark(a.clock.Last())
	}
	for _, w := range a.workers {
		w.batch.mark, w.batch.flush = m, flush
		w.send(a.now)
	}
}

// follow takes the frames of one ring of an interface for each worker, until ctx ends or a ring
// fails. It returns what the first of them failed with. say is told what the first ring has to say
// of the interface, and report of packets that the kernel has dropped, now and then.
func (a *analysis) follow(ctx context.Context, rings []*capture.Ring, say func(error), report func(dropped uint64)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for i, w := range a.workers {
		a.wait.Go(func() {
			say := say
			if i > 0 { // all of them have the same to say
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

// follow takes the frames of a ring until ctx ends, with those that are in the ring then, or until
// the ring fails. pass is called between them, now and then.
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
		w.table.Advance(started.Add(now.Sub(started)).Round(0)) // also if the computer's clock was set back
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

// finish ends all connections of a recording.
func (a *analysis) finish() {
	a.closeDecoder(a)
	a.log.Flush()
	for _, w := range a.workers {
		w.send(a.now)
		close(w.full)
	}
	a.wait.Wait()
}
