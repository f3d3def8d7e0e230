package identity

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"

	"example.com/conn"
)

func TestKeyOf(t *testing.T) {
	a, b := netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("[2001:db8::1]:2")
	key := KeyOf(a, b, conn.TCP, false)
	assert.Equal(t, key, KeyOf(b, a, conn.TCP, false), "both directions share it")
	for name, other := range map[string]Key{
		"address":         KeyOf(a, netip.MustParseAddrPort("[2001:db8::2]:2"), conn.TCP, false),
		"port":            KeyOf(a, netip.MustParseAddrPort("[2001:db8::1]:3"), conn.TCP, false),
		"protocol":        KeyOf(a, b, conn.UDP, false),
		"one way":         KeyOf(a, b, conn.TCP, true),
		"ports exchanged": KeyOf(netip.AddrPortFrom(a.Addr(), b.Port()), netip.AddrPortFrom(b.Addr(), a.Port()), conn.TCP, false),
	} {
		assert.NotEqual(t, key, other, name)
	}
	assert.NotEqual(t, KeyOf(a, b, conn.ICMP, true), KeyOf(b, a, conn.ICMP, true), "each direction is a connection")
}
