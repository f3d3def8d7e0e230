// Package conn has the declarations of the real one.
package conn

import "iter"

type Connection struct {
	UID   string
	hooks Hooks[Connection]
}

type RemovalHook func(c *Connection) bool

func (hk RemovalHook) String() string { return "" }

func Register(c *Connection, hk RemovalHook) bool   { return c.hooks.Register(hk) }
func Unregister(c *Connection, hk RemovalHook) bool { return c.hooks.Unregister(hk) }
func Registered(c *Connection, hk RemovalHook) bool { return c.hooks.Registered(hk) }
func StateRemove(c *Connection) bool                { return c.hooks.StateRemove(c) }

func (c *Connection) Removed() bool                       { return c.hooks.Removed() }
func (c *Connection) RemovalHooks() iter.Seq[RemovalHook] { return nil }

type Hooks[C any] struct{ hooks []func(*C) bool }

func (h *Hooks[C]) Register(hk func(*C) bool) bool        { return hk != nil }
func (h *Hooks[C]) Unregister(hk func(*C) bool) bool      { return hk != nil }
func (h *Hooks[C]) Registered(hk func(*C) bool) bool      { return hk != nil }
func (h *Hooks[C]) StateRemove(c *C) bool                 { return c != nil }
func (h *Hooks[C]) RemovalHooks() iter.Seq[func(*C) bool] { return nil }
func (h *Hooks[C]) Removed() bool                         { return true }

func Chain(bodies ...RemovalHook) RemovalHook {
	return func(c *Connection) bool { return len(bodies) > 0 }
}

type Field[T any] struct{ value T }

func (f *Field[T]) Get(c *Connection) *T                        { return &f.value }
func (f *Field[T]) GetOrNew(c *Connection) (v *T, created bool) { return &f.value, true }
func (f *Field[T]) Delete(c *Connection) bool                   { return true }
