package smtp

import (
	"bytes"
	"math"
	"strconv"

	"example.com/conn"
	"example.com/conn/analyzer/lines"
)

// maxChunkLine is how many bytes of a line split between chunks are kept: more than Zeek's
// SMTP::bdat_max_line_length.
const maxChunkLine = 8 << 10

// transfer is the state of the mail that is being sent.
type transfer struct {
	chunked   bool // at least one chunk of the mail was seen
	lastChunk bool // the current chunk is the last one
	inHeader  bool // in the mail's header, or before it
	header    lines.Header
	partial   []byte // header line split between chunks; at most maxChunkLine bytes
}

// beginHeader begins the header of a mail.
func (s *state) beginHeader() {
	s.transfer = transfer{chunked: s.chunked, lastChunk: s.lastChunk, inHeader: true}
}

// headerLine handles a line of a mail. Only the header is parsed.
func (s *state) headerLine(c *conn.Connection, line lines.Line, after []byte) {
	switch {
	case !s.inHeader:
	case len(line.Text) == 0 || line.Text[0] == 0:
		s.endHeader(c)
	default:
		s.header.Line(line, after, fieldNames, func(f lines.Field) { s.field(c, f) })
	}
}

// endHeader ends the header of a mail, complete or not.
func (s *state) endHeader(c *conn.Connection) {
	if !s.inHeader {
		return
	}
	if len(s.partial) > 0 {
		s.header.Line(lines.Line{Text: s.partial}, nil, fieldNames, func(f lines.Field) { s.field(c, f) })
	}
	s.header.Finish(func(f lines.Field) { s.field(c, f) })
	s.transfer = transfer{chunked: s.chunked, lastChunk: s.lastChunk}
}

// beginChunk parses the argument of BDAT. There is no chunk if the size is not a number or if
// anything but LAST follows it.
func (s *state) beginChunk(c *conn.Connection, arg []byte) {
	size, last, hasLast := bytes.Cut(arg, []byte(" "))
	n, err := strconv.ParseUint(string(size[:min(len(size), 25)]), 10, 64)
	odd := ""
	switch {
	case len(arg) == 0 || len(arg) > len("18446744073709551615 LAST"):
		odd = "BDAT argument bad length"
	case arg[0] < '0' || arg[0] > '9':
		odd = "BDAT not followed by a valid chunk-size"
	case n == math.MaxUint64 && err != nil:
		odd = "BDAT chunk-size too large"
	case err != nil:
		odd = "BDAT chunk-size not valid"
	case hasLast && !bytes.EqualFold(last, []byte("LAST")):
		odd = "BDAT chunk-size followed by junk"
	case n > math.MaxInt64:
		s.weird(c, "smtp_huge_bdat_chunk", string(size))
		return
	}
	if odd != "" {
		s.weird(c, "smtp_invalid_bdat_command", odd)
		return
	}
	if !s.chunked {
		s.beginHeader()
		s.chunked = true
	}
	s.lastChunk = hasLast
	if s.expect, s.left = expectChunk, int64(n); n == 0 {
		s.endChunk(c)
	}
}

// chunk handles the available part of a chunk. A header line may continue in the next chunk.
func (s *state) chunk(c *conn.Connection, data []byte) (n int) {
	part := data[:min(int64(len(data)), s.left)]
	for rest := part; s.inHeader && len(rest) > 0; {
		i := bytes.IndexByte(rest, '\n')
		line := rest[:max(i, 0)]
		if i < 0 {
			line = rest
		}
		rest = rest[min(len(line)+1, len(rest)):]
		if room := maxChunkLine - len(s.partial); len(line) > room {
			s.weird(c, "smtp_bdat_line_too_long", "")
			line = line[:room]
		}
		if i < 0 || len(s.partial) > 0 {
			s.partial = append(s.partial, line...)
			line = s.partial
		}
		if i >= 0 {
			s.partial = nil
			s.headerLine(c, lines.Line{Text: bytes.TrimRight(line, "\r")}, rest)
		}
	}
	if s.left -= int64(len(part)); s.left == 0 {
		s.endChunk(c)
	}
	return len(part)
}

// endChunk ends a chunk, and the mail with the last one.
func (s *state) endChunk(c *conn.Connection) {
	s.expect = expectCommand
	if s.lastChunk {
		s.endHeader(c)
		s.chunked, s.lastChunk = false, false
	}
}
