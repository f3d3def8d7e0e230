package flow_test

import (
	"net/netip"
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"

	"example.com/conn"
	"example.com/conn/analyzer/flow"
)

// setAll sets all numbers in v to n.
func setAll(v reflect.Value, n int64) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			setAll(v.Field(i), n)
		}
	case reflect.Array:
		for i := range v.Len() {
			setAll(v.Index(i), n)
		}
	default:
		v.SetInt(n)
	}
}

func TestStatsAddCoversAllFields(t *testing.T) {
	var sum, part, want flow.Stats
	setAll(reflect.ValueOf(&sum).Elem(), 1)
	setAll(reflect.ValueOf(&part).Elem(), 10)
	setAll(reflect.ValueOf(&want).Elem(), 21)
	sum.Add(&part, 2)
	assert.Equal(t, want, sum)
}

func TestStatsByTransport(t *testing.T) {
	h := newHarness(t, nil)
	h.handshake()
	h.udp(client, server, "x")
	h.udp(netip.AddrPortFrom(client.Addr(), 7000), server, "x")
	h.icmp(client, server, 8, 0, "x")
	h.packet(client, server, conn.SCTP, []byte("x"))
	want := [flow.NumTransports]int{flow.TCP: 1, flow.UDP: 2, flow.ICMP: 1, flow.OtherTransport: 1}
	assert.Equal(t, want, h.table.Stats.Begun)
	assert.Zero(t, h.table.Stats.Ended)
	assert.Equal(t, 5, h.table.Len())
	active := make(map[string]int)
	for transport := range flow.NumTransports {
		active[transport.String()] = h.table.Stats.Active(transport)
	}
	assert.Equal(t, map[string]int{"tcp": 1, "udp": 2, "icmp": 1, "other": 1}, active)
	h.close()
	assert.Equal(t, want, h.table.Stats.Ended)
	assert.Zero(t, h.table.Stats.Active(flow.UDP))
}
