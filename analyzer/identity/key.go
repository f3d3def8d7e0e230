// Package identity tells which connection a packet belongs to: the key that both directions share,
// which endpoint is the originator, the connection's UID, and the worker that follows it. The flow
// table uses it for every connection and the decoder for the outer connections of tunnels, so that
// the two agree.
package identity

import (
	"net/netip"

	"example.com/conn"
)

// A Key is what the two directions of a connection have in common. It is comparable, and has no
// pointers, unlike a netip.Addr: the garbage collector skips a map of Keys, and comparing two is
// comparing bytes.
type Key struct {
	addrs  [2][16]byte // the lower endpoint first, unless OneWay
	ports  [2]uint16
	proto  conn.Proto
	OneWay bool // see KeyOf
}

// KeyOf returns the key of the connection that a packet from src to dst belongs to. A one-way
// packet, such as an ICMP message that nothing answers, belongs to a connection of its direction;
// the same message the other way belongs to another.
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

// Broadcast is the address of all hosts of the local network. It never answers.
var Broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})
