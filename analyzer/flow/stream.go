package flow

import (
	"bytes"
	"hash/maphash"
	"slices"
)

// A stream puts the bytes that one side of a TCP connection sent into order.
//
// It takes the place of gopacket's reassembly package, which mixes order with the life of a
// connection: it makes connections of its own from late ACKs, does not close on RST, reports
// completion late, never, or for one half, and keeps memory until it is flushed by hand. The flow
// table follows sequence numbers anyway, for conn.log's bytes and history, and with them in 64 bits
// all that remains is this sorted list.
//
// Sequence numbers count from the SYN, which is 0: the first byte of the stream is 1. They do not
// wrap.
type stream struct {
	next    int64     // the byte that is expected next
	pending []segment // bytes above next: sorted, disjoint
	size    int       // what pending takes
	latest  int32     // how long the latest segment was, 0 if it is not known
	hash    uint32    // of its bytes
}

// A segment is a piece of a stream that came too early. It has no data if nobody wants it.
type segment struct {
	seq, end int64
	data     []byte
}

// segmentCost is what a segment takes besides its bytes. maxSegments bounds their number, since
// putting one more among them takes time in proportion: a microsecond for these.
const (
	segmentCost = 64
	maxSegments = 1024
)

// insert keeps a segment until the bytes before it have come. Bytes that are there already win over
// those that come later with the same numbers; it reports whether they differ.
func (s *stream) insert(x segment) (differ bool) {
	i, _ := slices.BinarySearchFunc(s.pending, x.seq, func(p segment, seq int64) int {
		if p.end <= seq {
			return -1
		}
		return 1
	})
	for x.seq < x.end {
		part := x
		if i < len(s.pending) {
			p := s.pending[i]
			if p.seq <= x.seq { // the first bytes are there
				part.end = min(p.end, x.end)
				if x.data != nil && p.data != nil {
					differ = differ || !bytes.Equal(p.data[x.seq-p.seq:part.end-p.seq], x.data[:part.end-x.seq])
				}
				x = x.from(part.end)
				i++
				continue
			}
			part.end = min(p.seq, x.end)
		}
		if x.data != nil {
			part.data = x.data[:part.end-x.seq]
		}
		i = s.put(i, part)
		x = x.from(part.end)
	}
	return differ
}

// from returns the part of x from seq on.
func (x segment) from(seq int64) segment {
	if x.data != nil {
		x.data = x.data[seq-x.seq:]
	}
	x.seq = seq
	return x
}

// put puts a copy of x between the pending segments i-1 and i, and returns where the next would be.
func (s *stream) put(i int, x segment) int {
	if i > 0 && s.pending[i-1].end == x.seq { // the usual case: one packet was lost, and those after it are in order
		p := &s.pending[i-1]
		s.size -= cap(p.data)
		p.data = append(p.data, x.data...)
		p.end = x.end
		s.size += cap(p.data)
		return i
	}
	x.data = slices.Clone(x.data)
	s.pending = slices.Insert(s.pending, i, x)
	s.size += cap(x.data) + segmentCost
	return i + 1
}

// ready takes the bytes that are next from the pending ones and counts them as delivered, if they
// have come.
func (s *stream) ready() (x segment, ok bool) {
	if len(s.pending) == 0 || s.pending[0].seq > s.next {
		return segment{}, false
	}
	x = s.pending[0]
	s.pending[0] = segment{}
	if s.pending = s.pending[1:]; len(s.pending) == 0 {
		s.pending = nil
	}
	s.size -= cap(x.data) + segmentCost
	s.next, s.latest = x.end, 0
	return x, true
}

// forget drops the data of the pending segments.
func (s *stream) forget() {
	for i := range s.pending {
		s.size -= cap(s.pending[i].data)
		s.pending[i].data = nil
	}
}

// skip gives up the bytes before seq that have not come, as far as the first pending one, and
// returns how many they are.
func (s *stream) skip(seq int64) int64 {
	if len(s.pending) > 0 {
		seq = min(seq, s.pending[0].seq)
	}
	n := max(seq-s.next, 0)
	if n > 0 {
		s.next, s.latest = s.next+n, 0
	}
	return n
}

// sampled is how many bytes at either end of a segment are looked at: all of what is short, such as
// commands and requests.
const sampled = 128

var sampleSeed = maphash.MakeSeed()

func hashOf(data []byte) uint32 {
	if len(data) <= 2*sampled {
		return uint32(maphash.Bytes(sampleSeed, data))
	}
	return uint32(maphash.Bytes(sampleSeed, data[:sampled]) + 3*maphash.Bytes(sampleSeed, data[len(data)-sampled:]))
}

// sample notes that data was delivered, the bytes before next. To keep the bytes themselves until
// they are acknowledged, as Zeek does, would take a packet's size for each side of a connection.
func (s *stream) sample(data []byte) { s.latest, s.hash = int32(len(data)), hashOf(data) }

// differs reports whether x has all the numbers of the latest segment, but other bytes.
func (s *stream) differs(x segment) bool {
	seq := s.next - int64(s.latest)
	return s.latest > 0 && x.seq <= seq && s.next <= x.end && hashOf(x.data[seq-x.seq:s.next-x.seq]) != s.hash
}
