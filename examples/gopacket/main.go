// Command gopacket reads a pcap or pcapng file and prints its connections, their HTTP requests and
// DNS queries, and which of those got no reply. Copy it, and replace the parsers with your own.
//
//	go -C examples run ./gopacket "$PWD/my.pcap"
package main

import (
	"bufio"
	"cmp"
	"container/list"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net/netip"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/gopacket/gopacket/reassembly"

	"example.com/conn"
)

// parsers maps a responder's port to the parser of what both sides send. To add a protocol, write a
// parser like parseHTTP (streams) or parseDNS (datagrams). It must not retain data.
var parsers = map[gopacket.Endpoint]func(c *conn.Connection, fromOrig bool, data []byte){
	layers.NewTCPPortEndpoint(80): parseHTTP,
	layers.NewUDPPortEndpoint(53): parseDNS,
}

var httpPending conn.Field[[]string] // requests awaiting a reply, at most 100
var httpLine = regexp.MustCompile(`(?m)^([A-Z]{1,20} \S{1,500} HTTP/1\.\d|HTTP/1\.\d (101|[2-5]\d\d))`)

// parseHTTP looks for lines that begin a message. It misses a line split between two segments.
func parseHTTP(c *conn.Connection, fromOrig bool, data []byte) {
	pending, _ := httpPending.GetOrNew(c)
	for _, line := range httpLine.FindAll(data, -1) {
		if fromOrig && len(*pending) < 100 {
			*pending = append(*pending, string(line))
			conn.Register(c, finishHTTP) // added once, however often it is called
		} else if !fromOrig && len(*pending) > 0 {
			fmt.Printf("%s %v: %q: %s\n", c.UID, c.ID, (*pending)[0], line)
			*pending = (*pending)[1:]
		}
	}
}

func finishHTTP(c *conn.Connection) bool {
	for _, request := range *httpPending.Get(c) {
		fmt.Printf("%s %v: %q: no reply\n", c.UID, c.ID, request)
	}
	return true
}

var dnsPending conn.Field[map[uint16]string] // names queried, by ID; at most 100

func parseDNS(c *conn.Connection, fromOrig bool, data []byte) {
	var m layers.DNS
	if m.DecodeFromBytes(data, gopacket.NilDecodeFeedback) != nil || len(m.Questions) == 0 || m.QR == fromOrig {
		return
	}
	pending, created := dnsPending.GetOrNew(c)
	if created {
		*pending = map[uint16]string{}
	}
	if name, ok := (*pending)[m.ID]; ok && m.QR {
		fmt.Printf("%s %v: %q: %v\n", c.UID, c.ID, name, m.ResponseCode)
		delete(*pending, m.ID)
	} else if fromOrig && len(*pending) < 100 {
		(*pending)[m.ID] = string(m.Questions[0].Name)
		conn.Register(c, finishDNS)
	}
}

func finishDNS(c *conn.Connection) bool {
	for _, name := range *dnsPending.Get(c) {
		fmt.Printf("%s %v: %q: no reply\n", c.UID, c.ID, name)
	}
	return true
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: gopacket FILE")
	}
	file, err := os.Open(os.Args[1])
	if err == nil {
		err = analyze(file, newTable())
	}
	if err != nil {
		log.Fatalf("%s: %v", os.Args[1], err)
	}
}

// analyze passes the packets of a file to t. Even if it fails, it leaves no connection behind.
func analyze(file io.Reader, t *table) error {
	defer t.end()
	packets, err := open(file)
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		data, info, err := packets.ReadPacketData()
		if err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("packet %d: %w", n, err)
		}
		link := packets.(interface{ LinkType() layers.LinkType }).LinkType()
		t.packet(gopacket.NewPacket(data, link, gopacket.Lazy), info)
	}
}

func open(file io.Reader) (gopacket.PacketDataSource, error) {
	in := bufio.NewReader(file)
	if magic, _ := in.Peek(4); string(magic) == "\n\r\r\n" { // pcapng
		return pcapgo.NewNgReader(in, pcapgo.DefaultNgReaderOptions)
	}
	return pcapgo.NewReader(in)
}

const maxFlows = 10_000
const gapTimeout = 10 * time.Second // after which data after a lost segment is delivered

var idleTimeout = map[conn.Proto]time.Duration{conn.TCP: 5 * time.Minute, conn.UDP: time.Minute}

// A table owns the connections; however one ends, remove runs its hooks.
type table struct {
	flows     map[key]*flow
	order     list.List // of *flow, least recently seen first
	added     int
	swept     time.Time // on the capture's clock
	assembler *reassembly.Assembler
}

// A key holds the addresses and ports of a packet, the sender's first.
type key struct{ addrs, ports gopacket.Flow }

func (k key) reverse() key { return key{k.addrs.Reverse(), k.ports.Reverse()} }

// A flow is a connection with the table's own state, which parsers do not see.
type flow struct {
	conn.Connection
	key   key                  // of the originator's packets
	last  gopacket.CaptureInfo // of its last packet
	place *list.Element        // in table.order
	iss   uint32               // sequence number of the SYN
	ended string               // how, set inside the assembler; packet or sweep then calls remove
}

func newTable() *table {
	t := &table{flows: map[key]*flow{}}
	t.assembler = reassembly.NewAssembler(reassembly.NewStreamPool(t))
	t.assembler.MaxBufferedPagesPerConnection, t.assembler.MaxBufferedPagesTotal = 100, 10_000
	return t
}

func (t *table) packet(p gopacket.Packet, info gopacket.CaptureInfo) {
	if now := info.Timestamp; now.Sub(t.swept).Abs() >= gapTimeout { // Abs: clocks are set back, too
		t.sweep(now)
	}
	network, transport := p.NetworkLayer(), p.TransportLayer()
	if network == nil || transport == nil {
		return
	}
	k := key{network.NetworkFlow(), transport.TransportFlow()}
	f := cmp.Or(t.flows[k], t.flows[k.reverse()])
	switch l := transport.(type) {
	case *layers.TCP:
		if f == nil && (!l.SYN || l.ACK || k == k.reverse()) {
			return // only a SYN begins a connection, and the last ACK of one begins no other
		}
		f = t.seen(f, k, conn.TCP, info)
		t.assembler.AssembleWithContext(k.addrs, l, f)
		if f.ended != "" {
			t.remove(f, f.ended)
		}
	case *layers.UDP:
		f = t.seen(f, k, conn.UDP, info)
		f.deliver(k == f.key, l.Payload)
	}
}

// seen records a packet of f. If f is nil, it begins a flow.
func (t *table) seen(f *flow, k key, proto conn.Proto, info gopacket.CaptureInfo) *flow {
	if f == nil {
		if len(t.flows) == maxFlows {
			t.remove(t.order.Front().Value.(*flow), "evicted")
		}
		t.added++
		f = &flow{key: k}
		f.UID, f.Start = fmt.Sprintf("C%d", t.added), info.Timestamp
		f.ID = conn.ID{Orig: addrPort(k.addrs.Src(), k.ports.Src()), Resp: addrPort(k.addrs.Dst(), k.ports.Dst()), Proto: proto}
		f.place = t.order.PushBack(f)
		t.flows[k] = f
	}
	f.last = info
	t.order.MoveToBack(f.place)
	return f
}

func addrPort(addr, port gopacket.Endpoint) netip.AddrPort {
	ip, _ := netip.AddrFromSlice(addr.Raw())
	return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(port.Raw()))
}

func (t *table) sweep(now time.Time) {
	t.swept = now
	t.assembler.FlushWithOptions(reassembly.FlushOptions{T: now.Add(-gapTimeout)})
	for e := t.order.Front(); e != nil; {
		f := e.Value.(*flow)
		e = e.Next() // before remove unlinks f
		if f.ended != "" || now.Sub(f.last.Timestamp) >= idleTimeout[f.ID.Proto] {
			t.remove(f, cmp.Or(f.ended, "timeout"))
		}
	}
}

func (t *table) end() {
	t.assembler.FlushAll()
	for len(t.flows) > 0 {
		t.remove(t.order.Front().Value.(*flow), "end of capture")
	}
}

// remove ends a connection, whatever the reason. Its hooks run here and nowhere else.
func (t *table) remove(f *flow, why string) {
	delete(t.flows, f.key)
	t.order.Remove(f.place)
	f.try(func() { conn.StateRemove(&f.Connection) })
	fmt.Printf("%s %v: %s\n", f.UID, f.ID, why)
	if f.ID.Proto == conn.TCP {
		t.release(f)
	}
}

// release makes the assembler forget f by passing it a RST (flag 1<<2) from each side. A real one
// closes only one side, and a SYN that reuses the ports is ignored as part of the old connection.
func (t *table) release(f *flow) {
	for _, k := range []key{f.key, f.key.reverse()} {
		header := slices.Concat(k.ports.Src().Raw(), k.ports.Dst().Raw(), make([]byte, 8), []byte{5 << 4, 1 << 2, 7: 0})
		var rst layers.TCP
		rst.DecodeFromBytes(header, gopacket.NilDecodeFeedback)
		t.assembler.AssembleWithContext(k.addrs, &rst, f)
	}
}

func (f *flow) deliver(fromOrig bool, data []byte) {
	if parse := parsers[f.key.ports.Dst()]; parse != nil && len(data) > 0 && !f.Removed() {
		f.try(func() { parse(&f.Connection, fromOrig, data) })
	}
}

// try calls a parser or hooks, and logs a panic instead of passing it on.
func (f *flow) try(call func()) {
	defer func() {
		if v := recover(); v != nil {
			log.Printf("%s %v: panic: %v\n%s", f.UID, f.ID, v, debug.Stack())
		}
	}()
	call()
}

// The assembler calls the methods below while it holds a lock. A flow is both stream and context.

func (t *table) New(_, _ gopacket.Flow, syn *layers.TCP, ac reassembly.AssemblerContext) reassembly.Stream {
	ac.(*flow).iss = syn.Seq
	return ac.(*flow)
}

func (f *flow) GetCaptureInfo() gopacket.CaptureInfo { return f.last }

// Accept honors a RST with exactly the next expected sequence number (RFC 5961, section 3), or one
// that refuses the SYN.
func (f *flow) Accept(tcp *layers.TCP, _ gopacket.CaptureInfo, _ reassembly.TCPFlowDirection,
	next reassembly.Sequence, start *bool, _ reassembly.AssemblerContext) bool {
	if f.Removed() { // this RST comes from release, which does not know the number
		tcp.Seq, *start = uint32(next), true
	} else if tcp.RST && (next == reassembly.Sequence(tcp.Seq) || next < 0 && tcp.Ack == f.iss+1) {
		f.ended = "reset"
	}
	return true
}

func (f *flow) ReassembledSG(data reassembly.ScatterGather, _ reassembly.AssemblerContext) {
	dir, _, _, _ := data.Info()
	n, _ := data.Lengths()
	f.deliver(dir == reassembly.TCPDirClientToServer, data.Fetch(n))
}

func (f *flow) ReassemblyComplete(reassembly.AssemblerContext) bool {
	f.ended = cmp.Or(f.ended, "closed")
	return true
}
