package flow

import (
	"net/netip"
	"time"

	"example.com/conn"
)

// Bounds of the announcements of one worker.
const (
	maxExpected    = 1000
	expectedExpiry = 5 * time.Minute
)

// An expectation is an announced connection. Its originator is not valid if it may come from
// anywhere.
type expectation struct {
	endpoints
	service string
	attach  func(*conn.Connection)
	since   time.Time

	older, newer *expectation // of all
	next         *expectation // of those with the same endpoints, newer
}

type endpoints struct {
	orig netip.Addr
	resp netip.AddrPort
}

// expectations are announced connections, at most maxExpected: one for each FTP transfer that has
// not begun. Finding one and dropping the oldest take the same time however many there are.
type expectations struct {
	first          map[endpoints]*expectation // the oldest of each
	last           map[endpoints]*expectation // the newest
	oldest, newest *expectation
	len            int
}

func newExpectations() expectations {
	return expectations{first: make(map[endpoints]*expectation), last: make(map[endpoints]*expectation)}
}

func (xs *expectations) add(x *expectation) {
	if same := xs.last[x.endpoints]; same != nil {
		same.next = x
	} else {
		xs.first[x.endpoints] = x
	}
	xs.last[x.endpoints] = x
	if x.older = xs.newest; x.older != nil {
		x.older.newer = x
	} else {
		xs.oldest = x
	}
	xs.newest = x
	xs.len++
}

// take removes and returns the oldest of those with the same endpoints, nil if there is none.
func (xs *expectations) take(e endpoints) *expectation {
	x := xs.first[e]
	if x == nil {
		return nil
	}
	if x.next != nil {
		xs.first[e] = x.next
	} else {
		delete(xs.first, e)
		delete(xs.last, e)
	}
	if x.older != nil {
		x.older.newer = x.newer
	} else {
		xs.oldest = x.newer
	}
	if x.newer != nil {
		x.newer.older = x.older
	} else {
		xs.newest = x.older
	}
	xs.len--
	return x
}
