package dns

import (
	"bytes"
	"time"

	"example.com/conn"
	"example.com/conn/analyzer/logs"
)

const (
	maxAnswers     = 100      // of a row; Zeek's Log::default_max_field_container_elements
	maxAnswerBytes = 32 << 10 // bytes of all of them
)

// A Row is one row of the log dns.
type Row struct {
	logs.Header
	Proto      string        `json:"proto"`
	TransID    uint16        `json:"trans_id"`
	RTT        *logs.Micros  `json:"rtt,omitempty"`
	Query      *string       `json:"query,omitempty"`
	QClass     *uint16       `json:"qclass,omitempty"`
	QClassName string        `json:"qclass_name,omitempty"`
	QType      *uint16       `json:"qtype,omitempty"`
	QTypeName  string        `json:"qtype_name,omitempty"`
	RCode      *uint8        `json:"rcode,omitempty"`
	RCodeName  string        `json:"rcode_name,omitempty"`
	AA         bool          `json:"AA"`
	TC         bool          `json:"TC"`
	RD         bool          `json:"RD"`
	RA         bool          `json:"RA"`
	Z          uint8         `json:"Z"`
	Answers    []string      `json:"answers,omitempty"` // at most maxAnswers
	TTLs       []logs.Micros `json:"TTLs,omitempty"`
	Rejected   bool          `json:"rejected"`
	OpCode     uint8         `json:"opcode"`
	OpCodeName string        `json:"opcode_name"`

	start  time.Time
	texts  int  // bytes of Query and Answers
	paired bool // it has both query and reply

	// The targets of the pointers above.
	rtt           logs.Micros
	query         string
	qclass, qtype uint16
	rcode         uint8
}

func newRow(c *conn.Connection, now time.Time, id uint16) *Row {
	return &Row{Header: logs.NewHeader("dns", c, now), Proto: c.ID.Proto.String(), TransID: id, start: now}
}

// held returns how many bytes r takes.
func (r *Row) held() int {
	const rowSize = 384
	return rowSize + r.texts + 16*cap(r.Answers) + 8*cap(r.TTLs)
}

// read reads the message into r, which is nil if the message is not logged. It reports whether the
// questions and answers are whole.
func (m *message) read(r *Row, now time.Time) bool {
	if r != nil {
		r.header(m)
	}
	last, ok := m.readQuestions()
	if last > 0 && r != nil {
		r.question(m, last)
	}
	return ok && m.readSection(r, now, m.answers(), m.update()) &&
		(!m.update() || m.readSection(r, now, m.authority(), false))
}

func (r *Row) header(m *message) {
	r.OpCode, r.OpCodeName = m.opcode(), name(opcodes, uint16(m.opcode()), "opcode")
	if m.netbios {
		r.OpCodeName = name(netbiosOpcodes, uint16(m.opcode()), "netbios-opcode")
	}
	if m.reply() {
		r.rcode = m.rcode()
		r.RCode, r.RCodeName = &r.rcode, name(rcodes, uint16(r.rcode), "rcode")
		r.Rejected = r.rcode != 0 && m.questions() == 0
	}
}

// question logs the question at offset in m. A reply does so if its query was not captured or asked
// nothing. If it has answers, it leaves out type and class, as Zeek does.
func (r *Row) question(m *message, offset int) {
	end := m.at
	defer func() { m.at = end }()
	m.at = offset
	if m.update() {
		return // the question is a zone, which Zeek does not log
	}
	if m.reply() {
		r.Rejected = r.Rejected || m.answers()+m.authority()+m.additional() == 0
	} else {
		r.RD, r.TC, r.Z = m.rd(), m.tc(), m.z()
	}
	if m.reply() && r.Query != nil {
		return // its query has logged the question
	}
	query := m.name()
	if plain := netbiosName(query); m.netbios && len(plain) > 0 {
		query = plain
	}
	r.ask(logs.Text(query))
	if m.reply() && m.answers() > 0 {
		return
	}
	r.qtype, r.qclass = m.uint16(), m.uint16()
	r.QClass, r.QClassName = &r.qclass, name(classes, r.qclass, "qclass")
	r.QType, r.QTypeName = &r.qtype, typeName(r.qtype)
	if m.netbios && r.QTypeName == "SRV" {
		r.QTypeName = "NBSTAT" // NetBIOS used the number before SRV did
	}
}

func (r *Row) ask(query string) {
	r.texts += len(query) - len(r.query)
	r.query, r.Query = query, &r.query
}

// readSection reads n records, of a reply into r. In a dynamic update, the first section has
// prerequisites and the second has changes. It reports whether all records are whole.
func (m *message) readSection(r *Row, now time.Time, n int, prerequisites bool) bool {
	for range n {
		if !m.readRecord() {
			return false
		}
		if r == nil || !m.reply() || r.full() {
			m.at = m.record.end
			continue
		}
		var text string
		logged, ok := true, true
		switch {
		case prerequisites:
			text, m.at = m.prerequisite(), m.record.end
		case m.update() && (m.record.class == classAny || m.record.class == classNone):
			text, m.at = m.deletion(), m.record.end
		default:
			text, logged, ok = m.rdata()
			if m.update() && text != "" {
				text = "add: " + text
			}
		}
		if logged {
			r.answer(m, text, now)
		}
		if !ok {
			return false
		}
	}
	return true
}

// full reports whether r takes no more answers.
func (r *Row) full() bool { return len(r.Answers) >= maxAnswers || r.texts >= maxAnswerBytes }

// answer adds the current record of a reply, with its text, which may be empty.
func (r *Row) answer(m *message, text string, now time.Time) {
	if r.Query == nil {
		r.ask(m.nameAt(m.record.name))
	}
	r.AA, r.RA = m.aa(), m.ra()
	if r.RTT == nil && !now.Equal(r.start) {
		r.rtt, r.RTT = logs.Interval(now.Sub(r.start)), &r.rtt
	}
	if text == "" {
		return
	}
	r.Answers = append(r.Answers, text)
	r.TTLs = append(r.TTLs, logs.Interval(time.Duration(m.record.ttl)*time.Second))
	r.texts += len(text)
	if r.full() {
		m.fault("log_container_field_truncated", "dns")
	}
}

const (
	classNone = 254
	classAny  = 255
	typeAny   = 255
)

// prerequisite describes a prerequisite of a dynamic update (RFC 2136, section 2.4).
func (m *message) prerequisite() string {
	r := &m.record
	domain := m.nameAt(r.name)
	switch {
	case r.class == classNone && r.kind == typeAny:
		return "pre: NameNotInUse " + domain
	case r.class == classAny && r.kind == typeAny:
		return "pre: NameInUse " + domain
	case r.class == classNone:
		return "pre: NoRRSet " + typeName(r.kind) + " " + domain
	}
	return "pre: RRSetExists " + typeName(r.kind) + " " + domain
}

// deletion describes what a dynamic update deletes (RFC 2136, section 2.5).
func (m *message) deletion() string {
	r := &m.record
	switch {
	case r.class == classAny && r.kind == typeAny:
		return "del: RRSet * " + m.nameAt(r.name)
	case r.class == classNone:
		return "del: RR " + typeName(r.kind) + " " + m.nameAt(r.name)
	}
	return "del: RRSet " + typeName(r.kind)
}

// netbiosName decodes the first-level encoding of RFC 1001, which writes each half of a byte as a
// letter. It returns nil if domain is not encoded.
func netbiosName(domain []byte) (plain []byte) {
	label, _, _ := bytes.Cut(domain, []byte("."))
	if len(label) != 32 {
		return nil
	}
	for i := 0; i < 30; i += 2 { // the 16th byte is the type of the name
		hi, lo := lower(label[i])-'a', lower(label[i+1])-'a'
		if hi > 15 || lo > 15 {
			return nil
		}
		b := hi<<4 | lo
		if b == 0 || b > 2 && b <= ' ' || b >= 0x7f {
			break // padding
		}
		plain = append(plain, b)
	}
	return plain
}
