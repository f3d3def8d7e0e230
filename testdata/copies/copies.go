// Package copies copies what must not be copied: go vet must report every function.
package copies

import "example.com/conn"

type flow struct {
	conn.Hooks[flow]
}

func Connection(c *conn.Connection) conn.Connection  { return *c }
func Hooks(h *conn.Hooks[flow]) conn.Hooks[flow]     { return *h }
func Flow(f *flow) flow                              { return *f }
func Field(f *conn.Field[string]) conn.Field[string] { return *f }
