// Package lines cuts streams into lines and reads header fields, for the protocols that consist of
// text. It does so as Zeek's content line and MIME analyzers do.
package lines

import (
	"bytes"

	"example.com/conn"
	"example.com/conn/analyzer/protocol"
)

// Max limits lines: one of Max bytes or more is too long. All but its first Max bytes are dropped,
// so that no part of it passes for another line.
const Max = 32 << 10

// Rules say how a protocol treats stray bytes in lines.
type Rules uint8

const (
	EndCR  Rules = 1 << iota // a lone carriage return ends a line too
	OddNUL                   // a NUL is an anomaly
)

// A Line is a line of a stream. Text is a slice of the stream, which the caller must not keep.
type Line struct {
	Text []byte // without its end: a line feed and any carriage returns before it
	Long bool   // the line was too long: Text has its first Max bytes

	singleCR, nul bool // has a lone carriage return; has a NUL
}

// Note reports the anomalies of l, a line of c, under the names of Zeek's content line analyzer.
func (l Line) Note(o protocol.Owner, c *conn.Connection) {
	if l.Long {
		o.Weird(c, "contentline_size_exceeded", "")
	}
	if l.singleCR {
		o.Weird(c, "line_terminated_with_single_CR", "")
	}
	if l.nul {
		o.Weird(c, "NUL_in_line", "")
	}
}

// A Splitter cuts the bytes of one side into lines. It remembers how far it has searched an
// incomplete line, so that a line in many small packets is searched once. The zero value is ready
// to use.
type Splitter struct {
	scanned  int  // leading bytes of the next data that contain no line end
	dropping bool // inside a line that was too long
}

// Next returns the first line of data, and how many bytes it has consumed. If the line is
// incomplete, ok is false, and the caller offers the rest again, in front of the bytes that follow.
func (s *Splitter) Next(data []byte, rules Rules) (l Line, n int, ok bool) {
	if s.dropping {
		i, size := lineEnd(data, 0, rules)
		if n = i + size; size == 0 {
			return l, n, false
		}
		s.dropping = false
	}
	rest := data[n:min(len(data), n+Max+1)]
	i, size := lineEnd(rest, min(s.scanned, len(rest)), rules)
	s.scanned = 0
	switch {
	case i >= Max:
		s.dropping = true
		i, size, l.Long = Max, 0, true
	case size == 0:
		s.scanned = i
		return l, n, false
	}
	l.Text = rest[:i]
	if rules&EndCR != 0 {
		l.singleCR = size == 1 && rest[i] == '\r' && rest[i+1] != '\r' // of several, the last one counts
	} else {
		l.Text = bytes.TrimRight(l.Text, "\r")
		l.singleCR = bytes.IndexByte(l.Text, '\r') >= 0
	}
	l.nul = rules&OddNUL != 0 && bytes.IndexByte(l.Text, 0) >= 0
	return l, n + i + size, true
}

// Partial reports whether a line has begun.
func (s *Splitter) Partial() bool { return s.scanned > 0 || s.dropping }

// Skip drops the incomplete line, after a gap. The next line then begins with the next byte.
func (s *Splitter) Skip() { *s = Splitter{} }

// lineEnd searches data from an index on for a line end, and returns its index and size. If size is
// 0, there is none before i, where the search continues when more arrives.
func lineEnd(data []byte, from int, rules Rules) (i, size int) {
	// Byte by byte at first and then in pieces, so that a short line does not cost a search of
	// everything after it.
	const short, piece = 16, 256
	for i = from; i < min(from+short, len(data)); i++ {
		if data[i] == '\n' || data[i] == '\r' && rules&EndCR != 0 {
			return i, endSize(data, i)
		}
	}
	for i < len(data) {
		part := data[i:min(i+piece, len(data))]
		if lf := bytes.IndexByte(part, '\n'); lf >= 0 {
			part = part[:lf+1]
		}
		if rules&EndCR != 0 {
			if cr := bytes.IndexByte(part, '\r'); cr >= 0 {
				part = part[:cr+1]
			}
		}
		i += len(part)
		if last := part[len(part)-1]; last == '\n' || last == '\r' && rules&EndCR != 0 {
			return i - 1, endSize(data, i-1)
		}
	}
	return i, 0
}

// endSize returns the length of the line end at i, or 0 if a line feed may still follow.
func endSize(data []byte, i int) int {
	switch {
	case data[i] == '\n':
		return 1
	case i+1 == len(data): // a line feed may follow
		return 0
	case data[i+1] == '\n':
		return 2
	}
	return 1
}

// Word returns the first word of a line, and the rest of the line without leading blanks.
func Word(line []byte) (word, rest []byte) {
	i := 0
	for i < len(line) && line[i] != 0 && line[i] != ' ' && (line[i] < '\t' || line[i] > '\r') {
		i++
	}
	return line[:i], SkipBlanks(line[i:])
}

// SkipBlanks returns text without leading spaces and tabs.
func SkipBlanks(text []byte) []byte {
	for len(text) > 0 && blank(text[0]) {
		text = text[1:]
	}
	return text
}

func blank(b byte) bool { return b == ' ' || b == '\t' }
