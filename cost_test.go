package conn_test

import (
	"os/exec"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"testing"
	"time"
	"unsafe"

	"example.com/conn"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sinkInt keeps the compiler from dropping what is measured.
var sinkInt *int

func TestConnectionSize(t *testing.T) {
	assert.LessOrEqual(t, unsafe.Sizeof(conn.Connection{}), uintptr(144))
}

// Hooks that allocate nothing themselves.

func quiet1(*conn.Connection) bool         { return true }
func quiet2(*conn.Connection) bool         { return true }
func quiet3(*conn.Connection) bool         { return true }
func quietOf[T any](*conn.Connection) bool { return true }

var (
	quietVar       = func(*conn.Connection) bool { return true }
	quietChain     = conn.Chain(quiet1, quiet2)
	quietVars      = []conn.RemovalHook{func(*conn.Connection) bool { return true }, conn.Chain()}
	quietFunctions = []conn.RemovalHook{
		quiet1, quiet2, quiet3, quietOf[int], quietOf[string], quietOf[bool], quietOf[byte], quietOf[rune],
		quietOf[[1]int], quietOf[[2]int], quietOf[[3]int], quietOf[[4]int], quietOf[[5]int], quietOf[[6]int],
		quietOf[[7]int], quietOf[[8]int], quietOf[[9]int], quietOf[[10]int], quietOf[[11]int], quietOf[[12]int],
	}
)

func TestNothingIsAllocated(t *testing.T) {
	conn.ForgetSets() // other tests fill them
	var c conn.Connection
	registerAndRemove := func(hooks ...conn.RemovalHook) func() {
		return func() {
			c = conn.Connection{}
			for _, hk := range hooks {
				if !conn.Register(&c, hk) {
					panic("not registered")
				}
			}
			if !conn.StateRemove(&c) {
				panic("not completed")
			}
		}
	}
	closure := noting("closure")
	var closures conn.Connection
	conn.Register(&closures, noting("another"))
	var f conn.Field[int]
	var with conn.Connection
	f.GetOrNew(&with)
	for name, op := range map[string]func(){
		"no hooks":                registerAndRemove(),
		"one function":            registerAndRemove(quiet1),
		"three functions":         registerAndRemove(quiet1, quiet2, quiet3),
		"another order":           registerAndRemove(quiet3, quiet1, quiet2),
		"twenty functions":        registerAndRemove(quietFunctions...),
		"package-level variables": registerAndRemove(quietVar, quietVars[0]),
		"package-level chains":    registerAndRemove(quietChain, quietVars[1]),
		"Register of a hook that is registered": func() {
			c = conn.Connection{}
			conn.Register(&c, quiet1)
			conn.Register(&c, quiet2)
			if conn.Register(&c, quiet1) {
				panic("registered twice")
			}
		},
		"Unregister of a function": func() {
			c = conn.Connection{}
			conn.Register(&c, quiet1)
			conn.Register(&c, quiet2)
			conn.Register(&c, quiet3)
			if !conn.Unregister(&c, quiet2) {
				panic("not unregistered")
			}
		},
		"Unregister of a closure beside another": func() {
			if !conn.Register(&closures, closure) || !conn.Unregister(&closures, closure) {
				panic("not unregistered")
			}
		},
		"Unregister and Registered of an unknown closure": func() {
			if conn.Unregister(&c, closure) || conn.Registered(&c, closure) {
				panic("unregistered")
			}
		},
		"Field.Get":                func() { sinkInt = f.Get(&with) },
		"Field.GetOrNew again":     func() { sinkInt, _ = f.GetOrNew(&with) },
		"Field.Delete of no value": func() { f.Delete(&c) },
	} {
		t.Run(name, func(t *testing.T) {
			if name == "package-level chains" && !optimized() {
				t.Skip("only an optimized build can tell them from other chains")
			}
			assert.Zero(t, testing.AllocsPerRun(100, op))
		})
	}
}

func TestClosureCostsAtMostTwoAllocations(t *testing.T) {
	conn.ForgetSets() // other tests fill them
	var closures []conn.RemovalHook
	for i := range 1000 {
		closures = append(closures, func(*conn.Connection) bool { return i >= 0 })
	}
	for _, n := range []int{1, 2, 3, 4, 8, 50, 100, 1000} {
		for name, before := range map[string][]conn.RemovalHook{"alone": nil, "behind functions": {quiet1, quiet2}} {
			var c conn.Connection
			got := testing.AllocsPerRun(100, func() {
				c = conn.Connection{}
				for _, hk := range before {
					conn.Register(&c, hk)
				}
				for _, hk := range closures[:n] {
					conn.Register(&c, hk)
				}
				conn.StateRemove(&c)
			})
			assert.LessOrEqual(t, got, float64(1+n), "%d closures %s", n, name)
		}
	}
}

func TestGetOrNewAllocatesOnce(t *testing.T) {
	var f conn.Field[[100]int]
	var v *[100]int
	var c conn.Connection
	assert.Equal(t, 1.0, testing.AllocsPerRun(100, func() {
		c = conn.Connection{}
		v, _ = f.GetOrNew(&c)
	}))
	assert.Zero(t, *v)
}

func TestInlining(t *testing.T) {
	out, err := exec.Command("go", "test", "-c", "-o", t.TempDir(), "-gcflags=-m", ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, want := range []string{
		`can inline StateRemove\n`,
		`can inline Registered\n`,
		`can inline Chain\n`,
		`inlining call to conn\.StateRemove\n`,
		`inlining call to conn\.\(\*Field\[.*int\]\)\.Get\n`,
	} {
		assert.True(t, regexp.MustCompile(want).Match(out), want)
	}
}

// liveBytes returns the bytes of live objects on the heap.
func liveBytes() int {
	m := heap()
	return int(m.HeapAlloc)
}

// A few megabytes.
const bounded = 2*conn.MaxSharing + 1<<20

func TestMillionClosuresLeaveNothingBehind(t *testing.T) {
	before, shared := liveBytes(), conn.SharedBytes()
	var c conn.Connection
	for i := range 1_000_000 {
		c = conn.Connection{}
		conn.Register(&c, quiet1)
		conn.Register(&c, func(*conn.Connection) bool { return i >= 0 })
		conn.StateRemove(&c)
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
	assert.Less(t, liveBytes()-before, bounded, "though the connection is still there")
	runtime.KeepAlive(&c)
}

// permutations calls f with every order of hooks, in the same slice.
func permutations(hooks []conn.RemovalHook, f func([]conn.RemovalHook)) {
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

func TestEveryOrderOfTenHooksIsBounded(t *testing.T) {
	n := 10
	if testing.Short() || raceEnabled {
		n = 8
	}
	before := liveBytes()
	count := 0
	var live []*conn.Connection // some stay, each with another combination
	permutations(slices.Clone(quietFunctions[:n]), func(hooks []conn.RemovalHook) {
		c := new(conn.Connection)
		for _, hk := range hooks {
			conn.Register(c, hk)
		}
		if count%10_000 == 0 {
			live = append(live, c)
		} else {
			conn.StateRemove(c)
		}
		count++
	})
	assert.Less(t, liveBytes()-before, bounded)
	assert.LessOrEqual(t, conn.SharedBytes(), conn.MaxSharing)
	for _, c := range live {
		if !conn.StateRemove(c) || conn.Register(c, quiet1) {
			t.Fatal("a connection of a forgotten set")
		}
	}
}

func TestSharingComesBackAfterFlood(t *testing.T) {
	flood := func() bool {
		permutations(slices.Clone(quietFunctions[:8]), func(hooks []conn.RemovalHook) {
			if !conn.SharingIsFull() {
				var c conn.Connection
				for _, hk := range hooks {
					conn.Register(&c, hk)
				}
			}
		})
		return conn.SharingIsFull()
	}
	// A cleanup that another test has left may make room meanwhile.
	require.Eventually(t, flood, 10*time.Second, time.Millisecond)

	// New combinations work while there is no room for them to be shared.
	var old conn.Connection
	registerAll(t, &old, quietFunctions...)
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

func TestForgottenSetsAreGarbage(t *testing.T) {
	register := func(hooks ...conn.RemovalHook) *conn.Connection {
		c := new(conn.Connection)
		registerAll(t, c, hooks...)
		return c
	}
	used := register(quiet1, quiet2)
	before := register(quiet1)
	beside := register(quiet1, quiet3) // found after the one used, as it was made after it
	behind := register(quiet1, quiet2, quiet3)
	assertGarbage := func(c *conn.Connection, msg string) {
		set := conn.WeakSet(c)
		conn.StateRemove(c)
		conn.ForgetSets()
		runtime.GC()
		assert.Nil(t, set.Value(), msg)
	}
	assertGarbage(before, "the set before one that is used")
	assertGarbage(beside, "the set beside one that is used")
	assertGarbage(behind, "the set behind one that is used")

	// A set that was forgotten, but is used, may be followed by new ones.
	again := register(quiet1, quiet2)
	conn.ForgetSets()
	require.True(t, conn.Register(again, quiet3))
	require.True(t, conn.Register(used, quiet3))
	require.True(t, conn.Unregister(used, quiet3))
	assertGarbage(again, "the set behind one that was forgotten before")

	assert.False(t, conn.Register(used, quiet2))
	assert.True(t, conn.Register(used, quiet3))
	assert.True(t, conn.StateRemove(used))
}

func TestSetsAreSharedOnce(t *testing.T) {
	conn.ForgetSets() // make room
	assert.True(t, conn.SharesOnce(quiet1, quiet2))
}

func TestNamesStatic(t *testing.T) {
	for name, want := range map[string]bool{
		"main.finalize":                           true,
		"example.com/app/http.finalize":           true,
		"example.com/app/yaml%2ev3.finalize":      true,
		"example.com/app/http.finalize[...]":      true, // an instance of a generic function
		"example.com/app/http.init.func1":         true, // a literal in a package-level variable
		"example.com/app/http.init.Chain.func2":   true, // a chain in one, inlined
		"example.com/app/http.init.0.func1":       true, // a literal in func init
		"example.com/conn.Chain.func1":            false,
		"example.com/app/http.onRequest.func1":    false,
		"example.com/app/http.(*Parser).Done-fm":  false, // a method value
		"example.com/app/http.Parser.Done-fm":     false,
		"example.com/app/http.each-range1":        false, // the body of a range over a function
		"example.com/app/http.init.func1.1":       false, // a literal in a literal, which may run at any time
		"example.com/app/http.init.func1.Chain.2": false,
		"example.com/app/http.Use[...].func1":     false, // a literal in a generic function
		"reflect.makeFuncStub":                    false, // reflect.MakeFunc
		"reflect.methodValueCall":                 false,
		"":                                        false,
	} {
		assert.Equal(t, want, conn.NamesStatic(name), "%q", name)
	}
}

// The names that the compiler gives are not promised to anybody. Should it change them, hooks would still work, but cost
// an allocation, or be kept in memory; this test would tell.
func TestNamesOfThisCompiler(t *testing.T) {
	local := 0
	made := reflect.MakeFunc(reflect.TypeFor[conn.RemovalHook](), func([]reflect.Value) []reflect.Value {
		return []reflect.Value{reflect.ValueOf(true)}
	}).Interface().(conn.RemovalHook)
	var body conn.RemovalHook
	for range func(yield func(*conn.Connection) bool) { body = yield } {
		local++
	}
	for _, test := range []struct {
		what string
		hook conn.RemovalHook
		want bool
	}{
		{"function", quiet1, true},
		{"instance of a generic function", quietOf[int], true},
		{"package-level variable", quietVar, true},
		{"package-level chain", quietChain, optimized()},
		{"package-level slice", quietVars[0], true},
		{"closure", func(*conn.Connection) bool { local++; return true }, false},
		{"chain", conn.Chain(quiet1), false},
		{"method value", (&sensor{}).finalize, false},
		{"instance with a type parameter", instantiates[int](), false},
		{"function made by reflect", made, false},
		{"method value made by reflect", reflect.ValueOf(&sensor{}).MethodByName("Finalize").Interface().(func(*conn.Connection) bool), false},
		{"body of a range over a function", body, false},
	} {
		assert.Equal(t, test.want, conn.NamesStatic(test.hook.String()), "%s: %s", test.what, test.hook)
	}
}
