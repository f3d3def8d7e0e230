package flow

import (
	"net/netip"

	"example.com/conn"
)

// A key is what the two directions of a connection have in common. It has no pointers, as a
// netip.Addr has: the garbage collector need not look at the table's map, and comparing keys is
// comparing bytes.
type key struct {
	addrs  [2][16]byte // the lower endpoint first
	ports  [2]uint16
	proto  conn.Proto
	oneWay bool // ICMP that nothing answers, in the order of its direction: the other one is another connection
}

func keyOf(src, dst netip.AddrPort, proto conn.Proto, oneWay bool) key {
	if !oneWay && dst.Compare(src) < 0 {
		src, dst = dst, src
	}
	return key{
		addrs: [2][16]byte{src.Addr().As16(), dst.Addr().As16()},
		ports: [2]uint16{src.Port(), dst.Port()},
		proto: proto, oneWay: oneWay,
	}
}
