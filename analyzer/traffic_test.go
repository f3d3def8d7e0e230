package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/require"
)

// packet records an IPv4 packet in an Ethernet frame, a microsecond after the previous one.
func (c *tape) packet(ip *layers.IPv4, transport, payload gopacket.SerializableLayer) {
	ip.Version, ip.TTL = 4, 64
	switch l := transport.(type) {
	case *layers.TCP:
		ip.Protocol = layers.IPProtocolTCP
		require.NoError(c.t, l.SetNetworkLayerForChecksum(ip))
	case *layers.UDP:
		ip.Protocol = layers.IPProtocolUDP
		require.NoError(c.t, l.SetNetworkLayerForChecksum(ip))
	}
	eth := &layers.Ethernet{SrcMAC: []byte{2, 0, 0, 0, 0, 1}, DstMAC: []byte{2, 0, 0, 0, 0, 2}, EthernetType: layers.EthernetTypeIPv4}
	c.at = c.at.Add(time.Microsecond)
	c.frame(eth, ip, transport, payload)
}

var trafficServer = net.IP{198, 51, 100, 1}

// trafficClient returns the address of client i.
func trafficClient(i int) net.IP { return binary.BigEndian.AppendUint32(nil, 10<<24+uint32(i)) }

// flood returns a capture of n SYNs, each from its own address and port, a microsecond apart.
func flood(t testing.TB, n int) []byte {
	c := newTape(t, layers.LinkTypeEthernet)
	for i := range n {
		c.packet(&layers.IPv4{SrcIP: trafficClient(i), DstIP: trafficServer}, &layers.TCP{
			SYN: true, Window: 1024, DstPort: 80, SrcPort: layers.TCPPort(1024 + i%60000), Seq: uint32(i) * 7919,
		}, gopacket.Payload(nil))
	}
	return c.b.Bytes()
}

// A visit is an HTTP connection of a client to a server.
type visit struct {
	*tape
	client net.IP
	port   layers.TCPPort
	next   [2]uint32 // sequence numbers of client and server
}

func (c *tape) visit(i int) *visit {
	return &visit{tape: c, client: trafficClient(i), port: layers.TCPPort(1024 + i%60000), next: [2]uint32{uint32(i) * 7919, uint32(i) * 104729}}
}

// segment records a segment of the client, from = 0, or of the server, from = 1.
func (v *visit) segment(from int, tcp layers.TCP, payload string) {
	ip := layers.IPv4{SrcIP: v.client, DstIP: trafficServer}
	tcp.SrcPort, tcp.DstPort = v.port, 80
	if from == 1 {
		ip.SrcIP, ip.DstIP, tcp.SrcPort, tcp.DstPort = ip.DstIP, ip.SrcIP, tcp.DstPort, tcp.SrcPort
	}
	tcp.Seq, tcp.Window = v.next[from], 65535
	if tcp.ACK {
		tcp.Ack = v.next[1-from]
	}
	v.next[from] += uint32(len(payload))
	if tcp.SYN || tcp.FIN {
		v.next[from]++
	}
	v.packet(&ip, &tcp, gopacket.Payload(payload))
}

func (v *visit) open() {
	v.segment(0, layers.TCP{SYN: true}, "")
	v.segment(1, layers.TCP{SYN: true, ACK: true}, "")
	v.segment(0, layers.TCP{ACK: true}, "")
}

func (v *visit) close() {
	v.segment(0, layers.TCP{ACK: true, FIN: true}, "")
	v.segment(1, layers.TCP{ACK: true, FIN: true}, "")
	v.segment(0, layers.TCP{ACK: true}, "")
}

// requests returns a capture of connections with ten small requests each, eight at a time.
func requests(t testing.TB, connections int) []byte {
	const each, concurrent = 10, 8
	c := newTape(t, layers.LinkTypeEthernet)
	for first := 0; first < connections; first += concurrent {
		var visits []*visit
		for i := range concurrent {
			visits = append(visits, c.visit(first+i))
		}
		for _, v := range visits {
			v.open()
		}
		for n := range each {
			for i, v := range visits {
				v.segment(0, layers.TCP{ACK: true, PSH: true}, fmt.Sprintf("GET /item/%d/%d?q=%d HTTP/1.1\r\nHost: www%d.example.com\r\n"+
					"User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: */*\r\nReferer: http://www.example.com/\r\n\r\n", first+i, n, first*n, i))
			}
			for i, v := range visits {
				body := strings.Repeat("x", 17*(n+i))
				v.segment(1, layers.TCP{ACK: true, PSH: true}, fmt.Sprintf("HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/plain\r\n"+
					"Content-Length: %d\r\nConnection: keep-alive\r\n\r\n%s", len(body), body))
			}
		}
		for _, v := range visits {
			v.close()
		}
	}
	return c.b.Bytes()
}

// downloads returns a capture of 100 concurrent HTTP downloads, in frames of the given size.
func downloads(t testing.TB, size int) []byte {
	const connections, segments, headers = 100, 100, 14 + 20 + 20
	payload := strings.Repeat("x", size-headers)
	c := newTape(t, layers.LinkTypeEthernet)
	var visits []*visit
	for i := range connections {
		v := c.visit(i)
		visits = append(visits, v)
		v.open()
		v.segment(0, layers.TCP{ACK: true, PSH: true}, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
		v.segment(1, layers.TCP{ACK: true}, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", segments*len(payload)))
	}
	for range segments {
		for _, v := range visits {
			v.segment(1, layers.TCP{ACK: true}, payload)
		}
	}
	for _, v := range visits {
		v.close()
	}
	return c.b.Bytes()
}

// lookups returns a capture of n DNS queries and their answers.
func lookups(t testing.TB, n int) []byte {
	c := newTape(t, layers.LinkTypeEthernet)
	for i := range n {
		client, port := trafficClient(i%1000), layers.UDPPort(1024+i%60000)
		q := layers.DNSQuestion{Name: []byte(fmt.Sprintf("www%d.example.com", i%5000)), Type: layers.DNSTypeA, Class: layers.DNSClassIN}
		query := layers.DNS{ID: uint16(i), RD: true, Questions: []layers.DNSQuestion{q}}
		answer := query
		answer.QR, answer.RA = true, true
		for j := range 2 {
			answer.Answers = append(answer.Answers, layers.DNSResourceRecord{
				Name: q.Name, Type: q.Type, Class: q.Class, TTL: 300, IP: net.IP{192, 0, 2, byte(i + j)},
			})
		}
		c.packet(&layers.IPv4{SrcIP: client, DstIP: trafficServer}, &layers.UDP{SrcPort: port, DstPort: 53}, &query)
		c.packet(&layers.IPv4{SrcIP: trafficServer, DstIP: client}, &layers.UDP{SrcPort: 53, DstPort: port}, &answer)
	}
	return c.b.Bytes()
}
