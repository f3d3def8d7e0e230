package checksum

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn"
)

// random returns n bytes with many one bits, so that carries are frequent.
func random(r *rand.Rand, n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(r.Uint32() | r.Uint32())
	}
	return data
}

// complete sets the checksum in the first two bytes of data, with pseudo as pseudo-header.
func complete(data, pseudo []byte) {
	data[0], data[1] = 0, 0
	c := gopacket.FoldChecksum(gopacket.ComputeChecksum(data, gopacket.ComputeChecksum(pseudo, 0)))
	data[0], data[1] = byte(c>>8), byte(c)
}

func TestValidAgreesWithGopacket(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		data := random(r, 2+r.IntN(200))
		require.Equal(t, gopacket.FoldChecksum(gopacket.ComputeChecksum(data, 0)) == 0, Valid(data), "%x", data)
		complete(data, nil)
		require.True(t, Valid(data), "%x", data)
		data[r.IntN(len(data))] ^= 1 << r.IntN(8)
		require.False(t, Valid(data), "one bit changed: %x", data)
	}
}

func TestAllOnesIsValidAndAllZeroesIsNot(t *testing.T) {
	for n := 2; n <= 80; n += 2 {
		assert.True(t, Valid(bytes.Repeat([]byte{0xff}, n)), "%d bytes: every addition carries", n)
	}
	assert.False(t, Valid(make([]byte, 20)))
	assert.False(t, Valid(nil))
}

func TestValidWithPseudoHeader(t *testing.T) {
	v4 := [2]netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.255")}
	v6 := [2]netip.Addr{netip.MustParseAddr("2001:db8::ffff"), netip.MustParseAddr("fe80::1")}
	r := rand.New(rand.NewPCG(3, 4))
	for _, addrs := range [][2]netip.Addr{v4, v6} {
		for _, n := range []int{2, 3, 20, 33, 1460, 70_001} {
			t.Run(fmt.Sprintf("%v/%d bytes", addrs[0], n), func(t *testing.T) {
				data := random(r, n)
				pseudo := append(addrs[0].AsSlice(), addrs[1].AsSlice()...)
				pseudo = append(pseudo, byte(n>>24), byte(n>>16), byte(n>>8), byte(n), 0, 0, 0, byte(conn.UDP))
				complete(data, pseudo)
				assert.True(t, ValidWithPseudoHeader(addrs[0], addrs[1], conn.UDP, data))
				assert.True(t, ValidWithPseudoHeader(addrs[1], addrs[0], conn.UDP, data), "addition commutes")
				assert.False(t, ValidWithPseudoHeader(addrs[0], addrs[1], conn.TCP, data))
				assert.False(t, ValidWithPseudoHeader(addrs[0], addrs[0], conn.UDP, data))
				data[n-1] ^= 0x10
				assert.False(t, ValidWithPseudoHeader(addrs[0], addrs[1], conn.UDP, data))
			})
		}
	}
}

func BenchmarkSum(b *testing.B) {
	for _, n := range []int{20, 1460} {
		data := random(rand.New(rand.NewPCG(1, 2)), n)
		b.Run(fmt.Sprintf("bytes=%d/impl=checksum", n), func(b *testing.B) {
			b.SetBytes(int64(n))
			for b.Loop() {
				Valid(data)
			}
		})
		b.Run(fmt.Sprintf("bytes=%d/impl=gopacket", n), func(b *testing.B) {
			b.SetBytes(int64(n))
			for b.Loop() {
				gopacket.FoldChecksum(gopacket.ComputeChecksum(data, 0))
			}
		})
	}
}
