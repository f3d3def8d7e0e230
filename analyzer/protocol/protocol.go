// Package protocol is what the flow table and the protocol parsers agree on, so that neither
// imports the other.
package protocol

import (
	"net/netip"
	"time"

	"example.com/conn"
	"example.com/conn/analyzer/logs"
)

// A Verdict is what a parser thinks of the first bytes of a connection.
type Verdict int

const (
	No    Verdict = iota // these bytes are not of the protocol
	Maybe                // not enough bytes yet
	Half                 // those of one side are, but not those of the other
	Yes                  // they are
)

// A Side is one of the two sides of a connection. It is the index of arrays that have something for
// each side.
type Side uint8

const (
	Orig Side = 0 // the originator
	Resp Side = 1 // the responder
)

// Other returns the other side.
func (s Side) Other() Side { return 1 - s }

// A Parser follows one protocol. One value serves one worker: its methods are never called at the
// same time. What it knows of a connection is in a [conn.Field] of its package.
//
// A parser of a protocol over TCP is also a [StreamParser]. It may be a [Resumer].
type Parser interface {
	// Name returns the protocol's name as the service column of conn.log has it, such as "http".
	Name() string

	// Transport returns conn.TCP or conn.UDP.
	Transport() conn.Proto

	// Ports returns the ports where servers of the protocol listen, nil if there are none. A
	// connection to one of them is the parser's if no parser is sure of its first bytes. The flow
	// table also takes them for a server's when it has to guess which side is the originator.
	Ports() []uint16

	// Match judges the first bytes that each side of a connection has sent so far; either may be
	// empty. It keeps no state and neither slice. It is asked again when more bytes have come, for
	// as long as no parser is sure and one said Maybe. A parser that said Half gets the connection
	// if then no other is sure and the port is nobody's.
	Match(orig, resp []byte) Verdict

	// Data takes the next bytes of one side: in order for TCP, one datagram a call for UDP. It does
	// not keep data. It returns how many bytes it is done with: the caller offers the others again,
	// in front of those that follow. Next tells what becomes of the rest of the connection.
	//
	// A parser that has seen enough of c to be sure calls Owner.Confirm.
	Data(c *conn.Connection, p Packet, data []byte) (n int, next Next)

	// Held returns how many bytes of memory the state of c takes, about: capacity, not length, of
	// all that the parser keeps for c, rows that are pending among it. It is called after every
	// other method, so it takes constant time.
	Held(c *conn.Connection) int

	// Flush makes the parser let go of what it keeps for c, since c or all connections hold too
	// much: it logs what is pending as it is, and drops parts of messages. Afterwards Held is
	// small. The parser goes on where it can.
	Flush(c *conn.Connection)
}

// A StreamParser is a Parser of a protocol over TCP, as each of these must be.
type StreamParser interface {
	Parser

	// Gap says that n bytes of one side were never seen, where the next bytes of Data would have
	// been. Bytes that Data has not taken are dropped before. The parser may resynchronize, or give
	// up: return Stop.
	Gap(c *conn.Connection, p Packet, n int) Next

	// End says that one side will send no more, in order after its last bytes. Bytes that Data has
	// not taken are lost.
	End(c *conn.Connection, p Packet)
}

// A Resumer is a Parser that can begin in the middle of a conversation. Of connections whose
// beginning was not captured, no other parser gets anything.
type Resumer interface {
	Resumes() bool
}

// An Expirer is a Parser of a protocol over UDP whose connections end earlier than others.
type Expirer interface {
	// Expired reports whether c, whose last packet before came at last, is over when another comes
	// at now. That then begins a new connection.
	Expired(c *conn.Connection, last, now time.Time) bool
}

// A Packet is where bytes came from.
type Packet struct {
	Time time.Time // of the packet that brought them, or made them complete
	Side Side      // that sent them
}

// Next is what becomes of a connection after a parser has seen some of its bytes.
type Next int

const (
	More      Next = iota // keep the bytes coming
	Stop                  // nothing more for this parser, and for no other: the rest is opaque
	HandOver              // the protocol gives way to another (STARTTLS, CONNECT): detection begins anew with the rest
	Violation             // these bytes are not the protocol's: as Stop, and the service is no longer in conn.log
	Flip                  // the responder has spoken first: the sides are exchanged, and the first datagram comes again
)

// Violated returns what is next after a line that is not of a parser's protocol, as Zeek has it:
// Violation if the connection was known for the protocol, but More if seen, the bytes of both sides
// so far, are many.
func Violated(confirmed bool, seen int) Next {
	const late = 10 << 10 // Zeek's DPD::ignore_violations_after
	if confirmed && seen <= late {
		return Violation
	}
	return More
}

// An Owner is what a parser may ask of the analyzer. It is used by the worker that the parser
// serves, and by no other goroutine.
type Owner interface {
	// Log writes row to the log that its header names. The row is written before Log returns.
	Log(row logs.Row)

	// Confirm puts the protocol of the parser that calls it, which must be the one that has c at
	// the moment, into the service column of conn.log. It may be called again. It is Zeek's
	// analyzer_confirmation_info.
	Confirm(c *conn.Connection)

	// Weird notes something in c that should not be, in the log weird, once for each name and
	// connection. Names are Zeek's where Zeek has one, such as "line_terminated_with_single_CR";
	// addl says more, and may be empty.
	Weird(c *conn.Connection, name, addl string)

	// Expect announces a connection to resp, from orig if that is valid and else from anywhere.
	// When it comes up, attach runs with it, before its first data, and it has the given service
	// ("ftp-data"). Announcements lapse after five minutes, and the oldest goes when there are too
	// many.
	Expect(orig netip.Addr, resp netip.AddrPort, service string, attach func(c *conn.Connection))
}
