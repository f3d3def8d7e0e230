package identity

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"example.com/conn"
)

var now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestShardIsSymmetricAndSpreads(t *testing.T) {
	server := netip.MustParseAddr("192.0.2.80")
	for _, net := range []byte{10, 200} { // below and above the server
		count := make([]int, 4)
		for i := range 4000 {
			a := netip.AddrFrom4([4]byte{net, 0, byte(i >> 8), byte(i)})
			n := Shard(a, server, 4)
			assert.Equal(t, n, Shard(server, a, 4))
			count[n]++
		}
		for _, n := range count {
			assert.InDelta(t, 1000, n, 200)
		}
	}
	assert.Zero(t, testing.AllocsPerRun(100, func() { Shard(server, netip.IPv6Loopback(), 7) }))
}

func TestUID(t *testing.T) {
	id := conn.ID{
		Orig: netip.MustParseAddrPort("192.0.2.1:1"), Resp: netip.MustParseAddrPort("[2001:db8::2]:2"), Proto: conn.TCP,
	}
	names := map[string]bool{UID(id, now): true}
	assert.Regexp(t, `^C[0-9A-Za-z]{17}$`, UID(id, now))
	assert.Equal(t, "CpD6qrLlGsM3QgBZKv", UID(id, now), "UIDs must not change between releases, as their logs may be combined")
	assert.Equal(t, UID(id, now), UID(id, now.In(time.FixedZone("", 3600))))
	for _, change := range []func(id *conn.ID, at *time.Time){
		func(id *conn.ID, at *time.Time) { id.Orig, id.Resp = id.Resp, id.Orig },
		func(id *conn.ID, at *time.Time) { id.Orig = netip.MustParseAddrPort("192.0.2.1:2") },
		func(id *conn.ID, at *time.Time) { id.Resp = netip.MustParseAddrPort("[2001:db8::2]:3") },
		func(id *conn.ID, at *time.Time) { id.Resp = netip.MustParseAddrPort("[2001:db8::3]:2") },
		func(id *conn.ID, at *time.Time) { id.Proto = conn.UDP },
		func(id *conn.ID, at *time.Time) { *at = at.Add(1) },
	} {
		other, at := id, now
		change(&other, &at)
		names[UID(other, at)] = true
	}
	assert.Len(t, names, 7)
	var letters [18]map[byte]bool
	for k := range letters {
		letters[k] = make(map[byte]bool)
		for i := range 2000 {
			letters[k][UID(id, now.Add(time.Duration(i)))[k]] = true
		}
	}
	assert.Len(t, letters[0], 1)
	for _, l := range letters[1:] {
		assert.Greater(t, len(l), 55)
	}
}
