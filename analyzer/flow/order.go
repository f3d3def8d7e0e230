package flow

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"example.com/conn/analyzer/packet"
	"example.com/conn/analyzer/protocol"
)

// A capture often has the two directions of a connection from two queues or two interfaces, and one
// of them late. Acknowledgment numbers tell the true order: a segment was sent after everything it
// acknowledges was received. Until both SYNs are captured, segments that show that the other one
// exists are deferred as a whole; afterwards, data that acknowledges what was not captured yet
// waits as a claim.

// A deferred segment waits for the SYN or the ACK that it was sent after.
type deferred struct {
	time    time.Time
	segment []byte // as captured, with its header
	length  int    // on the wire
}

func (x *deferred) seq() uint32 { return binary.BigEndian.Uint32(x.segment[4:]) }

// first returns the number of the first byte of data.
func (x *deferred) first() uint32 { return x.seq() + uint32(x.segment[13]>>1&1) } // after the SYN

func (x *deferred) ack() uint32 { return binary.BigEndian.Uint32(x.segment[8:]) }

// deferral lists the deferred segments of one side, in the order of the capture. While one side
// waits, the other has sent nothing that could have it wait too.
type deferral struct {
	from  protocol.Side
	queue []deferred // at most maxDeferred, for at most Config.UDPTimeout
	size  int        // what queue takes
	over  bool       // the other direction is taken as missing: nothing is deferred any more
}

const (
	deferredCost = 64   // bytes that a deferred segment takes besides its own
	maxDeferred  = 1024 // segments, and as many again would be given up by their bytes
	maxRivals    = 8    // SYN-ACKs beside the first
)

// A rival is a SYN-ACK with another sequence number than the first one. One of the two is forged or
// out of date, and the client's ACK tells which.
type rival struct {
	start  uint32
	window window
}

// settled reports whether the handshake of f leaves nothing open, as is the case for nearly every
// segment.
func (f *flow) settled() bool {
	orig, resp := &f.ends[0], &f.ends[1]
	return orig.synSeen() && resp.synSeen() && (resp.ack > 0 || !orig.opened) &&
		(f.rare == nil || len(f.deferral.queue) == 0 && len(f.rivals) == 0)
}

// arrange follows a segment of f, or defers it, and sees to those that were waiting for it.
func (t *Table) arrange(f *flow, side protocol.Side, p *packet.Packet) {
	tcp, length := &t.tcp, p.Length-len(t.tcp.Contents)
	switch {
	case side == protocol.Orig && tcp.ACK && !tcp.SYN && !tcp.RST && f.rare != nil && len(f.rivals) > 0:
		f.choose(tcp.Ack)
	case side == protocol.Resp && length > 0 && len(tcp.Payload) == length && f.unconfirmed(tcp) && !f.refuses(side, tcp, length):
		if f.rare == nil || len(f.deferral.queue) == 0 || f.deferral.from == side {
			t.deferSegment(f, side, p)
		}
	}
	if f.defers(side, tcp, length) && t.deferSegment(f, side, p) {
		return
	}
	waiting := f.rare != nil && len(f.deferral.queue) > 0 && f.deferral.from != side
	if waiting && f.releasesBefore(side, tcp) {
		t.release(f)
	}
	t.segment(f, side, p.Time, tcp, tcp.Payload, length)
	if waiting && !f.waits(f.deferral.from) {
		t.release(f)
	}
}

// waits reports whether what a side of f sends shows that segments of the other were not captured
// yet: its SYN, its SYN-ACK, or its ACK of the SYN-ACK.
func (f *flow) waits(side protocol.Side) bool {
	e, peer := &f.ends[side], &f.ends[side.Other()]
	return e.synSeen() &&
		(peer.state == inactive || side == protocol.Orig && f.unanswered() || side == protocol.Resp && peer.opened && e.ack == 0)
}

// defers reports whether a segment has to wait.
func (f *flow) defers(side protocol.Side, tcp *layers.TCP, length int) bool {
	queued := f.rare != nil && len(f.deferral.queue) > 0
	switch {
	case tcp.SYN || f.rare != nil && f.deferral.over || queued && f.deferral.from != side || f.refuses(side, tcp, length):
		return false
	case queued:
		return true
	}
	return tcp.ACK && !tcp.RST && f.waits(side)
}

// deferSegment defers the segment in p, and reports whether there is room.
func (t *Table) deferSegment(f *flow, side protocol.Side, p *packet.Packet) bool {
	d := &f.more().deferral
	if len(d.queue) == maxDeferred || len(d.queue) > 0 && p.Time.Sub(d.queue[0].time) > t.cfg.UDPTimeout {
		d.over = true
		t.release(f)
		return false
	}
	x := deferred{time: p.Time, segment: bytes.Clone(p.Payload), length: p.Length}
	d.from = side
	d.queue = append(d.queue, x)
	d.size += cap(x.segment) + deferredCost
	return true
}

// unconfirmed reports whether a segment is a SYN-ACK that the client has not acknowledged. As it may
// be forged, its data is deferred.
func (f *flow) unconfirmed(tcp *layers.TCP) bool {
	resp := &f.ends[1]
	return tcp.SYN && tcp.ACK && !tcp.FIN && !tcp.RST && f.ends[0].opened && (!resp.synSeen() || resp.ack == 0 && tcp.Seq == resp.start)
}

// releasesBefore reports whether a segment shows that what the other side's deferred segments wait
// for was lost, so that they come before it.
func (f *flow) releasesBefore(side protocol.Side, tcp *layers.TCP) bool {
	e, peer := &f.ends[side], &f.ends[side.Other()]
	switch {
	case tcp.SYN:
		return false
	case peer.synSeen() && e.opened: // the server's wait for the client's ACK: this one, or a later one
		n := int64(int32(tcp.Ack - peer.start))
		return tcp.RST || tcp.ACK && 1 < n && n < farAway
	case tcp.RST:
		return false
	case peer.opened: // the SYN-ACK was lost, if this is where the client's ACK has the server
		return near(tcp.Seq, f.deferral.queue[0].ack())
	case peer.state == established && tcp.ACK && !tcp.FIN:
		return false // an ACK of the SYN-ACK is as good as the SYN
	}
	return true
}

// near reports whether a number of a stream may come after another, or shortly before it.
func near(seq, other uint32) bool {
	n := int64(int32(seq - other))
	return -slack <= n && n <= farAway
}

// release follows the deferred segments of f.
func (t *Table) release(f *flow) {
	if f.rare == nil || len(f.deferral.queue) == 0 {
		return
	}
	queue, last := f.deferral.queue, f.last
	f.deferral.queue, f.deferral.size = nil, 0
	defer func() { t.replayed = time.Time{} }() // after a panic too
	var tcp layers.TCP                          // t.tcp may hold the segment that releases them
	for _, x := range queue {
		_ = tcp.DecodeFromBytes(x.segment, gopacket.NilDecodeFeedback) // as it was before
		t.replayed = x.time
		if tcp.SYN { // which was followed at once; now its data
			if tcp.Seq == f.ends[1].start && len(tcp.Payload) > 0 {
				t.receive(f, protocol.Resp, x.time, 1, tcp.Payload)
			}
			continue
		}
		t.segment(f, f.deferral.from, x.time, &tcp, tcp.Payload, x.length-len(tcp.Contents))
	}
	if f.last.Before(last) {
		f.last = last
	}
}

// competes reports whether a SYN-ACK is another than the first, and the client has not acknowledged
// that one.
func (f *flow) competes(side protocol.Side, tcp *layers.TCP) bool {
	orig, resp := &f.ends[0], &f.ends[1]
	if side != protocol.Resp || tcp.FIN || tcp.RST || !orig.opened || !resp.synSeen() || tcp.Seq == resp.start {
		return false
	}
	n := int64(int32(tcp.Ack - orig.start))
	return 0 < n && n <= orig.last && (resp.ack == 0 || orig.window.known && orig.window.ack == tcp.Seq+1 && resp.stream.next == 1)
}

// compete notes a SYN-ACK for choose.
func (t *Table) compete(f *flow, p *packet.Packet, tcp *layers.TCP) {
	f.count(p, protocol.Resp)
	t.weird(f, "SYN_seq_jump", "", "TCP")
	r := f.more()
	for _, x := range r.rivals {
		if x.start == tcp.Seq {
			return
		}
	}
	if len(r.rivals) == maxRivals {
		return
	}
	x := rival{start: tcp.Seq}
	x.window.update(tcp, int64(int32(tcp.Ack-f.ends[0].start)))
	if r.rivals = append(r.rivals, x); f.ends[0].window.known {
		f.choose(f.ends[0].window.ack)
	}
}

// choose takes the SYN-ACK that the client acknowledges with ack for the true one. That is the one
// just before it; if the first ACK was not captured, the one that the server's next bytes follow,
// or else the nearest.
func (f *flow) choose(ack uint32) {
	resp := &f.ends[1]
	best, least := -1, int64(2*slack)
	for i := range len(f.rivals) + 1 {
		start := resp.start
		if i > 0 {
			start = f.rivals[i-1].start
		}
		n := int64(int32(ack-start)) - 1
		if n < 0 || n > slack {
			continue
		}
		if n > 0 && !f.deferredAt(start+1) {
			n += slack // any of those is better
		}
		if n < least {
			best, least = i, n
		}
	}
	if best < 0 {
		return
	}
	for i := range len(f.rivals) + 1 {
		start := resp.start
		if i > 0 {
			start = f.rivals[i-1].start
		}
		if i != best {
			f.deferral.drop(start + 1)
		}
	}
	if best > 0 {
		x := f.rivals[best-1]
		resp.begin(x.start, 1)
		resp.window = x.window
		resp.finished, resp.ended, resp.stream = false, false, stream{next: 1}
		f.claims[protocol.Resp], f.beyond[protocol.Resp], f.foretold[protocol.Resp] = nil, 0, 0
	}
	f.rivals = nil
}

// drop drops the deferred segments that begin at seq.
func (d *deferral) drop(seq uint32) {
	rest := d.queue[:0]
	for _, x := range d.queue {
		if d.from == protocol.Resp && x.first() == seq {
			d.size -= cap(x.segment) + deferredCost
			continue
		}
		rest = append(rest, x)
	}
	clear(d.queue[len(rest):])
	d.queue = rest
}

// deferredAt reports whether a deferred segment of the responder begins at seq.
func (f *flow) deferredAt(seq uint32) bool {
	if f.deferral.from != protocol.Resp {
		return false
	}
	for i := range f.deferral.queue {
		if f.deferral.queue[i].first() == seq {
			return true
		}
	}
	return false
}
