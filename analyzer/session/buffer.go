package session

// A buffer holds bytes that a parser has not consumed.
type buffer struct {
	data []byte
	from int // the index in data where they begin
}

// roomy is the largest capacity that an empty buffer keeps. A larger one is freed: only the few long
// messages need it.
const roomy = 1024

func (b *buffer) len() int      { return len(b.data) - b.from }
func (b *buffer) bytes() []byte { return b.data[b.from:] }
func (b *buffer) size() int     { return cap(b.data) }

// append adds data and returns all bytes.
func (b *buffer) append(data []byte) []byte {
	b.data = append(b.data, data...)
	return b.bytes()
}

// take removes the first n bytes. Over many calls, it takes time proportional to the bytes removed,
// not to those left.
func (b *buffer) take(n int) {
	b.from += n
	switch left := b.len(); {
	case left == 0 && cap(b.data) <= roomy:
		b.data, b.from = b.data[:0], 0
	case left == 0:
		*b = buffer{}
	case cap(b.data) > roomy && left < cap(b.data)/4:
		*b = buffer{data: append([]byte(nil), b.bytes()...)}
	case b.from > left:
		b.data, b.from = b.data[:copy(b.data, b.bytes())], 0
	}
}
