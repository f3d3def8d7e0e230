package logs_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn/analyzer/logs"
)

func TestWeirdIsWritten(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	row := logs.NewWeird(c, at, "data_before_established", "\"a\\b\"\n\xff\u00fc", "TCP")
	want := `{"_path":"weird","ts":1700000000.000000,"uid":"C1","id.orig_h":"2001:db8::1","id.orig_p":40000,` +
		`"id.resp_h":"192.0.2.1","id.resp_p":80,"name":"data_before_established",` +
		`"addl":"\"a\\b\"\u000a\\xff` + "\u00fc" + `","notice":false,"source":"TCP"}`
	assert.Equal(t, want, string(row.AppendJSON(nil)))
	reflected, err := json.Marshal(row)
	require.NoError(t, err)
	assert.JSONEq(t, want, string(reflected))
	var got map[string]any
	require.NoError(t, json.Unmarshal(row.AppendJSON(nil), &got))
	assert.Equal(t, "\"a\\b\"\n\\xff\u00fc", got["addl"])
	assert.Equal(t, "weird", row.LogName())
}

func TestWeirdWithoutConnection(t *testing.T) {
	row := logs.NewWeird(nil, time.Unix(1, 0), "truncated_header", "", "")
	assert.Equal(t, `{"_path":"weird","ts":1.000000,"name":"truncated_header","notice":false}`, string(row.AppendJSON(nil)))
	row.OrigH, row.RespH = c.ID.Orig.Addr(), c.ID.Resp.Addr()
	assert.Equal(t, `{"_path":"weird","ts":1.000000,"id.orig_h":"2001:db8::1","id.orig_p":0,"id.resp_h":"192.0.2.1",`+
		`"id.resp_p":0,"name":"truncated_header","notice":false}`, string(row.AppendJSON(nil)))
}

func TestControlCharactersAreEscaped(t *testing.T) {
	for b := range rune(0x80) {
		text, raw := "a"+string(b), logs.NewWeird(nil, time.Unix(1, 0), "a"+string(b), "", "").AppendJSON(nil)
		var got map[string]any
		require.NoError(t, json.Unmarshal(raw, &got), "%q", text)
		assert.Equal(t, text, got["name"])
		assert.Equal(t, b < 0x20 || b == '"' || b == '\\', strings.Contains(string(raw), `"a\`), "%q", text)
	}
}

func TestWeirdLimit(t *testing.T) {
	var l logs.WeirdLimit
	at := time.Unix(1, 0)
	count := func(name string, n int) (allowed int) {
		for range n {
			if l.Allow(name, at) {
				allowed++
			}
		}
		return allowed
	}
	assert.Equal(t, 5000, count("a", 5999))
	assert.Equal(t, 3, count("a", 2500), "one in a thousand")
	assert.Equal(t, 1, count("b", 1), "each name has its own limit")
	at = at.Add(10*time.Minute - 1)
	assert.Equal(t, 0, count("a", 100))
	at = at.Add(1)
	assert.Equal(t, 5000, count("a", 5000), "in another ten minutes")

	names := 0
	for i := range 2000 {
		names += count(fmt.Sprint("made up ", i), 1)
	}
	assert.Equal(t, 998, names)

	counts := maps.Collect(l.Counts())
	assert.Len(t, counts, 1000)
	assert.EqualValues(t, 13599, counts["a"], "including those that were not allowed")
	assert.EqualValues(t, 1, counts["made up 997"])
}
