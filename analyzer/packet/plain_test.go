package packet

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// checkPlain reports whether a frame is plain, and fails t unless decoding finds what Plain said.
func checkPlain(t *testing.T, f Frame, ignore bool) bool {
	d := NewDecoder()
	d.IgnoreChecksums = ignore
	f.Data = slices.Clip(bytes.Clone(f.Data))
	src, dst, ok := d.Plain(f)
	if ok {
		var r recorder
		require.NoError(t, d.Decode(f, &r))
		require.Len(t, r.packets, 1)
		p := r.packets[0]
		require.Equal(t, p.Src, src)
		require.Equal(t, p.Dst, dst)
		require.Empty(t, p.Tunnels)
		require.Nil(t, p.Outer)
		require.Empty(t, r.weirds)
		require.Empty(t, r.tunnels)
	}
	return ok
}

func TestPlainFrames(t *testing.T) {
	udp := udp4(1234, 53, payload)
	for name, c := range map[string]struct {
		link  layers.LinkType
		frame []byte
	}{
		"Ethernet":           {1, eth(0x0800, inner)},
		"padding":            {1, eth(0x0800, cat(inner, 0, 0, 0))},
		"UDP":                {1, eth(0x0800, udp)},
		"padding like AYIYA": {1, eth(0x0800, cat(udp4(1234, 53, nil), 0x44, 0x52, 0x11, 4, make([]byte, 90)))},
		"ICMP":               {1, eth(0x0800, ip4(1, a4, b4, payload))},
		"IPv6":               {1, eth(0x86dd, inner6)},
		"ICMPv6":             {1, eth(0x86dd, ip6(58, a6, b6, payload))},
		"VLAN":               {1, eth(0x8100, cat(0, 5, 8, 0, inner))},
		"QinQ":               {1, eth(0x88a8, cat(0, 5, 0x81, 0, 0, 6, 0x86, 0xdd, inner6))},
		"raw":                {101, inner},
		"raw IPv6":           {101, inner6},
		"loopback":           {0, cat(2, 0, 0, 0, inner)},
		"loopback IPv6":      {0, cat(30, 0, 0, 0, inner6)},
		"Linux cooked":       {113, cat(make([]byte, 14), 8, 0, inner)},
		"Linux cooked, new":  {276, cat(8, 0, make([]byte, 18), inner)},
		"UDP, no origin":     {1, eth(0x0800, udp4(1234, 53, cat(1, 0, make([]byte, 6), 0x60, make([]byte, 90))))},
		"UDP, no teredo":     {1, eth(0x0800, udp4(1234, 53, cat(0, 2, make([]byte, 6), 0x60, make([]byte, 90))))},
		"no payload":         {101, ip4(6, a4, b4, nil)},
		"no payload, frame":  {1, eth(0x0800, ip4(6, a4, b4, nil))},
		"no payload, tag":    {1, eth(0x8100, cat(0, 5, 8, 0, ip4(6, a4, b4, nil)))},
		"no payload, IPv6":   {101, ip6(6, a6, b6, nil)},
		"no payload, cooked": {113, cat(make([]byte, 14), 0x86, 0xdd, ip6(6, a6, b6, nil))},
	} {
		f := Frame{Data: c.frame, Time: now, Link: c.link, Wire: len(c.frame)}
		assert.True(t, checkPlain(t, f, false), name)
		if strings.HasPrefix(name, "no payload") {
			f.Data = f.Data[:len(f.Data)-1]
			assert.False(t, checkPlain(t, f, false), name)
		} else {
			f.Data = f.Data[:len(f.Data)-80] // truncated
			assert.True(t, checkPlain(t, f, false), name)
		}
	}
}

func TestNonPlainFrames(t *testing.T) {
	for name, c := range tunnelled {
		assert.False(t, checkPlain(t, Frame{Data: eth(0x0800, c.packet), Link: 1}, true), name)
	}
	for name, c := range map[string]struct {
		link  layers.LinkType
		frame []byte
	}{
		"nothing":             {1, nil},
		"nothing, raw":        {101, nil},
		"ARP":                 {1, eth(0x0806, inner)},
		"ARP like IPv6":       {1, eth(0x0806, inner6)},
		"version":             {101, changed(inner, 0, 0x55)},
		"version of IPv6":     {1, eth(0x86dd, inner)},
		"version of IPv4":     {1, eth(0x0800, inner6)},
		"options":             {101, changed(inner, 0, 0x46)},
		"no length":           {101, changed(inner, 2, 0, 0)},
		"short length":        {101, changed(inner, 2, 0, 19)},
		"long length":         {101, changed(inner, 2, 0, 117)},
		"long length of IPv6": {101, inner6[:135]},
		"fragment":            {101, piece(1, 8, false, payload)},
		"first fragment":      {101, piece(1, 0, true, payload)},
		"another protocol":    {101, ip4(2, a4, b4, payload)},
		"extensions":          {101, extended(60, 6, 0, 0, 0, 0, 0, 0, 0)},
		"three tags":          {1, eth(0x8100, cat(0, 5, 0x81, 0, 0, 5, 0x81, 0, 0, 5, 8, 0, inner))},
		"reply of a tunnel":   {101, udp4(4789, 50000, payload)},
		"family":              {0, cat(7, 0, 0, 0, inner)},
		"family, swapped":     {0, cat(0, 0, 0, 2, inner)},
		"another link":        {9, cat(0, 0x21, inner)},
		"cooked ARP":          {113, cat(make([]byte, 14), 8, 6, inner)},
	} {
		assert.False(t, checkPlain(t, Frame{Data: c.frame, Link: c.link}, true), name)
	}
	for _, c := range links { // at every length
		for n := range c.frame {
			checkPlain(t, Frame{Data: c.frame[:n], Link: c.link, Wire: len(c.frame)}, true)
			checkPlain(t, Frame{Data: c.frame[:n], Link: c.link, Wire: n}, true)
		}
	}
	for i := range 20 {
		bad := changed(inner, 0)
		bad[i]++
		assert.False(t, checkPlain(t, Frame{Data: bad, Link: 101}, false), i)
	}
}
