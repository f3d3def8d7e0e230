package identity

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"net/netip"
	"time"

	"example.com/conn"
)

// seed differs between processes, so that no attacker can choose addresses that all go to one
// worker.
var seed = maphash.MakeSeed()

// Shard returns which of n workers follows the connections between a and b, in either order. It
// ignores ports, so that an FTP session's data connections go to the session's worker. The result
// differs between processes.
func Shard(a, b netip.Addr, n int) int {
	if b.Less(a) {
		a, b = b, a
	}
	var pair [32]byte
	a16, b16 := a.As16(), b.As16()
	copy(pair[:16], a16[:])
	copy(pair[16:], b16[:])
	return int(maphash.Bytes(seed, pair[:]) % uint64(n))
}

const base62 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// UID returns a connection's UID in Zeek's format: a C and 17 letters and digits. It depends only
// on the connection's ID and start, so that the same capture always produces the same logs, and
// logs of different captures can be combined.
func UID(id conn.ID, start time.Time) string {
	o, r := hashAddr(id.Orig.Addr()), hashAddr(id.Resp.Addr())
	ports := uint64(id.Orig.Port())<<32 | uint64(id.Resp.Port())<<16 | uint64(id.Proto)
	hi := mix(mix(o, r), mix(ports, uint64(start.UnixNano())))
	lo := mix(hi, mix(ports, o))
	name := [18]byte{'C'}
	for i := 1; i < len(name); i++ {
		var digit uint64
		if i <= 9 { // 62^9 fits in 64 bits
			hi, digit = hi/62, hi%62
		} else {
			lo, digit = lo/62, lo%62
		}
		name[i] = base62[digit]
	}
	return string(name[:])
}

func hashAddr(a netip.Addr) uint64 {
	b := a.As16()
	return mix(binary.LittleEndian.Uint64(b[:8]), binary.LittleEndian.Uint64(b[8:]))
}

// mix spreads the bits of a and b over the result (the core of wyhash).
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0x9e3779b97f4a7c15, b^0xd1b54a32d192ed03)
	return hi ^ lo
}
