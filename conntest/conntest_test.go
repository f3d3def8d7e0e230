package conntest_test

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"

	"example.com/conn"
	"example.com/conn/conntest"
	"example.com/conn/internal/watch"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fakeT is a test that a test may let fail.
type fakeT struct {
	testing.TB
	name     string
	cleanups []func()
	failures []string
}

func (t *fakeT) Name() string     { return t.name }
func (t *fakeT) Helper()          {}
func (t *fakeT) Cleanup(f func()) { t.cleanups = append(t.cleanups, f) }
func (t *fakeT) Errorf(format string, args ...any) {
	t.failures = append(t.failures, fmt.Sprintf(format, args...))
}

// end ends the test and returns how it failed.
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

// verify runs f as a test that verifies, and returns how it fails.
func verify(f func()) []string {
	t := begin("Test")
	f()
	return t.end()
}

// flow is a connection type of an analyzer's own.
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
	caller := "example.com/conn/conntest_test.TestLostConnectionFails.func1"
	assert.Equal(t, fmt.Sprintf("1 connection was not removed; these hooks have not run:"+
		"\n\texample.com/conn/conntest_test.finalize, registered by %[1]s at %[2]s:%[3]d"+
		"\n\texample.com/conn/conntest_test.logIt, registered by %[1]s at %[2]s:%[4]d", caller, file, line+3, line+4),
		failures[0])
}

func TestLostHooksFail(t *testing.T) {
	failures := verify(func() {
		f := new(flow)
		f.Register((*flow).finish)
		register := f.Register // a wrapper that the compiler makes
		register((*flow).save)
	})
	require.Len(t, failures, 1)
	assert.Regexp(t, `conntest_test\.\(\*flow\)\.finish, .*TestLostHooksFail.*conntest_test\.go:\d+\n`, failures[0])
	assert.Regexp(t, `conntest_test\.\(\*flow\)\.save, .*TestLostHooksFail.*conntest_test\.go:\d+$`, failures[0])
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

// What was registered before the test is not its business, but the same connection may get more.
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

// Also one that is in its removal when the test begins.
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
	require.Len(t, failures, 2, "all that is lost while it runs")
	assert.Contains(t, failures[0], "finalize")
	assert.Contains(t, failures[1], "logIt")
}

// Nobody knows which of two tests a connection belongs to: the one that ends last looks.
func TestParallelTests(t *testing.T) {
	first := begin("TestA")
	conn.Register(new(conn.Connection), finalize)
	second := begin("TestAB") // which is no subtest
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
	assert.Contains(t, failures[0], ", in this test or in TestA")
}

func TestTestsOneAfterAnother(t *testing.T) {
	assert.Len(t, verify(func() { conn.Register(new(conn.Connection), finalize) }), 1)
	assert.Empty(t, verify(func() {}), "what an earlier test has lost")
}

func TestNothingIsWatchedAfterTheTest(t *testing.T) {
	var old conn.Connection
	verify(func() { conn.Register(&old, finalize) })
	assert.False(t, watch.On())
	var c conn.Connection
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		c = conn.Connection{}
		conn.Register(&c, finalize)
		conn.Register(&c, logIt)
		conn.StateRemove(&c)
	}))
	conn.Register(&old, logIt)
	assert.True(t, conn.Unregister(&old, finalize))
	assert.True(t, conn.StateRemove(&old))
}

// Run with -race: connections live and die on many goroutines, some beyond the test.
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

// The failure of a real test, as people see it.
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
