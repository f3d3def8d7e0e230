package conn

import (
	"sync/atomic"
	"time"
	"unsafe"
)

// This file gives tests access to unexported identifiers.

const MaxSharing = maxSharing

var (
	NamesLasting = namesLasting
	ForgetSets   = forgetSets
)

// SetOf returns the shared set of c.
func SetOf(c *Connection) *sharedSet { return (*sharedSet)(unsafe.Pointer(c.hooks.set)) }

// SharesOnce reports whether a set is made only once if two goroutines want to share it at the same
// time.
func SharesOnce(first, second RemovalHook) bool {
	var list atomic.Pointer[sharedSet]
	before := []hook{identity(first)}
	set := share(&list, before, identity(second))
	return set != nil && set == share(&list, before, identity(second))
}

// WhileFull calls f while there is no room for shared sets, holding the lock.
func WhileFull(f func()) {
	sharing.mu.Lock()
	defer sharing.mu.Unlock()
	full := sharing.full.Swap(true)
	defer sharing.full.Store(full)
	f()
}

// SharesAfterWaiting reports whether a goroutine makes a set if the last room was taken while it
// waited for the lock.
func SharesAfterWaiting(hk RemovalHook) bool {
	var list atomic.Pointer[sharedSet]
	shared := make(chan bool)
	sharing.mu.Lock()
	full := sharing.full.Load()
	go func() { shared <- share(&list, nil, identity(hk)) != nil }()
	time.Sleep(10 * time.Millisecond) // until it waits; if it is later, it finds no room at once
	sharing.full.Store(true)
	sharing.mu.Unlock()
	defer sharing.full.Store(full)
	return <-shared
}

// WhileSharing calls f while sets are shared although a test verifies, as they briefly are in
// goroutines that are running when the test begins to verify.
func WhileSharing(f func()) {
	full := sharing.full.Load()
	defer sharing.full.Store(full)
	sharing.full.Store(false)
	f()
}

// SharedBytes walks everything that connections share and returns its size on the heap.
func SharedBytes() int {
	sharing.mu.Lock()
	defer sharing.mu.Unlock()
	var link *atomic.Pointer[sharedSet]
	bytes := cap(sharing.links) * int(unsafe.Sizeof(link))
	for _, link := range sharing.links {
		t := link.Load()
		bytes += int(unsafe.Sizeof(*t)) + cap(t.hooks)*int(unsafe.Sizeof(t.key))
	}
	return bytes
}

// SharingIsFull reports whether no new sets are shared until the next garbage collection.
func SharingIsFull() bool { return sharing.full.Load() }

// WhileShortLivedIsFull calls f while shortLived has no room for the code of another hook.
func WhileShortLivedIsFull(f func()) {
	var before [len(shortLived)]uintptr
	for i := range shortLived {
		before[i] = shortLived[i].Swap(1)
	}
	defer func() {
		for i := range shortLived {
			shortLived[i].Store(before[i])
		}
	}()
	f()
}
