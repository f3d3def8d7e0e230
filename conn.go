package conn

import (
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// Proto is the protocol that carries a connection, by the number IANA assigned to it: the protocol
// field of an IPv4 header, the last next-header field of an IPv6 packet. Zeek calls it
// transport_proto.
type Proto uint8

// The protocols that network analyzers follow. Any other IANA number is a valid Proto too.
const (
	ICMP   Proto = 1
	TCP    Proto = 6
	UDP    Proto = 17
	ICMPv6 Proto = 58
	SCTP   Proto = 132
)

// String returns the protocol's name in lower case, such as "tcp" or "icmpv6", and "proto-"
// followed by the number for a protocol that has no constant here.
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

// ID tells one connection from all others that exist at the same time: its two endpoints and its
// protocol. It is Zeek's conn_id. An ID is a comparable value, made to be the key of a flow table;
// the zero value names no connection.
//
// A packet of the responder has its endpoints the other way round, so a flow table looks up ID{src,
// dst, proto} and then ID{dst, src, proto}; if it has neither, the packet begins a connection, of
// which src is the originator.
//
// The package only carries the ID and never reads it. For protocols without ports the owner chooses
// what the ports hold; Zeek puts ICMP's type and code there.
type ID struct {
	Orig, Resp netip.AddrPort // originator, which sent the first packet, and responder
	Proto      Proto
}

// String returns the endpoints, originator first, and the protocol, as in
//
//	192.0.2.1:40000 > 198.51.100.7:80 tcp
//	[2001:db8::1]:40000 > [2001:db8::2]:53 udp
//
// and "-" for the zero value, which is how Zeek's logs write what is unset.
func (id ID) String() string {
	if id == (ID{}) {
		return "-"
	}
	return id.Orig.String() + " > " + id.Resp.String() + " " + id.Proto.String()
}

// A Connection is one connection of a network analyzer, with the state that the analyzer's parsers
// attach to it: removal hooks (see [Register]) and fields (see [Field]). It is the part of Zeek's
// connection record that every protocol shares. An analyzer that has a connection type of its own
// embeds [Hooks] instead.
//
// The zero value is ready to use. A Connection must not be copied after first use; go vet reports
// copies. Assigning a composite literal, *c = conn.Connection{…}, makes the memory a new connection
// without hooks and fields. Do it after [StateRemove] has returned: hooks of the old connection
// that have not run are dropped with it.
//
// A Connection belongs to one goroutine at a time and may be handed from one to another, through a
// channel for example. Different connections need no coordination.
//
// Every function of this package that takes a *Connection panics with a nil pointer dereference if
// it is nil.
type Connection struct {
	hooks Hooks[Connection] // first, or StateRemove would be too large to be inlined

	ID    ID        // who talks to whom; Zeek's id
	UID   string    // names the connection in logs; the owner sets it; Zeek's uid
	Start time.Time // the time of the first packet, set by the owner; Zeek's start_time

	fields *slot // the values of fields, the latest first
}

// A RemovalHook is a function that finishes what a protocol left open on c when the state of c is
// removed. It is Zeek's Conn::RemovalHook. [Register] attaches one to a connection, [StateRemove]
// runs it.
//
// It reports whether it completed, as a Zeek hook does in which no body broke. false stops no other
// hook; it only makes StateRemove report false.
//
// A hook is one func value: a top-level function is the same hook wherever it is named, while most
// other expressions make a new one each time. See Identity of hooks in the package comment.
type RemovalHook func(c *Connection) bool

// String returns the name of hk's function, as in example.com/app/http.finalize, for logs and
// debugging; "<nil>" for a nil hook. Different hooks may have the same name: closures made by one
// literal do.
func (hk RemovalHook) String() string {
	if hk == nil {
		return "<nil>"
	}
	return funcName(identity(hk))
}

// Register registers hk with c and reports whether it did: hk then runs once, when [StateRemove]
// removes the state of c, after the hooks that were registered before it, unless [Unregister] takes
// it back. It is Zeek's Conn::register_removal_hook.
//
// Register returns false and changes nothing if hk is registered with c already, or has begun to
// run, or if the removal of c is over. So a parser calls it each time something becomes pending.
// During the removal, that is from inside a hook of c, hk is added and runs in that same removal.
//
// hk stays reachable from c until the removal is over or Unregister returns true.
//
// Register panics if hk is nil. Like everything done with c, it must not be called by two
// goroutines at once for the same c.
func Register(c *Connection, hk RemovalHook) bool {
	return c.hooks.Register(hk)
}

// Unregister takes hk back and reports whether it did: hk was registered with c and had not begun
// to run, and now it does not run, unless it is registered again, which puts it last. Otherwise
// Unregister returns false and changes nothing; a nil hk is never registered. It is Zeek's
// Conn::unregister_removal_hook.
//
// A hook of c may call it, for itself (false: it has begun) or for another hook. A parser that is
// done before c is runs its hook if Unregister returns true: then it has not run and will not.
func Unregister(c *Connection, hk RemovalHook) bool {
	return c.hooks.Unregister(hk)
}

// Registered reports whether hk is registered with c and has not begun to run, so that StateRemove
// would still run it. It is false for a nil hk, and for every hook once the removal of c is over.
func Registered(c *Connection, hk RemovalHook) bool {
	return c.hooks.Registered(hk)
}

// RemovalHooks returns an iterator over the hooks that [StateRemove] would still run, in the order
// in which it would run them. From inside a hook of c, these are the hooks after it.
//
// The loop body may register and unregister hooks and remove c: a hook that is no longer registered
// when its turn comes is not yielded, nor is one that was not registered when the loop began.
func (c *Connection) RemovalHooks() iter.Seq[RemovalHook] {
	hooks := c.hooks.RemovalHooks()
	return func(yield func(RemovalHook) bool) {
		hooks(func(hk func(*Connection) bool) bool { return yield(hk) })
	}
}

// Removed reports whether the removal of c has begun: it is true from the moment [StateRemove] is
// called, also inside the hooks, and false again when the memory is made a new connection. An owner
// whose teardown can be signalled twice needs no flag of its own.
func (c *Connection) Removed() bool { return c.hooks.Removed() }

// StateRemove removes the state of c: it runs every hook registered with c once, in the order of
// registration, on the calling goroutine, and reports whether all of them completed, that is
// returned true. Without hooks it returns true. The owner of c calls it on teardown, timeout and
// shutdown, when nothing more of the connection is to come. It does what the handler of
// connection_state_remove does in Zeek's base/protocols/conn/removal-hooks.zeek.
//
// The end of a TCP connection is not its last packet: an owner that calls StateRemove at the first
// FIN sees the connection begin again with the last ACK. It should keep c for a few seconds (Zeek:
// 5 s).
//
// When the removal is over, c keeps no hook alive and takes no new one: Register returns false. The
// exported members and the fields of c stay as they are, for the owner to log. Called again, or by
// one of c's own hooks, StateRemove runs nothing and returns true.
//
// Hooks may register and unregister hooks of c. One registered during the removal runs in it, after
// those before it; one unregistered before its turn does not run.
//
// A hook that panics or calls [runtime.Goexit] does not keep the others from running. When they
// have run and the removal is over, the panic goes on to the caller of StateRemove with the stack
// of the hook that raised it. If several hooks panic, the first panic goes on, also past a hook
// that calls Goexit, and the later ones are dropped.
func StateRemove(c *Connection) bool {
	// As in Hooks.StateRemove, which would be too large to be inlined here and again in the caller.
	if c.hooks.set == nil {
		c.hooks.begun = over
		return true
	}
	return c.hooks.run(c, 0)
}

// Chain returns one hook that runs the given bodies, as a Zeek hook runs its bodies: in order,
// until one returns false. The hook reports whether all of them returned true; without bodies, it
// returns true. It is for Connection; a method of a type that embeds [Hooks] calls what it likes.
//
// A body that panics or calls [runtime.Goexit] does not keep the later bodies from running, until
// one returns false. The panic then goes on with the stack of the body that raised it. If several
// bodies panic, the first panic goes on, also past a body that calls Goexit.
//
// Every call makes a new hook, even for the same bodies: keep the result in a variable, best at
// package level, to register it once or to unregister it. Chain keeps a copy of bodies. It panics
// if one of them is nil.
func Chain(bodies ...RemovalHook) RemovalHook {
	// Kept small enough to be inlined: so livesForever can tell the chain of a package-level
	// variable from others.
	bodies = cloneBodies(bodies)
	return func(c *Connection) bool { return runBodies(c, bodies) }
}

func cloneBodies(bodies []RemovalHook) []RemovalHook {
	for i, body := range bodies {
		if body == nil {
			const message = "conn: Chain called with a nil RemovalHook as body %d of %d"
			panic(fmt.Sprintf(message, i+1, len(bodies)))
		}
	}
	return slices.Clone(bodies)
}

// runBodies runs bodies in order until one returns false, and reports whether none did.
func runBodies(c *Connection, bodies []RemovalHook) bool {
	n := 0
	defer func() {
		if n == len(bodies) {
			return
		}
		// A body panicked or called Goexit: as in runHooks.
		if v := recover(); v != nil {
			defer panic(v)
		}
		runBodies(c, bodies[n:])
	}()
	for n < len(bodies) {
		n++
		if !bodies[n-1](c) {
			n = len(bodies)
			return false
		}
	}
	return true
}
