package conn

import (
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"example.com/conn/internal/watch"
)

// A hook is a func value without its type: the one pointer that it consists of, which is also what
// tells it from other func values. Whoever calls it must know the type.
type hook = unsafe.Pointer

// A compiler whose func values are more than one pointer, such as TinyGo, refuses to build this.
var _ [unsafe.Sizeof(uintptr(0))]struct{} = [unsafe.Sizeof((func())(nil))]struct{}{}

// A hookSet is an ordered list of different hooks.
//
// Most connections of an analyzer hold one of a few dozen combinations of hooks. So sets are
// immutable and shared, and each knows the sets that follow it when one hook more is added, as the
// hidden classes of JavaScript engines do. To register a hook is then to find the follower and to
// store one pointer, and the hooks of a million connections lie in a few cache lines.
//
// Shared sets are found without a lock and made under one. They hold only hooks that live as long
// as the program. For other hooks, and while there is no room for more shared sets, a connection
// has a private set, which it changes in place.
//
// Connections of different types share the same sets. That is sound, although a set does not know
// the type of its hooks: a connection comes to a set only by registering each of its hooks itself,
// in this order, and the pointer it finds there is the one it brought. Should the linker ever give
// functions of two types one address, then they are one function, and calling it as either is
// right.
type hookSet struct {
	hooks   []hook
	private bool

	// Of a shared set:
	key     hook                    // the last hook
	next    atomic.Pointer[hookSet] // first follower
	sibling atomic.Pointer[hookSet] // next follower of the set that this one follows

	// Of a private set of more than indexAbove hooks: what is in hooks.
	index map[hook]struct{}
}

const indexAbove = 64

// A hookList is the hooks of one connection.
type hookList struct {
	set       *hookSet // nil before the first is registered and when the removal is over
	begun     uint32   // how many of them have begun to run, and watched; or over
	panicking bool     // the panic of one of them is to go on when the others have run
}

const (
	// watched is set in hookList.begun if package watch is to know what becomes of the hooks. The
	// bit is here because running a hook reads begun anyway.
	watched = 1 << 31

	// over is the value of hookList.begun when the removal is over.
	over = 1<<32 - 1
)

// roots has the sets of one hook, by a hash of the hook. Any hook of the program may be a
// connection's first, while only a few follow the same set.
var roots [64]atomic.Pointer[hookSet]

// followers returns the list that has the set which follows the hooks of l by hk.
func (l *hookList) followers(hk hook) *atomic.Pointer[hookSet] {
	list := &roots[uintptr(hk)/unsafe.Sizeof(hk)%uintptr(len(roots))]
	if l.set != nil {
		list = &l.set.next
	}
	return list
}

// find returns the set in the list that ends with hk, nil if there is none.
func find(list *atomic.Pointer[hookSet], hk hook) *hookSet {
	t := list.Load()
	for t != nil && t.key != hk {
		t = t.sibling.Load()
	}
	return t
}

// register adds hk to l and reports whether it did, as promised of Register.
func (l *hookList) register(hk hook) bool {
	// What nearly every call comes to: there is a set with one hook more, and it is the first to
	// look at.
	if t := l.followers(hk).Load(); t != nil && t.key == hk && l.begun != over {
		l.set = t
		return true
	}
	return l.registerSlowly(hk)
}

// registerSlowly is the part of register that few calls come to. It is apart because the stack that
// it needs would cost all of them.
func (l *hookList) registerSlowly(hk hook) bool {
	if hk == nil {
		panic("conn: Register called with a nil RemovalHook")
	}
	if l.begun == over || !l.add(hk) {
		return false
	}
	// Once the removal has begun it is too late to watch, and hooks registered now run in any case.
	if l.begun&watched != 0 || l.begun == 0 && watch.On() && l.set.private {
		l.begun |= watched
		watch.Registered(unsafe.Pointer(l.set), hk, funcName(hk))
	}
	return true
}

// unregister takes hk from l and reports whether it did, as promised of Unregister.
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

// pending returns the place of hk in l if it is there and has not begun to run, and otherwise -1.
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

// has reports whether hk is in s.
func (s *hookSet) has(hk hook) bool {
	if s.index != nil {
		_, ok := s.index[hk]
		return ok
	}
	return slices.Contains(s.hooks, hk)
}

// add adds hk to l and reports whether it was not in it.
func (l *hookList) add(hk hook) bool {
	if t := find(l.followers(hk), hk); t != nil {
		l.set = t
		return true
	}
	var hooks []hook
	if s := l.set; s != nil {
		if s.has(hk) {
			return false
		}
		if s.private {
			s.append(hk)
			return true
		}
		hooks = s.hooks
	}
	if livesForever(hk) {
		if t := share(l.followers(hk), hooks, hk); t != nil {
			l.set = t
			return true
		}
	}
	l.set = &hookSet{hooks: append(slices.Clip(hooks), hk), private: true}
	return true
}

// append adds hk to the private set s.
func (s *hookSet) append(hk hook) {
	s.hooks = append(s.hooks, hk)
	if s.index != nil {
		s.index[hk] = struct{}{}
	} else if len(s.hooks) > indexAbove {
		s.index = make(map[hook]struct{}, 2*indexAbove)
		for _, hk := range s.hooks {
			s.index[hk] = struct{}{}
		}
	}
}

// remove takes the i-th hook from l.
func (l *hookList) remove(i int) {
	s := l.set
	if s.private {
		delete(s.index, s.hooks[i])
		s.hooks = slices.Delete(s.hooks, i, i+1)
		return
	}
	l.set = nil
	for j, hk := range s.hooks {
		if j != i {
			l.add(hk)
		}
	}
}

// sharing is the state that making a shared set changes.
var sharing struct {
	full atomic.Bool // no set is to be added; read without mu

	mu        sync.Mutex
	links     []*atomic.Pointer[hookSet] // all that lead to a shared set
	bytes     int                        // what the sets take of the heap
	suspended bool                       // full until resumed
}

// maxSharing is how many bytes of the heap the shared sets may take, with the list of links to
// them. It has room for some twenty thousand of the usual size.
const maxSharing = 2 << 20

// share makes the set of the given hooks and hk, adds it to the list that it belongs in and returns
// it; nil if there is no room.
func share(list *atomic.Pointer[hookSet], hooks []hook, hk hook) *hookSet {
	if sharing.full.Load() {
		return nil // without the lock, on which the connections of all goroutines would meet
	}
	sharing.mu.Lock()
	defer sharing.mu.Unlock()
	if t := find(list, hk); t != nil {
		return t // another goroutine made it meanwhile
	}
	if sharing.full.Load() {
		return nil
	}
	// Concat gives the array the capacity of the heap's size class, so that cap tells what it
	// takes.
	t := &hookSet{hooks: slices.Concat(hooks, []hook{hk}), key: hk}
	links := append(sharing.links, list)
	bytes := sharing.bytes + int(unsafe.Sizeof(*t)) + cap(t.hooks)*int(unsafe.Sizeof(hk))
	if bytes+cap(links)*int(unsafe.Sizeof(list)) > maxSharing {
		// Combinations that traffic no longer brings must not keep out those that it brings from
		// now on. They are forgotten at the next garbage collection, which finds that nothing
		// refers to this set. Were they forgotten at once, a flood of new combinations would come
		// through the lock with every Register.
		sharing.full.Store(true)
		runtime.SetFinalizer(t, func(*hookSet) { forgetSets() })
		return nil
	}
	for list.Load() != nil { // to the end, so that the sets that came first are found first
		list = &list.Load().sibling
	}
	list.Store(t)
	links[len(links)-1] = list
	sharing.links, sharing.bytes = links, bytes
	return t
}

// forgetSets lets go of all shared sets. Those that connections have stay as they are, but each on
// its own, so that a connection keeps no set alive but the one it has.
func forgetSets() {
	sharing.mu.Lock()
	defer sharing.mu.Unlock()
	for _, link := range sharing.links {
		link.Store(nil)
	}
	sharing.links, sharing.bytes = nil, 0
	sharing.full.Store(sharing.suspended)
}

// While a test watches what becomes of hooks, no sets are shared: every connection gets a set of
// its own, and none gets it without passing the place where register reports it.
func init() {
	watch.Suspend = func(suspended bool) {
		sharing.mu.Lock()
		sharing.suspended = suspended
		sharing.mu.Unlock()
		forgetSets()
	}
}

// codeOf returns the code of hk.
func codeOf(hk hook) unsafe.Pointer {
	return reflect.ValueOf(*(*func())(unsafe.Pointer(&hk))).UnsafePointer()
}

// funcName returns the name of hk's function.
func funcName(hk hook) string {
	return runtime.FuncForPC(uintptr(codeOf(hk))).Name()
}

// forever has what livesForever found out, by code pointer. There are no more of these than the
// program has functions.
var forever sync.Map // of bool

// livesForever reports whether hk looks like a func value that lives as long as the program. Either
// answer keeps every promise but that of cost: a hook that is not recognized costs its connection
// an allocation. A closure that is taken for one that lives forever, which can only be one that the
// initialization of a package made, stays in memory until the shared sets are forgotten.
func livesForever(hk hook) bool {
	code := codeOf(hk)
	v, ok := forever.Load(code)
	if !ok {
		v, _ = forever.LoadOrStore(code, namesStatic(funcName(hk)))
	}
	return v.(bool)
}

// namesStatic reports whether name is the symbol of a function declared at package level, such as
// example.com/app/http.finalize, of a method expression, such as http.(*Session).finalize, or of a
// literal that only the initialization of a package evaluates, such as http.init.func1 or, where
// the call of a function that returns a literal was inlined, http.init.Chain.func1.
func namesStatic(name string) bool {
	if strings.HasPrefix(name, "reflect.") {
		return false // all func values that package reflect makes run the same few functions
	}
	name = strings.TrimSuffix(name, "[...]") // an instance of a generic function
	name = name[strings.LastIndexByte(name, '/')+1:]
	_, name, _ = strings.Cut(name, ".")
	if name == "" || strings.ContainsRune(name, '-') { // a method value ends with -fm
		return false
	}
	last := name[strings.LastIndexByte(name, '.')+1:]
	literal := len(last) < len(name) && isDigit(strings.TrimPrefix(last, "func"))
	if strings.HasPrefix(name, "init.") {
		return literal && strings.HasPrefix(last, "func")
	}
	return !literal
}

func isDigit(s string) bool { return s != "" && '0' <= s[0] && s[0] <= '9' }
