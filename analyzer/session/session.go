// Package session delivers the bytes of a connection to a parser. It finds the parser by the first
// bytes of both sides, or else by the port, passes bytes, gaps and ends to it in order, and searches
// again when one protocol hands over to another. It does not depend on TCP or the flow table.
package session

import (
	"slices"
	"strings"
	"time"

	"example.com/conn"
	"example.com/conn/analyzer/protocol"
)

// An Owner owns the connections of sessions, as the flow table does. While it calls a Session,
// every Connection passed to its methods is that session's.
type Owner interface {
	// Flip swaps the originator and the responder of c, if c has had a single datagram and they have
	// not been swapped before. It reports whether it did.
	Flip(c *conn.Connection) bool

	// Panicked takes the value with which a parser panicked. It is called by the deferred function
	// that recovered it.
	Panicked(c *conn.Connection, value any)

	// Weird is as in protocol.Owner.
	Weird(c *conn.Connection, name, addl string)
}

// Parsers holds the parsers of one worker, and the owner of the connections that they parse. It is
// not safe for concurrent use.
type Parsers struct {
	owner  Owner
	all    map[conn.Proto][]protocol.Parser
	byPort map[conn.Proto]map[uint16]protocol.Parser
}

// NewParsers returns the Parsers for the owner's connections. If several claim a connection, the
// first one gets it; if several list a port, the last one gets it.
func NewParsers(owner Owner, parsers []protocol.Parser) *Parsers {
	ps := &Parsers{
		owner:  owner,
		all:    make(map[conn.Proto][]protocol.Parser),
		byPort: map[conn.Proto]map[uint16]protocol.Parser{conn.TCP: {}, conn.UDP: {}},
	}
	for _, p := range parsers {
		transport := p.Transport()
		ps.all[transport] = append(ps.all[transport], p)
		for _, port := range p.Ports() {
			ps.byPort[transport][port] = p
		}
	}
	return ps
}

// A Session delivers the bytes of one connection. The zero value is ready to use. A Session belongs
// to the goroutine that owns the connection.
type Session struct {
	// services are the protocols found so far, each once. There are at most maxHandOvers+1.
	services []service

	// A session has either a parser, which is that of services[service], or a search for one. It has
	// neither before the first event, and when it is ignored.
	search  *search
	service uint8 // the index of the latest service
	parsing bool  // there is a parser

	handOvers uint8 // how often one protocol gave way to another; at most maxHandOvers
	ignored   bool  // bytes are discarded

	// Partial says that the capture lacks the beginning of the connection, so that nothing in it is
	// to be taken for one. The owner sets it before it calls Feed or Decide.
	Partial bool

	untaken *[2]buffer // bytes of each side that the parser has not consumed; nil until there are any
}

// A service is a protocol found in a connection.
type service struct {
	name      string
	parser    protocol.Parser // nil for an announced connection
	held      int             // bytes that the parser holds for the connection
	confirmed bool            // by the parser, which has seen no violation since
}

// maxHandOvers bounds how deep protocols may be nested: otherwise a tunnel in a tunnel in a tunnel
// would never end.
const maxHandOvers = 16

// An Event is what one side of a connection did. With Data, it sent these bytes: over UDP, one
// datagram. With a Gap, it sent that many bytes, which are missing. With neither, it will send no
// more.
type Event struct {
	Time time.Time
	Side protocol.Side
	Data []byte // not kept by the session
	Gap  int64
}

func (e Event) end() bool { return e.Data == nil && e.Gap == 0 }

func (e Event) packet() protocol.Packet { return protocol.Packet{Time: e.Time, Side: e.Side} }

// Feed passes an event of c to its parser, or to the search for one.
func (s *Session) Feed(ps *Parsers, c *conn.Connection, e Event) {
	switch {
	case s.ignored:
	case !s.parsing:
		s.detect(ps, c, e)
	case s.suits(s.services[s.service].parser):
		s.deliver(ps, c, e)
	}
}

// deliver passes an event to the parser, preceded by the bytes that it has not consumed yet.
func (s *Session) deliver(ps *Parsers, c *conn.Connection, e Event) {
	next := protocol.More
	switch {
	case c.ID.Proto != conn.TCP:
		s.call(ps, c, func(p protocol.Parser) { _, next = p.Data(c, e.packet(), e.Data) })
	case e.end():
		s.drop(e.Side)
		s.call(ps, c, func(p protocol.Parser) { p.(protocol.StreamParser).End(c, e.packet()) })
	case e.Gap > 0:
		s.drop(e.Side)
		s.call(ps, c, func(p protocol.Parser) { next = p.(protocol.StreamParser).Gap(c, e.packet(), int(e.Gap)) })
	default:
		next = s.deliverBytes(ps, c, e)
	}
	s.proceed(ps, c, e, next)
}

// deliverBytes passes stream bytes to the parser, and keeps those that it does not consume.
func (s *Session) deliverBytes(ps *Parsers, c *conn.Connection, e Event) (next protocol.Next) {
	data := e.Data
	kept := s.untaken != nil && s.untaken[e.Side].len() > 0
	if kept {
		data = s.untaken[e.Side].append(data)
	}
	n := 0
	s.call(ps, c, func(p protocol.Parser) { n, next = p.Data(c, e.packet(), data) })
	if s.ignored {
		return next // the parser panicked
	}
	n = min(max(n, 0), len(data))
	switch {
	case kept:
		s.untaken[e.Side].take(n)
	case n < len(data):
		if s.untaken == nil {
			s.untaken = new([2]buffer)
		}
		s.untaken[e.Side].append(data[n:])
	}
	return next
}

// call calls a method of the parser, and then asks how much memory it holds.
func (s *Session) call(ps *Parsers, c *conn.Connection, method func(protocol.Parser)) {
	v := &s.services[s.service]
	s.contain(ps, c, func() {
		method(v.parser)
		v.held = v.parser.MemoryUsed(c)
	})
}

// contain calls a parser. If the parser panics, the session is ignored from then on.
func (s *Session) contain(ps *Parsers, c *conn.Connection, call func()) {
	defer func() {
		if v := recover(); v != nil {
			s.Ignore()
			ps.owner.Panicked(c, v)
		}
	}()
	call()
}

// proceed does what the parser asked for after an event.
func (s *Session) proceed(ps *Parsers, c *conn.Connection, e Event, next protocol.Next) {
	switch {
	case s.ignored || next == protocol.More:
	case next == protocol.Flip && c.ID.Proto == conn.UDP && ps.owner.Flip(c):
		e.Side = e.Side.Other()
		s.deliver(ps, c, e)
	case next == protocol.HandOver && c.ID.Proto == conn.TCP && s.handOvers < maxHandOvers:
		untaken := s.untaken
		s.parsing, s.untaken, s.search = false, nil, &search{handedOver: true}
		s.handOvers++
		for _, side := range []protocol.Side{e.Side.Other(), e.Side} {
			if untaken != nil && untaken[side].len() > 0 {
				s.Feed(ps, c, Event{Time: e.Time, Side: side, Data: untaken[side].bytes()})
			}
		}
	default:
		switch next {
		case protocol.Violation:
			s.services[s.service].confirmed = false
		case protocol.HandOver:
			ps.owner.Weird(c, "too_many_nested_protocols", "")
		}
		s.Ignore()
	}
}

// drop discards the bytes of a side that the parser has not consumed.
func (s *Session) drop(side protocol.Side) {
	if s.untaken != nil {
		s.untaken[side] = buffer{}
	}
}

// Ignore ends the delivery: bytes of the connection are discarded from now on.
func (s *Session) Ignore() {
	s.ignored, s.parsing, s.search, s.untaken = true, false, nil, nil
}

// IsIgnored reports whether the bytes of the connection are discarded.
func (s *Session) IsIgnored() bool { return s.ignored }

// Announce names the protocol of the connection, which another connection has announced. No parser
// gets its bytes.
func (s *Session) Announce(name string) {
	s.services = append(s.services, service{name: name, confirmed: true})
	s.Ignore()
}

// Confirm says that the connection does speak the protocol of its latest parser.
func (s *Session) Confirm() {
	if len(s.services) > 0 {
		s.services[s.service].confirmed = true
	}
}

// Untouched reports whether no parser was ever attached to the connection.
func (s *Session) Untouched() bool { return len(s.services) == 0 }

// Identified reports whether the connection has a parser or a confirmed protocol.
func (s *Session) Identified() bool {
	return s.parsing || slices.ContainsFunc(s.services, func(v service) bool { return v.confirmed })
}

// Service returns the name of the protocol found last, "" if there is none.
func (s *Session) Service() string {
	if len(s.services) == 0 {
		return ""
	}
	return s.services[s.service].name
}

// Services returns the names of the confirmed protocols, in the order in which they were found,
// separated by commas: conn.log's service.
func (s *Session) Services() string {
	if len(s.services) == 0 {
		return ""
	}
	var names []string
	for _, v := range s.services {
		if v.confirmed {
			names = append(names, v.name)
		}
	}
	return strings.Join(names, ",")
}

// Expired reports whether, according to the parser of c, a packet at now no longer belongs to c,
// whose previous packet came at last; see protocol.Expirer.
func (s *Session) Expired(ps *Parsers, c *conn.Connection, last, now time.Time) (over bool) {
	if !s.parsing {
		return false
	}
	if e, ok := s.services[s.service].parser.(protocol.Expirer); ok {
		s.contain(ps, c, func() { over = e.Expired(c, last, now) })
	}
	return over
}

// Waiting returns how many bytes of memory hold the unconsumed data of one side.
func (s *Session) Waiting(side protocol.Side) int {
	if s.untaken == nil {
		return 0
	}
	return s.untaken[side].size()
}

// ParsersHold returns how many bytes of memory the parsers hold for the connection.
func (s *Session) ParsersHold() (n int) {
	for _, v := range s.services {
		n += v.held
	}
	return n
}

// Searching returns how many bytes of memory are held to find a parser.
func (s *Session) Searching() int {
	if s.search == nil {
		return 0
	}
	return s.search.size()
}

// FreeMemory makes the parsers free what they hold for the connection.
func (s *Session) FreeMemory(ps *Parsers, c *conn.Connection) {
	for i := range s.services {
		v := &s.services[i]
		if v.parser != nil && v.held > 0 {
			s.contain(ps, c, func() {
				v.parser.FreeMemory(c)
				v.held = v.parser.MemoryUsed(c)
			})
		}
	}
}

// Count asks the parsers again how much they hold, after a hook of c has run.
func (s *Session) Count(ps *Parsers, c *conn.Connection) {
	for i := range s.services {
		v := &s.services[i]
		if v.parser != nil {
			s.contain(ps, c, func() { v.held = v.parser.MemoryUsed(c) })
		}
	}
}
