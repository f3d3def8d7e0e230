package http

import (
	"strings"

	"example.com/conn"
	"example.com/conn/analyzer/lines"
	"example.com/conn/analyzer/protocol"
)

// A side is the state of one side's messages.
type side struct {
	expect  expect
	header  lines.Header
	framing framing
	left    int64  // bytes of the body or chunk still to come
	body    uint64 // bytes of the body so far, as transferred
}

// ongoing reports whether a message has begun and not ended.
func (d *side) ongoing() bool {
	return d.expect != startLine && d.expect != reply09 && d.expect != nothing
}

// idle returns how many empty lines to skip at the beginning of data: all but the last. An empty
// line takes one byte, so no other line would cost more time per byte.
func (d *side) idle(data []byte) (n int) {
	for d.expect == startLine && n+1 < len(data) && data[n] == '\n' && data[n+1] == '\n' {
		n++
	}
	return n
}

// expect is what a side sends next.
type expect int

const (
	startLine expect = iota // a request line or a status line
	headers
	fixedBody // side.left bytes
	chunkSize
	chunkData
	chunkEnd // the line end after a chunk's data
	trailer
	untilEnd // a body that ends with the connection
	reply09  // the reply to an HTTP/0.9 request: only a body
	nothing  // the rest of the side is ignored
)

// line handles a line outside bodies. after holds the bytes that have already arrived after it.
func (s *state) line(c *conn.Connection, side protocol.Side, line lines.Line, after []byte) protocol.Next {
	d := &s.sides[side]
	switch d.expect {
	case startLine:
		if side == protocol.Orig {
			return s.handleRequestLine(c, line)
		}
		return s.handleStatusLine(c, line)
	case headers, trailer:
		if len(line.Text) > 0 && line.Text[0] != 0 {
			d.header.Line(line, after, fieldNames[side], func(f lines.Field) { s.field(c, side, f) })
			return protocol.More
		}
		s.finishField(c, side)
		if d.expect == trailer {
			return s.endMessage(c, side)
		}
		return s.endHeaders(c, side)
	case chunkSize:
		var ok bool
		if d.left, ok = number(line.Text, 16); !ok {
			s.weird(c, "HTTP_bad_chunk_size")
		}
		d.expect = chunkData
		if d.left == 0 {
			d.expect, d.header = trailer, lines.Header{}
		}
	case chunkEnd:
		d.expect = chunkSize
	}
	return protocol.More
}

// finishField applies the field that might have been continued.
func (s *state) finishField(c *conn.Connection, side protocol.Side) {
	s.sides[side].header.Finish(func(f lines.Field) { s.field(c, side, f) })
}

// beginMessage begins a message with the given version.
func (s *state) beginMessage(c *conn.Connection, side protocol.Side, version string) {
	if latest := s.versions[side]; latest != "" && latest != "0.0" && latest != version {
		s.weird(c, "HTTP_version_mismatch")
	}
	s.versions[side] = version
	s.keepAlive = s.keepAlive || version >= version11
	s.sides[side].expect = headers
	s.sides[side].framing = framing{length: -1}
}

func (s *state) handleRequestLine(c *conn.Connection, line lines.Line) protocol.Next {
	r, ok := parseRequestLine(line)
	if !ok {
		s.weird(c, badRequest(line.Text))
		switch {
		case s.confirmed && !s.keepAlive: // some clients send this after their only request
		case len(line.Text) == 0: // or this after a body
			s.weird(c, "empty_http_request")
		default:
			return s.violation(&s.sides[protocol.Orig])
		}
		return protocol.More
	}
	if s.confirmed && !s.keepAlive && r.version < version11 {
		s.weird(c, "unexpected_multiple_HTTP_requests")
	}
	s.noteRequest(c, r)
	s.confirmed = true
	s.parser.owner.Confirm(c)
	s.connect = s.connect || strings.EqualFold(string(r.method), "CONNECT")
	s.unanswered++
	s.beginMessage(c, protocol.Orig, r.version)
	s.onRequest(c, r)
	if r.version == version09 {
		if s.replied {
			s.weird(c, "http_09_reply_before_request")
		}
		s.interrupt(c, protocol.Resp)
		s.sides[protocol.Resp].expect = reply09
	}
	return protocol.More
}

// noteRequest reports what is unusual about a request line.
func (s *state) noteRequest(c *conn.Connection, r requestLine) {
	method := r.method[:min(len(r.method), maxAddl)]
	if !methods[string(r.method)] {
		s.parser.owner.Weird(c, "unknown_HTTP_method", string(method))
	}
	if r.version == version09 && string(r.method) != "GET" {
		s.parser.owner.Weird(c, "invalid_http_09_request_method", string(method))
	}
	if r.lower {
		s.weird(c, "lowercase_HTTP_keyword")
	}
	if r.noURI {
		s.weird(c, "missing_HTTP_uri")
	}
}

// maxJunk is how many bytes may precede the first request, such as a banner, before a line that is
// not a status line is a violation.
const maxJunk = 1024

func (s *state) handleStatusLine(c *conn.Connection, line lines.Line) protocol.Next {
	r, ok := parseStatusLine(line.Text)
	if !ok {
		requested := s.versions[protocol.Orig] != ""
		if len(lines.SkipBlanks(line.Text)) == 0 || !requested && s.seen < maxJunk {
			return protocol.More
		}
		return s.violation(&s.sides[protocol.Resp])
	}
	if !strings.HasPrefix(string(line.Text), keyword) {
		s.weird(c, "lowercase_HTTP_keyword")
	}
	s.connect = s.connect && r.code == 200
	s.beginReply(c, r)
	return protocol.More
}

func (s *state) beginReply(c *conn.Connection, r statusLine) {
	s.replied = true
	s.beginMessage(c, protocol.Resp, r.version)
	s.sides[protocol.Resp].framing.code = r.code
	s.onReply(c, r)
}

// endHeaders decides what follows the header of a message.
func (s *state) endHeaders(c *conn.Connection, side protocol.Side) protocol.Next {
	d := &s.sides[side]
	f := &d.framing
	if side == protocol.Orig && f.coded && !f.chunked {
		s.weird(c, "HTTP_request_not_chunked_last") // most servers refuse it, others use the length
	}
	if side == protocol.Resp && (s.connect || f.code == 101 && s.unanswered == 1 && f.upgrade && f.protocol) {
		s.endMessage(c, side)
		return protocol.HandOver
	}
	switch {
	case side == protocol.Resp && s.bodyless(f.code):
		return s.endMessage(c, side)
	case f.chunked:
		d.expect = chunkSize
	case f.coded && side == protocol.Resp:
		d.expect = untilEnd
	case f.length == 0:
		return s.endMessage(c, side)
	case f.length > 0:
		d.expect, d.left = fixedBody, f.length
	case side == protocol.Orig && !f.coded && !f.compressed:
		return s.endMessage(c, side)
	default:
		d.expect = untilEnd
	}
	return protocol.More
}

// bodyless reports whether the current reply has no body, whatever its header says.
func (s *state) bodyless(code int) bool {
	t := s.find(s.response)
	return informational(code) || code == 204 || code == 304 || t != nil && t.head
}

func informational(code int) bool { return code >= 100 && code < 200 }

// bodyBytes counts n bytes of a chunk or of a body of known length.
func (s *state) bodyBytes(c *conn.Connection, side protocol.Side, n int) protocol.Next {
	d := &s.sides[side]
	d.body += uint64(n)
	d.left -= int64(n)
	switch {
	case d.left > 0:
	case d.expect == chunkData:
		d.expect = chunkEnd
	default:
		return s.endMessage(c, side)
	}
	return protocol.More
}

// endMessage ends the current message.
func (s *state) endMessage(c *conn.Connection, d protocol.Side) protocol.Next {
	body, code := s.sides[d].body, s.sides[d].framing.code
	s.sides[d] = side{}
	if d == protocol.Orig {
		s.onRequestEnd(c, body)
		return protocol.More
	}
	s.onReplyEnd(c, code, body)
	if !informational(code) {
		s.unanswered = max(s.unanswered-1, 0)
	}
	return protocol.More
}

// interrupt ends the current message early, if there is one, and ignores the rest of the side.
func (s *state) interrupt(c *conn.Connection, side protocol.Side) {
	d := &s.sides[side]
	if d.ongoing() {
		s.finishField(c, side)
		s.endMessage(c, side)
		d.expect = nothing
	}
}
