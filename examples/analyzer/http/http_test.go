package http

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn"
	"example.com/conn/examples/analyzer/protocol"
	. "example.com/conn/examples/analyzer/protocol/protocoltest"
)

func parser(o protocol.Owner) protocol.Parser { return New(o) }

// play returns the rows of turns, a line each: depth, method, host, uri, version, both body lengths and status, with "-"
// for what is unset.
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
		"a reply that goes on after its request": {
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
				get, Resp("HTTP/1.1 206 P\r\nContent-Range: bytes 0-4/99\r\nContent-Length: 2\r\n\r\nhello"),
				get, Resp("HTTP/1.1 206 P\r\nContent-Length: 7\r\nContent-Range: bytes 10-14/*\r\n\r\nhello!!"),
				get, Resp("HTTP/1.1 206 P\r\nContent-Length: 1\r\nContent-Range: bytes 14-10/*\r\n\r\nh"),
				get, Resp("HTTP/1.1 206 P\r\nContent-Length: 1\r\nContent-Range: bytes 0-9223372036854775807/*\r\n\r\nh"),
				get, Resp("HTTP/1.1 200 P\r\nContent-Length: 1\r\nContent-Range: bytes 0-4/*\r\n\r\nh"),
			},
			[]string{
				"1 GET h /a 1.1 0 5 206 P", "2 GET h /a 1.1 0 7 206 P", "3 GET h /a 1.1 0 1 206 P",
				"4 GET h /a 1.1 0 1 206 P", "5 GET h /a 1.1 0 1 200 P",
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
				get, Orig("?!\r\n"), Resp(ok),
			},
			[]string{"1 GET h /a 1.1 0 20000 200 OK", "2 GET h /a 1.1 0 5 200 OK"},
		},
		"a request after the server has closed": {
			[]Turn{
				get, Resp("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
				Orig(get.Data + get.Data), {FromOrig: true, End: true},
			},
			[]string{"1 GET h /a 1.1 0 0 200 OK", "2 GET h /a - 28 0 - -"},
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
	for line, want := range map[string]requestLine{
		"GET / HTTP/1.1":                        {"GET", "/", "1.1"},
		"GET \t /  HTTP/1.0  ":                  {"GET", "/", "1.0"},
		"GET /a b HTTP/1.1":                     {"GET", "/a b", "1.1"},
		"GET /HTTP/1.1":                         {"GET", "/HTTP/1.1", "0.9"},
		"OPTIONS HTTP/1.1":                      {"OPTIONS", "", "1.1"},
		"CONNECT h:25 / HTTP/1.":                {"CONNECT", "h:25 /", "0.0"},
		"GET /%41%zz%%41%u0042%u0143% HTTP/1.1": {"GET", "/A%zzAB\x01C%", "1.1"},
		"GET /%4":                               {"GET", "/%4", "0.9"},
		"POST /a|b":                             {"POST", "/a|b", "0.9"},
	} {
		got, ok := parseRequestLine([]byte(line))
		assert.True(t, ok, line)
		assert.Equal(t, want, got, line)
	}
	for _, line := range []string{"", " GET /", "GET", "GET ", "T /a", "OPTIONSHTTP/1.1", "\xdd\x00 GET / HTTP/1.1"} {
		_, ok := parseRequestLine([]byte(line))
		assert.False(t, ok, line)
	}
}

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		orig, resp string
		want       protocol.Verdict
	}{
		{"", "", protocol.Maybe},
		{"GE", "", protocol.Maybe},
		{"GET / HTTP/1.1", "", protocol.Maybe},
		{"GET / HTTP/1.1\r\n", "", protocol.Yes},
		{"GET / HTTP/1.1\r\n", "HTTP/1.1 200", protocol.Yes},
		{"GET / HTTP/1.1\r\n", "HT", protocol.Yes},
		{"GET / HTTP/1.1\r\n", "SSH-2.0", protocol.No},
		{"", "HTTP/", protocol.Maybe},
		{"", "HTTP/1.1 200", protocol.Yes},
		{"GET /\r\n", "HTTP/1.1 200", protocol.Yes},
		{"", "HTTP/x", protocol.Maybe},
		{"GET /\r\n", "", protocol.No},
		{"OPTIONS rtsp://h RTSP/1.0\r\n", "", protocol.No},
		{"\x16\x03\x01", "", protocol.No},
		{strings.Repeat("A", 100), "", protocol.No},
		{"USER me\r\n", "220 FTP", protocol.No},
	} {
		assert.Equal(t, tt.want, New(nil).Match([]byte(tt.orig), []byte(tt.resp)), "%q %q", tt.orig, tt.resp)
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

func TestRefusedConnectGoesOn(t *testing.T) {
	assert.Equal(t, []string{"1 CONNECT - h:25 1.1 0 5 403 No", "2 GET - / 1.1 0 5 200 OK"}, play(t,
		Orig("CONNECT h:25 HTTP/1.1\r\n\r\n"),
		Resp("HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\nhello"),
		Orig("GET / HTTP/1.1\r\n\r\n"),
		Resp(ok),
	))
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

func TestUpgradeOfPipelinedRequestsIsNone(t *testing.T) {
	get := "GET /ws HTTP/1.1\r\n\r\n"
	assert.Equal(t, []string{"1 GET - /ws 1.1 0 5 200 OK", "2 GET - /ws - 0 0 - -"}, play(t,
		Orig(get+get), Resp("HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"), Resp(ok),
	))
}

func TestHTTPGoesOnInsideHTTP(t *testing.T) {
	o, c := &Recorder{}, Conn()
	p := New(o)
	Play(t, p, c, Orig("CONNECT h:80 HTTP/1.1\r\n\r\n"), Resp("HTTP/1.1 200 OK\r\n\r\n"))
	Play(t, p, c, Orig("GET / HTTP/1.1\r\n\r\n"), Resp(ok), Orig("GET /2 HTTP/1.1\r\n\r\n"))
	require.Len(t, o.Rows, 2)
	assert.Equal(t, 2, o.Rows[1].(*Row).TransDepth)
	conn.StateRemove(c)
	assert.Len(t, o.Rows, 3)
}

func TestFinalizerIsUnregisteredWhenNothingCanBePending(t *testing.T) {
	c := Conn()
	turns := []Turn{Orig("GET / HTTP/1.1\r\n\r\n"), Resp(ok)}
	Play(t, New(&Recorder{}), c, turns...)
	assert.True(t, conn.Registered(c, finalize))

	c = Conn()
	assert.Equal(t, protocol.Violation, Play(t, New(&Recorder{}), c, append(turns, Orig("?!\r\n"))...).Next)
	assert.False(t, conn.Registered(c, finalize), "after a violation")

	c = Conn()
	Play(t, New(&Recorder{}), c, append(turns, Ends()...)...)
	assert.False(t, conn.Registered(c, finalize), "after both ends")

	c = Conn()
	Play(t, New(&Recorder{}), c, append(turns[:1:1], Ends()...)...)
	assert.True(t, conn.Registered(c, finalize), "a reply is missing")
}

func TestConfirmedByARequest(t *testing.T) {
	p, c := New(&Recorder{}), Conn()
	assert.False(t, p.Confirmed(c))
	Play(t, p, c, Resp(ok), Orig("?!\r\n"))
	assert.False(t, p.Confirmed(c))
	c = Conn()
	Play(t, p, c, Resp(ok), Orig("GET / HTTP/1.1\r\n"))
	assert.True(t, p.Confirmed(c))
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

func TestManyPendingRequestsAreLogged(t *testing.T) {
	o, c := &Recorder{}, Conn()
	Play(t, New(o), c, Orig(strings.Repeat("GET / HTTP/1.1\r\n\r\n", 10*maxPending)))
	s := session.Get(c)
	assert.LessOrEqual(t, len(s.pending), maxPending+1)
	conn.StateRemove(c)
	assert.Len(t, o.Rows, 10*maxPending)
}

func TestRow(t *testing.T) {
	o := &Recorder{}
	c := Conn()
	Play(t, New(o), c,
		Orig("GET /\xff HTTP/1.1\r\nHost:\r\nReferer: r\r\nUser-Agent: ua\r\nOrigin: o\r\nVia: 1\r\nVia: 2\r\n"+
			"Authorization: Basic bWU6c2VjcmV0\r\n\r\n"),
		Resp("HTTP/1.1 100 Continue\r\n\r\n"+ok),
	)
	require.Len(t, o.JSON(t), 1)
	assert.JSONEq(t, `{
		"_path": "http", "ts": 1715940000.000000, "uid": "CTest",
		"id.orig_h": "192.0.2.1", "id.orig_p": 40000, "id.resp_h": "198.51.100.2", "id.resp_p": 80,
		"trans_depth": 1, "method": "GET", "host": "", "uri": "/\\xff", "referrer": "r", "version": "1.1",
		"user_agent": "ua", "origin": "o", "request_body_len": 0, "response_body_len": 5,
		"status_code": 200, "status_msg": "OK", "info_code": 100, "info_msg": "Continue",
		"tags": [], "username": "me", "proxied": ["VIA -> 1", "VIA -> 2"]
	}`, o.JSON(t)[0])
}

func TestLongTextsAreCut(t *testing.T) {
	o, c := &Recorder{}, Conn()
	long := strings.Repeat("x", 100000)
	Play(t, New(o), c, Orig("GET /"+long[:10000]+" HTTP/1.1\r\n"+strings.Repeat("Via: x\r\n", 100)+"User-Agent: "+long+"\r\nHost: h\r\n\r\n"), Resp(ok))
	row := o.Rows[0].(*Row)
	assert.Len(t, *row.URI, maxText)
	assert.Len(t, row.UserAgent, maxText)
	assert.Len(t, row.Proxied, maxProxied)
	assert.Equal(t, "h", *row.Host)
}

func FuzzParser(f *testing.F) {
	get := Orig("GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
	f.Add(Encode(get, Resp(ok), get, Resp(ok)))
	f.Add(Encode(Orig("GET /a\r\n"), Resp("<html>"), Ends()[0], Ends()[1]))
	f.Add(Encode(Orig("CONNECT h HTTP/1.1\r\n\r\n"), Resp("HTTP/1.1 200 OK\r\n\r\nSSH-"), Orig("EHLO")))
	f.Add(Encode(
		Orig("POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
		Resp("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: w\r\n\r\n"),
	))
	f.Add(Encode(Turn{FromOrig: true, Data: "PUT / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc", Lost: 3}, Orig("xyz")))
	f.Fuzz(func(t *testing.T, input []byte) {
		FuzzRows(t, parser, Decode(input)...)
	})
}
