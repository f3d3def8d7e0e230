package flow

import (
	"slices"
	"strings"

	"example.com/conn"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/packet"
)

// maxWeirds bounds the names that a connection is known for.
const maxWeirds = 16

// Weirds counts what should not be. Its Counts may be called from any goroutine.
func (t *Table) Weirds() *logs.WeirdLimit { return &t.weirds }

// Weird implements protocol.Owner.
func (t *Table) Weird(c *conn.Connection, name, addl string) {
	f := t.flowOf(c)
	if f == nil || f.knownFor(name) {
		return // a parser may find the same in every byte
	}
	t.weird(f, name, addl, strings.ToUpper(f.session.Service()))
}

// knownFor reports whether no row with name is wanted any more for f.
func (f *flow) knownFor(name string) bool {
	names := f.rare.noted()
	return len(names) >= maxWeirds || slices.Contains(names, name)
}

// weird notes something in f that should not be, once for each name.
func (t *Table) weird(f *flow, name, addl, source string) {
	if f.knownFor(name) {
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
			at = f.tcp.Last // when it ends depends on other connections
		}
		t.Log(logs.NewWeird(&f.Connection, at, name, addl, source))
	}
}

// packetWeird notes something in a packet that belongs to no connection.
func (t *Table) packetWeird(p *packet.Packet, name string) {
	if !t.weirds.Allow(name, t.now) {
		return
	}
	row := logs.NewWeird(nil, p.Time, name, "", "")
	row.OrigH, row.RespH = p.Src, p.Dst
	t.Log(row)
}
