package http

import (
	"bytes"
	"strconv"
	"strings"

	"example.com/conn/analyzer/lines"
)

const (
	version09 = "0.9"
	version11 = "1.1"
	maxMethod = 32 // bytes of a method, for Match
)

// A requestLine is a parsed request line. method and uri, which is still escaped, are slices of the
// line.
type requestLine struct {
	method, uri []byte
	version     string
	lower       bool // "HTTP/" is not in upper case
	noURI       bool // "HTTP/" is where the URI should be
}

// parseRequestLine is as liberal as Zeek's parser: anything may follow the method, and a line
// without a version is HTTP/0.9 where possible. A line too long to be kept whole is assumed to have
// one.
func parseRequestLine(l lines.Line) (r requestLine, ok bool) {
	line := l.Text
	n := tokenLen(line)
	rest := lines.SkipBlanks(line[n:])
	if n == 0 || n+len(rest) == len(line) {
		return r, false
	}
	r.method = line[:n]
	// A version counts only after a byte that no URI may contain, or if there is no URI at all.
	var version []byte
	i := 0
	for i < len(rest) && uriChars[rest[i]] {
		i++
	}
	if i == len(rest) && hasKeyword(rest) {
		i, r.noURI = 0, true
	}
	r.uri = rest[:i]
	for ; i < len(rest); i++ {
		r.uri = rest[:i]
		for i < len(rest) && (rest[i] == ' ' || rest[i] == '\t') {
			i++
		}
		if hasKeyword(rest[i:]) {
			version = rest[i+len(keyword):]
			r.lower = !bytes.HasPrefix(rest[i:], []byte(keyword))
			break
		}
	}
	switch {
	case version != nil:
		r.version = parseVersion(version)
	case l.Long:
		r.version = version11
	default:
		r.version = version09
		return r, len(r.method) >= 3 && len(r.uri) > 0
	}
	return r, true
}

// badRequest returns Zeek's name for a line that is not a request line.
func badRequest(line []byte) string {
	const version = " HTTP/1.1"
	if end := len(line) - len(version); tokenLen(line) == 0 && end >= 0 && hasKeyword(line[end+1:]) && line[end] == ' ' {
		return "bad_HTTP_request_with_version"
	}
	return "bad_HTTP_request"
}

// methods are the known methods; Zeek's HTTP::http_methods.
var methods = map[string]bool{
	"GET": true, "POST": true, "HEAD": true, "OPTIONS": true, "PUT": true, "DELETE": true, "TRACE": true, "CONNECT": true,
	"PROPFIND": true, "PROPPATCH": true, "MKCOL": true, "COPY": true, "MOVE": true, "LOCK": true, "UNLOCK": true,
	"POLL": true, "REPORT": true, "SUBSCRIBE": true, "BMOVE": true, "SEARCH": true,
}

// keyword begins a version. Its case does not matter.
const keyword = "HTTP/"

func hasKeyword(data []byte) bool {
	return len(data) >= len(keyword) && data[0]|0x20 == 'h' && strings.EqualFold(string(data[:len(keyword)]), keyword)
}

// uriChars are the bytes allowed in a URI.
var uriChars = func() (t [256]bool) {
	const chars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:/?#[]@!$&'()*+,;=-_.~%"
	for i := range len(chars) {
		t[chars[i]] = true
	}
	return t
}()

// tokenLen returns the length of the token, such as a method, at the beginning of data.
func tokenLen(data []byte) int {
	for i, b := range data {
		if !lines.TokenChar(b) {
			return i
		}
	}
	return len(data)
}

// parseVersion returns the "1.1" of "HTTP/1.1", and "0.0" for anything but a digit, a dot and a
// digit.
func parseVersion(data []byte) string {
	if len(data) < 3 || !digit(data[0]) || data[1] != '.' || !digit(data[2]) {
		return "0.0"
	}
	switch v := data[:3]; string(v) {
	case "1.1":
		return version11
	case "1.0":
		return "1.0"
	default:
		return string(v)
	}
}

// noReason stands for a missing reason phrase, as in Zeek.
var noReason = []byte("<empty>")

// A statusLine is a parsed status line. A code that is not a number is 0. reason is a slice of the
// line.
type statusLine struct {
	version string
	code    int
	reason  []byte
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
	rest = lines.SkipBlanks(rest[i:])
	if len(rest) < 3 {
		return r, false
	}
	if code, err := strconv.ParseUint(string(rest[:3]), 10, 16); err == nil {
		r.code = int(code)
	}
	r.reason = noReason
	if i := bytes.IndexAny(rest[3:], " \t"); i >= 0 {
		r.reason = lines.SkipBlanks(rest[3+i:])
	}
	return r, true
}

// unescape replaces the escapes in a URI, such as %41 and %u0041. Like Zeek, it keeps malformed
// ones but drops the first of two percent signs. odd is Zeek's name for the last anomaly, ""
// without one.
func unescape(uri []byte) (text []byte, odd string) {
	if bytes.IndexByte(uri, '%') < 0 {
		return uri, ""
	}
	text = make([]byte, 0, len(uri))
	for i := 0; i < len(uri); i++ {
		rest := uri[i+1:]
		switch {
		case uri[i] != '%':
			text = append(text, uri[i])
		case len(rest) < 2:
			text = append(text, '%')
			if odd = "illegal_%_at_end_of_URI"; len(rest) > 0 {
				odd = "partial_escape_at_end_of_URI"
			}
		case rest[0] == '%':
			odd = "double_%_in_URI"
		case hexDigit(rest[0]) && hexDigit(rest[1]):
			text = append(text, byte(hex(rest[:2])))
			i += 2
		case len(rest) >= 5 && rest[0] == 'u' && hex(rest[1:5]) >= 0:
			n := hex(rest[1:5])
			if n > 0xff {
				text = append(text, byte(n>>8))
			}
			text = append(text, byte(n))
			i += 5
		default:
			text = append(text, '%')
			odd = "unescaped_%_in_URI"
		}
	}
	return text, odd
}

// hex returns the value of hexadecimal digits, or -1 if data has any other byte.
func hex(data []byte) (n int) {
	for _, b := range data {
		switch {
		case digit(b):
			n = n<<4 | int(b-'0')
		case hexDigit(b):
			n = n<<4 | int(b|0x20-'a'+10)
		default:
			return -1
		}
	}
	return n
}
