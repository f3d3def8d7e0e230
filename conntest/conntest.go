// Package conntest helps test programs that use package conn.
package conntest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	_ "example.com/conn" // reports to package watch
	"example.com/conn/internal/watch"
)

// VerifyRemoved fails t for every connection that is never removed, so that whatever its parsers
// had pending is silently lost: the flow table evicts a connection to make room, the capture ends,
// a stream turns out to be of no interest, and nobody calls StateRemove.
//
// When t ends, it fails for each connection on which a hook was registered during t and neither ran
// nor was unregistered, even if the connection is garbage by then or its memory was reused. The
// failure names the hooks, the last three calls that led to each registration, and the UID and ID
// that a [conn.Connection] had then. VerifyRemoved sees every Connection and every [conn.Hooks].
//
// A registration after the removal is logged with t.Log. Register returned false and the hook will
// not run, which is right for a program that looks at the result and easily overlooked by one that
// does not.
//
// # What it cannot see
//
// A connection on which nothing is pending has no hook to lose, so forgetting it goes unnoticed:
// leave a request without its reply on every path that the test takes. A connection that was
// removed but is still in a table looks finished: assert that the table is empty.
//
// # How to call it
//
// Call it first in a test. It looks in a cleanup of t, and the cleanups that the test registers
// later, such as one that shuts the analyzer down, run before it. Goroutines that remove
// connections must have finished by then. A hook counts as run when it has begun, whether or not it
// returns.
//
//	func TestCapture(t *testing.T) {
//		conntest.VerifyRemoved(t)
//		…
//	}
//
// A test that verifies may have subtests that verify too, and may run in parallel with others that
// do. There is no telling which of several parallel tests a connection belongs to, so the last of
// them to end reports it and names them all. Connections of a parallel test that does not verify
// are attributed to those that do.
//
// While a test verifies, connections in the whole program share no lists of hooks, and every
// Register, Unregister and run of a hook takes a lock: leave VerifyRemoved out of benchmarks and of
// tests that count allocations.
func VerifyRemoved(t testing.TB) {
	t.Helper()
	w := watch.Start(t.Name())
	t.Cleanup(func() {
		t.Helper()
		left, late := w.End()
		var lost, tooLate reports
		for _, hooks := range left {
			var text string
			for _, r := range hooks {
				text += describe(t, r)
			}
			lost.add(text, hooks[len(hooks)-1].Conn, 1)
		}
		for _, r := range late {
			tooLate.add(describe(t, r), r.Conn, r.Times)
		}
		for _, r := range lost {
			was := "1 connection was"
			if r.count > 1 {
				was = fmt.Sprintf("%d connections were", r.count)
			}
			t.Errorf("%s not removed; these hooks have not run:%s", was, r)
		}
		for _, r := range tooLate {
			times := ""
			if r.count > 1 {
				times = fmt.Sprintf(", %d times", r.count)
			}
			t.Logf("Register returned false after the removal%s; this hook will not run:%s", times, r)
		}
	})
}

// A report describes, once, all connections that look the same.
type report struct {
	text  string
	count int
	names []string // of the first few named connections
}

type reports []*report

// add adds times to the count of the report with the given text, and the name of the connection, if
// it has one.
func (rs *reports) add(text, name string, times int) {
	i := slices.IndexFunc(*rs, func(r *report) bool { return r.text == text })
	if i < 0 {
		i = len(*rs)
		*rs = append(*rs, &report{text: text})
	}
	r := (*rs)[i]
	r.count += times
	const maxNames = 5
	if name != "" && len(r.names) < maxNames {
		r.names = append(r.names, name)
	}
}

// String returns the text and any names of connections.
func (r *report) String() string {
	switch {
	case len(r.names) == 0:
		return r.text
	case r.count == 1:
		return r.text + "\n\tconnection: " + r.names[0]
	}
	s := r.text + "\n\tconnections: " + strings.Join(r.names, ", ")
	if r.count > len(r.names) {
		s += ", …"
	}
	return s
}

// describe returns the lines that say where a hook was registered, and through which calls.
func describe(t testing.TB, r watch.Registration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n\t%s", r.Hook)
	for i, c := range r.Calls {
		switch {
		case c.Go && i == 0:
			fmt.Fprintf(&b, ", registered by a go statement of %s at %s", c.Func, c.Place)
		case c.Go:
			fmt.Fprintf(&b, "\n\t\tin a goroutine that %s started at %s", c.Func, c.Place)
		case i == 0:
			fmt.Fprintf(&b, ", registered by %s at %s", c.Func, c.Place)
		default:
			fmt.Fprintf(&b, "\n\t\tcalled by %s at %s", c.Func, c.Place)
		}
	}
	for _, test := range r.Tests {
		if watch.Beside(test, t.Name()) {
			fmt.Fprintf(&b, "\n\t\tin this test or in %s", test)
		}
	}
	return b.String()
}
