// Package conn gives every connection of a network analyzer its own removal hooks: functions that run once, when the
// state of that connection is removed, and that cost other connections nothing.
//
// A protocol parser often cannot tell that something is missing until the connection is gone: a request whose reply never
// came, a handshake cut short. It could wait for a global "connection removed" event, but then every connection pays for
// every protocol. With a removal hook the parser registers a function with the one connection that it is concerned with.
// The package brings Zeek's framework for this, base/protocols/conn/removal-hooks.zeek, to Go.
//
// A parser keeps its state in a [Field] and registers a hook when that state comes into being:
//
//	var session conn.Field[Session]
//
//	func onRequest(c *conn.Connection, r Request) {
//		s, created := session.GetOrNew(c)
//		if created {
//			conn.Register(c, finalize)
//		}
//		s.pending = append(s.pending, r)
//	}
//
//	func finalize(c *conn.Connection) bool {
//		for _, r := range session.Get(c).pending {
//			log.Printf("%s: no reply to %s", c.UID, r)
//		}
//		return true
//	}
//
// The analyzer, which owns the connections, knows none of the hooks. It removes a connection and then logs it:
//
//	conn.StateRemove(c)
//	logConnection(c)
//
// # Life of a connection
//
// The owner makes a [Connection], whose zero value is ready to use, and sets its exported members. While packets arrive,
// parsers call [Register] and [Unregister]. On teardown, on timeout, or when the analyzer shuts down, the owner calls
// [StateRemove], which runs the hooks in the order of registration. Hooks may register and unregister hooks meanwhile;
// what they register runs in the same removal. When StateRemove has returned, the connection holds no hook and takes none:
// Register returns false, so that a caller always learns when its hook will not run. The exported members and the fields
// stay readable. The owner may then drop the connection or reuse its memory with *c = conn.Connection{…}.
//
// # Identity of hooks
//
// Register ignores a hook that is registered already, and Unregister finds the hook to take back, by identity: a hook is
// one func value. Go has no == for func values, so this is what counts as the same:
//
//   - A top-level function, such as finalize, is the same hook wherever it is named. So is an instance of a generic
//     function with concrete types, such as finalize[State]. Prefer these.
//   - A variable that holds a hook is that hook, as are its copies. A package-level variable is as good as a function.
//   - A literal that captures variables of the function around it, or stands in a generic function, is a new hook each
//     time it is evaluated: two closures made by one literal are two hooks. To unregister one, keep it in a variable.
//   - A method value x.M is a new hook each time it is evaluated, even for the same x. Evaluate it once and keep it:
//     s.hook = s.finalize.
//   - The result of [Chain] is a new hook each time.
//   - A generic function instantiated with a type parameter of the function around it, finalize[T], is a new hook each
//     time it is evaluated.
//   - A literal that captures nothing is the same hook each time that one place in the program is evaluated. The trap: the
//     compiler may inline a small function that returns such a literal, and then every call of it is a place of its own.
//     Two calls give two different hooks in an optimized build and one in a debug build. Do not rely on either: name a
//     top-level function, or keep the literal in a variable.
//
// A wrong func value does not go unnoticed. If it is another hook than you meant, Register adds one more and Unregister
// returns false; if it is the same as before, Register returns false.
//
// The analyzer hookvet, in a module of its own beside this package, finds such mistakes before the program runs:
//
//	go install example.com/conn/hookvet/cmd/hookvet@latest
//	go vet -vettool="$(which hookvet)" ./...
//
// # Ownership and concurrency
//
// A Connection belongs to one goroutine at a time, as the parsers that work on it do. It may be handed to another, through
// a channel for example. Different connections need no coordination and share nothing that is written: no path that runs
// once a connection takes a lock. StateRemove runs the hooks on the goroutine that calls it.
//
// # Panics
//
// Misuse that cannot be anything but a bug panics with a message that starts with "conn: ": Register of a nil hook, and
// Chain with a nil body. A nil *Connection or *Field is a nil pointer dereference. Everything else has a defined result:
// registering twice or too late, unregistering what was never registered, removing twice or from inside a hook.
//
// A hook that panics does not keep the others from running. They run first, the connection is removed, and then the panic
// goes on to the caller of StateRemove, with the stack of the hook that raised it. The same is true for a hook that ends
// its goroutine with [runtime.Goexit], as a failing test does. An analyzer that is to outlive a faulty parser recovers
// around StateRemove.
//
// # Cost
//
// A connection without hooks allocates nothing, and StateRemove is inlined to a load, a test and a store. Registering and
// running hooks that are top-level functions or package-level variables allocates nothing either: connections with the
// same hooks in the same order share one list of them, made when the first of these connections comes. Any other hook
// gives its connection a list of its own, which costs two small allocations for the first and less than one, on average,
// for each that follows. The shared lists take two megabytes at most, whatever traffic brings; when they are full,
// connections with further combinations have lists of their own until the next garbage collection has emptied the shared
// ones. A hook that the initialization of a package makes counts as living as long as the program: the shared lists may
// keep it when the last connection that had it is gone.
//
// Register, Unregister and Registered look through the hooks of the connection, and RemovalHooks does so for each hook
// that it yields. There should be a few: one a protocol, with the pending requests in a Field, rather than one a request.
package conn
