// Package watch follows removal hooks from their registration to their end while tests verify that
// none is lost. Package conn reports what happens to hooks; package conntest asks what is left.
// While no test verifies, it has no part.
package watch

import (
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"
)

// Suspend is called with true when the first test begins to verify and with false when the last one
// ends. In between, package conn shares no hook sets. Package conn sets it.
var Suspend func(bool)

// A Set stands for one connection, from its first hook until its removal is over or its memory is
// made a new connection.
type Set = unsafe.Pointer

// A Hook is a func value: the pointer that it consists of.
type Hook = unsafe.Pointer

// A Registration is a hook that was registered and has not begun to run.
type Registration struct {
	Hook  string        // the name of its function
	Place runtime.Frame // the call of Register
	Tests []string      // that verified then

	hook Hook
	time int // on the clock
}

var (
	on atomic.Bool // there are watches; changed under mu

	mu      sync.Mutex
	watches []*Watch
	waiting map[Set][]Registration // in the order of registration
	clock   int                    // counts registrations
)

// On reports whether a test verifies, so that Registered is to be called.
func On() bool { return on.Load() }

// Registered says that hk, a hook of the given name, was registered. It must be called by package
// conn, on the stack of the caller of Register.
func Registered(s Set, hk Hook, name string) {
	r := Registration{Hook: name, Place: caller(), hook: hk}
	mu.Lock()
	defer mu.Unlock()
	if len(watches) == 0 {
		return // the last test has ended
	}
	clock++
	r.time = clock
	for _, w := range watches {
		r.Tests = append(r.Tests, w.test)
	}
	waiting[s] = append(waiting[s], r)
}

// Done says that hk, which was registered, begins to run or was unregistered.
func Done(s Set, hk Hook) {
	mu.Lock()
	defer mu.Unlock()
	rs := slices.DeleteFunc(waiting[s], func(r Registration) bool { return r.hook == hk })
	if len(rs) > 0 {
		waiting[s] = rs
	} else {
		delete(waiting, s)
	}
}

// connFunc is what the names of package conn's functions begin with, under whatever path it is
// published.
var connFunc = strings.TrimSuffix(reflect.TypeOf(Watch{}).PkgPath(), "/internal/watch") + "."

// caller returns the frame that called package conn.
func caller() runtime.Frame {
	pcs := make([]uintptr, 16)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	for {
		f, more := frames.Next()
		if !more || !strings.HasPrefix(f.Function, connFunc) {
			return f
		}
	}
}

// A Watch is the time from Start to End in which a test verifies.
type Watch struct {
	test  string
	since int
}

// Start begins a watch for the test of the given name.
func Start(test string) *Watch {
	mu.Lock()
	defer mu.Unlock()
	w := &Watch{test, clock}
	watches = append(watches, w)
	if len(watches) == 1 {
		waiting = make(map[Set][]Registration)
		on.Store(true)
		Suspend(true)
	}
	return w
}

// End ends the watch and returns the hooks that were registered in it and still wait, in the order
// of registration, a slice for each connection. It leaves out what was registered while another
// watch was on, too, that has not ended and is [Beside] this one: nobody knows which test it
// belongs to, and the other may be about to remove the connection.
func (w *Watch) End() (left [][]Registration) {
	mu.Lock()
	defer mu.Unlock()
	watches = slices.DeleteFunc(watches, func(v *Watch) bool { return v == w })
	until := clock
	for _, v := range watches {
		if Beside(v.test, w.test) {
			until = min(until, v.since)
		}
	}
	for _, rs := range waiting {
		rs = slices.DeleteFunc(slices.Clone(rs), func(r Registration) bool {
			return r.time <= w.since || r.time > until
		})
		if len(rs) > 0 {
			left = append(left, rs)
		}
	}
	slices.SortFunc(left, func(a, b []Registration) int { return a[0].time - b[0].time })
	if len(watches) == 0 {
		waiting = nil
		on.Store(false)
		Suspend(false)
	}
	return left
}

// Beside reports whether two tests run side by side: neither is the other nor a subtest of it.
func Beside(test, other string) bool {
	return test != other && !strings.HasPrefix(test, other+"/") && !strings.HasPrefix(other, test+"/")
}
