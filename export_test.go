package conn

import (
	"sync/atomic"
	"weak"
)

// The door through which tests reach what is not exported.

const MaxSharing = maxSharing

var (
	NamesStatic = namesStatic
	ForgetSets  = forgetSets
)

// WeakSet returns a weak pointer to the hook set of c.
func WeakSet(c *Connection) weak.Pointer[hookSet] { return weak.Make(c.hooks.set) }

// SharesOnce reports whether a set that two goroutines want to share at the same time is made once.
func SharesOnce(hooks ...RemovalHook) bool {
	var list atomic.Pointer[hookSet]
	before, last := keys(hooks[:len(hooks)-1]), identity(hooks[len(hooks)-1])
	first := share(&list, before, last)
	return first != nil && first == share(&list, before, last)
}

func keys(hooks []RemovalHook) (keys []hook) {
	for _, hk := range hooks {
		keys = append(keys, identity(hk))
	}
	return keys
}

// SharedBytes returns how many bytes the shared sets take.
func SharedBytes() int {
	sharing.mu.Lock()
	defer sharing.mu.Unlock()
	return sharing.bytes
}

// SharingIsFull reports whether no more sets are shared until the next garbage collection.
func SharingIsFull() bool { return sharing.full.Load() }
