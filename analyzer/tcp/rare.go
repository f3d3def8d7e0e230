package tcp

import "time"

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

	// claims are segments of each side, at most maxClaims, that acknowledge more than the other side
	// is known to have sent. If that was not captured, the other side continues from there, and
	// acknowledges the segment. Otherwise no host accepts the segment: RFC 9293, section 3.10.7.4.
	claims [2][]segment

	// deferred are segments of one side, at most maxDeferred for at most maxDeferral, that wait for
	// the SYN or the ACK after which they were sent.
	deferred []segment
	oneWay   bool      // the other direction counts as missing: no more segments are deferred
	replayed time.Time // of the kept segment that is being followed; zero if there is none

	// rivals are SYN-ACKs, at most maxRivals, whose sequence numbers differ from the first one's. All
	// but one are forged or old, and the client's ACK tells which one is not.
	rivals []segment

	// unexpected is the latest UnexpectedSYN, without its data; nil if it was answered.
	unexpected *segment
}

const (
	maxClaims   = 1024        // each segment checks all of them, which takes a microsecond
	maxDeferred = 1024        // full segments usually reach a bound on bytes first
	maxDeferral = time.Minute // like the default timeout of a handshake

	// An attacker can send 2^32 SYN-ACKs; the true one is accepted if it is among the first nine.
	maxRivals = 8
)

// waits reports whether segments are deferred.
func (r *rare) waits() bool { return len(r.deferred) > 0 }

// waitsOf reports whether segments of a side are deferred.
func (r *rare) waitsOf(side Side) bool { return r.waits() && r.deferred[0].side == side }

// contested reports whether there are several SYN-ACKs to choose from.
func (r *rare) contested() bool { return len(r.rivals) > 0 }
