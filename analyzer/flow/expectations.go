package flow

import (
	"container/list"
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
}

type endpoints struct {
	orig netip.Addr
	resp netip.AddrPort
}

// expectations holds up to maxExpected announced connections: one per FTP transfer that has not
// begun. Finding one and dropping the oldest both take constant time.
type expectations struct {
	all  *list.List                    // of *expectation, oldest first
	with map[endpoints][]*list.Element // those with the same endpoints, oldest first
}

func newExpectations() expectations {
	return expectations{all: list.New(), with: make(map[endpoints][]*list.Element)}
}

func (xs *expectations) add(x *expectation) {
	xs.with[x.endpoints] = append(xs.with[x.endpoints], xs.all.PushBack(x))
}

// oldest returns the oldest expectation, or nil if there is none.
func (xs *expectations) oldest() *expectation {
	if e := xs.all.Front(); e != nil {
		return e.Value.(*expectation)
	}
	return nil
}

// takeOldest removes and returns the oldest expectation. There must be one.
func (xs *expectations) takeOldest() *expectation {
	return xs.take(xs.oldest().endpoints) // it is also the oldest between its endpoints
}

// take removes and returns the oldest expectation between two endpoints, or nil.
func (xs *expectations) take(between endpoints) *expectation {
	same := xs.with[between]
	switch len(same) {
	case 0:
		return nil
	case 1:
		delete(xs.with, between)
	default:
		xs.with[between] = same[1:]
	}
	return xs.all.Remove(same[0]).(*expectation)
}
