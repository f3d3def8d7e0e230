package conntest_test

import (
	"testing"

	"example.com/conn"
	"example.com/conn/conntest"
)

// table is an analyzer's flow table. When it is full, it evicts the oldest connection.
type table struct {
	conns []*conn.Connection
}

func (t *table) add(c *conn.Connection) {
	const capacity = 2
	if len(t.conns) == capacity {
		// The bug: no conn.StateRemove(t.conns[0]). Whatever its parsers had pending is lost.
		t.conns = t.conns[1:]
	}
	t.conns = append(t.conns, c)
}

func (t *table) close() {
	for _, c := range t.conns {
		conn.StateRemove(c)
	}
	t.conns = nil
}

// onRequest is a parser.
func onRequest(c *conn.Connection) {
	conn.Register(c, finalize) // until the reply
}

// This test of a flow table finds a connection that is evicted without being removed. It fails with
//
//	1 connection was not removed; these hooks have not run:
//		example.com/app.finalize, registered by example.com/app.onRequest at /src/app/parser.go:32
//			called by example.com/app.TestTable at /src/app/table_test.go:15
//		connection: C1
//
// Every connection is left with an unanswered request: without one, there would be no hook to lose.
// A removed connection may still be in the table, so the test checks that too.
func ExampleVerifyRemoved() {
	_ = func(t *testing.T) { // func TestTable(t *testing.T) {
		conntest.VerifyRemoved(t)
		var flows table
		for _, uid := range []string{"C1", "C2", "C3"} {
			c := &conn.Connection{UID: uid}
			flows.add(c)
			onRequest(c)
		}
		flows.close()
		if n := len(flows.conns); n > 0 {
			t.Errorf("%d connections are still in the table", n)
		}
	}
}
