package flow

import "example.com/conn"

// evictions lists the ranks in the order in which they go, and whether the oldest connection of a
// rank goes first.
//
// Of the established ones, the latest goes first: a flood cannot be told from other newcomers,
// whatever it sends, but it can be told from what was there before. That would leave newcomers no
// time to show what they are, so the latest of them, a share of the table, have a rank of their own
// and go last of their kind.
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
	// newcomers is the share of the table, one in so many, that newQuiet may have, and newSpeaking
	// as well.
	newcomers = 16

	// spared is the share that unanswered and newQuiet keep as long as there is anything else to
	// evict, so that connections can come up in a full table. It is less than one in a hundred, and
	// that is what the others lose by it.
	spared = 256
)

// ranks order the connections of a table by what they are worth. Each is in the list of its rank:
// of unanswered, ended and the established ones in the order in which they got there, of the others
// in the order of their latest packets.
type ranks struct {
	lists [numRanks]list
	max   int // connections of the table
}

func ranked(f *flow) *node { return &f.ranked }

// merit returns the rank that f deserves, newcomer or not.
func (f *flow) merit() rank {
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

// update gives f the rank that it deserves after a packet.
func (rs *ranks) update(f *flow) {
	to := f.merit()
	switch to {
	case quiet, speaking:
		if f.rank == to || f.rank == to.newcomer() {
			return // the order is that in which they came
		}
		rs.move(f, to.newcomer())
		if latest := &rs.lists[to.newcomer()]; latest.len > rs.max/newcomers {
			rs.move(latest.first, to)
		}
	case unanswered, ended:
		if f.rank != to {
			rs.move(f, to)
		}
	default: // the idlest goes first
		rs.move(f, to)
	}
}

func (rs *ranks) move(f *flow, to rank) {
	rs.remove(f)
	f.rank = to
	rs.lists[to].push(f, ranked)
}

// remove takes f out of the order.
func (rs *ranks) remove(f *flow) {
	if f.rank != noRank {
		rs.lists[f.rank].remove(f, ranked)
		f.rank = noRank
	}
}

// least returns the connection to evict next. The two ranks that keep a share are never all there
// is in a full table.
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
