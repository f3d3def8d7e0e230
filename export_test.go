package conn

import (
	"sync/atomic"
	"weak"
)

// The door through which tests reach what is not exported.

const MaxSharing = maxSharing

var (
	NamesPackageLevel = namesPackageLevel
	ForgetSets        = forgetSets
)

// WeakSet returns a weak pointer to the hook set of c.
func WeakSet(c *Connection) weak.Pointer[hookSet] { return weak.Make(c.set) }

// SharesOnce reports whether a set that two goroutines want to share at the same time is made once.
func SharesOnce(hooks ...RemovalHook) bool {
	var list atomic.Pointer[hookSet]
	first := share(&list, hooks)
	return first != nil && first == share(&list, hooks)
}

// SharedBytes returns how many bytes the shared sets take.
func SharedBytes() int {
	sharing.mu.Lock()
	defer sharing.mu.Unlock()
	return sharing.size
}

// SharingIsFull reports whether no more sets are shared until the next garbage collection.
func SharingIsFull() bool { return sharing.full.Load() }
