// Package dns follows DNS over UDP and TCP, with mDNS, LLMNR and the NetBIOS name service. The log
// dns has a row for each query and its reply, as Zeek's does.
//
// dns.go is the parser; pending.go pairs queries and replies; row.go turns messages into rows;
// message.go reads messages and rdata.go the data of their records; resync.go finds the next
// message after a gap; names.go names numbers.
package dns

import (
	"encoding/binary"
	"strconv"
	"time"

	"example.com/conn"
	"example.com/conn/analyzer/protocol"
)

const (
	netbios = 137  // the port of the NetBIOS name service
	mdns    = 5353 // the port of multicast DNS
)

// A Parser is a protocol.Parser.
type Parser struct {
	owner     protocol.Owner
	transport conn.Proto
	msg       message // the current one; its buffers are reused
}

// New returns a parser for DNS over the given transport, conn.UDP or conn.TCP.
func New(o protocol.Owner, transport conn.Proto) *Parser {
	return &Parser{owner: o, transport: transport}
}

func (p *Parser) Name() string          { return "dns" }
func (p *Parser) Transport() conn.Proto { return p.transport }

// Ports returns the ports on which Zeek treats all traffic as DNS.
func (p *Parser) Ports() []uint16 {
	if p.transport == conn.TCP {
		return []uint16{53}
	}
	return []uint16{53, netbios, mdns, 5355}
}

// Match is No: as in Zeek, only the port identifies DNS. Many datagrams of other protocols can be
// read as DNS.
func (p *Parser) Match(orig, resp []byte) protocol.Verdict { return protocol.No }

// Resumes is true: the first captured bytes often begin a message. If they do not, no message is
// found.
func (p *Parser) Resumes() bool { return true }

// Expired implements protocol.Expirer. Every ten seconds (dns_session_timeout) Zeek removes the
// connections that were idle for nine, so a client that keeps its port has many connections.
func (p *Parser) Expired(c *conn.Connection, last, now time.Time) bool {
	const period, idle = 10 * time.Second, 9 * time.Second
	looks := (last.Sub(c.Start) + idle + period - 1) / period // until c was idle long enough
	return now.Sub(c.Start) >= looks*period
}

// A state is the state of a connection. finalize is registered while a message is pending.
type state struct {
	parser           *Parser
	queries, replies pending // without their counterparts
	seen             int     // bytes of messages
	confirmed        bool    // a whole message was read
	resyncs          [2]resync
}

var session conn.Field[state] // Zeek: redef record connection += { dns_state: State &optional; };

// finalize is the removal hook: it logs the messages without a counterpart.
func finalize(c *conn.Connection) bool {
	session.Get(c).flush()
	return true
}

// updateHook registers finalize while a message is pending, and unregisters it otherwise.
func (s *state) updateHook(c *conn.Connection) {
	if len(s.queries.queues)+len(s.replies.queues) > 0 {
		conn.Register(c, finalize) // no effect if it is registered
	} else {
		conn.Unregister(c, finalize)
	}
}

func (s *state) flush() {
	s.queries.flush(s.parser.owner, 0)
	s.replies.flush(s.parser.owner, 0)
}

// MemoryUsed implements protocol.Parser.
func (p *Parser) MemoryUsed(c *conn.Connection) int {
	const stateSize = 192 // bytes, with its place in c
	s := session.Get(c)
	if s == nil {
		return 0
	}
	return stateSize + s.queries.held() + s.replies.held()
}

// FreeMemory implements protocol.Parser.
func (p *Parser) FreeMemory(c *conn.Connection) {
	if s := session.Get(c); s != nil {
		s.flush()
		s.updateHook(c)
	}
}

// Data takes only whole messages, which are at most 64 KB.
func (p *Parser) Data(c *conn.Connection, pkt protocol.Packet, data []byte) (int, protocol.Next) {
	if p.transport == conn.UDP {
		if repliesFirst(c, pkt, data) {
			return 0, protocol.Flip
		}
		return len(data), p.message(c, pkt, data)
	}
	n := 0
	if s := session.Get(c); s != nil && s.resyncs[pkt.Side].lost {
		n = s.resyncs[pkt.Side].find(data) // to the next message, if it was found
	}
	for len(data) >= n+2 {
		end := n + 2 + int(binary.BigEndian.Uint16(data[n:]))
		if end > len(data) {
			break
		}
		next := p.message(c, pkt, data[n+2:end])
		n = end
		if next != protocol.More {
			return n, next
		}
	}
	return n, protocol.More
}

// repliesFirst reports whether the first message of a connection is a reply, which means that its
// sides were mistaken for each other. A multicast group never replies.
func repliesFirst(c *conn.Connection, pkt protocol.Packet, data []byte) bool {
	first := pkt.Side == protocol.Orig && session.Get(c) == nil && len(data) >= headerLen
	return first && (&message{data: data}).reply() && !c.ID.Resp.Addr().IsMulticast()
}

// Gap drops the current message. The other side continues.
func (p *Parser) Gap(c *conn.Connection, pkt protocol.Packet, _ int) protocol.Next {
	p.begin(c).resyncs[pkt.Side] = resync{lost: true}
	return protocol.More
}

// End does nothing: the other side may still send replies.
func (p *Parser) End(*conn.Connection, protocol.Packet) {}

// begin returns the state of c, which it creates if necessary.
func (p *Parser) begin(c *conn.Connection) *state {
	s, created := session.GetOrNew(c)
	if created {
		s.parser = p
	}
	return s
}

// message handles one message.
func (p *Parser) message(c *conn.Connection, pkt protocol.Packet, data []byte) protocol.Next {
	s := p.begin(c)
	s.seen += len(data)
	if len(data) < headerLen {
		p.owner.Weird(c, "DNS_truncated_len_lt_hdr_len", "")
		return protocol.More
	}
	m := &p.msg
	*m = newMessage(data, *m)
	defer func() { m.data = nil }()
	m.netbios = p.transport == conn.UDP && c.ID.Resp.Port() == netbios
	var r *Row
	op := m.opcode()
	switch {
	case op == opQuery || op == opNotify || op == opUpdate:
		r = s.begin(c, pkt.Time, m)
		defer s.end(c, r, m)
	case !m.netbios:
		p.owner.Weird(c, "DNS_unknown_opcode", strconv.Itoa(int(op)))
		return protocol.More
	}
	if m.questions() > maxQueries {
		p.owner.Weird(c, "DNS_Conn_count_too_large", "")
		return protocol.Violated(s.confirmed, s.seen)
	}
	whole := m.read(r, pkt.Time)
	for _, f := range m.faults {
		p.owner.Weird(c, f.name, f.addl)
	}
	if whole {
		s.confirmed = true
		p.owner.Confirm(c)
	}
	return protocol.More
}
