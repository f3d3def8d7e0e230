package smtp

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"example.com/conn"
	"example.com/conn/examples/analyzer/lines"
	"example.com/conn/examples/analyzer/logs"
)

const (
	maxText  = 4096 // bytes of one text in a row
	maxAddrs = 1000 // addresses in one list of a row; Zeek's SMTP::max_rcptto_addresses
	maxAddr  = 512  // bytes of one of them
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
	active   bool   // the client did something that is worth a row
	helo     string // of all mails to come
	messages int    // that were transferred
	chunked  bool   // the mail comes in chunks, and one came
	last     bool   // the client said that the chunk is the last one
	inHeader bool   // the mail's header is to come, or comes
	header   lines.Header
	partial  []byte // of a line of the header that goes on in the next chunk, at most lines.Max bytes
}

// current returns the row of the mail at hand, which it makes if there is none.
func (s *state) current(c *conn.Connection) *Row {
	if s.row == nil {
		s.row = &Row{
			Header:     logs.NewHeader("smtp", c, s.now),
			TransDepth: s.messages + 1,
			Helo:       s.helo,
			Path:       []netip.Addr{c.ID.Resp.Addr(), c.ID.Orig.Addr()},
		}
	}
	return s.row
}

// log logs the row of the mail at hand, if it is worth it.
func (s *state) log(c *conn.Connection) {
	if s.active {
		s.parser.owner.Log(s.row)
		s.row, s.active = nil, false
		s.current(c)
	}
}

func (s *state) onCommand(c *conn.Connection, verb, arg string) {
	switch verb {
	case "HELO", "EHLO":
		s.helo = logs.Text(arg)
		s.row.Helo = s.helo
	case "MAIL":
		if hasPrefixFold(arg, "FROM:") {
			s.log(c) // the reply to the mail before was not seen
			if addrs := addresses(arg[len("FROM:"):]); len(addrs) > 0 {
				s.row.MailFrom = addrs[0]
			}
			s.active = true
		}
	case "RCPT":
		if hasPrefixFold(arg, "TO:") {
			for _, addr := range addresses(arg[len("TO:"):]) {
				s.row.RcptTo = add(s.row.RcptTo, addr)
			}
			s.active = true
		}
	case "BDAT":
		s.last = s.last || strings.HasSuffix(strings.ToUpper(arg), " LAST")
	}
}

func (s *state) onReply(c *conn.Connection, code int, reply string, more bool) {
	s.current(c).LastReply = logs.Text(fmt.Sprintf("%d %s", code, reply))
	if s.replying == endOfData || s.replying == "BDAT" && s.last && !more {
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
	s.active = true
}

// beginHeader says that the lines of a mail follow, and its header first.
func (s *state) beginHeader() {
	s.inHeader, s.header, s.partial = true, lines.Header{}, nil
}

// headerLine takes a line of a mail. Only the header is looked at.
func (s *state) headerLine(line []byte) {
	if !s.inHeader {
		return
	}
	s.header.Add(line)
	if len(line) == 0 {
		s.inHeader = false
		s.addHeader()
	}
}

// endHeader ends a header that has no end.
func (s *state) endHeader(c *conn.Connection) {
	if s.inHeader {
		s.inHeader = false
		s.header.Add(s.partial)
		s.current(c)
		s.addHeader()
	}
}

// addHeader adds the fields of the mail's header to the row.
func (s *state) addHeader() {
	fields := s.header.Parse()
	r := s.row
	for name, value := range map[string]*string{
		"Date": &r.Date, "From": &r.From, "Reply-To": &r.ReplyTo, "Message-Id": &r.MsgID,
		"In-Reply-To": &r.InReplyTo, "Subject": &r.Subject,
	} {
		if v, ok := lines.Last(fields, name); ok {
			*value = logs.Text(v)
		}
	}
	for _, name := range []string{"X-Mailer", "User-Agent", "X-User-Agent"} {
		if v, ok := lines.Last(fields, name); ok {
			r.UserAgent = logs.Text(v)
		}
	}
	for _, v := range fields["To"] {
		r.To = mailboxes(r.To, v)
	}
	for _, v := range fields["Cc"] {
		r.CC = mailboxes(r.CC, v)
	}
	for _, v := range fields["Received"] { // the latest is on top
		r.FirstReceived, r.SecondReceived = logs.Text(v), r.FirstReceived
		if addr, ok := receivedFrom(v); ok && addr != r.Path[len(r.Path)-1] && len(r.Path) < maxAddrs {
			r.Path = append(r.Path, addr)
		}
	}
}

// addresses returns the parts of a command's argument that look like mail addresses.
func addresses(arg string) (addrs []string) {
	for _, word := range strings.FieldsFunc(arg, func(r rune) bool { return strings.ContainsRune("<>,:; \t", r) }) {
		if i := strings.IndexByte(word, '@'); i > 0 && i < len(word)-1 {
			addrs = append(addrs, logs.Text(word[:min(len(word), maxAddr)]))
		}
	}
	return addrs
}

var mailbox = regexp.MustCompile(`("[^"]*")?[^,]+`)

// mailboxes adds the mailboxes in the value of a header field to list, with their names.
func mailboxes(list []string, value string) []string {
	for _, m := range mailbox.FindAllString(value, maxAddrs) {
		m = strings.TrimSpace(m)
		list = add(list, logs.Text(m[:min(len(m), maxAddr)]))
	}
	return list
}

// add adds addr to a set of addresses.
func add(list []string, addr string) []string {
	if len(list) < maxAddrs && !slices.Contains(list, addr) {
		list = append(list, addr)
	}
	return list
}

var bracketed = regexp.MustCompile(`[\[( ](\d+\.\d+\.\d+\.\d+)[\]) ]`)

// receivedFrom returns the address of the sender in the value of a Received field: the second if it has more than one.
func receivedFrom(value string) (addr netip.Addr, ok bool) {
	for _, m := range bracketed.FindAllStringSubmatch(value, 2) {
		if a, err := netip.ParseAddr(m[1]); err == nil {
			addr, ok = a, true
		}
	}
	return addr, ok
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
