package logs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn"
	"example.com/conn/analyzer/logs"
)

var c = &conn.Connection{UID: "C1", ID: conn.ID{
	Orig: netip.MustParseAddrPort("[2001:db8::1]:40000"), Resp: netip.MustParseAddrPort("192.0.2.1:80"), Proto: conn.TCP,
}}

func TestConnWritesHeaderLikeOtherRows(t *testing.T) {
	at := time.Unix(1_700_000_000, 123_456_789)
	r := &logs.Conn{
		Header: logs.NewHeader("conn", c, at), Proto: "tcp", Service: "http,ssl", Duration: new(logs.Interval(1500 * time.Millisecond)),
		Bytes: [2]int64{70, 80}, State: "SF", Local: [2]bool{true, false}, Missed: 90, History: []byte("ShADadFf"),
		Packets: [2]uint64{30, 40}, IPBytes: [2]uint64{127, 128}, Parents: []string{"C2", "C3"}, IPProto: 17,
	}
	assert.Equal(t, `{"_path":"conn","ts":1700000000.123456,"uid":"C1","id.orig_h":"2001:db8::1","id.orig_p":40000,`+
		`"id.resp_h":"192.0.2.1","id.resp_p":80,"proto":"tcp","service":"http,ssl","duration":1.500000,"orig_bytes":70,`+
		`"resp_bytes":80,"conn_state":"SF","local_orig":true,"local_resp":false,"missed_bytes":90,"history":"ShADadFf",`+
		`"orig_pkts":30,"orig_ip_bytes":127,"resp_pkts":40,"resp_ip_bytes":128,"tunnel_parents":["C2","C3"],"ip_proto":17}`,
		string(r.AppendJSON(nil)))

	header, err := json.Marshal(r.Header)
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(string(r.AppendJSON(nil)), strings.TrimSuffix(string(header), "}")+","))
	assert.Equal(t, string(header), string(logs.AppendHeader(nil, &r.Header))+"}")
}

func TestConnLeavesUnsetFieldsOut(t *testing.T) {
	r := &logs.Conn{Header: logs.NewHeader("conn", c, time.Unix(1, 0)), Proto: "udp", State: "S0", Packets: [2]uint64{1, 0}}
	var got map[string]any
	require.NoError(t, json.Unmarshal(r.AppendJSON(nil), &got))
	for _, name := range []string{"service", "duration", "orig_bytes", "resp_bytes", "history", "tunnel_parents"} {
		t.Run(name, func(t *testing.T) {
			assert.NotContains(t, got, name)
		})
	}
	r.History, r.Parents = []byte("D"), []string{"C2"}
	require.NoError(t, json.Unmarshal(r.AppendJSON(nil), &got))
	assert.Equal(t, "D", got["history"], "the shortest")
	assert.Equal(t, []any{"C2"}, got["tunnel_parents"])
}

func TestTextKeepsUTF8AndEscapesOtherBytes(t *testing.T) {
	assert.Equal(t, "grün", logs.Text([]byte("grün")))
	assert.Equal(t, "a\\xffb\\xc3\a", logs.Text([]byte("a\xffb\xc3\x07")))
	assert.Equal(t, "a\ufffd", logs.Text([]byte("a\ufffd")), "U+FFFD in the input is kept")
	assert.Equal(t, "\ufffd\\xf0", logs.Text([]byte("\ufffd\xf0")), "even next to an escaped byte")
}

func TestTextIsCut(t *testing.T) {
	long := strings.Repeat("x", 4096)
	assert.Equal(t, long, logs.Text([]byte(long)))
	assert.Equal(t, long, logs.Text([]byte(long+"y")))
	assert.Equal(t, long[1:]+"\\xc3", logs.Text([]byte(long[1:]+"ü")), "even in the middle of a character")
}

func TestTimesHaveMicroseconds(t *testing.T) {
	for want, s := range map[string]logs.Micros{
		"-0.000001": logs.Time(time.Unix(0, -1000)), "0.999999": logs.Time(time.Unix(0, 999_999_999)),
		"0.000000": logs.Interval(999), "3600.000001": logs.Interval(time.Hour + 1999),
		"1700000000.123456": logs.Time(time.Unix(1_700_000_000, 123_456_789)), "-1.500000": logs.Interval(-1500 * time.Millisecond),
		"9223372036854.775807": math.MaxInt64, "-9223372036854.775808": math.MinInt64,
	} {
		t.Run(want, func(t *testing.T) {
			b, err := json.Marshal(s)
			require.NoError(t, err)
			assert.Equal(t, want, string(b))
		})
	}
}

func TestTimesAreReadBack(t *testing.T) {
	for _, want := range []logs.Micros{0, 1, -1, 1_700_000_000_123_457, -1_500_000} {
		t.Run(fmt.Sprint(int64(want)), func(t *testing.T) {
			b, err := json.Marshal(want)
			require.NoError(t, err)
			var got logs.Micros
			require.NoError(t, json.Unmarshal(b, &got))
			assert.Equal(t, want, got)
		})
	}
	assert.Error(t, json.Unmarshal([]byte(`"1"`), new(logs.Micros)))
}

func TestAppendStrings(t *testing.T) {
	for want, list := range map[string][]string{
		"null": nil, "[]": {}, `["\n"]`: {"\n"}, `["a"]`: {"a"}, `["a","b","c"]`: {"a", "b", "c"}, `["<\"\\\n>","ü"]`: {"<\"\\\n>", "ü"},
	} {
		t.Run(want, func(t *testing.T) {
			assert.Equal(t, "x"+want, string(logs.AppendStrings([]byte("x"), list)))
		})
	}
}

type row struct {
	Path string `json:"_path"`
	Text string `json:"text"`
}

func (r row) LogName() string { return r.Path }

func TestRowsOfStreamKeepTheirOrder(t *testing.T) {
	var b bytes.Buffer
	w := logs.NewWriter(logs.NewOutput(&b, nil))
	for _, path := range []string{"x", "y", "x"} {
		w.Write(row{path, "<&>"})
	}
	assert.Empty(t, b.String(), "gathered")
	w.Flush()
	assert.Equal(t, `{"_path":"x","text":"<&>"}
{"_path":"y","text":"<&>"}
{"_path":"x","text":"<&>"}
`, b.String())
}

// writes records the argument of each call.
type writes []string

func (w *writes) Write(b []byte) (int, error) { *w = append(*w, string(b)); return len(b), nil }

// An appender is a row that writes itself.
type appender struct{ row }

func (a appender) AppendJSON(b []byte) []byte { return append(b, a.Text...) }

func TestRowsBuffered(t *testing.T) {
	var got writes
	w := logs.NewWriter(logs.NewOutput(&got, nil))
	w.Flush()
	line := strings.Repeat("x", 1023)
	for range 63 {
		w.Write(appender{row{Text: line}})
	}
	assert.Empty(t, got)
	w.Write(appender{row{Text: line}})
	want := writes{strings.Repeat(line+"\n", 64)}
	assert.Equal(t, want, got, "64 KB")
	w.Flush()
	assert.Equal(t, want, got, "nothing is left")
	w.Write(appender{row{Text: "last"}})
	w.Flush()
	w.Flush()
	assert.Equal(t, append(want, "last\n"), got)
}

func TestStatsCountRowsThatWereWritten(t *testing.T) {
	for name, out := range map[string]*logs.Output{"a stream": logs.NewOutput(new(writes), nil), "a folder": func() *logs.Output {
		_, out, _ := folder(t)
		return out
	}()} {
		t.Run(name, func(t *testing.T) {
			a, b := logs.NewWriter(out), logs.NewWriter(out)
			for _, path := range []string{"x", "y", "x"} {
				a.Write(row{Path: path})
				b.Write(row{Path: path})
			}
			assert.Empty(t, out.Stats().Rows, "gathered")
			a.Flush()
			assert.Equal(t, map[string]uint64{"x": 2, "y": 1}, out.Stats().Rows)
			b.Flush()
			b.Flush()
			assert.Equal(t, map[string]uint64{"x": 4, "y": 2}, out.Stats().Rows)
			out.Rotate()
			require.NoError(t, out.Close())
			a.Write(row{Path: "x"})
			a.Flush()
			stats := out.Stats()
			assert.EqualValues(t, 4, stats.Rows["x"], "that one was lost")
			assert.EqualValues(t, 1, stats.WriteErrors)
			assert.Zero(t, stats.RotationErrors)
			assert.Equal(t, map[string]uint64{"a stream": 0, "a folder": 2}[name], stats.Rotations)
		})
	}
}

// slow is a stream whose reader takes nothing.
type slow chan struct{}

func (s slow) Write(b []byte) (int, error) { <-s; return len(b), nil }

func TestStatsDoNotWaitForSlowReader(t *testing.T) {
	stream := make(slow)
	out := logs.NewOutput(stream, nil)
	w := logs.NewWriter(out)
	w.Write(row{Path: "x"})
	done := make(chan struct{})
	go func() { defer close(done); w.Flush() }()
	for range 100 {
		assert.Empty(t, out.Stats().Rows)
		time.Sleep(100 * time.Microsecond)
	}
	close(stream)
	<-done
	assert.EqualValues(t, 1, out.Stats().Rows["x"])
}

// lazy is a stream that takes a second for each write.
type lazy struct{}

func (lazy) Write(b []byte) (int, error) { time.Sleep(time.Second); return len(b), nil }

func TestStatsCountTimeOfWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := logs.NewOutput(lazy{}, nil)
		w := logs.NewWriter(out)
		for range 2 {
			w.Write(row{Path: "x"})
			w.Flush()
			time.Sleep(time.Minute)
		}
		assert.Equal(t, 2*time.Second, out.Stats().WriteTime)
	})
}

func TestRowThatIsNotJSONPanics(t *testing.T) {
	w := logs.NewWriter(logs.NewOutput(new(writes), nil))
	assert.PanicsWithValue(t, "logs: a row of x is not JSON: json: unsupported value: NaN", func() {
		w.Write(struct {
			row
			Bad float64
		}{row{Path: "x"}, math.NaN()})
	})
}

// files returns the contents of the files in a folder, and checks that none is executable.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	got := make(map[string]string)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		info, err := e.Info()
		require.NoError(t, err)
		assert.Zero(t, info.Mode()&0o111, e.Name())
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		got[e.Name()] = string(text)
	}
	return got
}

// folder returns an Output to a folder that does not exist yet, and a function that writes a text
// to two logs.
func folder(t *testing.T) (dir string, out *logs.Output, write func(text string)) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "a", "b")
	out, err := logs.NewDir(dir, nil)
	require.NoError(t, err)
	info, err := os.Stat(dir)
	require.NoError(t, err)
	assert.EqualValues(t, 0o700, info.Mode().Perm()&0o700)
	w := logs.NewWriter(out)
	return dir, out, func(text string) {
		w.Write(appender{row{"x", text}})
		w.Write(appender{row{"y", text}})
		w.Flush()
	}
}

func TestEachLogHasAFile(t *testing.T) {
	dir, out, write := folder(t)
	write("1")
	write("2")
	assert.Equal(t, map[string]string{"x.log": "1\n2\n", "y.log": "1\n2\n"}, files(t, dir))
	require.NoError(t, out.Close())
	write("3")
	assert.ErrorIs(t, out.Close(), os.ErrClosed, "nothing is written to files that are closed")
}

// written is the modification time of the tests' files.
var written = time.Date(2026, 1, 2, 15, 4, 5, 678e6, time.UTC)

// runAfter makes a run write one row of each named log into a folder that already holds the files
// in before, and returns the folder's contents.
func runAfter(t *testing.T, before map[string]string, names ...string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range before {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666))
		require.NoError(t, os.Chtimes(filepath.Join(dir, name), written, written))
	}
	out, err := logs.NewDir(dir, nil)
	require.NoError(t, err)
	w := logs.NewWriter(out)
	for _, name := range names {
		w.Write(row{name, "new"})
	}
	w.Flush()
	require.NoError(t, out.Close())
	return files(t, dir)
}

func TestLogsOfEarlierRunArePutAside(t *testing.T) {
	line := func(path, text string) string { return `{"_path":"` + path + `","text":"` + text + `"}` + "\n" }
	const stamp = ".20260102T150405.678Z"
	long := line("x", strings.Repeat("x", 10_000))
	for name, c := range map[string]struct{ before, want map[string]string }{
		"a log that the new run writes, and one that it does not": {
			map[string]string{"x.log": line("x", "1") + line("x", "2"), "y.log": line("y", "1")},
			map[string]string{"x.log": line("x", "new"), "x" + stamp + ".log": line("x", "1") + line("x", "2"), "y" + stamp + ".log": line("y", "1")},
		},
		"name taken": {
			map[string]string{"x.log": line("x", "1"), "x" + stamp + ".log": "2", "x" + stamp + ".1.log": "3"},
			map[string]string{"x.log": line("x", "new"), "x" + stamp + ".log": "2", "x" + stamp + ".1.log": "3", "x" + stamp + ".2.log": line("x", "1")},
		},
		"last row torn": {
			map[string]string{"x.log": line("x", "1") + long[:len(long)-1]},
			map[string]string{"x.log": line("x", "new"), "x" + stamp + ".log": line("x", "1")},
		},
		"newline in another block than what follows": {
			map[string]string{"x.log": long + strings.Repeat("y", 4096)},
			map[string]string{"x.log": line("x", "new"), "x" + stamp + ".log": long},
		},
		"only row torn": {
			map[string]string{"x.log": long[:9000]},
			map[string]string{"x.log": line("x", "new"), "x" + stamp + ".log": ""},
		},
		"only row torn in its first field": {
			map[string]string{"x.log": `{"_path":"`, "y.log": `{"_path":"y`},
			map[string]string{"x.log": line("x", "new"), "x" + stamp + ".log": "", "y" + stamp + ".log": ""},
		},
		"empty": {
			map[string]string{"x.log": "", "y.log": ""},
			map[string]string{"x.log": line("x", "new"), "y.log": ""},
		},
		"file of another program, in the way": {
			map[string]string{"x.log": "text, and no newline"},
			map[string]string{"x.log": line("x", "new"), "x" + stamp + ".log": "text, and no newline"},
		},
		"files of other programs": {
			map[string]string{"kern.log": "text", "short.log": "{", "z.log": line("x", "1"), "y": line("y", "1"), "y.txt": line("y", "1")},
			map[string]string{"x.log": line("x", "new"), "kern.log": "text", "short.log": "{", "z.log": line("x", "1"), "y": line("y", "1"), "y.txt": line("y", "1")},
		},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, runAfter(t, c.before, "x")) })
	}
}

func TestFolderHasOneOutput(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows locks no directories")
	}
	dir, out, write := folder(t)
	write("1")
	_, err := logs.NewDir(dir, nil)
	assert.EqualError(t, err, "folder "+dir+": another process is writing its logs there")
	write("2")
	require.NoError(t, out.Close())
	assert.Equal(t, map[string]string{"x.log": "1\n2\n", "y.log": "1\n2\n"}, files(t, dir))
	out, err = logs.NewDir(dir, nil)
	require.NoError(t, err, "after Close")
	require.NoError(t, out.Close())
}

func TestClosedOutput(t *testing.T) {
	dir, out, write := folder(t)
	write("1")
	require.NoError(t, out.Close())
	out.Reopen()
	out.Rotate()
	assert.NoError(t, out.Close())
	assert.Equal(t, map[string]string{"x.log": "1\n", "y.log": "1\n"}, files(t, dir))
	write("2")
	assert.ErrorIs(t, out.Close(), os.ErrClosed)

	var got writes
	out = logs.NewOutput(&got, nil)
	require.NoError(t, out.Close())
	w := logs.NewWriter(out)
	w.Write(row{Path: "x"})
	w.Flush()
	assert.ErrorIs(t, out.Close(), os.ErrClosed)
	assert.Empty(t, got)
}

// The race detector finds accesses that the lock does not guard.
func TestOutputIsClosedWhileItIsRotated(t *testing.T) {
	_, out, write := folder(t)
	write("1")
	var wait sync.WaitGroup
	for _, call := range []func(){out.Reopen, out.Rotate, func() { _ = out.Close() }} {
		wait.Go(func() {
			for range 100 {
				call()
			}
		})
	}
	wait.Wait()
	assert.NoError(t, out.Close())
}

func TestReopenAppends(t *testing.T) {
	dir, out, write := folder(t)
	out.Reopen()
	write("1")
	require.NoError(t, os.Rename(filepath.Join(dir, "x.log"), filepath.Join(dir, "x.old")))
	out.Reopen()
	write("2")
	require.NoError(t, out.Close())
	assert.Equal(t, map[string]string{"x.old": "1\n", "x.log": "2\n", "y.log": "1\n2\n"}, files(t, dir))
}

func TestRotatePutsFilesAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // whose clock begins with the year 2000
		dir, out, write := folder(t)
		write("1")
		time.Sleep(1500 * time.Millisecond)
		out.Rotate()
		write("2")
		time.Sleep(time.Hour)
		out.Rotate()
		out.Rotate()
		require.NoError(t, out.Close(), "nothing was begun that could be put aside")
		assert.Equal(t, map[string]string{
			"x.20000101T000000.000Z.log": "1\n", "y.20000101T000000.000Z.log": "1\n",
			"x.20000101T000001.500Z.log": "2\n", "y.20000101T000001.500Z.log": "2\n",
		}, files(t, dir))
	})
}

// logrotate and operators also move files away, and may leave an empty one in their place.
func TestRotateContinuesAfterFileWasMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, out, write := folder(t)
		x, y := filepath.Join(dir, "x.log"), filepath.Join(dir, "y.log")
		write("1")
		require.NoError(t, os.Rename(x, filepath.Join(dir, "x.old")))
		write("2")
		out.Rotate()
		write("3")
		require.NoError(t, os.Remove(x))
		require.NoError(t, os.Rename(y, filepath.Join(dir, "y.old")))
		require.NoError(t, os.WriteFile(y, nil, 0o666))
		out.Rotate()
		write("4")
		require.NoError(t, out.Close())
		assert.Equal(t, map[string]string{
			"x.old": "1\n2\n", "x.log": "4\n",
			"y.20000101T000000.000Z.log": "1\n2\n", "y.old": "3\n", "y.20000101T000000.000Z.1.log": "", "y.log": "4\n",
		}, files(t, dir))
		assert.Zero(t, out.Stats().RotationErrors)
	})
}

// A clock that is set back makes the same names again.
func TestRotateReplacesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, out, write := folder(t)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "x.20000101T000000.000Z.log"), []byte("0"), 0o666))
		for _, text := range []string{"1", "2", "3"} {
			write(text)
			out.Rotate()
		}
		require.NoError(t, out.Close())
		assert.Equal(t, map[string]string{
			"x.20000101T000000.000Z.log": "0", "x.20000101T000000.000Z.1.log": "1\n", "x.20000101T000000.000Z.2.log": "2\n",
			"x.20000101T000000.000Z.3.log": "3\n", "y.20000101T000000.000Z.log": "1\n",
			"y.20000101T000000.000Z.1.log": "2\n", "y.20000101T000000.000Z.2.log": "3\n",
		}, files(t, dir))
	})
}

func TestStreamIsNeitherReopenedNorRotated(t *testing.T) {
	var got writes
	out := logs.NewOutput(&got, nil)
	w := logs.NewWriter(out)
	for range 2 {
		w.Write(appender{row{Text: "x"}})
		w.Flush()
		out.Reopen()
		out.Rotate()
	}
	require.NoError(t, out.Close())
	assert.Equal(t, writes{"x\n", "x\n"}, got)
}

func TestReopenAndRotateErrors(t *testing.T) {
	for name, call := range map[string]func(*logs.Output){"Reopen": (*logs.Output).Reopen, "Rotate": (*logs.Output).Rotate} {
		t.Run(name, func(t *testing.T) {
			dir, out, write := folder(t)
			write("1")
			require.NoError(t, os.RemoveAll(dir))
			require.NoError(t, os.WriteFile(dir, nil, 0o666)) // where the folder was
			call(out)
			assert.ErrorContains(t, out.Close(), "writing logs: ")
			assert.EqualValues(t, 1, out.Stats().RotationErrors)
			assert.Equal(t, out.Close(), out.Stats().Err)
		})
	}
}

func TestRemovedFolderIsError(t *testing.T) {
	dir, out, write := folder(t)
	write("1")
	require.NoError(t, os.RemoveAll(dir))
	out.Rotate()
	write("2")
	assert.ErrorIs(t, out.Close(), os.ErrNotExist)
	assert.EqualValues(t, 1, out.Stats().WriteErrors)
}

type failing struct{ calls, reported int }

func (f *failing) Write([]byte) (int, error) { f.calls++; return 0, errors.New("no space") }

func TestFirstErrorIsKept(t *testing.T) {
	f := new(failing)
	out := logs.NewOutput(f, func(error) { f.reported++ })
	w := logs.NewWriter(out)
	for range 3 {
		w.Write(row{Path: "x"})
		w.Flush()
	}
	assert.EqualError(t, out.Close(), "writing logs: no space")
	assert.Equal(t, 1, f.calls)
	assert.Equal(t, 1, f.reported)
}

func TestCreateErrors(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "x.log"), 0o777))
	out, err := logs.NewDir(dir, nil)
	require.NoError(t, err)
	w := logs.NewWriter(out)
	w.Write(row{Path: "x"})
	w.Flush()
	assert.ErrorContains(t, out.Close(), "x.log")

	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o666))
	_, err = logs.NewDir(file, nil)
	assert.ErrorContains(t, err, file)
}
