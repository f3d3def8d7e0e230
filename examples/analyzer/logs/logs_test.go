package logs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn"
	"example.com/conn/examples/analyzer/logs"
)

var c = &conn.Connection{UID: "C1", ID: conn.ID{
	Orig: netip.MustParseAddrPort("[2001:db8::1]:40000"), Resp: netip.MustParseAddrPort("192.0.2.1:80"), Proto: conn.TCP,
}}

func TestConnWritesHeaderAsOtherRowsDo(t *testing.T) {
	at := time.Unix(1_700_000_000, 123_456_789)
	r := &logs.Conn{
		Header: logs.NewHeader("conn", c, at), Proto: "tcp", Service: "http,ssl", Duration: new(logs.Interval(1500 * time.Millisecond)),
		Bytes: [2]int64{7, 8}, State: "SF", Local: [2]bool{true, false}, Missed: 9, History: []byte("ShADadFf"),
		Packets: [2]uint64{3, 4}, IPBytes: [2]uint64{127, 128}, Parents: []string{"C2", "C3"}, IPProto: 6,
	}
	assert.Equal(t, `{"_path":"conn","ts":1700000000.123456,"uid":"C1","id.orig_h":"2001:db8::1","id.orig_p":40000,`+
		`"id.resp_h":"192.0.2.1","id.resp_p":80,"proto":"tcp","service":"http,ssl","duration":1.500000,"orig_bytes":7,`+
		`"resp_bytes":8,"conn_state":"SF","local_orig":true,"local_resp":false,"missed_bytes":9,"history":"ShADadFf",`+
		`"orig_pkts":3,"orig_ip_bytes":127,"resp_pkts":4,"resp_ip_bytes":128,"tunnel_parents":["C2","C3"],"ip_proto":6}`,
		string(r.AppendJSON(nil)))

	header, err := json.Marshal(r.Header)
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(string(r.AppendJSON(nil)), strings.TrimSuffix(string(header), "}")+","))
}

func TestConnLeavesUnsetFieldsOut(t *testing.T) {
	r := &logs.Conn{Header: logs.NewHeader("conn", c, time.Unix(1, 0)), Proto: "udp", State: "S0", Packets: [2]uint64{1, 0}}
	var got map[string]any
	require.NoError(t, json.Unmarshal(r.AppendJSON(nil), &got))
	for _, name := range []string{"service", "duration", "orig_bytes", "resp_bytes", "history", "tunnel_parents"} {
		assert.NotContains(t, got, name)
	}
}

func TestTextKeepsUTF8AndEscapesOtherBytes(t *testing.T) {
	assert.Equal(t, "grün", logs.Text([]byte("grün")))
	assert.Equal(t, "a\\xffb\\xc3\a", logs.Text([]byte("a\xffb\xc3\x07")))
	assert.Equal(t, "a\ufffd", logs.Text([]byte("a\ufffd")), "which is a letter of its own")
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

func TestFolderThatCannotHaveFileIsAnError(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "x.log"), 0o777))
	out, err := logs.NewDir(dir, nil)
	require.NoError(t, err)
	w := logs.NewWriter(out)
	w.Write(row{Path: "x"})
	w.Flush()
	assert.ErrorContains(t, out.Close(), "x.log")
}
