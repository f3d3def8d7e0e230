package tcp

import "time"

// A segment is what is followed: a header, and what came with it.
type segment struct {
	Header
	side   Side
	time   time.Time
	data   []byte // what was captured of the payload
	length int    // of the payload on the wire
}

// span returns how many sequence numbers the segment takes.
func (s *segment) span() int64 {
	n := int64(s.length)
	if s.RST() {
		n = 0
	}
	if s.SYN() {
		n++
	}
	if s.FIN() {
		n++
	}
	return n
}
