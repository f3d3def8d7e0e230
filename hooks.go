package conn

import (
	"iter"
	"slices"
	"unsafe"

	"example.com/conn/internal/watch"
)

// Hooks is the removal hooks of one connection, for an analyzer with a connection type C of its
// own. What [Register], [Unregister], [Registered] and [StateRemove] do for a [Connection], its
// methods do for a C. It is a member of C, embedded or named:
//
//	type tcpConn struct {
//		onRemove conn.Hooks[tcpConn]
//		ended    string // why, for the hooks
//		…
//	}
//
//	t.onRemove.Register((*tcpConn).saveBanner) // anywhere, any number of times
//	t.ended = "timeout"
//	t.onRemove.StateRemove(t)
//
// Embedding is shorter, and adds six methods to C. A named member adds none, leaves encoding/gob
// able to encode C, and lets C have several Hooks, one for each stage of its end.
//
// A hook is a func(*C) bool that reports whether it completed. A method expression such as
// (*tcpConn).saveBanner is one hook wherever it is written, captures nothing and allocates nothing;
// a method value t.saveBanner is a new hook each time. See Identity of hooks in the package
// comment.
//
// A hook must not hand its connection to another goroutine, send it on a channel or put it back
// into a pool: StateRemove is still using it. Set a flag in the hook, and hand the connection over
// after StateRemove has returned.
//
// The zero value is ready to use. A Hooks must not be copied after first use; go vet reports
// copies. Assigning conn.Hooks[C]{}, alone or with all of a C, makes it the hooks of a new
// connection. Do it after StateRemove has returned: hooks that have not run are dropped.
//
// At any moment one goroutine may use a Hooks: the one that owns it, or the one that holds the lock
// that guards it. Different ones need no coordination. All methods panic with a nil pointer
// dereference if h is nil.
type Hooks[C any] struct {
	_ noCopy
	hookList
}

// noCopy makes go vet's copylocks check report copies of the struct that holds it.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// Register registers hk and reports whether it did: hk then runs once, when [Hooks.StateRemove] is
// called, after the hooks registered before it, unless [Hooks.Unregister] takes it back.
//
// Register returns false and changes nothing if hk is already registered, even if it has begun to
// run since, or if the removal is over. A hook that calls it adds hk to the removal under way.
//
// A goroutine that gets its connection from a table and then takes its lock may find that it was
// removed in between: then no hook will run. It should check [Hooks.Removed] under the lock and
// deliver what is pending itself, since false may also mean that hk is already registered.
//
// Until the removal is over or Unregister returns true, hk is reachable from h. A hook that is a
// top-level function, a method expression, or a function literal in a package-level variable costs
// no allocation. Up to four others, or a mix, cost h one.
//
// Register panics if hk is nil.
func (h *Hooks[C]) Register(hk func(*C) bool) bool {
	return h.register(identity(hk))
}

// Unregister takes hk back and reports whether it did: hk was registered, had not begun to run, and
// will not run unless it is registered again, which puts it last. Otherwise Unregister returns
// false and changes nothing; a nil hk is never registered.
//
// A hook may call it for itself, which returns false since it has begun, or for another hook.
func (h *Hooks[C]) Unregister(hk func(*C) bool) bool {
	return h.unregister(identity(hk))
}

// Registered reports whether hk is registered and has not begun to run, so that StateRemove would
// still run it. It returns false for a nil hk, and for every hook once the removal is over.
func (h *Hooks[C]) Registered(hk func(*C) bool) bool {
	return h.pending(identity(hk)) >= 0
}

// RemovalHooks returns an iterator over the hooks that [Hooks.StateRemove] would still run, in the
// order in which it would run them. Inside a hook, these are the hooks after it.
//
// The loop body may register and unregister hooks and call StateRemove. The iterator skips a hook
// that is no longer registered when its turn comes, and those registered after the loop began.
func (h *Hooks[C]) RemovalHooks() iter.Seq[func(*C) bool] {
	l := &h.hookList // panics if h is nil, not only when ranged over
	return func(yield func(func(*C) bool) bool) {
		if l.set == nil {
			return
		}
		for _, hk := range slices.Clone(hooksOf[C](l.set)) {
			if l.pending(identity(hk)) >= 0 && !yield(hk) {
				return
			}
		}
	}
}

// Removed reports whether the removal has begun. It is true from the moment [Hooks.StateRemove] is
// called, including inside the hooks, until h is assigned conn.Hooks[C]{}.
func (h *Hooks[C]) Removed() bool {
	return h.begun&^watched != 0 || h.flags == over
}

// StateRemove runs every registered hook once, in order of registration, on the calling goroutine,
// and reports whether all of them completed, that is, returned true. Without hooks it returns true.
// It passes c, which should be the connection that h belongs to, to the hooks and does nothing else
// with it. The owner of the connection calls StateRemove on teardown, timeout, eviction and
// shutdown, when nothing more of the connection will arrive.
//
// If a lock guards the connection, the caller holds it, so hooks run while it is held. They must
// not take it again, and lock order applies to every lock they take. Unlock in a deferred call, so
// that a panic in a hook does not leave the connection locked.
//
// When the removal is over, h keeps no hook alive and takes no new one: Register returns false.
// Called again, or by one of the hooks, StateRemove runs nothing and returns true.
//
// Hooks may register and unregister hooks. One registered during the removal runs in it, after the
// others; one unregistered before its turn does not run.
//
// A hook that panics or calls [runtime.Goexit] does not keep the others from running. Once they
// have run and the removal is over, the panic continues to the caller of StateRemove with the stack
// of the hook that raised it. If several hooks panic, the first panic continues, even past a hook
// that calls Goexit, and the later ones are dropped.
func (h *Hooks[C]) StateRemove(c *C) bool {
	if h.set == nil {
		h.flags = over
		return true
	}
	return h.run(c, 0)
}

// run runs the hooks from the n-th on, which must be the first that has not begun to run, and ends
// the removal.
func (h *Hooks[C]) run(c *C, n uint32) (ok bool) {
	if h.begun != n {
		if h.begun != watched {
			return true // called by one of the hooks
		}
		n = watched
	}
	defer func() {
		if h.begun == all || h.begun&^watched == 0 {
			return
		}
		// A hook panicked or called Goexit. The others run on top of its stack, so that its panic
		// continues with that stack. The panic continues from a deferred call, so that a Goexit in
		// one of the others does not stop it. Their own panics, which it would replace in the end,
		// are dropped here, because unwinding through all of them takes quadratic time.
		if v := recover(); v != nil && h.flags&panicking == 0 {
			h.flags |= panicking
			defer panic(v)
		}
		h.run(c, h.begun)
	}()
	ok = true
	for h.begun == n { // false if a hook made h a new one, which is left alone
		hooks := hooksOf[C](h.set)
		i := n &^ watched
		if int(i) >= len(hooks) {
			h.set, h.begun, h.flags = nil, all, over
			break
		}
		hk := hooks[i]
		if n&watched != 0 {
			watch.Done(unsafe.Pointer(h.set), identity(hk))
		}
		n++
		h.begun = n
		if !hk(c) {
			ok = false
		}
	}
	return ok
}

// identity returns the pointer that hk consists of.
func identity[C any](hk func(*C) bool) hook {
	return *(*hook)(unsafe.Pointer(&hk))
}

// hooksOf returns the hooks of s, all of which came from a func(*C) bool.
func hooksOf[C any](s *hookSet) []func(*C) bool {
	return *(*[]func(*C) bool)(unsafe.Pointer(&s.hooks))
}
