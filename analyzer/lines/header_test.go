package lines

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var longest = strings.Repeat("n", 31)

var names = NewNames(longest, "Host", "X-Long", "Last", "A-Z@[", "a-z`{", "DEL\x7f", "~!")

// fields returns the fields in the lines of a header. With ahead, each line arrives together with
// the next.
func fields(t testing.TB, block []string, ahead bool) (got []string) {
	t.Helper()
	var h Header
	yield := func(f Field) {
		text := f.Name + "=" + string(f.Value)
		if f.Folded {
			text += " (folded)"
		}
		if f.Long {
			text += " (long)"
		}
		got = append(got, text)
	}
	for i, line := range block {
		if line == "" {
			h.Finish(yield)
			h = Header{}
			continue
		}
		var after []byte
		if ahead && i+1 < len(block) {
			after = []byte(block[i+1] + "\n")
		}
		kept := []byte(line)
		h.Line(Line{Text: kept}, after, names, yield)
		for i := range kept {
			kept[i] = '?'
		}
		require.LessOrEqual(t, h.Held(), 5*Max/4)
	}
	h.Finish(yield)
	require.Zero(t, h.Held())
	return got
}

func TestHeader(t *testing.T) {
	long := strings.Repeat("x", 20000)
	for name, tt := range map[string]struct{ block, want []string }{
		"fields":                          {[]string{"Host: a", "last:", "HOST:b "}, []string{"Host=a", "Last=", "Host=b "}},
		"blanks around the colon":         {[]string{"Host \t: \t a"}, []string{"Host=a"}},
		"lines that are no fields":        {[]string{"no colon", ":", "Host", "Host x: a", "Ho\x01st: a", "H\x80: x", "Host: c"}, []string{"Host=c"}},
		"strange names":                   {[]string{"A-Z@[: a", "a-z`{: b", "DEL\x7f: c", "~!: d"}, []string{"A-Z@[=a", "a-z`{=b", "~!=d"}},
		"names that are not wanted":       {[]string{"Hos: a", "Hostt: b", strings.Repeat("x", 33) + ": c", "Cookie: d"}, nil},
		"names of 31 and 32 bytes":        {[]string{longest + ": a", longest[1:] + "x: b", longest + "n: c"}, []string{longest + "=a"}},
		"a folded field":                  {[]string{"Host: a", " b", "\tc", "Last: d"}, []string{"Host=a b\tc (folded)", "Last=d"}},
		"a field folded before its value": {[]string{"Host:", " b"}, []string{"Host=b (folded)"}},
		"folded after what is no field":   {[]string{"Cookie: a", " Host: b", "no", " Host: c", "Last: d"}, []string{"Last=d"}},
		"folded after nothing":            {[]string{" Host: a", " b", "Last: c"}, []string{"Host=a b (folded)", "Last=c"}},
		"a field that is too long": {
			[]string{"Host:" + long, " " + long, " " + long, "Last: b"},
			[]string{"Host=" + (long + " " + long)[:Max] + " (folded) (long)", "Last=b"},
		},
		"a field that just fits": {
			[]string{"Host:" + long, " " + long[:Max-1-len(long)]}, []string{"Host=" + long + " " + long[:Max-1-len(long)] + " (folded)"},
		},
		"nothing": {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tt.want, fields(t, tt.block, true))
			assert.Equal(t, tt.want, fields(t, tt.block, false))
		})
	}
}

func TestHeaderContinuesAfterFinish(t *testing.T) {
	var h Header
	var got []string
	yield := func(f Field) { got = append(got, fmt.Sprintf("%s=%s", f.Name, f.Value)) }
	h.Line(Line{Text: []byte("Host: a")}, nil, names, yield)
	h.Finish(yield)
	h.Finish(yield)
	h.Line(Line{Text: []byte(" Last: of Host")}, nil, names, yield)
	h.Line(Line{Text: []byte("Last: b")}, []byte("\n"), names, yield)
	assert.Equal(t, []string{"Host=a", "Last=b"}, got)
}

func TestAhead(t *testing.T) {
	var h Header
	var got []string
	yield := func(f Field) { got = append(got, fmt.Sprintf("%s=%s", f.Name, f.Value)) }
	h.Line(Line{Text: []byte("Host: a")}, nil, names, yield)
	h.Ahead(nil, yield)
	h.Ahead([]byte(" "), yield)
	h.Ahead([]byte("\tb"), yield)
	assert.Empty(t, got, "it may be continued")
	h.Ahead([]byte("b"), yield)
	assert.Equal(t, []string{"Host=a"}, got)
	h.Ahead([]byte("b"), yield)
	assert.Len(t, got, 1)
}

func TestLongFieldsAreNotContinued(t *testing.T) {
	var h Header
	var got []string
	yield := func(f Field) { got = append(got, fmt.Sprintf("%s=%s", f.Name, f.Value)) }
	h.Line(Line{Text: []byte("Host: a"), Long: true}, nil, names, yield)
	h.Line(Line{Text: []byte(" b")}, nil, names, yield)
	h.Finish(yield)
	assert.Equal(t, []string{"Host=a"}, got)
}

func TestCompleteFieldsAreNotKept(t *testing.T) {
	var h Header
	n := 0
	yield := func(Field) { n++ }
	line, after, cookie := []byte("Host: "+strings.Repeat("x", 1000)), []byte("\n"), []byte("Cookie: x")
	assert.Zero(t, testing.AllocsPerRun(10, func() { h.Line(Line{Text: line}, after, names, yield) }))
	assert.Zero(t, testing.AllocsPerRun(10, func() { h.Line(Line{Text: cookie}, nil, names, yield) }))
	assert.NotZero(t, n)
}

func TestToken(t *testing.T) {
	for value, want := range map[string][2]string{
		"chunked":       {"chunked", ""},
		"chunked, gzip": {"chunked", ", gzip"},
		"bytes 0-4/9":   {"bytes", " 0-4/9"},
		"":              {"", ""},
		"(x)":           {"", "(x)"},
		"a\x7fb":        {"a", "\x7fb"},
		"a{b":           {"a", "{b"},
		"!#~\x80":       {"!#~", "\x80"},
	} {
		t.Run(value, func(t *testing.T) {
			token, rest := Field{Value: []byte(value)}.Token()
			assert.Equal(t, want, [2]string{string(token), string(rest)})
		})
	}
}

// FuzzLines checks that lines and fields do not depend on how bytes are cut into packets, and that
// no byte is lost.
func FuzzLines(f *testing.F) {
	f.Add([]byte("Host: a\r\nX\n last\rLast:\r\r\n b\n\x00"), uint8(3))
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		for _, rules := range []Rules{0, EndCR | OddNUL} {
			want := split(t, string(data), len(data)+1, rules)
			require.Equal(t, want, split(t, string(data), int(size)+1, rules))
			block := want[:len(want)-1]
			require.Equal(t, fields(t, block, true), fields(t, block, false))
		}
	})
}

func BenchmarkLines(b *testing.B) {
	for name, line := range map[string]string{
		"field": "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n",
		"LF":    "\n", "CR": "\r", "long": strings.Repeat("x", 1<<20) + "\n",
	} {
		data := []byte(strings.Repeat(line, 1+(1<<20)/len(line)))
		b.Run("line="+name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				var s Splitter
				for rest := data; ; {
					_, n, ok := s.Next(rest, EndCR|OddNUL)
					if rest = rest[n:]; !ok {
						break
					}
				}
			}
		})
	}
	// The same in segments of one byte each.
	data := []byte(strings.Repeat("x", Max-1) + "\n")
	b.Run("line=bytewise", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			var s Splitter
			for i := range data {
				s.Next(data[:i+1], EndCR|OddNUL)
			}
		}
	})
}
