package http

import (
	"bytes"
	"math"
	"net/textproto"
	"strconv"
	"strings"

	"example.com/conn"
	"example.com/conn/examples/analyzer/lines"
	"example.com/conn/examples/analyzer/protocol"
)

// A side is where the messages of one side of a connection stand.
type side struct {
	expect  expect
	header  lines.Header
	version string // of the message at hand
	code    int    // of the reply at hand
	left    int64  // bytes of the body, or of the chunk, that are to come
	body    uint64 // bytes of the body, as transferred, that have come
}

// expect is what comes next.
type expect int

const (
	startLine expect = iota // a request line or a status line
	headers
	fixedBody // as many bytes as side.left says
	chunkSize
	chunkData
	chunkEnd // the end of the line after a chunk's data
	trailer
	untilEnd // a body that ends with the connection
	reply09  // the reply to a request of HTTP/0.9, which is a body only
	nothing  // that is looked at
)

const (
	version09 = "0.9"
	version11 = "1.1"
	noReason  = "<empty>" // for a missing reason phrase, as in Zeek
	maxMethod = 32        // bytes of a method that Match believes in
)

// line takes a line that is not of a body.
func (s *state) line(c *conn.Connection, d *side, line []byte) protocol.Next {
	switch d.expect {
	case startLine:
		if d == &s.orig {
			return s.requestLine(c, line)
		}
		return s.statusLine(c, line)
	case headers:
		if len(line) == 0 {
			return s.endHeaders(c, d)
		}
		d.header.Add(line)
	case chunkSize:
		d.left, _ = number(line, 16)
		d.expect = chunkData
		if d.left == 0 { // or a bad size
			d.expect = trailer
		}
	case chunkEnd:
		d.expect = chunkSize
	case trailer:
		if len(line) == 0 {
			return s.endMessage(c, d)
		}
	}
	return protocol.More
}

func (s *state) requestLine(c *conn.Connection, line []byte) protocol.Next {
	r, ok := parseRequestLine(line)
	if !ok {
		if len(line) == 0 || s.confirmed && !s.keepAlive {
			return protocol.More // what some clients send after a body or after their only request
		}
		return s.violation(c, &s.orig)
	}
	s.confirmed = true
	s.parser.owner.Confirm(c)
	s.keepAlive = s.keepAlive || r.version >= version11
	s.connect = s.connect || strings.EqualFold(r.method, "CONNECT")
	s.unanswered++
	s.orig.expect, s.orig.version = headers, r.version
	s.onRequest(c, r)
	if r.version == version09 {
		s.interrupt(c, &s.resp)
		s.resp.expect = reply09
	}
	return protocol.More
}

func (s *state) statusLine(c *conn.Connection, line []byte) protocol.Next {
	r, ok := parseStatusLine(line)
	if !ok {
		if len(line) == 0 {
			return protocol.More
		}
		return s.violation(c, &s.resp)
	}
	s.keepAlive = s.keepAlive || r.version >= version11
	s.connect = s.connect && r.code == 200
	s.beginReply(c, r)
	return protocol.More
}

func (s *state) beginReply(c *conn.Connection, r statusLine) {
	s.resp.expect, s.resp.version, s.resp.code = headers, r.version, r.code
	s.onReply(c, r)
}

// endHeaders finds out what follows the header of a message.
func (s *state) endHeaders(c *conn.Connection, d *side) protocol.Next {
	fields := d.header.Parse()
	fromOrig := d == &s.orig
	if fromOrig {
		s.onRequestHeader(c, fields)
		s.keepAlive = s.keepAlive || token(fields, "Connection") == "keep-alive"
	} else {
		s.closing = s.closing || token(fields, "Connection") == "close"
		if s.connect {
			s.endMessage(c, d)
			return protocol.HandOver
		}
		if d.code == 101 && s.unanswered == 1 && token(fields, "Connection") == "upgrade" && token(fields, "Upgrade") != "" {
			s.endMessage(c, d)
			return protocol.HandOver
		}
	}
	length := contentLength(fields, d.code == 206)
	encoding := token(fields, "Content-Encoding")
	switch {
	case !fromOrig && s.bodyless(d.code):
		return s.endMessage(c, d)
	case token(fields, "Transfer-Encoding") == "chunked" && d.version == version11:
		d.expect = chunkSize
	case length == 0:
		return s.endMessage(c, d)
	case length > 0:
		d.expect, d.left = fixedBody, length
	case fromOrig && !s.closing && encoding != "gzip" && encoding != "deflate":
		return s.endMessage(c, d)
	default:
		d.expect = untilEnd
	}
	return protocol.More
}

// bodyless reports whether the reply at hand has no body, whatever its header says.
func (s *state) bodyless(code int) bool {
	r := s.pending[s.response]
	return informational(code) || code == 204 || code == 304 || r != nil && strings.EqualFold(r.Method, "HEAD")
}

func informational(code int) bool { return code >= 100 && code < 200 }

// bodyBytes takes n bytes of a body that knows how long it is, or of a chunk.
func (s *state) bodyBytes(c *conn.Connection, d *side, n int) protocol.Next {
	d.body += uint64(n)
	d.left -= int64(n)
	switch {
	case d.left > 0:
	case d.expect == chunkData:
		d.expect = chunkEnd
	default:
		return s.endMessage(c, d)
	}
	return protocol.More
}

// endMessage ends the message at hand.
func (s *state) endMessage(c *conn.Connection, d *side) protocol.Next {
	body, code := d.body, d.code
	*d = side{}
	if d == &s.orig {
		s.onRequestEnd(c, body)
		return protocol.More
	}
	s.onReplyEnd(c, body)
	if !informational(code) {
		s.unanswered = max(s.unanswered-1, 0)
	}
	return protocol.More
}

// interrupt ends the message at hand, if there is one, before its end. Nothing more is expected then.
func (s *state) interrupt(c *conn.Connection, d *side) {
	switch d.expect {
	case startLine, reply09, nothing:
		return
	case headers:
		if fields := d.header.Parse(); d == &s.orig {
			s.onRequestHeader(c, fields)
		}
	}
	s.endMessage(c, d)
	d.expect = nothing
}

// A requestLine is a request line. Its uri has no escapes left.
type requestLine struct{ method, uri, version string }

// parseRequestLine is as liberal as Zeek's parser: anything may follow the method, and a line without a version is
// HTTP/0.9, if that can be.
func parseRequestLine(line []byte) (r requestLine, ok bool) {
	n := tokenLen(line)
	rest := bytes.TrimLeft(line[n:], " \t")
	if n == 0 || n+len(rest) == len(line) {
		return r, false
	}
	r.method = string(line[:n])
	uri, version := rest, []byte(nil)
	// A version counts after the first byte that a URI cannot have, or if there is no URI at all.
	i := bytes.IndexFunc(rest, func(r rune) bool { return r > 0x7f || strings.IndexByte(uriChars, byte(r)) < 0 })
	if i < 0 && hasKeyword(rest) {
		i = 0
	}
	for ; i >= 0 && i < len(rest); i++ {
		if hasKeyword(rest[i:]) {
			uri, version = rest[:i], rest[i+len(keyword):]
			break
		}
	}
	r.uri = unescape(bytes.TrimRight(uri, " \t"))
	if version == nil {
		r.version = version09
		return r, len(r.method) >= 3 && r.uri != ""
	}
	r.version = parseVersion(version)
	return r, true
}

// keyword begins a version, in any case.
const keyword = "HTTP/"

func hasKeyword(data []byte) bool {
	return len(data) >= len(keyword) && strings.EqualFold(string(data[:len(keyword)]), keyword)
}

const uriChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:/?#[]@!$&'()*+,;=-_.~%"

// tokenLen returns how many bytes of a token, such as a method, data begins with.
func tokenLen(data []byte) int {
	for i, b := range data {
		if b <= ' ' || b >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?={}`, b) >= 0 {
			return i
		}
	}
	return len(data)
}

// parseVersion returns the digit, dot and digit that follow "HTTP/", and "0.0" for anything else.
func parseVersion(data []byte) string {
	if len(data) < 3 || !digit(data[0]) || data[1] != '.' || !digit(data[2]) {
		return "0.0"
	}
	return string(data[:3])
}

func digit(b byte) bool { return '0' <= b && b <= '9' }

// A statusLine is a status line, with code 0 for a code that is not a number.
type statusLine struct {
	version string
	code    int
	reason  string
}

func parseStatusLine(line []byte) (r statusLine, ok bool) {
	if !hasKeyword(line) {
		return r, false
	}
	rest := line[len(keyword):]
	r.version = parseVersion(rest)
	i := bytes.IndexAny(rest, " \t")
	if i < 0 {
		return r, false
	}
	rest = bytes.TrimLeft(rest[i:], " \t")
	if len(rest) < 3 {
		return r, false
	}
	if code, err := strconv.ParseUint(string(rest[:3]), 10, 16); err == nil {
		r.code = int(code)
	}
	r.reason = noReason
	if i := bytes.IndexAny(rest[3:], " \t"); i >= 0 {
		r.reason = string(bytes.TrimLeft(rest[3+i:], " \t"))
	}
	return r, true
}

// token returns the first word of a field's value, in lower case.
func token(fields textproto.MIMEHeader, name string) string {
	value, _ := lines.Last(fields, name)
	return strings.ToLower(value[:tokenLen([]byte(value))])
}

// contentLength returns how long the header says that the body is, and -1 if it does not. A bad length is 0. A range of a
// partial reply counts if it is longer: a client may go by either.
func contentLength(fields textproto.MIMEHeader, partial bool) int64 {
	length := int64(-1)
	if value, _ := lines.Last(fields, "Content-Length"); value != "" {
		length, _ = number([]byte(value), 10)
	}
	if value, _ := lines.Last(fields, "Content-Range"); partial {
		unit, ranges, _ := strings.Cut(value, " ")
		first, last, _ := strings.Cut(strings.ReplaceAll(ranges, " ", ""), "-")
		from, ok1 := number([]byte(first), 10)
		to, ok2 := number([]byte(last), 10)
		if unit == "bytes" && strings.Contains(last, "/") && ok1 && ok2 && from <= to && to-from < math.MaxInt64 {
			length = max(length, to-from+1)
		}
	}
	return length
}

// number returns the number that data begins with, and whether there is one that is not too large.
func number(data []byte, base int) (n int64, ok bool) {
	i := 0
	for i < len(data) && (digit(data[i]) || base == 16 && strings.IndexByte("abcdefABCDEF", data[i]) >= 0) {
		i++
	}
	n, err := strconv.ParseInt(string(data[:i]), base, 64)
	if err != nil {
		return 0, false
	}
	return n, true
}

// unescape replaces the escapes in a URI, %41 and %u0041, as Zeek does: what is no escape stays, of two percent signs one
// goes.
func unescape(uri []byte) string {
	var b strings.Builder
	for i := 0; i < len(uri); i++ {
		rest := uri[i+1:]
		switch {
		case uri[i] != '%' || len(rest) < 2:
			b.WriteByte(uri[i])
		case rest[0] == '%':
		case hex(rest[:2]) >= 0:
			b.WriteByte(byte(hex(rest[:2])))
			i += 2
		case len(rest) >= 5 && rest[0] == 'u' && hex(rest[1:5]) >= 0:
			n := hex(rest[1:5])
			if n > 0xff {
				b.WriteByte(byte(n >> 8))
			}
			b.WriteByte(byte(n))
			i += 5
		default:
			b.WriteByte('%')
		}
	}
	return b.String()
}

// hex returns the value of hexadecimal digits, and -1 if data has anything else.
func hex(data []byte) int {
	n, err := strconv.ParseUint(string(data), 16, 16)
	if err != nil {
		return -1
	}
	return int(n)
}
