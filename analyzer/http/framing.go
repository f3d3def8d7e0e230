package http

import (
	"bytes"
	"math"
	"strconv"

	"example.com/conn"
	"example.com/conn/analyzer/lines"
	"example.com/conn/analyzer/protocol"
)

// framing holds what the header of a message says about its body and about the messages after it.
// Each field takes effect when its line arrives, so no header is kept.
type framing struct {
	code       int   // of a reply
	length     int64 // of the body, -1 if unknown
	partial    int64 // length of the range in a partial reply, 0 without one
	coded      bool  // has a Transfer-Encoding
	chunked    bool  // the last transfer coding is chunked
	compressed bool
	expects100 bool // has an Expect: the client waits for 100 Continue
	upgrade    bool // Connection lists upgrade
	protocol   bool // Upgrade names a protocol
}

// fieldNames are the header fields that are read, of requests and of replies.
var fieldNames = [2]*lines.Names{
	lines.NewNames(append([]string{
		"Content-Length", "Transfer-Encoding", "Content-Encoding", "Expect", "Connection",
		"Host", "Referer", "User-Agent", "Origin", "Authorization", "Proxy-Authorization",
	}, proxyFields...)...),
	lines.NewNames("Content-Length", "Content-Range", "Transfer-Encoding", "Content-Encoding", "Connection", "Upgrade"),
}

// field applies a field of a header or trailer.
func (s *state) field(c *conn.Connection, side protocol.Side, f lines.Field) {
	if f.Folded {
		s.parser.owner.Weird(c, "HTTP_obsolete_line_folding", f.Name)
	}
	if f.Long {
		s.weird(c, "exceeded_mime_max_header_bytes")
	}
	d := &s.sides[side].framing
	token, rest := f.Token()
	is := func(text string) bool { return bytes.EqualFold(token, []byte(text)) }
	switch f.Name {
	case "Content-Length":
		s.contentLength(c, d, token)
	case "Content-Range":
		if d.code == 206 {
			s.contentRange(c, d, token, rest)
		}
	case "Transfer-Encoding":
		// As in Zeek, the version of a request that has not ended also applies to its reply.
		version := s.versions[side]
		if s.sides[protocol.Orig].ongoing() {
			version = s.versions[protocol.Orig]
		}
		if version == version11 {
			s.transferEncoding(c, d, f.Value)
		}
	case "Content-Encoding":
		d.compressed = d.compressed || is("gzip") || is("x-gzip") || is("deflate")
	case "Expect":
		if d.expects100 = true; !is("100-continue") {
			s.weird(c, "HTTP_expect_not_100_continue")
		}
		if d.length == 0 {
			s.weird(c, "HTTP_content_length_0_and_expect_100_cont")
		}
	case "Connection":
		s.keepAlive = s.keepAlive || side == protocol.Orig && is("keep-alive")
		d.upgrade = d.upgrade || is("upgrade")
	case "Upgrade":
		d.protocol = len(token) > 0
	default:
		s.onRequestField(c, f)
	}
}

// transferEncoding applies a list of codings, in the order in which the sender applied them. The
// last coding of all fields tells whether the body is chunked (RFC 9112, section 6.1). The obsolete
// "identity" means none.
func (s *state) transferEncoding(c *conn.Connection, d *framing, list []byte) {
	for len(list) > 0 {
		var coding []byte
		coding, list = cutElement(list)
		name, rest := lines.Field{Value: lines.SkipBlanks(coding)}.Token()
		if len(name) == 0 || bytes.EqualFold(name, []byte("identity")) {
			continue
		}
		before := d.chunked
		d.coded, d.chunked = true, bytes.EqualFold(name, []byte("chunked"))
		if before || d.chunked && len(bytes.TrimRight(rest, " \t")) > 0 {
			s.weird(c, "HTTP_chunked_multi")
		}
		if d.chunked && d.length >= 0 {
			s.weird(c, "HTTP_content_length_and_chunked")
		}
	}
}

// cutElement returns the first element of a list, up to a comma outside quotes, and what follows
// that comma.
func cutElement(list []byte) (element, rest []byte) {
	quoted := false
	for i := 0; i < len(list); i++ {
		switch b := list[i]; {
		case b == '"':
			quoted = !quoted
		case b == '\\' && quoted:
			i++
		case b == ',' && !quoted:
			return list[:i], list[i+1:]
		}
	}
	return list, nil
}

// contentLength applies a Content-Length. A malformed one counts as 0. If a range has a different
// length, the longer of the two counts: a client may use either.
func (s *state) contentLength(c *conn.Connection, d *framing, token []byte) {
	if d.chunked {
		s.weird(c, "HTTP_content_length_and_chunked")
	}
	if len(token) == 0 {
		return
	}
	n, ok := number(token, 10)
	if !ok {
		s.parser.owner.Weird(c, "HTTP_bad_content_length", string(token[:min(len(token), maxAddl)]))
		d.length = 0
		return
	}
	if n > 0 && token[0] == '0' {
		s.weird(c, "HTTP_content_length_leading_zeros")
	}
	if d.length = n; d.partial > 0 && d.partial != n {
		s.weird(c, "HTTP_range_not_matching_len")
		d.length = max(n, d.partial)
	}
	if d.length == 0 && d.expects100 {
		s.weird(c, "HTTP_content_length_0_and_expect_100_cont")
	}
}

// maxAddl is how many bytes of a malformed text go into weird.log.
const maxAddl = 64

// contentRange applies the Content-Range of a partial reply, such as "bytes 0-4/10".
func (s *state) contentRange(c *conn.Connection, d *framing, unit, spec []byte) {
	if d.chunked {
		s.weird(c, "HTTP_content_range_and_chunked")
	}
	if string(unit) != "bytes" {
		s.weird(c, "HTTP_content_range_unknown_byte_unit")
		return
	}
	spec = bytes.ReplaceAll(spec, []byte(" "), nil)
	byteRange, instance, ok1 := bytes.Cut(spec, []byte("/"))
	first, last, ok2 := bytes.Cut(byteRange, []byte("-"))
	from, ok3 := number(first, 10)
	to, ok4 := number(last, 10)
	switch {
	case !ok1 || !ok2 || !ok3 || !ok4:
		s.weird(c, "HTTP_content_range_cannot_parse")
		return
	case to < from:
		s.weird(c, "HTTP_non_positive_content_range")
		return
	case to-from == math.MaxInt64:
		s.weird(c, "HTTP_content_range_overflow")
		return
	}
	if _, ok := number(instance, 10); !ok && string(instance) != "*" {
		s.weird(c, "HTTP_content_range_invalid_instance")
	}
	d.partial = to - from + 1
	if d.length > 0 && d.length != d.partial {
		s.weird(c, "HTTP_range_not_matching_len")
	}
	d.length = max(d.length, d.partial)
}

// number returns the number at the beginning of data; ok is false if there is none or it does not
// fit.
func number(data []byte, base int) (n int64, ok bool) {
	i := 0
	for i < len(data) && (digit(data[i]) || base == 16 && hexDigit(data[i])) {
		i++
	}
	n, err := strconv.ParseInt(string(data[:i]), base, 64)
	if err != nil {
		return 0, false
	}
	return n, true
}

func digit(b byte) bool    { return '0' <= b && b <= '9' }
func hexDigit(b byte) bool { return digit(b) || 'a' <= b|0x20 && b|0x20 <= 'f' }
