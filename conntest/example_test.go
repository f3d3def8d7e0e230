package conntest_test

import (
	"testing"

	"example.com/conn"
	"example.com/conn/conntest"
)

// table is an analyzer's flow table. When it is full, the oldest connection makes room.
type table struct {
	conns []*conn.Connection
}

func (t *table) add(c *conn.Connection) {
	const most = 2
	if len(t.conns) == most {
		// The bug: no conn.StateRemove(t.conns[0]). What its parsers had pending is lost.
		t.conns = t.conns[1:]
	}
	t.conns = append(t.conns, c)
}

func (t *table) close() {
	for _, c := range t.conns {
		conn.StateRemove(c)
	}
}

// This test of a flow table finds a connection that is evicted without being removed. It fails with
//
//	1 connection was not removed; these hooks have not run:
//		example.com/app.finalize, registered by example.com/app.TestTable at /src/app/table_test.go:14
func ExampleVerifyRemoved() {
	_ = func(t *testing.T) { // func TestTable(t *testing.T) {
		conntest.VerifyRemoved(t)
		var flows table
		for range 3 {
			c := new(conn.Connection)
			flows.add(c)
			conn.Register(c, finalize)
		}
		flows.close()
	}
}
