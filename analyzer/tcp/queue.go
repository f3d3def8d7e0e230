package tcp

import (
	"bytes"
	"hash/maphash"
	"slices"
	"sort"
)

// A queue is the reassembly queue of one side: it puts the bytes of that side in order.
//
// Sequence numbers count from the SYN, which is 0: the first byte of the stream is 1. They have 64
// bits and do not wrap. With "hello" delivered and "world" captured before the space between them,
// taken is 5, next is 6, and pending is [7, 12).
//
// Invariants: pending is sorted and disjoint, and begins above next; size is the sum of what its
// pieces take. Callers of insert bound the number of pieces by maxPieces.
type queue struct {
	taken   int64   // the highest number that was delivered or given up
	pending []piece // bytes above next
	size    int     // what pending takes
	latest  int32   // the length of the latest delivery, 0 if unknown
	hash    uint32  // of its bytes; see sample
}

// A piece is a part of a stream that arrived too early. It has no data if the connection is
// ignored.
type piece struct {
	seq, end int64
	data     []byte
}

// pieceCost is what a piece takes besides its bytes. maxPieces bounds their number: if single bytes
// arrive in the worst order, each insertion moves all pieces, which takes a microsecond for 1024
// and would take a millisecond for a million.
const (
	pieceCost = 64
	maxPieces = 1024
)

// next returns the number of the byte that is expected next: RCV.NXT of the receiver.
func (q *queue) next() int64 { return q.taken + 1 }

// take counts the bytes before end as delivered or given up.
func (q *queue) take(end int64) { q.taken, q.latest = end-1, 0 }

// insert keeps a copy of x until the bytes before it have arrived. Bytes that are already there win
// over later ones with the same numbers; insert reports whether they differ.
func (q *queue) insert(x piece) (differ bool) {
	i := sort.Search(len(q.pending), func(i int) bool { return q.pending[i].end > x.seq })
	for ; i < len(q.pending) && q.pending[i].seq < x.end; i++ {
		p := q.pending[i]
		if x.seq < p.seq {
			i = q.put(i, x.cut(x.seq, p.seq))
			x = x.cut(p.seq, x.end)
		}
		end := min(p.end, x.end)
		differ = differ || !bytes.Equal(p.cut(x.seq, end).data, x.cut(x.seq, end).data)
		if x = x.cut(end, x.end); x.seq == x.end {
			return differ
		}
	}
	q.put(i, x)
	return differ
}

// cut returns the part of x from seq to end.
func (x piece) cut(seq, end int64) piece {
	if x.data != nil {
		x.data = x.data[seq-x.seq : end-x.seq]
	}
	x.seq, x.end = seq, end
	return x
}

// put puts a copy of x between the pending pieces i-1 and i, and returns the index after it.
func (q *queue) put(i int, x piece) int {
	// the usual case: one packet was lost, and those after it are in order
	if i > 0 && q.pending[i-1].end == x.seq {
		p := &q.pending[i-1]
		q.size -= cap(p.data)
		p.data, p.end = append(p.data, x.data...), x.end
		q.size += cap(p.data)
		return i
	}
	x.data = slices.Clone(x.data)
	q.pending = slices.Insert(q.pending, i, x)
	q.size += cap(x.data) + pieceCost
	return i + 1
}

// ready removes the next bytes from the pending ones, if they are there, and counts them as
// delivered.
func (q *queue) ready() (x piece, ok bool) {
	if len(q.pending) == 0 || q.pending[0].seq > q.next() {
		return piece{}, false
	}
	x = q.pending[0]
	q.pending[0] = piece{}
	if q.pending = q.pending[1:]; len(q.pending) == 0 {
		q.pending = nil
	}
	q.size -= cap(x.data) + pieceCost
	q.take(x.end)
	return x, true
}

// skip gives up the missing bytes before seq, up to the first pending one, and returns how many
// there are. There must be some.
func (q *queue) skip(seq int64) int64 {
	if len(q.pending) > 0 {
		seq = min(seq, q.pending[0].seq)
	}
	n := seq - q.next()
	q.take(seq)
	return n
}

// forget drops the data of the pending pieces.
func (q *queue) forget() {
	for i := range q.pending {
		q.pending[i].data = nil
	}
	q.size = len(q.pending) * pieceCost
}

// sampled is how many bytes at either end of a delivery are hashed: all of a short one, such as a
// command.
const sampled = 128

var sampleSeed = maphash.MakeSeed()

func hashOf(data []byte) uint32 {
	if len(data) <= 2*sampled {
		return uint32(maphash.Bytes(sampleSeed, data))
	}
	return uint32(maphash.Bytes(sampleSeed, data[:sampled]) + 3*maphash.Bytes(sampleSeed, data[len(data)-sampled:]))
}

// sample records the hash of data, which was delivered: the bytes before next. Keeping the bytes
// until they are acknowledged, as Zeek does, would take a packet's size per side of a connection.
func (q *queue) sample(data []byte) { q.latest, q.hash = int32(len(data)), hashOf(data) }

// differs reports whether x includes all the numbers of the latest delivery, but with other bytes.
func (q *queue) differs(x piece) bool {
	seq := q.next() - int64(q.latest)
	return q.latest > 0 && x.seq <= seq && q.next() <= x.end && hashOf(x.data[seq-x.seq:q.next()-x.seq]) != q.hash
}
