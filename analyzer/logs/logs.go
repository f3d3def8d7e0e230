// Package logs has the shape of the analyzer's log rows, Zeek's field names as JSON lines, and
// writes them.
package logs

import (
	"net/netip"
	"strconv"
	"time"
	"unicode/utf8"

	"example.com/conn"
)

// A Header starts every row that belongs to a connection. Rows embed it. Their other fields have
// Zeek's names in their json tags and are left out when unset: omitempty, or pointers where zero is
// a value.
type Header struct {
	Path  string     `json:"_path"` // the log's name
	TS    Seconds    `json:"ts"`
	UID   string     `json:"uid"`
	OrigH netip.Addr `json:"id.orig_h"`
	OrigP uint16     `json:"id.orig_p"`
	RespH netip.Addr `json:"id.resp_h"`
	RespP uint16     `json:"id.resp_p"`
}

// LogName returns the name of the log that the row is of.
func (h *Header) LogName() string { return h.Path }

// Endpoints returns the originator and the responder of the connection that the row is of.
func (h *Header) Endpoints() (orig, resp netip.AddrPort) {
	return netip.AddrPortFrom(h.OrigH, h.OrigP), netip.AddrPortFrom(h.RespH, h.RespP)
}

// A Row is a pointer to a struct that embeds a [Header].
type Row interface{ LogName() string }

// NewHeader returns the header of a row about c in the log named path, of something that happened
// at ts.
func NewHeader(path string, c *conn.Connection, ts time.Time) Header {
	return Header{
		Path:  path,
		TS:    Time(ts),
		UID:   c.UID,
		OrigH: c.ID.Orig.Addr(),
		OrigP: c.ID.Orig.Port(),
		RespH: c.ID.Resp.Addr(),
		RespP: c.ID.Resp.Port(),
	}
}

// Seconds is a time since 1970 or an interval, in JSON a number with microseconds, as Zeek writes
// both.
type Seconds float64

// Time returns t as rows have it.
func Time(t time.Time) Seconds { return Seconds(float64(t.UnixMicro()) / 1e6) }

// Interval returns d as rows have it. A field that may be unset is a *Seconds: new(Interval(d)).
func Interval(d time.Duration) Seconds { return Seconds(float64(d.Microseconds()) / 1e6) }

// MarshalJSON writes s with six decimals.
func (s Seconds) MarshalJSON() ([]byte, error) { return s.append(nil), nil }

func (s Seconds) append(b []byte) []byte { return strconv.AppendFloat(b, float64(s), 'f', 6, 64) }

// MaxText is how many bytes of a text from the network a row keeps.
const MaxText = 4096

// Text returns bytes from the network, at most MaxText of them, as a string that JSON can carry:
// what is not UTF-8 is written \xNN, as Zeek does. The string has memory of its own, so that it
// keeps no packet or line alive.
func Text(raw []byte) string {
	raw = raw[:min(len(raw), MaxText)]
	if utf8.Valid(raw) {
		return string(raw)
	}
	const hex = "0123456789abcdef"
	b := make([]byte, 0, 2*len(raw))
	for len(raw) > 0 {
		r, n := utf8.DecodeRune(raw)
		if r == utf8.RuneError && n == 1 {
			b = append(b, '\\', 'x', hex[raw[0]>>4], hex[raw[0]&0xf])
		} else {
			b = append(b, raw[:n]...)
		}
		raw = raw[n:]
	}
	return string(b)
}
