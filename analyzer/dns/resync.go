package dns

import "encoding/binary"

// A resync finds where the messages of one side of a TCP connection continue after a gap: where a
// segment begins with a message that is well-formed and exactly as long as stated. Anything less
// strict would mistake bytes inside a message for one.
type resync struct {
	lost   bool // no message was found since the gap
	latest int  // offset of the latest segment in the bytes that find left
}

// find searches the bytes after a gap and returns how many precede the next message. If none is
// found, r stays lost, and the caller offers the rest again, in front of the bytes that follow.
func (r *resync) find(data []byte) (n int) {
	latest := min(r.latest, len(data))
	for _, at := range []int{latest, 0} {
		if whole, _ := plausible(data[at:]); whole {
			*r = resync{}
			return at
		}
	}
	for _, at := range []int{0, latest} {
		if _, begun := plausible(data[at:]); begun {
			r.latest = len(data) - at
			return at
		}
	}
	r.latest = 0
	return len(data)
}

// plausible reports whether data begins with a message and its length, and, if not, whether it may
// once more bytes arrive.
func plausible(data []byte) (whole, begun bool) {
	if len(data) < 2 {
		return false, true
	}
	end := 2 + int(binary.BigEndian.Uint16(data))
	if end < 2+headerLen {
		return false, false
	}
	if len(data) < 2+headerLen {
		return false, true
	}
	m := newMessage(data[2:min(end, len(data))], message{})
	const question, record = 5, 11 // minimum bytes
	records := m.answers() + m.authority() + m.additional()
	switch op := m.opcode(); {
	case op != opQuery && op != opNotify && op != opUpdate,
		m.questions() > maxQueries, m.questions()+records == 0,
		headerLen+question*m.questions()+record*records > end-2:
		return false, false
	case len(data) < end:
		return false, true
	}
	return m.wellFormed(), false
}

// wellFormed reports whether m, of which only the header was read, contains exactly what its header
// states.
func (m *message) wellFormed() bool {
	for range m.questions() {
		if m.walk(false); m.left() < 4 {
			return false
		}
		m.at += 4
	}
	for range m.answers() + m.authority() + m.additional() {
		if m.walk(false); m.left() < 10 {
			return false
		}
		m.at += 8
		n := int(m.uint16())
		if n > m.left() {
			return false
		}
		m.at += n
	}
	return len(m.faults) == 0 && m.left() == 0
}
