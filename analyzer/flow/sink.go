package flow

import (
	"time"

	"example.com/conn/analyzer/protocol"
	"example.com/conn/analyzer/session"
	"example.com/conn/analyzer/tcp"
)

// sink returns a sink for f. It is valid until the next call.
func (t *Table) sink(f *flow) *sink {
	t.toSession = sink{t, f}
	return &t.toSession
}

func (s *sink) Data(side tcp.Side, at time.Time, data []byte) {
	s.table.feed(s.flow, session.Event{Side: protocol.Side(side), Time: at, Data: data})
}

func (s *sink) Gap(side tcp.Side, at time.Time, n int64) {
	s.table.feed(s.flow, session.Event{Side: protocol.Side(side), Time: at, Gap: n})
}

func (s *sink) EOF(side tcp.Side, at time.Time) {
	s.table.feed(s.flow, session.Event{Side: protocol.Side(side), Time: at})
}

func (s *sink) Weird(name, addl, source string) { s.table.weird(s.flow, name, addl, source) }

func (s *sink) Flip() { s.flow.swapSides() }

// updateCloseTimer starts the wait for late packets of f if f has ended, and stops it if f continues
// after all.
func (t *Table) updateCloseTimer(f *flow) {
	switch over := f.tcp.Over(); {
	case over && f.timer != closeTimer:
		t.timers.start(f, closeTimer, t.now)
	case !over && f.timer == closeTimer:
		t.timers.start(f, longTimer, t.now)
	}
}

// finish ends all waiting in f: for bytes that were acknowledged but not captured, for more bytes to
// find a parser by, and for an announcement that was captured after f began.
func (t *Table) finish(f *flow) {
	f.tcp.Flush(t.sink(f))
	t.updateCloseTimer(f)
	outer := t.enter(f)
	f.session.Decide(t.parsers, &f.Connection)
	t.leave(f, outer)
	t.attachExpected(f)
}
