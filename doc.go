// Package conn gives every connection of a network analyzer its own removal hooks: functions that
// run once, when the state of that connection is removed. A connection without hooks pays one nil
// check.
//
// A protocol parser often learns only at the end that something is missing: a request whose reply
// never came, a handshake cut short. It could subscribe to a global "connection removed" event, but
// then every connection pays for every protocol. With a removal hook, the parser registers a
// function with the one connection that it is interested in. Zeek scripts do this with
// base/protocols/conn/removal-hooks.zeek; this package brings it to Go.
//
// A parser keeps its state in a [Field] and registers its hook whenever something becomes pending:
//
//	var session conn.Field[Session]
//
//	func onRequest(c *conn.Connection, r Request) {
//		s, _ := session.GetOrNew(c)
//		s.pending = append(s.pending, r)
//		conn.Register(c, finalize) // added once, however often it is called
//	}
//
//	func onReply(c *conn.Connection, r Reply) {
//		s := session.Get(c)
//		if s != nil && s.match(r) && len(s.pending) == 0 {
//			conn.Unregister(c, finalize) // until the next request
//		}
//	}
//
//	func finalize(c *conn.Connection) bool {
//		for _, r := range session.Get(c).pending {
//			log.Printf("%s: no reply to %s", c.UID, r)
//		}
//		return true
//	}
//
// Register the hook on every request, not only when GetOrNew reports a new session: after an
// Unregister, the next request finds a session but no hook.
//
// The analyzer owns the connections and knows none of the hooks. It removes a connection on
// teardown, on timeout, on eviction and at shutdown:
//
//	conn.StateRemove(c) // runs the hooks
//	logConnection(c)    // fields are still readable
//
// Package [example.com/conn/conntest] finds connections that a test never removes.
//
// # Connection or Hooks
//
// There are two ways to attach hooks, with the same promises.
//
//   - [Connection] is for parsers in packages that know nothing of the connection's owner. Each
//     keeps its state in a [Field], and hooks receive a *Connection.
//   - [Hooks] is for a connection type of your own, C, whose members hold the state. Hooks receive
//     a *C, and methods of C become hooks as method expressions, such as (*C).finish.
//
// A type that embeds Connection gets hooks that receive the *Connection, not the type itself.
//
// A Hooks may be embedded or a named field, such as onRemove conn.Hooks[C]. Name the field if C is
// exported, since embedding adds six methods to its API; if C is encoded with encoding/gob, which
// rejects a type that embeds Hooks; or if C ends in stages, each with a Hooks of its own.
//
// # Life of a connection
//
// The zero value is ready to use. While packets arrive, parsers call [Register] and [Unregister].
// [StateRemove] runs the hooks in order of registration, on the calling goroutine. Hooks may
// register and unregister hooks; those that they register run in the same removal. When StateRemove
// has returned, the connection holds no hook and accepts none: Register returns false, and Removed
// tells this from a hook that is already registered. Exported members and fields stay readable. The
// owner may then drop the connection, or reuse its memory with *c = conn.Connection{…}. Doing that
// earlier, or in a hook, loses the hooks that have not run.
//
// A TCP connection outlives its first FIN. An analyzer that removes it there sees it begin again
// with the other side's FIN or the last ACK, so keep it for a few seconds (Zeek: 5 s).
//
// # What a hook needs
//
// A hook receives only the connection, so that it can be a function that captures nothing. It finds
// everything else, such as a log or the reason for the removal, through the connection: in members
// of the type that holds the Hooks, or through a pointer in the parser's Field. It leaves results
// for the owner in the same place. The owner should not set a Field on every connection just before
// removing it: that would make connections without hooks pay.
//
// A parser that finishes before the connection does, as when HTTP is upgraded to WebSocket, runs
// its hook itself. The hook still runs once:
//
//	if conn.Unregister(c, finalize) {
//		finalize(c)
//	}
//
// State that moves to another connection takes its hook along:
//
//	if conn.Unregister(from, finalize) {
//		conn.Register(to, finalize)
//	}
//
// # Identity of hooks
//
// Register ignores a hook that is already registered, and Unregister finds the hook to take back,
// by identity. Go has no == for func values; here, a hook is one func value:
//
//   - A top-level function, a method expression such as (*tcpConn).finalize, or an instance of
//     either with concrete types, such as finalize[State], is the same hook wherever it is written.
//     Prefer these.
//   - A variable is the hook that it holds.
//   - Treat any other expression as a new hook each time it is evaluated: a literal, a method value
//     such as s.finalize, the result of [Chain] or of another call, an instance with type
//     parameters such as finalize[T]. Keep it in a variable to register it once or to unregister
//     it.
//
// Whether a literal that captures nothing is a new hook each time depends on inlining, and differs
// between builds.
//
// [context.AfterFunc] returns a stop function instead. That is one more value to keep per
// connection and hook, and the parser must remember whether it has registered already. With
// identity, the function's name is the token: a parser calls Register and Unregister at will and
// keeps nothing.
//
// The vet check [example.com/conn/hookvet] finds mistakes with identity.
//
// # Ownership
//
// At any moment one goroutine may use a connection: the one that owns it, or the one that holds the
// lock that guards it. Any lock that your program already has will do; a connection has none of its
// own. Different connections need no coordination: no path that runs once per connection takes a
// lock or writes memory that other connections read. Examples of the package show the usual shapes:
//
//   - Goroutine: one goroutine owns all connections, and others send it packets.
//   - Workers: several goroutines each own some of the connections.
//   - Mutex: a map, a mutex per connection, and a janitor that removes idle connections.
//   - Directions: a goroutine per direction, and a timer.
//
// With a lock, four rules apply:
//
//   - StateRemove runs the hooks while its caller holds the lock. A hook must not take that lock
//     again, and may take other locks only in your lock order.
//   - Defer the unlock, and recover around StateRemove alone (see Panics).
//   - A reader may get a connection from the map and wait for its lock while the janitor removes
//     it. Then no hook will run: check Removed under the lock, and deliver what is pending
//     yourself. Do not rely on the result of Register, which is also false if the hook is already
//     registered.
//   - A hook must not pass its connection to another goroutine, send it on a channel, or put it
//     into a pool, because StateRemove is not finished with it. Set a flag in the hook, and hand
//     the connection over after StateRemove has returned.
//
// The last rule also holds without a lock.
//
// # Panics
//
// Passing a nil hook to Register, or a nil body to Chain, panics with a message that starts with
// "conn: ". Using a nil *Connection, *Hooks or *Field panics with a nil pointer dereference.
// [Hooks.StateRemove] passes its argument on to the hooks unchecked: they receive nil, or another
// connection than their own, if the caller passes it. Everything else has a defined result:
// registering twice or too late, unregistering an unknown hook, removing twice or from inside a
// hook.
//
// A hook that panics does not keep the others from running. They run first, the connection is
// removed, and then the panic continues to the caller of StateRemove, with the stack of the hook
// that raised it. The same holds for a hook that calls [runtime.Goexit], as a failing test does.
// [StateRemove] says which panic continues if several hooks panic.
//
// An analyzer that should outlive a faulty parser recovers around StateRemove and nothing more:
//
//	func (t *table) remove(c *conn.Connection) {
//		delete(t.flows, c.ID)
//		defer func() {
//			if v := recover(); v != nil {
//				log.Printf("%s: %v\n%s", c.UID, v, debug.Stack())
//			}
//		}()
//		conn.StateRemove(c)
//	}
//
// A panic that is recovered farther out skips whatever lies between: a lock stays locked unless its
// unlock is deferred, and other connections that were about to be removed are not.
//
// # Cost
//
// A connection without hooks allocates nothing, and StateRemove is inlined to a load, a test and a
// store. Hooks that are top-level functions, method expressions, or function literals in
// package-level variables cost no allocation, however many: connections with the same hooks in the
// same order share one list of them. Any other hook costs its connection one allocation for up to
// four hooks, besides the closure itself; on WebAssembly, every hook does. The shared lists take at
// most about two megabytes, whatever traffic arrives; when they are full, connections with new
// combinations get lists of their own until the next garbage collection empties the shared ones.
// Such a list may keep a hook made during package initialization reachable after its last
// connection is gone.
//
// Register, Unregister and Registered take time proportional to the number of the connection's
// hooks, or less; RemovalHooks takes that long for each hook it yields. Register one hook per
// protocol, with the pending requests in its state, rather than one hook per request.
package conn
