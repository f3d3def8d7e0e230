package flow

import "example.com/conn"

// evictions lists the ranks in order of eviction, and whether the oldest connection of a rank is
// evicted first.
//
// Of established connections, the latest is evicted first: a flood can look like any other
// newcomer, but not like the connections that were there before it. That alone would leave
// newcomers no time to send anything. So a share of the table is reserved for the latest
// connections: they have a rank of their own, which is evicted after the older ones of their kind.
var evictions = [...]struct {
	rank   rank
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

const (
	// newcomers limits newQuiet and newSpeaking to 1/newcomers of the table each.
	newcomers = 16

	// spared protects unanswered and newQuiet from eviction while they fill at most 1/spared of the
	// table each, so that new connections can be established when it is full. That costs the other
	// ranks less than 1 % of the table.
	spared = 256
)

// ranks orders the connections of a table by value. Each connection is in the list of its rank.
// The lists of oneSided and answered are in the order of the latest packets, the others in the
// order in which connections reached the rank.
type ranks struct {
	lists [numRanks]flowList
	max   int // Config.MaxConnections
}

// fullRank returns the rank of f, without regard to whether it is a newcomer.
func (f *flow) fullRank() rank {
	switch {
	case f.timer == attemptTimer:
		return unanswered
	case f.timer == closeTimer:
		return ended
	case f.ID.Proto == conn.TCP && f.tcp.Established():
		if f.session.Identified() {
			return speaking
		}
		return quiet
	case f.packets[0] > 0 && f.packets[1] > 0:
		return answered
	}
	return oneSided
}

// update moves f to its rank after a packet.
func (rs *ranks) update(f *flow) {
	to := f.fullRank()
	switch to {
	case quiet, speaking:
		if f.rank == to || f.rank == to.newcomer() {
			return // ordered by arrival
		}
		rs.move(f, to.newcomer())
		if latest := &rs.lists[to.newcomer()]; latest.len > rs.max/newcomers {
			rs.move(latest.first, to)
		}
	case unanswered, ended:
		if f.rank != to {
			rs.move(f, to)
		}
	default: // ordered by latest packet
		rs.move(f, to)
	}
}

func (rs *ranks) move(f *flow, to rank) {
	rs.remove(f)
	f.rank = to
	rs.lists[to].push(f, ranked)
}

// remove takes f out of its list.
func (rs *ranks) remove(f *flow) {
	if f.rank != noRank {
		rs.lists[f.rank].remove(f, ranked)
		f.rank = noRank
	}
}

// least returns the connection to evict next. A full table always has one, because the two spared
// ranks cannot fill it.
func (rs *ranks) least() *flow {
	for _, e := range evictions {
		l := &rs.lists[e.rank]
		switch {
		case (e.rank == unanswered || e.rank == newQuiet) && l.len <= rs.max/spared:
		case e.oldest && l.first != nil:
			return l.first
		case l.last != nil:
			return l.last
		}
	}
	return nil
}
