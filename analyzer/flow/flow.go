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

// A flow is a connection with what its owner, the table, knows of it. Arrays of two have something
// for each [protocol.Side]. In a flood there is a flow for every packet, so it is kept small.
type flow struct {
	conn.Connection
	waiting node // in Table.timers
	ranked  node // in Table.ranks
	timer   timer
	rank    rank
	oneWay  bool          // see identity.KeyOf
	since   time.Time     // when it began to wait for timer, by the table's clock
	lag     time.Duration // of the timestamp of its first packet behind that clock

	packets [2]uint64
	ipBytes [2]uint64 // of the same packets, with headers
	bytes   [2]int64  // payload; of TCP, tcp tells
	held    int       // bytes, as Table.ledger has it
	rare    *rare     // nil for most; its methods take nil, and more makes it for writing
	tcp     tcp.Conn  // of other transports it has the time of the last packet and the history alone
	session session.Session
}

// rare is the part of a flow that few need.
type rare struct {
	holding node           // in Table.ledger
	size    uint8          // which of its sizes
	corrupt [2]tcp.Counter // packets with a bad checksum
	weirds  []string       // names that were logged, at most maxWeirds
	syn     *packet.Packet // that is doubted, with its header only; nil if there is none
	parents []string       // UIDs of tunnels that packets came through, at most maxParents
	prior   *flow          // that this one displaced, or nil
	by      *flow          // that displaced this one, or nil
}

// displaced returns the connection that this one displaced, nil if there is none.
func (r *rare) displaced() *flow {
	if r == nil {
		return nil
	}
	return r.prior
}

// noted returns the names of the weirds that were logged.
func (r *rare) noted() []string {
	if r == nil {
		return nil
	}
	return r.weirds
}

// tunnels returns the UIDs of the tunnels that packets came through.
func (r *rare) tunnels() []string {
	if r == nil {
		return nil
	}
	return r.parents
}

// more returns the rare part of f, for writing.
func (f *flow) more() *rare {
	if f.rare == nil {
		f.rare = new(rare)
	}
	return f.rare
}

// A timer is one of the timeouts that a connection may wait for.
type timer uint8

const (
	noTimer      timer = iota
	attemptTimer       // TCP whose SYN nothing has answered: Config.AttemptTimeout
	briefTimer         // UDP, ICMP and TCP handshakes: Config.UDPTimeout
	longTimer          // TCP that is established or partial: Config.TCPTimeout
	closeTimer         // TCP that is over, kept for late packets: Config.CloseTimeout
	numTimers
)

// A rank is what a connection is worth when the table is full. Whatever an attacker can make many
// of for a packet or two each is worth less than what took two hosts some packets to bring about.
type rank uint8

const (
	noRank      rank = iota
	unanswered       // TCP that nothing has answered: an attempt
	ended            // TCP that is over, kept for late packets
	oneSided         // UDP, ICMP and the like, and TCP without a handshake, of which one side was seen
	answered         // the same, of which both were
	newQuiet         // TCP with a handshake, but no protocol was found in it
	quiet            // the same, from before those in newQuiet
	newSpeaking      // TCP with a handshake, and a protocol was found in it
	speaking         // the same, from before those in newSpeaking
	numRanks
)

// newcomer returns the rank in which connections that deserve r begin.
func (r rank) newcomer() rank {
	switch r {
	case quiet:
		return newQuiet
	case speaking:
		return newSpeaking
	}
	return r
}

// A node is the place of a flow in a list.
type node struct{ prev, next *flow }

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

// maxParents bounds the tunnels that are named in a row of conn.log.
const maxParents = 8

// through notes the innermost of the tunnels that a packet came through.
func (f *flow) through(tunnels []packet.Tunnel) {
	if len(tunnels) == 0 {
		return
	}
	uid := tunnels[len(tunnels)-1].UID
	if r := f.more(); len(r.parents) < maxParents && !slices.Contains(r.parents, uid) {
		r.parents = append(r.parents, uid)
	}
}

// flip exchanges originator and responder, of whom nothing but the first packet was seen.
func (f *flow) flip() {
	f.tcp.Flip()
	f.exchange()
}

// exchange is flip for what f itself has of the two.
func (f *flow) exchange() {
	f.ID.Orig, f.ID.Resp = f.ID.Resp, f.ID.Orig
	f.packets[0], f.packets[1] = f.packets[1], f.packets[0]
	f.bytes[0], f.bytes[1] = f.bytes[1], f.bytes[0]
	f.ipBytes[0], f.ipBytes[1] = f.ipBytes[1], f.ipBytes[0]
	if f.rare != nil {
		f.rare.corrupt[0], f.rare.corrupt[1] = f.rare.corrupt[1], f.rare.corrupt[0]
	}
}
