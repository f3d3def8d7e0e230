package lines

import (
	"bytes"
	"strings"
)

// Names are the names of the header fields that a protocol wants, by length.
type Names [maxName + 1][]string

const maxName = 31 // bytes of a wanted name

// NewNames returns a set of names, spelled as [Field.Name] will have them. None is longer than 31
// bytes.
func NewNames(names ...string) *Names {
	n := new(Names)
	for _, name := range names {
		n[len(name)] = append(n[len(name)], name)
	}
	return n
}

// field returns the name of the field that a line begins, empty if it is not wanted or if the line
// begins none, and what follows the colon.
func (n *Names) field(line []byte) (name string, value []byte) {
	i := 0
	for i < len(line) && line[i] > ' ' && line[i] < 0x7f && line[i] != ':' {
		if i++; i > maxName {
			return "", nil
		}
	}
	for _, name := range n[i] {
		if strings.EqualFold(name, string(line[:i])) {
			if rest := SkipBlanks(line[i:]); len(rest) > 0 && rest[0] == ':' {
				return name, rest[1:]
			}
		}
	}
	return "", nil
}

// A Field is a field of a header.
type Field struct {
	Name   string // as it is in Names
	Value  []byte // what follows the colon and blanks, as it was sent, without line ends; not to be kept
	Folded bool   // it came in more than one line
	Long   bool   // it has more than Max bytes, which are not in Value
}

// Token returns the first word of the field's value, and what follows it.
func (f Field) Token() (token, rest []byte) {
	i := 0
	for i < len(f.Value) && TokenChar(f.Value[i]) {
		i++
	}
	return f.Value[:i], f.Value[i:]
}

// TokenChar reports whether b may be part of a token, as RFC 7230 and RFC 2045 have it.
func TokenChar(b byte) bool { return tokenChars[b] }

var tokenChars = func() (t [256]bool) {
	for b := byte('!'); b < 0x7f; b++ {
		t[b] = bytes.IndexByte([]byte(`()<>@,;:\"/[]?={}`), b) < 0
	}
	return t
}()

// A Header finds the wanted fields in a block of header fields, as HTTP and mail have them, while
// its lines come. A field is complete when its last line is: the next does not begin with a blank.
// Until then it is kept, if it is wanted; nothing else is. The zero value is at the begin of a
// block.
type Header struct {
	begun bool
	name  string // of the field that may go on
	field []byte // its value so far, at most Max bytes
	fold  bool
	long  bool
}

// Line takes a line of the block, which ends with an empty line that is not for it. after is what
// has already come after the line. Fields that are complete are given to yield: that of a line that
// is too long does not go on.
func (h *Header) Line(l Line, after []byte, names *Names, yield func(Field)) {
	line := l.Text
	if blank(line[0]) && h.begun {
		h.fold = true
		if room := Max - len(h.field); h.name != "" {
			h.long = h.long || len(line) > room
			h.field = append(h.field, line[:min(len(line), room)]...)
		}
		return
	}
	if h.name != "" || h.fold {
		h.Finish(yield)
	}
	h.begun = true
	name, value := names.field(SkipBlanks(line))
	if name == "" {
		return
	}
	if l.Long || len(after) > 0 && !blank(after[0]) {
		yield(Field{Name: name, Value: SkipBlanks(value)})
		return
	}
	h.name, h.field = name, append(h.field[:0], value...)
}

// Ahead tells what has come of the line after the latest one. A field that does not go on with it
// is given to yield.
func (h *Header) Ahead(line []byte, yield func(Field)) {
	if len(line) > 0 && !blank(line[0]) {
		h.Finish(yield)
	}
}

// Finish gives the field that may go on to yield. Lines that would belong to it are dropped.
func (h *Header) Finish(yield func(Field)) {
	if h.name != "" {
		yield(Field{Name: h.name, Value: SkipBlanks(h.field), Folded: h.fold, Long: h.long})
	}
	*h = Header{begun: h.begun}
}

// Held returns how many bytes of memory h keeps.
func (h *Header) Held() int { return cap(h.field) }
