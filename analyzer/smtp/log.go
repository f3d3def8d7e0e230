package smtp

import (
	"bytes"
	"net/netip"
	"unsafe"

	"example.com/conn"
	"example.com/conn/analyzer/lines"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/protocol"
)

const (
	maxAddrs   = 1000      // addresses in one list of a row; Zeek's SMTP::max_rcptto_addresses and its like
	maxAddr    = 512       // bytes of one of them
	maxList    = 64 << 10  // bytes of one list in which there is still room for another address
	maxRow     = 256 << 10 // bytes of a row in which there is still room for another text
	maxInvalid = 25        // commands out of order, after which the rest is not looked at; Zeek's SMTP::max_invalid_mail_transactions
)

// A Row is a row of the log smtp.
type Row struct {
	logs.Header
	TransDepth     int          `json:"trans_depth"`
	Helo           string       `json:"helo,omitempty"`
	MailFrom       string       `json:"mailfrom,omitempty"`
	RcptTo         []string     `json:"rcptto,omitempty"`
	Date           string       `json:"date,omitempty"`
	From           string       `json:"from,omitempty"`
	To             []string     `json:"to,omitempty"`
	CC             []string     `json:"cc,omitempty"`
	ReplyTo        string       `json:"reply_to,omitempty"`
	MsgID          string       `json:"msg_id,omitempty"`
	InReplyTo      string       `json:"in_reply_to,omitempty"`
	Subject        string       `json:"subject,omitempty"`
	XOriginatingIP *netip.Addr  `json:"x_originating_ip,omitempty"`
	FirstReceived  string       `json:"first_received,omitempty"`
	SecondReceived string       `json:"second_received,omitempty"`
	LastReply      string       `json:"last_reply,omitempty"`
	Path           []netip.Addr `json:"path"`
	UserAgent      string       `json:"user_agent,omitempty"`
	TLS            bool         `json:"tls"`
}

// mail has the row of the mail at hand.
type mail struct {
	row      *Row
	texts    int                 // bytes of what row refers to, about: less than maxRow and what one line adds
	sets     map[member]struct{} // what the lists of row have
	listed   map[byte]int        // how many bytes each of them has
	active   bool                // the client did something that is worth a row
	muted    bool                // the row was logged before its time: what follows is of no row
	helo     string              // of all mails to come
	messages int                 // that were transferred

	sender, recipient bool // there was a MAIL, and a RCPT after it
	invalid           int  // commands that others should have preceded

	transfer
}

// A member is in one of the lists of a row.
type member struct {
	list byte
	addr string
}

// memberSize is what a member of a list takes besides its text, in the list and in the map, with
// the room that they make.
const memberSize = 2*int(unsafe.Sizeof("")) + 3*int(unsafe.Sizeof(member{}))

func (m *mail) held() (n int) {
	if m.row != nil {
		n = int(unsafe.Sizeof(*m.row)) + m.texts + cap(m.row.Path)*int(unsafe.Sizeof(netip.Addr{}))
	}
	return n + len(m.helo) + m.header.Held() + cap(m.partial)
}

// current returns the row of the mail at hand, which it makes if there is none.
func (s *state) current(c *conn.Connection) *Row {
	if s.row == nil {
		s.muted, s.texts, s.sets, s.listed = false, 0, nil, nil
		s.row = &Row{
			Header:     logs.NewHeader("smtp", c, s.now),
			TransDepth: s.messages + 1,
			Helo:       s.helo,
			Path:       []netip.Addr{c.ID.Resp.Addr(), c.ID.Orig.Addr()},
		}
	}
	return s.row
}

// activate says that the row is worth logging.
func (s *state) activate(c *conn.Connection) {
	if !s.muted {
		s.active = true
		conn.Register(c, finalize)
	}
}

// log logs the row of the mail at hand, if it is worth it, and begins another.
func (s *state) log(c *conn.Connection) {
	if s.active {
		s.parser.owner.Log(s.row)
		s.active = false
		conn.Unregister(c, finalize)
		s.row = nil
	}
	if s.muted {
		s.row = nil
	}
	s.current(c)
}

// flush logs the row of the mail at hand as log does. The mail goes on, in a row that is not
// logged. A row that is not worth logging is begun anew.
func (s *state) flush(c *conn.Connection) {
	switch {
	case s.active:
		s.log(c)
		s.muted = true
	case !s.muted:
		s.row = nil
		s.current(c)
	}
}

func (s *state) onCommand(c *conn.Connection, v verb, arg []byte) {
	r := s.row
	switch v {
	case helo, ehlo:
		s.helo = logs.Text(arg)
		s.text(c, &r.Helo, arg)
	case mailFrom:
		if arg, ok := cutPrefixFold(arg, "FROM:"); ok {
			s.log(c) // the reply to the mail before was not seen
			for addr := range addresses(arg) {
				s.text(c, &s.row.MailFrom, addr)
				break
			}
			s.sender, s.recipient = true, false
			s.activate(c)
		}
	case rcpt:
		if arg, ok := cutPrefixFold(arg, "TO:"); ok {
			for addr := range addresses(arg) {
				r.RcptTo = s.add(c, r.RcptTo, 'r', addr)
			}
			s.activate(c)
			s.recipient = true
			s.require(c, s.sender, "rcpt to missing mail from")
		}
	case data:
		s.require(c, s.recipient, "data missing rcpt to")
	case bdat:
		s.require(c, s.recipient, "data missing rcpt to")
		if bytes.HasSuffix(bytes.ToUpper(arg[max(0, len(arg)-5):]), []byte(" LAST")) {
			s.last, s.sender, s.recipient = true, false, false
		}
	}
}

// require notes a command that another one should have preceded.
func (s *state) require(c *conn.Connection, ok bool, addl string) {
	if !ok {
		s.invalid++
		s.weird(c, "smtp_mail_transaction_invalid", addl)
	}
}

// tooOften ends SMTP where commands make no sense too often.
func (s *state) tooOften(c *conn.Connection) protocol.Next {
	if s.invalid <= maxInvalid {
		return protocol.More
	}
	s.weird(c, "smtp_excessive_invalid_mail_transactions", "")
	return protocol.Stop
}

func (s *state) onReply(c *conn.Connection, code, text []byte, more bool) {
	r := s.current(c)
	text = text[:min(len(text), logs.MaxText+1)]
	s.text(c, &r.LastReply, append(append(append(make([]byte, 0, len(text)+4), code...), ' '), text...))
	if s.replying == endOfData || s.replying == bdat && s.last && !more {
		s.messages++
		s.last, s.chunked = false, false
		s.endHeader(c)
		s.log(c)
		s.row = nil
		s.current(c)
	}
}

func (s *state) onTLS(c *conn.Connection) {
	s.current(c).TLS = true
	s.activate(c)
}

// text sets a text of the row.
func (s *state) text(c *conn.Connection, to *string, raw []byte) {
	if s.muted {
		return
	}
	if len(raw) > logs.MaxText {
		s.weird(c, "log_string_field_truncated", "SMTP::LOG")
	}
	s.texts -= len(*to)
	*to = logs.Text(raw)
	s.texts += len(*to)
}

// tooMany has what to call lists that have no room for another address.
var tooMany = map[byte]string{
	'r': "smtp_too_many_rcptto_addresses", 't': "smtp_too_many_to_addresses", 'c': "smtp_too_many_cc_addresses",
}

// add adds an address to a list of the row, if it is not there.
func (s *state) add(c *conn.Connection, list []string, kind byte, raw []byte) []string {
	if s.muted {
		return list
	}
	m := member{kind, logs.Text(raw[:min(len(raw), maxAddr)])}
	switch _, ok := s.sets[m]; {
	case ok:
		return list
	case len(list) >= maxAddrs || s.listed[kind] > maxList || s.texts > maxRow:
		s.weird(c, tooMany[kind], "")
		return list
	case s.sets == nil:
		s.sets, s.listed = make(map[member]struct{}), make(map[byte]int)
	}
	s.sets[m] = struct{}{}
	s.listed[kind] += len(m.addr)
	s.texts += len(m.addr) + memberSize
	return append(list, m.addr)
}

// fieldNames are the fields of a mail's header that go into the row.
var fieldNames = lines.NewNames(
	"Date", "From", "To", "Cc", "Reply-To", "Message-Id", "In-Reply-To", "Subject", "X-Originating-Ip", "Received",
	"X-Mailer", "User-Agent", "X-User-Agent",
)

// field takes a field of a mail's header.
func (s *state) field(c *conn.Connection, f lines.Field) {
	if f.Long {
		s.weird(c, "exceeded_mime_max_header_bytes", "")
	}
	r := s.current(c)
	if s.muted {
		return
	}
	switch f.Name {
	case "Date":
		s.text(c, &r.Date, f.Value)
	case "From":
		s.text(c, &r.From, f.Value)
	case "Reply-To":
		s.text(c, &r.ReplyTo, f.Value)
	case "Message-Id":
		s.text(c, &r.MsgID, f.Value)
	case "In-Reply-To":
		s.text(c, &r.InReplyTo, f.Value)
	case "Subject":
		s.text(c, &r.Subject, f.Value)
	case "X-Mailer", "User-Agent", "X-User-Agent":
		s.text(c, &r.UserAgent, f.Value)
	case "To":
		for m := range mailboxes(f.Value) {
			r.To = s.add(c, r.To, 't', m)
		}
	case "Cc":
		for m := range mailboxes(f.Value) {
			r.CC = s.add(c, r.CC, 'c', m)
		}
	case "X-Originating-Ip":
		for addr := range ipAddresses(f.Value, false) {
			r.XOriginatingIP = &addr
			break
		}
	case "Received": // the latest is on top
		s.texts -= len(r.SecondReceived)
		r.SecondReceived, r.FirstReceived = r.FirstReceived, ""
		s.text(c, &r.FirstReceived, f.Value)
		s.onReceived(c, r, f.Value)
	}
}

// onReceived adds to the path where a relay received the mail from: of two addresses, the second.
func (s *state) onReceived(c *conn.Connection, r *Row, value []byte) {
	var from netip.Addr
	n := 0
	for addr := range ipAddresses(value, true) {
		if from, n = addr, n+1; n == 2 {
			break
		}
	}
	switch {
	case n == 0 || from == r.Path[len(r.Path)-1]:
	case len(r.Path) >= maxAddrs:
		s.weird(c, "smtp_max_path_length_exceeded", "")
	default:
		r.Path = append(r.Path, from)
	}
}
