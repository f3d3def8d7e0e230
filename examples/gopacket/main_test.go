package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn"
	"example.com/conn/conntest"
)

// A writer writes packets to a capture, a millisecond apart.
type writer struct {
	bytes.Buffer
	now            time.Time
	client, server net.IP
}

func newWriter() *writer {
	w := &writer{
		now:    time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		client: net.IPv4(192, 0, 2, 1), server: net.IPv4(198, 51, 100, 7),
	}
	if err := pcapgo.NewWriter(&w.Buffer).WriteFileHeader(65535, layers.LinkTypeRaw); err != nil {
		panic(err)
	}
	return w
}

func (w *writer) wait(d time.Duration) { w.now = w.now.Add(d) }

// packet writes a packet of the client or the server.
func (w *writer) packet(fromClient bool, proto layers.IPProtocol, transport gopacket.SerializableLayer, payload string) {
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: proto, SrcIP: w.client, DstIP: w.server}
	if !fromClient {
		ip.SrcIP, ip.DstIP = ip.DstIP, ip.SrcIP
	}
	buf := gopacket.NewSerializeBuffer()
	options := gopacket.SerializeOptions{FixLengths: true}
	if err := gopacket.SerializeLayers(buf, options, ip, transport, gopacket.Payload(payload)); err != nil {
		panic(err)
	}
	w.wait(time.Millisecond)
	info := gopacket.CaptureInfo{Timestamp: w.now, CaptureLength: len(buf.Bytes()), Length: len(buf.Bytes())}
	if err := pcapgo.NewWriter(&w.Buffer).WritePacket(info, buf.Bytes()); err != nil {
		panic(err)
	}
}

// dns writes a query or a reply for www.example.com.
func (w *writer) dns(fromClient bool, port layers.UDPPort, id uint16) {
	m := layers.DNS{ID: id, QR: !fromClient, Questions: []layers.DNSQuestion{
		{Name: []byte("www.example.com"), Type: layers.DNSTypeA, Class: layers.DNSClassIN}}}
	buf := gopacket.NewSerializeBuffer()
	if err := m.SerializeTo(buf, gopacket.SerializeOptions{FixLengths: true}); err != nil {
		panic(err)
	}
	udp := &layers.UDP{SrcPort: port, DstPort: 53}
	if !fromClient {
		udp.SrcPort, udp.DstPort = udp.DstPort, udp.SrcPort
	}
	w.packet(fromClient, layers.IPProtocolUDP, udp, string(buf.Bytes()))
}

// A client is a TCP connection to port 80.
type client struct {
	w            *writer
	port         layers.TCPPort
	seq, peerSeq uint32
}

// newClient returns a connection that has sent nothing. Two have different sequence numbers.
func (w *writer) newClient(port layers.TCPPort) *client {
	return &client{w: w, port: port, seq: uint32(w.now.UnixMilli()), peerSeq: uint32(w.now.UnixMilli()) * 7}
}

func (w *writer) open(port layers.TCPPort) *client {
	c := w.newClient(port)
	c.send(true, layers.TCP{SYN: true}, "")
	c.send(false, layers.TCP{SYN: true, ACK: true}, "")
	c.send(true, layers.TCP{ACK: true}, "")
	return c
}

func (c *client) request(uri string) {
	c.send(true, layers.TCP{ACK: true}, "GET "+uri+" HTTP/1.1\r\n\r\n")
}

func (c *client) reply() { c.send(false, layers.TCP{ACK: true}, "HTTP/1.1 200 OK\r\n\r\n") }

func (c *client) close() {
	c.send(true, layers.TCP{ACK: true, FIN: true}, "")
	c.send(false, layers.TCP{ACK: true, FIN: true}, "")
	c.send(true, layers.TCP{ACK: true}, "")
}

// send writes a segment. Its sequence number is the next, plus what tcp.Seq says.
func (c *client) send(fromClient bool, tcp layers.TCP, payload string) {
	seq, ack := &c.seq, &c.peerSeq
	tcp.SrcPort, tcp.DstPort, tcp.Window = c.port, 80, 65535
	if !fromClient {
		seq, ack = ack, seq
		tcp.SrcPort, tcp.DstPort = tcp.DstPort, tcp.SrcPort
	}
	forged := tcp.Seq != 0
	tcp.Seq, tcp.Ack = *seq+tcp.Seq, *ack
	if !forged {
		*seq += uint32(len(payload))
		if tcp.SYN || tcp.FIN {
			*seq++
		}
	}
	c.w.packet(fromClient, layers.IPProtocolTCP, &tcp, payload)
}

// output analyzes a capture and returns what was printed, without the addresses.
func output(t *testing.T, capture io.Reader) (lines []string, err error) {
	t.Helper()
	conntest.VerifyRemoved(t)
	file, err := os.Create(t.TempDir() + "/stdout")
	require.NoError(t, err)
	defer file.Close()
	stdout := os.Stdout
	os.Stdout = file
	defer func() { os.Stdout = stdout }()

	tbl := newTable()
	err = analyze(capture, tbl)
	assert.Empty(t, tbl.flows)
	assert.Zero(t, tbl.order.Len())
	assert.Zero(t, tbl.assembler.FlushAll(), "connections still in the assembler")
	printed, readErr := os.ReadFile(file.Name())
	require.NoError(t, readErr)
	for line := range strings.Lines(string(printed)) {
		uid, rest, _ := strings.Cut(line, " ")
		_, rest, _ = strings.Cut(rest, ": ")
		lines = append(lines, uid+" "+strings.TrimSpace(rest))
	}
	return lines, err
}

func TestConversations(t *testing.T) {
	for _, tt := range []struct {
		name    string
		capture func(w *writer)
		want    []string
	}{
		{"answered and closed", func(w *writer) {
			c := w.open(40001)
			c.request("/a")
			c.reply()
			c.close()
		}, []string{`C1 "GET /a HTTP/1.1": HTTP/1.1 200`, `C1 closed`}},
		{"closed with a request pending", func(w *writer) {
			c := w.open(40001)
			c.request("/a")
			c.reply()
			c.request("/b")
			c.close()
		}, []string{`C1 "GET /a HTTP/1.1": HTTP/1.1 200`, `C1 "GET /b HTTP/1.1": no reply`, `C1 closed`}},
		{"pending requests are bounded in length and number", func(w *writer) {
			c := w.open(40001)
			c.send(true, layers.TCP{ACK: true}, strings.Repeat("A", 21)+" / HTTP/1.1\r\n")
			c.request("/" + strings.Repeat("a", 500))
			for range 101 {
				c.request("/b")
			}
		}, append(slices.Repeat([]string{`C1 "GET /b HTTP/1.1": no reply`}, 100), `C1 end of capture`)},
		{"the capture ends with requests pending", func(w *writer) {
			c := w.open(40001)
			c.request("/a")
			c.request("/b")
		}, []string{`C1 "GET /a HTTP/1.1": no reply`, `C1 "GET /b HTTP/1.1": no reply`, `C1 end of capture`}},
		{"the capture ends after a lost segment", func(w *writer) {
			c := w.open(40001)
			c.seq += 100
			c.request("/a")
		}, []string{`C1 "GET /a HTTP/1.1": no reply`, `C1 end of capture`}},
		{"closed after a lost segment", func(w *writer) {
			c := w.open(40001)
			c.seq += 100
			c.request("/a")
			c.close()
			w.wait(11 * time.Second)
			w.dns(true, 50000, 1)
			w.dns(false, 50000, 1)
		}, []string{`C1 "GET /a HTTP/1.1": no reply`, `C1 closed`, `C2 "www.example.com": No Error`, `C2 end of capture`}},
		{"silent for five minutes", func(w *writer) {
			w.open(40001).request("/a")
			w.wait(5 * time.Minute)
			w.open(40002)
		}, []string{`C1 "GET /a HTTP/1.1": no reply`, `C1 timeout`, `C2 end of capture`}},
		{"silent for less", func(w *writer) {
			c := w.open(40001)
			c.request("/a")
			w.wait(4 * time.Minute)
			c.reply()
		}, []string{`C1 "GET /a HTTP/1.1": HTTP/1.1 200`, `C1 end of capture`}},
		{"the clock is set back", func(w *writer) {
			w.open(40001).request("/a")
			w.wait(-time.Hour)
			w.open(40002).request("/b")
			w.wait(5 * time.Minute)
			w.open(40003)
		}, []string{`C2 "GET /b HTTP/1.1": no reply`, `C2 timeout`,
			`C1 "GET /a HTTP/1.1": no reply`, `C1 end of capture`, `C3 end of capture`}},
		{"reset by the client", func(w *writer) {
			c := w.open(40001)
			c.request("/a")
			c.send(true, layers.TCP{RST: true}, "")
			c.reply() // late
		}, []string{`C1 "GET /a HTTP/1.1": no reply`, `C1 reset`}},
		{"reset by the server", func(w *writer) {
			c := w.open(40001)
			c.request("/a")
			c.send(false, layers.TCP{RST: true}, "")
		}, []string{`C1 "GET /a HTTP/1.1": no reply`, `C1 reset`}},
		{"reset after a FIN", func(w *writer) {
			c := w.open(40001)
			c.request("/a")
			c.send(true, layers.TCP{ACK: true, FIN: true}, "")
			c.send(true, layers.TCP{RST: true}, "")
		}, []string{`C1 "GET /a HTTP/1.1": no reply`, `C1 reset`}},
		{"a forged RST", func(w *writer) {
			c := w.open(40001)
			c.request("/a")
			c.send(true, layers.TCP{RST: true, Seq: 1}, "")
			c.reply()
		}, []string{`C1 "GET /a HTTP/1.1": HTTP/1.1 200`, `C1 end of capture`}},
		{"a forged SYN", func(w *writer) {
			c := w.open(40001)
			c.request("/a")
			c.send(true, layers.TCP{SYN: true, Seq: 1000}, "")
			c.reply()
		}, []string{`C1 "GET /a HTTP/1.1": HTTP/1.1 200`, `C1 end of capture`}},
		{"reset while data of a server that has sent no SYN is pending", func(w *writer) {
			c := w.newClient(40001)
			c.send(true, layers.TCP{SYN: true}, "")
			c.request("/a")
			c.peerSeq = 1<<32 - 1
			c.reply()
			c.send(true, layers.TCP{RST: true}, "")
		}, []string{`C1 "GET /a HTTP/1.1": no reply`, `C1 reset`}},
		{"refused, then accepted on the same ports", func(w *writer) {
			c := w.newClient(40001)
			c.send(true, layers.TCP{SYN: true}, "")
			c.send(false, layers.TCP{RST: true, ACK: true}, "")
			w.open(40001).request("/a")
		}, []string{`C1 reset`, `C2 "GET /a HTTP/1.1": no reply`, `C2 end of capture`}},
		{"a forged refusal", func(w *writer) {
			c := w.newClient(40001)
			c.send(true, layers.TCP{SYN: true}, "")
			c.seq++ // acknowledges more than the SYN
			c.send(false, layers.TCP{RST: true, ACK: true}, "")
			c.seq--
			c.send(false, layers.TCP{SYN: true, ACK: true}, "")
			c.request("/a")
			c.reply()
		}, []string{`C1 "GET /a HTTP/1.1": HTTP/1.1 200`, `C1 end of capture`}},
		{"the capture begins in a connection", func(w *writer) {
			w.newClient(40001).request("/a")
		}, nil},
		{"from its own destination", func(w *writer) {
			w.server = w.client
			w.newClient(80).send(true, layers.TCP{SYN: true}, "")
		}, nil},
		{"a query answered", func(w *writer) {
			w.dns(true, 50000, 1)
			w.dns(false, 50000, 1)
		}, []string{`C1 "www.example.com": No Error`, `C1 end of capture`}},
		{"a query silent for a minute", func(w *writer) {
			w.dns(true, 50000, 1)
			w.wait(time.Minute)
			w.dns(true, 50001, 2)
		}, []string{`C1 "www.example.com": no reply`, `C1 timeout`, `C2 "www.example.com": no reply`, `C2 end of capture`}},
		{"pending queries are bounded", func(w *writer) {
			for id := range uint16(101) {
				w.dns(true, 50000, id)
			}
		}, append(slices.Repeat([]string{`C1 "www.example.com": no reply`}, 100), `C1 end of capture`)},
		{"a reply to another query", func(w *writer) {
			w.dns(true, 50000, 1)
			w.dns(false, 50000, 2)
		}, []string{`C1 "www.example.com": no reply`, `C1 end of capture`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWriter()
			tt.capture(w)
			got, err := output(t, w)
			require.NoError(t, err)
			assert.Equal(t, tt.want, got)
		})
	}
}

func TestParseDNSIgnores(t *testing.T) {
	for name, m := range map[string]layers.DNS{
		"a reply of the originator":  {QR: true, Questions: []layers.DNSQuestion{{Name: []byte("www.example.com")}}},
		"a query without a question": {},
	} {
		t.Run(name, func(t *testing.T) {
			buf := gopacket.NewSerializeBuffer()
			require.NoError(t, m.SerializeTo(buf, gopacket.SerializeOptions{FixLengths: true}))
			c := new(conn.Connection)
			parseDNS(c, true, buf.Bytes())
			assert.False(t, conn.Registered(c, finishDNS))
		})
	}
}

func TestPortsReusedAfterReset(t *testing.T) {
	w := newWriter()
	var want []string
	for i := range 50 {
		c := w.open(layers.TCPPort(40000 + i%5))
		c.request(fmt.Sprint("/", i))
		c.send(false, layers.TCP{ACK: true}, "")
		c.send(true, layers.TCP{RST: true, ACK: true}, "")
		w.wait(6 * time.Second)
		want = append(want, fmt.Sprintf(`C%d "GET /%d HTTP/1.1": no reply`, i+1, i), fmt.Sprintf("C%d reset", i+1))
	}
	got, err := output(t, w)
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

func TestEvictsLeastRecentlySeen(t *testing.T) {
	w := newWriter()
	oldest, busy := w.open(1), w.open(2)
	oldest.request("/oldest")
	busy.request("/busy")
	for port := layers.TCPPort(3); port <= maxFlows; port++ {
		w.newClient(port).send(true, layers.TCP{SYN: true}, "")
	}
	busy.reply()
	w.newClient(maxFlows+1).send(true, layers.TCP{SYN: true}, "")
	w.newClient(maxFlows+2).send(true, layers.TCP{SYN: true}, "")

	got, err := output(t, w)
	require.NoError(t, err)
	require.Len(t, got, maxFlows+4)
	assert.Equal(t, []string{`C2 "GET /busy HTTP/1.1": HTTP/1.1 200`, `C1 "GET /oldest HTTP/1.1": no reply`,
		`C1 evicted`, `C3 evicted`, `C4 end of capture`}, got[:5])
}

func TestTruncatedCapture(t *testing.T) {
	w := newWriter()
	w.open(40001).request("/a")
	w.open(40002)
	got, err := output(t, bytes.NewReader(w.Bytes()[:w.Len()-1]))
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.ErrorContains(t, err, "packet 7")
	assert.Equal(t, []string{`C1 "GET /a HTTP/1.1": no reply`, `C1 end of capture`, `C2 end of capture`}, got)
}

func TestPcapng(t *testing.T) {
	w := newWriter()
	w.open(40001).request("/a")
	packets, err := pcapgo.NewReader(&w.Buffer)
	require.NoError(t, err)
	var capture bytes.Buffer
	ng, err := pcapgo.NewNgWriter(&capture, packets.LinkType())
	require.NoError(t, err)
	for {
		data, info, err := packets.ReadPacketData()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		require.NoError(t, ng.WritePacket(info, data))
	}
	require.NoError(t, ng.Flush())
	got, err := output(t, &capture)
	require.NoError(t, err)
	assert.Equal(t, []string{`C1 "GET /a HTTP/1.1": no reply`, `C1 end of capture`}, got)
}

func TestNoCapture(t *testing.T) {
	for _, content := range []string{"", "abc", "This is no capture, though longer than a header."} {
		t.Run(content, func(t *testing.T) {
			got, err := output(t, strings.NewReader(content))
			assert.Error(t, err)
			assert.Empty(t, got)
		})
	}
}

func TestPanicsAreContained(t *testing.T) {
	var logged bytes.Buffer
	log.SetOutput(&logged)
	port := layers.NewTCPPortEndpoint(80)
	t.Cleanup(func() {
		log.SetOutput(os.Stderr)
		parsers[port] = parseHTTP
	})
	parsers[port] = func(c *conn.Connection, fromOrig bool, data []byte) {
		conn.Register(c, func(*conn.Connection) bool { panic("in a hook") })
		parseHTTP(c, fromOrig, data)
		panic("in a parser")
	}
	w := newWriter()
	w.open(40001).request("/a")
	c := w.open(40002)
	c.seq += 100 // lost, so that the assembler delivers the request in a flush
	c.request("/b")
	w.wait(11 * time.Second)
	w.open(40003).request("/c")

	got, err := output(t, w)
	require.NoError(t, err)
	assert.Equal(t, []string{`C1 "GET /a HTTP/1.1": no reply`, `C1 end of capture`, `C2 "GET /b HTTP/1.1": no reply`,
		`C2 end of capture`, `C3 "GET /c HTTP/1.1": no reply`, `C3 end of capture`}, got)
	assert.Equal(t, 3, strings.Count(logged.String(), "panic: in a parser\n"))
	assert.Equal(t, 3, strings.Count(logged.String(), "panic: in a hook\n"))
}
