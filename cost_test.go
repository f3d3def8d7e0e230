package conn_test

import (
	"fmt"
	"os/exec"
	"reflect"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"time"
	"unsafe"

	"example.com/conn"
	"example.com/conn/internal/watch"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sinkInt keeps the compiler from dropping what is measured.
var sinkInt *int

func TestSizes(t *testing.T) {
	assert.LessOrEqual(t, int(unsafe.Sizeof(conn.Connection{})), 144)
	assert.LessOrEqual(t, int(unsafe.Sizeof(conn.Hooks[flow]{})), 16)
	assert.LessOrEqual(t, int(unsafe.Sizeof(conn.Hooks[int]{})), 16)
}

// Hooks that do and allocate nothing.

func quiet1(*conn.Connection) bool         { return true }
func quiet2(*conn.Connection) bool         { return true }
func quiet3(*conn.Connection) bool         { return true }
func quietOf[T any](*conn.Connection) bool { return true }

var (
	quietVar       = func(*conn.Connection) bool { return true }
	quietChain     = conn.Chain(quiet1, quiet2)
	quietFunctions = []func(*conn.Connection) bool{
		quiet1, quiet2, quiet3, quietOf[int], quietOf[string], quietOf[bool], quietOf[byte], quietOf[rune],
		quietOf[[1]int], quietOf[[2]int], quietOf[[3]int], quietOf[[4]int], quietOf[[5]int], quietOf[[6]int],
		quietOf[[7]int], quietOf[[8]int], quietOf[[9]int], quietOf[[10]int], quietOf[[11]int], quietOf[[12]int],
	}
)

// A flow is a connection of an analyzer's own type.
type flow struct {
	ran []string // appended to by the hooks
	decoder
	*dissector
	genericLayer[int]
	conn.Hooks[flow]
}

func (f *flow) quiet1() bool           { return f != nil }
func (f *flow) quiet2() bool           { return f != nil }
func (f *flow) quiet3() bool           { return f != nil }
func quietFlow[T any](f *flow) bool    { return f != nil }
func (d *decoder) decoded() bool       { return d != nil }
func (d decoder) decodedValue() bool   { return d.packets == 0 }
func (p *dissector) parsed() bool      { return p == nil || p.depth == 0 }
func (g *genericLayer[T]) layer() bool { return g != nil }

type (
	decoder             struct{ packets int }
	dissector           struct{ depth int }
	genericLayer[T any] struct{ _ T }
	layered             interface{ layer() bool }
)

var (
	quietFlowVar       = func(f *flow) bool { return f != nil }
	quietFlowFunctions = []func(*flow) bool{
		(*flow).quiet1, (*flow).quiet2, (*flow).quiet3, (*flow).decoded, (*flow).parsed, (*flow).layer,
		(*flow).decodedValue, quietFlow[int], quietFlow[[1]int], quietFlow[[2]int], quietFlow[[3]int],
		quietFlow[[4]int], quietFlow[[5]int], quietFlow[[6]int], quietFlow[[7]int], quietFlow[[8]int],
		quietFlow[[9]int], quietFlow[[10]int], quietFlow[[11]int], quietFlow[[12]int],
	}
)

// ops holds one of the two APIs for connections of type C, and at least twenty hooks that live as
// long as the program.
type ops[C any] struct {
	register, unregister, registered func(c *C, hk func(*C) bool) bool

	remove    func(c *C) bool
	functions []func(*C) bool
	variable  func(*C) bool
}

var ofConnection = ops[conn.Connection]{
	register:   func(c *conn.Connection, hk func(*conn.Connection) bool) bool { return conn.Register(c, hk) },
	unregister: func(c *conn.Connection, hk func(*conn.Connection) bool) bool { return conn.Unregister(c, hk) },
	registered: func(c *conn.Connection, hk func(*conn.Connection) bool) bool { return conn.Registered(c, hk) },
	remove:     conn.StateRemove,
	functions:  quietFunctions,
	variable:   quietVar,
}

var ofFlow = ops[flow]{
	register:   func(f *flow, hk func(*flow) bool) bool { return f.Register(hk) },
	unregister: func(f *flow, hk func(*flow) bool) bool { return f.Unregister(hk) },
	registered: func(f *flow, hk func(*flow) bool) bool { return f.Registered(hk) },
	remove:     func(f *flow) bool { return f.StateRemove(f) },
	functions:  quietFlowFunctions,
	variable:   quietFlowVar,
}

func TestNothingIsAllocated(t *testing.T) {
	t.Run("Connection", func(t *testing.T) { nothingIsAllocated(t, ofConnection) })
	t.Run("Hooks", func(t *testing.T) { nothingIsAllocated(t, ofFlow) })
}

func nothingIsAllocated[C any](t *testing.T, o ops[C]) {
	conn.ForgetSets() // other tests fill them
	var c C
	registerAndRemove := func(hooks ...func(*C) bool) func() {
		return func() {
			c = *new(C)
			for _, hk := range hooks {
				if !o.register(&c, hk) {
					panic("not registered")
				}
			}
			if !o.remove(&c) {
				panic("not completed")
			}
		}
	}
	other, closure := closureOf[C](), closureOf[C]()
	var closures, removed C
	o.register(&closures, other)
	o.remove(&removed)
	for _, test := range []struct {
		name    string
		private float64 // the allocations it takes instead where sets are not shared
		op      func()
	}{
		{"no hooks", 0, registerAndRemove()},
		{"one function", 1, registerAndRemove(o.functions[0])},
		{"three functions", 1, registerAndRemove(o.functions[:3]...)},
		{"four functions", 1, registerAndRemove(o.functions[:4]...)},
		{"five functions", 2, registerAndRemove(o.functions[:5]...)},
		{"another order", 1, registerAndRemove(o.functions[2], o.functions[0], o.functions[1])},
		{"twenty functions", 4, registerAndRemove(o.functions...)},
		{"a variable", 1, registerAndRemove(o.variable)},
		{"Register of a hook that is registered", 1, func() {
			c = *new(C)
			o.register(&c, o.functions[0])
			o.register(&c, o.functions[1])
			if o.register(&c, o.functions[0]) {
				panic("registered twice")
			}
		}},
		{"Unregister of a function", 1, func() {
			c = *new(C)
			for _, hk := range o.functions[:3] {
				o.register(&c, hk)
			}
			if !o.unregister(&c, o.functions[1]) {
				panic("not unregistered")
			}
		}},
		{"Unregister of a closure beside another", 0, func() {
			if !o.register(&closures, closure) || !o.unregister(&closures, closure) {
				panic("not unregistered")
			}
		}},
		{"Unregister and Registered of an unknown closure", 0, func() {
			if o.unregister(&c, closure) || o.registered(&c, closure) {
				panic("unregistered")
			}
		}},
		{"Register after the removal", 0, func() {
			if o.register(&removed, o.functions[0]) || o.register(&removed, closure) {
				panic("registered")
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := 0.
			if !sharesSets {
				want = test.private
			}
			assert.Equal(t, want, testing.AllocsPerRun(100, test.op))
			conn.ForgetSets()
			conn.WhileFull(func() { assert.Equal(t, test.private, testing.AllocsPerRun(100, test.op), "while sharing is full") })
		})
	}
}

// sharesSets reports whether connections share sets, which requires recognizing hooks that live as
// long as the program.
const sharesSets = runtime.GOARCH != "wasm"

// closureOf returns a new hook.
func closureOf[C any]() func(*C) bool {
	n := new(int)
	return func(*C) bool { *n++; return true }
}

var (
	literalVar     = func(*conn.Connection) bool { return sinkInt == nil }
	literalsVar    = map[string]conn.RemovalHook{"a": func(*conn.Connection) bool { return sinkInt == nil }}
	initVar        conn.RemovalHook // assigned by init
	assignedVar    conn.RemovalHook // assigned by a function
	methodVar      = new(sensor).quiet
	constructedVar = closureOf[conn.Connection]()
	nestedVar      = func() conn.RemovalHook { return func(*conn.Connection) bool { return sinkInt == nil } }()
)

func init() { initVar = func(*conn.Connection) bool { return sinkInt == nil } }

func assignVar() { assignedVar = func(*conn.Connection) bool { return sinkInt == nil } }

// This must hold with both supported Go releases, whatever the compiler inlines.
func TestAllocationsOfPackageLevelVariables(t *testing.T) {
	conn.ForgetSets() // other tests fill them
	assignVar()
	for name, test := range map[string]struct {
		hook conn.RemovalHook
		want float64
	}{
		"a literal":               {literalVar, 0},
		"a literal in a map":      {literalsVar["a"], 0},
		"a literal in func init":  {initVar, 0},
		"a literal in a function": {assignedVar, 1},
		"a literal in a literal":  {nestedVar, 1},
		"a method value":          {methodVar, 1},
		"the result of a call":    {constructedVar, 1},
		"a chain":                 {quietChain, 1},
	} {
		t.Run(name, func(t *testing.T) {
			if !sharesSets {
				test.want = 1
			}
			var c conn.Connection
			assert.Equal(t, test.want, testing.AllocsPerRun(100, func() {
				c = conn.Connection{}
				conn.Register(&c, test.hook)
				conn.StateRemove(&c)
			}))
		})
	}
}

func TestFieldAllocations(t *testing.T) {
	var f conn.Field[int]
	var big conn.Field[[100]int]
	var c, with conn.Connection
	var v *[100]int
	f.GetOrNew(&with)
	for name, test := range map[string]struct {
		want float64
		op   func()
	}{
		"Get":                    {0, func() { sinkInt = f.Get(&with) }},
		"GetOrNew again":         {0, func() { sinkInt, _ = f.GetOrNew(&with) }},
		"Delete without a value": {0, func() { f.Delete(&c) }},
		"GetOrNew":               {1, func() { c = conn.Connection{}; sinkInt, _ = f.GetOrNew(&c) }},
		"GetOrNew of an array":   {1, func() { c = conn.Connection{}; v, _ = big.GetOrNew(&c) }},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, test.want, testing.AllocsPerRun(100, test.op)) })
	}
	assert.Zero(t, *v)
}

func TestOneAllocationHoldsFourHooks(t *testing.T) {
	t.Run("Connection", func(t *testing.T) { closureAllocations(t, ofConnection) })
	t.Run("Hooks", func(t *testing.T) { closureAllocations(t, ofFlow) })
}

func closureAllocations[C any](t *testing.T, o ops[C]) {
	conn.ForgetSets() // other tests fill them
	var closures []func(*C) bool
	for range 1000 {
		closures = append(closures, closureOf[C]())
	}
	for _, functions := range []int{0, 1, 2, 3} {
		for _, n := range []int{1, 2, 3, 4, 8, 50, 100, 1000} {
			t.Run(fmt.Sprintf("closures=%d/functions=%d", n, functions), func(t *testing.T) {
				var c C
				got := testing.AllocsPerRun(100, func() {
					c = *new(C)
					for _, hk := range o.functions[:functions] {
						o.register(&c, hk)
					}
					for _, hk := range closures[:n] {
						o.register(&c, hk)
					}
					o.remove(&c)
				})
				if n+functions <= 4 {
					assert.Equal(t, 1., got)
				} else {
					assert.LessOrEqual(t, got, float64(1+n))
				}
			})
		}
	}
}

func TestHooksOfLiveConnectionsTakeNoObjects(t *testing.T) {
	t.Run("Connection", func(t *testing.T) { objectsOfLiveConnections(t, ofConnection) })
	t.Run("Hooks", func(t *testing.T) { objectsOfLiveConnections(t, ofFlow) })
}

func objectsOfLiveConnections[C any](t *testing.T, o ops[C]) {
	conn.ForgetSets() // other tests fill them
	const n = 10_000
	cs := make([]C, n)
	before := heap()
	for i := range cs {
		for _, hk := range o.functions[:1+i%8] {
			o.register(&cs[i], hk)
		}
	}
	after := heap()
	assert.Less(t, int(after.HeapObjects)-int(before.HeapObjects), n/10)
	assert.Less(t, int(after.HeapAlloc)-int(before.HeapAlloc), n)
	runtime.KeepAlive(cs)
}

func TestInlining(t *testing.T) {
	out, err := exec.Command("go", "build", "-gcflags=-m", "./testdata/inline").CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, want := range []string{
		`inlining call to conn\.StateRemove\n`,
		`inlining call to conn\.Registered\n`,
		`inlining call to conn\.\(\*Connection\)\.Removed\n`,
		`inlining call to conn\.\(\*Hooks\[.*\]\)\.StateRemove\n`,
		`inlining call to conn\.\(\*Hooks\[.*\]\)\.Registered\n`,
		`inlining call to conn\.\(\*Hooks\[.*\]\)\.Removed\n`,
		`inlining call to conn\.\(\*Field\[.*int\]\)\.Get\n`,
	} {
		assert.Regexp(t, regexp.MustCompile(want), string(out))
	}
}

// bounded is how much shared sets and chance may let the heap grow.
const bounded = conn.MaxSharing + 1<<20

// heap collects garbage and returns the memory statistics.
func heap() (m runtime.MemStats) {
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m
}

// liveBytes returns the bytes of live objects on the heap.
func liveBytes() int { return int(heap().HeapAlloc) }

func TestMillionClosuresLeaveNothingBehind(t *testing.T) {
	t.Run("Connection", func(t *testing.T) { millionClosures(t, ofConnection) })
	t.Run("Hooks", func(t *testing.T) { millionClosures(t, ofFlow) })
}

func millionClosures[C any](t *testing.T, o ops[C]) {
	before, shared := liveBytes(), conn.SharedBytes()
	var c C
	for range 1_000_000 {
		c = *new(C)
		o.register(&c, o.functions[0])
		o.register(&c, closureOf[C]())
		o.remove(&c)
	}
	assert.Less(t, liveBytes()-before, bounded)
	assert.LessOrEqual(t, conn.SharedBytes(), shared+1000, "closures are not shared")
}

func TestMillionClosuresOfOneConnection(t *testing.T) {
	const n = 1_000_000
	before := liveBytes()
	var c conn.Connection
	next := 0
	for i := range n {
		hk := func(*conn.Connection) bool { next++; return i == next-1 }
		if !conn.Register(&c, hk) || conn.Register(&c, hk) {
			t.Fatalf("Register of closure %d", i)
		}
	}
	assert.True(t, conn.StateRemove(&c), "in order")
	assert.Equal(t, n, next)
	assert.Less(t, liveBytes()-before, bounded, "although the connection is still live")
	runtime.KeepAlive(&c)
}

// permutations calls f with every order of hooks, in the same slice.
func permutations[T any](hooks []T, f func([]T)) {
	var permute func(int)
	permute = func(k int) {
		if k == len(hooks) {
			f(hooks)
			return
		}
		for i := k; i < len(hooks); i++ {
			hooks[k], hooks[i] = hooks[i], hooks[k]
			permute(k + 1)
			hooks[k], hooks[i] = hooks[i], hooks[k]
		}
	}
	permute(0)
}

// slow reports whether the race detector is on, which makes everything take ten times as long.
func slow() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

func TestEveryOrderOfTenHooksIsBounded(t *testing.T) {
	t.Run("Connection", func(t *testing.T) { everyOrder(t, ofConnection) })
	t.Run("Hooks", func(t *testing.T) { everyOrder(t, ofFlow) })
}

func everyOrder[C any](t *testing.T, o ops[C]) {
	n := 10
	if testing.Short() || slow() {
		n = 8
	}
	before := liveBytes()
	most, count := 0, 0
	var live []*C // some stay live, each with a different combination
	permutations(slices.Clone(o.functions[:n]), func(hooks []func(*C) bool) {
		c := new(C)
		for _, hk := range hooks {
			o.register(c, hk)
		}
		if count%10_000 == 0 {
			live = append(live, c)
			most = max(most, conn.SharedBytes())
		} else {
			o.remove(c)
		}
		count++
	})
	assert.LessOrEqual(t, most, conn.MaxSharing)
	assert.LessOrEqual(t, conn.SharedBytes(), conn.MaxSharing)
	assert.Less(t, liveBytes()-before, bounded)
	for _, c := range live {
		if !o.remove(c) || o.register(c, o.functions[0]) {
			t.Fatal("lost a hook of a connection whose set was forgotten")
		}
	}
}

// The bytes counted against the bound match the heap, to the last byte, for sets of every length.
func TestSharedBytesAreHeapBytes(t *testing.T) {
	conn.ForgetSets()
	before, shared := heap(), conn.SharedBytes()
	require.Zero(t, shared)
	permutations(slices.Clone(quietFunctions[:7]), func(hooks []func(*conn.Connection) bool) {
		var c conn.Connection
		for _, hk := range hooks {
			conn.Register(&c, hk)
		}
	})
	after := heap()
	require.False(t, conn.SharingIsFull())
	assert.Less(t, conn.SharedBytes()/13699, 144, "for a set of seven hooks or fewer")
	assert.InEpsilon(t, int(after.HeapAlloc)-int(before.HeapAlloc), conn.SharedBytes(), 0.05)
	conn.ForgetSets()
}

func TestSharingComesBackAfterFlood(t *testing.T) {
	flood := func() bool {
		permutations(slices.Clone(quietFunctions[:8]), func(hooks []func(*conn.Connection) bool) {
			if !conn.SharingIsFull() {
				var c conn.Connection
				for _, hk := range hooks {
					conn.Register(&c, hk)
				}
			}
		})
		return conn.SharingIsFull()
	}
	// A finalizer left over from another test may make room meanwhile.
	require.Eventually(t, flood, 10*time.Second, time.Millisecond)

	// New combinations work while there is no room to share them.
	var old conn.Connection
	for _, hk := range quietFunctions {
		require.True(t, conn.Register(&old, hk))
	}
	assert.False(t, conn.Register(&old, quiet2))

	runtime.GC()
	require.Eventually(t, func() bool { return !conn.SharingIsFull() }, 10*time.Second, time.Millisecond)
	var c conn.Connection
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		c = conn.Connection{}
		for _, hk := range quietFunctions {
			conn.Register(&c, hk)
		}
		conn.StateRemove(&c)
	}))
	assert.True(t, conn.Unregister(&old, quiet2))
	assert.True(t, conn.StateRemove(&old))
}

// Connections that take turns with the hooks of several protocols need no lock either.
func TestSharedSetIsFoundWithoutLock(t *testing.T) {
	conn.ForgetSets()
	combinations := [][]conn.RemovalHook{{quiet1, quiet2}, {quiet1, quiet3}, {quiet1, quietVar}}
	var c conn.Connection
	registerAndRemove := func(hooks []conn.RemovalHook) {
		c = conn.Connection{}
		for _, hk := range hooks {
			conn.Register(&c, hk)
		}
		conn.StateRemove(&c)
	}
	for _, hooks := range combinations {
		registerAndRemove(hooks)
	}
	want := 0.
	if !sharesSets {
		want = 1
	}
	conn.WhileFull(func() {
		for i, hooks := range combinations {
			assert.Equal(t, want, testing.AllocsPerRun(100, func() { registerAndRemove(hooks) }), "combination %d", i)
		}
	})
}

// A program may register closures of more literals than the package remembers.
func TestHooksAreToldApartByNameAlone(t *testing.T) {
	conn.ForgetSets()
	conn.WhileShortLivedIsFull(func() {
		var c conn.Connection
		closure := func(*conn.Connection) bool { return c.UID == "" }
		allocations := func(hk conn.RemovalHook) float64 {
			return testing.AllocsPerRun(100, func() {
				c = conn.Connection{}
				conn.Register(&c, hk)
				conn.StateRemove(&c)
			})
		}
		before := conn.SharedBytes()
		assert.Equal(t, 1., allocations(closure))
		assert.Equal(t, before, conn.SharedBytes(), "the closure is not shared")
		if sharesSets {
			assert.Zero(t, allocations(quiet1))
		}
	})
}

// A flood of new combinations must not make the goroutines wait for each other.
func TestNoLockWhileSharingIsFull(t *testing.T) {
	conn.ForgetSets()
	conn.WhileFull(func() {
		done := make(chan bool)
		go func() {
			var c conn.Connection
			conn.Register(&c, quiet1)
			done <- conn.Register(&c, quiet2) && conn.Unregister(&c, quiet1) && conn.StateRemove(&c)
		}()
		select {
		case ok := <-done:
			assert.True(t, ok)
		case <-time.After(10 * time.Second):
			t.Error("a connection waits for the lock")
		}
	})
}

func TestNoSetIsMadeOnceSharingIsFull(t *testing.T) {
	conn.ForgetSets()
	assert.False(t, conn.SharesAfterWaiting(quiet1))
}

func TestSharedSetIsNotWatched(t *testing.T) {
	w := watch.Start(t.Name())
	conn.WhileSharing(func() {
		var c conn.Connection
		registerAll(t, &c, quiet1, quiet2)
		require.True(t, conn.Unregister(&c, quiet1))
		require.True(t, conn.StateRemove(&c))
	})
	left, late := w.End()
	assert.Empty(t, left)
	assert.Empty(t, late)
}

func TestForgottenSetsAreGarbage(t *testing.T) {
	register := func(hooks ...conn.RemovalHook) *conn.Connection {
		c := new(conn.Connection)
		registerAll(t, c, hooks...)
		return c
	}
	used := register(quiet1, quiet2)
	before := register(quiet1)
	beside := register(quiet1, quiet3) // found after the one used, as it was made after it
	after := register(quiet1, quiet2, quiet3)
	assertGarbage := func(c *conn.Connection, msg string) {
		t.Helper()
		collected := make(chan struct{})
		runtime.SetFinalizer(conn.SetOf(c), func(any) { close(collected) })
		conn.StateRemove(c)
		conn.ForgetSets()
		assertCollected(t, collected, msg)
	}
	assertGarbage(before, "the set before one in use")
	assertGarbage(beside, "the set beside one in use")
	assertGarbage(after, "the set after one in use")

	// New sets may extend one that was forgotten but is in use.
	again := register(quiet1, quiet2)
	conn.ForgetSets()
	require.True(t, conn.Register(again, quiet3))
	require.True(t, conn.Register(used, quiet3))
	require.True(t, conn.Unregister(used, quiet3))
	assertGarbage(again, "the set after one that was forgotten before")

	assert.False(t, conn.Register(used, quiet2))
	assert.True(t, conn.Register(used, quiet3))
	assert.True(t, conn.StateRemove(used))
}

func TestSetsAreSharedOnce(t *testing.T) {
	conn.ForgetSets() // make room
	assert.True(t, conn.SharesOnce(quiet1, quiet2))
}

func TestNamesLasting(t *testing.T) {
	for name, want := range map[string]bool{
		"main.finalize":                             true,
		"main.func1":                                true, // a function named func1
		"example.com/app/http.finalize":             true,
		"example.com/app/yaml%2ev3.finalize":        true,
		"example.com/app/http.finalize[...]":        true, // an instance of a generic function
		"example.com/app/http.(*Parser).Done":       true, // method expressions
		"example.com/app/http.Parser.Done":          true,
		"example.com/app/http.(*Parser[...]).Done":  true,
		"example.com/app/http.Parser[...].Done":     true,
		"example.com/app/http.(*local·2).Done":      true,
		"example.com/app/http.init.func1":           true, // a literal in a package-level variable
		"example.com/app/http.init.0.func1":         true, // a literal in func init
		"example.com/app/http.init.0.Chain.func1":   false,
		"example.com/app/http.init.0":               false,
		"example.com/app/http.init.Chain.func2":     false, // a call in a package-level variable, inlined
		"example.com/app/http.init.func1.func2":     false, // in a literal that init calls, inlined
		"example.com/app/http.init.func":            false,
		"example.com/app/http.init.x1":              false,
		"example.com/conn.Chain.func1":              false,
		"example.com/app/http.onRequest.func1":      false,
		"example.com/app/http.onRequest.func1.2":    false,
		"example.com/app/http.(*Parser).Done.func1": false,
		"example.com/app/http.(*Parser).Done-fm":    false, // a method value
		"example.com/app/http.Parser.Done-fm":       false,
		"example.com/app/http.each-range1":          false, // the body of a range over a function
		"example.com/app/http.init.func1.1":         false, // a literal in a literal
		"example.com/app/http.init.func1.Chain.2":   false,
		"example.com/app/http.Use[...].func1":       false, // a literal in a generic function
		"reflect.makeFuncStub":                      false, // reflect.MakeFunc
		"reflect.methodValueCall":                   false,
		"":                                          false,
	} {
		assert.Equal(t, want, conn.NamesLasting(name), "%q", name)
	}
}

// The compiler promises nothing about these names. If it changes them, hooks still work, but some
// cost an allocation or stay in memory. This test detects that.
func TestNamesOfThisCompiler(t *testing.T) {
	local := 0
	made := reflect.MakeFunc(reflect.TypeOf(quietVar), func([]reflect.Value) []reflect.Value {
		return []reflect.Value{reflect.ValueOf(true)}
	}).Interface().(func(*conn.Connection) bool)
	var body func(*conn.Connection) bool
	for range func(yield func(*conn.Connection) bool) { body = yield } {
		local++
	}
	type inner struct {
		decoder
		_ int
	}
	assignVar()
	for _, test := range []struct {
		what string
		hook any
		want bool
	}{
		{"function", quiet1, true},
		{"instance of a generic function", quietOf[int], true},
		{"package-level variable", quietVar, true},
		{"literal in func init", initVar, true},
		{"literal in a function", assignedVar, false},
		{"literal in a literal", nestedVar, false},
		{"result of a call", constructedVar, false},
		{"package-level chain", quietChain, false},
		{"method expression", (*flow).quiet1, true},
		{"method expression with a value", decoder.decodedValue, true},
		{"method expression with a pointer to the value", (*decoder).decodedValue, true},
		{"method expression of an embedded type", (*flow).decoded, true},
		{"method expression of a value's embedded type", flow.decodedValue, true},
		{"method expression of an embedded pointer", (*flow).parsed, true},
		{"method expression of a type with parameters", (*genericLayer[string]).layer, true},
		{"method expression of an embedded type with parameters", (*flow).layer, true},
		{"method expression of an interface", layered.layer, true},
		{"method expression of a local type", (*inner).decoded, true},
		{"closure", func(*conn.Connection) bool { local++; return true }, false},
		{"chain", conn.Chain(quiet1), false},
		{"method value", (&sensor{}).finalize, false},
		// On WebAssembly these have the name of the method, and so no hook counts as lasting there.
		{"method value whose method is inlined", (&sensor{}).quiet, !sharesSets},
		{"method value of an embedded type", (&flow{}).decoded, !sharesSets},
		{"instance with a type parameter", instantiates[int](), false},
		{"method expression with a type parameter", methodOf[int](), false},
		{"function made by reflect", made, false},
		{"method value made by reflect", reflect.ValueOf(&sensor{}).MethodByName("Finalize").Interface(), false},
		{"body of a range over a function", body, false},
	} {
		name := runtime.FuncForPC(reflect.ValueOf(test.hook).Pointer()).Name()
		assert.Equal(t, test.want, conn.NamesLasting(name), "%s: %s", test.what, name)
	}
}

func methodOf[T any]() any { return (*genericLayer[T]).layer }

// Method expressions of every kind are one hook wherever they are written.
func TestMethodExpressionIsOneHook(t *testing.T) {
	for i, hk := range elsewhere() {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			var f flow
			require.True(t, f.Register(hk))
			assert.False(t, f.Register([]func(*flow) bool{
				(*flow).quiet1, (*flow).decoded, (*flow).decodedValue, (*flow).parsed, (*flow).layer, quietFlow[int],
			}[i]))
		})
	}
}

//go:noinline
func elsewhere() []func(*flow) bool {
	return []func(*flow) bool{
		(*flow).quiet1, (*flow).decoded, (*flow).decodedValue, (*flow).parsed, (*flow).layer, quietFlow[int],
	}
}
