package conn

import (
	"math"
	"net/netip"
	"strconv"
	"time"
)

// Proto is the protocol that carries a connection, by the number IANA assigned to it: the protocol field of an IPv4
// header, the last next-header field of an IPv6 packet. Zeek calls it transport_proto.
type Proto uint8

// The protocols that network analyzers follow. Any other IANA number is a valid Proto too.
const (
	ICMP   Proto = 1
	TCP    Proto = 6
	UDP    Proto = 17
	ICMPv6 Proto = 58
	SCTP   Proto = 132
)

// String returns the protocol's name in lower case, such as "tcp" or "icmpv6", and "proto-" followed by the number for
// a protocol that has no constant here.
func (p Proto) String() string {
	switch p {
	case ICMP:
		return "icmp"
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	case ICMPv6:
		return "icmpv6"
	case SCTP:
		return "sctp"
	}
	return "proto-" + strconv.Itoa(int(p))
}

// ID tells one connection from all others that exist at the same time: its two endpoints and its protocol. It is
// Zeek's conn_id. An ID is a comparable value, made to be the key of a flow table; the zero value names no connection.
//
// The package only carries the ID and never reads it. For protocols without ports the owner chooses what the ports hold;
// Zeek puts ICMP's type and code there.
type ID struct {
	Orig, Resp netip.AddrPort // originator, which sent the first packet, and responder
	Proto      Proto
}

// A Connection is one connection of a network analyzer, with the state that the analyzer's parsers attach to it: removal
// hooks (see [Register]) and fields (see [Field]). It is the part of Zeek's connection record that every protocol
// shares.
//
// The zero value is ready to use. A Connection must not be copied after first use; go vet reports copies. Assigning a
// composite literal, *c = conn.Connection{…}, makes the memory a new connection without hooks and fields. Do it after
// [StateRemove] has returned: hooks of the old connection that have not run are dropped with it.
//
// A Connection belongs to one goroutine at a time and may be handed from one to another, through a channel for example.
// Different connections need no coordination.
//
// Every function of this package that takes a *Connection dereferences it: a nil one is a nil pointer dereference.
type Connection struct {
	_ noCopy

	ID    ID        // who talks to whom; Zeek's id
	UID   string    // names the connection in logs; the owner sets it; Zeek's uid
	Start time.Time // the time of the first packet, set by the owner; Zeek's start_time

	set    *hookSet // the hooks in order; nil before the first is registered and when the removal is over
	ran    uint32   // how many of them have begun to run, or over
	fields *slot    // the values of fields, the latest first
}

// over is the value of Connection.ran when the removal is over.
const over = math.MaxUint32

// noCopy makes go vet's copylocks check report copies of the struct that holds it.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}
