package tcp

import (
	"slices"
	"time"
)

// rare is the part of a Conn that few need. If it were in Conn, each connection of a flood would
// take 896 bytes in the flow table instead of 640.
type rare struct {
	missed int64 // bytes in gaps

	// beyond is where an ACK beyond the window has said that each side's stream continues, 0 if none
	// has; see Conn.continuesAt.
	beyond [2]int64

	// inferred is the end of the latest gap in each side's stream that only an ACK has shown to
	// exist, and letter whether it has a letter in the history; see Conn.inferGap.
	inferred [2]int64
	letter   [2]bool

	// far is one past a FIN of each side that is far away from everything else that was captured of
	// it; 0 if there is none.
	far [2]int64

	claims   [2][]claim // of each side, at most maxClaims
	deferral deferral
	rivals   []rival // of the responder's SYN-ACK, at most maxRivals

	// unexpected says that there was an UnexpectedSYN, and no answer to the latest one, which came
	// from the side unexpectedFrom with number unexpectedSeq.
	unexpected     bool
	unexpectedFrom Side
	unexpectedSeq  uint32
}

// waits reports whether segments are deferred.
func (r *rare) waits() bool { return len(r.deferral.queue) > 0 }

// waitsOf reports whether segments of a side are deferred.
func (r *rare) waitsOf(side Side) bool { return r.waits() && r.deferral.from == side }

// contested reports whether there are several SYN-ACKs to choose from.
func (r *rare) contested() bool { return len(r.rivals) > 0 }

// A claim is a segment that acknowledges more than the other side is known to have sent. If that
// was not captured, the other side continues from there, and acknowledges the segment. Otherwise no
// host accepts the segment: RFC 9293, section 3.10.7.4.
type claim struct {
	iss  uint32 // that seq is relative to
	seq  int64
	data []byte
	fin  bool
	ack  int64 // what it acknowledges
	time time.Time
}

// end returns one past the highest number of x.
func (x *claim) end() int64 {
	n := x.seq + int64(len(x.data))
	if x.fin {
		n++
	}
	return n
}

const (
	claimCost = 96   // bytes that a claim takes besides its data
	maxClaims = 1024 // of a side; each segment checks all of them, which takes a microsecond
)

// A deferred segment waits for the SYN or the ACK after which it was sent.
type deferred struct {
	time    time.Time
	segment []byte // header and payload, as captured
	length  int    // of the payload on the wire
}

func (x *deferred) header() Header { return Header(x.segment) } // followed by the payload

// A deferral holds the deferred segments of one side, in the order of the capture. Only one side
// waits at a time; see Conn.defers.
type deferral struct {
	from     Side
	over     bool       // the other direction counts as missing: no more segments are deferred
	queue    []deferred // at most maxDeferred, for at most maxDeferral
	replayed time.Time  // of the deferred segment that is being followed; zero if there is none
}

const (
	deferredCost = 64          // bytes that a deferred segment takes besides its own bytes
	maxDeferred  = 1024        // segments; full ones usually reach a bound on bytes first
	maxDeferral  = time.Minute // like the default timeout of a handshake
)

// drop removes the deferred segments that begin at seq.
func (d *deferral) drop(seq uint32) {
	d.queue = slices.DeleteFunc(d.queue, func(x deferred) bool { return x.header().Seq() == seq })
}

// beginsAt reports whether a deferred segment begins at seq.
func (d *deferral) beginsAt(seq uint32) bool {
	return slices.ContainsFunc(d.queue, func(x deferred) bool { return x.header().Seq() == seq })
}

// A rival is a SYN-ACK whose sequence number differs from the first one's. One of the two is forged
// or old, and the client's ACK tells which.
type rival struct {
	iss    uint32
	next   int64 // one past its data
	window window
}

// maxRivals bounds the SYN-ACKs besides the first. An attacker can send 2^32 of them; the true one
// is accepted if it is among the first nine.
const maxRivals = 8
