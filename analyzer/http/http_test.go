package http

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn"
	"example.com/conn/analyzer/lines"
	"example.com/conn/analyzer/lines/linestest"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/protocol"
	. "example.com/conn/analyzer/protocol/protocoltest"
)

func parser(o protocol.Owner) protocol.Parser { return New(o) }

// play returns the rows of turns, a line each: depth, method, host, uri, version, both body lengths
// and status, with "-" for what is unset.
func play(t *testing.T, turns ...Turn) (rows []string) {
	t.Helper()
	for _, line := range Rows(t, parser, turns...) {
		var row map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &row))
		var texts []string
		for _, name := range strings.Fields(
			"trans_depth method host uri version request_body_len response_body_len status_code status_msg",
		) {
			text := "-"
			if v, ok := row[name]; ok {
				b, _ := json.Marshal(v)
				text = strings.Trim(string(b), `"`)
			}
			texts = append(texts, text)
		}
		rows = append(rows, strings.Join(texts, " "))
	}
	return rows
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

func TestConversations(t *testing.T) {
	get := Orig("GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
	for name, tt := range map[string]struct {
		turns []Turn
		want  []string
	}{
		"a request and its reply": {
			[]Turn{get, Resp(ok)},
			[]string{"1 GET h /a 1.1 0 5 200 OK"},
		},
		"pipelined requests": {
			[]Turn{Orig(strings.Repeat(get.Data, 3)), Resp(strings.Repeat(ok, 3))},
			[]string{"1 GET h /a 1.1 0 5 200 OK", "2 GET h /a 1.1 0 5 200 OK", "3 GET h /a 1.1 0 5 200 OK"},
		},
		"requests without a reply": {
			[]Turn{get, Resp(ok), get, get},
			[]string{"1 GET h /a 1.1 0 5 200 OK", "2 GET h /a - 0 0 - -", "3 GET h /a - 0 0 - -"},
		},
		"a request that is cut short": {
			[]Turn{Orig("POST /a HTTP/1.1\r\nHost: h\r\nContent-Le")},
			[]string{"1 POST h /a - 0 0 - -"},
		},
		"bodies that are cut short": {
			[]Turn{
				Orig("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc"),
				Resp("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhe"),
			},
			[]string{"1 POST h /a 1.1 3 2 200 OK"},
		},
		"a reply without a request": {
			[]Turn{Resp(ok)},
			[]string{"1 - - - 1.1 0 5 200 OK"},
		},
		"a reply that ends before its request": {
			[]Turn{
				Orig("POST /a HTTP/1.1\r\nContent-Length: 6\r\n\r\nabc"),
				Resp(ok),
				Orig("def"),
			},
			[]string{"1 POST - /a 1.1 0 5 200 OK", "2 - - - - 6 0 - -"},
		},
		"a reply that continues after its request": {
			[]Turn{
				Orig("POST /a HTTP/1.1\r\nContent-Length: 6\r\n\r\nabc"),
				Resp("HTTP/1.1 200 OK\r\n"),
				Orig("def"),
				Resp("Content-Length: 3\r\n\r\nend"),
			},
			[]string{"1 POST - /a 1.1 6 3 200 OK"},
		},
		"a body that ends with the connection": {
			append([]Turn{get, Resp("HTTP/1.0 200 OK\r\n\r\nall\r\n\r\nof it")}, Ends()...),
			[]string{"1 GET h /a 1.0 0 12 200 OK"},
		},
		"HEAD": {
			[]Turn{Orig("HEAD / HTTP/1.1\r\n\r\n"), Resp("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), get, Resp(ok)},
			[]string{"1 HEAD - / 1.1 0 0 200 OK", "2 GET h /a 1.1 0 5 200 OK"},
		},
		"replies without a body": {
			[]Turn{
				get, Resp("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"),
				get, Resp("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
			},
			[]string{"1 GET h /a 1.1 0 0 204 No Content", "2 GET h /a 1.1 0 0 304 Not Modified"},
		},
		"100 Continue": {
			[]Turn{
				Orig("PUT /a HTTP/1.1\r\nContent-Length: 2\r\n\r\n"),
				Resp("HTTP/1.1 100 Continue\r\n\r\n"),
				Orig("ab"),
				Resp(ok),
			},
			[]string{"1 PUT - /a 1.1 2 5 200 OK"},
		},
		"chunks": {
			[]Turn{
				Orig("POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nT: 1\r\n\r\n"),
				Resp("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"),
				get, Resp(ok),
			},
			[]string{"1 POST - /a 1.1 13 1 200 OK", "2 GET h /a 1.1 0 5 200 OK"},
		},
		"chunks are of HTTP/1.1": {
			append([]Turn{get, Resp("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")}, Ends()...),
			[]string{"1 GET h /a 1.0 0 11 200 OK"},
		},
		"chunks of a bad size": {
			[]Turn{
				get, Resp("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n"),
				get, Resp("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n"), get, Resp(ok),
			},
			[]string{"1 GET h /a 1.1 0 0 200 OK", "2 GET h /a 1.1 0 0 200 OK", "3 GET h /a 1.1 0 5 200 OK"},
		},
		"a length beside chunks": {
			[]Turn{
				Orig("POST /a HTTP/1.1\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n" + get.Data),
				Resp(ok + ok),
			},
			[]string{"1 POST - /a 1.1 1 5 200 OK", "2 GET h /a 1.1 0 5 200 OK"},
		},
		"a keyword in lower case": {
			[]Turn{Orig("GET /a http/1.1\r\n\r\n"), Resp("http/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")},
			[]string{"1 GET - /a 1.0 0 0 200 OK"},
		},
		"strange lengths": {
			[]Turn{
				get, Resp("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello"),
				get, Resp("HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n"),
				get, Resp("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nxyz"),
				get, Resp("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n"),
				get, Resp("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"),
				get, Resp("HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nhi"), {End: true},
			},
			[]string{
				"1 GET h /a 1.1 0 5 200 OK", "2 GET h /a 1.1 0 0 200 OK", "3 GET h /a 1.1 0 3 200 OK",
				"4 GET h /a 1.1 0 0 200 OK", "5 GET h /a 1.1 0 0 200 OK", "6 GET h /a 1.1 0 2 200 OK",
			},
		},
		"a range that is longer than the length": {
			[]Turn{
				// no range
				get, Resp("HTTP/1.1 200 P\r\nContent-Length: 1\r\nContent-Range: bytes 0-4/*\r\n\r\nh"),
				get, Resp("HTTP/1.1 206 P\r\nContent-Range: bytes 0-4/99\r\nContent-Length: 2\r\n\r\nhello"),
				get, Resp("HTTP/1.1 206 P\r\nContent-Length: 7\r\nContent-Range: bytes 10-14/*\r\n\r\nhello!!"),
				get, Resp("HTTP/1.1 206 P\r\nContent-Length: 1\r\nContent-Range: bytes 14-10/*\r\n\r\nh"),
				get, Resp("HTTP/1.1 206 P\r\nContent-Length: 1\r\nContent-Range: bytes 0-9223372036854775807/*\r\n\r\nh"),
			},
			[]string{
				"1 GET h /a 1.1 0 1 200 P", "2 GET h /a 1.1 0 5 206 P", "3 GET h /a 1.1 0 7 206 P",
				"4 GET h /a 1.1 0 1 206 P", "5 GET h /a 1.1 0 1 206 P",
			},
		},
		"HTTP/0.9": {
			append([]Turn{Orig("GET /a\r\n\r\n"), Resp("<html>"), Resp("HTTP/1.1 200 OK\r\n\r\n")}, Ends()...),
			[]string{"1 GET - /a 0.9 0 25 0 \\u003cempty\\u003e"},
		},
		"HTTP/0.9 without an empty line": {
			[]Turn{Orig("GET /a\r\n"), Resp("<html>"), {End: true}, {FromOrig: true, End: true}},
			[]string{"1 GET - /a 0.9 0 6 0 \\u003cempty\\u003e", "2 - - - - 0 0 - -"},
		},
		"HTTP/0.9 after a reply that is not complete": {
			[]Turn{Resp("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"), Orig("GET /\r\n\r\n"), Resp("too much.\r\n")},
			[]string{"1 - - - 1.1 0 0 200 OK", "2 GET - / 0.9 0 11 0 \\u003cempty\\u003e"},
		},
		"HTTP/0.9 again": {
			[]Turn{Orig("GET /a\r\n\r\n"), Resp("<html>"), Orig("GET /b\r\n\r\n"), Resp("<body>"), {End: true}},
			[]string{"1 GET - /a 0.9 0 6 0 \\u003cempty\\u003e", "2 GET - /b 0.9 0 6 0 \\u003cempty\\u003e"},
		},
		"requests that are not HTTP": {
			[]Turn{Orig("\xc3\x83 / HTTP/1.1\r\nHost: h\r\n\r\n"), Resp(ok), Resp(ok)},
			[]string{"1 - - - 1.1 0 5 200 OK", "2 - - - 1.1 0 5 200 OK"},
		},
		"requests too short for HTTP/0.9": {
			[]Turn{Orig("GET \r\nT /a\r\n"), Resp("bad method\r\n")},
			nil,
		},
		"cruft ends HTTP": {
			[]Turn{get, Resp(ok), Orig("T / HTTP\r\n\r\n"), Resp(ok), get},
			[]string{"1 GET h /a 1.1 0 5 200 OK"},
		},
		"cruft after a single request": {
			[]Turn{Orig("GET /a HTTP/1.0\r\n\r\n\r\n?!\r\n"), Resp("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx")},
			[]string{"1 GET - /a 1.0 0 1 200 OK"},
		},
		"cruft late in a connection ends one side": {
			[]Turn{
				get, Resp("HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + strings.Repeat("x", 20000)),
				get, Orig("?!\r\n" + get.Data), Resp(ok),
			},
			[]string{"1 GET h /a 1.1 0 20000 200 OK", "2 GET h /a 1.1 0 5 200 OK"},
		},
		"a request after the server has closed": {
			[]Turn{
				get, Resp("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
				Orig(get.Data + get.Data), {FromOrig: true, End: true},
			},
			[]string{"1 GET h /a 1.1 0 0 200 OK", "2 GET h /a - 0 0 - -", "3 GET h /a - 0 0 - -"},
		},
		"a server that says close and continues": {
			[]Turn{
				get, Resp("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"), get, Resp(ok),
				Orig(get.Data + get.Data), Resp(ok + ok),
			},
			[]string{
				"1 GET h /a 1.1 0 2 200 OK", "2 GET h /a 1.1 0 5 200 OK", "3 GET h /a 1.1 0 5 200 OK", "4 GET h /a 1.1 0 5 200 OK",
			},
		},
		"a server that says close each time": {
			[]Turn{
				get, Resp("HTTP/1.1 304 N\r\nConnection: close\r\n\r\n"), get,
				Resp("HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"),
				Orig("POST /b HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi"), Resp(ok),
			},
			[]string{"1 GET h /a 1.1 0 0 304 N", "2 GET h /a 1.1 0 1 200 OK", "3 POST - /b 1.1 2 5 200 OK"},
		},
		"requests after one that says close": {
			[]Turn{Orig("GET /a HTTP/1.1\r\nConnection: close\r\n\r\n" + get.Data), Resp(ok + ok)},
			[]string{"1 GET - /a 1.1 0 5 200 OK", "2 GET h /a 1.1 0 5 200 OK"},
		},
		"a range of one byte": {
			[]Turn{
				get, Resp("HTTP/1.1 206 P\r\nContent-Range: bytes 0-0/9\r\n\r\nx"),
				get, Resp("HTTP/1.1 206 P\r\nContent-Range: bytes 0-4/9\r\nContent-Length: 0\r\n\r\nhello"),
			},
			[]string{"1 GET h /a 1.1 0 1 206 P", "2 GET h /a 1.1 0 5 206 P"},
		},
		"a compressed body without a length": {
			[]Turn{
				Orig("POST /a HTTP/1.1\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08"),
				Resp("HTTP/1.1 200 OK\r\n\r\nhello"),
			},
			[]string{"1 POST - /a 1.1 3 5 200 OK"},
		},
		"empty lines between messages": {
			[]Turn{Orig("\r\n" + get.Data + "\r\n\n" + get.Data), Resp("\r\n" + ok + "\r\n" + ok)},
			[]string{"1 GET h /a 1.1 0 5 200 OK", "2 GET h /a 1.1 0 5 200 OK"},
		},
		"empty lines before a reply": {
			[]Turn{get, Resp("\n"), Resp("\r\n \t\r\n"), Resp(strings.Repeat("\n", 2000) + ok)},
			[]string{"1 GET h /a 1.1 0 5 200 OK"},
		},
		"a banner before the first request": {
			[]Turn{Resp("welcome\r\n"), get, Resp(ok)},
			[]string{"1 GET h /a 1.1 0 5 200 OK"},
		},
		"a long banner": {
			[]Turn{Resp("welcome\r\n" + strings.Repeat("x", maxJunk) + "\r\n"), Resp("and more\r\n"), get, Resp(ok)},
			[]string{"1 GET h /a - 0 0 - -"},
		},
		"status lines": {
			[]Turn{
				get, Resp("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"),
				get, Resp("HTTP/2 xyz Odd code\nContent-Length: 0\n\n"),
				get, Resp("HTTP/1.1\r\n"), Resp(ok),
			},
			[]string{
				"1 GET h /a 1.1 0 0 200 \\u003cempty\\u003e", "2 GET h /a 0.0 0 0 0 Odd code", "3 GET h /a - 0 0 - -",
			},
		},
		"headers": {
			[]Turn{Orig("GET /a HTTP/1.1\r\n:\r\nBad line\r\nhOST:  a\r\n\tb \r\nX: \x01\r\n Host: not\r\nBad: \x00\r\nhost:c:80\r\n\r\n"), Resp(ok)},
			[]string{"1 GET c:80 /a 1.1 0 5 200 OK"},
		},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tt.want, play(t, tt.turns...)) })
	}
}

func TestRequestLines(t *testing.T) {
	for line, want := range map[string][3]string{
		"GET / HTTP/1.1":                        {"GET", "/", "1.1"},
		"GET \t /  HTTP/1.0  ":                  {"GET", "/", "1.0"},
		"GET /a b HTTP/1.1":                     {"GET", "/a b", "1.1"},
		"GET /a  \t b HTTP/2.0":                 {"GET", "/a  \t b", "2.0"},
		"GET /HTTP/1.1":                         {"GET", "/HTTP/1.1", "0.9"},
		"OPTIONS HTTP/1.1":                      {"OPTIONS", "", "1.1"},
		"CONNECT h:25 / HTTP/1.":                {"CONNECT", "h:25 /", "0.0"},
		"GET /%41%zz%%41%u0042%u0143% HTTP/1.1": {"GET", "/A%zzAB\x01C%", "1.1"},
		"GET /%4":                               {"GET", "/%4", "0.9"},
		"GET /":                                 {"GET", "/", "0.9"},
		"GET %41%u0041":                         {"GET", "AA", "0.9"},
		"GET /%u00ff%u0100%u0000":               {"GET", "/\xff\x01\x00\x00", "0.9"},
		"GET / HTTP/1.x":                        {"GET", "/", "0.0"},
		"GET / HTTP/x.1":                        {"GET", "/", "0.0"},
		"GET / HTTP/1,1":                        {"GET", "/", "0.0"},
		"GET /%u004 HTTP/1.1":                   {"GET", "/%u004", "1.1"},
		"GET /%x0041 HTTP/1.1":                  {"GET", "/%x0041", "1.1"},
		"POST /a|b":                             {"POST", "/a|", "0.9"}, // Zeek's too
		"GET /a b":                              {"GET", "/a", "0.9"},
		"GET /a  ":                              {"GET", "/a", "0.9"},
		"GET /a\xe4 hTtP/1.0":                   {"GET", "/a\xe4", "1.0"},
		"GET /a HTTP":                           {"GET", "/a HTT", "0.9"},
	} {
		t.Run(line, func(t *testing.T) {
			got, ok := parseRequestLine(lines.Line{Text: []byte(line)})
			uri, _ := unescape(got.uri)
			assert.True(t, ok)
			assert.Equal(t, want, [3]string{string(got.method), string(uri), got.version})
		})
	}
	for line, want := range map[string]string{
		"": "bad_HTTP_request", " GET /": "bad_HTTP_request", "GET": "bad_HTTP_request", "GET ": "bad_HTTP_request",
		"T /a": "bad_HTTP_request", "OPTIONSHTTP/1.1": "bad_HTTP_request", "GET |": "bad_HTTP_request",
		"\xdd\x00 GET / HTTP/1.1": "bad_HTTP_request_with_version", "/ http/1.1": "bad_HTTP_request_with_version",
		"/HTTP/1.1": "bad_HTTP_request", " HTTP/1.1": "bad_HTTP_request_with_version",
	} {
		t.Run(line, func(t *testing.T) {
			_, ok := parseRequestLine(lines.Line{Text: []byte(line)})
			assert.False(t, ok)
			assert.Equal(t, want, badRequest([]byte(line)))
		})
	}
	r, ok := parseRequestLine(lines.Line{Text: []byte("GET /" + strings.Repeat("x", 100)), Long: true})
	assert.True(t, ok)
	assert.Equal(t, "1.1", r.version, "the version is in what was cut off")
}

func TestUnescape(t *testing.T) {
	for b := range 0x100 {
		for _, format := range []string{"%%%02x", "%%%02X", "%%u00%02x"} {
			text, odd := unescape(fmt.Appendf(nil, format, b))
			assert.Equal(t, string([]byte{byte(b)}), string(text), format, b)
			assert.Empty(t, odd)
		}
		valid := strings.IndexByte("0123456789abcdefABCDEF", byte(b)) >= 0
		for _, escape := range []string{"%?0", "%0?", "%u?000", "%u0?00", "%u00?0", "%u000?"} {
			escape = strings.Replace(escape, "?", string([]byte{byte(b)}), 1)
			text, _ := unescape([]byte(escape))
			assert.Equal(t, valid, !strings.HasPrefix(string(text), "%"), "%q", escape)
		}
	}
}

func TestNumbers(t *testing.T) {
	for text, want := range map[string][2]int64{ // in decimal and in hexadecimal, -1 for none
		"": {-1, -1}, "0": {0, 0}, "9": {9, 9}, "19;x": {19, 25}, "1a": {1, 26}, "fF": {-1, 255}, "Ag": {-1, 10}, "0G": {0, 0},
		"/": {-1, -1}, ":": {-1, -1}, "@": {-1, -1}, "`": {-1, -1}, "-1": {-1, -1}, "+1": {-1, -1},
		"9223372036854775807": {9223372036854775807, -1}, "9223372036854775808": {-1, -1},
		"7fffffffffffffff": {7, 9223372036854775807}, "8000000000000000": {8000000000000000, -1},
	} {
		t.Run(text, func(t *testing.T) {
			for i, base := range []int{10, 16} {
				n, ok := number([]byte(text), base)
				assert.Equal(t, want[i] >= 0, ok, "%q in %d", text, base)
				assert.Equal(t, max(want[i], 0), n, "%q in %d", text, base)
			}
		})
	}
}

func TestStatusLines(t *testing.T) {
	for line, want := range map[string]string{
		"HTTP/1.1 200": "1.1 200 <empty>", "HTTP/1.0\t404 \tNot Found": "1.0 404 Not Found", "HTTP/1.1 2000 OK": "1.1 200 OK",
		"HTTP/ 200 OK": "0.0 200 OK", "HTTP/1.1x 999  ": "1.1 999 ", "HTTP/1.1 x00 OK": "1.1 0 OK", "HTTP/1.1 000": "1.1 0 <empty>",
		"HTTP/1.1 -10 OK": "1.1 0 OK", "HTTP/1.1 20": "", "HTTP/1.1 ": "", "HTTP/1.1": "", "HTTP": "", "SIP/2.0 200 OK": "",
	} {
		t.Run(line, func(t *testing.T) {
			r, ok := parseStatusLine([]byte(line))
			assert.Equal(t, want != "", ok)
			if ok {
				assert.Equal(t, want, fmt.Sprintf("%s %d %s", r.version, r.code, r.reason))
			}
		})
	}
}

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		orig, resp string
		want       protocol.Verdict
	}{
		{"", "", protocol.Maybe},
		{"GE", "", protocol.Maybe},
		{"\r\n\nGET / HTTP/1.1\r\n", "", protocol.Yes},
		{"GET / HTTP/1.1", "", protocol.Maybe},
		{"GET / HTTP/1.1\r\n", "", protocol.Yes},
		{"X / HTTP/1.1\r\n", "", protocol.Yes},
		{"GET / HTTP/1.1\r\n", "HTTP/1.1 200", protocol.Yes},
		{"GET / HTTP/1.1\r\n", "HT", protocol.Yes},
		{"GET / HTTP/1.1\r\n", "SSH-2.0", protocol.Half},
		{"GET / HTTP/1.1\r\n", "\r\nSSH-2.0", protocol.Half},
		{"GET / HTTP/1.1\r\n", "\n\r\n\n", protocol.Yes},
		{"GET / HT", "SSH-2.0", protocol.Maybe},
		{"", "SSH-2.0", protocol.Maybe},
		{"", "\r\n\nHTTP/1.1 200", protocol.Yes},
		{"junk\r\n", "\nHTTP/1.1 200", protocol.Yes},
		{"\x16\x03\x01", "SSH-2.0", protocol.No},
		{"", "HTTP/", protocol.Maybe},
		{"", "HTTP/1.1 200", protocol.Yes},
		{"GET /\r\n", "HTTP/1.1 200", protocol.Yes},
		{"", "HTTP/x", protocol.Maybe},
		{"GET /\r\n", "", protocol.No},
		{"OPTIONS rtsp://h RTSP/1.0\r\n", "", protocol.No},
		{"\x16\x03\x01", "", protocol.No},
		{strings.Repeat("A", 32), "", protocol.Maybe},
		{strings.Repeat("A", 33), "", protocol.No},
		{strings.Repeat("A", 32) + " / HTTP/1.1\r\n", "", protocol.Yes},
		{strings.Repeat("A", 33) + " / HTTP/1.1\r\n", "", protocol.No},
		{" / HTTP/1.1\r\n", "", protocol.No},
		{"GET\t/ HTTP/1.1\r\n", "", protocol.No},
		{"GET HTTP/1.1", "http/1", protocol.Yes},
		{"", "HTTP/:", protocol.Maybe},
		{"USER me\r\n", "220 FTP", protocol.No},
	} {
		t.Run(fmt.Sprintf("%q %q", tt.orig, tt.resp), func(t *testing.T) {
			assert.Equal(t, tt.want, New(nil).Match([]byte(tt.orig), []byte(tt.resp)))
		})
	}
}

func TestConnectHandsOver(t *testing.T) {
	turns := []Turn{
		Orig("CONNECT h:25 HTTP/1.1\r\nHost: h\r\n\r\n"),
		Resp("HTTP/1.1 200 Connection established\r\nContent-Length: 9\r\n\r\n220 hi\r\n"),
		Orig("EHLO"),
	}
	assert.Equal(t, []string{"1 CONNECT h h:25 1.1 0 0 200 Connection established"}, play(t, turns...))
	c := Conn()
	res := Play(t, New(&Recorder{}), c, turns...)
	assert.Equal(t, Result{Next: protocol.HandOver, Rest: [2]string{"EHLO", "220 hi\r\n"}}, res)
	assert.False(t, conn.Registered(c, finalize), "nothing is pending")
}

// A request that is sent before the reply to CONNECT does not cancel the CONNECT.
func TestRequestPipelinedAfterConnect(t *testing.T) {
	res := Play(t, New(&Recorder{}), Conn(), Orig("CONNECT h:25 HTTP/1.1\r\n\r\n"+get), Resp("HTTP/1.1 200 OK\r\n\r\n"))
	assert.Equal(t, protocol.HandOver, res.Next)
}

// As in Zeek, a line that begins with a zero byte ends a header.
func TestZeroByteEndsHeader(t *testing.T) {
	assert.Equal(t, []string{"1 GET h /a 1.1 0 5 200 OK", "2 GET - / 1.1 0 5 200 OK"}, play(t,
		Orig("GET /a HTTP/1.1\r\nHost: h\r\n\x00\r\n"+get), Resp(ok+ok),
	))
}

// As in Zeek, only 200 accepts a CONNECT.
func TestRefusedConnectContinues(t *testing.T) {
	for _, status := range []string{"403 No", "201 Created"} {
		t.Run(status, func(t *testing.T) {
			assert.Equal(t, []string{"1 CONNECT - h:25 1.1 0 5 " + status, "2 GET - / 1.1 0 5 200 OK"}, play(t,
				Orig("CONNECT h:25 HTTP/1.1\r\n\r\n"),
				Resp("HTTP/1.1 "+status+"\r\nContent-Length: 5\r\n\r\nhello"),
				Orig("GET / HTTP/1.1\r\n\r\n"),
				Resp(ok),
			))
		})
	}
}

func TestUpgradeHandsOver(t *testing.T) {
	turns := []Turn{
		Orig("GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
		Resp("HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x05hello"),
		Orig("\x88\x00"),
	}
	assert.Equal(t, []string{"1 GET - /ws 1.1 0 0 101 Switching"}, play(t, turns...))
	o, c := &Recorder{}, Conn()
	res := Play(t, New(o), c, turns...)
	assert.Equal(t, Result{Next: protocol.HandOver, Rest: [2]string{"\x88\x00", "\x81\x05hello"}}, res)
	assert.True(t, conn.Registered(c, finalize), "a reply like 100 Continue leaves the request pending")
	assert.Empty(t, o.Rows)
	conn.StateRemove(c)
	assert.Len(t, o.Rows, 1)
}

func TestUpgradeNeedsAll(t *testing.T) {
	ws := Orig("GET /ws HTTP/1.1\r\n\r\n")
	const both = "101 S\r\nConnection: upgrade\r\nUpgrade: w"
	for name, tt := range map[string]struct {
		before []Turn
		reply  string
		want   protocol.Next
	}{
		"all":                        {[]Turn{ws}, both, protocol.HandOver},
		"and another token":          {[]Turn{ws}, both + "\r\nConnection: x", protocol.HandOver},
		"no protocol":                {[]Turn{ws}, "101 S\r\nConnection: upgrade\r\nUpgrade:", protocol.More},
		"no field for the protocol":  {[]Turn{ws}, "101 S\r\nConnection: upgrade", protocol.More},
		"no token":                   {[]Turn{ws}, "101 S\r\nUpgrade: w", protocol.More},
		"another token":              {[]Turn{ws}, "101 S\r\nConnection: x\r\nUpgrade: w", protocol.More},
		"another code":               {[]Turn{ws}, "102" + both[3:], protocol.More},
		"no request":                 {nil, both, protocol.More},
		"a reply too many before":    {[]Turn{Resp(ok), ws}, both, protocol.HandOver},
		"a request before":           {[]Turn{ws, Resp(ok), ws}, both, protocol.HandOver},
		"a pipelined request before": {[]Turn{ws, ws, Resp(ok)}, both, protocol.HandOver},
		"a reply that is missing":    {[]Turn{ws, ws, ws, Resp(ok)}, both, protocol.More},
	} {
		t.Run(name, func(t *testing.T) {
			res := Play(t, New(&Recorder{}), Conn(), append(tt.before, Resp("HTTP/1.1 "+tt.reply+"\r\n\r\n"))...)
			assert.Equal(t, tt.want, res.Next)
		})
	}
}

// A request without a length has a body if it is compressed.
func TestCompressedRequests(t *testing.T) {
	for fields, want := range map[string]uint64{
		"Content-Encoding: gzip": 3, "Content-Encoding: X-GZIP": 3, "Content-Encoding: deflate": 3, "Content-Encoding: br": 0,
		"Content-Encoding: gzip\r\nContent-Encoding: br": 3,
	} {
		t.Run(fields, func(t *testing.T) {
			o, c := &Recorder{}, Conn()
			Play(t, New(o), c, Orig("POST / HTTP/1.1\r\n"+fields+"\r\n\r\n"), Orig("\x1f\x8b\x08"))
			conn.StateRemove(c)
			assert.Equal(t, want, o.Rows[0].(*Row).RequestBodyLen)
		})
	}
}

func TestUpgradeOfPipelinedRequests(t *testing.T) {
	get := "GET /ws HTTP/1.1\r\n\r\n"
	assert.Equal(t, []string{"1 GET - /ws 1.1 0 5 200 OK", "2 GET - /ws - 0 0 - -"}, play(t,
		Orig(get+get), Resp("HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"), Resp(ok),
	))
}

func TestHTTPInsideHTTP(t *testing.T) {
	o, c := &Recorder{}, Conn()
	p := New(o)
	Play(t, p, c, Orig("CONNECT h:80 HTTP/1.1\r\n\r\n"), Resp("HTTP/1.1 200 OK\r\n\r\n"))
	Play(t, p, c, Orig("GET / HTTP/1.1\r\n\r\n"), Resp(ok), Orig("GET /2 HTTP/1.1\r\n\r\n"))
	require.Len(t, o.Rows, 2)
	assert.Equal(t, 2, o.Rows[1].(*Row).TransDepth)
	conn.StateRemove(c)
	assert.Len(t, o.Rows, 3)
}

func TestBannerInsideHTTP(t *testing.T) {
	o, c := &Recorder{}, Conn()
	p := New(o)
	Play(t, p, c, Orig("CONNECT h:80 HTTP/1.1\r\n\r\n"), Resp("HTTP/1.1 200 OK\r\n\r\n"))
	res := Play(t, p, c, Resp("welcome\r\n"), Orig("GET / HTTP/1.1\r\n\r\n"), Resp(ok))
	assert.Equal(t, protocol.More, res.Next)
	require.Len(t, o.Rows, 2)
	assert.Equal(t, 200, *o.Rows[1].(*Row).StatusCode)
}

func TestBannerIsBounded(t *testing.T) {
	for n, want := range map[int]expect{maxJunk - 1: startLine, maxJunk: nothing} {
		c := Conn()
		Play(t, New(&Recorder{}), c, Resp(strings.Repeat("x", n-1)+"\nmore\n"))
		assert.Equal(t, want, session.Get(c).sides[protocol.Resp].expect, "%d bytes", n)
	}
}

func TestFinalizerOnlyWhileRowIsPending(t *testing.T) {
	p, c := New(&Recorder{}), Conn()
	get, reply := Orig("GET / HTTP/1.1\r\n\r\n"), Resp(ok)
	turns := []Turn{get, reply}
	Play(t, p, c, get)
	assert.True(t, conn.Registered(c, finalize))
	Play(t, p, c, reply)
	assert.False(t, conn.Registered(c, finalize), "the request has its reply")
	Play(t, p, c, Orig("POST /a HTTP/1.1\r\nContent-Length: 6\r\n\r\nabc"))
	assert.True(t, conn.Registered(c, finalize), "another request")
	Play(t, p, c, reply)
	assert.True(t, conn.Registered(c, finalize), "it is not complete, and its end makes a row")
	Play(t, p, c, Orig("def"))
	assert.True(t, conn.Registered(c, finalize))

	c = Conn()
	assert.Equal(t, protocol.Violation, Play(t, New(&Recorder{}), c, append(turns, Orig("?!\r\n"))...).Next)
	assert.False(t, conn.Registered(c, finalize), "after a violation")

	o := &Recorder{}
	c = Conn()
	Play(t, New(o), c, append(turns, get, Resp("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"), Orig("?!\r\n"))...)
	assert.False(t, conn.Registered(c, finalize), "which ends the current reply")
	assert.Len(t, o.Rows, 2)

	c = Conn()
	Play(t, New(&Recorder{}), c, append(turns, Ends()...)...)
	assert.False(t, conn.Registered(c, finalize), "after both ends")

	c = Conn()
	Play(t, New(&Recorder{}), c, get, Resp("HTTP/1.0 200 OK\r\n\r\nall"), Turn{End: true})
	assert.False(t, conn.Registered(c, finalize), "after the end of a reply without a length")

	c = Conn()
	Play(t, New(&Recorder{}), c, append(turns[:1:1], Ends()...)...)
	assert.True(t, conn.Registered(c, finalize), "a reply is missing")
}

func TestConfirmedByARequest(t *testing.T) {
	o, c := &Recorder{}, Conn()
	Play(t, New(o), c, Resp(ok), Orig("?!\r\n"))
	assert.False(t, o.Confirmed)
	o, c = &Recorder{}, Conn()
	Play(t, New(o), c, Resp(ok), Orig("GET / HTTP/1.1\r\n"))
	assert.True(t, o.Confirmed)
}

func TestGaps(t *testing.T) {
	lost := func(turn Turn, n int) Turn { turn.Lost = n; return turn }
	get := Orig("GET /a HTTP/1.1\r\n\r\n")
	long := "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
	for name, tt := range map[string]struct {
		turns []Turn
		want  []string
	}{
		"inside a body":     {[]Turn{get, lost(Resp(long+"ab"), 5), Resp("hij"), get, Resp(ok)}, []string{"1 GET - /a 1.1 0 10 200 OK", "2 GET - /a 1.1 0 5 200 OK"}},
		"to a body's end":   {[]Turn{get, lost(Resp(long+"ab"), 8), get, Resp(ok)}, []string{"1 GET - /a 1.1 0 10 200 OK", "2 GET - /a 1.1 0 5 200 OK"}},
		"past a body's end": {[]Turn{get, lost(Resp(long+"ab"), 9), get, Resp(ok)}, []string{"1 GET - /a 1.1 0 2 200 OK", "2 GET - /a - 0 0 - -"}},
		"a whole body":      {[]Turn{get, lost(Resp(long), 10), get, Resp(ok)}, []string{"1 GET - /a 1.1 0 0 200 OK", "2 GET - /a - 0 0 - -"}},
		"in the requests":   {[]Turn{get, Resp(long + "ab"), lost(get, 1), Resp("cdefghij" + ok)}, []string{"1 GET - /a 1.1 0 2 200 OK", "2 GET - /a - 0 0 - -"}},
		"between replies":   {[]Turn{get, lost(Orig(""), 40), Resp(ok), Resp(ok)}, []string{"1 GET - /a 1.1 0 5 200 OK", "2 - - - 1.1 0 5 200 OK"}},
		"in a chunk": {
			[]Turn{get, lost(Resp("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\na"), 7), Resp("\r\n0\r\n\r\n")},
			[]string{"1 GET - /a 1.1 0 8 200 OK"},
		},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tt.want, play(t, tt.turns...)) })
	}
}

func TestGapsInBothSidesEndHTTP(t *testing.T) {
	c, gap := Conn(), Turn{FromOrig: true, Lost: 1}
	res := Play(t, New(&Recorder{}), c, Orig(get), Resp("HTTP/1.1 200 OK\r\n"), gap)
	assert.Equal(t, protocol.Stop, res.Next)
	assert.False(t, conn.Registered(c, finalize))
}

func TestTooManyPendingRequestsAreLogged(t *testing.T) {
	for name, request := range map[string]string{
		"short": "GET / HTTP/1.1\r\n\r\n", "long": "GET /" + strings.Repeat("x", 4000) + " HTTP/1.1\r\nHost: h\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			const n = 10 * maxPending
			o, c := &Recorder{}, Conn()
			p := New(o)
			for range n {
				Play(t, p, c, Orig(request))
				s := session.Get(c)
				require.LessOrEqual(t, len(s.pending), maxPending+1)
				require.LessOrEqual(t, p.MemoryUsed(c), maxHeld+20<<10)
			}
			assert.Equal(t, []string{"HTTP_excessive_pipelining"}, o.Weirds)
			Play(t, p, c, Resp(ok))
			assert.Equal(t, 200, *o.Rows[len(o.Rows)-1].(*Row).StatusCode, "replies go to what is left")
			conn.StateRemove(c)
			require.Len(t, o.Rows, n)
			for i, row := range o.Rows[:n-1-maxPending] {
				require.Equal(t, i+1, row.(*Row).TransDepth)
			}
		})
	}
}

// Requests that end after their replies leave pending rows at places that no reply reaches any
// more.
func TestUnfinishedRequestsAreBounded(t *testing.T) {
	o, c := &Recorder{}, Conn()
	p := New(o)
	for range 3 * maxPending {
		Play(t, p, c, Orig("POST /a HTTP/1.1\r\nContent-Length: 6\r\n\r\nabc"), Resp(ok), Resp("HTTP/1.1 200 OK\r\n"), Orig("def"),
			Resp("Content-Length: 0\r\n\r\n"))
		require.LessOrEqual(t, len(session.Get(c).pending), maxPending+1)
	}
	conn.StateRemove(c)
	assert.Len(t, o.Rows, 3*3*maxPending)
}

func TestFreeMemory(t *testing.T) {
	post := "POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
	one, two := fmt.Sprintf(post, 1), fmt.Sprintf(post, 2)
	turns := []Turn{
		Orig("HEAD /0 HTTP/1.1\r\n\r\n" + one), Resp("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), Orig(two + one),
		Resp("HTTP/1.1 100 Continue\r\n\r\n" + ok + ok + "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"),
		Orig(two), Resp(ok),
	}
	for at := 1; ; at++ {
		n := 0
		rows := account.Check(t, turns, 3, func(i int) bool { n = i; return i == at })
		if at > n {
			break
		}
		// Each request has one row, whenever FreeMemory is called, and later requests have their own.
		require.Len(t, rows, 5, "%d", at)
		for i, row := range rows {
			require.Equal(t, i+1, row.(*Row).TransDepth)
		}
		if at < 40 {
			require.Equal(t, 404, *rows[3].(*Row).StatusCode)
		}
	}
	o, c := &Recorder{}, Conn()
	p := New(o)
	Play(t, p, c, Orig(get))
	p.FreeMemory(c)
	assert.Len(t, o.Rows, 1)
	assert.False(t, conn.Registered(c, finalize), "nothing is pending")
	Play(t, p, c, Orig("GET / HTTP/1.1\r\nHost: h\r\n"))
	p.FreeMemory(c)
	assert.Equal(t, "h", *o.Rows[1].(*Row).Host, "the field that might have been continued is in the row")

	New(nil).FreeMemory(Conn()) // of an unknown connection
	assert.Zero(t, New(nil).MemoryUsed(Conn()))
}

func TestWeirds(t *testing.T) {
	for name, tt := range map[string]struct {
		turns []Turn
		want  []string
	}{
		"nothing": {[]Turn{Orig(get), Resp(ok)}, nil},
		"bad requests": {[]Turn{Orig("\r\n/ HTTP/1.1\r\n")}, []string{
			"bad_HTTP_request", "empty_http_request", "bad_HTTP_request_with_version",
		}},
		"cruft":            {[]Turn{Orig("GET / HTTP/1.0\r\n\r\n?\r\n")}, []string{"bad_HTTP_request"}},
		"several requests": {[]Turn{Orig("GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n")}, []string{"unexpected_multiple_HTTP_requests"}},
		"kept alive by the server": {
			[]Turn{Orig("GET / HTTP/1.0\r\n\r\n"), Resp("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"), Orig("GET / HTTP/1.0\r\n\r\n")},
			[]string{"unexpected_multiple_HTTP_requests"},
		},
		"kept alive":        {[]Turn{Orig("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\nGET / HTTP/1.0\r\n\r\n")}, nil},
		"an unknown method": {[]Turn{Orig("get / HTTP/1.1\r\n\r\n")}, []string{"unknown_HTTP_method"}},
		"standard methods": { // RFC 9110, section 9.3, and RFC 4918, section 9
			[]Turn{Orig(strings.Join(strings.Fields("GET HEAD POST PUT DELETE OPTIONS TRACE CONNECT "+
				"PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK"), " / HTTP/1.1\r\n\r\n") + " / HTTP/1.1\r\n\r\n")}, nil,
		},
		"a method of 0.9":    {[]Turn{Orig("PUT /\r\n\r\n")}, []string{"invalid_http_09_request_method"}},
		"0.9 after a reply":  {[]Turn{Resp(ok), Orig("GET /\r\n\r\n")}, []string{"HTTP_response_before_request", "http_09_reply_before_request"}},
		"lower case":         {[]Turn{Orig("GET / http/1.1\r\n\r\n")}, []string{"lowercase_HTTP_keyword"}},
		"a lower case reply": {[]Turn{Resp("http/1.1 200 OK\r\n\r\n")}, []string{"lowercase_HTTP_keyword"}},
		"no URI":             {[]Turn{Orig("GET HTTP/1.1\r\n\r\n")}, []string{"missing_HTTP_uri"}},
		"another version":    {[]Turn{Orig(get + "GET / HTTP/1.0\r\n\r\n")}, []string{"HTTP_version_mismatch"}},
		"no version":         {[]Turn{Orig("GET / HTTP/x\r\n\r\nGET / HTTP/1.1\r\n\r\n")}, nil},
		"escapes": {[]Turn{Orig("GET /% HTTP/1.1\r\n\r\nGET /%a HTTP/1.1\r\n\r\nGET /%%a HTTP/1.1\r\n\r\nGET /%xx HTTP/1.1\r\n\r\n")}, []string{
			"illegal_%_at_end_of_URI", "partial_escape_at_end_of_URI", "unescaped_%_in_URI",
		}},
		"two percent signs": {[]Turn{Orig("GET /%%41 HTTP/1.1\r\n\r\n")}, []string{"double_%_in_URI"}},
		"a bad chunk":       {[]Turn{Orig("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n")}, []string{"HTTP_bad_chunk_size"}},
		"chunked and more": {
			header("Transfer-Encoding: chunked, gzip"), []string{"HTTP_chunked_multi", "HTTP_request_not_chunked_last"},
		},
		"chunked twice":             {header("Transfer-Encoding: chunked, chunked"), []string{"HTTP_chunked_multi"}},
		"chunked after gzip":        {header("Transfer-Encoding: gzip, chunked"), nil},
		"chunked with a parameter":  {header("Transfer-Encoding: chunked;a=b"), []string{"HTTP_chunked_multi"}},
		"not chunked":               {header("Transfer-Encoding: gzip"), []string{"HTTP_request_not_chunked_last"}},
		"a reply that is not":       {[]Turn{Orig(get), Resp("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n")}, nil},
		"chunked and a length":      {header("Transfer-Encoding: chunked\r\nContent-Length: 1"), []string{"HTTP_content_length_and_chunked"}},
		"no length and chunked":     {header("Content-Length: 0\r\nTransfer-Encoding: chunked"), []string{"HTTP_content_length_and_chunked"}},
		"a length and chunked":      {header("Content-Length: 1\r\nTransfer-Encoding: chunked"), []string{"HTTP_content_length_and_chunked"}},
		"chunked, and a comma":      {header("Transfer-Encoding: chunked, ,"), nil},
		"a zero before one":         {header("Content-Length: 01"), []string{"HTTP_content_length_leading_zeros"}},
		"zeros":                     {header("Content-Length: 00"), nil},
		"a bad length":              {header("Content-Length: x"), []string{"HTTP_bad_content_length"}},
		"zeros before a length":     {header("Content-Length: 05"), []string{"HTTP_content_length_leading_zeros"}},
		"no length":                 {header("Content-Length: 0\r\nContent-Length:"), nil},
		"nothing to continue":       {header("Content-Length: 0\r\nExpect: 100-continue"), []string{"HTTP_content_length_0_and_expect_100_cont"}},
		"to continue with nothing":  {header("Expect: 100-Continue\r\nContent-Length: 0"), []string{"HTTP_content_length_0_and_expect_100_cont"}},
		"to continue with a length": {header("Expect: 100-continue\r\nContent-Length: 1"), nil},
		"another expectation":       {header("Expect: more"), []string{"HTTP_expect_not_100_continue"}},
		"a folded field":            {header("Host: a\r\n b"), []string{"HTTP_obsolete_line_folding"}},
		"a long field": {
			header("Host: a\r\n " + strings.Repeat("b", lines.Max-10) + "\r\n " + strings.Repeat("c", 100)),
			[]string{"HTTP_obsolete_line_folding", "exceeded_mime_max_header_bytes", "log_string_field_truncated"},
		},
		"a range and another length":        {partial("Content-Range: bytes 0-4/9\r\nContent-Length: 4"), []string{"HTTP_range_not_matching_len"}},
		"a length and another range":        {partial("Content-Length: 4\r\nContent-Range: bytes 0-4/9"), []string{"HTTP_range_not_matching_len"}},
		"a range and its length":            {partial("Content-Length: 5\r\nContent-Range: bytes 0-4/9\r\nContent-Length: 5"), nil},
		"a range and chunks":                {partial("Transfer-Encoding: chunked\r\nContent-Range: bytes 0-4/9"), []string{"HTTP_content_range_and_chunked"}},
		"a range of one byte, and a length": {partial("Content-Range: bytes 0-0/9\r\nContent-Length: 2"), []string{"HTTP_range_not_matching_len"}},
		"a length of one byte, and a range": {partial("Content-Length: 1\r\nContent-Range: bytes 0-4/9"), []string{"HTTP_range_not_matching_len"}},
		"no length, and a range":            {partial("Content-Length: 0\r\nContent-Range: bytes 0-4/9"), nil},
		"another unit and a length": {
			partial("Content-Range: words 0-4/x\r\nContent-Length: 2"), []string{"HTTP_content_range_unknown_byte_unit"},
		},
		"a malformed range and a length": {
			partial("Content-Range: bytes 0-x/x\r\nContent-Length: 2"), []string{"HTTP_content_range_cannot_parse"},
		},
		"a negative range of an unknown size": {partial("Content-Range: bytes 4-3/x"), []string{"HTTP_non_positive_content_range"}},
		"all of an unknown size": {
			partial("Content-Range: bytes 0-9223372036854775807/x"), []string{"HTTP_content_range_overflow"},
		},
		"nearly all":                  {partial("Content-Range: bytes 1-9223372036854775807/*"), nil},
		"a range of two digits":       {partial("Content-Range: bytes 10-20/99\r\nContent-Length: 11"), nil},
		"blanks in a range":           {partial("Content-Range: bytes  0 - 4 / 9\r\nContent-Length: 5"), nil},
		"another unit":                {partial("Content-Range: words 0-4/9"), []string{"HTTP_content_range_unknown_byte_unit"}},
		"a range without a slash":     {partial("Content-Range: bytes 0-4"), []string{"HTTP_content_range_cannot_parse"}},
		"a range without a hyphen":    {partial("Content-Range: bytes 04/9"), []string{"HTTP_content_range_cannot_parse"}},
		"a range without a start":     {partial("Content-Range: bytes -4/9"), []string{"HTTP_content_range_cannot_parse"}},
		"a range without an end":      {partial("Content-Range: bytes 4-/9"), []string{"HTTP_content_range_cannot_parse"}},
		"a negative range":            {partial("Content-Range: bytes 4-3/9"), []string{"HTTP_non_positive_content_range"}},
		"a range of all":              {partial("Content-Range: bytes 0-9223372036854775807/*"), []string{"HTTP_content_range_overflow"}},
		"a range of a malformed size": {partial("Content-Range: bytes 0-4/x"), []string{"HTTP_content_range_invalid_instance"}},
		"a carriage return":           {header("Host: a\rReferer: b"), []string{"line_terminated_with_single_CR"}},
	} {
		t.Run(name, func(t *testing.T) {
			o, c := &Recorder{}, Conn()
			Play(t, New(o), c, tt.turns...)
			assert.Equal(t, tt.want, o.Weirds)
		})
	}
}

// weird.log quotes at most 64 bytes.
func TestWeirdsQuoteBriefly(t *testing.T) {
	long := strings.Repeat("x", 100)
	for request, want := range map[string]string{
		"x / HTTP/1.1": "x", long + " / HTTP/1.1": long[:64], "PUT /": "PUT", "POST / HTTP/1.1\r\nContent-Length: x": "x",
		"POST / HTTP/1.1\r\nContent-Length: " + long: long[:64], "GET / HTTP/1.1\r\nHost: a\r\n b": "Host", "GET / http/1.1": "",
	} {
		t.Run(request, func(t *testing.T) {
			o := &Recorder{}
			Play(t, New(o), Conn(), Orig(request+"\r\n\r\n"))
			require.Len(t, o.Weirds, 1)
			assert.Equal(t, want, o.Addl[o.Weirds[0]])
		})
	}
}

const get = "GET / HTTP/1.1\r\n\r\n"

// header returns a request with some fields.
func header(fields string) []Turn { return []Turn{Orig("POST / HTTP/1.1\r\n" + fields + "\r\n\r\n")} }

// partial returns a reply with a part of something, and some fields.
func partial(fields string) []Turn { return []Turn{Resp("HTTP/1.1 206 OK\r\n" + fields + "\r\n\r\n")} }

// The fields that frame a message count wherever they are in the header, and however they are
// written.
func TestFraming(t *testing.T) {
	const body = "GET /not HTTP/1.1\r\n\r\n" // 22 bytes
	long := strings.Repeat("x", 40000)
	for name, tt := range map[string]struct {
		fields, body, want string
	}{
		"a length":                      {"Content-Length: 22", body, "22"},
		"after many fields":             {strings.Repeat("A: "+long[:1000]+"\r\n", 100) + "Content-Length: 22", body, "22"},
		"after a long field":            {"A: " + long + "\r\nContent-Length: 22", body, "22"},
		"after a field that looks so":   {"A: " + long[:lines.Max-3] + "Content-Length: 1\r\nContent-Length: 22", body, "22"},
		"after lines that are no field": {strings.Repeat("\x01\r\n", 10000) + "no field\r\nContent-Length: 22", body, "22"},
		"in another case":               {"CONTENT-length:22", body, "22"},
		"a blank before the colon":      {"Content-Length : 22", body, "22"},
		"on the next line":              {"Content-Length:\r\n 22", body, "22"},
		"the last of several":           {"Content-Length: 5\r\nContent-Length: 22", body, "22"},
		"chunks":                        {"Transfer-Encoding: chunked", "16\r\n" + body + "\r\n0\r\n\r\n", "22"},
		"chunks on the next line":       {"Transfer-Encoding:\r\n\tchunked", "16\r\n" + body + "\r\n0\r\n\r\n", "22"},
		"chunks beside a length":        {"Content-Length: 5\r\nTransfer-Encoding: chunked", "16\r\n" + body + "\r\n0\r\n\r\n", "22"},
		"a field in the trailer":        {"Transfer-Encoding: chunked", "16\r\n" + body + "\r\n0\r\nHost: h\r\n\r\n", "22"},
		"no body":                       {"Content-Length: 0", "", "0"},
	} {
		t.Run(name, func(t *testing.T) {
			turns := []Turn{
				Orig("POST /a HTTP/1.1\r\n" + tt.fields + "\r\n\r\n" + tt.body + "GET /b HTTP/1.1\r\n\r\n"), Resp(ok + ok),
			}
			o, c := &Recorder{}, Conn()
			Play(t, New(o), c, turns...)
			require.Len(t, o.Rows, 2)
			assert.Equal(t, tt.want, fmt.Sprint(o.Rows[0].(*Row).RequestBodyLen))
			assert.Equal(t, "/b", *o.Rows[1].(*Row).URI)
			if strings.Contains(name, "trailer") {
				assert.Equal(t, "h", *o.Rows[0].(*Row).Host)
			}
		})
	}
}

// The last transfer coding decides (RFC 9112, section 6.1), in whichever fields the codings are.
func TestTransferEncoding(t *testing.T) {
	const chunks = "3\r\nabc\r\n0\r\n\r\n" // 13 bytes
	const next = "HTTP/1.1 204 N\r\n\r\n"  // 18 bytes
	for fields, want := range map[string]string{
		"Transfer-Encoding: chunked":                                            "3",
		"Transfer-Encoding: gzip, chunked":                                      "3",
		"transfer-encoding:GZIP,CHUNKED":                                        "3",
		"Transfer-Encoding : gzip\t , \t chunked \t":                            "3",
		"Transfer-Encoding: gzip,\r\n chunked":                                  "3",
		"Transfer-Encoding: , gzip,, chunked,":                                  "3",
		"Transfer-Encoding: gzip\r\nX: y\r\nTransfer-Encoding: chunked":         "3",
		"Transfer-Encoding: gzip, deflate\r\nTransfer-Encoding: br, chunked":    "3",
		"Transfer-Encoding: x;q=\"a, \\\"b\", chunked":                          "3",
		"Transfer-Encoding: identity, chunked":                                  "3",
		"Transfer-Encoding: x\\, chunked":                                       "3",
		"Transfer-Encoding: chunked, identity":                                  "3",
		"Content-Length: 5\r\nTransfer-Encoding: gzip, chunked":                 "3",
		"Transfer-Encoding: gzip, chunked\r\nContent-Length: 5":                 "3",
		"Transfer-Encoding: gzip, chunked\r\nTransfer-Encoding:":                "3",
		"Transfer-Encoding: identity\r\nContent-Length: 13":                     "13",
		"Transfer-Encoding:\r\nContent-Length: 13":                              "13",
		"Transfer-Encoding: chunked, gzip":                                      "31",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip":                 "31",
		"Transfer-Encoding: gzip\r\nContent-Length: 5":                          "31",
		"Transfer-Encoding: x\r\nContent-Length: 5":                             "31",
		"Content-Length: 5\r\nTransfer-Encoding: xchunked":                      "31",
		"Transfer-Encoding: x;q=\", chunked\"":                                  "31",
		"Transfer-Encoding: " + strings.Repeat("gzip, ", 1000) + "chunked":      "3",
		"Transfer-Encoding: chunked" + strings.Repeat(", gzip", 1000) + ", x\"": "31",
	} {
		t.Run("reply with "+fields[:min(len(fields), 100)], func(t *testing.T) {
			rows := play(t, Orig(get+get), Resp("HTTP/1.1 200 OK\r\n"+fields+"\r\n\r\n"+chunks+next), Ends()[1])
			second := "2 GET - / 1.1 0 0 204 N"
			if want == "31" {
				second = "2 GET - / - 0 0 - -" // it was part of the body
			}
			assert.Equal(t, []string{"1 GET - / 1.1 0 " + want + " 200 OK", second}, rows)
		})
		if want == "31" {
			continue
		}
		t.Run("request with "+fields[:min(len(fields), 100)], func(t *testing.T) {
			assert.Equal(t, []string{"1 POST - / 1.1 " + want + " 5 200 OK", "2 GET - / 1.1 0 5 200 OK"}, play(t,
				Orig("POST / HTTP/1.1\r\n"+fields+"\r\n\r\n"+chunks+get), Resp(ok+ok),
			))
		})
	}
}

// A server cannot know the length of a request whose last coding is not chunked. With a
// Content-Length, a lenient one uses that.
func TestRequestNotChunkedLast(t *testing.T) {
	for name, tt := range map[string]struct {
		fields string
		want   []string
	}{
		"without a length": {"Transfer-Encoding: chunked, gzip", []string{"1 POST - / 1.1 21 5 200 OK"}},
		"with a length": {
			"Transfer-Encoding: gzip\r\nContent-Length: 3", []string{"1 POST - / 1.1 3 5 200 OK", "2 GET - / - 0 0 - -"},
		},
		"with length 0": {
			"Content-Length: 3\r\nTransfer-Encoding: gzip", []string{"1 POST - / 1.1 3 5 200 OK", "2 GET - / - 0 0 - -"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tt.want, play(t, Orig("POST / HTTP/1.1\r\n"+tt.fields+"\r\n\r\nabc"+get), Ends()[0], Resp(ok)))
		})
	}
}

func TestEmptyTextsAreLogged(t *testing.T) {
	o, c := &Recorder{}, Conn()
	Play(t, New(o), c,
		Orig("GET / HTTP/1.1\r\nHost:\r\nReferer: \r\nUser-Agent:\t\r\nOrigin:\r\nVia:\r\nAuthorization: Basic OnNlY3JldA==\r\n\r\n"),
		Resp("HTTP/1.1 103 \r\n\r\nHTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"),
	)
	require.Len(t, o.Rows, 1)
	var row map[string]any
	require.NoError(t, json.Unmarshal([]byte(o.JSON(t)[0]), &row))
	for _, field := range strings.Fields("host referrer user_agent origin status_msg info_msg username") {
		t.Run(field, func(t *testing.T) {
			require.Contains(t, row, field)
			assert.Empty(t, row[field])
		})
	}
	assert.Equal(t, []any{"VIA -> "}, row["proxied"])

	t.Run("unless they were not sent", func(t *testing.T) {
		o, c := &Recorder{}, Conn()
		Play(t, New(o), c, Orig(get), Resp("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"))
		row := o.Rows[0].(*Row)
		for _, field := range []*string{row.Host, row.Referrer, row.UserAgent, row.Origin, row.InfoMsg, row.Username} {
			assert.Nil(t, field)
		}
		assert.Equal(t, "<empty>", *row.StatusMsg)
	})
}

// A request line too long to be kept whole is not one of HTTP/0.9, whose reply would be ignored.
func TestLongRequestLine(t *testing.T) {
	long := strings.Repeat("x", 100000)
	o, c := &Recorder{}, Conn()
	Play(t, New(o), c, Orig("GET /"+long+" HTTP/1.1\r\nHost: h\r\n\r\n"), Resp(ok), Orig(get), Resp(ok))
	require.Len(t, o.Rows, 2)
	assert.Equal(t, 200, *o.Rows[0].(*Row).StatusCode)
	assert.Equal(t, "h", *o.Rows[0].(*Row).Host)
	assert.Contains(t, o.Weirds, "contentline_size_exceeded")

	o, c = &Recorder{}, Conn()
	Play(t, New(o), c, Orig("GET /"+long), Orig(long), Orig(" HTTP/1.1\r\nHo"), Orig("st: h\r\n\r\n"), Resp(ok))
	require.Len(t, o.Rows, 1, "it comes piece by piece")
	assert.Equal(t, "h", *o.Rows[0].(*Row).Host)
}

// While a request has not ended, its version also applies to the reply.
func TestVersionOfChunks(t *testing.T) {
	const chunks = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
	assert.Equal(t, []string{"1 POST - / 1.0 0 1 200 OK", "2 - - - - 2 0 - -"}, play(t,
		Orig("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n"), Resp(chunks), Orig("ab"),
	))
}

func TestRow(t *testing.T) {
	o := &Recorder{}
	c := Conn()
	Play(t, New(o), c,
		Orig("GET /\xff HTTP/1.1\r\nHost:\r\nReferer: r\r\nUser-Agent: ua\r\nOrigin: o\r\nVia: 1\r\nVia: 2\r\nVia: 1\r\n"+
			"Authorization: Basic bWU6c2VjcmV0\r\n\r\n"),
		Resp("HTTP/1.1 100 Continue\r\n\r\n"+ok),
	)
	require.Len(t, o.JSON(t), 1)
	assert.Zero(t, session.Get(c).size, "nothing is pending")
	assert.JSONEq(t, `{
		"_path": "http", "ts": 1715940000.000000, "uid": "CTest",
		"id.orig_h": "192.0.2.1", "id.orig_p": 40000, "id.resp_h": "198.51.100.2", "id.resp_p": 80,
		"trans_depth": 1, "method": "GET", "host": "", "uri": "/\\xff", "referrer": "r", "version": "1.1",
		"user_agent": "ua", "origin": "o", "request_body_len": 0, "response_body_len": 5,
		"status_code": 200, "status_msg": "OK", "info_code": 100, "info_msg": "Continue",
		"tags": [], "username": "me", "proxied": ["VIA -> 1", "VIA -> 2"]
	}`, o.JSON(t)[0])
}

// A row appends what its json tags say, member by member.
func TestRowFollowsItsTags(t *testing.T) {
	text, status := "<\"\\\x01&ü>", 200
	full := Row{
		Header: logs.NewHeader("http", Conn(), Start), TransDepth: 20, Method: text, Host: &text, URI: &text, Referrer: &text, Version: text,
		UserAgent: &text, Origin: &text, RequestBodyLen: 30, ResponseBodyLen: 40, StatusCode: &status, StatusMsg: &text,
		InfoCode: 100, InfoMsg: &text, Tags: []string{text, "b"}, Username: &text, Proxied: []string{"a", text},
	}
	empty := ""
	for name, row := range map[string]*Row{
		"full": &full, "unset": {Header: full.Header, Tags: []string{}},
		"short lists": {Header: full.Header, Tags: []string{"a"}, Proxied: []string{"a"}},
		"empty texts": {Header: full.Header, Host: &empty, URI: &empty, StatusMsg: &empty, Username: &empty},
	} {
		t.Run(name, func(t *testing.T) {
			type tagged Row // without AppendJSON
			var want bytes.Buffer
			e := json.NewEncoder(&want)
			e.SetEscapeHTML(false)
			require.NoError(t, e.Encode((*tagged)(row)))
			assert.Equal(t, want.String(), string(row.AppendJSON(nil))+"\n")
		})
	}
}

func TestUsername(t *testing.T) {
	for value, want := range map[string]string{
		"Basic bWU6c2VjcmV0": "me", "BASIC   bWU6c2VjcmV0": "me", "Basic bWU6YTpi": "me", "Basic Og==": "",
		"Basic ": "<problem-decoding> ()", "Basic bWU=": "<problem-decoding> (bWU=)", "Basic !": "<problem-decoding> (!)",
		"Basic": "none", "Digest bWU6c2VjcmV0": "none",
	} {
		for _, name := range []string{"Authorization", "Proxy-Authorization"} {
			t.Run(name+": "+value, func(t *testing.T) {
				o, c := &Recorder{}, Conn()
				Play(t, New(o), c, Orig("GET / HTTP/1.1\r\n"+name+": "+value+"\r\n\r\n"), Resp(ok))
				got := o.Rows[0].(*Row).Username
				if want == "none" {
					assert.Nil(t, got)
					return
				}
				require.NotNil(t, got)
				assert.Equal(t, want, *got)
			})
		}
	}
}

func TestLongTextsAreCut(t *testing.T) {
	o, c := &Recorder{}, Conn()
	long := strings.Repeat("x", 100000)
	var many strings.Builder
	for i := range 2 * maxProxies {
		fmt.Fprintf(&many, "Via: %d\r\n", i)
	}
	Play(t, New(o), c, Orig("GET /"+long[:10000]+" HTTP/1.1\r\n"+many.String()+"User-Agent: "+long+"\r\nHost: h\r\n\r\n"), Resp(ok))
	row := o.Rows[0].(*Row)
	assert.Len(t, *row.URI, logs.MaxText)
	assert.Len(t, *row.UserAgent, logs.MaxText)
	assert.Len(t, row.Proxied, maxProxies)
	assert.Equal(t, []string{
		"log_string_field_truncated", "log_container_field_truncated", "contentline_size_exceeded",
	}, o.Weirds)
	assert.Equal(t, "h", *row.Host)
}

func TestLongestTextsFit(t *testing.T) {
	uri := "/" + strings.Repeat("x", logs.MaxText-1)
	for _, tt := range []struct {
		uri  string
		want []string
	}{{uri, nil}, {uri + "y", []string{"log_string_field_truncated"}}} {
		t.Run(tt.uri, func(t *testing.T) {
			o, c := &Recorder{}, Conn()
			Play(t, New(o), c, Orig("GET "+tt.uri+" HTTP/1.1\r\n\r\n"), Resp(ok))
			assert.Equal(t, uri, *o.Rows[0].(*Row).URI)
			assert.Equal(t, tt.want, o.Weirds)
		})
	}
}

// A full row takes no more proxies.
func TestProxiesOfARowAreBounded(t *testing.T) {
	bytes := func(n int) string { return strings.Repeat("\xff", n) } // each is four in the row
	full := "Host:" + bytes(4096) + "\r\nReferer:" + bytes(4095)     // with GET and a slash, 32 KB
	for _, tt := range []struct {
		uri, fields string
		want        int
	}{{"/", full, 1}, {"/x", full, 0}, {"/", "Via: \xff", 2}} {
		t.Run(tt.uri, func(t *testing.T) {
			o, c := &Recorder{}, Conn()
			Play(t, New(o), c, Orig("GET "+tt.uri+" HTTP/1.1\r\n"+tt.fields+"\r\nVia: 1\r\n\r\n"), Resp(ok))
			assert.Len(t, o.Rows[0].(*Row).Proxied, tt.want)
		})
	}
}

// MemoryUsed counts everything that can grow: rows with the targets of their pointers, texts, and
// fields that may be continued.
func TestHeldCounts(t *testing.T) {
	held := func(turns []Turn) int {
		p, c := New(&Recorder{}), Conn()
		Play(t, p, c, turns...)
		return p.MemoryUsed(c)
	}
	request := func(fields ...string) []Turn { // whose last field is not kept
		return []Turn{Orig("GET / HTTP/1.1\r\n" + strings.Join(append(fields, "X:"), "\r\n") + "\r\n")}
	}
	reply := func(lines string) []Turn { return append(request(), Resp("HTTP/1.1 "+lines)) }
	several := func(n int, turns ...Turn) []Turn { return append([]Turn{Orig(strings.Repeat(get, n))}, turns...) }
	const place = 24
	row := int(unsafe.Sizeof(Row{})) + len("GET/")
	x := strings.Repeat("x", 100)
	for name, tt := range map[string]struct {
		less, more []Turn
		want       int
	}{
		"a request":                     {[]Turn{Orig("\n")}, several(1), row + place},
		"another":                       {several(1), several(2), row + place},
		"requests with their replies":   {[]Turn{Orig("\n")}, several(4, Resp(strings.Repeat(ok, 4))), 4 * place},
		"many of them":                  {[]Turn{Orig("\n")}, several(5, Resp(strings.Repeat(ok, 5))), 0},
		"a host":                        {request("Host: h"), request("Host: host"), 3},
		"a host that is replaced":       {request("Host: h"), request("Host: host", "Host: h"), 0},
		"a referrer and an agent":       {request(), request("Referer: r", "User-Agent: ua"), 3},
		"an origin":                     {request(), request("Origin: o"), 1},
		"a name":                        {request(), request("Authorization: Basic bWU6c2VjcmV0"), 2},
		"a proxy and its label":         {request(), request("Via: 1"), 8 + 2*16},
		"a proxy again":                 {request("Via: \xff"), request("Via: \xff", "Via: \xff"), 0},
		"a reply":                       {request(), reply("200 OK\r\n"), 2},
		"a reply that is not the last":  {request(), reply("100 OK\r\n"), 2 * 2},
		"a field that may be continued": {[]Turn{Orig("GET / HTTP/1.1\r\nHost:" + x[:16] + "\r\n")}, []Turn{Orig("GET / HTTP/1.1\r\nHost:" + x[:64] + "\r\n")}, 48},
		"also of a reply":               {reply("200 OK\r\nConnection:" + x[:16] + "\r\n"), reply("200 OK\r\nConnection:" + x[:64] + "\r\n"), 48},
		"nothing of other fields":       {request(), request("Cookie: " + x), 0},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tt.want, held(tt.more)-held(tt.less))
		})
	}
}

var account = linestest.Account{
	New: parser, State: func(c *conn.Connection) any { return session.Get(c) }, Retained: 8 << 10, PerByte: 160,
}

func FuzzParser(f *testing.F) {
	for _, turns := range conversations {
		f.Add(Encode(turns...), uint8(3))
	}
	f.Fuzz(func(t *testing.T, input []byte, flush uint8) {
		turns := Decode(input)
		FuzzRows(t, parser, turns...)
		account.CheckAllocations(t, turns, 1+int(flush))
		rows := account.Check(t, turns, 3, func(int) bool { return false })
		account.Check(t, turns, 3, func(n int) bool { return n == int(flush) })
		flushed := account.Check(t, turns, 3, func(n int) bool { return n%(1+int(flush)) == 0 })
		require.Len(t, flushed, len(rows), "rows with FreeMemory in between")
	})
}

var conversations = [][]Turn{
	{Orig(get), Resp(ok), Orig(get), Resp(ok)},
	{Orig("GET /a\r\n"), Resp("<html>"), Ends()[0], Ends()[1]},
	{Orig("GET /a\nHost: h\nAccept"), Resp("<html>"), Ends()[1], Orig(":\n")},
	{Orig("CONNECT h HTTP/1.1\r\n\r\n"), Resp("HTTP/1.1 200 OK\r\n\r\nSSH-"), Orig("EHLO")},
	{
		Orig("POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nHost:\r\n x\r\n\r\n"),
		Resp("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: w\r\n\r\n"),
	},
	{Turn{FromOrig: true, Data: "PUT / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc", Lost: 3}, Orig("xyz")},
	{
		Orig("HEAD /%41 HTTP/1.1\r\nVia: x\r\nHost: h\r\nAuthorization: Basic bWU6c2VjcmV0\r\n\r\n" + get + get),
		Resp("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHTTP/1.1 206 P\r\nContent-Range: bytes 0-4/9\r\n\r\nhello" + ok),
	},
}

// Compare ns/byte: friendly input must be fast, and hostile input not much slower.
func BenchmarkParser(b *testing.B) {
	request := "GET /index.html HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en\r\n" +
		"Accept-Encoding: gzip, deflate, br\r\nReferer: http://www.example.com/\r\nCookie: session=0123456789abcdef\r\n\r\n"
	reply := "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Fri, 17 May 2024 10:00:00 GMT\r\nContent-Type: text/html\r\n" +
		"Content-Length: %d\r\nConnection: keep-alive\r\n\r\n%s"
	body := func(n int) string { return fmt.Sprintf(reply, n, strings.Repeat("x", n)) }
	repeat := func(n int, turns ...Turn) (all []Turn) {
		for range n {
			all = append(all, turns...)
		}
		return all
	}
	for _, bm := range []struct {
		name  string
		turns []Turn
	}{
		{"friendly=bulk", []Turn{Orig(request), Resp(body(1 << 20))}},
		{"friendly=small", repeat(100, Orig(request), Resp(body(1000)))},
		{"hostile=pipelined", []Turn{Orig(strings.Repeat(request, 1000))}},
		{"hostile=short", []Turn{Orig(strings.Repeat("A\tB HTTP/1.1\n\n", 10000))}},
		{"hostile=badlines", []Turn{Orig("GET / HTTP/1.1\r\n" + strings.Repeat("x\n", 100000))}},
		{"hostile=fields", []Turn{Orig("GET / HTTP/1.1\r\n" + strings.Repeat("Via:\n", 100000))}},
		{"hostile=hosts", []Turn{Orig("GET / HTTP/1.1\r\n" + strings.Repeat("Host:h\n", 100000))}},
		{"hostile=chunks", []Turn{Orig("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1\nx\n", 50000))}},
		{"hostile=versions", []Turn{Orig(strings.Repeat("GET |"+strings.Repeat("H", 10000)+" HTTP/1.1\n\n", 10))}},
	} {
		b.Run(bm.name, func(b *testing.B) { account.Bench(b, bm.turns...) })
	}
}

// A logged row is reused, and nothing of it shows in the next one.
func TestRowsAreReused(t *testing.T) {
	o := &Recorder{}
	c, p := Conn(), New(o)
	full := "GET /a HTTP/1.1\r\nHost: h\r\nReferer: r\r\nUser-Agent: u\r\nOrigin: o\r\nVia: x\r\nAuthorization: Basic bWU6c2VjcmV0\r\n\r\n"
	Play(t, p, c, Orig(full), Resp("HTTP/1.1 100 Continue\r\n\r\n"+ok))
	require.NotNil(t, p.spare)
	spare := p.spare
	Play(t, p, c, Orig("GET /b HTTP/1.1\r\n\r\n"))
	assert.Nil(t, p.spare)
	assert.Same(t, spare, session.Get(c).pending[0].row)
	Play(t, p, c, Resp(ok))
	require.Len(t, o.Rows, 2)
	fresh := &Recorder{}
	Play(t, New(fresh), Conn(), Orig("GET /b HTTP/1.1\r\n\r\n"), Resp(ok))
	got, want := o.Rows[1].(*Row), fresh.Rows[0].(*Row)
	want.Header, want.TransDepth = got.Header, 2
	assert.Equal(t, want, got)
}

// The cheapest input for a client to repeat costs the least.
func TestRepetitionIsCheap(t *testing.T) {
	for data, want := range map[string]int{"": 0, "\n": 0, "\n\n": 1, "\n\n\nG": 2, "\n\r\n": 0, "G\n\n": 0, "\r\n\r\n": 0} {
		t.Run(data, func(t *testing.T) {
			assert.Equal(t, want, (&side{}).idle([]byte(data)))
			assert.Zero(t, (&side{expect: headers}).idle([]byte(data)))
		})
	}
	o := &Recorder{}
	c, p := Conn(), New(o)
	Play(t, p, c, Orig("GET / HTTP/1.1\r\nVia: a\r\nVia: b\r\nX: y\r\n"))
	s := session.Get(c)
	r := s.at(c, s.request).row
	assert.Zero(t, testing.AllocsPerRun(10, func() { s.onProxyField(c, r, "VIA -> ", []byte("a")) }))
	assert.Equal(t, []string{"VIA -> a", "VIA -> b"}, r.Proxied)
}

// BenchmarkRow writes a row that appends itself, and the same row encoded by its json tags.
func BenchmarkRow(b *testing.B) {
	o := &Recorder{}
	Play(b, New(o), Conn(), Orig("GET /a HTTP/1.1\r\nHost: h\r\nReferer: r\r\nUser-Agent: u\r\n\r\n"), Resp(ok))
	type tagged Row // without AppendJSON
	row := o.Rows[0].(*Row)
	for name, row := range map[string]logs.Row{"row=appender": row, "row=tagged": (*tagged)(row)} {
		b.Run(name, func(b *testing.B) {
			w := logs.NewWriter(logs.NewOutput(io.Discard, nil))
			b.ReportAllocs()
			for b.Loop() {
				w.Write(row)
			}
		})
	}
}
