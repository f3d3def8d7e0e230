package tcp

// A window is how much one side lets the other send: RCV.WND. It is kept twice, because the two
// uses differ in what they believe. edge only grows, so that no forged ACK shuts out what a host
// takes; seq, ack and size are of the latest segment, to notice a window that shrinks.
type window struct {
	edge     int64  // the highest number that the other side was allowed to send, relative to its ISS
	scale    uint8  // how far to shift a window in a segment without SYN
	known    bool   // seq, ack and size are those of a segment
	seq, ack uint32 // absolute
	size     uint32
}

// slack is how far beyond a window a segment is taken, since the ACKs that open the window may be
// captured after it. It is what one window without scaling holds.
const slack = 64 << 10

// update takes the window in a segment that acknowledges acked, a number of the other side. scaled
// says whether the side's SYN was seen, without which the scale is a guess. It reports whether the
// window shrank.
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
	behind := -int32(ack + size - (w.ack + w.size))
	shrank = w.known && behind > 0 && behind >= 1<<w.scale
	w.known, w.seq, w.ack, w.size = true, seq, ack, size
	return shrank
}
