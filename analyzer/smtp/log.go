package smtp

import (
	"net/netip"

	"example.com/conn"
	"example.com/conn/analyzer/lines"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/protocol"
)

const (
	maxAddrs = 1000     // addresses in one list of a row; Zeek's SMTP::max_rcptto_addresses etc.
	maxAddr  = 512      // bytes of one of them
	maxList  = 64 << 10 // bytes of a list, beyond which it takes no more addresses

	// maxRow is how many bytes a row may have before it takes no more texts, and how many all rows may
	// have before no mail is added.
	maxRow = 256 << 10

	// maxInvalid is how many commands may be out of order before the rest is ignored; Zeek's
	// SMTP::max_invalid_mail_transactions.
	maxInvalid = 25
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

func (s *state) onCommand(c *conn.Connection, v verb, arg []byte) {
	m := s.newest(c)
	switch v {
	case helo, ehlo, rcpt, data, bdat, bdatLast:
		if m.ended {
			m = s.beginMail(c)
		}
	}
	switch v {
	case helo, ehlo:
		s.helo = logs.Text(arg)
		s.text(c, m, &m.row.Helo, arg)
	case mailFrom:
		if arg, ok := cutPrefixFold(arg, "FROM:"); ok {
			if m.active || m.muted || m.ended {
				m = s.beginMail(c)
			}
			for addr := range addresses(arg) {
				s.text(c, m, &m.row.MailFrom, addr)
				break
			}
			s.sender, s.recipient = true, false
			s.activate(c, m)
		}
	case rcpt:
		if arg, ok := cutPrefixFold(arg, "TO:"); ok {
			for addr := range addresses(arg) {
				m.row.RcptTo = s.add(c, m, m.row.RcptTo, 'r', addr)
			}
			s.activate(c, m)
			s.recipient = true
			s.require(c, s.sender, "rcpt to missing mail from")
		}
	case data, bdat:
		s.require(c, s.recipient, "data missing rcpt to")
	case bdatLast:
		s.require(c, s.recipient, "data missing rcpt to")
		s.endMail(c)
	}
}

// require reports a command that lacks the one that must precede it.
func (s *state) require(c *conn.Connection, ok bool, addl string) {
	if !ok {
		s.invalid++
		s.weird(c, "smtp_mail_transaction_invalid", addl)
	}
}

// tooOften ends SMTP when too many commands are out of order.
func (s *state) tooOften(c *conn.Connection) protocol.Next {
	if s.invalid <= maxInvalid {
		return protocol.More
	}
	s.weird(c, "smtp_excessive_invalid_mail_transactions", "")
	return protocol.Stop
}

func (s *state) onReply(c *conn.Connection, code, text []byte, more bool) {
	m := s.answering(c)
	if m == nil {
		return
	}
	text = text[:min(len(text), logs.MaxText+1)]
	s.text(c, m, &m.row.LastReply, append(append(append(make([]byte, 0, len(text)+4), code...), ' '), text...))
	if (s.replying == endOfData || s.replying == bdatLast) && !more {
		if m == s.newest(c) { // which the client may still be sending
			s.endHeader(c)
			s.chunked = false
		}
		s.finish(c)
		s.newest(c)
	}
}

func (s *state) onTLS(c *conn.Connection) {
	m := s.newest(c)
	m.row.TLS = true
	s.activate(c, m)
}

// text sets a text of the row.
func (s *state) text(c *conn.Connection, m *mail, to *string, raw []byte) {
	if m.muted {
		return
	}
	if len(raw) > logs.MaxText {
		s.weird(c, "log_string_field_truncated", "SMTP::LOG")
	}
	m.texts -= len(*to)
	*to = logs.Text(raw)
	m.texts += len(*to)
}

// tooMany holds the names of the weirds for lists that are full.
var tooMany = map[byte]string{
	'r': "smtp_too_many_rcptto_addresses", 't': "smtp_too_many_to_addresses", 'c': "smtp_too_many_cc_addresses",
}

// add adds an address to a list of the row unless it is there.
func (s *state) add(c *conn.Connection, m *mail, list []string, kind byte, raw []byte) []string {
	if m.muted {
		return list
	}
	one := member{kind, logs.Text(raw[:min(len(raw), maxAddr)])}
	switch _, ok := m.sets[one]; {
	case ok:
		return list
	case len(list) >= maxAddrs || m.listed[kind] > maxList || m.texts > maxRow:
		s.weird(c, tooMany[kind], "")
		return list
	case m.sets == nil:
		m.sets, m.listed = make(map[member]struct{}), make(map[byte]int)
	}
	m.sets[one] = struct{}{}
	m.listed[kind] += len(one.addr)
	m.texts += len(one.addr) + memberSize
	return append(list, one.addr)
}

// fieldNames are the header fields that go into the row.
var fieldNames = lines.NewNames(
	"Date", "From", "To", "Cc", "Reply-To", "Message-Id", "In-Reply-To", "Subject", "X-Originating-Ip", "Received",
	"X-Mailer", "User-Agent", "X-User-Agent",
)

// field applies a field of a mail's header.
func (s *state) field(c *conn.Connection, f lines.Field) {
	if f.Long {
		s.weird(c, "exceeded_mime_max_header_bytes", "")
	}
	m := s.newest(c)
	r := m.row
	if m.muted {
		return
	}
	switch f.Name {
	case "Date":
		s.text(c, m, &r.Date, f.Value)
	case "From":
		s.text(c, m, &r.From, f.Value)
	case "Reply-To":
		s.text(c, m, &r.ReplyTo, f.Value)
	case "Message-Id":
		s.text(c, m, &r.MsgID, f.Value)
	case "In-Reply-To":
		s.text(c, m, &r.InReplyTo, f.Value)
	case "Subject":
		s.text(c, m, &r.Subject, f.Value)
	case "X-Mailer", "User-Agent", "X-User-Agent":
		s.text(c, m, &r.UserAgent, f.Value)
	case "To":
		for box := range mailboxes(f.Value) {
			r.To = s.add(c, m, r.To, 't', box)
		}
	case "Cc":
		for box := range mailboxes(f.Value) {
			r.CC = s.add(c, m, r.CC, 'c', box)
		}
	case "X-Originating-Ip":
		for addr := range ipAddresses(f.Value, false) {
			r.XOriginatingIP = &addr
			break
		}
	case "Received": // the last relay is on top
		m.texts -= len(r.SecondReceived)
		r.SecondReceived, r.FirstReceived = r.FirstReceived, ""
		s.text(c, m, &r.FirstReceived, f.Value)
		s.onReceived(c, r, f.Value)
	}
}

// onReceived adds the host from which a relay received the mail to the path. Of two addresses, it
// is the second.
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
