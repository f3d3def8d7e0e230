package smtp

import (
	"bytes"
	"iter"
	"net/netip"
)

// addresses returns what looks like mail addresses in a command's argument, as Zeek's
// extract_email_addrs_set does.
func addresses(arg []byte) iter.Seq[[]byte] {
	// The bytes that end the part before the at sign, and the part after it.
	const before, after = "<,: \t", ">,; \t"
	return func(yield func([]byte) bool) {
		for start, i := 0, 0; i < len(arg); i++ {
			switch {
			case arg[i] == '@' && i > start:
				end := i + 1
				for end < len(arg) && !oneOf(after, arg[end]) {
					end++
				}
				if end > i+1 && !yield(withoutSeparators(arg[start:end])) {
					return
				}
				start, i = end+1, end
			case arg[i] == '@' || oneOf(before, arg[i]):
				start = i + 1
			}
		}
	}
}

// withoutSeparators returns an address without the bytes that cannot be part of it, and without the
// type in front of an original recipient (RFC 3461).
func withoutSeparators(addr []byte) []byte {
	text := make([]byte, 0, len(addr))
	for _, b := range addr {
		if !oneOf("<>,:; \t", b) {
			text = append(text, b)
		}
	}
	return bytes.ReplaceAll(text, []byte("ORCPT=rfc822"), nil)
}

func oneOf(set string, b byte) bool {
	for i := range len(set) {
		if set[i] == b {
			return true
		}
	}
	return false
}

// mailboxes returns the mailboxes, with their names, in the value of a header field: the parts
// between unquoted commas that contain an at sign.
func mailboxes(value []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		lastQuote := bytes.LastIndexByte(value, '"')
		for start, i, quoted := 0, 0, false; i <= len(value); i++ {
			if i < len(value) && value[i] == '"' {
				quoted = !quoted && i < lastQuote
			}
			if i < len(value) && (value[i] != ',' || quoted) {
				continue
			}
			m := value[start:i]
			start = i + 1
			if at := bytes.LastIndexByte(m[:max(len(m)-1, 0)], '@'); at > 0 && !yield(bytes.TrimSpace(m)) {
				return
			}
		}
	}
}

// ipAddresses returns the IP addresses in a text: all, or only those in brackets or between blanks.
func ipAddresses(text []byte, wrapped bool) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		const longest = len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255")
		for start, i := 0, 0; i <= len(text); i++ {
			if i < len(text) && (text[i] == '.' || text[i] == ':' || hexDigit(text[i])) {
				continue
			}
			word, in := text[start:i], !wrapped || start > 0 && i < len(text) && pair(text[start-1], text[i])
			start = i + 1
			if !in || len(word) > longest || bytes.Count(word, []byte(".")) != 3 && bytes.Count(word, []byte(":")) < 2 {
				continue
			}
			if addr, err := netip.ParseAddr(string(word)); err == nil && !yield(addr.Unmap()) {
				return
			}
		}
	}
}

func pair(before, after byte) bool {
	switch before {
	case '[':
		return after == ']'
	case '(':
		return after == ')'
	case '{':
		return after == '}'
	}
	return before == ' ' && after == ' '
}

func hexDigit(b byte) bool { return '0' <= b && b <= '9' || 'a' <= b|0x20 && b|0x20 <= 'f' }

// cutPrefixFold is bytes.CutPrefix without regard to case.
func cutPrefixFold(text []byte, prefix string) (rest []byte, ok bool) {
	if len(text) < len(prefix) || !bytes.EqualFold(text[:len(prefix)], []byte(prefix)) {
		return nil, false
	}
	return text[len(prefix):], true
}
