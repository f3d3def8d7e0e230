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
// turns out to be no target, and nobody calls StateRemove.
//
// It fails t, when it ends, for every connection on which a hook was registered during t and
// neither ran nor was unregistered, also if the connection's memory was made a new connection or is
// garbage by then. The failure names the hooks and where they were registered. It sees a
// [conn.Connection] as well as every type that embeds [conn.Hooks].
//
// Call it first in a test: it looks in a cleanup of t, and cleanups that the test registers later,
// such as one that shuts the analyzer down, run before. Goroutines that remove connections must
// have finished by then. A hook has run when it has begun to, whether or not it returns.
//
//	func TestCapture(t *testing.T) {
//		conntest.VerifyRemoved(t)
//		…
//	}
//
// A test that verifies may have subtests that verify too, and may run in parallel with others that
// do. Which of the parallel ones a connection belongs to cannot be told, so the last of them to end
// reports it, naming all. A connection of a parallel test that does not verify is taken for one of
// those that do.
//
// While a test verifies, all connections of the program keep their hooks by themselves, and every
// Register, Unregister and run of a hook takes a lock: leave VerifyRemoved out of benchmarks and of
// tests that count allocations.
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
		at := r.Place
		fmt.Fprintf(&b, "\n\t%s, registered by %s at %s:%d", r.Hook, at.Function, at.File, at.Line)
		for _, test := range r.Tests {
			if watch.Beside(test, t.Name()) {
				fmt.Fprintf(&b, ", in this test or in %s", test)
			}
		}
	}
	return b.String()
}
