// Package conn has the declarations of the real one.
package conn

import "iter"

type Connection struct{ UID string }

type RemovalHook func(c *Connection) bool

func Register(c *Connection, hk RemovalHook) bool   { return hk != nil }
func Unregister(c *Connection, hk RemovalHook) bool { return hk != nil }
func Registered(c *Connection, hk RemovalHook) bool { return hk != nil }
func StateRemove(c *Connection) bool                { return true }

func (c *Connection) Removed() bool                       { return true }
func (c *Connection) RemovalHooks() iter.Seq[RemovalHook] { return nil }

func Chain(bodies ...RemovalHook) RemovalHook { // want Chain:"makesHooks$"
	return func(c *Connection) bool { return len(bodies) > 0 }
}

type Field[T any] struct{ value T }

func (f *Field[T]) Get(c *Connection) *T                        { return &f.value }
func (f *Field[T]) GetOrNew(c *Connection) (v *T, created bool) { return &f.value, true }
