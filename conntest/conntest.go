// Package conntest helps to test programs that use package conn.
package conntest

import (
	"fmt"
	"strings"
	"testing"

	_ "example.com/conn" // reports to package watch
	"example.com/conn/internal/watch"
)

// VerifyRemoved finds connections that are never removed, so that what their parsers had pending is
// lost without a word: the flow table evicts a connection to make room, the capture ends, a stream
// turns out to be no target, and nobody calls StateRemove. It fails t, when it ends, for every
// connection on which a hook was registered during t and neither ran nor was unregistered, also if
// the connection's memory was reused meanwhile or is garbage. The failure names the hooks and where
// they were registered.
//
// Call it at the beginning of a test, before the connections are made, and it sees those of
// [conn.Connection] and of every type that embeds [conn.Hooks]:
//
//	func TestCapture(t *testing.T) {
//		conntest.VerifyRemoved(t)
//		…
//	}
//
// Cleanups that the test registers later, such as one that shuts the analyzer down, run before it
// looks. Goroutines that still remove connections then must have been waited for. Whether a hook
// that has begun to run returns does not matter.
//
// A test that verifies may have subtests that do so too, and may run in parallel with others that
// do. Which of those a connection belongs to cannot be told; so the last of them to end reports it,
// with the names of all. A connection of a parallel test that does not verify is taken for one of
// those that do.
//
// While a test verifies, registering a hook allocates and takes a lock, in all tests of the
// program: leave it out of benchmarks, and of tests that count allocations. Before and after,
// nothing is slower.
func VerifyRemoved(t testing.TB) {
	t.Helper()
	w := watch.Start(t.Name())
	t.Cleanup(func() {
		t.Helper()
		report(t, w.End())
	})
}

// report fails t for the connections that have the given hooks left: once for all that look the
// same.
func report(t testing.TB, left [][]watch.Registration) {
	t.Helper()
	var messages []string
	count := map[string]int{}
	for _, hooks := range left {
		m := describe(t, hooks)
		if count[m] == 0 {
			messages = append(messages, m)
		}
		count[m]++
	}
	for _, m := range messages {
		if n := count[m]; n == 1 {
			t.Errorf("1 connection was not removed; these hooks have not run:%s", m)
		} else {
			t.Errorf("%d connections were not removed; these hooks have not run:%s", n, m)
		}
	}
}

// describe returns a line for each hook of a connection.
func describe(t testing.TB, hooks []watch.Registration) string {
	var b strings.Builder
	for _, r := range hooks {
		fmt.Fprintf(&b, "\n\t%s, registered by %s at %s:%d", r.Hook, r.Place.Function, r.Place.File, r.Place.Line)
		for _, test := range r.Tests {
			if watch.Beside(test, t.Name()) {
				fmt.Fprintf(&b, ", in this test or in %s", test)
			}
		}
	}
	return b.String()
}
