package intests

import (
	"testing"

	"example.com/conn"
)

func TestNewHookIsNotRegistered(t *testing.T) {
	var c conn.Connection
	n := 0
	if conn.Unregister(&c, func(*conn.Connection) bool { n++; return true }) {
		t.Error("Unregister found a hook that was never registered")
	}
	conn.Unregister(&c, (&hook{}).run)
	for range 3 {
		conn.Register(&c, (&hook{}).run)
		conn.Register(&c, conn.Chain())
	}
}

type hook struct{}

func (*hook) run(*conn.Connection) bool { return true }
