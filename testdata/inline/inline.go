// Package inline uses what must be inlined, with a Connection and with a type that embeds Hooks.
package inline

import "example.com/conn"

var requests conn.Field[int]

func Connection(c *conn.Connection) bool {
	requests.Get(c)
	return conn.StateRemove(c) && conn.Registered(c, nil) && c.Removed()
}

type flow struct {
	packets int
	conn.Hooks[flow]
}

func Flow(f *flow) bool {
	return f.StateRemove(f) && f.Registered((*flow).finish) && f.Removed()
}

func (f *flow) finish() bool { return f.packets == 0 }
