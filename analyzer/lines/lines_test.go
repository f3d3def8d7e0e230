package lines

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn/analyzer/protocol/protocoltest"
)

// split offers data to a Splitter in packets of some size, as the flow table does, and returns the
// lines. Oddities follow the text of a line. The last one is what is left.
func split(t testing.TB, data string, size int, rules Rules) (texts []string) {
	t.Helper()
	var s Splitter
	var held []byte
	for len(data) > 0 {
		n := min(size, len(data))
		held = append(held, data[:n]...)
		data = data[n:]
		for ok := true; ok; {
			var l Line
			var n int
			if l, n, ok = s.Next(held, rules); ok {
				texts = append(texts, brief(l.Text)+odd(l))
			}
			held = held[n:]
			if len(l.Text) > Max {
				t.Fatal("a line of", len(l.Text), "bytes")
			}
		}
		if len(held) > Max {
			t.Fatal(len(held), "bytes are left")
		}
		if partial := len(held) > 0 || s.dropping; partial != s.Partial() && string(held) != "\r" {
			t.Fatalf("%q is partial: %v", held, s.Partial())
		}
	}
	return append(texts, brief(held))
}

// brief returns text, or how long it is and how it ends.
func brief[T string | []byte](text T) string {
	if len(text) < 100 {
		return string(text)
	}
	return fmt.Sprintf("%d bytes to %s", len(text), text[len(text)-5:])
}

func odd(l Line) string {
	var o protocoltest.Recorder
	l.Note(&o, protocoltest.Conn())
	if len(o.Weirds) == 0 {
		return ""
	}
	return fmt.Sprint(o.Weirds)
}

func TestSplitter(t *testing.T) {
	const single, long, nul = "[line_terminated_with_single_CR]", "[contentline_size_exceeded]", "[NUL_in_line]"
	x := strings.Repeat("x", Max-1)
	bx, by := brief(x), brief(x+"y")
	for _, tt := range []struct {
		data   string
		endCR  []string
		withLF []string
	}{
		{"abc", []string{"abc"}, []string{"abc"}},
		{"abc\nd", []string{"abc", "d"}, []string{"abc", "d"}},
		{"abc\r\nd", []string{"abc", "d"}, []string{"abc", "d"}},
		{"\n\r\n", []string{"", "", ""}, []string{"", "", ""}},
		{"abc\r", []string{"abc\r"}, []string{"abc\r"}},
		{"a\rb\n", []string{"a" + single, "b", ""}, []string{"a\rb" + single, ""}},
		{"\rb\n", []string{single, "b", ""}, []string{"\rb" + single, ""}},
		{"a\r\r\nb", []string{"a", "", "b"}, []string{"a", "b"}},
		{"a\r\rb\r\n", []string{"a", single, "b", ""}, []string{"a\r\rb" + single, ""}},
		{"a\x00\r\n", []string{"a\x00" + nul, ""}, []string{"a\x00" + nul, ""}},
		{"\x00a\n", []string{"\x00a" + nul, ""}, []string{"\x00a" + nul, ""}},
		{x + "\r\nb\n", []string{bx, "b", ""}, []string{bx + long, "b", ""}},
		{x + "\nb\n", []string{bx, "b", ""}, []string{bx, "b", ""}},
		{x + "y\r\nb\n", []string{by + long, "b", ""}, []string{by + long, "b", ""}},
		{x + "yz\rb\n", []string{by + long, "b", ""}, []string{by + long, ""}},
		{x + "y" + x + x + "\r\n\r\n", []string{by + long, "", ""}, []string{by + long, "", ""}},
		{x + "y", []string{by + long, ""}, []string{by + long, ""}},
	} {
		t.Run(tt.data, func(t *testing.T) {
			sizes := []int{1, 2, 7, 1 << 20}
			if len(tt.data) > 1000 {
				sizes = []int{1000, 4093, Max - 1, Max, 1 << 20}
			}
			for _, size := range sizes {
				assert.Equal(t, tt.endCR, split(t, tt.data, size, EndCR|OddNUL), "%s in %d", brief(tt.data), size)
				assert.Equal(t, tt.withLF, split(t, tt.data, size, OddNUL), "%s in %d", brief(tt.data), size)
			}
		})
	}
	assert.Equal(t, []string{"a\x00", ""}, split(t, "a\x00\n", 9, EndCR), "a NUL is no anomaly without OddNUL")
}

func TestSkipForgetsTheLine(t *testing.T) {
	var s Splitter
	s.Next([]byte("abcdef"), EndCR)
	assert.True(t, s.Partial())
	s.Skip()
	assert.False(t, s.Partial())
	l, n, ok := s.Next([]byte("a\nb"), EndCR)
	assert.True(t, ok)
	assert.Equal(t, "a", string(l.Text))
	assert.Equal(t, 2, n)
}

// A line that arrives byte by byte is searched once: changes to bytes that were searched go
// unnoticed.
func TestBytesAreSearchedOnce(t *testing.T) {
	var s Splitter
	data := []byte(strings.Repeat("x", 1000))
	_, n, ok := s.Next(data, EndCR)
	require.False(t, ok)
	require.Zero(t, n)
	for i := range data {
		data[i] = '\n'
	}
	_, n, ok = s.Next(append(data, "x"...), EndCR)
	assert.False(t, ok)
	assert.Zero(t, n)
	l, n, ok := s.Next(append(data, "xy\n"...), EndCR)
	assert.True(t, ok)
	assert.Len(t, l.Text, 1002)
	assert.Equal(t, 1003, n)
}

// The search for the end of a short line does not read far ahead.
func TestShortLinesAreNotSearchedAhead(t *testing.T) {
	for _, data := range []string{strings.Repeat("\r", 1000), strings.Repeat("\n", 1000)} {
		t.Run(data, func(t *testing.T) {
			i, size := lineEnd([]byte(data), 0, EndCR)
			assert.Equal(t, [2]int{0, 1}, [2]int{i, size})
		})
	}
}

// A line end is found wherever it is, including where the search resumes.
func TestLineEnd(t *testing.T) {
	for at := range 600 {
		for _, tt := range []struct {
			end     string
			rules   Rules
			i, size int
		}{
			{"\nx", EndCR, at, 1}, {"\nx", 0, at, 1}, {"\rx", EndCR, at, 1}, {"\rx", 0, at + 2, 0},
			{"\r\n", EndCR, at, 2}, {"\r\n", 0, at + 1, 1}, {"\r", EndCR, at, 0}, {"\n\r", EndCR, at, 1}, {"\r\r\n", EndCR, at, 1},
		} {
			for _, from := range []int{0, at / 2, at} {
				i, size := lineEnd([]byte(strings.Repeat("x", at)+tt.end), from, tt.rules)
				require.Equal(t, [2]int{tt.i, tt.size}, [2]int{i, size}, "%q at %d from %d", tt.end, at, from)
			}
		}
	}
}

func TestWord(t *testing.T) {
	for line, want := range map[string][2]string{
		"":             {"", ""},
		"USER":         {"USER", ""},
		"USER me too ": {"USER", "me too "},
		"USER \t me":   {"USER", "me"},
		"USER\tme":     {"USER", "me"},
		" USER":        {"", "USER"},
		"USER\r me":    {"USER", "\r me"},
		"USER\v":       {"USER", "\v"},
		"US\x00ER":     {"US", "\x00ER"},
		"U\x08\x0e":    {"U\x08\x0e", ""},
	} {
		t.Run(line, func(t *testing.T) {
			word, rest := Word([]byte(line))
			assert.Equal(t, want, [2]string{string(word), string(rest)})
		})
	}
}

func TestSkipBlanks(t *testing.T) {
	for text, want := range map[string]string{"": "", " ": "", " \t ": "", "a ": "a ", "\t a": "a", "\va": "\va", "\x00 a": "\x00 a"} {
		t.Run(text, func(t *testing.T) {
			assert.Equal(t, want, string(SkipBlanks([]byte(text))))
		})
	}
}
