package flow

import (
	"bytes"
	"time"

	"example.com/conn"
	"example.com/conn/analyzer/protocol"
)

// content is what a connection carries and who wants it.
type content struct {
	services  []service       // protocols that it was taken for, each once; at most one more than handOvers
	service   int             // of services, that of parser
	parser    protocol.Parser // nil if none was found yet, or nobody listens
	search    *search         // nil if parser is set, or nobody listens, or nothing has come
	untaken   *[2]buffer      // what parser has not taken; nil if there never was anything
	handOvers uint8           // how often one protocol gave way to another; at most maxHandOvers
	ignored   bool            // nobody listens
}

// A service is a protocol that a connection was taken for.
type service struct {
	name      string
	parser    protocol.Parser // nil for an announced connection
	held      int             // bytes that the parser holds for the connection
	confirmed bool            // and it has not refuted it since
}

// A search is what is kept of a connection until a parser is found for it: what has happened so
// far.
type search struct {
	first   [2][]byte       // the bytes of each side, together at most maxSearch and what came last
	events  []seen          // what happened, in order, at most maxEvents and an end of each side
	asked   int             // how many bytes the parsers were asked about
	half    protocol.Parser // was sure of one side then, and of the other that it is not its protocol's; may be nil
	skipped int             // bytes of the datagrams before, which no parser wanted; at most maxSkipped
	again   bool            // another protocol came before: the port says nothing
}

// seen is an event whose data is the next n bytes of search.first.
type seen struct {
	event
	n int
}

// How much is kept to find a parser, in bytes of both sides together and in events.
const (
	maxSearch = 4096
	maxEvents = 256
	seenCost  = 64 // what an event takes
)

// maxSkipped is how many bytes of datagrams may come, of both sides together, before the one by
// which a parser is found, such as STUN before DTLS. It is Zeek's dpd_buffer_size.
const maxSkipped = 1024

func (s *search) size() int {
	return cap(s.first[0]) + cap(s.first[1]) + cap(s.events)*seenCost
}

// add keeps an event, and reports whether there is room for more.
func (s *search) add(e event) bool {
	s.first[e.side] = append(s.first[e.side], e.data...)
	x := seen{event: e, n: len(e.data)}
	x.data = nil
	if n := len(s.events); n >= maxEvents && x.n > 0 && s.events[n-1].n > 0 && s.events[n-1].side == e.side {
		s.events[n-1].n += x.n
	} else {
		s.events = append(s.events, x)
	}
	return len(s.first[0])+len(s.first[1]) < maxSearch && len(s.events) <= maxEvents
}

// canFollow reports whether p can follow f: in the middle of a stream, what looks like a beginning
// is none. Zeek's parsers make the same difference.
func (f *flow) canFollow(p protocol.Parser) bool {
	if !f.ends[0].late && !f.ends[1].late {
		return true
	}
	r, ok := p.(protocol.Resumer)
	return ok && r.Resumes()
}

// detect finds the parser of f by what both sides have sent: Zeek's dynamic protocol detection.
func (t *Table) detect(f *flow, e event) {
	s := f.search
	if s == nil {
		s = new(search)
		f.search = s
	}
	begins := len(s.first[e.side]) == 0
	if s.again && begins && len(e.data) > 0 {
		// An empty line too many, behind the reply to CONNECT, is not of the protocol inside.
		if e.data = bytes.TrimLeft(e.data, "\r\n"); len(e.data) == 0 {
			return
		}
	}
	room := s.add(e) && e.gap == 0
	if e.end() {
		return // the other side may have more to say
	}
	if n := len(s.first[0]) + len(s.first[1]); room && !begins && n < s.asked+s.asked/8 {
		return // asking for each byte of many would take quadratic time
	}
	found, maybe := t.judge(f)
	if f.ignored {
		return // a parser panicked
	}
	byPort := t.byPort(f)
	switch {
	case found != nil:
		t.attach(f, found)
	case f.ID.Proto == conn.TCP && maybe && room:
	case f.ID.Proto == conn.UDP && byPort == nil && s.skipped+s.asked <= maxSkipped:
		s.skipped, s.asked = s.skipped+s.asked, 0
		s.events = s.events[:0] // datagrams stand for themselves
		s.first = [2][]byte{s.first[0][:0], s.first[1][:0]}
	case byPort != nil:
		t.attach(f, byPort)
	default:
		t.attach(f, s.half)
	}
}

// judge asks the parsers. It returns the first that is sure, or else whether one may become so.
func (t *Table) judge(f *flow) (found protocol.Parser, maybe bool) {
	s := f.search
	s.asked, s.half = len(s.first[0])+len(s.first[1]), nil
	for _, p := range t.parsers[f.ID.Proto] {
		if !f.canFollow(p) {
			continue
		}
		verdict := protocol.No
		t.contain(f, func() { verdict = p.Match(s.first[0], s.first[1]) })
		switch {
		case f.ignored:
			return nil, false
		case verdict == protocol.Yes:
			return p, false
		case verdict == protocol.Half && s.half == nil:
			s.half = p
		case verdict == protocol.Maybe:
			maybe = true
		}
	}
	return nil, maybe
}

// byPort returns the parser that the port of f stands for, nil if there is none.
func (t *Table) byPort(f *flow) protocol.Parser {
	p := t.ports[f.ID.Proto][f.ID.Resp.Port()]
	if p == nil || f.search.again || !f.canFollow(p) {
		return nil
	}
	return p
}

// conclude gives up what f waits for, bytes that an ACK alone knows of and more to find a parser by.
func (t *Table) conclude(f *flow) {
	t.release(f)
	for side := range protocol.Side(2) {
		t.acknowledged(f, side, f.last, f.ends[side].ack)
		if f.rare != nil && len(f.claims[side]) > 0 {
			t.settle(f, side, true)
			t.finish(f, side, f.last)
			t.reject(f, side)
		}
	}
	s := f.search
	if s == nil {
		return
	}
	var found protocol.Parser
	if len(s.first[0])+len(s.first[1]) > s.asked {
		found, _ = t.judge(f)
	}
	byPort := t.byPort(f)
	switch {
	case f.ignored:
	case found != nil:
		t.attach(f, found)
	case byPort != nil:
		t.attach(f, byPort)
	default:
		t.attach(f, s.half)
	}
}

// attach makes p the parser of f and gives it what has happened so far. With a nil p, nobody
// listens to f any more.
func (t *Table) attach(f *flow, p protocol.Parser) {
	s := f.search
	f.search = nil
	if p == nil {
		t.ignore(f)
		return
	}
	f.parser = p
	f.service = -1
	for i, known := range f.services {
		if known.name == p.Name() { // as in a tunnel of HTTP inside one
			f.service = i
		}
	}
	if f.service < 0 {
		f.service = len(f.services)
		f.services = append(f.services, service{name: p.Name(), parser: p})
	}
	var at [2]int
	for _, x := range s.events {
		e := x.event
		if x.n > 0 {
			e.data = s.first[e.side][at[e.side]:][:x.n]
			at[e.side] += x.n
		}
		t.feed(f, e)
	}
}

// ignore makes f a connection whose bytes nobody wants.
func (t *Table) ignore(f *flow) {
	f.ignored, f.parser, f.search, f.untaken = true, nil, nil, nil
	f.ends[0].stream.forget()
	f.ends[1].stream.forget()
}

// Confirm implements protocol.Owner.
func (t *Table) Confirm(c *conn.Connection) {
	if f := t.flowOf(c); f != nil && len(f.services) > 0 {
		f.services[f.service].confirmed = true
	}
}

// confirmed reports whether f turned out to speak a protocol.
func (f *flow) confirmed() bool {
	for _, s := range f.services {
		if s.confirmed {
			return true
		}
	}
	return false
}

// parsersHold returns how many bytes the parsers of f hold for it.
func (f *flow) parsersHold() (n int) {
	for _, s := range f.services {
		n += s.held
	}
	return n
}

// An event is what a side of a connection did: it sent data, or sent bytes that are missing (gap),
// or else came to its end.
type event struct {
	time time.Time
	data []byte
	gap  int64
	side protocol.Side
}

func (e event) end() bool { return e.data == nil && e.gap == 0 }

func (e event) packet() protocol.Packet { return protocol.Packet{Time: e.time, Side: e.side} }
