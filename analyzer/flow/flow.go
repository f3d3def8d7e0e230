package flow

import (
	"net/netip"
	"slices"
	"time"

	"example.com/conn"
	"example.com/conn/analyzer/packet"
	"example.com/conn/analyzer/protocol"
	"example.com/conn/analyzer/session"
	"example.com/conn/analyzer/tcp"
)

// A flow is a connection together with the table's state for it. Arrays of two are indexed by
// [protocol.Side]. In a flood every packet begins a flow, so flows must be small.
type flow struct {
	conn.Connection
	waiting node // in Table.timers
	ranked  node // in Table.ranks
	timer   timer
	rank    rank
	oneWay  bool  // see identity.KeyOf
	outer   bool  // ID and UID are those of a packet.Outer
	since   int64 // when timer was started, by the table's clock, in Unix nanoseconds

	packets [2]uint64
	ipBytes [2]uint64 // of the same packets, including headers
	bytes   [2]int64  // payload; not used for TCP, see tcp.Conn.Bytes
	extra   *rare     // nil for most; read through rare, written through more
	tcp     tcp.Conn  // for other transports, only the time of the last packet and the history
	session session.Session

	// lag is how far the first packet's timestamp is behind the table's clock. It is last, and begin
	// writes it first: where a flow ends on a page of memory that nothing has touched yet, a read
	// would map the page a first time, and the write after it a second time.
	lag time.Duration
}

// rare is the state that few flows need.
type rare struct {
	holding node           // in Table.ledger
	held    int            // bytes, as recorded there
	size    uint8          // index of the flow's list in ledger.sizes
	corrupt [2]tcp.Counter // packets with a bad checksum
	weirds  []string       // names already logged, at most maxWeirds
	syn     *packet.Packet // an unconfirmed SYN, header only, or nil
	parents []string       // UIDs of the tunnels that packets came through, at most maxParents
	prior   *flow          // the flow that this one displaced, or nil
	by      *flow          // the flow that displaced this one, or nil
}

// none is the rare state of the flows that have none.
var none rare

// rare returns the rare part of f, for reading.
func (f *flow) rare() *rare {
	if f.extra == nil {
		return &none
	}
	return f.extra
}

// more returns the rare part of f, for writing.
func (f *flow) more() *rare {
	if f.extra == nil {
		f.extra = new(rare)
	}
	return f.extra
}

// A timer selects one of the timeouts of Config.
type timer uint8

const (
	noTimer      timer = iota
	attemptTimer       // TCP with an unanswered SYN: Config.AttemptTimeout
	briefTimer         // UDP, ICMP and TCP handshakes: Config.UDPTimeout
	longTimer          // TCP, established or partial: Config.TCPTimeout
	closeTimer         // TCP, closed and kept for late packets: Config.CloseTimeout
	numTimers
)

// A rank is the value of a connection when the table is full. Connections that cost an attacker a
// packet or two rank below those that took two hosts several packets.
type rank uint8

const (
	noRank      rank = iota
	unanswered       // TCP, an unanswered attempt
	ended            // TCP, closed and kept for late packets
	oneSided         // TCP without a handshake and other transports, only one side seen
	answered         // the same, both sides seen
	newQuiet         // TCP with a handshake, no protocol identified
	quiet            // the same, older than those in newQuiet
	newSpeaking      // TCP with a handshake, protocol identified
	speaking         // the same, older than those in newSpeaking
	numRanks
)

// newcomer returns the rank in which connections of rank r start.
func (r rank) newcomer() rank {
	switch r {
	case quiet:
		return newQuiet
	case speaking:
		return newSpeaking
	}
	return r
}

// A node links a flow into a list.
type node struct{ prev, next *flow }

func waiting(f *flow) *node { return &f.waiting }
func ranked(f *flow) *node  { return &f.ranked }
func holding(f *flow) *node { return &f.more().holding }

// sideOf returns the side of f that sends from src.
func (f *flow) sideOf(src netip.AddrPort) protocol.Side {
	if f.ID.Orig != src {
		return protocol.Resp
	}
	return protocol.Orig
}

// count counts a packet of f.
func (f *flow) count(p *packet.Packet, side protocol.Side) {
	f.packets[side]++
	f.ipBytes[side] += uint64(p.IPLength)
}

// maxParents bounds the tunnels listed in a row of conn.log.
const maxParents = 8

// addTunnel records the innermost tunnel that a packet of f came through.
func (f *flow) addTunnel(tunnels []packet.Tunnel) {
	if len(tunnels) == 0 {
		return
	}
	uid := tunnels[len(tunnels)-1].UID
	if r := f.more(); len(r.parents) < maxParents && !slices.Contains(r.parents, uid) {
		r.parents = append(r.parents, uid)
	}
}

// flip swaps originator and responder. Only the first packet may have been seen.
func (f *flow) flip() {
	f.tcp.Flip()
	f.swapSides()
}

// swapSides is like flip, but leaves f.tcp alone.
func (f *flow) swapSides() {
	f.ID.Orig, f.ID.Resp = f.ID.Resp, f.ID.Orig
	f.packets[0], f.packets[1] = f.packets[1], f.packets[0]
	f.bytes[0], f.bytes[1] = f.bytes[1], f.bytes[0]
	f.ipBytes[0], f.ipBytes[1] = f.ipBytes[1], f.ipBytes[0]
	if r := f.extra; r != nil {
		r.corrupt[0], r.corrupt[1] = r.corrupt[1], r.corrupt[0]
	}
}
