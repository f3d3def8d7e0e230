package conn_test

import (
	"fmt"
	"net/netip"
	"testing"

	"example.com/conn"

	"github.com/stretchr/testify/assert"
)

func TestProtoString(t *testing.T) {
	for proto, want := range map[conn.Proto]string{
		conn.ICMP: "icmp", conn.TCP: "tcp", conn.UDP: "udp", conn.ICMPv6: "icmpv6", conn.SCTP: "sctp",
		0: "proto-0", 47: "proto-47", 255: "proto-255",
	} {
		assert.Equal(t, want, proto.String())
	}
	// The numbers are IANA's.
	assert.Equal(t, []conn.Proto{1, 6, 17, 58, 132}, []conn.Proto{conn.ICMP, conn.TCP, conn.UDP, conn.ICMPv6, conn.SCTP})
}

func TestIDIsKeyOfFlowTable(t *testing.T) {
	orig, resp := netip.MustParseAddrPort("192.0.2.1:40000"), netip.MustParseAddrPort("[2001:db8::1]:53")
	flows := map[conn.ID]int{}
	ids := []conn.ID{{}, {orig, resp, conn.UDP}, {orig, resp, conn.TCP}, {resp, orig, conn.UDP}}
	for i, id := range ids {
		flows[id] = i
	}
	assert.Len(t, flows, len(ids))
	assert.Equal(t, 1, flows[conn.ID{Orig: orig, Resp: resp, Proto: conn.UDP}])
}

func TestIDString(t *testing.T) {
	addrPort := netip.MustParseAddrPort
	for want, id := range map[string]conn.ID{
		"192.0.2.1:40000 > 198.51.100.7:80 tcp":      {addrPort("192.0.2.1:40000"), addrPort("198.51.100.7:80"), conn.TCP},
		"[2001:db8::1]:40000 > [2001:db8::2]:53 udp": {addrPort("[2001:db8::1]:40000"), addrPort("[2001:db8::2]:53"), conn.UDP},
		"192.0.2.1:8 > 192.0.2.2:0 icmp":             {addrPort("192.0.2.1:8"), addrPort("192.0.2.2:0"), conn.ICMP},
		"[fe80::1%eth0]:1 > [ff02::1]:2 proto-47":    {addrPort("[fe80::1%eth0]:1"), addrPort("[ff02::1]:2"), 47},
		"invalid AddrPort > 192.0.2.1:53 udp":        {netip.AddrPort{}, addrPort("192.0.2.1:53"), conn.UDP},
		"-":                                          {},
	} {
		assert.Equal(t, want, id.String())
		assert.Equal(t, want, fmt.Sprint(id), "through fmt")
	}
}
