package conn

import (
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"
)

// A hookSet is an ordered list of hooks without repetition.
//
// Most connections of an analyzer hold one of a few dozen combinations of hooks. So sets are immutable and shared, and
// each knows the sets that follow it when one hook more is added, as the hidden classes of JavaScript engines do. To
// register a hook is then to find the follower and to store one pointer, and the hooks of a million connections lie in a
// few cache lines.
//
// Shared sets are found without a lock and made under one. They hold only hooks that live as long as the program. For
// other hooks, and while there is no room for more shared sets, a connection has a private set, which it changes in
// place.
type hookSet struct {
	hooks   []RemovalHook
	private bool

	// Of a shared set:
	key     unsafe.Pointer          // identity of the last hook
	next    atomic.Pointer[hookSet] // first follower
	sibling atomic.Pointer[hookSet] // next follower of the set that this one follows

	// Of a private set of many hooks: their identities.
	index map[unsafe.Pointer]struct{}
}

// indexed is how many hooks a private set has before it gets an index.
const indexed = 64

// identity returns what tells one hook from another: the pointer that a func value consists of.
func identity(hk RemovalHook) unsafe.Pointer {
	return *(*unsafe.Pointer)(unsafe.Pointer(&hk))
}

// roots has the sets of one hook, by a hash of the hook. Any hook of the program may be a connection's first, while only
// a few follow the same set.
var roots [64]atomic.Pointer[hookSet]

// followers returns the list that has the set which follows the hooks of c by the hook key.
func (c *Connection) followers(key unsafe.Pointer) *atomic.Pointer[hookSet] {
	list := &roots[uintptr(key)/unsafe.Sizeof(key)%uintptr(len(roots))]
	if c.set != nil {
		list = &c.set.next
	}
	return list
}

// find returns the set in the list that ends with the hook key, nil if there is none.
func find(list *atomic.Pointer[hookSet], key unsafe.Pointer) *hookSet {
	t := list.Load()
	for t != nil && t.key != key {
		t = t.sibling.Load()
	}
	return t
}

// has reports whether the hook key is in s.
func (s *hookSet) has(key unsafe.Pointer) bool {
	if s.index != nil {
		_, ok := s.index[key]
		return ok
	}
	for _, hk := range s.hooks {
		if identity(hk) == key {
			return true
		}
	}
	return false
}

// add adds hk to the hooks of c and reports whether it was not among them.
func (c *Connection) add(hk RemovalHook) bool {
	key := identity(hk)
	if t := find(c.followers(key), key); t != nil {
		c.set = t
		return true
	}
	var hooks []RemovalHook
	if s := c.set; s != nil {
		if s.has(key) {
			return false
		}
		if s.private {
			s.append(hk)
			return true
		}
		hooks = s.hooks
	}
	hooks = append(slices.Clip(hooks), hk)
	if livesForever(hk) {
		if t := share(c.followers(key), hooks); t != nil {
			c.set = t
			return true
		}
	}
	c.set = &hookSet{hooks: hooks, private: true}
	return true
}

// append adds hk to the private set s.
func (s *hookSet) append(hk RemovalHook) {
	s.hooks = append(s.hooks, hk)
	if s.index != nil {
		s.index[identity(hk)] = struct{}{}
	} else if len(s.hooks) > indexed {
		s.index = make(map[unsafe.Pointer]struct{}, 2*indexed)
		for _, hk := range s.hooks {
			s.index[identity(hk)] = struct{}{}
		}
	}
}

// pending returns the place of hk among the hooks of c if it is there and has not begun to run, and otherwise -1.
func (c *Connection) pending(hk RemovalHook) int {
	if c.set != nil {
		for i, hooks := int(c.ran), c.set.hooks; i < len(hooks); i++ {
			if identity(hooks[i]) == identity(hk) {
				return i
			}
		}
	}
	return -1
}

// remove takes the i-th hook from the hooks of c.
func (c *Connection) remove(i int) {
	s := c.set
	if s.private {
		delete(s.index, identity(s.hooks[i]))
		s.hooks = slices.Delete(s.hooks, i, i+1)
		return
	}
	c.set = nil
	for j, hk := range s.hooks {
		if j != i {
			c.add(hk)
		}
	}
}

// sharing is what it takes to make shared sets.
var sharing struct {
	mu    sync.Mutex
	links []*atomic.Pointer[hookSet] // all that lead to a shared set
	size  int                        // bytes that the sets take, about
	full  atomic.Bool                // no set is to be added; read without mu
}

// maxSharing is how many bytes the shared sets may take. It has room for some twenty thousand of the usual size.
const maxSharing = 2 << 20

// share adds a set of the given hooks to the list that it belongs in and returns it; nil if there is no room.
func share(list *atomic.Pointer[hookSet], hooks []RemovalHook) *hookSet {
	if sharing.full.Load() {
		return nil
	}
	sharing.mu.Lock()
	defer sharing.mu.Unlock()
	key := identity(hooks[len(hooks)-1])
	if t := find(list, key); t != nil {
		return t // another goroutine made it meanwhile
	}
	size := int(unsafe.Sizeof(hookSet{})) + len(hooks)*int(unsafe.Sizeof(key))
	if sharing.size+size > maxSharing {
		// Combinations that traffic no longer brings must not keep out those that it brings from now on. The next
		// garbage collection makes room: it finds that nothing refers to this set.
		sharing.full.Store(true)
		runtime.AddCleanup(new(hookSet), func(struct{}) { forgetSets() }, struct{}{})
		return nil
	}
	t := &hookSet{hooks: hooks, key: key}
	for list.Load() != nil { // to the end, so that the sets that came first are found first
		list = &list.Load().sibling
	}
	list.Store(t)
	sharing.links = append(sharing.links, list)
	sharing.size += size
	return t
}

// forgetSets lets go of all shared sets. Those that connections have stay as they are, but each on its own, so that a
// connection keeps no set alive but the one it has.
func forgetSets() {
	sharing.mu.Lock()
	defer sharing.mu.Unlock()
	for _, link := range sharing.links {
		link.Store(nil)
	}
	sharing.links, sharing.size = nil, 0
	sharing.full.Store(false)
}

// forever has what livesForever found out, by code pointer. There are no more of these than the program has functions.
var forever sync.Map // of bool

// livesForever reports whether hk looks like a func value that lives as long as the program. It need not be right. A hook
// that is not recognized costs its connection an allocation. A closure that is taken for one that lives forever, which can
// only be one that the initialization of a package made, stays in memory until the shared sets are forgotten.
func livesForever(hk RemovalHook) bool {
	code := reflect.ValueOf(hk).UnsafePointer()
	v, ok := forever.Load(code)
	if !ok {
		v, _ = forever.LoadOrStore(code, namesPackageLevel(hk.String()))
	}
	return v.(bool)
}

// namesPackageLevel reports whether name is the symbol of a function declared at package level, such as
// example.com/app/http.finalize, or of a literal that only the initialization of a package evaluates, such as
// http.init.func1 or, where the call of a function that returns a literal was inlined, http.init.Chain.func1.
func namesPackageLevel(name string) bool {
	if strings.HasPrefix(name, "reflect.") {
		return false // all func values that package reflect makes run the same few functions
	}
	name = strings.TrimSuffix(name, "[...]") // an instance of a generic function
	name = name[strings.LastIndexByte(name, '/')+1:]
	_, name, _ = strings.Cut(name, ".")
	if strings.HasPrefix(name, "init.") {
		return strings.HasPrefix(name[strings.LastIndexByte(name, '.')+1:], "func")
	}
	return name != "" && !strings.ContainsAny(name, ".-")
}
