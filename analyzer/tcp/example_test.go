package tcp_test

import (
	"encoding/binary"
	"fmt"
	"time"

	"example.com/conn/analyzer/tcp"
)

// A reader is a Sink that prints the stream of each side.
type reader struct{}

func (reader) Data(side tcp.Side, _ time.Time, data []byte) { fmt.Printf("%d: %q\n", side, data) }
func (reader) Gap(side tcp.Side, _ time.Time, n int64)      { fmt.Printf("%d: %d bytes missing\n", side, n) }
func (reader) EOF(side tcp.Side, _ time.Time)               { fmt.Printf("%d: end\n", side) }
func (reader) Weird(name, _, _ string)                      { fmt.Println(name) }
func (reader) Flip()                                        {}

// Segments of the client arrive in the wrong order. Data comes in the order of the stream.
func ExampleConn() {
	const fin, syn, ack = 1, 2, 16
	header := func(seq, acked uint32, flags byte) tcp.Header {
		h := make(tcp.Header, 20)
		binary.BigEndian.PutUint32(h[4:], seq)
		binary.BigEndian.PutUint32(h[8:], acked)
		h[12], h[13] = 5<<4, flags
		binary.BigEndian.PutUint16(h[14:], 65535)
		return h
	}
	var c tcp.Conn
	at := time.Unix(0, 0)
	send := func(side tcp.Side, h tcp.Header, data string) {
		c.Segment(side, at, h, []byte(data), len(data), reader{})
	}
	send(tcp.Orig, header(99, 0, syn), "")
	send(tcp.Resp, header(499, 100, syn|ack), "")
	send(tcp.Orig, header(106, 500, ack), "world")
	send(tcp.Orig, header(100, 500, ack), "hello ")
	send(tcp.Orig, header(111, 500, fin|ack), "")
	// Output:
	// 0: "hello "
	// 0: "world"
	// 0: end
}
