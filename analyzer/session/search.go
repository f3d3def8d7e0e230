package session

import (
	"bytes"
	"slices"

	"example.com/conn"
	"example.com/conn/analyzer/protocol"
)

// A search keeps the events of a connection until a parser is found, which then gets all of them.
// It is Zeek's dynamic protocol detection.
type search struct {
	// first holds the bytes of each side: together at most maxSearch, and those of the latest event.
	first  [2][]byte
	events []kept // in order; at most maxEvents and the end of each side

	// asked is how many bytes the parsers were last asked about. half is the first parser that then
	// returned protocol.Half, or nil.
	asked int
	half  protocol.Parser

	skipped    int  // bytes of earlier datagrams, which no parser claimed; see maxSkipped
	handedOver bool // another protocol came before, so the port does not count
}

// kept is an event whose data is the next n bytes of search.first.
type kept struct {
	Event
	n int
}

// Bounds of what is kept to find a parser.
const (
	maxSearch = 4096 // bytes of both sides together
	maxEvents = 256
	eventCost = 64 // bytes that an event takes
)

// maxSkipped is how many bytes of datagrams, of both sides together, may precede the datagram by
// which a parser is found, as STUN precedes DTLS. It is Zeek's dpd_buffer_size.
const maxSkipped = 1024

func (r *search) len() int { return len(r.first[0]) + len(r.first[1]) }

func (r *search) size() int {
	return cap(r.first[0]) + cap(r.first[1]) + cap(r.events)*eventCost
}

// add keeps an event, and reports whether there is room for more.
func (r *search) add(e Event) bool {
	r.first[e.Side] = append(r.first[e.Side], e.Data...)
	x := kept{Event: e, n: len(e.Data)}
	x.Data = nil
	if n := len(r.events); n >= maxEvents && x.n > 0 && r.events[n-1].n > 0 && r.events[n-1].Side == e.Side {
		r.events[n-1].n += x.n
	} else {
		r.events = append(r.events, x)
	}
	return r.len() < maxSearch && len(r.events) <= maxEvents
}

// skip discards the datagrams, as no parser claimed them.
func (r *search) skip() {
	*r = search{skipped: r.skipped + r.asked}
}

// suits reports whether p can parse the session: only a Resumer can begin in the middle of a
// stream. Zeek's parsers differ in the same way.
func (s *Session) suits(p protocol.Parser) bool {
	if !s.Partial {
		return true
	}
	r, ok := p.(protocol.Resumer)
	return ok && r.Resumes()
}

// detect adds an event to the search, and looks for the parser of c.
func (s *Session) detect(ps *Parsers, c *conn.Connection, e Event) {
	r := s.search
	if r == nil {
		r = new(search)
		s.search = r
	}
	begins := len(r.first[e.Side]) == 0
	if r.handedOver && begins && len(e.Data) > 0 {
		// Extra empty lines after the reply to CONNECT are not part of the inner protocol.
		if e.Data = bytes.TrimLeft(e.Data, "\r\n"); len(e.Data) == 0 {
			return
		}
	}
	room := r.add(e) && e.Gap == 0
	if e.end() {
		return // the other side may have more to say
	}
	if room && !begins && r.len() < r.asked+r.asked/8 {
		return // asking for each byte of many would take quadratic time
	}
	found, maybe := s.match(ps, c)
	if s.ignored {
		return // a parser panicked
	}
	byPort := s.byPort(ps, c)
	switch {
	case found == nil && c.ID.Proto == conn.TCP && maybe && room:
	case found == nil && c.ID.Proto == conn.UDP && byPort == nil && r.skipped+r.asked <= maxSkipped:
		r.skip()
	default:
		s.attach(ps, c, firstOf(found, byPort, r.half))
	}
}

// firstOf returns the first of several parsers that is not nil.
func firstOf(parsers ...protocol.Parser) protocol.Parser {
	for _, p := range parsers {
		if p != nil {
			return p
		}
	}
	return nil
}

// match asks the parsers about the bytes of both sides. It returns the first parser that is sure,
// or else whether one may become sure later.
func (s *Session) match(ps *Parsers, c *conn.Connection) (found protocol.Parser, maybe bool) {
	r := s.search
	r.asked, r.half = r.len(), nil
	for _, p := range ps.all[c.ID.Proto] {
		if !s.suits(p) {
			continue
		}
		verdict := protocol.No
		s.contain(ps, c, func() { verdict = p.Match(r.first[0], r.first[1]) })
		switch {
		case s.ignored:
			return nil, false
		case verdict == protocol.Yes:
			return p, false
		case verdict == protocol.Half && r.half == nil:
			r.half = p
		case verdict == protocol.Maybe:
			maybe = true
		}
	}
	return nil, maybe
}

// byPort returns the parser for the responder's port, or nil.
func (s *Session) byPort(ps *Parsers, c *conn.Connection) protocol.Parser {
	p := ps.byPort[c.ID.Proto][c.ID.Resp.Port()]
	if p == nil || s.search.handedOver || !s.suits(p) {
		return nil
	}
	return p
}

// Decide ends the search. It picks a parser by the events so far or by the port, if there is one.
func (s *Session) Decide(ps *Parsers, c *conn.Connection) {
	r := s.search
	if r == nil {
		return
	}
	var found protocol.Parser
	if r.len() > r.asked {
		found, _ = s.match(ps, c)
	}
	if !s.ignored {
		s.attach(ps, c, firstOf(found, s.byPort(ps, c), r.half))
	}
}

// attach makes p the parser of c, and passes it all events so far. If p is nil, c is ignored.
func (s *Session) attach(ps *Parsers, c *conn.Connection, p protocol.Parser) {
	r := s.search
	s.search = nil
	if p == nil {
		s.Ignore()
		return
	}
	// A protocol may contain itself, as in a tunnel of HTTP inside another.
	known := slices.IndexFunc(s.services, func(v service) bool { return v.name == p.Name() })
	if known < 0 {
		known = len(s.services)
		s.services = append(s.services, service{name: p.Name(), parser: p})
	}
	s.service, s.parsing = uint8(known), true
	var at [2]int
	for _, x := range r.events {
		e := x.Event
		if x.n > 0 {
			e.Data = r.first[e.Side][at[e.Side]:][:x.n]
			at[e.Side] += x.n
		}
		s.Feed(ps, c, e)
	}
}
