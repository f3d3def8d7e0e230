package http

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"example.com/conn"
	"example.com/conn/analyzer/lines"
	"example.com/conn/analyzer/logs"
)

const (
	maxPending = 100       // requests without a reply; Zeek's HTTP::max_pending_requests
	maxHeld    = 256 << 10 // bytes of their rows; more count as too many requests
	maxProxied = 32 << 10  // bytes of a row, beyond which it takes no more proxies
	maxProxies = 64        // of a row
)

// A Row is a row of the log http. Bodies are counted as transferred, without decompression. A text
// that was sent empty is not nil.
type Row struct {
	logs.Header
	TransDepth      int      `json:"trans_depth"`
	Method          string   `json:"method,omitempty"`
	Host            *string  `json:"host,omitempty"`
	URI             *string  `json:"uri,omitempty"`
	Referrer        *string  `json:"referrer,omitempty"`
	Version         string   `json:"version,omitempty"`
	UserAgent       *string  `json:"user_agent,omitempty"`
	Origin          *string  `json:"origin,omitempty"`
	RequestBodyLen  uint64   `json:"request_body_len"`
	ResponseBodyLen uint64   `json:"response_body_len"`
	StatusCode      *int     `json:"status_code,omitempty"`
	StatusMsg       *string  `json:"status_msg,omitempty"`
	InfoCode        int      `json:"info_code,omitempty"`
	InfoMsg         *string  `json:"info_msg,omitempty"`
	Tags            []string `json:"tags"`
	Username        *string  `json:"username,omitempty"`
	Proxied         []string `json:"proxied,omitempty"`

	texts int // bytes of the strings

	// The targets of the pointers above.
	host, uri, referrer, userAgent, origin, statusMsg, infoMsg, username string
	statusCode                                                           int
}

// AppendJSON implements logs.Appender. By its json tags alone, encoding a row would take a tenth of
// the time of a small request (BenchmarkRow).
func (r *Row) AppendJSON(b []byte) []byte {
	text := func(name string, v *string) {
		if v != nil {
			b = logs.AppendString(append(b, name...), *v)
		}
	}
	b = logs.AppendHeader(b, &r.Header)
	b = strconv.AppendInt(append(b, `,"trans_depth":`...), int64(r.TransDepth), 10)
	if r.Method != "" {
		text(`,"method":`, &r.Method)
	}
	text(`,"host":`, r.Host)
	text(`,"uri":`, r.URI)
	text(`,"referrer":`, r.Referrer)
	if r.Version != "" {
		text(`,"version":`, &r.Version)
	}
	text(`,"user_agent":`, r.UserAgent)
	text(`,"origin":`, r.Origin)
	b = strconv.AppendUint(append(b, `,"request_body_len":`...), r.RequestBodyLen, 10)
	b = strconv.AppendUint(append(b, `,"response_body_len":`...), r.ResponseBodyLen, 10)
	if r.StatusCode != nil {
		b = strconv.AppendInt(append(b, `,"status_code":`...), int64(*r.StatusCode), 10)
	}
	text(`,"status_msg":`, r.StatusMsg)
	if r.InfoCode != 0 {
		b = strconv.AppendInt(append(b, `,"info_code":`...), int64(r.InfoCode), 10)
	}
	text(`,"info_msg":`, r.InfoMsg)
	b = logs.AppendStrings(append(b, `,"tags":`...), r.Tags)
	text(`,"username":`, r.Username)
	if len(r.Proxied) > 0 {
		b = logs.AppendStrings(append(b, `,"proxied":`...), r.Proxied)
	}
	return append(b, '}')
}

// rowSize is the size of a row in bytes, without those of its strings.
const rowSize = int(unsafe.Sizeof(Row{}))

// A transaction is a request and its reply.
type transaction struct {
	place int  // the nth request and the nth reply are at place n
	row   *Row // nil if it was logged early
	head  bool // the method is HEAD
}

// transactions holds the unfinished rows. Like Zeek, it matches requests and replies by place
// alone, so a missing request or reply gives its counterpart a row of its own.
type transactions struct {
	pending           []transaction // sorted by place, at most maxPending+1
	size              int           // bytes that their rows take, at most maxHeld and one row
	request, response int           // the places of the latest ones
	depth             int           // rows so far
}

func (t *transactions) held() int { return cap(t.pending)*int(unsafe.Sizeof(transaction{})) + t.size }

// index returns the position in pending of the transaction at place, or where it belongs, and
// whether it is there. pending rarely has more than two.
func (t *transactions) index(place int) (i int, ok bool) {
	for i < len(t.pending) && t.pending[i].place < place {
		i++
	}
	return i, i < len(t.pending) && t.pending[i].place == place
}

// find returns the transaction at place, or nil. It is valid until one is added or dropped.
func (t *transactions) find(place int) *transaction {
	if i, ok := t.index(place); ok {
		return &t.pending[i]
	}
	return nil
}

// drop removes n transactions, from the ith on.
func (t *transactions) drop(i, n int) {
	for _, t1 := range t.pending[i : i+n] {
		t.uncount(t1.row)
	}
	if t.pending = slices.Delete(t.pending, i, i+n); len(t.pending) == 0 && cap(t.pending) > 4 {
		t.pending = nil
	}
}

func (t *transactions) uncount(r *Row) {
	if r != nil {
		t.size -= rowSize + r.texts
	}
}

// at returns the transaction at place, which it creates if necessary.
func (s *state) at(c *conn.Connection, place int) *transaction {
	i, ok := s.index(place)
	if !ok {
		s.depth++
		s.size += rowSize
		r := s.parser.spare
		if s.parser.spare = nil; r == nil {
			r = new(Row)
		}
		*r = Row{Header: logs.NewHeader("http", c, s.now), TransDepth: s.depth, Tags: []string{}}
		s.pending = slices.Insert(s.pending, i, transaction{place: place, row: r})
		conn.Register(c, finalize)
	}
	return &s.pending[i]
}

// set points a field of a row at value, a text in the same row, and sets that to raw: no field
// costs an allocation of its own.
func (s *state) set(c *conn.Connection, r *Row, field **string, value *string, raw []byte) {
	*value = s.text(c, r, raw, *value)
	*field = value
}

// text returns raw as it is logged, and counts its bytes instead of those of before, which it
// replaces.
func (s *state) text(c *conn.Connection, r *Row, raw []byte, before string) string {
	if len(raw) > logs.MaxText {
		s.parser.owner.Weird(c, "log_string_field_truncated", "HTTP::LOG")
	}
	v := logs.Text(raw)
	r.texts += len(v) - len(before)
	s.size += len(v) - len(before)
	return v
}

func (s *state) onRequest(c *conn.Connection, line requestLine) {
	if s.request < s.response {
		s.weird(c, "HTTP_response_before_request")
		s.request = s.response
	}
	if len(s.pending) > maxPending || s.size > maxHeld {
		s.weird(c, "HTTP_excessive_pipelining")
		n, _ := s.index(s.request)
		for _, t := range s.pending[:n] {
			s.log(t.row)
		}
		s.drop(0, n)
		s.response = s.request
	}
	s.request++
	t := s.at(c, s.request)
	t.head = bytes.EqualFold(line.method, []byte("HEAD"))
	uri, odd := unescape(line.uri)
	if odd != "" {
		s.weird(c, odd)
	}
	if r := t.row; r != nil {
		r.Method = s.text(c, r, line.method, r.Method)
		s.set(c, r, &r.URI, &r.uri, uri)
	}
}

func (s *state) onReply(c *conn.Connection, line statusLine) {
	// An informational reply, such as 100 Continue, leaves its request to the reply that follows.
	t := s.find(s.response)
	if t == nil || t.row != nil && t.row.StatusCode != nil && !informational(*t.row.StatusCode) {
		s.response++
	}
	r := s.at(c, s.response).row
	if r == nil {
		return
	}
	r.statusCode, r.StatusCode, r.Version = line.code, &r.statusCode, line.version
	s.set(c, r, &r.StatusMsg, &r.statusMsg, line.reason)
	if informational(line.code) {
		r.InfoCode = line.code
		s.set(c, r, &r.InfoMsg, &r.infoMsg, line.reason)
	}
}

// proxyFields name the proxies that forwarded a request; Zeek's HTTP::proxy_headers.
var proxyFields = []string{
	"Forwarded", "X-Forwarded-For", "X-Forwarded-From", "Client-Ip", "Via", "Xroxy-Connection", "Proxy-Connection",
}

// proxyLabels maps each of proxyFields to the prefix of its values in a row.
var proxyLabels = func() map[string]string {
	labels := make(map[string]string)
	for _, name := range proxyFields {
		labels[name] = strings.ToUpper(name) + " -> "
	}
	return labels
}()

// onRequestField puts a field of a request's header into the row.
func (s *state) onRequestField(c *conn.Connection, f lines.Field) {
	r := s.at(c, s.request).row
	if r == nil {
		return
	}
	switch f.Name {
	case "Host":
		s.set(c, r, &r.Host, &r.host, f.Value)
	case "Referer":
		s.set(c, r, &r.Referrer, &r.referrer, f.Value)
	case "User-Agent":
		s.set(c, r, &r.UserAgent, &r.userAgent, f.Value)
	case "Origin":
		s.set(c, r, &r.Origin, &r.origin, f.Value)
	case "Authorization", "Proxy-Authorization":
		const basic = "basic "
		if len(f.Value) >= len(basic) && strings.EqualFold(string(f.Value[:len(basic)]), basic) {
			s.set(c, r, &r.Username, &r.username, username(f.Value[len(basic):]))
		}
	default:
		s.onProxyField(c, r, proxyLabels[f.Name], f.Value)
	}
}

func (s *state) onProxyField(c *conn.Connection, r *Row, label string, value []byte) {
	if r.texts > maxProxied || len(r.Proxied) == maxProxies {
		s.parser.owner.Weird(c, "log_container_field_truncated", "HTTP::LOG")
		return
	}
	var short [64]byte // enough for most labels and values
	raw := append(append(short[:0], label...), value[:min(len(value), logs.MaxText)]...)
	if slices.ContainsFunc(r.Proxied, func(p string) bool { return p == string(raw) }) {
		return // a repeated value usually costs no allocation
	}
	v := s.text(c, r, raw, "")
	if slices.Contains(r.Proxied, v) {
		r.texts -= len(v)
		s.size -= len(v)
		return
	}
	const header = int(unsafe.Sizeof(v))
	r.Proxied = append(r.Proxied, v)
	r.texts += 2 * header // append doubles the capacity
	s.size += 2 * header
}

// username returns the user in Basic credentials.
func username(credentials []byte) []byte {
	credentials = bytes.TrimSpace(credentials)
	decoded, err := base64.StdEncoding.AppendDecode(nil, credentials)
	name, _, ok := bytes.Cut(decoded, []byte(":"))
	if err != nil || !ok {
		return append(append([]byte("<problem-decoding> ("), credentials...), ')')
	}
	return name
}

func (s *state) onRequestEnd(c *conn.Connection, body uint64) {
	if r := s.at(c, s.request).row; r != nil {
		r.RequestBodyLen = body
	}
}

// onReplyEnd logs the row, unless its request awaits another reply.
func (s *state) onReplyEnd(c *conn.Connection, code int, body uint64) {
	r := s.at(c, s.response).row
	if r != nil {
		r.ResponseBodyLen = body
	}
	if !informational(code) {
		s.log(r)
		i, _ := s.index(s.response)
		s.drop(i, 1)
		s.parser.spare = r
	}
}

func (s *state) log(r *Row) {
	if r != nil {
		s.parser.owner.Log(r)
	}
}

// logAll logs all pending rows. Their places stay, for later replies.
func (s *state) logAll() {
	for i := range s.pending {
		t := &s.pending[i]
		s.log(t.row)
		s.uncount(t.row)
		t.row = nil
	}
}
