// Package identity determines which connection a packet belongs to: the key that both directions
// share, the likely originator, the connection's UID, and the worker that follows it. The flow
// table uses it for every connection and the decoder for the outer connections of tunnels, so that
// the two agree.
package identity

import (
	"net/netip"

	"example.com/conn"
)

// A Key identifies a connection, in both directions. It is comparable. Unlike a netip.Addr it has
// no pointers, so the garbage collector skips a map of Keys, and comparing two compares bytes.
type Key struct {
	addrs  [2][16]byte // the lower endpoint first, unless OneWay
	ports  [2]uint16
	proto  conn.Proto
	OneWay bool // see KeyOf
}

// KeyOf returns the key of the connection that a packet from src to dst belongs to. Each direction
// of one-way packets, such as ICMP messages that have no reply, is a connection of its own.
func KeyOf(src, dst netip.AddrPort, proto conn.Proto, oneWay bool) Key {
	if !oneWay && dst.Compare(src) < 0 {
		src, dst = dst, src
	}
	return Key{
		addrs: [2][16]byte{src.Addr().As16(), dst.Addr().As16()},
		ports: [2]uint16{src.Port(), dst.Port()},
		proto: proto, OneWay: oneWay,
	}
}

// Broadcast is the limited broadcast address. No reply comes from it.
var Broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})
