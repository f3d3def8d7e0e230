// Package lines has what the protocols that talk in lines of text share: the cutting of a stream
// into lines, and blocks of header fields. It takes bytes as Zeek's analyzers for content lines and
// for MIME do.
package lines

import (
	"bytes"

	"example.com/conn"
	"example.com/conn/analyzer/protocol"
)

// Max is at how many bytes a line is too long. What follows them up to its end is dropped: nothing
// in it is taken for another line.
const Max = 32 << 10

// Rules are what a protocol makes of bytes that have no business in a line.
type Rules uint8

const (
	EndCR  Rules = 1 << iota // a carriage return alone ends a line, too
	OddNUL                   // zero bytes are odd
)

// A Line is a line of a stream. Its text is the stream's: not to be kept.
type Line struct {
	Text []byte // without its end: a line feed and, if there are any, the carriage returns before it
	Long bool   // the line has Max bytes or more, of which Text has the first

	singleCR, nul bool // it ends in a carriage return alone, or has one inside; it has zero bytes
}

// Note tells o what is odd about l, a line of c. The names are those of Zeek's content line
// analyzer.
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

// A Splitter cuts what one side of a connection sends into lines. It remembers how much of a line
// that is not complete it has looked at, so that a line that comes in many small packets is looked
// at once. The zero value is ready to use.
type Splitter struct {
	scanned  int  // bytes at the front of what will be offered that have no end of a line
	dropping bool // what follows is the rest of a line that was too long
}

// Next returns the first line of data, and how many bytes of data it is done with. ok is false if
// the line is not complete yet: then the rest of data is to be offered again, in front of the bytes
// that follow it.
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
		l.singleCR = size == 1 && rest[i] == '\r' && rest[i+1] != '\r' // of several, the last one tells
	} else {
		l.Text = bytes.TrimRight(l.Text, "\r")
		l.singleCR = bytes.IndexByte(l.Text, '\r') >= 0
	}
	l.nul = rules&OddNUL != 0 && bytes.IndexByte(l.Text, 0) >= 0
	return l, n + i + size, true
}

// Partial reports whether a line has begun.
func (s *Splitter) Partial() bool { return s.scanned > 0 || s.dropping }

// Skip forgets the line that has begun. It is for a gap: what comes next is at the begin of
// nothing, but that is not known.
func (s *Splitter) Skip() { *s = Splitter{} }

// lineEnd looks from a byte of data on for the end of a line: size bytes at i. If size is 0, there
// is none before i, where the search is to go on when there is more.
func lineEnd(data []byte, from int, rules Rules) (i, size int) {
	// Byte by byte at first and then piece by piece, since what ends a short line must not be
	// looked for in all that follows it.
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

// endSize returns how many bytes the end of a line at i has, 0 if that is not known yet.
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

// Word returns the word that a line begins with, and what follows it and the blanks after it.
func Word(line []byte) (word, rest []byte) {
	i := 0
	for i < len(line) && line[i] != 0 && line[i] != ' ' && (line[i] < '\t' || line[i] > '\r') {
		i++
	}
	return line[:i], SkipBlanks(line[i:])
}

// SkipBlanks returns text without the spaces and tabs that it begins with.
func SkipBlanks(text []byte) []byte {
	for len(text) > 0 && blank(text[0]) {
		text = text[1:]
	}
	return text
}

func blank(b byte) bool { return b == ' ' || b == '\t' }
