package flow_test

import (
	"encoding/binary"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"example.com/conn"
	"example.com/conn/analyzer/flow"
	"example.com/conn/analyzer/http"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/packet"
	"example.com/conn/analyzer/protocol"
)

func benchTable() *flow.Table {
	return flow.New(flow.Config{
		MaxConnections: 100_000, MaxBuffered: 1 << 20, MaxTotal: 256 << 20,
		TCPTimeout: 5 * time.Minute, UDPTimeout: time.Minute, AttemptTimeout: 5 * time.Second, CloseTimeout: 5 * time.Second,
		Parsers: []func(protocol.Owner) protocol.Parser{func(o protocol.Owner) protocol.Parser { return http.New(o) }},
		Log:     logs.NewWriter(logs.NewOutput(io.Discard, nil)), Errors: io.Discard,
	})
}

// BenchmarkSYN measures a SYN in a flood: each has a different source address, adds a connection,
// and evicts one.
func BenchmarkSYN(b *testing.B) {
	table := benchTable()
	src, dst := netip.MustParseAddrPort("10.0.0.0:1024"), netip.MustParseAddrPort("198.51.100.1:80")
	payload := serialize(b, src, dst, &layers.TCP{
		SrcPort: 1024, DstPort: 80, SYN: true, Window: 1024, Seq: 0xffffffff - 10<<24,
	}, "")
	at := start
	i := uint32(0)
	b.ReportAllocs()
	for b.Loop() {
		i++
		at = at.Add(time.Microsecond)
		var addr [4]byte
		binary.BigEndian.PutUint32(addr[:], 10<<24+i&0xffffff)
		binary.BigEndian.PutUint32(payload[4:], 0xffffffff-(10<<24+i&0xffffff)) // keeps the checksum
		table.Packet(&packet.Packet{
			Time: at, Now: at, Src: netip.AddrFrom4(addr), Dst: dst.Addr(), Proto: conn.TCP, Payload: payload, Length: 20, IPLength: 40,
		})
	}
	b.StopTimer()
	if n := table.Stats.BadChecksums; n > b.N/2 {
		b.Fatal(n, "bad checksums")
	}
}

// BenchmarkBulk measures a packet of a large HTTP download.
func BenchmarkBulk(b *testing.B) {
	table := benchTable()
	cl, web := client, netip.AddrPortFrom(server.Addr(), 80)
	at := start
	var seq [2]uint32
	send := func(side protocol.Side, l *layers.TCP, data string) {
		src, dst := cl, web
		if side == protocol.Resp {
			src, dst = web, cl
		}
		l.SrcPort, l.DstPort, l.Seq, l.Ack = layers.TCPPort(src.Port()), layers.TCPPort(dst.Port()), seq[side], seq[1-side]
		l.Window = 65535
		p := serialize(b, src, dst, l, data)
		seq[side] += uint32(len(data))
		if l.SYN {
			seq[side]++
		}
		table.Packet(&packet.Packet{
			Time: at, Now: at, Src: src.Addr(), Dst: dst.Addr(), Proto: conn.TCP, Payload: p, Length: len(p), IPLength: 20 + len(p),
		})
	}
	send(0, &layers.TCP{SYN: true}, "")
	send(1, &layers.TCP{SYN: true, ACK: true}, "")
	send(0, &layers.TCP{ACK: true}, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	send(1, &layers.TCP{ACK: true}, "HTTP/1.1 200 OK\r\nContent-Length: 10000000000000\r\n\r\n")
	l := layers.TCP{SrcPort: 80, DstPort: layers.TCPPort(cl.Port()), ACK: true, Window: 65535, Ack: seq[0]}
	payload := serialize(b, web, cl, &l, strings.Repeat("x", 1400)) // with sequence number 0
	zero := binary.BigEndian.Uint16(payload[16:])
	p := packet.Packet{
		Src: web.Addr(), Dst: cl.Addr(), Proto: conn.TCP, Payload: payload, Length: len(payload), IPLength: 20 + len(payload),
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(payload)))
	for b.Loop() {
		at = at.Add(time.Microsecond)
		binary.BigEndian.PutUint32(payload[4:], seq[1])
		sum := uint32(^zero) + seq[1]>>16 + seq[1]&0xffff
		sum = sum>>16 + sum&0xffff
		sum = sum>>16 + sum&0xffff
		binary.BigEndian.PutUint16(payload[16:], ^uint16(sum))
		seq[1] += 1400
		p.Time = at
		table.Packet(&p)
	}
	b.StopTimer()
	if table.Stats.BadChecksums > 0 {
		b.Fatal("bad checksums")
	}
}
