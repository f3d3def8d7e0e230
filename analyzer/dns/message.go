package dns

import (
	"encoding/binary"
	"slices"

	"example.com/conn/analyzer/logs"
)

const (
	headerLen  = 12 // bytes
	maxQueries = 25 // questions of a message; one with more is not DNS; Zeek's dns_max_queries
	maxJumps   = 20 // pointers in one name; Zeek's dns_max_compression_chain_depth
	maxLabel   = 63 // bytes of a label, except for NetBIOS

	// maxName is how many bytes of a name are read, with a dot after each label. RFC 1035 allows
	// 255; Zeek logs more.
	maxName = 512
)

// The opcodes of messages that are logged.
const (
	opQuery  = 0
	opNotify = 4
	opUpdate = 5 // of NetBIOS, a registration
)

// A message reads one DNS message from front to back, once. It skips names that are not logged and
// expands the others into one buffer. gopacket and x/net's dnsmessage do not fit: they stop at
// damage after which Zeek continues, and they expand every name, which takes 30 ns for each byte of
// a hostile message.
//
// It reads as much of a damaged message as Zeek does. Its faults have the names of Zeek's
// weird.log; a fault does not always end the reading.
type message struct {
	data    []byte
	at      int     // offset of the next byte to read
	netbios bool    // NetBIOS name service: labels may be longer
	record  record  // the last one read
	faults  []fault // in the order in which they were found, one for each name
	buf     []byte  // the last name that was expanded; at most maxName bytes
	text    []byte  // of the current record; little more than logs.MaxText
}

// A fault is something wrong with a message.
type fault struct{ name, addl string } // as in weird.log

// newMessage returns a message that reads data, which has a whole header. It reuses the buffers of
// old.
func newMessage(data []byte, old message) message {
	return message{data: data, at: headerLen, faults: old.faults[:0], buf: old.buf, text: old.text}
}

// fault adds a fault unless there is one of that name.
func (m *message) fault(name, addl string) {
	if !slices.ContainsFunc(m.faults, func(f fault) bool { return f.name == name }) {
		m.faults = append(m.faults, fault{name, addl})
	}
}

// The header. data contains all of it.

func (m *message) id() uint16      { return binary.BigEndian.Uint16(m.data) }
func (m *message) reply() bool     { return m.data[2]&0x80 != 0 }
func (m *message) opcode() uint8   { return m.data[2] >> 3 & 0xf }
func (m *message) aa() bool        { return m.data[2]&4 != 0 }
func (m *message) tc() bool        { return m.data[2]&2 != 0 }
func (m *message) rd() bool        { return m.data[2]&1 != 0 }
func (m *message) ra() bool        { return m.data[3]&0x80 != 0 }
func (m *message) z() uint8        { return m.data[3] >> 4 & 7 } // with the bits AD and CD
func (m *message) rcode() uint8    { return m.data[3] & 0xf }    // without the upper bits of EDNS
func (m *message) questions() int  { return int(binary.BigEndian.Uint16(m.data[4:])) }
func (m *message) answers() int    { return int(binary.BigEndian.Uint16(m.data[6:])) }
func (m *message) authority() int  { return int(binary.BigEndian.Uint16(m.data[8:])) }
func (m *message) additional() int { return int(binary.BigEndian.Uint16(m.data[10:])) }

// update reports whether the message is a dynamic update, whose sections have other meanings.
func (m *message) update() bool { return m.opcode() == opUpdate && !m.netbios }

// left returns how many bytes are still unread.
func (m *message) left() int { return len(m.data) - m.at }

// uint16 and uint32 read a number. If the message ends early, it is 0 and nothing is read.
func (m *message) uint16() (v uint16) {
	if m.left() >= 2 {
		v = binary.BigEndian.Uint16(m.data[m.at:])
		m.at += 2
	}
	return v
}

func (m *message) uint32() (v uint32) {
	if m.left() >= 4 {
		v = binary.BigEndian.Uint32(m.data[m.at:])
		m.at += 4
	}
	return v
}

// name reads a name and returns it as it is logged, in lower case and without the last dot. For a
// damaged name, it returns the part before the damage. The result is valid until the next call.
func (m *message) name() []byte {
	m.buf = m.buf[:0]
	m.walk(true)
	if len(m.buf) >= 255 {
		m.fault("DNS_NAME_too_long", "")
	}
	for i, b := range m.buf {
		m.buf[i] = lower(b)
	}
	return m.buf[:max(0, len(m.buf)-1)]
}

// nameAt returns the name at offset, and leaves m where it is.
func (m *message) nameAt(offset int) string {
	at := m.at
	m.at = offset
	name := logs.Text(m.name())
	m.at = at
	return name
}

// walk reads a name. If expand is set, it appends the labels to buf, each followed by a dot. If
// not, it does not follow pointers, so its time is bounded by the bytes that it reads.
func (m *message) walk(expand bool) {
	at, end := m.at, len(m.data)
	next := &m.at // where reading continues: after the first pointer, if any
	var elsewhere int
	for size, jumps := 0, 0; at < end; {
		start, n := at, int(m.data[at])
		at++
		*next = at
		switch {
		case n == 0 || at == end:
			return
		case n >= 0xc0:
			target := (n&0x3f)<<8 | int(m.data[at])
			*next = at + 1
			switch jumps++; {
			case target >= start:
				m.fault("DNS_label_forward_compress_offset", "")
				return
			case !expand:
				return
			case jumps > maxJumps:
				m.fault("DNS_max_compression_chain_depth_exceeded", "")
				return
			}
			at, end, next = target, start, &elsewhere
			continue
		case n > end-at:
			*next = end
			m.fault("DNS_label_len_gt_pkt", "")
			return
		case n > maxLabel && !m.netbios:
			m.fault("DNS_label_too_long", "")
			return
		case size+n+1 > maxName:
			m.fault("DNS_label_len_gt_name_len", "")
			return
		case expand:
			m.buf = append(append(m.buf, m.data[at:at+n]...), '.') // at most maxName
		}
		size += n + 1
		at += n
		*next = at
	}
}

func lower(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		b += 'a' - 'A'
	}
	return b
}

// readQuestions reads the questions. It returns the offset of the last whole one, 0 without one,
// and whether all are whole.
func (m *message) readQuestions() (last int, ok bool) {
	for range m.questions() {
		start := m.at
		m.walk(false)
		if m.left() < 4 {
			m.fault("DNS_truncated_quest_too_short", "")
			return last, false
		}
		m.at += 4
		last = start
	}
	return last, true
}

// A record is a resource record without its data, which follows at message.at.
type record struct {
	name  int // offset of its name
	kind  uint16
	class uint16
	ttl   uint32
	end   int // offset where its data should end
}

// readRecord reads the next record up to its data. It reports whether the record is whole.
func (m *message) readRecord() (ok bool) {
	r := &m.record
	r.name = m.at
	m.walk(false)
	if m.left() < 4 {
		m.fault("DNS_truncated_ans_too_short", "")
		return false
	}
	r.kind, r.class, r.ttl = m.uint16(), m.uint16(), m.uint32()
	size := int(m.uint16())
	r.end = m.at + size
	switch {
	case size > m.left():
		m.fault("DNS_truncated_RR_rdlength_lt_len", "")
		return false
	case size == 0 && m.left() > 0 && !m.update():
		m.fault("DNS_zero_rdlength", "")
		return false
	}
	return true
}

// rest returns the unread data of the record.
func (m *message) rest() []byte { return m.data[m.at:max(m.at, m.record.end)] }
