package starttls

import (
	"bytes"
	"strings"

	"example.com/conn/analyzer/protocol"
)

const (
	maxLine = 4 << 10 // bytes of a line or of an XMPP tag
	maxTag  = 64      // bytes of the tag of an IMAP command
)

// IMAP gives way to TLS when the server says OK to STARTTLS.
var IMAP = &Protocol{
	name: "imap", ports: []uint16{143},
	match: func(orig, resp []byte) protocol.Verdict { return begins(resp, "* OK ") },
	step:  byLine(imapLine),
}

func imapLine(s *state, side protocol.Side, line []byte) protocol.Next {
	tag, rest, _ := bytes.Cut(line, []byte(" "))
	word := firstWord(rest)
	switch {
	case side == protocol.Resp && string(tag) == "*" && (word == "OK" || word == "CAPABILITY"):
		s.confirmed = true
	case side == protocol.Resp && s.stage == asked && string(tag) == s.tag:
		if word == "OK" {
			return protocol.HandOver
		}
		s.stage, s.weird = begun, "IMAP: server refused StartTLS"
	case side == protocol.Orig && word == "STARTTLS" && len(tag) <= maxTag:
		s.confirmed, s.stage, s.tag = true, asked, string(tag)
	case side == protocol.Orig && word != "CAPABILITY" && word != "NOOP" && word != "ID" && word != "":
		return protocol.Stop // the client logs in, or has
	}
	return protocol.More
}

// POP3 gives way to TLS when the server says OK to STLS.
var POP3 = &Protocol{
	name: "pop3", ports: []uint16{110},
	match: func(orig, resp []byte) protocol.Verdict {
		return min(begins(resp, "+OK"), begins(orig, "STLS", "CAPA", "USER ", "APOP ", "AUTH", "QUIT"))
	},
	step: byLine(pop3Line),
}

func pop3Line(s *state, side protocol.Side, line []byte) protocol.Next {
	word := firstWord(line)
	// AUTH alone lists the mechanisms
	asks := word == "CAPA" || word == "USER" || word == "AUTH" && len(line) == len(word)
	switch {
	case side == protocol.Resp && word == "+OK" && s.stage == asked:
		return protocol.HandOver
	case side == protocol.Resp && word == "+OK" && s.stage == offered:
		s.confirmed = true
	case side == protocol.Resp && word == "-ERR" && s.stage == asked:
		s.stage = begun
	case side == protocol.Orig && word == "STLS":
		s.confirmed, s.stage = true, asked
	case side == protocol.Orig && asks:
		s.stage = offered
	case side == protocol.Orig && word != "" && word != "QUIT":
		return protocol.Stop // the client logs in, or has
	}
	return protocol.More
}

// IRC gives way to TLS when the server says 670 to STARTTLS. It has no ports here: clients use its
// ports as often as servers.
var IRC = &Protocol{
	name: "irc",
	match: func(orig, resp []byte) protocol.Verdict {
		v := begins(orig, "STARTTLS", "NICK ", "USER ", "PASS ", "CAP ")
		return min(v, ircServer(resp))
	},
	step: byLine(ircLine),
}

// ircServer tells whether a server has sent a numeric reply with its name in front. Notices and
// pings may precede it.
func ircServer(resp []byte) protocol.Verdict {
	for {
		line, rest, whole := bytes.Cut(resp, []byte("\n"))
		switch first := begins(line, ":", "NOTICE ", "PING "); {
		case first == protocol.No:
			return protocol.No
		case ircNumber(line) != "":
			return protocol.Yes
		case !whole:
			return protocol.Maybe
		}
		resp = rest
	}
}

// ircNumber returns the numeric in a server's line, "" without one.
func ircNumber(line []byte) string {
	prefix, rest, ok := bytes.Cut(line, []byte(" "))
	if !ok || len(prefix) < 2 || prefix[0] != ':' || len(rest) < 4 || rest[3] != ' ' {
		return ""
	}
	for _, b := range rest[:3] {
		if b < '0' || b > '9' {
			return ""
		}
	}
	return string(rest[:3])
}

func ircLine(s *state, side protocol.Side, line []byte) protocol.Next {
	if side == protocol.Orig {
		if firstWord(line) == "STARTTLS" {
			s.stage = asked
		}
		return protocol.More
	}
	switch number := ircNumber(line); {
	case number == "":
		return protocol.More
	case number == "670" && s.stage == asked:
		s.confirmed = true
		return protocol.HandOver
	case number == "691" && s.stage == asked:
		s.stage = begun
	case number == "001": // the client is registered without TLS
		s.confirmed = true
		return protocol.Stop
	}
	s.confirmed = true
	return protocol.More
}

// XMPP gives way to TLS when the server answers <proceed/> to <starttls/>.
var XMPP = &Protocol{
	name: "xmpp", ports: []uint16{5222, 5269},
	match: func(orig, resp []byte) protocol.Verdict { return matchXMPP(orig) },
	step:  xmppTag,
}

// matchXMPP tells whether data begins with a stream, with or without an XML declaration.
func matchXMPP(data []byte) protocol.Verdict {
	if begins(data, "<?xml") == protocol.Yes {
		end := bytes.Index(data[:min(len(data), maxLine)], []byte("?>"))
		if end < 0 {
			return protocol.Maybe
		}
		data = data[end+2:]
	}
	data = bytes.TrimLeft(data, " \t\r\n")
	if v := begins(data, "<stream:stream "); v != protocol.Yes {
		return max(v, begins(data[:min(len(data), 4)], "<?xml"))
	}
	tag, _, whole := bytes.Cut(data, []byte(">"))
	switch {
	case bytes.Contains(tag, []byte("jabber:")):
		return protocol.Yes
	case whole || len(tag) > maxLine:
		return protocol.No
	}
	return protocol.Maybe
}

// xmppTag handles data up to the end of an XML tag.
func xmppTag(s *state, side protocol.Side, data []byte) (int, protocol.Next) {
	end := bytes.IndexByte(data[:min(len(data), maxLine)], '>')
	if end < 0 {
		if len(data) >= maxLine {
			return s.done()
		}
		return 0, protocol.More
	}
	name := data[bytes.LastIndexByte(data[:end], '<')+1 : end]
	if i := bytes.IndexAny(name, " \t\r\n/"); i > 0 {
		name = name[:i]
	}
	n := end + 1
	switch string(name) {
	case "stream:stream":
		s.confirmed = s.confirmed || side == protocol.Orig
	case "starttls":
		if side == protocol.Orig {
			s.stage = asked
		}
	case "proceed":
		if side == protocol.Resp && s.stage == asked {
			return n, protocol.HandOver
		}
		s.weird = "XMPP: proceed without starttls"
	case "failure":
		s.stage = begun
	case "success", "message", "presence", "db:result", "db:verify":
		return n, protocol.Stop // the session has begun without TLS
	}
	return n, protocol.More
}

// byLine turns a function that handles lines into a step.
func byLine(f func(s *state, side protocol.Side, line []byte) protocol.Next) func(*state, protocol.Side, []byte) (int, protocol.Next) {
	return func(s *state, side protocol.Side, data []byte) (int, protocol.Next) {
		end := bytes.IndexByte(data[:min(len(data), maxLine)], '\n')
		if end < 0 {
			if len(data) >= maxLine {
				return s.done()
			}
			return 0, protocol.More
		}
		return end + 1, f(s, side, bytes.TrimRight(data[:end], "\r"))
	}
}

// firstWord returns the first word of a line in capital letters, if it is as short as commands are.
func firstWord(line []byte) string {
	const longest = 16
	word, _, _ := bytes.Cut(bytes.TrimLeft(line, " "), []byte(" "))
	if len(word) > longest {
		return "?"
	}
	return strings.ToUpper(string(word))
}

// begins tells whether data begins with one of the texts, in any case.
func begins(data []byte, texts ...string) protocol.Verdict {
	best := protocol.No
	for _, text := range texts {
		n := min(len(data), len(text))
		if !bytes.EqualFold(data[:n], []byte(text[:n])) {
			continue
		}
		if n == len(text) {
			return protocol.Yes
		}
		best = protocol.Maybe
	}
	return best
}
