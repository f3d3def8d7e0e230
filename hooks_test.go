package conn_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os/exec"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/conn"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// journal records the runs of the tests' hooks.
var journal conn.Field[[]string]

func note(c *conn.Connection, what string) {
	j, _ := journal.GetOrNew(c)
	*j = append(*j, what)
}

// ran returns what the hooks of c have recorded.
func ran(c *conn.Connection) []string {
	if j := journal.Get(c); j != nil {
		return *j
	}
	return nil
}

func hookA(c *conn.Connection) bool    { note(c, "A"); return true }
func hookB(c *conn.Connection) bool    { note(c, "B"); return true }
func hookC(c *conn.Connection) bool    { note(c, "C"); return true }
func hookFail(c *conn.Connection) bool { note(c, "Fail"); return false }
func hookPanic(c *conn.Connection) bool {
	note(c, "Panic")
	panic("hookPanic")
}
func hookGoexit(c *conn.Connection) bool {
	note(c, "Goexit")
	runtime.Goexit()
	return true
}

var hookVar conn.RemovalHook = func(c *conn.Connection) bool { note(c, "Var"); return true }

// noting returns a new hook, a closure that records what.
func noting(what string) conn.RemovalHook {
	return func(c *conn.Connection) bool { note(c, what); return true }
}

// registerAll registers hooks, none of which may be registered with c already.
func registerAll(t *testing.T, c *conn.Connection, hooks ...conn.RemovalHook) {
	t.Helper()
	for i, hk := range hooks {
		require.True(t, conn.Register(c, hk), "Register of hook %d", i)
	}
}

// ending is how a function ended.
type ending struct {
	returned bool
	panicked any // the value, nil if the function did not panic
	stack    string
}

// endingOf runs f on its own goroutine and returns how it ended: by Goexit if it neither returned
// nor panicked.
func endingOf(f func()) (o ending) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if o.panicked = recover(); o.panicked != nil {
				o.stack = string(debug.Stack())
			}
		}()
		f()
		o.returned = true
	}()
	<-done
	return o
}

func TestRegisterReportsWhetherItAdded(t *testing.T) {
	var c conn.Connection
	assert.True(t, conn.Register(&c, hookA))
	assert.False(t, conn.Register(&c, hookA), "the only hook again")
	assert.True(t, conn.Register(&c, hookB))
	assert.False(t, conn.Register(&c, hookA), "the first of two again")
	assert.False(t, conn.Register(&c, hookB), "the second of two again")
	closure := noting("closure")
	assert.True(t, conn.Register(&c, closure))
	assert.False(t, conn.Register(&c, closure), "a closure again")
	assert.False(t, conn.Register(&c, hookA), "a function again, after a closure")
	assert.True(t, conn.StateRemove(&c))
	assert.Equal(t, []string{"A", "B", "closure"}, ran(&c), "each hook once")
}

func TestRegisterAfterRemovalReturnsFalse(t *testing.T) {
	for _, hooks := range [][]conn.RemovalHook{nil, {hookA}, {noting("closure")}} {
		var c conn.Connection
		registerAll(t, &c, hooks...)
		conn.StateRemove(&c)
		n := len(ran(&c))
		assert.False(t, conn.Register(&c, hookA))
		assert.False(t, conn.Register(&c, hookB))
		assert.False(t, conn.Register(&c, noting("late")))
		assert.False(t, conn.Registered(&c, hookB))
		conn.StateRemove(&c)
		assert.Len(t, ran(&c), n, "nothing runs after the removal")
	}
}

func TestRegisterOfHookThatHasBegunReturnsFalse(t *testing.T) {
	var c conn.Connection
	var self, before bool
	var hook conn.RemovalHook
	hook = func(c *conn.Connection) bool {
		note(c, "closure")
		self, before = conn.Register(c, hook), conn.Register(c, hookA)
		return true
	}
	registerAll(t, &c, hookA, hook, hookB)
	conn.StateRemove(&c)
	assert.False(t, self, "the hook that is running")
	assert.False(t, before, "a hook that has run")
	assert.Equal(t, []string{"A", "closure", "B"}, ran(&c))
}

func TestUnregisteredHookDoesNotRun(t *testing.T) {
	closure := noting("closure")
	for _, hooks := range [][]conn.RemovalHook{
		{hookA}, {hookA, hookB}, {hookA, hookB, hookC}, {closure}, {hookA, closure}, {closure, hookA}, {hookA, closure, hookB},
	} {
		for i, hk := range hooks {
			var c, want conn.Connection
			registerAll(t, &c, hooks...)
			registerAll(t, &want, slices.Delete(slices.Clone(hooks), i, i+1)...)

			assert.True(t, conn.Registered(&c, hk))
			assert.True(t, conn.Unregister(&c, hk))
			assert.False(t, conn.Registered(&c, hk))
			assert.False(t, conn.Unregister(&c, hk), "a second time")
			for j, other := range hooks {
				assert.Equal(t, j != i, conn.Registered(&c, other), "hook %d when %d of %d is gone", j, i, len(hooks))
			}
			conn.StateRemove(&c)
			conn.StateRemove(&want)
			assert.Equal(t, ran(&want), ran(&c), "without hook %d of %d", i, len(hooks))
		}
	}
}

func TestUnregisterOfUnknownHookReturnsFalse(t *testing.T) {
	var c conn.Connection
	assert.False(t, conn.Unregister(&c, hookA), "without hooks")
	registerAll(t, &c, hookA)
	assert.False(t, conn.Unregister(&c, hookB))
	closure := noting("closure")
	assert.False(t, conn.Unregister(&c, closure))
	conn.StateRemove(&c)
	assert.False(t, conn.Unregister(&c, hookA), "after the removal")
	assert.Equal(t, []string{"A"}, ran(&c))
}

func TestHookRegisteredAgainComesLast(t *testing.T) {
	var c conn.Connection
	registerAll(t, &c, hookA, hookB, hookC)
	require.True(t, conn.Unregister(&c, hookA))
	registerAll(t, &c, hookA)
	conn.StateRemove(&c)
	assert.Equal(t, []string{"B", "C", "A"}, ran(&c))
}

func TestUnregisterAmongManyHooks(t *testing.T) {
	const n = 200
	var c conn.Connection
	var hooks []conn.RemovalHook
	var want []string
	for i := range n {
		hooks = append(hooks, noting(fmt.Sprint(i)))
		registerAll(t, &c, hooks[i])
		if i%2 == 0 {
			want = append(want, fmt.Sprint(i))
		}
	}
	for i := 1; i < n; i += 2 {
		require.True(t, conn.Unregister(&c, hooks[i]))
		require.False(t, conn.Registered(&c, hooks[i]))
	}
	for i, hk := range hooks {
		require.Equal(t, i%2 == 1, conn.Register(&c, hk), "Register of hook %d", i)
		if i%2 == 1 {
			want = append(want, fmt.Sprint(i))
		}
	}
	assert.True(t, conn.StateRemove(&c))
	assert.Equal(t, want, ran(&c))
}

func TestStateRemoveRunsHooksInOrderOfRegistration(t *testing.T) {
	hooks := []conn.RemovalHook{hookA, hookB, hookC, hookVar, noting("closure")}
	names := []string{"A", "B", "C", "Var", "closure"}
	for i := range hooks { // every rotation, and its reverse
		for _, reverse := range []bool{false, true} {
			h := slices.Concat(hooks[i:], hooks[:i])
			want := slices.Concat(names[i:], names[:i])
			if reverse {
				slices.Reverse(h)
				slices.Reverse(want)
			}
			var c conn.Connection
			registerAll(t, &c, h...)
			assert.True(t, conn.StateRemove(&c))
			assert.Equal(t, want, ran(&c))
		}
	}
}

func TestStateRemoveReportsWhetherAllCompleted(t *testing.T) {
	for _, test := range []struct {
		hooks []conn.RemovalHook
		want  bool
		ran   []string
	}{
		{nil, true, nil},
		{[]conn.RemovalHook{hookA}, true, []string{"A"}},
		{[]conn.RemovalHook{hookFail}, false, []string{"Fail"}},
		{[]conn.RemovalHook{hookFail, hookA, hookB}, false, []string{"Fail", "A", "B"}},
		{[]conn.RemovalHook{hookA, hookFail, hookB}, false, []string{"A", "Fail", "B"}},
		{[]conn.RemovalHook{hookA, hookB, hookFail}, false, []string{"A", "B", "Fail"}},
	} {
		var c conn.Connection
		registerAll(t, &c, test.hooks...)
		assert.Equal(t, test.want, conn.StateRemove(&c))
		assert.Equal(t, test.ran, ran(&c))
		assert.True(t, conn.StateRemove(&c), "the second time there is nothing that could fail")
	}
}

func TestStateRemoveRunsOnCallersGoroutine(t *testing.T) {
	var c conn.Connection
	var stack string
	registerAll(t, &c, func(*conn.Connection) bool { stack = string(debug.Stack()); return true })
	conn.StateRemove(&c)
	assert.Contains(t, stack, "TestStateRemoveRunsOnCallersGoroutine(")
}

func TestStateRemoveFromHookRunsNothing(t *testing.T) {
	var c conn.Connection
	var nested bool
	var before, after int
	registerAll(t, &c, hookA, hookFail, func(c *conn.Connection) bool {
		before = len(ran(c))
		nested = conn.StateRemove(c)
		after = len(ran(c))
		return true
	}, hookB)
	assert.False(t, conn.StateRemove(&c), "hookFail did not complete")
	assert.True(t, nested)
	assert.Equal(t, before, after, "hooks that ran in the nested call")
	assert.Equal(t, []string{"A", "Fail", "B"}, ran(&c))
}

func TestStateRemoveAgainRunsNothing(t *testing.T) {
	var c conn.Connection
	registerAll(t, &c, hookA, hookFail)
	assert.False(t, conn.StateRemove(&c))
	assert.True(t, conn.StateRemove(&c))
	assert.Equal(t, []string{"A", "Fail"}, ran(&c))
}

func TestHookRegisteredDuringRemovalRunsInIt(t *testing.T) {
	for _, last := range []conn.RemovalHook{hookC, noting("C")} {
		var c conn.Connection
		var added, pending bool
		registerAll(t, &c, hookA, func(c *conn.Connection) bool {
			added = conn.Register(c, last)
			pending = conn.Registered(c, last)
			return true
		}, hookB)
		assert.True(t, conn.StateRemove(&c))
		assert.True(t, added)
		assert.True(t, pending)
		assert.Equal(t, []string{"A", "B", "C"}, ran(&c))
	}
}

func hookRegistersNext(c *conn.Connection) bool {
	note(c, "Next")
	return conn.Register(c, hookFail) && conn.Register(c, hookA)
}

func TestLastHookMayRegisterMore(t *testing.T) {
	var c conn.Connection
	registerAll(t, &c, hookRegistersNext)
	assert.False(t, conn.StateRemove(&c), "a hook registered meanwhile counts")
	assert.Equal(t, []string{"Next", "Fail", "A"}, ran(&c))
}

func TestHookUnregisteredDuringRemovalDoesNotRun(t *testing.T) {
	closure := noting("closure")
	for _, other := range []conn.RemovalHook{hookC, closure} {
		var c conn.Connection
		var taken, begun, self bool
		var hook conn.RemovalHook
		hook = func(c *conn.Connection) bool {
			taken = conn.Unregister(c, other)
			begun = conn.Unregister(c, hookA)
			self = conn.Unregister(c, hook)
			return true
		}
		registerAll(t, &c, hookA, hook, other, hookB)
		conn.StateRemove(&c)
		assert.True(t, taken, "a hook whose turn had not come")
		assert.False(t, begun, "a hook that had run")
		assert.False(t, self, "the hook that was running")
		assert.Equal(t, []string{"A", "B"}, ran(&c))
	}
}

// A connection never appends a closure to a list that it shares, even if there is room.
func TestClosuresAfterTheSameFunctions(t *testing.T) {
	for n := range len(quietFunctions) {
		var c, d conn.Connection
		for _, hk := range quietFunctions[:n] {
			registerAll(t, &c, hk)
			registerAll(t, &d, hk)
		}
		registerAll(t, &c, noting("c"))
		registerAll(t, &d, noting("d"))
		assert.True(t, conn.StateRemove(&c))
		assert.True(t, conn.StateRemove(&d))
		assert.Equal(t, []string{"c"}, ran(&c), "after %d functions", n)
		assert.Equal(t, []string{"d"}, ran(&d), "after %d functions", n)
	}
}

func TestHooksMayUnregisterAllOthers(t *testing.T) {
	var c conn.Connection
	registerAll(t, &c, func(c *conn.Connection) bool {
		for hk := range c.RemovalHooks() {
			assert.True(t, conn.Unregister(c, hk))
		}
		return true
	}, hookA, hookB, hookC)
	assert.True(t, conn.StateRemove(&c))
	assert.Empty(t, ran(&c))
	assert.False(t, conn.Register(&c, hookA), "the removal is over")
}

func TestHookUnregisteredAndRegisteredDuringRemovalRunsOnceAtTheEnd(t *testing.T) {
	var c conn.Connection
	registerAll(t, &c, func(c *conn.Connection) bool {
		return conn.Unregister(c, hookA) && conn.Register(c, hookA)
	}, hookA, hookB)
	assert.True(t, conn.StateRemove(&c))
	assert.Equal(t, []string{"B", "A"}, ran(&c))
}

func TestPanickingHookDoesNotStopOthers(t *testing.T) {
	for i := range 4 {
		var c conn.Connection
		hooks := slices.Insert([]conn.RemovalHook{hookA, hookB, hookC}, i, hookPanic)
		registerAll(t, &c, hooks...)
		o := endingOf(func() { conn.StateRemove(&c) })
		assert.Equal(t, "hookPanic", o.panicked)
		assert.Contains(t, o.stack, "conn_test.hookPanic(", "the stack of the hook that panicked")
		assert.Equal(t, slices.Insert([]string{"A", "B", "C"}, i, "Panic"), ran(&c))
		assert.False(t, conn.Register(&c, hookA), "the connection is removed all the same")
		assert.True(t, conn.StateRemove(&c))
		assert.Len(t, ran(&c), 4)
	}
}

func TestGoexitInHookDoesNotStopOthers(t *testing.T) {
	for i := range 4 {
		var c conn.Connection
		hooks := slices.Insert([]conn.RemovalHook{hookA, hookB, hookC}, i, hookGoexit)
		registerAll(t, &c, hooks...)
		o := endingOf(func() { conn.StateRemove(&c) })
		assert.False(t, o.returned)
		assert.Nil(t, o.panicked)
		assert.Equal(t, slices.Insert([]string{"A", "B", "C"}, i, "Goexit"), ran(&c))
		assert.False(t, conn.Register(&c, hookA), "the connection is removed all the same")
	}
}

// panics returns a hook that panics with v.
func panics(v any) conn.RemovalHook {
	return func(c *conn.Connection) bool { note(c, fmt.Sprint(v)); panic(v) }
}

func TestFirstPanicContinues(t *testing.T) {
	for _, test := range []struct {
		name  string
		hooks []conn.RemovalHook
		want  any
		ran   []string
	}{
		{"two panics", []conn.RemovalHook{panics(1), panics(2)}, 1, []string{"1", "2"}},
		{"three panics among others", []conn.RemovalHook{hookA, panics(1), hookB, panics(2), panics(3), hookC}, 1,
			[]string{"A", "1", "B", "2", "3", "C"}},
		{"a panic, then Goexit", []conn.RemovalHook{panics(1), hookGoexit, hookA}, 1, []string{"1", "Goexit", "A"}},
		{"Goexit, then a panic", []conn.RemovalHook{hookGoexit, panics(1), hookA}, 1, []string{"Goexit", "1", "A"}},
		{"Goexit between panics", []conn.RemovalHook{panics(1), hookGoexit, panics(2)}, 1, []string{"1", "Goexit", "2"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var c conn.Connection
			registerAll(t, &c, test.hooks...)
			o := endingOf(func() { conn.StateRemove(&c) })
			assert.False(t, o.returned)
			assert.Equal(t, test.want, o.panicked)
			assert.Equal(t, test.ran, ran(&c))
			assert.False(t, conn.Register(&c, hookA))
		})
	}
}

func TestGoexitContinuesAfterPanicIsRecovered(t *testing.T) {
	var c conn.Connection
	registerAll(t, &c, hookGoexit, hookPanic)
	var recovered any
	o := endingOf(func() {
		func() {
			defer func() { recovered = recover() }()
			conn.StateRemove(&c)
		}()
	})
	assert.Equal(t, "hookPanic", recovered)
	assert.False(t, o.returned, "the goroutine ends, as the hook asked")
}

// manyPanics returns a number of panics that would take far too long in quadratic time.
func manyPanics() int {
	if runtime.GOARCH == "wasm" {
		return 500 // more would overflow the stack of Node.js, which Go cannot grow
	}
	return 100_000
}

func TestManyPanickingHooksAllRun(t *testing.T) {
	n := manyPanics()
	var c conn.Connection
	count := 0
	for i := range n {
		registerAll(t, &c, func(*conn.Connection) bool { count++; panic(i) })
	}
	o := endingOf(func() { conn.StateRemove(&c) })
	assert.Equal(t, 0, o.panicked)
	assert.Equal(t, n, count)
}

func TestPanickingHookMayRegisterOthers(t *testing.T) {
	var c conn.Connection
	registerAll(t, &c, func(c *conn.Connection) bool {
		conn.Register(c, hookA)
		conn.Unregister(c, hookB)
		panic("registered")
	}, hookB, hookC)
	o := endingOf(func() { conn.StateRemove(&c) })
	assert.Equal(t, "registered", o.panicked)
	assert.Equal(t, []string{"C", "A"}, ran(&c))
}

func TestRemovalKeepsNoHookAlive(t *testing.T) {
	for _, end := range []conn.RemovalHook{hookA, hookFail, hookPanic, hookGoexit} {
		t.Run(end.String(), func(t *testing.T) {
			var c conn.Connection
			collected := make(chan struct{})
			func() {
				captured := new([64]byte)
				runtime.SetFinalizer(captured, func(any) { close(collected) })
				registerAll(t, &c, hookB, func(*conn.Connection) bool { return captured[0] == 0 }, end)
			}()
			endingOf(func() { conn.StateRemove(&c) })
			assertCollected(t, collected)
			runtime.KeepAlive(&c)
		})
	}
}

func TestUnregisterKeepsNoHookAlive(t *testing.T) {
	var many []conn.RemovalHook
	for range 100 {
		many = append(many, noting("closure"))
	}
	for _, others := range [][]conn.RemovalHook{nil, {hookA}, {noting("closure")}, many[:3], many[:4], many} {
		var c conn.Connection
		collected := make(chan struct{})
		func() {
			captured := new([64]byte)
			runtime.SetFinalizer(captured, func(any) { close(collected) })
			closure := func(*conn.Connection) bool { return captured[0] == 0 }
			registerAll(t, &c, closure)
			registerAll(t, &c, others...)
			require.True(t, conn.Unregister(&c, closure))
		}()
		assertCollected(t, collected)
		runtime.KeepAlive(&c)
	}
}

// assertCollected fails the test unless a finalizer closes collected after a garbage collection.
func assertCollected(t *testing.T, collected <-chan struct{}, msg ...any) {
	t.Helper()
	runtime.GC()
	select {
	case <-collected:
	case <-time.After(10 * time.Second): // the finalizer runs on its own goroutine
		assert.Fail(t, "still reachable", msg...)
	}
}

func (s *sensor) finalize(c *conn.Connection) bool { note(c, s.name); return true }
func (s *sensor) quiet(*conn.Connection) bool      { return s != nil }
func (s *sensor) Finalize(c *conn.Connection) bool { return s.finalize(c) }

type sensor struct{ name string }

func generic[T any](c *conn.Connection) bool { note(c, reflect.TypeFor[T]().Name()); return true }

func instantiates[T any]() conn.RemovalHook { return generic[T] }

func TestIdentityOfHooks(t *testing.T) {
	makeClosures := func(n int) (hooks []conn.RemovalHook) {
		for i := range n {
			hooks = append(hooks, func(*conn.Connection) bool { return i >= 0 })
		}
		return hooks
	}
	closures := makeClosures(2)
	copied := closures[0]
	s := &sensor{"sensor"}
	kept := s.finalize
	ownType := hookVar
	var plain func(*conn.Connection) bool = hookA

	for _, test := range []struct {
		name string
		a, b conn.RemovalHook
		same bool
	}{
		{"a top-level function named twice", hookA, hookA, true},
		{"a top-level function through a variable", hookA, plain, true},
		{"two top-level functions with the same body", hookA, hookB, false},
		{"a package-level variable and its copy", hookVar, ownType, true},
		{"a closure and its copy", closures[0], copied, true},
		{"two closures made by one literal", closures[0], closures[1], false},
		{"two evaluations of a method value", s.finalize, s.finalize, false},
		{"a method value kept in a variable", kept, kept, true},
		{"an instance of a generic function named twice", generic[int], generic[int], true},
		{"two instances of a generic function", generic[int], generic[string], false},
		{"a generic function instantiated with a type parameter, twice", instantiates[int](), instantiates[int](), false},
		{"two chains of the same bodies", conn.Chain(hookA), conn.Chain(hookA), false},
		{"a chain and its only body", conn.Chain(hookA), hookA, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var c conn.Connection
			registerAll(t, &c, test.a)
			assert.Equal(t, test.same, conn.Registered(&c, test.b))
			assert.Equal(t, !test.same, conn.Register(&c, test.b), "Register")
			assert.True(t, conn.Unregister(&c, test.b))
			assert.Equal(t, !test.same, conn.Registered(&c, test.a), "the other one remains")
		})
	}
}

func TestNilHookPanicsAndIsNeverRegistered(t *testing.T) {
	for _, hooks := range [][]conn.RemovalHook{nil, {hookA}, {noting("closure")}} {
		var c conn.Connection
		registerAll(t, &c, hooks...)
		const want = "conn: Register called with a nil RemovalHook"
		assert.PanicsWithValue(t, want, func() { conn.Register(&c, nil) })
		assert.False(t, conn.Unregister(&c, nil))
		assert.False(t, conn.Registered(&c, nil))
		assert.True(t, conn.StateRemove(&c))
		assert.PanicsWithValue(t, want, func() { conn.Register(&c, nil) }, "after the removal")
		assert.False(t, conn.Unregister(&c, nil))
		assert.False(t, conn.Registered(&c, nil))
	}
}

func TestNilConnectionIsNilDereference(t *testing.T) {
	for name, f := range map[string]func(){
		"Register":     func() { conn.Register(nil, hookA) },
		"Unregister":   func() { conn.Unregister(nil, hookA) },
		"Registered":   func() { conn.Registered(nil, hookA) },
		"StateRemove":  func() { conn.StateRemove(nil) },
		"RemovalHooks": func() { (*conn.Connection)(nil).RemovalHooks() },
		"Removed":      func() { (*conn.Connection)(nil).Removed() },
		"Field.Get":    func() { journal.Get(nil) },
		"Field.Delete": func() { journal.Delete(nil) },

		"Field.GetOrNew": func() { journal.GetOrNew(nil) },

		"Hooks.Register":     func() { (*conn.Hooks[flow])(nil).Register((*flow).a) },
		"Hooks.Unregister":   func() { (*conn.Hooks[flow])(nil).Unregister((*flow).a) },
		"Hooks.Registered":   func() { (*conn.Hooks[flow])(nil).Registered((*flow).a) },
		"Hooks.StateRemove":  func() { (*conn.Hooks[flow])(nil).StateRemove(new(flow)) },
		"Hooks.RemovalHooks": func() { (*conn.Hooks[flow])(nil).RemovalHooks() },
		"Hooks.Removed":      func() { (*conn.Hooks[flow])(nil).Removed() },

		"Get of a nil Field":      func() { (*conn.Field[int])(nil).Get(new(conn.Connection)) },
		"GetOrNew of a nil Field": func() { (*conn.Field[int])(nil).GetOrNew(new(conn.Connection)) },
		"Delete of a nil Field":   func() { (*conn.Field[int])(nil).Delete(new(conn.Connection)) },
	} {
		t.Run(name, func(t *testing.T) {
			err, ok := endingOf(f).panicked.(runtime.Error)
			require.True(t, ok)
			assert.ErrorContains(t, err, "nil pointer dereference")
		})
	}
}

func TestAssignmentMakesNewConnection(t *testing.T) {
	c := new(conn.Connection)
	for i := range 3 {
		*c = conn.Connection{UID: fmt.Sprint(i)}
		assert.Empty(t, ran(c), "fields of the connection before")
		assert.False(t, conn.Registered(c, hookA))
		registerAll(t, c, hookA, hookFail)
		assert.False(t, conn.StateRemove(c))
		assert.Equal(t, []string{"A", "Fail"}, ran(c))
	}
	*c = conn.Connection{}
	registerAll(t, c, hookA)
	*c = conn.Connection{}
	assert.True(t, conn.StateRemove(c))
	assert.Empty(t, ran(c), "hooks that had not run are dropped with the connection")
}

func TestAssignmentInHookLeavesNewConnectionAlone(t *testing.T) {
	for name, end := range map[string]func(){"return": func() {}, "panic": func() { panic("end") }, "Goexit": runtime.Goexit} {
		for _, first := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s first=%v", name, first), func(t *testing.T) {
				var c conn.Connection
				reuse := func(c *conn.Connection) bool {
					*c = conn.Connection{}
					conn.Register(c, hookC)
					end()
					return true
				}
				if !first {
					registerAll(t, &c, hookA)
				}
				registerAll(t, &c, reuse)
				if first {
					registerAll(t, &c, hookA)
				}
				o := endingOf(func() { conn.StateRemove(&c) })
				assert.Equal(t, name == "return", o.returned)
				assert.Equal(t, name == "panic", o.panicked == "end")
				assert.Empty(t, ran(&c))
				registerAll(t, &c, hookB)
				assert.True(t, conn.StateRemove(&c))
				assert.Equal(t, []string{"C", "B"}, ran(&c), "the new connection")
			})
		}
	}
}

// list returns the names of the hooks that RemovalHooks yields.
func list(c *conn.Connection) (names []string) {
	for hk := range c.RemovalHooks() {
		name := hk.String()
		names = append(names, name[strings.LastIndex(name, ".")+1:])
	}
	return names
}

func TestRemovalHooksYieldsWhatWouldRun(t *testing.T) {
	var c conn.Connection
	assert.Empty(t, list(&c))
	var during []string
	registerAll(t, &c, hookA, hookB, func(c *conn.Connection) bool {
		conn.Register(c, hookFail)
		during = list(c)
		return true
	}, hookC)
	assert.Equal(t, []string{"hookA", "hookB", "func1", "hookC"}, list(&c))
	conn.StateRemove(&c)
	assert.Equal(t, []string{"hookC", "hookFail"}, during, "inside a hook, those after it")
	assert.Empty(t, list(&c), "after the removal")
}

func TestRemovalHooksWhileChangingThem(t *testing.T) {
	closures := []conn.RemovalHook{noting("1"), noting("2"), noting("3"), noting("4")}
	functions := []conn.RemovalHook{hookA, hookB, hookC, hookVar}
	for _, hooks := range [][]conn.RemovalHook{functions, closures} {
		place := func(hk conn.RemovalHook) int {
			return slices.IndexFunc(hooks, func(h conn.RemovalHook) bool { return sameHook(h, hk) })
		}
		for name, test := range map[string]struct {
			change func(c *conn.Connection, place int)
			want   []int
		}{
			"unregister it":         {func(c *conn.Connection, i int) { conn.Unregister(c, hooks[i]) }, []int{0, 1, 2, 3}},
			"unregister the next":   {func(c *conn.Connection, i int) { conn.Unregister(c, hooks[(i+1)%4]) }, []int{0, 2}},
			"unregister the former": {func(c *conn.Connection, i int) { conn.Unregister(c, hooks[(i+3)%4]) }, []int{0, 1, 2}},
			"register another":      {func(c *conn.Connection, _ int) { conn.Register(c, hookFail) }, []int{0, 1, 2, 3}},
			"remove":                {func(c *conn.Connection, _ int) { conn.StateRemove(c) }, []int{0}},
		} {
			t.Run(name, func(t *testing.T) {
				var c conn.Connection
				registerAll(t, &c, hooks...)
				var got []int
				for hk := range c.RemovalHooks() {
					i := place(hk)
					got = append(got, i)
					test.change(&c, i)
				}
				assert.Equal(t, test.want, got)
			})
		}
	}
	t.Run("break", func(t *testing.T) {
		var c conn.Connection
		registerAll(t, &c, functions...)
		n := 0
		for range c.RemovalHooks() {
			if n++; n == 2 {
				break
			}
		}
		assert.Equal(t, 2, n)
	})
}

// sameHook reports whether the package treats a and b as one hook.
func sameHook(a, b conn.RemovalHook) bool {
	var c conn.Connection
	return conn.Register(&c, a) && !conn.Register(&c, b)
}

func TestChainRunsBodiesUntilOneReturnsFalse(t *testing.T) {
	for _, test := range []struct {
		bodies []conn.RemovalHook
		want   bool
		ran    []string
	}{
		{nil, true, nil},
		{[]conn.RemovalHook{hookA}, true, []string{"A"}},
		{[]conn.RemovalHook{hookA, hookB, hookA}, true, []string{"A", "B", "A"}},
		{[]conn.RemovalHook{hookFail}, false, []string{"Fail"}},
		{[]conn.RemovalHook{hookA, hookFail, hookB}, false, []string{"A", "Fail"}},
		{[]conn.RemovalHook{hookA, conn.Chain(hookB, hookFail, hookA), hookC}, false, []string{"A", "B", "Fail"}},
		{[]conn.RemovalHook{conn.Chain(), conn.Chain(hookB), hookC}, true, []string{"B", "C"}},
	} {
		var c conn.Connection
		registerAll(t, &c, conn.Chain(test.bodies...), hookVar)
		assert.Equal(t, test.want, conn.StateRemove(&c))
		assert.Equal(t, append(test.ran, "Var"), ran(&c), "bodies, then the next hook")
	}
}

func TestChainRunsLaterBodiesAfterPanicOrGoexit(t *testing.T) {
	for _, test := range []struct {
		name   string
		bodies []conn.RemovalHook
		want   any // the panic, nil if the goroutine ends by Goexit
		ran    []string
	}{
		{"panic first", []conn.RemovalHook{hookPanic, hookA, hookB}, "hookPanic", []string{"Panic", "A", "B"}},
		{"panic last", []conn.RemovalHook{hookA, hookB, hookPanic}, "hookPanic", []string{"A", "B", "Panic"}},
		{"two panics", []conn.RemovalHook{panics(1), hookA, panics(2), hookB}, 1, []string{"1", "A", "2", "B"}},
		{"false after a panic", []conn.RemovalHook{hookPanic, hookFail, hookB}, "hookPanic", []string{"Panic", "Fail"}},
		{"panic after false", []conn.RemovalHook{hookFail, hookPanic}, nil, []string{"Fail"}},
		{"Goexit", []conn.RemovalHook{hookA, hookGoexit, hookB}, nil, []string{"A", "Goexit", "B"}},
		{"Goexit, then a panic", []conn.RemovalHook{hookGoexit, hookPanic, hookB}, "hookPanic", []string{"Goexit", "Panic", "B"}},
		{"a panic, then Goexit", []conn.RemovalHook{hookPanic, hookGoexit, hookB}, "hookPanic", []string{"Panic", "Goexit", "B"}},
		{"a panic, then false", []conn.RemovalHook{panics(1), panics(2), hookFail, hookB}, 1, []string{"1", "2", "Fail"}},
		{"Goexit between panics", []conn.RemovalHook{panics(1), hookGoexit, panics(2), hookB}, 1, []string{"1", "Goexit", "2", "B"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var c conn.Connection
			registerAll(t, &c, conn.Chain(test.bodies...), hookVar)
			o := endingOf(func() { conn.StateRemove(&c) })
			assert.Equal(t, test.ran[0] == "Fail", o.returned)
			assert.Equal(t, test.want, o.panicked)
			assert.Equal(t, append(test.ran, "Var"), ran(&c), "bodies, then the next hook")
			if test.want == "hookPanic" {
				assert.Contains(t, o.stack, "conn_test.hookPanic(")
			}
		})
	}
}

func TestManyPanickingBodiesAllRun(t *testing.T) {
	n := manyPanics()
	count := 0
	bodies := make([]conn.RemovalHook, n)
	for i := range bodies {
		bodies[i] = func(*conn.Connection) bool { count++; panic(i) }
	}
	hk := conn.Chain(bodies...)
	o := endingOf(func() { hk(new(conn.Connection)) })
	assert.Equal(t, 0, o.panicked)
	assert.Equal(t, n, count)
}

func TestChainKeepsItsBodies(t *testing.T) {
	bodies := []conn.RemovalHook{hookA, hookB}
	chain := conn.Chain(bodies...)
	bodies[0], bodies[1] = hookFail, nil
	var c conn.Connection
	registerAll(t, &c, chain)
	assert.True(t, conn.StateRemove(&c))
	assert.Equal(t, []string{"A", "B"}, ran(&c))
}

func TestChainOfNilBodyPanics(t *testing.T) {
	assert.PanicsWithValue(t, "conn: Chain called with a nil RemovalHook as body 2 of 3", func() {
		conn.Chain(hookA, nil, hookB)
	})
}

func TestHookStringIsFunctionName(t *testing.T) {
	s := &sensor{}
	for _, test := range []struct {
		hook conn.RemovalHook
		want string
	}{
		{hookA, "example.com/conn_test.hookA"},
		{func(*conn.Connection) bool { return s == nil }, "example.com/conn_test.TestHookStringIsFunctionName.func1"},
		{s.finalize, "example.com/conn_test.(*sensor).finalize-fm"},
		{generic[int], "example.com/conn_test.generic[...]"},
		{nil, "<nil>"},
	} {
		assert.Equal(t, test.want, test.hook.String())
		assert.Equal(t, test.want, fmt.Sprint(test.hook), "through fmt")
	}
}

// Run with -race: goroutines that use separate connections need no coordination, even if all of
// them make new combinations of hooks at once.
func TestConnectionsOfManyGoroutines(t *testing.T) {
	functions := []conn.RemovalHook{hookA, hookB, hookC, hookVar, generic[int], generic[string], generic[bool]}
	names := []string{"A", "B", "C", "Var", "int", "string", "bool"}
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 500 {
				var c conn.Connection
				var want []string
				for k := range 1 + i%len(functions) {
					j := (g + i + k*(1+i%3)) % len(functions)
					if conn.Register(&c, functions[j]) {
						want = append(want, names[j])
					}
					if k == 3 {
						conn.Register(&c, noting("closure"))
						want = append(want, "closure")
					}
				}
				if i%5 == 0 && conn.Unregister(&c, functions[(g+i)%len(functions)]) {
					want = append([]string(nil), want[1:]...)
				}
				if !assert.True(t, conn.StateRemove(&c)) || !assert.Equal(t, want, ran(&c)) {
					return
				}
			}
		}()
	}
	wg.Wait()
}

// Run with -race: a connection may be handed from one goroutine to another.
func TestConnectionHandedBetweenGoroutines(t *testing.T) {
	stages := []conn.RemovalHook{hookA, hookB, noting("closure"), hookC}
	in := make(chan *conn.Connection)
	first := in
	for _, hk := range stages {
		out := make(chan *conn.Connection)
		go func(in <-chan *conn.Connection) {
			defer close(out)
			for c := range in {
				conn.Register(c, hk)
				out <- c
			}
		}(in)
		in = out
	}
	const n = 200
	go func() {
		defer close(first)
		for range n {
			first <- new(conn.Connection)
		}
	}()
	got := 0
	for c := range in {
		got++
		assert.True(t, conn.StateRemove(c))
		assert.Equal(t, []string{"A", "B", "closure", "C"}, ran(c))
	}
	assert.Equal(t, n, got)
}

// Hooks embedded in another type. The model test in internal/model checks that both APIs do the
// same.

func (f *flow) a() bool     { f.ran = append(f.ran, "a"); return true }
func (f *flow) b() bool     { f.ran = append(f.ran, "b"); return true }
func (f *flow) fails() bool { f.ran = append(f.ran, "fails"); return false }
func (f *flow) panics() bool {
	f.ran = append(f.ran, "panics")
	panic("panics")
}

func TestHooksRunWithTheirConnection(t *testing.T) {
	var f, g flow
	assert.True(t, f.StateRemove(&f), "without hooks")
	f = flow{}
	assert.True(t, f.Register((*flow).a))
	assert.True(t, f.Register((*flow).fails))
	assert.True(t, f.Register((*flow).b))
	assert.False(t, f.Register((*flow).a), "again")
	assert.True(t, g.Register((*flow).b))
	assert.True(t, f.Registered((*flow).b))
	assert.True(t, f.Unregister((*flow).b))
	assert.False(t, f.Unregister((*flow).b), "again")
	assert.False(t, f.Registered((*flow).b))
	assert.True(t, f.Register((*flow).b))

	var names []string
	for hk := range f.RemovalHooks() {
		name := runtime.FuncForPC(reflect.ValueOf(hk).Pointer()).Name()
		names = append(names, name[strings.LastIndex(name, ".")+1:])
	}
	assert.Equal(t, []string{"a", "fails", "b"}, names)

	assert.False(t, f.StateRemove(&f), "one did not complete")
	assert.Equal(t, []string{"a", "fails", "b"}, f.ran)
	assert.True(t, f.StateRemove(&f))
	assert.False(t, f.Register((*flow).a), "too late")
	assert.Equal(t, []string{"a", "fails", "b"}, f.ran)
	assert.True(t, g.StateRemove(&g))
	assert.Equal(t, []string{"b"}, g.ran)
}

func TestNilHookOfHooks(t *testing.T) {
	var f flow
	assert.PanicsWithValue(t, "conn: Register called with a nil RemovalHook", func() { f.Register(nil) })
	assert.False(t, f.Registered(nil))
	assert.False(t, f.Unregister(nil))
	assert.True(t, f.StateRemove(&f))
}

func TestPanicOfHooksContinuesWithItsStack(t *testing.T) {
	var f flow
	f.Register((*flow).a)
	f.Register((*flow).panics)
	f.Register((*flow).b)
	o := endingOf(func() { f.StateRemove(&f) })
	assert.Equal(t, "panics", o.panicked)
	assert.Contains(t, o.stack, "conn_test.(*flow).panics(")
	assert.Equal(t, []string{"a", "panics", "b"}, f.ran)
	assert.True(t, f.Removed())

	f.Hooks = conn.Hooks[flow]{}
	f.Register((*flow).panics)
	assert.Equal(t, "panics", endingOf(func() { f.StateRemove(&f) }).panicked, "also that of a new connection")
}

func TestRemovalOfHooksKeepsNoHookAlive(t *testing.T) {
	var f flow
	collected := make(chan struct{})
	func() {
		captured := new([64]byte)
		runtime.SetFinalizer(captured, func(any) { close(collected) })
		f.Register(func(*flow) bool { return captured[0] == 0 })
		f.Register((*flow).a)
	}()
	assert.True(t, f.StateRemove(&f))
	assertCollected(t, collected)
	runtime.KeepAlive(&f)
}

func TestRemoved(t *testing.T) {
	var during []bool
	var c conn.Connection
	hook := func(c *conn.Connection) bool { during = append(during, c.Removed()); return true }
	assert.False(t, c.Removed())
	registerAll(t, &c, hook, noting("closure"))
	assert.False(t, c.Removed(), "with hooks")
	conn.StateRemove(&c)
	assert.True(t, c.Removed())
	c = conn.Connection{}
	assert.False(t, c.Removed(), "a new connection")
	conn.StateRemove(&c)
	assert.True(t, c.Removed(), "without hooks")

	var f flow
	f.Register(func(f *flow) bool {
		during = append(during, f.Removed())
		f.Hooks = conn.Hooks[flow]{}
		during = append(during, !f.Removed())
		return true
	})
	assert.False(t, f.Removed())
	f.StateRemove(&f)
	assert.False(t, f.Removed(), "its hook made it a new one")
	f.StateRemove(&f)
	assert.True(t, f.Removed())
	f.Hooks = conn.Hooks[flow]{}
	assert.False(t, f.Removed())
	assert.Equal(t, []bool{true, true, true}, during, "inside the hooks")
}

// keep returns a hook for connections of any type. For types that the compiler treats alike, such
// as pointers, it may return the same func value.
func keep[C any](*C) func(*C) bool { return func(*C) bool { return true } }

func hold[C any](c *C) bool { return c != nil }

// Connections of all types share sets, but each runs only its own hooks.
func TestHooksOfDifferentTypes(t *testing.T) {
	for range 2 {
		checkHooksOf[*int](t)
		checkHooksOf[*string](t)
		checkHooksOf[int](t)
		checkHooksOf[struct{}](t)
	}
}

func checkHooksOf[C any](t *testing.T) {
	var h conn.Hooks[C]
	var c C
	var got *C
	hooks := []func(*C) bool{keep(&c), hold[C], func(c *C) bool { got = c; return true }}
	for _, hk := range hooks {
		require.True(t, h.Register(hk))
	}
	assert.True(t, h.StateRemove(&c))
	assert.Same(t, &c, got)
}

// Run with -race: goroutines with connections of different types make sets at once.
func TestHooksOfManyGoroutines(t *testing.T) {
	conn.ForgetSets()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 500 {
				var f flow
				var c conn.Connection
				for k := range 1 + i%5 {
					f.Register(quietFlowFunctions[(g+i+k)%len(quietFlowFunctions)])
					conn.Register(&c, quietFunctions[(g*i+k)%len(quietFunctions)])
				}
				if !f.StateRemove(&f) || !conn.StateRemove(&c) {
					t.Error("not completed")
				}
			}
		}()
	}
	wg.Wait()
}

func TestVetReportsCopies(t *testing.T) {
	out, err := exec.Command("go", "vet", "-copylocks", "./testdata/copies").CombinedOutput()
	require.Error(t, err)
	for _, what := range []string{"Connection contains", "Hooks[", "flow contains", "Field["} {
		assert.Contains(t, string(out), what)
	}
	assert.Equal(t, 4, strings.Count(string(out), "return copies lock value"), "%s", out)
}

// wideFuncs gives the sizes of a compiler whose func values are two pointers.
type wideFuncs struct{ types.Sizes }

func (s wideFuncs) Sizeof(t types.Type) int64 {
	if _, ok := t.Underlying().(*types.Signature); ok {
		return 2 * s.Sizes.Sizeof(types.Typ[types.Uintptr])
	}
	return s.Sizes.Sizeof(t)
}

// noImports imports empty packages: only the declaration that rejects wide func values matters.
type noImports struct{}

func (noImports) Import(path string) (*types.Package, error) {
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	p := types.NewPackage(path, path[strings.LastIndex(path, "/")+1:])
	p.MarkComplete()
	return p, nil
}

func TestCompilerWithWideFuncValuesIsRefused(t *testing.T) {
	refuses := func(sizes types.Sizes) (refuses bool) {
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, "sets.go", nil, 0)
		require.NoError(t, err)
		config := types.Config{Sizes: sizes, Importer: noImports{}, Error: func(err error) {
			if strings.Contains(err.Error(), "in variable declaration") {
				refuses = true
			}
		}}
		_, err = config.Check("conn", fset, []*ast.File{file}, nil)
		require.Error(t, err, "of the imports")
		return refuses
	}
	sizes := types.SizesFor("gc", runtime.GOARCH)
	assert.False(t, refuses(sizes))
	assert.True(t, refuses(wideFuncs{sizes}))
}
