package logs_test

import (
	"encoding/json"
	"io"
	"testing"
	"time"

	"example.com/conn/analyzer/logs"
)

// BenchmarkWrite writes the row of a connection of one packet, as [logs.Conn], which appends
// itself, and as a struct with the same fields and json tags.
func BenchmarkWrite(b *testing.B) {
	type tagged struct {
		logs.Header
		Proto   string `json:"proto"`
		State   string `json:"conn_state"`
		Orig    bool   `json:"local_orig"`
		Resp    bool   `json:"local_resp"`
		Missed  int64  `json:"missed_bytes"`
		History string `json:"history,omitempty"`
		OrigN   uint64 `json:"orig_pkts"`
		OrigIP  uint64 `json:"orig_ip_bytes"`
		RespN   uint64 `json:"resp_pkts"`
		RespIP  uint64 `json:"resp_ip_bytes"`
		IPProto uint8  `json:"ip_proto"`
	}
	header, history := logs.NewHeader("conn", c, time.Unix(1700000000, 0)), []byte("S")
	w := logs.NewWriter(logs.NewOutput(io.Discard, nil))
	b.Run("row=appender", func(b *testing.B) {
		b.ReportAllocs()
		row := new(logs.Conn)
		for b.Loop() {
			*row = logs.Conn{Header: header, Proto: "tcp", State: "S0", History: history, Packets: [2]uint64{1}, IPProto: 6}
			w.Write(row)
		}
	})
	b.Run("row=tagged", func(b *testing.B) {
		b.ReportAllocs()
		row := new(tagged)
		for b.Loop() {
			*row = tagged{Header: header, Proto: "tcp", State: "S0", History: string(history), OrigN: 1, IPProto: 6}
			w.Write(row)
		}
	})
	b.Run("row=tagged/encoder=encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		enc := json.NewEncoder(io.Discard)
		row := new(tagged)
		for b.Loop() {
			*row = tagged{Header: header, Proto: "tcp", State: "S0", History: string(history), OrigN: 1, IPProto: 6}
			if err := enc.Encode(row); err != nil {
				b.Fatal(err)
			}
		}
	})
}
