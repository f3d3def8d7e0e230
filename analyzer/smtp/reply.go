package smtp

import (
	"slices"

	"example.com/conn"
	"example.com/conn/analyzer/lines"
	"example.com/conn/analyzer/protocol"
)

func (s *state) serverLine(c *conn.Connection, line []byte) protocol.Next {
	code, text, more, ok := parseReply(line)
	if !ok {
		return protocol.Violated(s.confirmed, s.seen)
	}
	if s.more != code { // the first line of a reply
		s.onReplyTo(c, code)
	}
	s.more = 0
	if more {
		s.more = code
	}
	s.onReply(c, line[:3], text, more)
	if code == 220 && !more && (s.replying == startTLS || s.replying == xAnonymousTLS) {
		s.onTLS(c)
		return protocol.HandOver
	}
	return protocol.More
}

// onReplyTo finds the command that a new reply answers, and what the client may send next.
func (s *state) onReplyTo(c *conn.Connection, code int) {
	s.replying, s.replyTo = unknown, s.answered
	if len(s.waiting) > 0 {
		s.replying = s.waiting[0]
		s.waiting = slices.Delete(s.waiting, 0, 1)
		s.answered++
	}
	switch {
	case s.expect == expectUnknown:
		s.expect = expectCommand
		if code == 354 {
			s.expect = expectData
		}
	case s.replying == data && code != 354 && s.expect == expectData && len(s.waiting) == 0:
		// not for an earlier DATA
		s.endHeader(c)
		s.expect = expectCommand
	case (s.replying == auth || s.replying == authAnswer) && s.expect != expectData && s.expect != expectChunk:
		s.expect = expectCommand
		if code == 334 {
			s.expect = expectAnswer
		}
	}
}

// parseReply parses a line of a reply: "250-text" if more lines follow, or "250 text".
func parseReply(line []byte) (code int, text []byte, more, ok bool) {
	if len(line) < 3 {
		return 0, nil, false, false
	}
	for _, b := range line[:3] {
		if b < '0' || b > '9' {
			return 0, nil, false, false
		}
		code = 10*code + int(b-'0')
	}
	if code < 100 || code > 599 {
		return 0, nil, false, false
	}
	rest := line[3:]
	if more = len(rest) > 0 && rest[0] == '-'; more {
		rest = rest[1:]
	}
	return code, lines.SkipBlanks(rest), more, true
}
