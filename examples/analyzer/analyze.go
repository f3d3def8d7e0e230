package main

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"example.com/conn/examples/analyzer/capture"
	"example.com/conn/examples/analyzer/flow"
	"example.com/conn/examples/analyzer/logs"
	"example.com/conn/examples/analyzer/packet"
)

// A batch is packets on their way to a worker, with their bytes. It goes back to the reader to be filled again.
type batch struct {
	packets []packet.Packet
	bytes   []byte
	idle    bool      // nothing may come for a while: rows are to be written, and what is due at now is to be done
	now     time.Time // zero if only packets tell the time
}

// A batch is sent when it has this many packets or bytes.
const (
	batchPackets = 512
	batchBytes   = 128 << 10
)

// A worker has a flow table of its own and shares nothing with other workers but the output.
type worker struct {
	table   *flow.Table
	log     *logs.Writer
	batch   *batch      // that is being filled
	full    chan *batch // to the worker
	drained chan *batch // and back
}

// An analysis reads packets and gives each to the worker that has its connection.
type analysis struct {
	decoder      *packet.Decoder
	log          *logs.Writer // of what the decoder logs
	workers      []*worker
	wait         sync.WaitGroup
	packets      int
	bytes        int64
	decodeErrors int
	first, last  time.Time // of packets
}

// newAnalysis starts n workers, each with its own table of the given configuration and its share of the connections and the memory.
func newAnalysis(n int, cfg flow.Config, out *logs.Output) *analysis {
	a := &analysis{decoder: packet.NewDecoder(), log: logs.NewWriter(out)}
	a.decoder.IgnoreChecksums, a.decoder.UDPTimeout = cfg.IgnoreChecksums, cfg.UDPTimeout
	cfg.MaxConnections = max(cfg.MaxConnections/n, 1)
	cfg.MaxTotal = max(cfg.MaxTotal/n, 1)
	for range n {
		w := &worker{log: logs.NewWriter(out), full: make(chan *batch, 4), drained: make(chan *batch, 6)}
		cfg.Log = w.log
		w.table = flow.New(cfg)
		w.batch = new(batch)
		a.workers = append(a.workers, w)
		a.wait.Go(w.run)
	}
	return a
}

// run follows packets until there are no more, and then ends all connections.
func (w *worker) run() {
	for b := range w.full {
		for i := range b.packets {
			w.table.Packet(&b.packets[i])
		}
		if b.idle {
			w.table.Advance(b.now)
			w.log.Flush()
		}
		*b = batch{packets: b.packets[:0], bytes: b.bytes[:0]}
		select {
		case w.drained <- b:
		default:
		}
	}
	w.table.Close()
	w.log.Flush()
}

// send sends w what was gathered for it.
func (w *worker) send() {
	w.full <- w.batch
	select {
	case w.batch = <-w.drained:
	default:
		w.batch = new(batch)
	}
}

// read takes the packets of one source until it ends, or ctx does. tick is called every thousand packets.
func (a *analysis) read(ctx context.Context, s *capture.Source, tick func()) error {
	for {
		f, err := s.Next()
		switch {
		case err == nil:
			a.frame(f)
		case err == io.EOF:
			return nil
		case errors.Is(err, capture.ErrIdle):
			a.idle(s.Now())
		default:
			return err
		}
		if a.packets%1024 == 0 {
			if ctx.Err() != nil {
				return nil
			}
			tick()
		}
	}
}

// frame gives the packet in f, if there is one, to its worker.
func (a *analysis) frame(f packet.Frame) {
	a.packets++
	a.bytes += int64(f.Wire)
	if a.first.IsZero() {
		a.first = f.Time
	}
	if f.Time.After(a.last) {
		a.last = f.Time
	}
	if err := a.decoder.Decode(f, a); err != nil {
		a.decodeErrors++
	}
}

// Weird implements packet.Sink.
func (a *analysis) Weird(time.Time, string, string) {}

// Log implements packet.Sink.
func (a *analysis) Log(row logs.Row) { a.log.Write(row.LogName(), row) }

// Packet implements packet.Sink: it gives a packet to its worker.
func (a *analysis) Packet(found *packet.Packet) {
	p := *found
	w := a.workers[0]
	if len(a.workers) > 1 {
		w = a.workers[packet.Shard(p.Src, p.Dst, len(a.workers))]
	}
	b := w.batch
	start := len(b.bytes)
	b.bytes = append(b.bytes, p.Payload...) // if it moves, the packets before keep the old bytes
	p.Payload = b.bytes[start:len(b.bytes):len(b.bytes)]
	b.packets = append(b.packets, p)
	if len(b.packets) >= batchPackets || len(b.bytes) >= batchBytes {
		w.send()
	}
}

// idle has all workers take the packets that are there and do what is due at now, although they may have no full batch.
func (a *analysis) idle(now time.Time) {
	for _, w := range a.workers {
		w.batch.idle, w.batch.now = true, now
		w.send()
	}
}

// A statsRow is the only row of the log stats.
type statsRow struct {
	Path              string       `json:"_path"`
	Packets           int          `json:"packets"`
	Bytes             int64        `json:"bytes"`
	Connections       int          `json:"connections"`
	Removed           int          `json:"removed"`
	HooksRegistered   int          `json:"hooks_registered"`
	HooksUnregistered int          `json:"hooks_unregistered"`
	HooksRun          int          `json:"hooks_run"`
	DecodeErrors      int          `json:"decode_errors"`
	Panics            int          `json:"panics"`
	Duration          logs.Seconds `json:"duration"` // from the first packet to the last
}

// close ends all connections and returns what was counted.
func (a *analysis) close() (row statsRow, hookTime time.Duration) {
	a.decoder.Close(a)
	a.log.Flush()
	for _, w := range a.workers {
		w.send()
		close(w.full)
	}
	a.wait.Wait()
	row = statsRow{Path: "stats", Packets: a.packets, Bytes: a.bytes, DecodeErrors: a.decodeErrors}
	if a.packets > 0 {
		row.Duration = logs.Interval(a.last.Sub(a.first))
	}
	for _, w := range a.workers {
		s := w.table.Stats
		row.Connections += s.Connections
		row.Removed += s.Removed
		row.HooksRegistered += s.HooksRegistered
		row.HooksUnregistered += s.HooksUnregistered
		row.HooksRun += s.HooksRun
		row.DecodeErrors += s.DecodeErrors
		row.Panics += s.Panics
		hookTime += s.HookTime
	}
	return row, hookTime
}
