package dns

import (
	"slices"
	"time"

	"example.com/conn"
	"example.com/conn/analyzer/protocol"
)

const (
	maxIDs    = 50       // transaction IDs with pending rows; Zeek's DNS::max_pending_query_ids
	maxQueued = 50       // rows pending for one ID; Zeek's DNS::max_pending_msgs
	maxHeld   = 64 << 10 // bytes of one side's rows; Zeek has no such limit
)

// pending holds the rows of a connection's queries, or of its replies, that have no counterpart
// yet. Where a limit is exceeded, rows are logged unpaired.
type pending struct {
	queues []queue // at most maxIDs+1, the oldest first
	size   int     // bytes of the rows
}

// A queue holds the rows of one ID, oldest first.
type queue struct {
	id   uint16
	rows []*Row // at most maxQueued+1
}

func (p *pending) find(id uint16) int {
	return slices.IndexFunc(p.queues, func(q queue) bool { return q.id == id })
}

// take removes and returns the oldest row with the given ID, or returns nil.
func (p *pending) take(id uint16) *Row {
	i := p.find(id)
	if i < 0 {
		return nil
	}
	q := &p.queues[i]
	r := q.rows[0]
	p.size -= r.held()
	if q.rows = slices.Delete(q.rows, 0, 1); len(q.rows) == 0 {
		p.queues = slices.Delete(p.queues, i, i+1)
	}
	if len(p.queues) == 0 {
		p.queues = nil
	}
	return r
}

// add adds a row. It reports whether a limit made it log others.
func (p *pending) add(r *Row, o protocol.Owner) (limited bool) {
	i := p.find(r.TransID)
	switch {
	case p.size+r.held() > maxHeld && p.size > 0:
		p.flush(o, 0)
		i, limited = -1, true
	case i < 0 && len(p.queues) > maxIDs:
		p.flush(o, 1)
		limited = true
	case i >= 0 && len(p.queues[i].rows) > maxQueued:
		for _, r := range p.queues[i].rows {
			p.size -= r.held()
			o.Log(r)
		}
		p.queues[i].rows = nil
		limited = true
	}
	if i < 0 {
		i = len(p.queues)
		p.queues = append(p.queues, queue{id: r.TransID})
	}
	p.queues[i].rows = append(p.queues[i].rows, r)
	p.size += r.held()
	return limited
}

// flush logs all rows but those of the keep oldest IDs. Zeek, too, exempts one ID from its limit.
func (p *pending) flush(o protocol.Owner, keep int) {
	for _, q := range p.queues[keep:] {
		for _, r := range q.rows {
			p.size -= r.held()
			o.Log(r)
		}
	}
	p.queues = slices.Clone(p.queues[:keep])
}

func (p *pending) held() int {
	const queueSize = 32 + 8 // bytes, with a place for a row
	return p.size + cap(p.queues)*queueSize
}

// alone reports whether m, a message of c, is never paired. In multicast DNS, all messages have the
// ID 0 (RFC 6762, section 18.1), even those to a client that asked for unicast at its port 5353,
// and no answer belongs to a particular query. A multicast group sends nothing, so messages to it,
// queries and replies, come from one host.
func alone(c *conn.Connection, m *message) bool {
	if c.ID.Proto != conn.UDP {
		return false
	}
	return c.ID.Resp.Addr().IsMulticast() || c.ID.Orig.Port() == mdns && c.ID.Resp.Port() == mdns && m.id() == 0
}

// begin returns the row for the message m: that of its counterpart, or a new one.
func (s *state) begin(c *conn.Connection, now time.Time, m *message) *Row {
	if alone(c, m) {
		return newRow(c, now, m.id())
	}
	others := &s.replies
	if m.reply() {
		others = &s.queries
	}
	r := others.take(m.id())
	if r == nil {
		return newRow(c, now, m.id())
	}
	r.paired = true
	return r
}

// end logs the row of m if it is complete, and keeps it otherwise.
func (s *state) end(c *conn.Connection, r *Row, m *message) {
	o := s.parser.owner
	if r.paired || alone(c, m) {
		o.Log(r)
	} else {
		mine := &s.queries
		if m.reply() {
			mine = &s.replies
		}
		if mine.add(r, o) {
			o.Weird(c, "dns_unmatched_msg_quantity", "")
		}
	}
	s.updateHook(c)
}
