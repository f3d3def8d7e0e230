package http

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/textproto"
	"slices"
	"strings"

	"example.com/conn"
	"example.com/conn/examples/analyzer/lines"
	"example.com/conn/examples/analyzer/logs"
	"example.com/conn/examples/analyzer/protocol"
)

const (
	maxPending = 100  // requests without a reply; Zeek's HTTP::max_pending_requests
	maxText    = 4096 // bytes of one text in a row
	maxProxied = 16   // headers in Row.Proxied
)

// A Row is a row of the log http. Bodies are counted as transferred, without decompression.
type Row struct {
	logs.Header
	TransDepth      int      `json:"trans_depth"`
	Method          string   `json:"method,omitempty"`
	Host            *string  `json:"host,omitempty"`
	URI             *string  `json:"uri,omitempty"`
	Referrer        string   `json:"referrer,omitempty"`
	Version         string   `json:"version,omitempty"`
	UserAgent       string   `json:"user_agent,omitempty"`
	Origin          string   `json:"origin,omitempty"`
	RequestBodyLen  uint64   `json:"request_body_len"`
	ResponseBodyLen uint64   `json:"response_body_len"`
	StatusCode      *int     `json:"status_code,omitempty"`
	StatusMsg       string   `json:"status_msg,omitempty"`
	InfoCode        int      `json:"info_code,omitempty"`
	InfoMsg         string   `json:"info_msg,omitempty"`
	Tags            []string `json:"tags"`
	Username        string   `json:"username,omitempty"`
	Proxied         []string `json:"proxied,omitempty"`
}

// transactions has the rows that are not complete, by place: the nth request and the nth reply are at place n. That is
// how Zeek matches them, and what it does with requests and replies that are missing follows from it: they have rows of
// their own.
type transactions struct {
	pending           map[int]*Row
	request, response int // the places of the latest ones
	depth             int // how many rows there have been
}

// at returns the row at a place, which it makes if there is none.
func (s *state) at(c *conn.Connection, place int) *Row {
	r := s.pending[place]
	if r == nil {
		s.depth++
		r = &Row{Header: logs.NewHeader("http", c, s.now), TransDepth: s.depth, Tags: []string{}}
		s.pending[place] = r
	}
	return r
}

func (s *state) onRequest(c *conn.Connection, line requestLine) {
	s.request = max(s.request, s.response)
	if len(s.pending) > maxPending {
		s.flush(s.parser.owner, s.request)
		s.response = s.request
	}
	s.request++
	r := s.at(c, s.request)
	r.Method, r.URI = logs.Text(line.method), new(logs.Text(line.uri))
}

func (s *state) onReply(c *conn.Connection, line statusLine) {
	// A reply such as 100 Continue leaves its request to the reply that follows.
	if r := s.pending[s.response]; r == nil || r.StatusCode != nil && !informational(*r.StatusCode) {
		s.response++
	}
	r := s.at(c, s.response)
	r.StatusCode, r.StatusMsg, r.Version = new(line.code), logs.Text(line.reason), line.version
	if informational(line.code) {
		r.InfoCode, r.InfoMsg = line.code, r.StatusMsg
	}
}

var proxyHeaders = []string{
	"Forwarded", "X-Forwarded-For", "X-Forwarded-From", "Client-Ip", "Via", "Xroxy-Connection", "Proxy-Connection",
}

func (s *state) onRequestHeader(c *conn.Connection, fields textproto.MIMEHeader) {
	last := func(name string) string {
		value, _ := lines.Last(fields, name)
		return logs.Text(value)
	}
	r := s.at(c, s.request)
	if _, ok := fields["Host"]; ok {
		r.Host = new(last("Host"))
	}
	r.Referrer, r.UserAgent, r.Origin = last("Referer"), last("User-Agent"), last("Origin")
	for _, name := range []string{"Authorization", "Proxy-Authorization"} {
		if value, ok := lines.Last(fields, name); ok && len(value) > 6 && strings.EqualFold(value[:6], "basic ") {
			r.Username = username(value)
		}
	}
	for _, name := range proxyHeaders {
		for _, value := range fields[name] {
			if len(r.Proxied) < maxProxied {
				r.Proxied = append(r.Proxied, fmt.Sprintf("%s -> %s", strings.ToUpper(name), logs.Text(value)))
			}
		}
	}
}

// username returns the name in the value of an Authorization header of the scheme Basic.
func username(value string) string {
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value[len("basic "):]))
	name, _, ok := strings.Cut(string(decoded), ":")
	if err != nil || !ok {
		return fmt.Sprintf("<problem-decoding> (%s)", logs.Text(value))
	}
	return logs.Text(name)
}

func (s *state) onRequestEnd(c *conn.Connection, body uint64) {
	s.at(c, s.request).RequestBodyLen = body
}

func (s *state) onReplyEnd(c *conn.Connection, body uint64) {
	r := s.at(c, s.response)
	r.ResponseBodyLen = body
	if r.StatusCode == nil || !informational(*r.StatusCode) {
		delete(s.pending, s.response)
		s.parser.owner.Log(r)
	}
}

// flush logs all that is pending at places before end.
func (t *transactions) flush(o protocol.Owner, end int) {
	for _, place := range slices.Sorted(maps.Keys(t.pending)) {
		if place < end {
			o.Log(t.pending[place])
			delete(t.pending, place)
		}
	}
}
