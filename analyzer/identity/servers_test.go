package identity

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"

	"example.com/conn"
)

func TestFromResponder(t *testing.T) {
	s := NewServers()
	s.Add(conn.TCP, 80)
	s.Add(conn.UDP, 53)
	for _, tt := range []struct {
		name     string
		proto    conn.Proto
		src, dst uint16
		flags    string
		want     bool
	}{
		{"TCP, data from a server", conn.TCP, 80, 40000, "A", true},
		{"TCP, data to a server", conn.TCP, 40000, 80, "A", false},
		{"TCP, data between unknown ports", conn.TCP, 40000, 50000, "A", false},
		{"TCP, data between servers, from the lower port", conn.TCP, 80, 445, "A", true},
		{"TCP, data between servers, from the higher port", conn.TCP, 445, 80, "A", false},
		{"TCP, data between servers on the same port", conn.TCP, 80, 80, "A", false},
		{"TCP, SYN from a server's port", conn.TCP, 80, 40000, "S", false},
		{"TCP, SYN-ACK", conn.TCP, 50000, 40000, "SA", true},
		{"TCP, SYN-ACK to a server's port", conn.TCP, 80, 445, "SA", false},
		{"UDP, from a server", conn.UDP, 53, 40000, "", true},
		{"UDP, between servers", conn.UDP, 53, 123, "", false},
		{"UDP, a port of TCP", conn.UDP, 80, 40000, "", false},
		{"a protocol without ports", conn.SCTP, 80, 40000, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			src := netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), tt.src)
			dst := netip.AddrPortFrom(netip.MustParseAddr("198.51.100.1"), tt.dst)
			syn, ack := tt.flags != "" && tt.flags[0] == 'S', tt.flags == "A" || tt.flags == "SA"
			assert.Equal(t, tt.want, s.FromResponder(tt.proto, src, dst, syn, ack))
			assert.False(t, s.FromResponder(tt.proto, src, netip.AddrPortFrom(Broadcast, tt.dst), syn, ack), "no reply comes from it")
		})
	}
}

func TestZeroServersKnowNoPort(t *testing.T) {
	assert.False(t, new(Servers).Likely(conn.TCP, 443))
}
