// Package protocol is the contract between the protocol parsers and the packages that deliver bytes
// to them.
package protocol

import (
	"net/netip"
	"time"

	"example.com/conn"
	"example.com/conn/analyzer/logs"
)

// A Verdict is a parser's opinion of the first bytes of a connection.
type Verdict int

const (
	No    Verdict = iota // these bytes are not the protocol's
	Maybe                // not enough bytes yet
	Half                 // the bytes of one side are, but not those of the other
	Yes                  // the bytes are the protocol's
)

// A Side is one of the two sides of a connection. It indexes arrays with an element per side.
type Side uint8

const (
	Orig Side = 0 // the originator
	Resp Side = 1 // the responder
)

// Other returns the other side.
func (s Side) Other() Side { return 1 - s }

// A Parser follows one protocol. Each worker has its own, so its methods never run concurrently. It
// keeps its state of a connection in a [conn.Field].
//
// A parser of a protocol over TCP is also a [StreamParser]. It may be a [Resumer].
type Parser interface {
	// Name returns the protocol's name in the service column of conn.log, such as "http".
	Name() string

	// Transport returns conn.TCP or conn.UDP.
	Transport() conn.Proto

	// Ports returns the ports where servers of the protocol listen, or nil. If no parser is sure of
	// the first bytes of a connection to such a port, this one gets it. The analyzer also uses
	// these ports when it has to guess which side is the responder.
	Ports() []uint16

	// Match gives its verdict on the first bytes that each side has sent so far; either may be
	// empty. It keeps neither state nor the slices. While no parser is sure and one says Maybe, it
	// is called again when more bytes have arrived. If no parser is sure in the end and none has
	// the port, one that said Half gets the connection.
	Match(orig, resp []byte) Verdict

	// Data handles the next bytes of one side: in order for TCP, one datagram per call for UDP. It
	// must not keep data. It returns how many bytes it has consumed; the caller offers the rest
	// again, in front of the bytes that follow. Next says what becomes of the connection.
	//
	// A parser that is sure of its protocol calls Owner.Confirm.
	Data(c *conn.Connection, p Packet, data []byte) (n int, next Next)

	// MemoryUsed returns about how many bytes of memory the state of c takes: the capacity, not the
	// length, of all that the parser keeps for c, including pending rows. It is called after every
	// other method, so it must take constant time.
	MemoryUsed(c *conn.Connection) int

	// FreeMemory releases memory because c, or all connections together, hold too much: the parser
	// logs pending rows as they are and drops incomplete messages. Afterwards MemoryUsed is small.
	// The parser continues where it can.
	FreeMemory(c *conn.Connection)
}

// A StreamParser is a Parser of a protocol over TCP.
type StreamParser interface {
	Parser

	// Gap reports that n bytes of one side are missing, in front of the next bytes that Data will
	// get. Bytes that Data has not consumed are dropped before. The parser may resynchronize, or
	// give up by returning Stop.
	Gap(c *conn.Connection, p Packet, n int) Next

	// End reports that one side will send no more, after its last bytes. Bytes that Data has not
	// consumed are lost.
	End(c *conn.Connection, p Packet)
}

// A Resumer is a Parser that may be able to begin in the middle of a conversation. No other parser
// gets connections whose beginning was not captured.
type Resumer interface {
	Resumes() bool
}

// An Expirer is a Parser of a protocol over UDP whose connections end earlier than others.
type Expirer interface {
	// Expired reports whether c, whose previous packet arrived at last, is over when another
	// arrives at now. That packet then begins a new connection.
	Expired(c *conn.Connection, last, now time.Time) bool
}

// A Packet tells where bytes came from.
type Packet struct {
	Time time.Time // of the packet that brought them, or made them complete
	Side Side      // that sent them
}

// Next says what becomes of a connection after a parser has handled some of its bytes.
type Next int

const (
	More      Next = iota // keep the bytes coming
	Stop                  // nothing more for this parser or any other: the rest is opaque
	HandOver              // another protocol follows, as after STARTTLS: detect it by the rest
	Violation             // not the protocol's bytes: like Stop, and conn.log loses the service
	Flip                  // the responder sent first: swap the sides, and redeliver the datagram
)

// Violated returns the Next for a line that is not the parser's protocol. As in Zeek, that is
// Violation if the connection was confirmed, but More once both sides have sent many bytes, which
// seen counts.
func Violated(confirmed bool, seen int) Next {
	const late = 10 << 10 // Zeek's DPD::ignore_violations_after
	if confirmed && seen <= late {
		return Violation
	}
	return More
}

// An Owner provides what a parser needs of the analyzer. A parser and its Owner belong to one
// worker.
type Owner interface {
	// Log writes row to the log that its header names. The row is written before Log returns,
	// so the parser may reuse it.
	Log(row logs.Row)

	// Confirm adds the protocol of the calling parser, which must be the current one of c, to the
	// service column of conn.log. It may be called again. It is Zeek's analyzer_confirmation_info.
	Confirm(c *conn.Connection)

	// Weird reports an anomaly in c to the log weird, once per name and connection. Names are
	// Zeek's where Zeek has one, such as "line_terminated_with_single_CR"; addl has details, and
	// may be empty.
	Weird(c *conn.Connection, name, addl string)

	// Expect announces a connection to resp, from orig if that is valid and otherwise from
	// anywhere. When it begins, it gets the given service ("ftp-data"), and attach is called with
	// it before its first data. Announcements lapse after five minutes; when there are too many,
	// the oldest is dropped.
	Expect(orig netip.Addr, resp netip.AddrPort, service string, attach func(c *conn.Connection))
}
