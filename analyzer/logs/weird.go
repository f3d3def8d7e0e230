package logs

import (
	"iter"
	"strings"
	"sync/atomic"
	"time"

	"example.com/conn"
)

// Weird is a row of weird.log: an anomaly in the traffic, such as a bad checksum.
type Weird struct {
	Header        // without a UID outside connections, and without addresses outside IP
	Name   string // Zeek's where Zeek has one
	Addl   string // details; empty if unset
	Source string // the protocol that found it, such as "TCP"; empty if unset
}

// NewWeird returns a row about c, or about no connection if c is nil.
func NewWeird(c *conn.Connection, ts time.Time, name, addl, source string) *Weird {
	w := &Weird{Name: name, Addl: Text([]byte(addl)), Source: source}
	if c != nil {
		w.Header = NewHeader("weird", c, ts)
	} else {
		w.Header = Header{Path: "weird", TS: Time(ts)}
	}
	return w
}

// AppendJSON implements Appender. Weird rows may come as fast as packets do.
func (r *Weird) AppendJSON(b []byte) []byte {
	b = append(append(b, `{"_path":"`...), r.Path...)
	b = r.TS.append(append(b, `","ts":`...))
	if r.UID != "" {
		b = append(append(append(b, `,"uid":"`...), r.UID...), '"')
	}
	if r.OrigH.IsValid() {
		b = appendEndpoint(b, "orig", r.OrigH, r.OrigP)
		b = appendEndpoint(b, "resp", r.RespH, r.RespP)
	}
	b = appendText(append(b, `,"name":`...), r.Name)
	if r.Addl != "" {
		b = appendText(append(b, `,"addl":`...), r.Addl)
	}
	b = append(b, `,"notice":false`...)
	if r.Source != "" {
		b = appendText(append(b, `,"source":`...), r.Source)
	}
	return append(b, '}')
}

// MarshalJSON implements [json.Marshaler], for encoders other than a [Writer].
func (r *Weird) MarshalJSON() ([]byte, error) { return r.AppendJSON(nil), nil }

// appendText appends s, which is valid UTF-8, as a JSON string.
func appendText(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// A WeirdLimit bounds weird.log: in ten minutes, it allows the first 5,000 rows of each name and
// then one in a thousand, which Zeek calls sampling. The zero value is ready to use. Only Counts
// may be called from other goroutines.
type WeirdLimit struct {
	names  map[string]*weirdCount
	latest atomic.Pointer[weirdCount] // head of a list of all in names
}

type weirdCount struct {
	name  string
	next  *weirdCount   // created before this one
	all   atomic.Uint64 // since the start
	since time.Time
	n     int // in the interval that began at since
}

// In each weirdInterval, weirdThreshold rows of a name are allowed, and after that one in
// weirdRate. Names are part of the program; their number is bounded in case a parser makes them up.
const (
	weirdThreshold = 5000
	weirdRate      = 1000
	weirdInterval  = 10 * time.Minute
	maxWeirdNames  = 1000
)

// Allow reports whether a row with name may be written at now.
func (l *WeirdLimit) Allow(name string, now time.Time) bool {
	c := l.names[name]
	if c == nil {
		if l.names == nil {
			l.names = make(map[string]*weirdCount)
		}
		if len(l.names) >= maxWeirdNames {
			return false
		}
		c = &weirdCount{name: strings.Clone(name), since: now, next: l.latest.Load()}
		l.names[c.name] = c
		l.latest.Store(c)
	}
	if now.Sub(c.since) >= weirdInterval {
		c.since, c.n = now, 0
	}
	c.all.Add(1)
	c.n++
	return c.n <= weirdThreshold || c.n%weirdRate == 0
}

// Counts yields how often Allow was called for each of at most a thousand names, allowed or not. It
// may be called from any goroutine, and blocks none.
func (l *WeirdLimit) Counts() iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		for c := l.latest.Load(); c != nil; c = c.next {
			if !yield(c.name, c.all.Load()) {
				return
			}
		}
	}
}
