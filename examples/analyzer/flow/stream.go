package flow

import "slices"

// A stream puts the bytes that one side of a TCP connection sent into order.
//
// It takes the place of gopacket's reassembly package, which mixes order with the life of a connection: it makes
// connections of its own from late ACKs, does not close on RST, reports completion late, never, or for one half, and keeps
// memory until it is flushed by hand. The flow table follows sequence numbers anyway, for conn.log's bytes and history,
// and with them in 64 bits all that remains is this sorted list.
//
// Sequence numbers count from the SYN, which is 0: the first byte of the stream is 1. They do not wrap.
type stream struct {
	next    int64     // the byte that is expected next
	pending []segment // bytes above next: sorted, disjoint
	size    int       // what pending takes
}

// A segment is a piece of a stream that came too early.
type segment struct {
	seq  int64
	data []byte
}

func (s segment) end() int64 { return s.seq + int64(len(s.data)) }

// segmentCost is added to the size of a segment, or of another event that is kept, so that a bound on size also bounds
// their number.
const segmentCost = 256

// insert keeps data, which starts at seq, until the bytes before it have come. Bytes that are there already win over
// those that come later with the same numbers.
func (s *stream) insert(seq int64, data []byte) {
	i, _ := slices.BinarySearchFunc(s.pending, seq, func(p segment, seq int64) int {
		if p.end() <= seq {
			return -1
		}
		return 1
	})
	for len(data) > 0 {
		n := int64(len(data))
		if i < len(s.pending) {
			p := s.pending[i]
			if p.seq <= seq { // the first bytes are there
				cut := min(p.end()-seq, n)
				seq, data = seq+cut, data[cut:]
				i++
				continue
			}
			n = min(n, p.seq-seq)
		}
		s.pending = slices.Insert(s.pending, i, segment{seq, slices.Clone(data[:n])})
		s.size += int(n) + segmentCost
		seq, data = seq+n, data[n:]
		i++
	}
}

// ready takes the bytes that are next from the pending ones and counts them as delivered; nil if they have not come.
func (s *stream) ready() []byte {
	if len(s.pending) == 0 || s.pending[0].seq > s.next {
		return nil
	}
	p := s.pending[0]
	s.pending[0] = segment{}
	s.pending = s.pending[1:]
	s.size -= len(p.data) + segmentCost
	s.next = p.end()
	return p.data
}

// skip gives up the bytes before seq that have not come, as far as the first pending one, and returns how many they are.
func (s *stream) skip(seq int64) int64 {
	if len(s.pending) > 0 {
		seq = min(seq, s.pending[0].seq)
	}
	n := max(seq-s.next, 0)
	s.next += n
	return n
}
