// Package dns follows DNS over UDP and TCP, with mDNS, LLMNR and the NetBIOS name service: the log dns has a row for each
// query and its reply.
package dns

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"example.com/conn"
	"example.com/conn/examples/analyzer/logs"
	"example.com/conn/examples/analyzer/protocol"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

const (
	headerLen  = 12  // bytes of a message before its first question
	maxPending = 50  // queries without a reply, and replies without a query, that a connection keeps
	maxAnswers = 256 // answers that a row keeps
	maxQueries = 25  // questions in one message, beyond which it is something else; Zeek's dns_max_queries

	netbios = 137 // the port of the NetBIOS name service
)

// A Parser is a protocol.Parser.
type Parser struct {
	owner     protocol.Owner
	transport conn.Proto
	msg       layers.DNS // the message at hand; kept because it brings its buffers along
}

// New returns a parser for DNS over the given transport, conn.UDP or conn.TCP.
func New(o protocol.Owner, transport conn.Proto) *Parser {
	return &Parser{owner: o, transport: transport}
}

func (p *Parser) Name() string          { return "dns" }
func (p *Parser) Transport() conn.Proto { return p.transport }

// Ports has where Zeek takes all for DNS, so that damaged messages are logged too.
func (p *Parser) Ports() []uint16 {
	if p.transport == conn.TCP {
		return []uint16{53}
	}
	return []uint16{53, netbios, 5353, 5355}
}

// Resumes is true: the first bytes that were captured often begin a message. If they do not, no message is found.
func (p *Parser) Resumes() bool { return true }

// A state is what a connection has pending. finalize is registered as long as that is something.
type state struct {
	parser           *Parser
	queries, replies []*Row // without the other, oldest first
	confirmed        bool   // a message could be read
}

var session conn.Field[state] // Zeek: redef record connection += { dns_state: State &optional; };

// Held returns how many bytes the state of c takes.
func (p *Parser) Held(c *conn.Connection) int { return 0 }

// Flush lets go of what is pending.
func (p *Parser) Flush(c *conn.Connection) {}

// Match looks at the first message, of the originator if there is one.
func (p *Parser) Match(orig, resp []byte) protocol.Verdict {
	data := orig
	if len(data) == 0 {
		data = resp
	}
	whole := true
	if p.transport == conn.TCP {
		if len(data) < 2+headerLen {
			return protocol.Maybe
		}
		size := int(binary.BigEndian.Uint16(data))
		data = data[2:]
		whole = size <= len(data)
		data = data[:min(size, len(data))]
	}
	if len(data) < headerLen {
		return protocol.No
	}
	// Only what is common to all DNS messages, but nearly no others: known flags, and a first record that can be read.
	m := &p.msg
	m.DecodeFromBytes(data, gopacket.NilDecodeFeedback)
	const reserved = 0x40 // the last bit of the header without a meaning
	switch {
	case !known(m.OpCode), data[3]&reserved != 0, m.QDCount > maxQueries:
		return protocol.No
	case !m.QR && (m.QDCount == 0 || data[3]&0xf != 0):
		return protocol.No
	case len(m.Questions) > 0:
		if class(m.Questions[0].Class) {
			return protocol.Yes
		}
	case m.QDCount == 0 && len(m.Answers) > 0:
		if class(m.Answers[0].Class) {
			return protocol.Yes
		}
	case !whole:
		return protocol.Maybe
	}
	return protocol.No
}

// class reports whether c is in use. Multicast DNS has a flag in the highest bit.
func class(c layers.DNSClass) bool {
	_, ok := classes[uint16(c&0x7fff)]
	return ok
}

// known reports whether messages with the given opcode are logged, as Zeek does it.
func known(op layers.DNSOpCode) bool {
	return op == layers.DNSOpCodeQuery || op == layers.DNSOpCodeNotify || op == layers.DNSOpCodeUpdate
}

// Data takes whole messages only, which are at most 64 KB.
func (p *Parser) Data(c *conn.Connection, pkt protocol.Packet, data []byte) (int, protocol.Next) {
	if p.transport == conn.UDP {
		p.message(c, pkt, data)
		return len(data), protocol.More
	}
	n := 0
	for len(data) >= n+2 {
		end := n + 2 + int(binary.BigEndian.Uint16(data[n:]))
		if end > len(data) {
			break
		}
		p.message(c, pkt, data[n+2:end])
		n = end
	}
	return n, protocol.More
}

// Gap gives up: there is no telling where the next message begins.
func (p *Parser) Gap(*conn.Connection, protocol.Packet, int) protocol.Next { return protocol.Stop }

// End has nothing to do: the other side may still send what is missing.
func (p *Parser) End(*conn.Connection, protocol.Packet) {}

// message pairs one message with what is pending.
func (p *Parser) message(c *conn.Connection, pkt protocol.Packet, data []byte) {
	if len(data) < headerLen {
		return
	}
	// After an error, msg has what came before it. Zeek logs that as well.
	m := &p.msg
	m.DecodeFromBytes(data, gopacket.NilDecodeFeedback)
	if !known(m.OpCode) {
		return
	}
	s, created := session.GetOrNew(c)
	if created {
		s.parser = p
	}
	s.confirmed = s.confirmed || len(m.Questions) == int(m.QDCount) && len(m.Answers) == int(m.ANCount)
	if s.confirmed {
		p.owner.Confirm(c)
	}
	if c.ID.Resp.Addr().IsMulticast() {
		// Nobody in particular is asked, and those who reply do so on connections of their own.
		r := newRow(c, pkt.Time, m)
		r.add(m, pkt.Time)
		p.owner.Log(r)
		return
	}
	mine, others := &s.queries, &s.replies
	if m.QR {
		mine, others = others, mine
	}
	i := slices.IndexFunc(*others, func(r *Row) bool { return r.TransID == m.ID })
	if i < 0 {
		if len(*mine) == maxPending {
			s.flush(mine) // they will never be matched
		}
		r := newRow(c, pkt.Time, m)
		r.add(m, pkt.Time)
		*mine = append(*mine, r)
		s.parser.owner.Register(c, finalize) // unless it is already
		return
	}
	r := (*others)[i]
	*others = slices.Delete(*others, i, i+1)
	r.add(m, pkt.Time)
	p.owner.Log(r)
	if len(s.queries)+len(s.replies) == 0 {
		s.parser.owner.Unregister(c, finalize)
	}
}

// finalize logs what never got its counterpart.
func finalize(c *conn.Connection) bool {
	s := session.Get(c)
	s.flush(&s.queries)
	s.flush(&s.replies)
	return true
}

func (s *state) flush(rows *[]*Row) {
	for _, r := range *rows {
		s.parser.owner.Log(r)
	}
	*rows = nil
}

// A Row is one row of the log dns.
type Row struct {
	logs.Header
	Proto      string         `json:"proto"`
	TransID    uint16         `json:"trans_id"`
	RTT        *logs.Seconds  `json:"rtt,omitempty"`
	Query      *string        `json:"query,omitempty"`
	QClass     *uint16        `json:"qclass,omitempty"`
	QClassName string         `json:"qclass_name,omitempty"`
	QType      *uint16        `json:"qtype,omitempty"`
	QTypeName  string         `json:"qtype_name,omitempty"`
	RCode      *uint8         `json:"rcode,omitempty"`
	RCodeName  string         `json:"rcode_name,omitempty"`
	AA         bool           `json:"AA"`
	TC         bool           `json:"TC"`
	RD         bool           `json:"RD"`
	RA         bool           `json:"RA"`
	Z          uint8          `json:"Z"`
	Answers    []string       `json:"answers,omitempty"`
	TTLs       []logs.Seconds `json:"TTLs,omitempty"`
	Rejected   bool           `json:"rejected"`
	OpCode     uint8          `json:"opcode"`
	OpCodeName string         `json:"opcode_name"`

	start time.Time
}

func newRow(c *conn.Connection, ts time.Time, m *layers.DNS) *Row {
	return &Row{
		Header:  logs.NewHeader("dns", c, ts),
		Proto:   c.ID.Proto.String(),
		TransID: m.ID,
		start:   ts,
	}
}

// add fills in what the message m tells: a query, or a reply.
func (r *Row) add(m *layers.DNS, ts time.Time) {
	r.OpCode, r.OpCodeName = uint8(m.OpCode), name(opcodes, uint16(m.OpCode), "opcode")
	if r.RespP == netbios {
		r.OpCodeName = name(netbiosOpcodes, uint16(m.OpCode), "netbios-opcode")
	}
	if !m.QR {
		for _, q := range m.Questions {
			r.ask(m, q)
		}
		return
	}
	rcode := uint8(m.ResponseCode) & 0xf // without what EDNS adds in front
	r.RCode, r.RCodeName = &rcode, name(rcodes, uint16(rcode), "rcode")
	nothing := m.ANCount == 0 && m.NSCount == 0 && m.ARCount == 0
	r.Rejected = rcode != 0 && (nothing || m.QDCount == 0)
	for i := range m.Answers {
		r.answer(m, &m.Answers[i], ts)
	}
}

func (r *Row) ask(m *layers.DNS, q layers.DNSQuestion) {
	r.RD, r.TC, r.Z = m.RD, m.TC, m.Z
	r.QClass, r.QClassName = new(uint16(q.Class)), name(classes, uint16(q.Class), "qclass")
	r.QType, r.QTypeName = new(uint16(q.Type)), name(types, uint16(q.Type), "query")
	query := lower(q.Name)
	if r.RespP == netbios {
		if plain := netbiosName(q.Name); plain != "" {
			query = plain
		}
		if q.Type == layers.DNSTypeSRV {
			r.QTypeName = "NBSTAT" // was there before SRV
		}
	}
	r.Query = &query
}

func (r *Row) answer(m *layers.DNS, rr *layers.DNSResourceRecord, ts time.Time) {
	if r.Query == nil {
		r.Query = new(lower(rr.Name))
	}
	r.AA, r.RA = m.AA, m.RA
	if r.RTT == nil && !ts.Equal(r.start) {
		r.RTT = new(logs.Interval(ts.Sub(r.start)))
	}
	if text := summary(rr); text != "" && len(r.Answers) < maxAnswers {
		r.Answers = append(r.Answers, text)
		r.TTLs = append(r.TTLs, logs.Seconds(rr.TTL))
	}
}

// lower returns a domain name as logs have it.
func lower(domain []byte) string { return strings.ToLower(logs.Text(domain)) }

// netbiosName decodes the first level encoding of RFC 1001, which writes each half of a byte as a letter; "" if domain is
// not of that kind.
func netbiosName(domain []byte) string {
	label, _, _ := bytes.Cut(domain, []byte("."))
	if len(label) != 32 {
		return ""
	}
	var plain []byte
	for i := 0; i < 30; i += 2 { // the 16th byte is what kind of name it is
		hi, lo := label[i]-'A', label[i+1]-'A'
		if hi > 15 || lo > 15 {
			return ""
		}
		b := hi<<4 | lo
		if b > 2 && b <= ' ' || b >= 0x7f {
			break // padding
		}
		plain = append(plain, b)
	}
	return string(plain)
}
