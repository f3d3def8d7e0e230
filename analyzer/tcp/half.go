package tcp

// A half is what is known of one side of a connection, from its own segments and from the ACKs of
// the other side.
//
// Sequence numbers are relative to the ISS and have 64 bits: the SYN has 0 and the first byte 1,
// whatever the 32 bits on the wire were, and they do not wrap. next, una and the queue's next stand
// for SND.NXT, SND.UNA and the other side's RCV.NXT. At the host, una <= next; here una may be
// ahead, because segments may be missing from the capture and ACKs may be forged.
type half struct {
	state, before state // Zeek's, and the state before that

	partial     bool // the beginning of what it sent was not captured
	opened      bool // has sent a SYN without ACK: was in SYN-SENT
	synSeen     bool // has sent a SYN or SYN-ACK, so iss is right and windows can be scaled
	established bool // has been in Zeek's state established
	finSeen     bool // has sent a FIN, which is in fin; false again when data follows it
	ended       bool // has sent a FIN that a host accepts; see Conn.Over
	reset       bool // has sent a RST that a host accepts
	eof         bool // the sink has been told that there will be no more

	iss  uint32 // the SYN's sequence number, or the one before the first byte captured
	next int64  // one past the highest number that it has sent
	una  int64  // the highest number that the other side has acknowledged; see acked
	fin  int64  // one past the latest FIN

	counted counted // for the history

	window window // that it grants the other side
	queue  queue
}

// set moves a half to a state.
func (e *half) set(s state) {
	e.established = e.established || s == established
	if s != e.state {
		e.before, e.state = e.state, s
	}
}

// closed reports whether e has sent a FIN or RST where its state allows one.
func (e *half) closed() bool { return e.state == closed || e.state == reset }

// begin starts the numbering at iss, as if a SYN had had that number.
func (e *half) begin(iss uint32, next int64) { e.iss, e.next, e.una = iss, next, 0 }

// begunBy reports whether s is the SYN with which e began. If it is captured after its answer, iss
// is only derived from the answer's ACK, which also acknowledges the SYN's data, if there is any:
// RFC 7413.
func (e *half) begunBy(s *segment) bool {
	return s.Seq() == e.iss || e.state == inactive && s.Seq()+uint32(s.span()) == e.iss+1
}

// answeredBy reports whether a SYN-ACK with that ACK answers the SYN with which e began.
func (e *half) answeredBy(ack uint32) bool {
	n := int64(int32(ack - e.iss))
	return 0 < n && n <= e.next
}

// relative returns a sequence number of e as a relative one: the one nearest to next.
func (e *half) relative(seq uint32) int64 {
	return e.next + int64(int32(seq-(e.iss+uint32(e.next))))
}

// relativeAck returns an acknowledgment number of the other side as a relative one: the one nearest
// to una.
func (e *half) relativeAck(ack uint32) int64 {
	return e.una + int64(int32(ack-(e.iss+uint32(e.una))))
}

// acked returns the highest number that the other side has acknowledged of what e is known to have
// sent. An ACK of more acknowledges what was not captured or, as a host sees it, what was never
// sent.
func (e *half) acked() int64 { return min(e.una, e.next) }

// due returns the number that the other side expects next.
func (e *half) due() int64 {
	n := max(e.acked(), e.queue.next())
	if e.eof {
		n = max(n, e.fin)
	}
	return n
}

// onlySYN reports whether only SYNs and FINs seem to be captured: then the FIN of e tells how much
// e has sent, however far away it is.
func (e *half) onlySYN(peer *half) bool { return e.next == 1 && !peer.window.known }

// clean reports whether e was established in the capture.
func (e *half) clean() bool {
	return e.state == established || e.state == closed && e.before == established
}

// farAway is how far the sequence number of a SYN or RST may be off, and still count as sent; also
// how far an ACK of 0 may be off.
const farAway = 1 << 20

// A state is Zeek's state of one side of a connection. conn_state follows mostly from both sides'
// states at the end; see Conn.State. Whether a segment is accepted does not depend on them alone;
// see half.
type state uint8

const (
	inactive    state = iota // has sent nothing
	synSent                  // has sent a SYN
	synAckSent               // has sent a SYN-ACK as its first packet: the SYN was not captured
	partial                  // has sent something, but no SYN was captured
	established              // has sent a SYN, and the other side something
	closed                   // has sent a FIN
	reset                    // has sent a RST
)

// handshaking reports whether a side has not got further than its SYN.
func (s state) handshaking() bool { return s <= synAckSent }

// unseen reports whether no SYN of a side was captured.
func (s state) unseen() bool { return s == inactive || s == partial }

// A window is how much one side lets the other send: RCV.WND. It is kept twice. edge only grows, so
// that a forged ACK cannot shut out what a host accepts; seq, ack and size are of the latest
// segment, to notice a window that shrinks.
type window struct {
	edge     int64  // the highest number that the other side was allowed to send, relative to its ISS
	scale    uint8  // how far to shift a window in a segment without SYN
	known    bool   // seq, ack and size are those of a segment
	seq, ack uint32 // absolute
	size     uint32
}

// slack is how far beyond a window a segment is accepted, because the ACKs that open the window may
// be captured after it. It holds the largest window without scaling.
const slack = 64 << 10

// update takes the window in a segment that acknowledges acked, a relative number of the other
// side. scaled says whether the side's SYN was captured: without it, the scale is unknown. update
// reports whether the window shrank.
func (w *window) update(h Header, acked int64, scaled bool) (shrank bool) {
	if h.SYN() {
		w.scale = h.WindowScale()
		w.edge = max(w.edge, acked+int64(h.Window())) // never scaled in a SYN
		return false
	}
	if !h.ACK() || h.RST() || h.FIN() {
		return false
	}
	size := uint32(h.Window()) << w.scale
	if scaled && acked > 0 {
		w.edge = max(w.edge, acked+int64(size))
	}
	seq, ack := h.Seq(), h.Ack()
	if w.known && (int32(seq-w.seq) < 0 || int32(ack-w.ack) < 0) {
		return false // it is older
	}
	shrank = w.known && int32(w.ack+w.size-(ack+size)) >= 1<<w.scale
	w.known, w.seq, w.ack, w.size = true, seq, ack, size
	return shrank
}
