// Package logs defines the rows of the analyzer's logs, JSON lines with Zeek's field names, and
// writes them.
package logs

import (
	"math"
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
	TS    Micros     `json:"ts"`
	UID   string     `json:"uid"`
	OrigH netip.Addr `json:"id.orig_h"`
	OrigP uint16     `json:"id.orig_p"`
	RespH netip.Addr `json:"id.resp_h"`
	RespP uint16     `json:"id.resp_p"`
}

// LogName returns the name of the row's log.
func (h *Header) LogName() string { return h.Path }

// Endpoints returns the originator and the responder of the row's connection.
func (h *Header) Endpoints() (orig, resp netip.AddrPort) {
	return netip.AddrPortFrom(h.OrigH, h.OrigP), netip.AddrPortFrom(h.RespH, h.RespP)
}

// A Row is a pointer to a struct that embeds a [Header].
type Row interface{ LogName() string }

// NewHeader returns the header of a row about c in the log named path, with ts for its time.
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

// Micros is a time since 1970 or an interval, in microseconds. In JSON it is a number of seconds
// with six decimals, as Zeek writes both.
type Micros int64

// Time returns t as rows contain it.
func Time(t time.Time) Micros { return Micros(t.UnixMicro()) }

// Interval returns d as rows contain it. A field that may be unset is a *Micros: new(Interval(d)).
func Interval(d time.Duration) Micros { return Micros(d.Microseconds()) }

// MarshalJSON writes m in seconds.
func (m Micros) MarshalJSON() ([]byte, error) { return m.append(make([]byte, 0, 24)), nil }

// UnmarshalJSON reads what MarshalJSON writes.
func (m *Micros) UnmarshalJSON(b []byte) error {
	seconds, err := strconv.ParseFloat(string(b), 64)
	*m = Micros(math.Round(seconds * 1e6))
	return err
}

func (m Micros) append(b []byte) []byte {
	n := uint64(m)
	if m < 0 {
		b, n = append(b, '-'), -n
	}
	b = strconv.AppendUint(b, n/1e6, 10)
	point := len(b)
	b = strconv.AppendUint(b, 1e6+n%1e6, 10) // seven digits, of which the point replaces the first
	b[point] = '.'
	return b
}

// MaxText is how many bytes of a text from the network are logged.
const MaxText = 4096

// Text returns at most MaxText bytes from the network as a string that JSON can carry: bytes that
// are not UTF-8 become \xNN, as in Zeek. The string shares no memory with raw, so it keeps no
// packet alive.
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
