package main

import (
	"time"

	"example.com/conn/analyzer/flow"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/packet"
	"example.com/conn/analyzer/panics"
)

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
