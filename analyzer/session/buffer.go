package session

// A buffer holds bytes that a parser has not consumed.
type buffer struct {
	data []byte
	from int // where they begin in data
}

// roomy is the capacity that an empty buffer may keep. More is given back: only a few long messages
// need it.
const roomy = 1024

func (b *buffer) len() int      { return len(b.data) - b.from }
func (b *buffer) bytes() []byte { return b.data[b.from:] }
func (b *buffer) size() int     { return cap(b.data) }

// append adds data and returns all bytes.
func (b *buffer) append(data []byte) []byte {
	b.data = append(b.data, data...)
	return b.bytes()
}

// take removes the first n bytes. Its time is proportional to n, not to the bytes that are left.
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
