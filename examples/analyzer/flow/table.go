// Package flow follows the connections of a packet stream: it decides when one begins and ends, puts TCP's bytes into
// order, finds the parser that each connection needs, runs removal hooks, and writes conn.log.
//
// The files: table.go has the connections and their timeouts, tcp.go the states of TCP, stream.go the order of its bytes,
// detect.go the way from bytes to parsers, record.go the row of conn.log.
package flow

import (
	"io"
	"net/netip"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"example.com/conn"
	"example.com/conn/examples/analyzer/logs"
	"example.com/conn/examples/analyzer/packet"
	"example.com/conn/examples/analyzer/protocol"
)

// A Config is how a Table is set up. Its timeouts are measured in the time of packets.
type Config struct {
	MaxConnections  int // more than these do not exist at once: the one that has been idle longest is removed
	MaxBuffered     int // bytes held for one side of a connection; what is missing before the first is then given up
	MaxTotal        int // bytes held for all connections; beyond that, those that have been idle longest are removed
	TCPTimeout      time.Duration
	UDPTimeout      time.Duration  // also ICMP, and TCP before anything was established
	AttemptTimeout  time.Duration  // a SYN that stays without an answer, from the SYN on
	CloseTimeout    time.Duration  // after the end, for late packets
	IgnoreChecksums bool           // believe TCP, UDP and ICMP without looking at their checksums; Zeek's flag -C
	Local           []netip.Prefix // the local networks: conn.log's local_orig and local_resp; Zeek's Site::local_nets
	Parsers         []func(protocol.Owner) protocol.Parser
	Log             *logs.Writer
	Errors          io.Writer // where panics of parsers and hooks are reported
}

// Stats is what a Table has counted. Connections equals Removed, and HooksRegistered the sum of the other two, once the
// table is closed.
type Stats struct {
	Connections, Removed                         int
	HooksRegistered, HooksUnregistered, HooksRun int
	DecodeErrors                                 int // packets whose transport header could not be read
	Panics                                       int
	HookTime                                     time.Duration // that hooks took, with what they log
}

// A Table follows connections. It and all it refers to belong to one goroutine.
type Table struct {
	Stats Stats

	cfg        Config
	now        time.Time // the latest time of a packet: captures may step back, timeouts do not
	flows      map[key]*flow
	queues     [numQueues]queue
	buffered   int // bytes that all flows hold
	expect     expectations
	parsers    map[conn.Proto][]protocol.Parser
	ports      map[conn.Proto]map[uint16]protocol.Parser
	confirming bool      // by the parser that was called
	row        logs.Conn // and of remove

	tcp   layers.TCP // decoded in place, so that packets allocate nothing
	udp   layers.UDP
	icmp4 layers.ICMPv4
	icmp6 layers.ICMPv6
}

// A flow is a connection with what its owner, the table, knows of it. The index of its arrays is 0 for the originator and 1
// for the responder. In a flood there is a flow for every packet, so it is kept small.
type flow struct {
	conn.Connection
	key     key
	place             // in a queue
	last    time.Time // of the latest packet that counts for the duration
	packets [2]uint64
	bytes   [2]int64 // payload; of TCP, the ends tell
	ends    [2]endpoint
	partial bool     // TCP whose beginning was not captured
	seen    [2]uint8 // letters that are in the history; see recordOnce
	letters [12]byte // where most histories have room
	history []byte
	content // for detect.go
}

// New returns a Table without connections.
func New(cfg Config) *Table {
	t := &Table{
		cfg:     cfg,
		flows:   make(map[key]*flow),
		parsers: make(map[conn.Proto][]protocol.Parser),
		ports:   map[conn.Proto]map[uint16]protocol.Parser{conn.TCP: {}, conn.UDP: {}},
	}
	for _, make := range cfg.Parsers {
		p := make(t)
		t.parsers[p.Transport()] = append(t.parsers[p.Transport()], p)
		for _, port := range p.Ports() {
			t.ports[p.Transport()][port] = p
		}
	}
	return t
}

// Log implements protocol.Owner.
func (t *Table) Log(row logs.Row) { t.cfg.Log.Write(row.LogName(), row) }

// Register implements protocol.Owner.
func (t *Table) Register(c *conn.Connection, hk conn.RemovalHook) bool {
	ok := conn.Register(c, hk)
	if ok {
		t.Stats.HooksRegistered++
	}
	return ok
}

// Unregister implements protocol.Owner.
func (t *Table) Unregister(c *conn.Connection, hk conn.RemovalHook) bool {
	ok := conn.Unregister(c, hk)
	if ok {
		t.Stats.HooksUnregistered++
	}
	return ok
}

// Confirm implements protocol.Owner.
func (t *Table) Confirm(c *conn.Connection) { t.confirming = true }

// Weird implements protocol.Owner.
func (t *Table) Weird(c *conn.Connection, name, addl string) {}

// Packet follows one packet. It keeps nothing of p.Payload.
func (t *Table) Packet(p *packet.Packet) {
	t.Advance(p.Time)
	var err error
	switch p.Proto {
	case conn.TCP:
		err = t.tcpPacket(p)
	case conn.UDP:
		err = t.udpPacket(p)
	case conn.ICMP:
		if err = t.icmp4.DecodeFromBytes(p.Payload, gopacket.NilDecodeFeedback); err == nil {
			t.icmpPacket(p, t.icmp4.TypeCode.Type(), t.icmp4.TypeCode.Code(), icmp4Answers)
		}
	case conn.ICMPv6:
		if err = t.icmp6.DecodeFromBytes(p.Payload, gopacket.NilDecodeFeedback); err == nil {
			t.icmpPacket(p, t.icmp6.TypeCode.Type(), t.icmp6.TypeCode.Code(), icmp6Answers)
		}
	default: // a protocol without ports
		f, side := t.find(p, netip.AddrPortFrom(p.Src, 0), netip.AddrPortFrom(p.Dst, 0), false)
		f.packets[side]++
		f.last = p.Time
		t.move(f, brief)
	}
	if err != nil {
		t.Stats.DecodeErrors++
	}
}

func (t *Table) tcpPacket(p *packet.Packet) error {
	tcp := &t.tcp
	if err := tcp.DecodeFromBytes(p.Payload, gopacket.NilDecodeFeedback); err != nil {
		return err
	}
	src, dst := netip.AddrPortFrom(p.Src, uint16(tcp.SrcPort)), netip.AddrPortFrom(p.Dst, uint16(tcp.DstPort))
	f, side := t.find(p, src, dst, false)
	f.packets[side]++
	before := f.buffered()
	t.segment(f, side, p.Time, tcp, tcp.Payload, p.Length-len(tcp.Contents))
	t.buffered += f.buffered() - before

	orig, resp := &f.ends[0], &f.ends[1]
	switch {
	case f.queue == closing:
	case (orig.state == synSent || orig.state == synAckSent) && resp.state == inactive:
		if f.queue != attempts { // counts from the first SYN on, whatever follows
			t.move(f, attempts)
		}
	case orig.state.handshaking() && resp.state.handshaking():
		t.move(f, brief)
	default:
		t.move(f, long)
	}
	for t.buffered > t.cfg.MaxTotal {
		t.remove(t.idlest())
	}
	return nil
}

func (t *Table) udpPacket(p *packet.Packet) error {
	udp := &t.udp
	if err := udp.DecodeFromBytes(p.Payload, gopacket.NilDecodeFeedback); err != nil {
		return err
	}
	src, dst := netip.AddrPortFrom(p.Src, uint16(udp.SrcPort)), netip.AddrPortFrom(p.Dst, uint16(udp.DstPort))
	f, side := t.find(p, src, dst, false)
	f.packets[side]++
	f.last = p.Time
	length := p.Length - 8
	if udp.Length >= 8 {
		length = int(udp.Length) - 8
	}
	f.bytes[side] += int64(length)
	f.recordOnce(side, sawData, 'D')
	t.move(f, brief)
	if len(udp.Payload) > 0 {
		t.feed(f, event{side: side, time: p.Time, data: udp.Payload})
	}
	return nil
}

// icmp4Answers and icmp6Answers have the types of ICMP that make a conversation.
var (
	icmp4Answers = answers(8, 0, 13, 14, 15, 16, 10, 9, 17, 18)
	icmp6Answers = answers(128, 129, 133, 134, 135, 136, 130, 131, 139, 140, 144, 145)
)

func answers(pairs ...uint8) map[uint8]uint8 {
	m := make(map[uint8]uint8)
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]], m[pairs[i+1]] = pairs[i+1], pairs[i]
	}
	return m
}

// icmpPacket follows ICMP as Zeek does: the type and that of the answer are the ports, or the type and the code where
// there is no answer.
func (t *Table) icmpPacket(p *packet.Packet, typ, code uint8, types map[uint8]uint8) {
	other, ok := types[typ]
	if !ok {
		other = code
	}
	f, side := t.find(p, netip.AddrPortFrom(p.Src, uint16(typ)), netip.AddrPortFrom(p.Dst, uint16(other)), !ok)
	f.packets[side]++
	f.bytes[side] += int64(max(p.Length-8, 0))
	f.last = p.Time
	t.move(f, brief)
}

// find returns the connection that a packet belongs to, a new one if need be, and the side that sent it.
func (t *Table) find(p *packet.Packet, src, dst netip.AddrPort, oneWay bool) (f *flow, side int) {
	k := keyOf(src, dst, p.Proto, oneWay)
	f = t.flows[k]
	if f != nil && p.Proto == conn.TCP && f.reused(&t.tcp) {
		t.remove(f)
		f = nil
	}
	if f == nil {
		f = t.begin(p, k, src, dst)
	}
	if f.ID.Orig != src {
		side = 1
	}
	return f, side
}

// begin adds a connection.
func (t *Table) begin(p *packet.Packet, k key, src, dst netip.AddrPort) *flow {
	if len(t.flows) >= t.cfg.MaxConnections {
		t.remove(t.idlest())
	}
	f := &flow{key: k, last: p.Time, place: place{queue: none}}
	f.Start = p.Time
	f.ID = conn.ID{Orig: src, Resp: dst, Proto: p.Proto}
	f.ends[0].stream.next, f.ends[1].stream.next = 1, 1
	f.history = f.letters[:0]
	tcp := p.Proto == conn.TCP
	if flips(p.Proto, src.Port(), dst.Port(), tcp && t.tcp.SYN, tcp && t.tcp.ACK) && !broadcast(dst.Addr()) {
		f.flip()
	}
	f.UID = uid(f.ID, f.Start)
	t.flows[k] = f
	t.Stats.Connections++
	t.attachExpected(f)
	return f
}

func broadcast(a netip.Addr) bool { return a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) }

// buffered returns how many bytes f holds because something before them is missing, or a parser wants more.
func (f *flow) buffered() int {
	n := f.ends[0].stream.size + f.ends[1].stream.size
	if f.held != nil {
		n += len(f.held[0]) + len(f.held[1])
	}
	if f.search != nil {
		n += len(f.search.first[0]) + len(f.search.first[1]) + len(f.search.events)*segmentCost
	}
	return n
}

// remove ends a connection: its hooks run, its row is written, and the table forgets it.
func (t *Table) remove(f *flow) {
	t.buffered -= f.buffered()
	t.conclude(f)
	t.stateRemove(f)
	f.describe(&t.row, t.service(f))
	t.Log(&t.row)
	t.move(f, none)
	delete(t.flows, f.key)
	t.Stats.Removed++
}

// Close removes all connections, the one that has been idle longest first.
func (t *Table) Close() {
	for f := t.idlest(); f != nil; f = t.idlest() {
		t.remove(f)
	}
}

// Advance removes the connections whose time is over at now.
func (t *Table) Advance(now time.Time) {
	if !now.After(t.now) {
		return
	}
	t.now = now
	timeouts := [numQueues]time.Duration{t.cfg.AttemptTimeout, t.cfg.UDPTimeout, t.cfg.TCPTimeout, t.cfg.CloseTimeout}
	for q := range t.queues {
		for f := t.queues[q].first; f != nil && now.Sub(f.since) >= timeouts[q]; f = t.queues[q].first {
			t.remove(f)
		}
	}
}

// Every connection is in one queue, for each timeout has its own. As the timeout is the same for the whole queue, the first
// is always the next to go.
type queueID int8

const (
	attempts queueID = iota
	brief
	long
	closing
	numQueues
	none queueID = -1
)

// A queue is a list of flows, linked through their places.
type queue struct{ first, last *flow }

// A place is where a flow is in its queue.
type place struct {
	queue     queueID
	since     time.Time // when it came to the end of it
	ahead     *flow
	following *flow
}

// move puts f at the end of a queue, or with none in no queue.
func (t *Table) move(f *flow, to queueID) {
	if f.queue != none {
		q := &t.queues[f.queue]
		if f.ahead != nil {
			f.ahead.following = f.following
		} else {
			q.first = f.following
		}
		if f.following != nil {
			f.following.ahead = f.ahead
		} else {
			q.last = f.ahead
		}
	}
	f.place = place{queue: to, since: t.now}
	if to != none {
		q := &t.queues[to]
		if f.ahead = q.last; q.last != nil {
			q.last.following = f
		} else {
			q.first = f
		}
		q.last = f
	}
}

// idlest returns the connection that has been in its queue longest, nil if there is none.
func (t *Table) idlest() *flow {
	var idlest *flow
	for q := range t.queues {
		if f := t.queues[q].first; f != nil && (idlest == nil || f.since.Before(idlest.since)) {
			idlest = f
		}
	}
	return idlest
}
