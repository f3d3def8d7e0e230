package flow

import (
	"fmt"
	"net/netip"
	"runtime/debug"
	"slices"
	"time"

	"example.com/conn"
	"example.com/conn/examples/analyzer/protocol"
)

// An event is what a side of a connection did: it sent data, or sent bytes that are missing (gap), or else came to its end.
type event struct {
	side int
	time time.Time
	data []byte
	gap  int64
}

func (e event) end() bool { return e.data == nil && e.gap == 0 }

func (e event) packet() protocol.Packet {
	return protocol.Packet{Time: e.time, Side: protocol.Side(e.side)}
}

// A service is a protocol that a connection turned out to speak.
type service struct {
	name      string
	confirmed bool // and it has not refuted it since
}

// content is what a connection carries and who wants it.
type content struct {
	services []service
	parser   protocol.Parser // nil if none was found
	search   *search         // nil if parser is set, or deaf, or nothing has come
	held     *[2][]byte      // what parser has not taken yet; nil if there was nothing
	deaf     bool            // nobody wants this connection's bytes
}

// A search is what is kept of a connection until a parser is found for it: what has happened so far.
type search struct {
	first     [2][]byte // the bytes of each side
	events    []event   // the same in the order in which they came, for the parser
	datagrams int       // how many were looked at
	again     bool      // another protocol came before: the port says nothing
}

// maxSearch is how many bytes of both sides together are kept to find a parser, and how many datagrams are looked at.
const (
	maxSearch    = 4096
	maxDatagrams = 8
)

// feed brings an event to the parser of f.
func (t *Table) feed(f *flow, e event) {
	switch {
	case f.deaf:
	case f.parser != nil:
		if f.suits(f.parser) {
			t.give(f, e)
		}
	default:
		t.detect(f, e)
	}
}

// suits reports whether p can follow f: in the middle of a stream, what looks like a beginning is none. Zeek's parsers
// make the same difference.
func (f *flow) suits(p protocol.Parser) bool {
	if !f.partial {
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
	e.data = slices.Clone(e.data)
	if f.ID.Proto == conn.UDP {
		s.datagrams++
	}
	s.events = append(s.events, e)
	if e.end() {
		return // the other side may have more to say
	}
	s.first[e.side] = append(s.first[e.side], e.data...)
	maybe := false
	for _, p := range t.parsers[f.ID.Proto] {
		if !f.suits(p) {
			continue
		}
		verdict := protocol.No
		t.watch(f, func() { verdict = p.Match(s.first[0], s.first[1]) })
		if f.deaf {
			return // it panicked
		}
		switch verdict {
		case protocol.Yes:
			t.attach(f, p)
			return
		case protocol.Maybe:
			maybe = true
		}
	}
	ported := t.ported(f)
	switch {
	case f.ID.Proto == conn.UDP && ported == nil && s.datagrams < maxDatagrams:
		s.events, s.first = nil, [2][]byte{} // datagrams stand for themselves
	case f.ID.Proto == conn.TCP && maybe && e.gap == 0 && len(s.first[0])+len(s.first[1]) < maxSearch:
	default:
		t.attach(f, ported)
	}
}

// ported returns the parser that the port of f stands for, nil if there is none.
func (t *Table) ported(f *flow) protocol.Parser {
	p := t.ports[f.ID.Proto][f.ID.Resp.Port()]
	if p == nil || f.search.again || !f.suits(p) {
		return nil
	}
	return p
}

// conclude ends the search for a parser when no more will come.
func (t *Table) conclude(f *flow) {
	if f.search != nil {
		t.attach(f, t.ported(f))
	}
}

// attach makes p the parser of f and gives it what has happened so far. With a nil p, nobody listens to f any more.
func (t *Table) attach(f *flow, p protocol.Parser) {
	events := f.search.events
	f.search = nil
	if p == nil {
		t.ignore(f)
		return
	}
	f.parser = p
	f.services = append(f.services, service{name: p.Name()})
	for _, e := range events {
		t.feed(f, e)
	}
}

// ignore makes f a connection whose bytes nobody wants.
func (t *Table) ignore(f *flow) {
	f.deaf, f.parser, f.search, f.held = true, nil, nil, nil
}

// give gives an event to the parser of f, after the bytes that it left over the last time.
func (t *Table) give(f *flow, e event) {
	if f.held == nil {
		f.held = new([2][]byte)
	}
	p, packet := f.parser, e.packet()
	next := protocol.More
	n, data := 0, e.data
	switch {
	case e.end():
		f.held[e.side] = nil
		t.watch(f, func() { p.(protocol.StreamParser).End(&f.Connection, packet) })
	case e.gap > 0:
		f.held[e.side] = nil
		t.watch(f, func() { next = p.(protocol.StreamParser).Gap(&f.Connection, packet, int(e.gap)) })
	default:
		if len(f.held[e.side]) > 0 && f.ID.Proto == conn.TCP {
			f.held[e.side] = append(f.held[e.side], data...)
			data = f.held[e.side]
		}
		t.watch(f, func() { n, next = p.Data(&f.Connection, packet, data) })
	}
	if f.deaf {
		return // it panicked
	}
	if next == protocol.Violation {
		f.services[len(f.services)-1].confirmed = false
	}
	rest := data[min(max(n, 0), len(data)):]
	switch {
	case next == protocol.HandOver && f.ID.Proto == conn.TCP:
		other := f.held[1-e.side]
		f.parser, f.held, f.search = nil, nil, &search{again: true}
		if len(other) > 0 {
			t.feed(f, event{side: 1 - e.side, time: e.time, data: other})
		}
		if len(rest) > 0 {
			t.feed(f, event{side: e.side, time: e.time, data: rest})
		}
	case next != protocol.More || len(rest) > t.cfg.MaxBuffered:
		t.ignore(f)
	case f.ID.Proto == conn.TCP && e.data != nil:
		f.held[e.side] = append(f.held[e.side][:0], rest...)
	}
}

// watch calls a parser and contains its panics.
func (t *Table) watch(f *flow, call func()) {
	t.confirming = false
	defer func() {
		t.report(f, recover())
		if t.confirming && len(f.services) > 0 {
			f.services[len(f.services)-1].confirmed = true
		}
	}()
	call()
}

func pending(f *flow) (n int) {
	for range f.RemovalHooks() {
		n++
	}
	return n
}

// stateRemove runs the hooks of f. That each of those that are registered now runs once is what package conn promises.
// Hooks that hooks register or unregister are between them and conn; they are not counted.
func (t *Table) stateRemove(f *flow) {
	n := pending(f)
	if n == 0 {
		conn.StateRemove(&f.Connection)
		return
	}
	t.Stats.HooksRun += n
	start := time.Now()
	defer func() {
		t.report(f, recover())
		t.Stats.HookTime += time.Since(start)
	}()
	conn.StateRemove(&f.Connection)
}

// report reports the panic of a parser or hook of f, if there was one. f goes on without parsers.
func (t *Table) report(f *flow, panicked any) {
	if panicked == nil {
		return
	}
	t.Stats.Panics++
	t.ignore(f)
	fmt.Fprintf(t.cfg.Errors, "analyzer: connection %s: panic: %v\n%s", f.UID, panicked, debug.Stack())
}

// maxExpected bounds the announcements of one worker.
const (
	maxExpected    = 1000
	expectedExpiry = 5 * time.Minute
)

type expectation struct {
	orig    netip.Addr
	resp    netip.AddrPort
	service string
	attach  func(*conn.Connection)
	since   time.Time
}

// expectations are announced connections, the oldest first. There are few at a time: one for each FTP transfer that has
// not begun.
type expectations []expectation

// Expect implements protocol.Owner.
func (t *Table) Expect(orig netip.Addr, resp netip.AddrPort, service string, attach func(c *conn.Connection)) {
	if len(t.expect) >= maxExpected {
		t.expect = slices.Delete(t.expect, 0, 1)
	}
	t.expect = append(t.expect, expectation{orig, resp, service, attach, t.now})
}

// attachExpected gives f, which is new, to the parser that has announced it.
func (t *Table) attachExpected(f *flow) {
	if len(t.expect) == 0 || f.ID.Proto != conn.TCP {
		return
	}
	t.expect = slices.DeleteFunc(t.expect, func(x expectation) bool { return t.now.Sub(x.since) > expectedExpiry })
	i := slices.IndexFunc(t.expect, func(x expectation) bool {
		return x.resp == f.ID.Resp && (!x.orig.IsValid() || x.orig == f.ID.Orig.Addr())
	})
	if i < 0 {
		return
	}
	x := t.expect[i]
	t.expect = slices.Delete(t.expect, i, i+1)
	f.services = append(f.services, service{name: x.service, confirmed: true})
	t.watch(f, func() { x.attach(&f.Connection) })
	t.ignore(f) // the announcement says what it is: no parser is wanted
}
