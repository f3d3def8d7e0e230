// Package protocol is what the flow table and the protocol parsers agree on, so that neither imports the other.
package protocol

import (
	"net/netip"
	"time"

	"example.com/conn"
)

// A Verdict is what a parser thinks of the first bytes of a connection.
type Verdict int

const (
	No    Verdict = iota // these bytes are not of the protocol
	Maybe                // not enough bytes yet
	Yes                  // they are
)

// A Parser follows one protocol. One value serves one worker: its methods are never called at the same time. What it
// knows of a connection is in a [conn.Field] of its package.
type Parser interface {
	// Name returns the protocol's name as the service column of conn.log has it, such as "http".
	Name() string

	// Transport returns conn.TCP or conn.UDP.
	Transport() conn.Proto

	// Match judges the first bytes that each side of a connection has sent so far; either may be empty. It keeps no
	// state and neither slice. It is asked again when more bytes have come, for as long as no parser is sure and one
	// said Maybe.
	Match(orig, resp []byte) Verdict

	// Data takes the next bytes of one side: in order for TCP, one datagram a call for UDP. It does not keep data. It
	// returns how many bytes it is done with: the caller offers the others again, in front of those that follow.
	// Next tells what becomes of the rest of the connection.
	Data(c *conn.Connection, p Packet, data []byte) (n int, next Next)

	// Gap says that n bytes of one side were never seen, where the next bytes of Data would have been. Bytes that Data
	// has not taken are dropped before. The parser may resynchronize, or give up: return Stop.
	Gap(c *conn.Connection, p Packet, n int) Next

	// End says that one side will send no more, in order after its last bytes. Bytes that Data has not taken are lost.
	End(c *conn.Connection, p Packet)
}

// A Confirmer is a Parser that needs more than the first bytes of a connection to be sure. Its Name is in the service
// column if Confirmed reports true; the analyzer asks when it writes conn.log, after the removal of c.
type Confirmer interface {
	Confirmed(c *conn.Connection) bool
}

// A Ported is a Parser of a protocol that lives on well-known ports. A connection to one of them is the parser's if no
// parser is sure of its first bytes.
type Ported interface {
	Ports() []uint16
}

// A Resumer is a Parser that can begin in the middle of a conversation. Of connections whose beginning was not captured,
// no other parser gets anything.
type Resumer interface {
	Resumes() bool
}

// A Packet is where bytes came from.
type Packet struct {
	Time     time.Time // of the packet that brought them, or made them complete
	FromOrig bool      // the originator of the connection sent them
}

// Next is what becomes of a connection after a parser has seen some of its bytes.
type Next int

const (
	More      Next = iota // keep the bytes coming
	Stop                  // nothing more for this parser, and for no other: the rest is opaque
	HandOver              // the protocol gives way to another (STARTTLS, CONNECT): detection begins anew with the rest
	Violation             // these bytes are not the protocol's: as Stop, and the service is no longer in conn.log
)

// Violated returns what is next after a line that is not of a parser's protocol, as Zeek has it: Violation if the
// connection was known for the protocol, but More if seen, the bytes of both sides so far, are many.
func Violated(confirmed bool, seen int) Next {
	const late = 10 << 10 // Zeek's DPD::ignore_violations_after
	if confirmed && seen <= late {
		return Violation
	}
	return More
}

// An Owner is what a parser may ask of the analyzer. It is used by the worker that the parser serves, and by no other
// goroutine.
type Owner interface {
	// Log writes row, a struct that embeds logs.Header, to the log named path.
	Log(path string, row any)

	// Expect announces a connection to resp, from orig if that is valid and else from anywhere. When it comes up, attach
	// runs with it, before its first data, and it has the given service ("ftp-data"). Announcements lapse after five
	// minutes, and the oldest goes when there are too many.
	Expect(orig netip.Addr, resp netip.AddrPort, service string, attach func(c *conn.Connection))
}
