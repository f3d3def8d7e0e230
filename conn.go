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

// String returns the protocol's name in lower case, such as "tcp" or "icmpv6", or "proto-" and the
// number of a protocol that has no constant here.
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

// ID identifies a connection among all that exist at the same time by its two endpoints and its
// protocol. It is Zeek's conn_id. An ID is a comparable value, meant as the key of a flow table;
// the zero value identifies no connection.
//
// A responder's packets carry the endpoints the other way round. A flow table therefore looks up
// ID{src, dst, proto} and then ID{dst, src, proto}; if it has neither, the packet begins a
// connection whose originator is src.
//
// The package does not interpret the ID. For protocols without ports the owner decides what the
// ports hold; Zeek puts ICMP's type and code there.
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
// connection record that all protocols share. An analyzer with a connection type of its own gives
// that type a [Hooks] instead: the hooks of a type that embeds Connection receive the *Connection.
//
// The zero value is ready to use. A Connection must not be copied after first use; go vet reports
// copies. Assigning a composite literal, *c = conn.Connection{…}, makes the memory a new connection
// without hooks and fields. Do it after [StateRemove] has returned: hooks of the old connection
// that have not run are dropped.
//
// At any moment one goroutine may use a connection: the one that owns it, or the one that holds the
// lock that guards it. Different connections need no coordination.
//
// Every function that takes a *Connection panics with a nil pointer dereference if it is nil.
type Connection struct {
	hooks Hooks[Connection] // first, or StateRemove would be too large to be inlined

	ID    ID        // who talks to whom; Zeek's id
	UID   string    // the connection's name in logs, set by the owner; Zeek's uid
	Start time.Time // the time of the first packet, set by the owner; Zeek's start_time

	fields *slot // the values of fields, the latest first
}

// name returns what package conntest calls c in its reports, "" if c is nil or has no name.
func (c *Connection) name() string {
	switch {
	case c == nil || c.UID == "" && c.ID == (ID{}):
		return ""
	case c.UID == "":
		return c.ID.String()
	case c.ID == (ID{}):
		return c.UID
	}
	return c.UID + " (" + c.ID.String() + ")"
}

// A RemovalHook is a function that finishes what a protocol left open on c when the state of c is
// removed. It is Zeek's Conn::RemovalHook. [Register] attaches one to a connection, and
// [StateRemove] runs it.
//
// It reports whether it completed; a Zeek hook does if none of its bodies executes break. Returning
// false stops no other hook; it only makes StateRemove return false.
//
// A hook must not hand c to another goroutine, send it on a channel or put it back into a pool:
// StateRemove is still using it. Set a flag in the hook, and hand c over after StateRemove has
// returned.
//
// A hook is one func value: a top-level function is the same hook wherever it is named, while most
// other expressions make a new hook each time they are evaluated. See Identity of hooks in the
// package comment.
type RemovalHook func(c *Connection) bool

// String returns the name of hk's function, such as example.com/app/http.finalize, for logs and
// debugging, or "<nil>" for a nil hook. Different hooks may have the same name, as closures made by
// one literal do.
func (hk RemovalHook) String() string {
	if hk == nil {
		return "<nil>"
	}
	return funcName(identity(hk))
}

// Register registers hk with c and reports whether it did: hk then runs once, when [StateRemove]
// removes the state of c, after the hooks registered before it, unless [Unregister] takes it back.
// It is Zeek's Conn::register_removal_hook.
//
// Register returns false and changes nothing if hk is already registered with c, even if it has
// begun to run since, or if the removal of c is over. A parser can therefore call it whenever
// something becomes pending. A hook of c that calls it adds hk to the removal under way.
//
// A goroutine that gets c from a table and then takes its lock may find that c was removed in
// between: then no hook will run. It should check [Connection.Removed] under the lock and deliver
// what is pending itself, since false may also mean that hk is already registered.
//
// Until the removal is over or Unregister returns true, hk is reachable from c. A hook that is a
// top-level function, a method expression, or a function literal in a package-level variable costs
// no allocation. Up to four others, or a mix, cost c one.
//
// Register panics if hk is nil.
func Register(c *Connection, hk RemovalHook) bool {
	return c.register(identity(hk))
}

// register repeats hookList.register, which does not know the connection: passing it along would
// cost the callers of Hooks.Register an argument.
func (c *Connection) register(hk hook) bool {
	l := &c.hooks.hookList
	if l.flags == 0 {
		if t := l.followers(hk).Load(); t != nil && t.key == hk {
			l.set = &t.hookSet
			return true
		}
	}
	return l.registerSlowly(hk, c)
}

// Unregister takes hk back and reports whether it did: hk was registered with c, had not begun to
// run, and will not run unless it is registered again, which puts it last. Otherwise Unregister
// returns false and changes nothing; a nil hk is never registered. It is Zeek's
// Conn::unregister_removal_hook.
//
// A hook of c may call it for itself, which returns false since it has begun, or for another hook.
// A parser that finishes before c does runs its hook itself if Unregister returns true: it has not
// run and will not. State that moves to another connection takes its hook along:
//
//	if conn.Unregister(old, hk) {
//		conn.Register(c, hk)
//	}
func Unregister(c *Connection, hk RemovalHook) bool {
	return c.hooks.Unregister(hk)
}

// Registered reports whether hk is registered with c and has not begun to run, so that StateRemove
// would still run it. It returns false for a nil hk, and for every hook once the removal of c is
// over.
func Registered(c *Connection, hk RemovalHook) bool {
	return c.hooks.Registered(hk)
}

// RemovalHooks returns an iterator over the hooks that [StateRemove] would still run, in the order
// in which it would run them. Inside a hook of c, these are the hooks after it.
//
// The loop body may register and unregister hooks and remove c. The iterator skips a hook that is
// no longer registered when its turn comes, and those registered after the loop began.
func (c *Connection) RemovalHooks() iter.Seq[RemovalHook] {
	hooks := c.hooks.RemovalHooks()
	return func(yield func(RemovalHook) bool) {
		hooks(func(hk func(*Connection) bool) bool { return yield(hk) })
	}
}

// Removed reports whether the removal of c has begun. It is true from the moment [StateRemove] is
// called, including inside the hooks, until the memory is made a new connection. Owners to which a
// teardown may be signaled twice, and goroutines that come too late to register a hook, need no
// flag of their own.
func (c *Connection) Removed() bool { return c.hooks.Removed() }

// StateRemove removes the state of c: it runs every hook registered with c once, in order of
// registration, on the calling goroutine, and reports whether all of them completed, that is,
// returned true. Without hooks it returns true. The owner of c calls it on teardown, timeout,
// eviction and shutdown, when nothing more of the connection will arrive. It does what the handler
// of connection_state_remove does in Zeek's base/protocols/conn/removal-hooks.zeek.
//
// A TCP connection does not end with its first FIN: an owner that calls StateRemove there sees the
// connection begin again with the last ACK. It should keep c for a few seconds longer (Zeek: 5 s).
//
// If a lock guards c, the caller holds it, so hooks run while it is held. They must not take it
// again, and lock order applies to every lock they take. Unlock in a deferred call, so that a panic
// in a hook does not leave c locked.
//
// When the removal is over, c keeps no hook alive and takes no new one: Register returns false. The
// exported members and the fields of c stay as they are, for the owner to log. Called again, or by
// one of c's own hooks, StateRemove runs nothing and returns true.
//
// Hooks may register and unregister hooks of c. One registered during the removal runs in it, after
// the others; one unregistered before its turn does not run.
//
// A hook that panics or calls [runtime.Goexit] does not keep the others from running. Once they
// have run and the removal is over, the panic continues to the caller of StateRemove with the stack
// of the hook that raised it. If several hooks panic, the first panic continues, even past a hook
// that calls Goexit, and the later ones are dropped.
func StateRemove(c *Connection) bool {
	// This repeats Hooks.StateRemove, which is too large to be inlined here and again in the
	// caller.
	if c.hooks.set == nil {
		c.hooks.flags = over
		return true
	}
	return c.hooks.run(c, 0)
}

// Chain returns one hook that runs the given bodies as a Zeek hook runs its bodies: in order, until
// one returns false. It reports whether all of them returned true; without bodies, it returns true.
// Chain is for Connection; a method of a type with [Hooks] calls whatever it likes.
//
// A body that panics or calls [runtime.Goexit] does not keep later bodies from running, up to one
// that returns false. The panic then continues with the stack of the body that raised it. If
// several bodies panic, the first panic continues, even past a body that calls Goexit, and the
// later ones are dropped.
//
// Every call makes a new hook, even from the same bodies. Keep the result in a variable, preferably
// at package level, to register it once or to unregister it. Like a closure, a chain costs the
// connection that registers it an allocation, wherever it is kept.
//
// Chain copies bodies. It panics if one of them is nil.
func Chain(bodies ...RemovalHook) RemovalHook {
	for i, body := range bodies {
		if body == nil {
			const message = "conn: Chain called with a nil RemovalHook as body %d of %d"
			panic(fmt.Sprintf(message, i+1, len(bodies)))
		}
	}
	bodies = slices.Clone(bodies)
	return func(c *Connection) bool { return runBodies(c, bodies, false) }
}

// runBodies runs bodies in order until one returns false, and reports whether none did. later
// says that the panic of an earlier body continues afterwards.
func runBodies(c *Connection, bodies []RemovalHook, later bool) bool {
	n := 0
	defer func() {
		if n == len(bodies) {
			return
		}
		// A body panicked or called Goexit: as in Hooks.run.
		if v := recover(); v != nil && !later {
			later = true
			defer panic(v)
		}
		runBodies(c, bodies[n:], later)
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
