// Package watch follows removal hooks from registration to their end while tests verify that none
// is lost. Package conn reports events, and package conntest asks for the hooks left over. While no
// test verifies, the package does nothing.
package watch

import (
	"fmt"
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

// A Set identifies a connection from its first hook until its removal ends or its memory is reused.
type Set = unsafe.Pointer

// A Hook is a func value: the pointer that it consists of.
type Hook = unsafe.Pointer

// A Registration is a call of Register.
type Registration struct {
	Hook  string   // the name of its function
	Conn  string   // the UID and ID of the connection, if set then
	Calls []Call   // the calls that led to Register, innermost first; at most maxCalls
	Tests []string // the tests verifying then
	Times int      // how often the same calls came too late; Conn is from the first

	hook Hook
	time int // on the clock
}

// A Call is a place outside package conn: where Func called the next function or started it with a
// go statement.
type Call struct {
	Func  string
	Place string // file:line
	Go    bool   // a go statement
}

// maxCalls is enough to show the caller of a helper that calls Register.
const maxCalls = 3

var (
	on atomic.Bool // there are watches; written under mu

	mu      sync.Mutex
	watches []*Watch
	waiting map[Set][]Registration // not begun to run, in the order of registration
	clock   int                    // counts registrations
)

// On reports whether a test verifies, so that Registered must be called.
func On() bool { return on.Load() }

// Registered reports that hk, a hook with the given name, was registered. conn is the name of the
// connection, if it has one. Package conn must call it on the stack of the caller of Register.
func Registered(s Set, hk Hook, name, conn string) {
	r := Registration{Hook: name, Conn: conn, Calls: calls(), hook: hk}
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

// Late reports that Register was called after the removal and returned false. The rules for calling
// Registered apply.
func Late(name, conn string) {
	r := Registration{Hook: name, Conn: conn, Calls: calls()}
	mu.Lock()
	defer mu.Unlock()
	for _, w := range watches {
		i := slices.IndexFunc(w.late, func(l Registration) bool {
			return l.Hook == r.Hook && slices.Equal(l.Calls, r.Calls)
		})
		if i < 0 { // bounded by the number of places in the program that register
			i = len(w.late)
			w.late = append(w.late, r)
		}
		w.late[i].Times++
	}
}

// Done reports that hk, which was registered, begins to run or was unregistered.
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

// connFunc is the prefix of the names of package conn's functions, whatever path it is published
// under.
var connFunc = strings.TrimSuffix(reflect.TypeOf(Watch{}).PkgPath(), "/internal/watch") + "."

// calls returns the calls that led into package conn.
func calls() (calls []Call) {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	for len(calls) < maxCalls {
		f, more := frames.Next()
		switch {
		case strings.HasPrefix(f.Function, connFunc):
		case f.Function == "testing.tRunner":
			return calls // its callers are of no interest
		case f.Function == "runtime.goexit":
			// The goroutine began here.
			if c, ok := goStatement(); ok {
				calls = append(calls, c)
			}
			return calls
		case !strings.HasPrefix(f.Function, "runtime."):
			calls = append(calls, Call{Func: f.Function, Place: fmt.Sprintf("%s:%d", f.File, f.Line)})
		}
		if !more {
			break
		}
	}
	return calls
}

// goStatement returns where the current goroutine was started, which only the text of a stack trace
// tells.
func goStatement() (c Call, ok bool) {
	stack := make([]byte, 16<<10)
	stack = stack[:runtime.Stack(stack, false)]
	_, created, ok := strings.Cut(string(stack), "\ncreated by ")
	if !ok {
		return c, false // the main goroutine
	}
	name, place, _ := strings.Cut(created, "\n")
	name, _, _ = strings.Cut(name, " in goroutine ")
	place, _, _ = strings.Cut(strings.TrimSpace(place), " ")
	return Call{Func: name, Place: place, Go: true}, true
}

// A Watch is the time from Start to End in which a test verifies.
type Watch struct {
	test  string
	since int
	late  []Registration
}

// Start begins a watch for the test of the given name.
func Start(test string) *Watch {
	mu.Lock()
	defer mu.Unlock()
	w := &Watch{test: test, since: clock}
	watches = append(watches, w)
	if len(watches) == 1 {
		waiting = make(map[Set][]Registration)
		on.Store(true)
		Suspend(true)
	}
	return w
}

// End ends the watch. It returns the hooks that were registered during the watch and have neither
// begun to run nor been unregistered, in order of registration, one slice per connection, and the
// registrations that came after the removal of their connection.
//
// It leaves out hooks registered during another watch that is [Beside] this one and has not ended:
// there is no telling which test they belong to, and the other may be about to remove the
// connection.
func (w *Watch) End() (left [][]Registration, late []Registration) {
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
	return left, w.late
}

// Beside reports whether two tests run side by side: neither is a subtest of the other, nor are
// they the same.
func Beside(test, other string) bool {
	return test != other && !strings.HasPrefix(test, other+"/") && !strings.HasPrefix(other, test+"/")
}
