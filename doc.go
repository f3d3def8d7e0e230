// Package conn gives every connection of a network analyzer its own removal hooks: functions that
// run once, when the state of that connection is removed, and that cost other connections nothing.
//
// A protocol parser often cannot tell that something is missing until the connection is gone: a
// request whose reply never came, a handshake cut short. It could wait for a global "connection
// removed" event, but then every connection pays for every protocol. With a removal hook the parser
// registers a function with the one connection that it is concerned with. The package brings Zeek's
// framework for this, base/protocols/conn/removal-hooks.zeek, to Go.
//
// There are two ways in. An analyzer that starts from nothing takes [Connection]. An analyzer that
// has a connection type of its own embeds [Hooks] in it. Both do the same.
//
// A parser keeps its state in a [Field] and registers its hook whenever something becomes pending:
//
//	var session conn.Field[Session]
//
//	func onRequest(c *conn.Connection, r Request) {
//		s, _ := session.GetOrNew(c)
//		s.pending = append(s.pending, r)
//		conn.Register(c, finalize) // once, however often it is called
//	}
//
//	func onReply(c *conn.Connection, r Reply) {
//		if s := session.Get(c); s != nil && s.match(r) && len(s.pending) == 0 {
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
// Registering again changes nothing, so there is no need to remember whether the hook is
// registered. To register it only when GetOrNew has made the session would lose it: after the
// Unregister, the next request finds a session and no hook.
//
// The analyzer, which owns the connections, knows none of the hooks. It removes a connection and
// then logs it:
//
//	conn.StateRemove(c)
//	logConnection(c)
//
// Package conntest finds connections in the tests of an analyzer that are never removed.
//
// # Life of a connection
//
// The owner makes a connection, whose zero value is ready to use. While packets arrive, parsers
// call [Register] and [Unregister]. On teardown, on timeout, when it makes room for others, and
// when it shuts down, the owner calls [StateRemove], which runs the hooks in the order of
// registration. Hooks may register and unregister hooks meanwhile; what they register runs in the
// same removal. When StateRemove has returned, the connection holds no hook and takes none:
// Register returns false, so that a caller always learns when its hook will not run. Exported
// members and fields stay readable. The owner may then drop the connection or reuse its memory with
// *c = conn.Connection{…}.
//
// TCP goes on after the first FIN: an analyzer that removes a connection there sees it begin again
// with the other side's FIN or the last ACK. Keep it for a few seconds after both sides have
// finished.
//
// # What a hook needs
//
// A hook gets the connection and nothing else, so that it can be a function that captures nothing.
// What it needs, such as a log, the time of the capture, or why the connection ended, it finds
// through the connection: in plain members of a type that embeds Hooks, or through a pointer in the
// Field of its parser. There it also leaves what it wants to give back to the owner. The owner
// should not set a Field on every connection that it removes for this: that makes those pay that
// have no hook.
//
// A parser that is done before the connection is, as when a protocol is upgraded to another, runs
// its hook itself, once:
//
//	if conn.Unregister(c, finalize) {
//		finalize(c)
//	}
//
// # Identity of hooks
//
// Register ignores a hook that is registered already, and Unregister finds the hook to take back,
// by identity. Go has no == for func values; here, a hook is one func value:
//
//   - A top-level function, a method expression such as (*tcpConn).finalize, or an instance of
//     either with concrete types, such as finalize[State], is one hook wherever it is named. Prefer
//     these.
//   - A variable is the hook that it holds.
//   - Take everything else for a new hook each time it is evaluated, and keep it in a variable to
//     register it once or to unregister it: literals, method values such as s.finalize, the results
//     of [Chain] and of other calls, and instances with type parameters, such as finalize[T].
//
// Whether a literal that needs no variable of its function is new each time depends on what the
// compiler inlines, and may differ between an optimized and a debug build.
//
// The vet check hookvet, in a module beside this package, finds hooks that are not what they seem:
//
//	go get -tool example.com/conn/hookvet/cmd/hookvet
//	go tool hookvet ./... && go vet ./...
//
// # Ownership and concurrency
//
// A connection belongs to one goroutine at a time, as the parsers that work on it do. It may be
// handed to another, through a channel for example. Different connections need no coordination: no
// path that runs once a connection takes a lock or writes what others read. StateRemove runs the
// hooks on the goroutine that calls it.
//
// An analyzer that reads the two directions of a connection on two goroutines has the parsers'
// state shared between them, and removes the connection when both are done: it closes the readers'
// channels, waits for them, and calls StateRemove; or the last reader out calls it. What belongs to
// a third goroutine, such as the one that assembles the streams, cannot be cleared by a hook then.
//
// Workers that each have connections of their own need the packets of both directions. A symmetric
// hash of the addresses, such as the FastHash of a gopacket NetworkFlow, brings these to the same
// worker. A worker that gets no packets for a while needs the time of the capture from the others,
// or its connections do not time out.
//
// # Panics
//
// Misuse that cannot be anything but a bug panics with a message that starts with "conn: ":
// Register of a nil hook, and Chain with a nil body. A nil *Connection, *Hooks or *Field is a nil
// pointer dereference. Everything else has a defined result: registering twice or too late,
// unregistering what was never registered, removing twice or from inside a hook.
//
// A hook that panics does not keep the others from running. They run first, the connection is
// removed, and then the panic goes on to the caller of StateRemove, with the stack of the hook that
// raised it. The same is true for a hook that ends its goroutine with [runtime.Goexit], as a
// failing test does.
//
// An analyzer that is to outlive a faulty parser recovers around StateRemove and nothing more:
//
//	func (s *stream) ReassemblyComplete(reassembly.AssemblerContext) bool {
//		defer func() {
//			if v := recover(); v != nil {
//				log.Printf("%s: %v\n%s", s.c.UID, v, debug.Stack())
//			}
//		}()
//		conn.StateRemove(s.c)
//		return true
//	}
//
// The hooks run there while gopacket holds the lock of its connection. A panic that is recovered
// farther out, around Assemble or FlushAll, leaves that lock held, and all other connections that
// were to be flushed unflushed: the next flush waits for ever.
//
// # Cost
//
// A connection without hooks allocates nothing, and StateRemove is inlined to a load, a test and a
// store. Registering and running hooks that are top-level functions, method expressions or
// package-level variables allocates nothing either: connections with the same hooks in the same
// order share one list of them, made when the first of these connections comes. Any other hook
// gives its connection a list of its own, which costs two small allocations for the first and less
// than one, on average, for each that follows. The shared lists are bounded, at about two
// megabytes, whatever traffic brings; when they are full, connections with further combinations
// have lists of their own until the next garbage collection has emptied the shared ones. A hook
// that the initialization of a package makes counts as living as long as the program: the shared
// lists may keep it when the last connection that had it is gone.
//
// Register, Unregister and Registered take time in proportion to the hooks of the connection, or
// less, and RemovalHooks does so for each hook that it yields. There should be a few: one a
// protocol, with the pending requests in a Field, rather than one a request.
package conn
