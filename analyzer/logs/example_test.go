package logs_test

import (
	"fmt"
	"net/netip"
	"os"
	"time"

	"example.com/conn"
	"example.com/conn/analyzer/logs"
)

// An echo is a row of a log that has one field besides the header.
type echo struct {
	logs.Header
	Banner string `json:"banner,omitempty"`
}

// Every row begins with the members of its Header. Rows are kept until Flush.
func ExampleWriter() {
	c := &conn.Connection{UID: "C1", ID: conn.ID{
		Orig:  netip.MustParseAddrPort("192.0.2.1:40000"),
		Resp:  netip.MustParseAddrPort("198.51.100.7:7"),
		Proto: conn.TCP,
	}}
	w := logs.NewWriter(logs.NewOutput(os.Stdout, nil))
	w.Write(&echo{logs.NewHeader("echo", c, time.Unix(1, 500_000_000)), logs.Text([]byte("hello\xff"))})
	fmt.Println("before Flush")
	w.Flush()
	// Output:
	// before Flush
	// {"_path":"echo","ts":1.500000,"uid":"C1","id.orig_h":"192.0.2.1","id.orig_p":40000,"id.resp_h":"198.51.100.7","id.resp_p":7,"banner":"hello\\xff"}
}
