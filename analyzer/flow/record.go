package flow

import (
	"bytes"
	"regexp"

	"github.com/gopacket/gopacket/layers"

	"example.com/conn"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/protocol"
)

// maxHistory bounds the history of one connection: SYNs, FINs and RSTs with new sequence numbers
// may go on forever.
const maxHistory = 128

// record adds what side did to the history: in upper case for the originator, in lower case for the
// responder.
func (f *flow) record(side protocol.Side, letter byte) {
	if side == protocol.Resp {
		letter |= 'a' - 'A'
	}
	if len(f.history) < maxHistory {
		f.history = append(f.history, letter)
	}
}

// Letters that are recorded once a side, or only if something differs from the latest of the kind.
const (
	sawSYN = 1 << iota
	sawFIN
	sawRST
	sawData
	sawACK
	sawFlags
	sawFinRst
)

// recordOnce records letter if side has not done so before, and reports whether it had.
func (f *flow) recordOnce(side protocol.Side, bit uint8, letter byte) bool {
	if f.seen[side]&bit != 0 {
		return true
	}
	f.seen[side] |= bit
	f.record(side, letter)
	return false
}

// recordFlags records what a TCP segment that starts at seq is.
func (f *flow) recordFlags(side protocol.Side, tcp *layers.TCP, seq int64, length int) {
	e := &f.ends[side]
	again := func(bit uint8, letter byte, latest *uint32, seq uint32) {
		if f.recordOnce(side, bit, letter) && *latest != seq {
			f.record(side, letter)
		}
		*latest = seq
	}
	switch {
	case tcp.FIN && tcp.RST:
		f.recordOnce(side, sawFinRst, 'I')
	case tcp.SYN && (tcp.FIN || tcp.RST):
		f.recordOnce(side, sawFlags, 'Q')
	case tcp.SYN && tcp.ACK:
		again(sawSYN, 'H', &e.synHist, uint32(seq))
	case tcp.SYN:
		again(sawSYN, 'S', &e.synHist, uint32(seq))
	case tcp.FIN:
		again(sawFIN, 'F', &e.finHist, uint32(seq)+uint32(length))
	case tcp.RST:
		again(sawRST, 'R', &e.rstHist, uint32(seq))
	case length > 0:
		f.recordOnce(side, sawData, 'D')
	case tcp.ACK:
		f.recordOnce(side, sawACK, 'A')
	}
}

// flip exchanges originator and responder, which happens before there are streams.
func (f *flow) flip() {
	f.ID.Orig, f.ID.Resp = f.ID.Resp, f.ID.Orig
	f.ends[0], f.ends[1] = f.ends[1], f.ends[0]
	f.packets[0], f.packets[1] = f.packets[1], f.packets[0]
	f.bytes[0], f.bytes[1] = f.bytes[1], f.bytes[0]
	f.ipBytes[0], f.ipBytes[1] = f.ipBytes[1], f.ipBytes[0]
	f.seen[0], f.seen[1] = f.seen[1], f.seen[0]
	if f.rare != nil {
		f.corrupt[0], f.corrupt[1] = f.corrupt[1], f.corrupt[0]
		f.deferral.from = f.deferral.from.Other()
	}
	f.history = append(f.history, '^')
}

// flipped reports whether originator and responder were exchanged.
func (f *flow) flipped() bool { return bytes.IndexByte(f.history, '^') >= 0 }

// abortedAttempt matches the history of an originator that reset its own attempt before anything
// else happened.
var abortedAttempt = regexp.MustCompile(`^\^?S[^HAFGIQ]*R`)

// connState returns Zeek's conn_state.
func (f *flow) connState() string {
	o, r := &f.ends[0], &f.ends[1]
	unseen := func(e *endpoint) bool { return e.state == inactive || e.state == partial }
	switch {
	case f.ID.Proto == conn.UDP:
		switch {
		case f.seen[0]&f.seen[1]&sawData != 0:
			return "SF"
		case f.seen[0]&sawData != 0:
			return "S0"
		case f.seen[1]&sawData != 0:
			return "SHR" // flipped, and never answered
		}
		return "OTH"
	case f.ID.Proto != conn.TCP:
		return "OTH"
	case r.state == reset && (o.state == synSent || o.state == synAckSent ||
		o.state == reset && o.bytes(r) == 0 && r.bytes(o) == 0):
		return "REJ"
	case r.state == reset && unseen(o):
		return "RSTRH"
	case r.state == reset:
		return "RSTR"
	case o.state == reset && !unseen(r):
		return "RSTO"
	case o.state == reset && abortedAttempt.Match(f.history):
		return "RSTOS0"
	case o.state == reset:
		return "OTH"
	case o.state == closed && r.state == closed:
		return "SF"
	case o.state == closed && unseen(r):
		return "SH"
	case o.state == closed:
		return "S2"
	case r.state == closed && unseen(o):
		return "SHR"
	case r.state == closed:
		return "S3"
	case o.state == synSent && r.state == inactive:
		return "S0"
	case o.state == established && r.state == established:
		return "S1"
	}
	return "OTH"
}

// describe sets row to the connection's row of conn.log.
func (f *flow) describe(row *logs.Conn, local *networks) {
	*row = logs.Conn{
		Header:  logs.NewHeader("conn", &f.Connection, f.Start),
		Proto:   f.ID.Proto.String(),
		Service: f.session.Services(),
		Bytes:   f.bytes,
		State:   f.connState(),
		Local:   [2]bool{local.contain(f.ID.Orig.Addr()), local.contain(f.ID.Resp.Addr())},
		History: f.history,
		Packets: f.packets,
		IPBytes: f.ipBytes,
		IPProto: uint8(f.ID.Proto),
	}
	if f.rare != nil {
		row.Missed, row.Parents = f.missed, f.parents
	}
	switch f.ID.Proto {
	case conn.TCP:
		row.Bytes = [2]int64{f.ends[0].bytes(&f.ends[1]), f.ends[1].bytes(&f.ends[0])}
	case conn.ICMPv6:
		row.Proto = conn.ICMP.String() // Zeek does not tell them apart here
	case conn.UDP, conn.ICMP:
	default:
		row.Proto = "unknown_transport"
	}
	if d := f.last.Sub(f.Start); d > 0 {
		row.Duration = new(logs.Interval(d))
	}
}
