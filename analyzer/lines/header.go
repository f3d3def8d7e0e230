package lines

import (
	"bytes"
	"strings"
)

// Names are the names of the header fields that a protocol reads, indexed by length.
type Names [maxName + 1][]string

const maxName = 31 // bytes

// NewNames returns a set of names, which [Field.Name] spells as they are given. They have at most
// 31 bytes.
func NewNames(names ...string) *Names {
	n := new(Names)
	for _, name := range names {
		n[len(name)] = append(n[len(name)], name)
	}
	return n
}

// field returns the name and the value of the field that begins with line. name is empty if the
// line begins no field, or one not in n.
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
	Name   string // spelled as in Names
	Value  []byte // as sent, after the colon and blanks, without line ends; must not be kept
	Folded bool   // it spans several lines
	Long   bool   // it was longer than Max bytes and is cut
}

// Token returns the token at the beginning of the value, and the rest.
func (f Field) Token() (token, rest []byte) {
	i := 0
	for i < len(f.Value) && TokenChar(f.Value[i]) {
		i++
	}
	return f.Value[:i], f.Value[i:]
}

// TokenChar reports whether b may be part of a token in both RFC 7230 and RFC 2045.
func TokenChar(b byte) bool { return tokenChars[b] }

var tokenChars = func() (t [256]bool) {
	for b := byte('!'); b < 0x7f; b++ {
		t[b] = bytes.IndexByte([]byte(`()<>@,;:\"/[]?={}`), b) < 0
	}
	return t
}()

// A Header finds the wanted fields of an HTTP or mail header, line by line. A field is complete
// when the next line does not begin with a blank. Until then a wanted field is kept; nothing else
// is. The zero value is ready for the first line.
type Header struct {
	begun bool
	name  string // of the field that may be continued
	field []byte // its value so far, at most Max bytes
	fold  bool
	long  bool
}

// Line takes a line of the header, but not the empty one that ends it. after holds the bytes that
// have already arrived after it. Complete fields go to yield. A field on a line that was too long
// is not continued.
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

// Ahead tells h how the next line begins, before that is complete. If it does not continue the
// current field, that goes to yield.
func (h *Header) Ahead(line []byte, yield func(Field)) {
	if len(line) > 0 && !blank(line[0]) {
		h.Finish(yield)
	}
}

// Finish passes the current field to yield. Lines that would continue it are dropped.
func (h *Header) Finish(yield func(Field)) {
	if h.name != "" {
		yield(Field{Name: h.name, Value: SkipBlanks(h.field), Folded: h.fold, Long: h.long})
	}
	*h = Header{begun: h.begun}
}

// Held returns how many bytes of memory h keeps.
func (h *Header) Held() int { return cap(h.field) }
