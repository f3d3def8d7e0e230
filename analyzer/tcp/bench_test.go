package tcp_test

import (
	"encoding/binary"
	"testing"

	"example.com/conn/analyzer/tcp"
)

// A flood consists of SYNs, each on a new connection.
func BenchmarkSYN(b *testing.B) {
	h := parse(b, "> S 100").header()
	b.ReportAllocs()
	for b.Loop() {
		var c tcp.Conn
		c.Segment(tcp.Orig, start, h, nil, 0, discard{})
	}
}

// Bulk traffic consists of data in order, each segment acknowledged.
func BenchmarkBulk(b *testing.B) {
	p := &player{now: start}
	for _, line := range []string{"> S 100", "< SA 500 101", "> A 101 501"} {
		p.step(b, line)
	}
	data, ack, payload := parse(b, "< A 501 101").header(), parse(b, "> A 101 501").header(), make([]byte, 1448)
	next := uint32(501)
	b.ReportAllocs()
	b.SetBytes(int64(len(payload)))
	for b.Loop() {
		binary.BigEndian.PutUint32(data[4:], next)
		p.conn.Segment(tcp.Resp, start, data, payload, len(payload), discard{})
		next += uint32(len(payload))
		binary.BigEndian.PutUint32(ack[8:], next)
		p.conn.Segment(tcp.Orig, start, ack, nil, 0, discard{})
	}
}

// The reassembly queue holds segments that follow a lost one: here 32 arrive, then the lost one.
func BenchmarkLoss(b *testing.B) {
	p := &player{now: start}
	for _, line := range []string{"> S 100", "< SA 500 101", "> A 101 501"} {
		p.step(b, line)
	}
	h, payload := parse(b, "< A 501 101").header(), make([]byte, 1448)
	first := uint32(501)
	send := func(i uint32) {
		binary.BigEndian.PutUint32(h[4:], first+i*uint32(len(payload)))
		p.conn.Segment(tcp.Resp, start, h, payload, len(payload), discard{})
	}
	b.ReportAllocs()
	b.SetBytes(33 * int64(len(payload)))
	for b.Loop() {
		for i := range uint32(32) {
			send(i + 1)
		}
		send(0)
		first += 33 * uint32(len(payload))
	}
}
