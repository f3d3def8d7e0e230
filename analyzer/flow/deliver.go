package flow

import (
	"example.com/conn"
	"example.com/conn/analyzer/identity"
	"example.com/conn/analyzer/protocol"
)

// maxHandOvers is how often protocols may be found inside one another. Tunnels in tunnels would go
// on forever.
const maxHandOvers = 16

// feed brings an event to the parser of f.
func (t *Table) feed(f *flow, e event) {
	switch {
	case f.ignored:
	case f.parser == nil:
		t.detect(f, e)
	case f.canFollow(f.parser):
		t.give(f, e)
	}
}

// give gives an event to the parser of f, after the bytes that it left over the last time.
func (t *Table) give(f *flow, e event) {
	switch next := protocol.More; {
	case f.ID.Proto != conn.TCP:
		t.call(f, func(p protocol.Parser) { _, next = p.Data(&f.Connection, e.packet(), e.data) })
		t.proceed(f, e, next)
	case e.end():
		f.drop(e.side)
		t.call(f, func(p protocol.Parser) { p.(protocol.StreamParser).End(&f.Connection, e.packet()) })
	case e.gap > 0:
		f.drop(e.side)
		t.call(f, func(p protocol.Parser) {
			next = p.(protocol.StreamParser).Gap(&f.Connection, e.packet(), int(e.gap))
		})
		t.proceed(f, e, next)
	default:
		data := e.data
		kept := f.untaken != nil && f.untaken[e.side].len() > 0
		if kept {
			data = f.untaken[e.side].append(data)
		}
		n := 0
		t.call(f, func(p protocol.Parser) { n, next = p.Data(&f.Connection, e.packet(), data) })
		if f.ignored {
			return // it panicked
		}
		n = min(max(n, 0), len(data))
		switch {
		case kept:
			f.untaken[e.side].take(n)
		case n < len(data):
			if f.untaken == nil {
				f.untaken = new([2]buffer)
			}
			f.untaken[e.side].append(data[n:])
		}
		t.proceed(f, e, next)
	}
}

// call calls the parser of f, and asks what it holds then.
func (t *Table) call(f *flow, method func(protocol.Parser)) {
	s := &f.services[f.service]
	t.contain(f, func() {
		method(s.parser)
		s.held = s.parser.Held(&f.Connection)
	})
}

// proceed does what the parser of f wants after an event.
func (t *Table) proceed(f *flow, e event, next protocol.Next) {
	switch {
	case f.ignored || next == protocol.More:
	case next == protocol.Flip && f.ID.Proto == conn.UDP && f.packets[0]+f.packets[1] == 1 && !f.flipped():
		f.flip()
		f.UID = identity.UID(f.ID, f.Start)
		e.side = e.side.Other()
		t.give(f, e)
	case next == protocol.HandOver && f.ID.Proto == conn.TCP && f.handOvers < maxHandOvers:
		untaken := f.untaken
		f.parser, f.untaken, f.search = nil, nil, &search{again: true}
		f.handOvers++
		for _, side := range []protocol.Side{e.side.Other(), e.side} {
			if untaken != nil && untaken[side].len() > 0 {
				t.feed(f, event{side: side, time: e.time, data: untaken[side].bytes()})
			}
		}
	default:
		switch next {
		case protocol.Violation:
			f.services[f.service].confirmed = false
		case protocol.HandOver:
			t.weird(f, "too_many_nested_protocols", "", "")
		}
		t.ignore(f)
	}
}

// drop forgets what a side's parser has not taken.
func (f *flow) drop(side protocol.Side) {
	if f.untaken != nil {
		f.untaken[side] = buffer{}
	}
}

// A buffer has bytes that a parser has not taken.
type buffer struct {
	data []byte
	from int // where they begin in data
}

// roomy is the capacity that an empty buffer may keep. More is given back: it is needed for a few
// long messages only.
const roomy = 1024

func (b *buffer) len() int      { return len(b.data) - b.from }
func (b *buffer) bytes() []byte { return b.data[b.from:] }
func (b *buffer) size() int     { return cap(b.data) }

// append adds data and returns all bytes.
func (b *buffer) append(data []byte) []byte {
	b.data = append(b.data, data...)
	return b.bytes()
}

// take removes the first n bytes. It takes time in proportion to n, not to what is left.
func (b *buffer) take(n int) {
	b.from += n
	switch left := b.len(); {
	case left == 0 && cap(b.data) <= roomy:
		b.data, b.from = b.data[:0], 0
	case left == 0:
		*b = buffer{}
	case cap(b.data) > roomy && left < cap(b.data)/4:
		*b = buffer{data: append([]byte(nil), b.bytes()...)}
	case b.from > left:
		b.data, b.from = b.data[:copy(b.data, b.bytes())], 0
	}
}
