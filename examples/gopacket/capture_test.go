package gopacket_test

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/gopacket/gopacket/reassembly"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn/conntest"
)

// capture returns the capture that the example reads.
func capture() io.Reader {
	w := newWriter()
	closed, silent, waiting, answered := w.client(40001), w.client(40002), w.client(40003), w.client(40004)
	for _, c := range []*client{closed, silent, answered} {
		c.open()
	}
	closed.request("GET /a HTTP/1.1\r\n\r\n")
	closed.reply("HTTP/1.1 200 OK\r\n\r\n")
	closed.request("GET /b HTTP/1.1\r\n\r\n")
	answered.request("GET /g HTTP/1.1\r\n\r\n")
	silent.request("GET /c HTTP/1.1\r\n\r\n")
	silent.request("GET /d HTTP/1.1\r\n\r\n")
	answered.reply("HTTP/1.1 200 OK\r\n\r\n")
	closed.close()
	w.now = w.now.Add(10 * time.Minute)
	waiting.open()
	waiting.seq += uint32(len("GET /e HTTP/1.1\r\n\r\n")) // lost
	waiting.request("GET /f HTTP/1.1\r\n\r\n")
	return w
}

// A writer writes packets to a capture, a millisecond apart.
type writer struct {
	bytes.Buffer
	now time.Time
}

func newWriter() *writer {
	w := &writer{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	if err := pcapgo.NewWriter(&w.Buffer).WriteFileHeader(65535, layers.LinkTypeEthernet); err != nil {
		panic(err)
	}
	return w
}

// A client is a TCP connection of 192.0.2.1 to port 80 of 198.51.100.7.
type client struct {
	w            *writer
	port         layers.TCPPort
	seq, peerSeq uint32
}

func (w *writer) client(port layers.TCPPort) *client { return &client{w: w, port: port} }

func (c *client) open() {
	c.send(true, layers.TCP{SYN: true}, "")
	c.send(false, layers.TCP{SYN: true, ACK: true}, "")
	c.send(true, layers.TCP{ACK: true}, "")
}

func (c *client) request(s string) { c.send(true, layers.TCP{ACK: true, PSH: true}, s) }
func (c *client) reply(s string)   { c.send(false, layers.TCP{ACK: true, PSH: true}, s) }

func (c *client) close() {
	c.send(true, layers.TCP{ACK: true, FIN: true}, "")
	c.send(false, layers.TCP{ACK: true, FIN: true}, "")
	c.send(true, layers.TCP{ACK: true}, "")
}

func (c *client) send(fromClient bool, tcp layers.TCP, payload string) {
	eth := layers.Ethernet{SrcMAC: make(net.HardwareAddr, 6), DstMAC: make(net.HardwareAddr, 6), EthernetType: layers.EthernetTypeIPv4}
	ip := layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP,
		SrcIP: net.IPv4(192, 0, 2, 1), DstIP: net.IPv4(198, 51, 100, 7)}
	tcp.SrcPort, tcp.DstPort, tcp.Window = c.port, 80, 65535
	seq, ack := &c.seq, &c.peerSeq
	if !fromClient {
		ip.SrcIP, ip.DstIP = ip.DstIP, ip.SrcIP
		tcp.SrcPort, tcp.DstPort = tcp.DstPort, tcp.SrcPort
		seq, ack = ack, seq
	}
	tcp.Seq, tcp.Ack = *seq, *ack
	*seq += uint32(len(payload))
	if tcp.SYN || tcp.FIN {
		*seq++
	}

	buf := gopacket.NewSerializeBuffer()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := tcp.SetNetworkLayerForChecksum(&ip); err != nil {
		panic(err)
	}
	if err := gopacket.SerializeLayers(buf, options, &eth, &ip, &tcp, gopacket.Payload(payload)); err != nil {
		panic(err)
	}
	c.w.now = c.w.now.Add(time.Millisecond)
	info := gopacket.CaptureInfo{Timestamp: c.w.now, CaptureLength: len(buf.Bytes()), Length: len(buf.Bytes())}
	if err := pcapgo.NewWriter(&c.w.Buffer).WritePacket(info, buf.Bytes()); err != nil {
		panic(err)
	}
}

func TestEveryConnectionIsRemoved(t *testing.T) {
	conntest.VerifyRemoved(t)
	_, err := analyze(capture())
	require.NoError(t, err)
}

func TestTruncatedCapture(t *testing.T) {
	conntest.VerifyRemoved(t)
	all, err := io.ReadAll(capture())
	require.NoError(t, err)
	_, err = analyze(bytes.NewReader(all[:len(all)-1]))
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func TestHookThatPanics(t *testing.T) {
	conntest.VerifyRemoved(t)
	tbl := &table{live: map[*tcpConn]bool{}}
	var ran []*tcpConn
	for range 3 {
		// The assembler does not know these. It does not matter: they are the table's.
		c := tbl.New(gopacket.Flow{}, gopacket.Flow{}, nil, nil).(*tcpConn)
		c.Register(func(*tcpConn) bool { panic("a parser's mistake") })
		c.Register(func(c *tcpConn) bool { ran = append(ran, c); return true })
	}
	tbl.end(reassembly.NewAssembler(reassembly.NewStreamPool(tbl)))
	assert.Len(t, ran, 3)
	assert.Empty(t, tbl.live)
}
