// Copy this file. The table owns the connections; however one ends, remove runs its hooks.

package main

import (
	"cmp"
	"container/list"
	"encoding/binary"
	"fmt"
	"log"
	"net/netip"
	"runtime/debug"
	"slices"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/reassembly"

	"example.com/conn"
)

const (
	maxFlows   = 10_000
	tcpTimeout = 5 * time.Minute
	udpTimeout = time.Minute
	gapTimeout = 10 * time.Second // after which data after a lost segment is delivered
)

// A parser receives what both sides of a connection send. It must not retain data.
type parser func(c *conn.Connection, fromOrig bool, data []byte)

// A key holds the addresses and ports of a packet, the sender's first.
type key struct{ addrs, ports gopacket.Flow }

func (k key) reverse() key { return key{k.addrs.Reverse(), k.ports.Reverse()} }

// A flow is a connection with the table's own state, which parsers do not see.
type flow struct {
	conn.Connection
	key      key // of the originator's packets
	lastSeen time.Time
	place    *list.Element // in table.order
	iss      uint32        // sequence number of the SYN
	ended    string        // how, set inside the assembler; packet or sweep then calls remove
}

type table struct {
	flows     map[key]*flow
	order     *list.List // of *flow, least recently seen first
	added     int
	swept     time.Time // on the capture's clock
	assembler *reassembly.Assembler
}

func newTable() *table {
	t := &table{flows: map[key]*flow{}, order: list.New()}
	t.assembler = reassembly.NewAssembler(reassembly.NewStreamPool(t))
	t.assembler.MaxBufferedPagesPerConnection = 100 // of 2 KB
	t.assembler.MaxBufferedPagesTotal = 10_000
	return t
}

func (t *table) packet(p gopacket.Packet, now time.Time) {
	if now.Sub(t.swept).Abs() >= gapTimeout { // Abs: clocks are set back, too
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
		f = t.seen(f, k, conn.TCP, now)
		t.assembler.AssembleWithContext(k.addrs, l, f)
		if f.ended != "" {
			t.remove(f, f.ended)
		}
	case *layers.UDP:
		f = t.seen(f, k, conn.UDP, now)
		f.deliver(k == f.key, l.Payload)
	}
}

// seen records a packet of f. If f is nil, it begins a flow.
func (t *table) seen(f *flow, k key, proto conn.Proto, now time.Time) *flow {
	if f == nil {
		if len(t.flows) == maxFlows {
			t.remove(t.order.Front().Value.(*flow), "evicted")
		}
		t.added++
		f = &flow{key: k}
		f.UID, f.Start = fmt.Sprintf("C%d", t.added), now
		f.ID = conn.ID{Orig: addrPort(k.addrs.Src(), k.ports.Src()), Resp: addrPort(k.addrs.Dst(), k.ports.Dst()), Proto: proto}
		f.place = t.order.PushBack(f)
		t.flows[k] = f
	}
	f.lastSeen = now
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
		idle := now.Sub(f.lastSeen)
		if f.ended != "" || idle >= tcpTimeout || idle >= udpTimeout && f.ID.Proto == conn.UDP {
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

// release makes the assembler forget f by passing it a RST from each side. A real RST closes only
// one side, and a SYN that reused the ports would be ignored as part of the old connection.
func (t *table) release(f *flow) {
	for _, k := range []key{f.key, f.key.reverse()} {
		header := slices.Concat(k.ports.Src().Raw(), k.ports.Dst().Raw(), make([]byte, 16))
		header[12], header[13] = 5<<4, 1<<2 // length, RST
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

// The assembler calls the methods below, holding a lock. The table is its stream factory, and a
// flow is both a stream and the context of its packets.

func (t *table) New(_, _ gopacket.Flow, syn *layers.TCP, ac reassembly.AssemblerContext) reassembly.Stream {
	ac.(*flow).iss = syn.Seq
	return ac.(*flow)
}

func (f *flow) GetCaptureInfo() gopacket.CaptureInfo {
	return gopacket.CaptureInfo{Timestamp: f.lastSeen}
}

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
