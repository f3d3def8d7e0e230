package flow_test

import (
	"fmt"
	"net/netip"
	"os"
	"time"

	"example.com/conn"
	"example.com/conn/analyzer/flow"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/packet"
)

// The table writes a row of conn.log when it removes a connection, here because the capture ends.
func ExampleTable() {
	w := logs.NewWriter(logs.NewOutput(os.Stdout, nil))
	t := flow.New(flow.Config{
		MaxConnections: 1000,
		MaxBuffered:    1 << 20,
		MaxTotal:       1 << 28,
		TCPTimeout:     5 * time.Minute,
		UDPTimeout:     time.Minute,
		AttemptTimeout: 5 * time.Second,
		CloseTimeout:   5 * time.Second,
		Log:            w,
		Errors:         os.Stderr,
	})
	at := time.Unix(1, 0)
	// from port 40000 to 7, no checksum
	datagram := []byte{0x9c, 0x40, 0, 7, 0, 13, 0, 0, 'h', 'e', 'l', 'l', 'o'}
	t.Packet(&packet.Packet{
		Time:     at,
		Now:      at,
		Src:      netip.MustParseAddr("192.0.2.1"),
		Dst:      netip.MustParseAddr("198.51.100.7"),
		Proto:    conn.UDP,
		Payload:  datagram,
		Length:   len(datagram),
		IPLength: 20 + len(datagram),
	})
	fmt.Println(t.Len(), "connection")
	t.Close()
	w.Flush()
	// Output:
	// 1 connection
	// {"_path":"conn","ts":1.000000,"uid":"CFU2WJ5HTCAhdx7N2Z","id.orig_h":"192.0.2.1","id.orig_p":40000,"id.resp_h":"198.51.100.7","id.resp_p":7,"proto":"udp","conn_state":"S0","local_orig":true,"local_resp":true,"missed_bytes":0,"history":"D","orig_pkts":1,"orig_ip_bytes":33,"resp_pkts":0,"resp_ip_bytes":0,"ip_proto":17}
}
