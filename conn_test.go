package conn_test

import (
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
