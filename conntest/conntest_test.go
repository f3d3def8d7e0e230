package conntest_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/conn"
	"example.com/conn/conntest"
	"example.com/conn/internal/watch"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fakeT is a testing.TB that records failures.
type fakeT struct {
	testing.TB
	name     string
	cleanups []func()
	failures []string
	logs     []string
}

func (t *fakeT) Name() string     { return t.name }
func (t *fakeT) Helper()          {}
func (t *fakeT) Cleanup(f func()) { t.cleanups = append(t.cleanups, f) }
func (t *fakeT) Errorf(format string, args ...any) {
	t.failures = append(t.failures, fmt.Sprintf(format, args...))
}
func (t *fakeT) Logf(format string, args ...any) {
	t.logs = append(t.logs, fmt.Sprintf(format, args...))
}

// end ends the test and returns its failures.
func (t *fakeT) end() []string {
	for i := len(t.cleanups) - 1; i >= 0; i-- {
		t.cleanups[i]()
	}
	return t.failures
}

func begin(name string) *fakeT {
	t := &fakeT{name: name}
	conntest.VerifyRemoved(t)
	return t
}

// verify runs f as a test that verifies, and returns its failures.
func verify(f func()) []string {
	t := begin("Test")
	f()
	return t.end()
}

// flow is an analyzer's own connection type.
type flow struct {
	packets int
	conn.Hooks[flow]
}

func (f *flow) finish() bool { return f.packets == 0 }
func (f *flow) save() bool   { return true }

func finalize(*conn.Connection) bool { return true }
func logIt(*conn.Connection) bool    { return true }

var sink *conn.Connection // keeps connections on the heap

func TestRemovedConnectionsPass(t *testing.T) {
	closure := func(c *conn.Connection) bool { return c == nil }
	assert.Empty(t, verify(func() {
		c, f := new(conn.Connection), new(flow)
		conn.Register(c, finalize)
		conn.Register(c, closure)
		conn.Register(c, conn.Chain(finalize, logIt))
		f.Register((*flow).finish)
		f.Register(f.save2)
		conn.StateRemove(c)
		f.StateRemove(f)

		*c = conn.Connection{} // and again
		conn.Register(c, finalize)
		conn.StateRemove(c)
	}))
}

func (f *flow) save2(*flow) bool { return false }

func TestConnectionWithoutHooksPasses(t *testing.T) {
	assert.Empty(t, verify(func() { sink = &conn.Connection{UID: "C1"} }))
}

func TestUnregisteredHooksPass(t *testing.T) {
	closure := func(c *conn.Connection) bool { return c == nil }
	assert.Empty(t, verify(func() {
		c := new(conn.Connection)
		conn.Register(c, finalize)
		conn.Register(c, closure)
		assert.True(t, conn.Unregister(c, finalize))
		assert.True(t, conn.Unregister(c, closure))
	}))
}

func TestLostConnectionFails(t *testing.T) {
	_, file, line, _ := runtime.Caller(0)
	failures := verify(func() {
		c := new(conn.Connection)
		conn.Register(c, finalize)
		conn.Register(c, logIt)
		conn.Register(c, finalize)
	})
	require.Len(t, failures, 1)
	test := "example.com/conn/conntest_test.TestLostConnectionFails"
	calls := "\n\t\tcalled by example.com/conn/conntest_test.verify at " + file + ":" + lineOf("f()") +
		fmt.Sprintf("\n\t\tcalled by %s at %s:%d", test, file, line+1)
	assert.Equal(t, fmt.Sprintf("1 connection was not removed; these hooks have not run:"+
		"\n\texample.com/conn/conntest_test.finalize, registered by %[1]s.func1 at %[2]s:%[3]d%[5]s"+
		"\n\texample.com/conn/conntest_test.logIt, registered by %[1]s.func1 at %[2]s:%[4]d%[5]s",
		test, file, line+3, line+4, calls), failures[0])
}

// lineOf returns the number of the first line of this file that equals code.
func lineOf(code string) string {
	_, file, _, _ := runtime.Caller(0)
	text, err := os.ReadFile(file)
	if err != nil {
		panic(err)
	}
	for i, line := range strings.Split(string(text), "\n") {
		if strings.TrimSpace(line) == code {
			return strconv.Itoa(i + 1)
		}
	}
	panic("no line " + code)
}

// register is a helper through which a program registers all its hooks.
//
//go:noinline
func register(c *conn.Connection, hk conn.RemovalHook) bool { return conn.Register(c, hk) }

func TestCallersOfHelperAreNamed(t *testing.T) {
	failures := verify(func() {
		register(new(conn.Connection), finalize)
		register(new(conn.Connection), finalize)
	})
	require.Len(t, failures, 2)
	for _, failure := range failures {
		assert.Regexp(t, `finalize, registered by \S+\.register at \S+_test\.go:\d+`+
			`\n\t\tcalled by \S+\.TestCallersOfHelperAreNamed\.func1 at \S+_test\.go:\d+`+
			`\n\t\tcalled by \S+\.verify at \S+_test\.go:\d+$`, failure)
	}
}

func TestCallsStopAtTestFunction(t *testing.T) {
	test := begin("Test")
	conn.Register(new(conn.Connection), finalize)
	failures := test.end()
	require.Len(t, failures, 1)
	assert.Regexp(t, `registered by \S+\.TestCallsStopAtTestFunction at \S+_test\.go:\d+$`, failures[0])
}

func TestCallsLeaveOutTheRuntime(t *testing.T) {
	failures := verify(func() {
		defer func() { _ = recover() }()
		defer conn.Register(new(conn.Connection), finalize)
		panic("runs the deferred call")
	})
	require.Len(t, failures, 1)
	assert.Contains(t, failures[0], "TestCallsLeaveOutTheRuntime.func1 at ")
	assert.NotContains(t, failures[0], "runtime.")
}

func TestGoStatementIsNamed(t *testing.T) {
	for name, test := range map[string]struct {
		start func(c *conn.Connection)
		want  string
	}{
		"of Register": {
			func(c *conn.Connection) { go conn.Register(c, finalize) },
			`finalize, registered by a go statement of \S+\.TestGoStatementIsNamed\.func1 at \S+_test\.go:\d+$`,
		},
		"of a helper": {
			func(c *conn.Connection) { go register(c, finalize) },
			`finalize, registered by \S+\.register at \S+_test\.go:\d+` +
				`\n\t\tin a goroutine that \S+\.TestGoStatementIsNamed\.func2 started at \S+_test\.go:\d+$`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			fake := begin("Test")
			c := new(conn.Connection)
			before := runtime.NumGoroutine()
			test.start(c)
			for runtime.NumGoroutine() > before {
				time.Sleep(time.Millisecond)
			}
			failures := fake.end()
			require.Len(t, failures, 1)
			assert.Regexp(t, test.want, failures[0])
			assert.NotContains(t, failures[0], "runtime.")
		})
	}
}

func TestConnectionIsNamed(t *testing.T) {
	id := conn.ID{Orig: netip.MustParseAddrPort("192.0.2.1:40000"), Resp: netip.MustParseAddrPort("198.51.100.7:80"), Proto: conn.TCP}
	for _, test := range []struct {
		uid  string
		id   conn.ID
		want string
	}{
		{"C1", id, "\n\tconnection: C1 (192.0.2.1:40000 > 198.51.100.7:80 tcp)"},
		{"C1", conn.ID{}, "\n\tconnection: C1"},
		{"", id, "\n\tconnection: 192.0.2.1:40000 > 198.51.100.7:80 tcp"},
		{"", conn.ID{}, ""},
	} {
		failures := verify(func() {
			conn.Register(&conn.Connection{UID: test.uid, ID: test.id}, finalize)
		})
		require.Len(t, failures, 1)
		if test.want == "" {
			assert.NotContains(t, failures[0], "connection:")
		} else {
			assert.True(t, strings.HasSuffix(failures[0], test.want), "%s", failures[0])
		}
	}
}

func TestFewConnectionsOfManyAreNamed(t *testing.T) {
	for n, want := range map[int]string{
		2: "\n\tconnections: C0, C1",
		5: "\n\tconnections: C0, C1, C2, C3, C4",
		6: "\n\tconnections: C0, C1, C2, C3, C4, …",
	} {
		failures := verify(func() {
			for i := range n {
				conn.Register(&conn.Connection{UID: fmt.Sprint("C", i)}, finalize)
			}
		})
		require.Len(t, failures, 1)
		assert.Contains(t, failures[0], fmt.Sprintf("%d connections were not removed", n))
		assert.True(t, strings.HasSuffix(failures[0], want), "%s", failures[0])
	}
}

func TestRegistrationAfterRemovalIsLogged(t *testing.T) {
	test := begin("Test")
	var f flow
	f.StateRemove(&f)
	c := conn.Connection{UID: "C1"}
	conn.Register(&c, logIt)
	conn.StateRemove(&c)
	for range 3 {
		assert.False(t, register(&c, finalize))
	}
	assert.False(t, f.Register((*flow).finish))
	assert.Empty(t, test.end())
	require.Len(t, test.logs, 2)
	assert.Regexp(t, `^Register returned false after the removal, 3 times; this hook will not run:`+
		`\n\t\S+\.finalize, registered by \S+\.register at \S+:\d+`+
		`\n\t\tcalled by \S+\.TestRegistrationAfterRemovalIsLogged at \S+:\d+\n\tconnections: C1, …$`, test.logs[0])
	assert.Regexp(t, `^Register returned false after the removal; this hook will not run:\n\t\S+\.finish, `, test.logs[1])

	test = begin("Test")
	conn.Register(&c, finalize)
	test.end()
	require.Len(t, test.logs, 1, "of a connection that was removed before the test")
	assert.True(t, strings.HasSuffix(test.logs[0], "\n\tconnection: C1"), "%s", test.logs[0])
}

// Registering a registered hook again, or registering during a removal, is not a mistake.
func TestOtherRegistrationsAreNotLogged(t *testing.T) {
	test := begin("Test")
	var c conn.Connection
	conn.Register(&c, logIt)
	conn.Register(&c, logIt)
	conn.Register(&c, func(c *conn.Connection) bool { return conn.Register(c, finalize) && !conn.Register(c, logIt) })
	assert.True(t, conn.StateRemove(&c))
	test.end()
	assert.Empty(t, test.logs)
}

func TestLostHooksFail(t *testing.T) {
	failures := verify(func() {
		f := new(flow)
		f.Register((*flow).finish)
		register := f.Register // a compiler-generated wrapper
		register((*flow).save)
	})
	require.Len(t, failures, 1)
	assert.Regexp(t, `conntest_test\.\(\*flow\)\.finish, .*TestLostHooksFail.*conntest_test\.go:\d+\n`, failures[0])
	assert.Regexp(t, `conntest_test\.\(\*flow\)\.save, .*TestLostHooksFail.*conntest_test\.go:\d+\n`, failures[0])
}

func TestOneHookOfTwoIsLost(t *testing.T) {
	closure := func(c *conn.Connection) bool { return c == nil }
	failures := verify(func() {
		c := new(conn.Connection)
		conn.Register(c, finalize)
		conn.Register(c, logIt)
		conn.Unregister(c, finalize)

		d := new(conn.Connection)
		conn.Register(d, func(d *conn.Connection) bool {
			conn.Register(d, closure)
			*d = conn.Connection{} // drops it
			return true
		})
		conn.StateRemove(d)
	})
	require.Len(t, failures, 2)
	assert.Contains(t, failures[0], "logIt")
	assert.NotContains(t, failures[0], "finalize")
	assert.Contains(t, failures[1], "TestOneHookOfTwoIsLost.func1, ", "the closure")
	assert.Equal(t, 1, strings.Count(failures[1], ", registered by "), "not the hook that ran")
}

func TestReusedMemoryAndGarbageFail(t *testing.T) {
	failures := verify(func() {
		c := new(conn.Connection)
		conn.Register(c, finalize)
		*c = conn.Connection{}
		conn.Register(c, logIt)
		conn.StateRemove(c)

		f := new(flow)
		f.Register((*flow).finish)
		f.Hooks = conn.Hooks[flow]{}

		conn.Register(new(conn.Connection), logIt)
		runtime.GC()
		runtime.GC()
	})
	require.Len(t, failures, 3)
	for i, hook := range []string{"finalize", "finish", "logIt"} {
		assert.Contains(t, failures[i], "conntest_test.")
		assert.Contains(t, failures[i], hook+", registered")
	}
}

func TestEqualConnectionsAreReportedOnce(t *testing.T) {
	failures := verify(func() {
		for range 1000 {
			conn.Register(new(conn.Connection), finalize)
		}
	})
	require.Len(t, failures, 1)
	assert.Contains(t, failures[0], "1000 connections were not removed")
}

func TestFailuresAreInTheOrderOfRegistration(t *testing.T) {
	for range 20 {
		failures := verify(func() {
			conn.Register(new(conn.Connection), finalize)
			conn.Register(new(conn.Connection), logIt)
		})
		require.Len(t, failures, 2)
		assert.Contains(t, failures[0], "finalize")
		assert.Contains(t, failures[1], "logIt")
	}
}

func TestPanickingHooksHaveRun(t *testing.T) {
	assert.Empty(t, verify(func() {
		var c conn.Connection
		done := make(chan struct{})
		conn.Register(&c, func(*conn.Connection) bool { runtime.Goexit(); return true })
		conn.Register(&c, func(*conn.Connection) bool { panic("hook") })
		conn.Register(&c, finalize)
		go func() {
			defer close(done)
			defer func() { _ = recover() }()
			conn.StateRemove(&c)
		}()
		<-done
		assert.True(t, c.Removed())
	}))
}

func TestHookRegisteredDuringRemovalHasRun(t *testing.T) {
	assert.Empty(t, verify(func() {
		var c conn.Connection
		conn.Register(&c, func(c *conn.Connection) bool { return conn.Register(c, finalize) && conn.StateRemove(c) })
		conn.StateRemove(&c)
	}))
}

// Hooks registered before the test are ignored, but the same connection may get more during it.
func TestConnectionsFromBeforeTheTest(t *testing.T) {
	closure := func(c *conn.Connection) bool { return c == nil }
	for _, before := range [][]conn.RemovalHook{{finalize}, {closure}, {finalize, closure}} {
		var lost, later, removed, reduced conn.Connection
		for _, hk := range before {
			conn.Register(&lost, hk)
			conn.Register(&later, hk)
			conn.Register(&removed, hk)
			conn.Register(&reduced, hk)
		}
		failures := verify(func() {
			conn.Register(&later, logIt)
			conn.Register(&removed, logIt)
			conn.StateRemove(&removed)
			conn.Register(&reduced, logIt)
			conn.Unregister(&reduced, before[0])
			conn.Unregister(&reduced, logIt)
			conn.Unregister(&lost, before[0])
		})
		require.Len(t, failures, 1)
		assert.Contains(t, failures[0], "logIt")
		assert.NotContains(t, failures[0], "finalize")
		assert.NotContains(t, failures[0], "func1")

		// After the test, the connection is as before.
		ran := 0
		conn.Register(&later, func(*conn.Connection) bool { ran++; return true })
		assert.True(t, conn.StateRemove(&removed))
		conn.StateRemove(&later)
		assert.Equal(t, 1, ran)
	}
}

// The same holds for a connection whose removal is under way when the test begins.
func TestRemovalAcrossTheBeginning(t *testing.T) {
	var c conn.Connection
	var test *fakeT
	ran := ""
	conn.Register(&c, func(c *conn.Connection) bool {
		test = begin("Test")
		conn.Register(c, finalize)
		return conn.Register(c, func(*conn.Connection) bool { ran += "last"; return false })
	})
	assert.False(t, conn.StateRemove(&c), "the last did not complete")
	assert.Equal(t, "last", ran)
	assert.Empty(t, test.end())
}

func TestNestedTests(t *testing.T) {
	outer := begin("TestA")
	conn.Register(new(conn.Connection), finalize)
	inner := begin("TestA/inner")
	conn.Register(new(conn.Connection), logIt)
	failures := inner.end()
	require.Len(t, failures, 1)
	assert.Contains(t, failures[0], "logIt")
	failures = outer.end()
	require.Len(t, failures, 2, "everything lost while it runs")
	assert.Contains(t, failures[0], "finalize")
	assert.Contains(t, failures[1], "logIt")
}

// There is no telling which of two tests a connection belongs to: the last to end reports it.
func TestParallelTests(t *testing.T) {
	first := begin("TestA")
	conn.Register(new(conn.Connection), finalize)
	second := begin("TestAB") // not a subtest
	var c conn.Connection
	conn.Register(&c, logIt)
	conn.Register(new(conn.Connection), logIt)
	failures := first.end()
	require.Len(t, failures, 1)
	assert.Contains(t, failures[0], "finalize", "before the second test began")
	assert.NotContains(t, failures[0], "TestAB")
	conn.StateRemove(&c)
	failures = second.end()
	require.Len(t, failures, 1)
	assert.Contains(t, failures[0], "1 connection")
	assert.Contains(t, failures[0], "logIt")
	assert.Contains(t, failures[0], "\n\t\tin this test or in TestA")
}

func TestTestsOneAfterAnother(t *testing.T) {
	assert.Len(t, verify(func() { conn.Register(new(conn.Connection), finalize) }), 1)
	assert.Empty(t, verify(func() {}), "what an earlier test has lost")
}

func TestNothingIsWatchedAfterTheTest(t *testing.T) {
	var old conn.Connection
	verify(func() { conn.Register(&old, finalize) })
	assert.False(t, watch.On())
	want := 0.
	if runtime.GOARCH == "wasm" {
		want = 1 // connections share nothing there
	}
	var c conn.Connection
	assert.Equal(t, want, testing.AllocsPerRun(100, func() {
		c = conn.Connection{}
		conn.Register(&c, finalize)
		conn.Register(&c, logIt)
		conn.StateRemove(&c)
	}))
	conn.Register(&old, logIt)
	assert.True(t, conn.Unregister(&old, finalize))
	assert.True(t, conn.StateRemove(&old))
}

// Run with -race: connections live and die on many goroutines, some of which outlive the test.
func TestManyGoroutines(t *testing.T) {
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				select {
				case <-stop:
					return
				default:
				}
				runtime.Gosched() // WebAssembly does not preempt goroutines
				var c conn.Connection
				conn.Register(&c, finalize)
				conn.Register(&c, func(c *conn.Connection) bool { return conn.Register(c, logIt) })
				if !conn.StateRemove(&c) {
					panic("not completed")
				}
			}
		}()
	}
	for range 100 {
		verify(func() { runtime.Gosched() })
	}
	close(stop)
	wg.Wait()
}

// The failure of a real test, as its user sees it.
func TestRealTest(t *testing.T) {
	if os.Getenv("CONNTEST_LOSE") != "" {
		conntest.VerifyRemoved(t)
		conn.Register(new(conn.Connection), finalize)
		return
	}
	out := runTest(t, "TestRealTest", "CONNTEST_LOSE=1")
	assert.Regexp(t, regexp.MustCompile(`--- FAIL: TestRealTest`), out)
	assert.Contains(t, out, "conntest_test.finalize, registered by example.com/conn/conntest_test.TestRealTest at ")
	assert.Equal(t, 1, strings.Count(out, "not removed"))
}

func runTest(t *testing.T, name, env string) string {
	cmd := exec.Command(os.Args[0], "-test.run=^"+name+"$")
	cmd.Env = append(os.Environ(), env)
	out, err := cmd.CombinedOutput()
	require.Error(t, err, "the test passed: %s", out)
	return string(out)
}
