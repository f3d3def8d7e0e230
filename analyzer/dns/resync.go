package dns

import "encoding/binary"

// A resync finds where the messages of one side of a TCP connection go on after a gap: where a
// segment begins with a whole message, and what it says of its length is true to the byte. Anything
// less would take bytes from the middle of a message for one.
type resync struct {
	lost   bool // there was a gap, and no message was found since
	latest int  // where the latest segment begins in what find has left
}

// find looks at the bytes after a gap and returns how many are not of the next message. If there is
// none yet, r stays lost and the other bytes are to be offered again, in front of those that follow.
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

// plausible reports whether data begins with a message and its length, and, if not, whether that may
// be so when more has come.
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
	const question, record = 5, 11 // bytes at least
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

// wellFormed reports whether m, of which only the header was read, has what its header says, and
// nothing else.
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
