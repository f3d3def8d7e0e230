package lines

import (
	"net/textproto"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCut(t *testing.T) {
	long := strings.Repeat("x", Max)
	for _, tt := range []struct {
		data, line string
		n          int
	}{
		{"", "", 0},
		{"abc", "", 0},
		{"abc\r", "", 0},
		{"abc\nd", "abc", 4},
		{"abc\r\nd", "abc", 5},
		{"abc\r\r\nd", "abc", 6},
		{"a\rb\n", "a\rb", 4},
		{"\r\n", "", 2},
		{long[1:], "", 0},
		{long[1:] + "\n", long[1:], Max},
		{long, long, Max},
		{long + "\n", long, Max},
	} {
		line, n := Cut([]byte(tt.data))
		assert.Equal(t, tt.line, string(line), "%.10q", tt.data)
		assert.Equal(t, tt.n, n, "%.10q", tt.data)
	}
}

func TestHeader(t *testing.T) {
	var h Header
	for _, line := range []string{
		" folded into nothing", "Host: a", "no colon", "b(d: x", "", "host:b ", "X-Long: c", "\td", "X-Bad: \x00", "Last:",
	} {
		h.Add([]byte(line))
	}
	fields := h.Parse()
	assert.Equal(t, textproto.MIMEHeader{"Host": {"a", "b"}, "X-Long": {"c d"}, "Last": {""}}, fields)
	value, ok := Last(fields, "Host")
	assert.Equal(t, "b", value)
	assert.True(t, ok)
	_, ok = Last(fields, "Missing")
	assert.False(t, ok)
	assert.Empty(t, h.Parse(), "it was emptied")
}

func TestHeaderIsBounded(t *testing.T) {
	var h Header
	for range 1000 {
		h.Add([]byte("A: " + strings.Repeat("x", 1000)))
	}
	h.Add([]byte("B: 1"))
	assert.LessOrEqual(t, len(h.block), maxHeader)
	fields := h.Parse()
	assert.Len(t, fields["A"], maxHeader/1004)
	assert.Equal(t, []string{"1"}, fields["B"])
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte("A: b\nC\n D\n:\n\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var h Header
		for len(data) > 0 {
			line, n := Cut(data)
			if n == 0 {
				line, n = data, len(data)
			}
			h.Add(line)
			data = data[n:]
		}
		h.Parse()
	})
}
