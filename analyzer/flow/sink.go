package flow

import (
	"time"

	"example.com/conn/analyzer/protocol"
	"example.com/conn/analyzer/session"
	"example.com/conn/analyzer/tcp"
)

// sink returns the sink of f, which is good until it is called for another flow.
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

func (s *sink) Flip() { s.flow.exchange() }

// settle does what an outcome says of the end of f.
func (t *Table) settle(f *flow, outcome tcp.Outcome) {
	switch outcome {
	case tcp.Closed:
		t.timers.start(f, closeTimer, t.now)
	case tcp.Reopened:
		t.timers.start(f, longTimer, t.now)
	}
}

// conclude gives up what f waits for, bytes that an ACK alone knows of and more to find a parser by.
func (t *Table) conclude(f *flow) {
	t.settle(f, f.tcp.Conclude(t.sink(f)))
	outer := t.enter(f)
	f.session.Decide(t.parsers, &f.Connection)
	t.leave(f, outer)
}
