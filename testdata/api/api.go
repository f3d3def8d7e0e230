// Package api is the recorded API of package conn: what others compile against. The check compares
// it with the package and fails when the package has lost or changed anything of it, or has
// something that is not recorded here.
package api

import (
	"iter"
	"net/netip"
	"time"
)

type Proto uint8

const (
	ICMP   Proto = 1
	TCP    Proto = 6
	UDP    Proto = 17
	ICMPv6 Proto = 58
	SCTP   Proto = 132
)

func (Proto) String() string { panic("recorded") }

type ID struct {
	Orig, Resp netip.AddrPort
	Proto      Proto
}

func (ID) String() string { panic("recorded") }

type Connection struct {
	ID    ID
	UID   string
	Start time.Time
	_     int // so that the recorded type, too, has unexported fields
}

func (*Connection) RemovalHooks() iter.Seq[RemovalHook] { panic("recorded") }

func (*Connection) Removed() bool { panic("recorded") }

type RemovalHook func(c *Connection) bool

func (RemovalHook) String() string { panic("recorded") }

func Register(*Connection, RemovalHook) bool   { panic("recorded") }
func Unregister(*Connection, RemovalHook) bool { panic("recorded") }
func Registered(*Connection, RemovalHook) bool { panic("recorded") }
func StateRemove(*Connection) bool             { panic("recorded") }
func Chain(...RemovalHook) RemovalHook         { panic("recorded") }

type Field[T any] struct{ _ int }

func (*Field[T]) Get(*Connection) *T                        { panic("recorded") }
func (*Field[T]) GetOrNew(*Connection) (v *T, created bool) { panic("recorded") }
func (*Field[T]) Delete(*Connection) bool                   { panic("recorded") }

type Hooks[C any] struct{ _ int }

func (*Hooks[C]) Register(hk func(*C) bool) bool        { panic("recorded") }
func (*Hooks[C]) Unregister(hk func(*C) bool) bool      { panic("recorded") }
func (*Hooks[C]) Registered(hk func(*C) bool) bool      { panic("recorded") }
func (*Hooks[C]) StateRemove(c *C) bool                 { panic("recorded") }
func (*Hooks[C]) RemovalHooks() iter.Seq[func(*C) bool] { panic("recorded") }
func (*Hooks[C]) Removed() bool                         { panic("recorded") }
