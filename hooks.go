package conn

import (
	"fmt"
	"iter"
	"reflect"
	"runtime"
	"slices"
)

// A RemovalHook is a function that finishes what a protocol left open on c when the state of c is removed. It is Zeek's
// Conn::RemovalHook. [Register] attaches one to a connection, [StateRemove] runs it.
//
// It reports whether it completed, as a Zeek hook does in which no body broke. false stops no other hook; it only makes
// StateRemove report false.
//
// A hook is one func value: naming a top-level function gives the same hook everywhere, while every evaluation of a
// method value or of a literal that captures variables makes a new hook. The package comment has the details.
type RemovalHook func(c *Connection) bool

// String returns the name of hk's function, as in example.com/app/http.finalize, for logs and debugging; "<nil>" for a
// nil hook. Different hooks may have the same name: closures made by one literal do.
func (hk RemovalHook) String() string {
	if hk == nil {
		return "<nil>"
	}
	return runtime.FuncForPC(reflect.ValueOf(hk).Pointer()).Name()
}

// Register registers hk with c and reports whether it did: hk then runs once, when [StateRemove] removes the state of c,
// after the hooks that were registered before it, unless [Unregister] takes it back. It is Zeek's
// Conn::register_removal_hook.
//
// Register returns false and changes nothing if hk is registered with c already, or has begun to run, or if the removal
// of c is over. During the removal, that is from inside a hook of c, hk is added and runs in that same removal.
//
// hk stays reachable from c until the removal is over or Unregister returns true.
//
// Register panics if hk is nil. Like everything done with c, it must not be called by two goroutines at once for the
// same c.
func Register(c *Connection, hk RemovalHook) bool {
	// What nearly every call comes to: there is a set with one hook more, and it is the first to look at.
	key := identity(hk)
	if t := c.followers(key).Load(); t != nil && t.key == key && c.ran != over {
		c.set = t
		return true
	}
	if hk == nil {
		panic("conn: Register called with a nil RemovalHook")
	}
	return c.ran != over && c.add(hk)
}

// Unregister takes hk back and reports whether it did: hk was registered with c and had not begun to run, and now it will
// not run. Otherwise it returns false and changes nothing; a nil hk is never registered. Afterwards hk may be registered
// again, and then comes last. It is Zeek's Conn::unregister_removal_hook.
//
// A hook of c may call it, for itself (false: it has begun) or for another hook.
func Unregister(c *Connection, hk RemovalHook) bool {
	i := c.pending(hk)
	if i < 0 {
		return false
	}
	c.remove(i)
	return true
}

// Registered reports whether hk is registered with c and has not begun to run, so that StateRemove would still run it. It
// is false for a nil hk, and for every hook once the removal of c is over.
func Registered(c *Connection, hk RemovalHook) bool {
	return c.pending(hk) >= 0
}

// RemovalHooks returns an iterator over the hooks that [StateRemove] would still run, in the order in which it would run
// them. From inside a hook of c, these are the hooks after it.
//
// The loop body may register and unregister hooks and remove c: a hook that is no longer registered when its turn comes
// is not yielded, nor is one that was not registered when the loop began.
func (c *Connection) RemovalHooks() iter.Seq[RemovalHook] {
	return func(yield func(RemovalHook) bool) {
		if c.set == nil {
			return
		}
		for _, hk := range slices.Clone(c.set.hooks) {
			if Registered(c, hk) && !yield(hk) {
				return
			}
		}
	}
}

// StateRemove removes the state of c: it runs every hook registered with c once, in the order of registration, on the
// calling goroutine, and reports whether all of them completed, that is returned true. Without hooks it returns true. The
// owner of c calls it on teardown, timeout and shutdown, when nothing more of the connection is to come. It does what the
// handler of connection_state_remove does in Zeek's base/protocols/conn/removal-hooks.zeek.
//
// When it is over, c keeps no hook alive and takes no new one: Register returns false. The exported members and the
// fields of c stay as they are, for the owner to log. Called again, or by one of c's own hooks, StateRemove runs nothing
// and returns true.
//
// Hooks may register and unregister hooks of c. One registered during the removal runs in it, after those before it; one
// unregistered before its turn does not run.
//
// A hook that panics or calls [runtime.Goexit] does not keep the others from running. When they have run and the removal
// is over, the panic goes on to the caller of StateRemove with the stack of the hook that raised it. If several hooks
// panic, the first panic goes on, also past a hook that calls Goexit, and the later ones are dropped.
func StateRemove(c *Connection) bool {
	if c.set == nil {
		c.ran = over
		return true
	}
	return c.runHooks(0, false)
}

// runHooks runs the hooks of c from the n-th on, which must be the first that has not begun to run, and ends the removal.
// It drops panics if one goes on already: panicked.
func (c *Connection) runHooks(n uint32, panicked bool) (ok bool) {
	if c.ran != n {
		return true // called by one of c's own hooks
	}
	defer func() {
		if c.ran == over || c.ran == 0 {
			return
		}
		// A hook panicked or called Goexit. The others run on top of its stack, so that its panic goes on with that
		// stack. It goes on from a deferred call, so that a Goexit in one of the others does not stop it.
		v := recover()
		if v != nil && !panicked {
			defer panic(v)
		}
		c.runHooks(c.ran, panicked || v != nil)
	}()
	ok = true
	for c.ran == n { // false if a hook made *c a new connection, which is left alone
		hooks := c.set.hooks
		if int(n) >= len(hooks) {
			c.set, c.ran = nil, over
			break
		}
		n++
		c.ran = n
		if !hooks[n-1](c) {
			ok = false
		}
	}
	return ok
}

// Chain returns one hook that runs the given bodies, as a Zeek hook runs its bodies: in order, until one returns false.
// The hook reports whether all of them returned true; without bodies, it returns true.
//
// A body that panics or calls [runtime.Goexit] does not keep the later bodies from running, until one returns false. The
// panic then goes on with the stack of the body that raised it. If several bodies panic, the first panic goes on, also
// past a body that calls Goexit.
//
// Every call makes a new hook, even for the same bodies: keep the result in a variable, best at package level, to
// register it once or to unregister it. Chain keeps a copy of bodies. It panics if one of them is nil.
func Chain(bodies ...RemovalHook) RemovalHook {
	// Kept small enough to be inlined: so livesForever can tell the chain of a package-level variable from others.
	bodies = cloneBodies(bodies)
	return func(c *Connection) bool { return runBodies(c, bodies) }
}

func cloneBodies(bodies []RemovalHook) []RemovalHook {
	for i, body := range bodies {
		if body == nil {
			panic(fmt.Sprintf("conn: Chain called with a nil RemovalHook as body %d of %d", i+1, len(bodies)))
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
