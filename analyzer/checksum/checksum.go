// Package checksum verifies the Internet checksum (RFC 1071) of IP headers, TCP, UDP, ICMP, GRE and
// others.
package checksum

import (
	"encoding/binary"
	"math/bits"
	"net/netip"

	"example.com/conn"
)

// Valid reports whether a receiver accepts data, which includes the checksum. An odd trailing byte
// is padded with a zero.
func Valid(data []byte) bool { return valid(sum(data, 0)) }

// ValidWithPseudoHeader is Valid for protocols whose checksum also covers a pseudo-header: TCP and
// UDP (RFC 9293, section 3.1) and, over IPv6, ICMP and mobility headers (RFC 8200, section 8.1).
func ValidWithPseudoHeader(src, dst netip.Addr, proto conn.Proto, data []byte) bool {
	// As16 puts ffff before an IPv4 address, which is zero in one's complement. The sum is
	// little-endian, so the length and the protocol, which end 32-bit words, are swapped.
	pseudo := uint64(bits.ReverseBytes32(uint32(len(data)))) + uint64(proto)<<8
	s, d := src.As16(), dst.As16()
	return valid(sum(data, sum(s[:], sum(d[:], pseudo))))
}

// valid reports whether sum, folded to 16 bits, is ffff. Folding keeps a sum's remainder modulo ffff
// and makes only 0 of 0.
func valid(sum uint64) bool { return sum != 0 && sum%0xffff == 0 }

// sum adds data to sum in one's complement. Words of any size and byte order give the same 16-bit
// result, up to the order of its two bytes; that does not matter to valid, as ffff has no order.
//
// gopacket.ComputeChecksum takes five times as long for a full segment (BenchmarkSum).
func sum(data []byte, sum uint64) uint64 {
	var carry uint64
	for len(data) >= 32 {
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(data), 0)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(data[8:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(data[16:]), carry)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(data[24:32]), carry)
		sum += carry
		data = data[32:]
	}
	for len(data) >= 8 {
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(data), 0)
		sum += carry
		data = data[8:]
	}
	if len(data) >= 4 { // as in a header of 20 bytes, for which this halves the time
		sum, carry = bits.Add64(sum, uint64(binary.LittleEndian.Uint32(data)), 0)
		sum += carry
		data = data[4:]
	}
	if len(data) > 0 {
		var word [8]byte
		copy(word[:], data)
		sum, carry = bits.Add64(sum, binary.LittleEndian.Uint64(word[:]), 0)
		sum += carry
	}
	return sum
}
