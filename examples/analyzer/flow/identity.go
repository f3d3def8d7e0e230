package flow

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"time"

	"example.com/conn"
)

// mix spreads the bits of a and b over the result (the core of wyhash).
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0x9e3779b97f4a7c15, b^0xd1b54a32d192ed03)
	return hi ^ lo
}

func hashAddr(a netip.Addr) uint64 {
	b := a.As16()
	return mix(binary.LittleEndian.Uint64(b[:8]), binary.LittleEndian.Uint64(b[8:]))
}

// Shard returns which of n workers has the connections between a and b. It is the same for both directions, and takes no
// ports, so that the connections which an FTP session announces come to the worker that has the session.
func Shard(a, b netip.Addr, n int) int {
	return int((hashAddr(a) + hashAddr(b)) % uint64(n))
}

const base62 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// uid returns a name as Zeek gives them: a C and up to 17 letters and digits. It depends on nothing but the connection's ID
// and start, so that the same capture gives the same logs, and logs of different captures can be put together.
func uid(id conn.ID, start time.Time) string {
	o, r := hashAddr(id.Orig.Addr()), hashAddr(id.Resp.Addr())
	ports := uint64(id.Orig.Port())<<32 | uint64(id.Resp.Port())<<16 | uint64(id.Proto)
	hi := mix(mix(o, r), mix(ports, uint64(start.UnixNano())))
	lo := mix(hi, mix(ports, o))
	name := [18]byte{'C'}
	for i := 1; i < len(name); i++ {
		var digit uint64
		if i <= 9 { // 62^9 fits into 64 bits
			hi, digit = hi/62, hi%62
		} else {
			lo, digit = lo/62, lo%62
		}
		name[i] = base62[digit]
	}
	return string(name[:])
}

// A key is what the two directions of a connection have in common. It has no pointers, as a netip.Addr has: the garbage
// collector need not look at the table's map, and comparing keys is comparing bytes.
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
