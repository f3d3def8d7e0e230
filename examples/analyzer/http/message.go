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
		d.left = number(line, 16)
		d.expect = chunkData
		if d.left <= 0 {
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
	s.keepAlive = s.keepAlive || r.version >= version11
	s.connect = s.connect || strings.EqualFold(r.method, "CONNECT")
	s.unanswered++
	s.orig.expect, s.orig.version = headers, r.version
	s.onRequest(c, r)
	if r.version == version09 && s.resp.expect != untilEnd && s.resp.expect != nothing {
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
	const http = "HTTP/"
	i := bytes.IndexFunc(rest, func(r rune) bool { return r > 0x7f || strings.IndexByte(uriChars, byte(r)) < 0 })
	if bytes.HasPrefix(rest, []byte(http)) && i < 0 {
		i = 0
	}
	if i >= 0 {
		if j := bytes.Index(rest[i:], []byte(http)); j >= 0 {
			uri, version = rest[:i+j], rest[i+j+len(http):]
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
	rest, ok := bytes.CutPrefix(line, []byte("HTTP/"))
	if !ok {
		return r, false
	}
	r.version = parseVersion(rest)
	i := bytes.IndexAny(rest, " \t")
	if i < 0 {
		return r, false
	}
	rest = bytes.TrimLeft(rest[i:], " \t")
	if len(rest) < 3 {
		return r, false
	}
	if digit(rest[0]) && digit(rest[1]) && digit(rest[2]) {
		r.code = int(number(rest[:3], 10))
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

// contentLength returns how long the header says that the body is, and -1 if it does not. A range of a partial reply
// counts if it is longer: a client may be told either.
func contentLength(fields textproto.MIMEHeader, partial bool) int64 {
	length := int64(-1)
	if value, ok := lines.Last(fields, "Content-Length"); ok && value != "" && value[0] != '-' {
		length = number([]byte(value), 10)
	}
	if value, _ := lines.Last(fields, "Content-Range"); partial {
		unit, ranges, _ := strings.Cut(value, " ")
		first, last, ok := strings.Cut(strings.ReplaceAll(ranges, " ", ""), "-")
		if ok && unit == "bytes" && strings.Contains(last, "/") {
			// No overflow: neither is negative. An empty range is as good as none.
			if n := number([]byte(last), 10) - number([]byte(first), 10); n >= 0 && n < math.MaxInt64 {
				length = max(length, n+1)
			}
		}
	}
	return length
}

// number returns the number that data begins with: 0 if there is none, the largest there is if it is too large.
func number(data []byte, base int) int64 {
	data = bytes.TrimLeft(data, " \t")
	i := 0
	for i < len(data) && (digit(data[i]) || base == 16 && strings.IndexByte("abcdefABCDEF", data[i]) >= 0) {
		i++
	}
	n, _ := strconv.ParseInt(string(data[:i]), base, 64)
	return n
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
		case hex(rest[:2]):
			b.WriteByte(byte(number(rest[:2], 16)))
			i += 2
		case len(rest) >= 5 && rest[0] == 'u' && hex(rest[1:5]):
			n := number(rest[1:5], 16)
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

// hex reports whether data has hexadecimal digits only.
func hex(data []byte) bool {
	_, err := strconv.ParseUint(string(data), 16, 64)
	return err == nil
}
