package flow

import (
	"example.com/conn"
)

// A node is where a flow is in a list.
type node struct{ prev, next *flow }

// A list has flows, linked through one of their nodes.
type list struct {
	first, last *flow
	len         int
}

// push adds f to the end. at returns the node of a flow that the list uses.
func (l *list) push(f *flow, at func(*flow) *node) {
	at(f).prev = l.last
	if l.last != nil {
		at(l.last).next = f
	} else {
		l.first = f
	}
	l.last = f
	l.len++
}

func (l *list) remove(f *flow, at func(*flow) *node) {
	n := at(f)
	if n.prev != nil {
		at(n.prev).next = n.next
	} else {
		l.first = n.next
	}
	if n.next != nil {
		at(n.next).prev = n.prev
	} else {
		l.last = n.prev
	}
	*n = node{}
	l.len--
}

func queued(f *flow) *node  { return &f.queued }
func ranked(f *flow) *node  { return &f.ranked }
func holding(f *flow) *node { return &f.rare.holding }

// Every connection is in one queue, for each timeout has its own. As the timeout is the same for
// the whole queue, the first is always the next to go.
type queueID int8

const (
	attempts queueID = iota
	brief
	long
	closing
	numQueues
	noQueue queueID = -1
)

// requeue puts f at the end of a queue, or with noQueue in none.
func (t *Table) requeue(f *flow, to queueID) {
	if f.queue != noQueue {
		t.queues[f.queue].remove(f, queued)
	}
	f.queue, f.since = to, t.now
	if to != noQueue {
		t.queues[to].push(f, queued)
	}
}

// idlest returns the connection that has been in its queue longest, nil if there is none.
func (t *Table) idlest() *flow {
	var idlest *flow
	for q := range t.queues {
		if f := t.queues[q].first; f != nil && (idlest == nil || f.since.Before(idlest.since)) {
			idlest = f
		}
	}
	return idlest
}

// Every connection has a rank: what it is worth when the table is full. Whatever an attacker can
// make many of for a packet or two each is worth less than what took two hosts some packets to
// bring about.
type rankID int8

const (
	unanswered  rankID = iota // TCP that nothing has answered: an attempt
	ended                     // TCP that is over, kept for late packets
	oneSided                  // UDP, ICMP and the like, and TCP without a handshake, of which one side was seen
	answered                  // the same, of which both were
	newQuiet                  // TCP with a handshake, but no protocol was found in it
	quiet                     // the same, before those in newQuiet
	newSpeaking               // TCP with a handshake, and a protocol was found in it
	speaking                  // the same, before those in newSpeaking
	numRanks                  // how many there are
	noRank      rankID = -1
)

// evictions has the ranks in the order in which they go, and whether that which is there longest
// goes first.
//
// Of what is established, the latest to come goes first: a flood cannot be told from other
// newcomers, whatever it sends, but it can be told from what was there before. That would leave
// newcomers no time to show what they are, so the latest of them, a share of the table, have a rank
// of their own, and go last of their kind.
var evictions = [...]struct {
	rank   rankID
	oldest bool
}{
	{unanswered, true},
	{ended, true},
	{oneSided, true},
	{answered, true},
	{quiet, false},
	{newQuiet, true},
	{speaking, false},
	{newSpeaking, true},
}

// newcomers is the share of the table that newQuiet, and also newSpeaking, may have. spared is that
// which the attempts and newQuiet keep as long as there is anything else to evict, so that
// connections can come up in a full table; it is less than one in a hundred, which is what the
// others lose by it.
const (
	newcomers = 16
	spared    = 256
)

// merit returns the rank that f deserves.
func (f *flow) merit() rankID {
	o, r := &f.ends[0], &f.ends[1]
	switch {
	case f.queue == attempts:
		return unanswered
	case f.queue == closing:
		return ended
	case f.ID.Proto == conn.TCP && o.up && r.up:
		if f.session.Identified() {
			return speaking
		}
		return quiet
	case f.packets[0] > 0 && f.packets[1] > 0:
		return answered
	}
	return oneSided
}

// promote gives f the rank it deserves after a packet.
func (t *Table) promote(f *flow) {
	to := f.merit()
	switch to {
	case quiet, speaking:
		if f.rank == to || f.rank == to-1 {
			return // the order is that in which they came
		}
		to-- // the rank of newcomers
		t.rerank(f, to)
		if newest := &t.ranks[to]; newest.len > t.cfg.MaxConnections/newcomers {
			t.rerank(newest.first, to+1)
		}
	case unanswered, ended:
		if f.rank != to {
			t.rerank(f, to)
		}
	default: // the idlest goes first
		t.rerank(f, to)
	}
}

func (t *Table) rerank(f *flow, to rankID) {
	if f.rank != noRank {
		t.ranks[f.rank].remove(f, ranked)
	}
	f.rank = to
	if to != noRank {
		t.ranks[to].push(f, ranked)
	}
}

// evict removes the connection that is worth least.
func (t *Table) evict() {
	f := t.leastWorth()
	if f.rank >= answered && f.ID.Proto == conn.TCP {
		t.weird(f, "connection_evicted", "", "")
	}
	t.Stats.Evicted++
	t.remove(f, TableFull)
}

// leastWorth returns the next to be evicted. The two ranks that keep a share are never all there is
// in a full table.
func (t *Table) leastWorth() *flow {
	for _, e := range evictions {
		l := &t.ranks[e.rank]
		switch {
		case (e.rank == unanswered || e.rank == newQuiet) && l.len <= t.cfg.MaxConnections/spared:
		case e.oldest && l.first != nil:
			return l.first
		case l.last != nil:
			return l.last
		}
	}
	return nil
}
