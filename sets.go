package conn

import (
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"example.com/conn/internal/watch"
)

// A hook is a func value without its type: the one pointer that it consists of, which is also what
// distinguishes it from other func values. Its type must be known to call it.
type hook = unsafe.Pointer

// This does not compile where a func value is more than one pointer, as with TinyGo.
var _ [unsafe.Sizeof(uintptr(0))]struct{} = [unsafe.Sizeof((func())(nil))]struct{}{}

// A hookSet is an ordered list of different hooks. It is the first part of either a sharedSet or a
// privateSet; the hookList that points to it knows which.
//
// Connections of different types use the same sets. That is sound, although a set does not know the
// type of its hooks: a connection reaches a set only by registering each of its hooks itself, in
// this order, so every pointer that it finds there is one it brought. If the linker ever gave
// functions of two types one address, they would be one function, and calling it as either type
// would be right.
type hookSet struct {
	hooks []hook
}

// A sharedSet is the hooks of every connection that registered the same ones in the same order.
//
// Most connections of an analyzer have one of a few dozen combinations of hooks. Shared sets are
// therefore immutable, and each knows the sets that follow it when one more hook is registered, as
// the hidden classes of JavaScript engines do: after http.finalize, registering tls.finalize leads
// from the set {http} to the set {http, tls}. Registering a hook finds the follower and stores one
// pointer, and the hooks of a million connections lie in a few cache lines.
//
// Shared sets are found without a lock and made under one. They hold only hooks that live as long
// as the program.
type sharedSet struct {
	hookSet
	key     hook                      // the last of hooks
	next    atomic.Pointer[sharedSet] // first follower
	sibling atomic.Pointer[sharedSet] // next follower of the set that this one follows
}

// A privateSet is the hooks of one connection, which changes it in place. A connection gets one
// when it registers a hook that may die before the program, or finds no room for a shared set.
type privateSet struct {
	hookSet
	index map[hook]struct{} // the elements of hooks, once there have been more than indexAbove
	room  [4]hook           // where hooks starts out: up to four hooks are one allocation
}

const indexAbove = 64

// A hookList is the hooks of one connection.
type hookList struct {
	set   *hookSet // nil before the first is registered and when the removal is over
	begun uint32   // how many have begun to run, with the bit watched; all when the removal is over
	flags flags
}

const (
	// watched is set in hookList.begun while package watch follows the hooks, which are in a
	// privateSet. It is not one of the flags because run has begun in a register for every hook.
	watched = 1 << 31

	// all is the value of hookList.begun when the removal is over. No removal still under way
	// counts that far, so run never mistakes a connection that its own hook made and removed for
	// the old one.
	all = 1<<32 - 1
)

// The flags of a hookList. If none is set, which is usual, hookList.set is nil or a sharedSet, and
// a hook may be registered by following it.
type flags uint32

const (
	private   flags = 1 << iota // set is a privateSet
	panicking                   // the panic of a hook is to continue when the others have run
	over                        // the removal is over; no other flag is set
)

// roots holds the sets of one hook, at a hash of the hook. Any hook of the program may be a
// connection's first, while only a few follow the same set.
var roots [64]atomic.Pointer[sharedSet]

// own returns the set of l, which is private.
func (l *hookList) own() *privateSet { return (*privateSet)(unsafe.Pointer(l.set)) }

// followers returns the list of the sets that follow the set of l, which is not private. The one
// that ends with hk is in it if it exists.
func (l *hookList) followers(hk hook) *atomic.Pointer[sharedSet] {
	list := &roots[uintptr(hk)/unsafe.Sizeof(hk)%uintptr(len(roots))]
	if l.set != nil {
		list = &(*sharedSet)(unsafe.Pointer(l.set)).next
	}
	return list
}

// find returns the set in the list that ends with hk, nil if there is none.
func find(list *atomic.Pointer[sharedSet], hk hook) *sharedSet {
	t := list.Load()
	for t != nil && t.key != hk {
		t = t.sibling.Load()
	}
	return t
}

// register adds hk to l and reports whether it did, as Register promises. Connection.register is
// the same for a Connection.
func (l *hookList) register(hk hook) bool {
	// Nearly every call ends here: the set with one more hook exists and is the first to be found.
	if l.flags == 0 {
		if t := l.followers(hk).Load(); t != nil && t.key == hk {
			l.set = &t.hookSet
			return true
		}
	}
	return l.registerSlowly(hk, nil)
}

// registerSlowly does the rest of register. It is a function of its own because the stack it needs
// would cost every call. c is the Connection that l belongs to, nil if it belongs to a connection
// of another type.
func (l *hookList) registerSlowly(hk hook, c *Connection) bool {
	if hk == nil {
		panic("conn: Register called with a nil RemovalHook")
	}
	if l.flags == over {
		if watch.On() {
			watch.Late(funcName(hk), c.name())
		}
		return false
	}
	if !l.add(hk) {
		return false
	}
	// Once the removal has begun it is too late to watch: run would take l for a new one.
	if l.begun&watched != 0 || l.begun == 0 && l.flags&private != 0 && watch.On() {
		l.begun |= watched
		watch.Registered(unsafe.Pointer(l.set), hk, funcName(hk), c.name())
	}
	return true
}

// unregister takes hk from l and reports whether it did, as Unregister promises.
func (l *hookList) unregister(hk hook) bool {
	i := l.pending(hk)
	if i < 0 {
		return false
	}
	if l.begun&watched != 0 {
		watch.Done(unsafe.Pointer(l.set), hk)
	}
	l.remove(i)
	return true
}

// pending returns the index of hk in l if it is there and has not begun to run, and otherwise -1.
func (l *hookList) pending(hk hook) int {
	if l.set != nil {
		for i, hooks := int(l.begun&^watched), l.set.hooks; i < len(hooks); i++ {
			if hooks[i] == hk {
				return i
			}
		}
	}
	return -1
}

// add adds hk to l and reports whether it was not there yet.
func (l *hookList) add(hk hook) bool {
	if l.flags&private != 0 {
		s := l.own()
		if s.has(hk) {
			return false
		}
		s.append(hk)
		return true
	}
	if t := find(l.followers(hk), hk); t != nil {
		l.set = &t.hookSet
		return true
	}
	var hooks []hook
	if l.set != nil {
		hooks = l.set.hooks
		if slices.Contains(hooks, hk) {
			return false
		}
	}
	// The flag is read first, without the lock on which the connections of all goroutines would
	// meet.
	if !sharing.full.Load() && lasting(hk) {
		if t := share(l.followers(hk), hooks, hk); t != nil {
			l.set = &t.hookSet
			return true
		}
	}
	s := new(privateSet)
	s.hooks = s.room[:0]
	if len(hooks) > 0 { // rare enough to keep the call that append is off the usual path
		s.hooks = append(s.hooks, hooks...)
	}
	s.append(hk)
	l.set = &s.hookSet
	l.flags |= private
	return true
}

// has reports whether hk is in s.
func (s *privateSet) has(hk hook) bool {
	if s.index != nil {
		_, ok := s.index[hk]
		return ok
	}
	return slices.Contains(s.hooks, hk)
}

// append adds hk, which must not be there, to s.
func (s *privateSet) append(hk hook) {
	s.hooks = append(s.hooks, hk)
	switch n := len(s.hooks); {
	case s.index != nil:
		s.index[hk] = struct{}{}
	case n > indexAbove:
		s.index = make(map[hook]struct{}, 2*indexAbove)
		for _, hk := range s.hooks {
			s.index[hk] = struct{}{}
		}
	case n == len(s.room)+1:
		clear(s.room[:]) // hooks has moved out, and copies left here would keep hooks alive
	}
}

// remove takes the i-th hook from l.
func (l *hookList) remove(i int) {
	if l.flags&private != 0 {
		s := l.own()
		delete(s.index, s.hooks[i])
		s.hooks = slices.Delete(s.hooks, i, i+1)
		return
	}
	hooks := l.set.hooks
	l.set = nil
	for j, hk := range hooks {
		if j != i {
			l.add(hk)
		}
	}
}

// sharing is what goroutines change when they make or forget shared sets.
var sharing struct {
	full atomic.Bool // no set is to be added; read without mu

	mu        sync.Mutex
	links     []*atomic.Pointer[sharedSet] // all that lead to a shared set
	bytes     int                          // what the sets take of the heap
	suspended bool                         // full until resumed
}

// maxSharing is how many bytes of the heap the shared sets may take, with the list of links to
// them: enough for some twenty thousand sets of the usual size.
const maxSharing = 2 << 20

// share makes the set of the given hooks and hk, adds it to the list and returns it; nil if there
// is no room.
func share(list *atomic.Pointer[sharedSet], hooks []hook, hk hook) *sharedSet {
	sharing.mu.Lock()
	defer sharing.mu.Unlock()
	if t := find(list, hk); t != nil {
		return t // another goroutine made it meanwhile
	}
	if sharing.full.Load() {
		return nil
	}
	// Concat rounds the capacity up to the heap's size class, so that cap is what the array takes.
	t := &sharedSet{hookSet: hookSet{slices.Concat(hooks, []hook{hk})}, key: hk}
	links := append(sharing.links, list)
	bytes := sharing.bytes + int(unsafe.Sizeof(*t)) + cap(t.hooks)*int(unsafe.Sizeof(hk))
	if bytes+cap(links)*int(unsafe.Sizeof(list)) > maxSharing {
		// Combinations that traffic no longer brings must not keep out new ones. All are forgotten
		// at the next garbage collection, which finds this set unreachable. If they were forgotten
		// at once, a flood of new combinations would take the lock with every Register.
		sharing.full.Store(true)
		runtime.SetFinalizer(t, func(*sharedSet) { forgetSets() })
		return nil
	}
	// append, so that the first sets, which are likely to be common, are found first
	for list.Load() != nil {
		list = &list.Load().sibling
	}
	list.Store(t)
	links[len(links)-1] = list
	sharing.links, sharing.bytes = links, bytes
	return t
}

// forgetSets forgets all shared sets. Connections keep theirs, but the links between them are cut,
// so that a connection keeps no set alive but its own.
func forgetSets() {
	sharing.mu.Lock()
	defer sharing.mu.Unlock()
	for _, link := range sharing.links {
		link.Store(nil)
	}
	sharing.links, sharing.bytes = nil, 0
	sharing.full.Store(sharing.suspended)
}

// While a test watches hooks, no sets are shared. Every registration then reaches registerSlowly,
// which reports it.
func init() {
	watch.Suspend = func(suspended bool) {
		sharing.mu.Lock()
		sharing.suspended = suspended
		sharing.mu.Unlock()
		forgetSets()
	}
}

// codeOf returns the address of hk's code, the first word of what a func value points to.
func codeOf(hk hook) uintptr { return *(*uintptr)(hk) }

// funcName returns the name of hk's function.
func funcName(hk hook) string { return runtime.FuncForPC(codeOf(hk)).Name() }

// shortLived holds the code of hooks that lasting was asked about and that may die before the
// program. It is a hash table, filled once for every function literal whose closures become hooks
// and then only read. A program with hundreds of such literals fills it; each closure of the
// remaining ones costs a lookup of its name.
var shortLived [256]atomic.Uintptr

// lasting reports whether hk looks like a func value that lives as long as the program. Either
// answer keeps every promise but that of cost: a hook that is not recognized costs its connection
// an allocation, and a closure that is taken for a lasting one stays in memory until the shared
// sets are forgotten. The latter can only be a closure made during package initialization.
func lasting(hk hook) bool {
	if runtime.GOARCH == "wasm" {
		return false // FuncForPC may name a method value after its method, like a method expression
	}
	code := codeOf(hk)
	const probes, alignment = 8, 32
	for i := range uintptr(probes) {
		slot := &shortLived[(code/alignment+i)%uintptr(len(shortLived))]
		switch slot.Load() {
		case code:
			return false
		case 0:
			if namesLasting(funcName(hk)) {
				return true
			}
			slot.CompareAndSwap(0, code) // if another hook took it, this one is entered next time
			return false
		}
	}
	return namesLasting(funcName(hk))
}

// namesLasting reports whether name is the symbol of a function declared at package level, such as
// example.com/app/http.finalize, of a method expression, such as http.(*Session).finalize, or of a
// literal in the declaration of a package-level variable or in func init, such as http.init.func1
// or http.init.0.func1.
//
// A literal inside of one of these may be evaluated at any time, and so may a literal that init
// gets from another function: what the compiler calls it when it inlines that function differs
// between releases of Go.
func namesLasting(name string) bool {
	if strings.HasPrefix(name, "reflect.") {
		return false // all func values that package reflect makes run the same few functions
	}
	name = name[strings.LastIndexByte(name, '/')+1:]
	_, name, _ = strings.Cut(name, ".")
	if name == "" || strings.ContainsRune(name, '-') { // a method value ends with -fm
		return false
	}
	if rest, ok := strings.CutPrefix(name, "init."); ok {
		if first, literal, ok := strings.Cut(rest, "."); ok && isNumber(first) {
			rest = literal // of a func init, which are numbered
		}
		number, ok := strings.CutPrefix(rest, "func")
		return ok && isNumber(number)
	}
	i := strings.LastIndexByte(name, '.')
	return i < 0 || !isNumber(strings.TrimPrefix(name[i+1:], "func"))
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
