package gopacket_test

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/gopacket/gopacket/reassembly"

	"example.com/conn"
)

// A tcpConn is this analyzer's own type of connection. It embeds the hooks of its parsers.
type tcpConn struct {
	conn.Hooks[tcpConn]

	table    *table
	name     string
	ended    string   // why, for the hooks
	requests []string // that have no reply yet
}

// The parser. It finds a request or a reply in each piece of data, and knows nothing of the ways in
// which a connection ends.

func (c *tcpConn) onRequest(line string) {
	c.requests = append(c.requests, line)
	c.Register((*tcpConn).logRequests) // whenever something becomes pending: it is added once
}

func (c *tcpConn) onReply() {
	c.requests = c.requests[min(1, len(c.requests)):]
	if len(c.requests) == 0 {
		c.Unregister((*tcpConn).logRequests)
	}
}

// logRequests is the parser's removal hook.
func (c *tcpConn) logRequests() bool {
	fmt.Printf("%s: no reply to %q (%s)\n", c.name, c.requests, c.ended)
	return true
}

// The stream that gopacket reassembles.

func (c *tcpConn) Accept(*layers.TCP, gopacket.CaptureInfo, reassembly.TCPFlowDirection, reassembly.Sequence,
	*bool, reassembly.AssemblerContext) bool {
	return true
}

func (c *tcpConn) ReassembledSG(data reassembly.ScatterGather, _ reassembly.AssemblerContext) {
	n, _ := data.Lengths()
	if n == 0 {
		return
	}
	line, _, _ := bytes.Cut(data.Fetch(n), []byte("\r\n"))
	if from, _, _, _ := data.Info(); from == reassembly.TCPDirClientToServer {
		c.onRequest(string(line))
	} else {
		c.onReply()
	}
}

// ReassemblyComplete returns false, so that the last ACK does not make the connection anew: the
// assembler keeps it until a flush finds it old.
func (c *tcpConn) ReassemblyComplete(reassembly.AssemblerContext) bool {
	c.table.remove(c)
	return false
}

// A table owns the connections that have not ended.
type table struct {
	live  map[*tcpConn]bool
	count int    // of all connections so far
	why   string // a connection that ends now does
}

func (t *table) New(net, tcp gopacket.Flow, _ *layers.TCP, _ reassembly.AssemblerContext) reassembly.Stream {
	c := &tcpConn{table: t, name: fmt.Sprintf("%v:%v → %v:%v", net.Src(), tcp.Src(), net.Dst(), tcp.Dst())}
	t.live[c] = true
	t.count++
	return c
}

// remove ends c. The recover is here, and not around Assemble or FlushAll: they call this under a
// lock of the assembler, which a panic would leave locked.
func (t *table) remove(c *tcpConn) {
	delete(t.live, c)
	c.ended = t.why
	defer func() {
		if v := recover(); v != nil {
			fmt.Printf("%s: a hook panicked: %v\n", c.name, v)
		}
	}()
	c.StateRemove(c)
}

// end ends all connections: those that the assembler completes, and whatever is left.
func (t *table) end(assembler *reassembly.Assembler) {
	t.why = "end of capture"
	assembler.FlushAll()
	for c := range t.live {
		t.remove(c)
	}
}

// analyze reads a capture to its end and returns the number of connections in it.
func analyze(capture io.Reader) (count int, err error) {
	packets, err := pcapgo.NewReader(capture)
	if err != nil {
		return 0, err
	}
	t := &table{live: map[*tcpConn]bool{}}
	assembler := reassembly.NewAssembler(reassembly.NewStreamPool(t))
	defer t.end(assembler) // also after an error

	var flushed time.Time
	for {
		data, info, err := packets.ReadPacketData()
		if err == io.EOF {
			return t.count, nil
		}
		if err != nil {
			return t.count, err
		}
		// Every ten seconds of the capture's clock, which is not the computer's.
		if now := info.Timestamp; now.Sub(flushed) > 10*time.Second {
			flushed, t.why = now, "timeout"
			assembler.FlushWithOptions(reassembly.FlushOptions{T: now.Add(-time.Minute), TC: now.Add(-5 * time.Minute)})
		}
		packet := gopacket.NewPacket(data, packets.LinkType(), gopacket.NoCopy)
		if tcp, ok := packet.TransportLayer().(*layers.TCP); ok {
			t.why = "closed"
			assembler.AssembleWithContext(packet.NetworkLayer().NetworkFlow(), tcp, &context{info})
		}
	}
}

type context struct{ info gopacket.CaptureInfo }

func (c *context) GetCaptureInfo() gopacket.CaptureInfo { return c.info }

// The hooks log the requests without a reply: of a connection that was closed, of one that went
// silent, and of one that still waits for a lost packet when the capture ends. The fourth has
// nothing to log.
func Example() {
	count, err := analyze(capture())
	fmt.Println(count, "connections, error:", err)

	// Unordered output:
	// 192.0.2.1:40001 → 198.51.100.7:80: no reply to ["GET /b HTTP/1.1"] (closed)
	// 192.0.2.1:40002 → 198.51.100.7:80: no reply to ["GET /c HTTP/1.1" "GET /d HTTP/1.1"] (timeout)
	// 192.0.2.1:40003 → 198.51.100.7:80: no reply to ["GET /f HTTP/1.1"] (end of capture)
	// 4 connections, error: <nil>
}
