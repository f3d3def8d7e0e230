package main

import (
	"time"

	"example.com/conn/analyzer/flow"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/packet"
)

// A worker follows its share of the connections.
type worker struct {
	frames
	table   *flow.Table
	board   *board      // nil if metrics are off
	batch   *batch      // being filled
	full    chan *batch // to the worker
	drained chan *batch // and back
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

// keep returns a copy of data in the memory of b.
func (b *batch) keep(data []byte) []byte {
	start := len(b.bytes)
	b.bytes = append(b.bytes, data...) // if it moves, the items before keep the old bytes
	return b.bytes[start:len(b.bytes):len(b.bytes)]
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

// Packet makes w a packet.Sink.
func (w *worker) Packet(p *packet.Packet) { w.table.Packet(p) }

// end removes all connections.
func (w *worker) end() {
	w.board.begin()
	w.closeDecoder(w)
	w.table.Close()
	w.log.Flush()
	w.show()
	w.board.wait()
}

// counted returns the counters of w and its table.
func (w *worker) counted() counts {
	c := w.counts
	c.flow, c.active, c.held = w.table.Stats, w.table.Len(), w.table.Held()
	return c
}

// show publishes the counters of w.
func (w *worker) show() {
	if w.board != nil {
		c := w.counted()
		w.board.show(&c)
	}
}
