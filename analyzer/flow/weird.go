package flow

import (
	"slices"
	"strings"

	"example.com/conn"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/packet"
)

// maxWeirds bounds the weirds logged per connection.
const maxWeirds = 16

// Weirds returns the counts of weirds by name. Their Counts method may be called from any
// goroutine.
func (t *Table) Weirds() *logs.WeirdLimit { return &t.weirds }

// Weird implements protocol.Owner.
func (t *Table) Weird(c *conn.Connection, name, addl string) {
	f := t.flowOf(c)
	if f == nil || f.suppresses(name) {
		return // a parser may report the same weird for every byte
	}
	t.weird(f, name, addl, strings.ToUpper(f.session.Service()))
}

// suppresses reports whether f has already logged the weird, or too many others.
func (f *flow) suppresses(name string) bool {
	names := f.rare().weirds
	return len(names) >= maxWeirds || slices.Contains(names, name)
}

// weird logs a weird of f, once per name.
func (t *Table) weird(f *flow, name, addl, source string) {
	if f.suppresses(name) {
		return
	}
	r := f.more()
	r.weirds = append(r.weirds, name)
	f.tcp.NoteWeird()
	if t.weirds.Allow(name, t.now) {
		at := t.at
		switch {
		case !f.tcp.Replayed().IsZero():
			at = f.tcp.Replayed()
		case t.ending != notRemoved:
			at = f.tcp.Last // the time of removal depends on other connections
		}
		t.Log(logs.NewWeird(&f.Connection, at, name, addl, source))
	}
}

// packetWeird logs a weird of a packet that belongs to no connection.
func (t *Table) packetWeird(p *packet.Packet, name string) {
	if !t.weirds.Allow(name, t.now) {
		return
	}
	row := logs.NewWeird(nil, p.Time, name, "", "")
	row.OrigH, row.RespH = p.Src, p.Dst
	t.Log(row)
}
