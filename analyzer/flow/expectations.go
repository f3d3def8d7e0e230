package flow

import (
	"net/netip"
	"time"

	"example.com/conn"
)

// Bounds on the announcements of one worker.
const (
	maxExpected    = 1000
	expectedExpiry = 5 * time.Minute
)

// An expectation is an announced connection. Its orig is the zero Addr if any host may open it.
type expectation struct {
	endpoints
	service string
	attach  func(*conn.Connection)
	since   time.Time

	older, newer *expectation // among all announced connections
	next         *expectation // the next newer one with the same endpoints
}

type endpoints struct {
	orig netip.Addr
	resp netip.AddrPort
}

// expectations holds up to maxExpected announced connections: one per FTP transfer that has not
// begun. Finding one and dropping the oldest both take constant time.
type expectations struct {
	first          map[endpoints]*expectation // the oldest with these endpoints
	last           map[endpoints]*expectation // the newest with these endpoints
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

// take removes and returns the oldest expectation with the given endpoints, or nil.
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
