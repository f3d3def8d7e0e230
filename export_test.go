package conn

// The door through which tests reach what is not exported.

const MaxSharing = maxSharing

var NamesPackageLevel = namesPackageLevel

// SharedBytes returns how many bytes the shared sets take.
func SharedBytes() int {
	sharing.mu.Lock()
	defer sharing.mu.Unlock()
	return sharing.size
}

// SharingIsFull reports whether no more sets are shared until the next garbage collection.
func SharingIsFull() bool { return sharing.full.Load() }
