// Package lines has what the protocols that talk in lines of text share: the cutting of a stream into lines, and blocks
// of header fields.
package lines

import (
	"bufio"
	"bytes"
	"errors"
	"net/textproto"
)

// Max is the length in bytes at which a line is cut in two, so that nothing that has no line ends is kept for long.
const Max = 16 << 10

// Cut returns the first line of data without its end, a line feed and the carriage returns before it, and how many bytes
// the line takes with its end. n is 0 if the line is not complete yet. A line of [Max] bytes is complete without an end.
func Cut(data []byte) (line []byte, n int) {
	i := bytes.IndexByte(data[:min(len(data), Max)], '\n')
	switch {
	case i >= 0:
		return bytes.TrimRight(data[:i], "\r"), i + 1
	case len(data) >= Max:
		return data[:Max], Max
	}
	return nil, 0
}

// maxHeader is how many bytes of a header are kept. What follows them is dropped line by line.
const maxHeader = 32 << 10

// A Header collects the lines of a block of header fields, as HTTP and mail have them, until it is parsed. The zero
// value is empty and ready to use.
type Header struct{ block []byte }

// Add adds a line to h, unless it is empty. It keeps a copy.
func (h *Header) Add(line []byte) {
	if len(line) > 0 && len(h.block)+len(line) <= maxHeader {
		h.block = append(append(h.block, line...), '\n')
	}
}

// Parse returns the fields that h has collected, and empties it. Lines that are not of a field are left out.
func (h *Header) Parse() textproto.MIMEHeader {
	fields := textproto.MIMEHeader{}
	r := textproto.NewReader(bufio.NewReader(bytes.NewReader(h.block)))
	h.block = nil
	for {
		some, err := r.ReadMIMEHeader()
		for name, values := range some {
			fields[name] = append(fields[name], values...)
		}
		// The reader gives up at a line that it does not like, which it has taken: the fields after it count too.
		if _, bad := errors.AsType[textproto.ProtocolError](err); !bad {
			return fields
		}
	}
}

// Last returns the value of the last field with the given name, in canonical form, and whether there is one.
func Last(fields textproto.MIMEHeader, name string) (value string, ok bool) {
	values := fields[name]
	if len(values) == 0 {
		return "", false
	}
	return values[len(values)-1], true
}
