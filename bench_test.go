package conn_test

import (
	"context"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"
	"unsafe"

	"example.com/conn"
)

// The benchmarks compare conn with what a program would write without it. All are named key=value, so that
//
//	go test -run '^$' -bench RegisterRemove -count 6 . > new.txt
//	go run golang.org/x/perf/cmd/benchstat@latest -col /impl new.txt
//
// prints each comparison as a row. Whatever the benchmark, impl=conn is this package.

// payload is what every baseline's connection carries, so that it is as big as a Connection but for its hooks.
type payload struct {
	ID    conn.ID
	UID   string
	Start time.Time
}

// The hooks are top-level functions that do nothing: the benchmarks measure how they are kept and reached.
func hook0(*conn.Connection) bool { return true }
func hook1(*conn.Connection) bool { return true }
func hook2(*conn.Connection) bool { return true }
func hook3(*conn.Connection) bool { return true }
func hook4(*conn.Connection) bool { return true }
func hook5(*conn.Connection) bool { return true }
func hook6(*conn.Connection) bool { return true }
func hook7(*conn.Connection) bool { return true }

// baselineHook is a hook of a baseline. It gets the payload, so that all baselines can have the same hooks.
type baselineHook func(*payload) bool

func plain0(*payload) bool { return true }
func plain1(*payload) bool { return true }
func plain2(*payload) bool { return true }
func plain3(*payload) bool { return true }
func plain4(*payload) bool { return true }
func plain5(*payload) bool { return true }
func plain6(*payload) bool { return true }
func plain7(*payload) bool { return true }

// baselineIdentity tells one baselineHook from another, as conn does. The usual reflect.ValueOf(hk).Pointer() costs a call, and
// takes all closures of one literal for the same.
func baselineIdentity(hk baselineHook) unsafe.Pointer {
	return *(*unsafe.Pointer)(unsafe.Pointer(&hk))
}

// The implementations. Each has a function parse that registers the first k of eight hooks, in the way parsers do: each
// call names its hook. The tests of k between them cost all implementations the same.

func parseConn(c *conn.Connection, k int) {
	conn.Register(c, hook0)
	if k == 1 {
		return
	}
	conn.Register(c, hook1)
	if k == 2 {
		return
	}
	conn.Register(c, hook2)
	if k == 3 {
		return
	}
	conn.Register(c, hook3)
	conn.Register(c, hook4)
	conn.Register(c, hook5)
	conn.Register(c, hook6)
	conn.Register(c, hook7)
}

// mapConn keeps its hooks in a map, made when the first one comes. It does less than conn: a map has no order, and to
// keep one it would need a slice besides.
type mapConn struct {
	payload
	hooks map[unsafe.Pointer]baselineHook
}

func (c *mapConn) register(hk baselineHook) bool {
	key := baselineIdentity(hk)
	if _, ok := c.hooks[key]; ok {
		return false
	}
	if c.hooks == nil {
		c.hooks = make(map[unsafe.Pointer]baselineHook)
	}
	c.hooks[key] = hk
	return true
}

func (c *mapConn) remove() bool {
	ok := true
	for _, hk := range c.hooks {
		if !hk(&c.payload) {
			ok = false
		}
	}
	c.hooks = nil
	return ok
}

func (c *mapConn) parse(k int) {
	c.register(plain0)
	if k == 1 {
		return
	}
	c.register(plain1)
	if k == 2 {
		return
	}
	c.register(plain2)
	if k == 3 {
		return
	}
	c.register(plain3)
	c.register(plain4)
	c.register(plain5)
	c.register(plain6)
	c.register(plain7)
}

// sliceConn keeps its hooks in a slice and looks through it for one that is there already. It does less than conn: a
// panic in a hook loses the hooks after it, as in the other baselines.
type sliceConn struct {
	payload
	hooks []baselineHook
}

func (c *sliceConn) register(hk baselineHook) bool {
	key := baselineIdentity(hk)
	for _, h := range c.hooks {
		if baselineIdentity(h) == key {
			return false
		}
	}
	c.hooks = append(c.hooks, hk)
	return true
}

func (c *sliceConn) remove() bool {
	ok := true
	for i := 0; i < len(c.hooks); i++ { // a hook may register another
		if !c.hooks[i](&c.payload) {
			ok = false
		}
	}
	c.hooks = nil
	return ok
}

func (c *sliceConn) parse(k int) {
	c.register(plain0)
	if k == 1 {
		return
	}
	c.register(plain1)
	if k == 2 {
		return
	}
	c.register(plain2)
	if k == 3 {
		return
	}
	c.register(plain3)
	c.register(plain4)
	c.register(plain5)
	c.register(plain6)
	c.register(plain7)
}

// afterFuncConn leaves its hooks to the standard library: a context that the removal cancels. It does something else
// than conn, since each hook runs on a goroutine of its own, in any order; the removal waits for them.
type afterFuncConn struct {
	payload
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func (c *afterFuncConn) register(hk baselineHook) {
	if c.ctx == nil {
		c.ctx, c.cancel = context.WithCancel(context.Background())
	}
	c.wg.Add(1)
	context.AfterFunc(c.ctx, func() {
		hk(&c.payload)
		c.wg.Done()
	})
}

func (c *afterFuncConn) remove() {
	c.cancel()
	c.wg.Wait()
}

func (c *afterFuncConn) parse(k int) {
	c.register(plain0)
	if k == 1 {
		return
	}
	c.register(plain1)
	if k == 2 {
		return
	}
	c.register(plain2)
	if k == 3 {
		return
	}
	c.register(plain3)
	c.register(plain4)
	c.register(plain5)
	c.register(plain6)
	c.register(plain7)
}

// floorConn has one bit for each hook of the program, which must all be known in advance, in floorHooks. No design can
// do much less to register a hook and to run it. It knows neither closures nor an order of registration.
type floorConn struct {
	payload
	hooks uint64
}

var floorHooks = [64]baselineHook{plain0, plain1, plain2, plain3, plain4, plain5, plain6, plain7}

func (c *floorConn) register(n int) bool {
	bit := uint64(1) << n
	if c.hooks&bit != 0 {
		return false
	}
	c.hooks |= bit
	return true
}

func (c *floorConn) remove() bool {
	ok := true
	for c.hooks != 0 { // a hook may register another
		n := bits.TrailingZeros64(c.hooks)
		c.hooks &= c.hooks - 1
		if !floorHooks[n](&c.payload) {
			ok = false
		}
	}
	return ok
}

func (c *floorConn) parse(k int) {
	c.register(0)
	if k == 1 {
		return
	}
	c.register(1)
	if k == 2 {
		return
	}
	c.register(2)
	if k == 3 {
		return
	}
	c.register(3)
	c.register(4)
	c.register(5)
	c.register(6)
	c.register(7)
}

// ring is connections few enough to stay in the nearest cache, to be used in turn: each has time to complete its stores
// before it is used again. They are a power of two, so that finding the next costs no division.
type ring[T any] [64]T

// renew makes the i-th connection new, as an owner does that recycles the memory of connections.
func (r *ring[T]) renew(i int) *T {
	c := &r[i&(len(r)-1)]
	*c = *new(T)
	return c
}

var hookCounts = []int{1, 2, 3, 8}

// BenchmarkTeardown removes connections without hooks in a program that has the given number of protocols. An operation
// is a ring of connections, since the removal of one takes less than a turn of the benchmark loop; ns/conn is for one.
func BenchmarkTeardown(b *testing.B) {
	for _, protocols := range []int{1, 10, 100, 1000} {
		name := func(impl string) string { return fmt.Sprintf("protocols=%d/impl=%s", protocols, impl) }
		b.Run(name("conn"), func(b *testing.B) {
			// Other connections have every protocol's hook.
			others := make([]conn.Connection, protocols)
			for p := range others {
				conn.Register(&others[p], func(*conn.Connection) bool { return p < protocols })
			}
			b.ReportAllocs()
			var cs ring[conn.Connection]
			for b.Loop() {
				for i := range cs {
					conn.StateRemove(&cs[i])
				}
			}
			reportPerConn(b, len(cs))
			runtime.KeepAlive(others)
		})
		b.Run(name("niltest"), func(b *testing.B) {
			b.ReportAllocs()
			var cs ring[nilTestConn]
			for b.Loop() {
				for i := range cs {
					cs[i].remove()
				}
			}
			reportPerConn(b, len(cs))
		})
		b.Run(name("broadcast"), func(b *testing.B) {
			teardowns := make([]func(*broadcastConn), protocols)
			for p := range teardowns {
				teardowns[p] = func(c *broadcastConn) {
					if c.protocol == p+1 {
						c.protocol = 0
					}
				}
			}
			b.ReportAllocs()
			var cs ring[broadcastConn]
			for b.Loop() {
				for i := range cs {
					for _, teardown := range teardowns {
						teardown(&cs[i])
					}
				}
			}
			reportPerConn(b, len(cs))
		})
	}
}

// nilTestConn is the least that lets a connection have something to do at its end.
type nilTestConn struct {
	payload
	finish  func(*nilTestConn) bool
	removed bool
}

func (c *nilTestConn) remove() bool {
	if c.finish == nil {
		c.removed = true
		return true
	}
	return c.finish(c)
}

// broadcastConn tells its protocol, 0 if none does anything with it. Of the ways to let every protocol find out whether
// a connection concerns it, this is the fastest: all protocols look at the same member of the connection. A look-up in
// each protocol's own table of connections, or a pointer for each protocol in the connection, would take longer. It also
// helps broadcast that its functions are closures of one literal, so that all calls have the same target.
type broadcastConn struct {
	payload
	protocol int
}

func reportPerConn(b *testing.B, conns int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(conns), "ns/conn")
}

// BenchmarkRegisterRemove makes a connection, registers hooks and removes it, in the nearest cache.
func BenchmarkRegisterRemove(b *testing.B) {
	for _, k := range hookCounts {
		name := func(impl string) string { return fmt.Sprintf("hooks=%d/impl=%s", k, impl) }
		b.Run(name("conn"), func(b *testing.B) {
			b.ReportAllocs()
			var cs ring[conn.Connection]
			for i := 0; b.Loop(); i++ {
				c := cs.renew(i)
				parseConn(c, k)
				conn.StateRemove(c)
			}
		})
		b.Run(name("map"), func(b *testing.B) {
			b.ReportAllocs()
			var cs ring[mapConn]
			for i := 0; b.Loop(); i++ {
				c := cs.renew(i)
				c.parse(k)
				c.remove()
			}
		})
		b.Run(name("slice"), func(b *testing.B) {
			b.ReportAllocs()
			var cs ring[sliceConn]
			for i := 0; b.Loop(); i++ {
				c := cs.renew(i)
				c.parse(k)
				c.remove()
			}
		})
		b.Run(name("AfterFunc"), func(b *testing.B) {
			b.ReportAllocs()
			var cs ring[afterFuncConn]
			for i := 0; b.Loop(); i++ {
				c := &cs[i&(len(cs)-1)]
				c.payload, c.ctx, c.cancel = payload{}, nil, nil // not wg, which must not be copied
				c.parse(k)
				c.remove()
			}
		})
		b.Run(name("floor"), func(b *testing.B) {
			b.ReportAllocs()
			var cs ring[floorConn]
			for i := 0; b.Loop(); i++ {
				c := cs.renew(i)
				c.parse(k)
				c.remove()
			}
		})
	}
}

// BenchmarkColdRegisterRemove visits a million live connections in random order to register hooks, and again to remove
// them, as traffic does: what a connection has was last in the cache a million connections ago. An operation is all of
// that; ns/conn is for one connection, B/conn what it takes of the heap while it has its hooks, itself included.
func BenchmarkColdRegisterRemove(b *testing.B) {
	for _, k := range hookCounts {
		name := func(impl string) string { return fmt.Sprintf("hooks=%d/impl=%s", k, impl) }
		b.Run(name("conn"), func(b *testing.B) { benchmarkCold(b, k, parseConn, conn.StateRemove) })
		b.Run(name("map"), func(b *testing.B) { benchmarkCold(b, k, (*mapConn).parse, (*mapConn).remove) })
		b.Run(name("slice"), func(b *testing.B) { benchmarkCold(b, k, (*sliceConn).parse, (*sliceConn).remove) })
		b.Run(name("floor"), func(b *testing.B) { benchmarkCold(b, k, (*floorConn).parse, (*floorConn).remove) })
	}
}

// manyConns is how many connections live at the same time where it matters that they are many.
const manyConns = 1 << 20

// benchmarkCold calls the functions through variables, which costs all implementations the same and little beside the
// cache misses. Garbage of the registration is collected in the time measured, that of the removal is not.
func benchmarkCold[T any](b *testing.B, k int, parse func(*T, int), remove func(*T) bool) {
	b.ReportAllocs()
	cs := make([]*T, manyConns)
	before := heap()
	for i := range cs {
		cs[i] = new(T)
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(cs), func(i, j int) { cs[i], cs[j] = cs[j], cs[i] })

	register := func() {
		for _, c := range cs {
			parse(c, k)
		}
	}
	removeAll := func() {
		for _, c := range cs {
			remove(c)
		}
	}
	renew := func() {
		for _, c := range cs {
			*c = *new(T)
		}
		runtime.GC()
	}

	register()
	after := heap()
	removeAll()
	renew()
	for b.Loop() {
		register()
		removeAll()
		b.StopTimer()
		renew()
		b.StartTimer()
	}
	reportPerConn(b, len(cs))
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(len(cs)), "B/conn")
}

// heap returns what the heap consists of without garbage.
func heap() (m runtime.MemStats) {
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m
}

// BenchmarkGC forces collections while a million connections live that have three hooks each; impl=none has connections
// without hooks. An operation is a collection; objects/conn is how many objects of the heap the hooks took.
func BenchmarkGC(b *testing.B) {
	b.Run("impl=conn", func(b *testing.B) { benchmarkGC(b, parseConn) })
	b.Run("impl=map", func(b *testing.B) { benchmarkGC(b, (*mapConn).parse) })
	b.Run("impl=slice", func(b *testing.B) { benchmarkGC(b, (*sliceConn).parse) })
	b.Run("impl=none", func(b *testing.B) { benchmarkGC(b, func(*conn.Connection, int) {}) })
}

func benchmarkGC[T any](b *testing.B, parse func(c *T, k int)) {
	b.ReportAllocs()
	cs := make([]*T, manyConns)
	for i := range cs {
		cs[i] = new(T)
	}
	before := heap()
	for _, c := range cs {
		parse(c, 3)
	}
	after := heap()
	for b.Loop() {
		runtime.GC()
	}
	b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N), "ms/gc")
	b.ReportMetric((float64(after.HeapObjects)-float64(before.HeapObjects))/float64(len(cs)), "objects/conn")
	runtime.KeepAlive(cs)
}

// BenchmarkClosure registers one closure, made for the connection, and removes the connection. The closure itself is
// one of the allocations.
func BenchmarkClosure(b *testing.B) {
	b.Run("impl=conn", func(b *testing.B) {
		b.ReportAllocs()
		var cs ring[conn.Connection]
		for i := 0; b.Loop(); i++ {
			c := cs.renew(i)
			conn.Register(c, func(*conn.Connection) bool { return i >= 0 })
			conn.StateRemove(c)
		}
	})
	b.Run("impl=map", func(b *testing.B) {
		b.ReportAllocs()
		var cs ring[mapConn]
		for i := 0; b.Loop(); i++ {
			c := cs.renew(i)
			c.register(func(*payload) bool { return i >= 0 })
			c.remove()
		}
	})
	b.Run("impl=slice", func(b *testing.B) {
		b.ReportAllocs()
		var cs ring[sliceConn]
		for i := 0; b.Loop(); i++ {
			c := cs.renew(i)
			c.register(func(*payload) bool { return i >= 0 })
			c.remove()
		}
	})
}

var chain = conn.Chain(hook0, hook1, hook2)

// BenchmarkChain registers a chain of three bodies and removes the connection; impl=func has the bodies in one function
// written by hand, which loses the later bodies if one panics.
func BenchmarkChain(b *testing.B) {
	b.Run("impl=conn", func(b *testing.B) {
		b.ReportAllocs()
		var cs ring[conn.Connection]
		for i := 0; b.Loop(); i++ {
			c := cs.renew(i)
			conn.Register(c, chain)
			conn.StateRemove(c)
		}
	})
	b.Run("impl=func", func(b *testing.B) {
		b.ReportAllocs()
		var cs ring[conn.Connection]
		for i := 0; b.Loop(); i++ {
			c := cs.renew(i)
			conn.Register(c, hook012)
			conn.StateRemove(c)
		}
	})
}

func hook012(c *conn.Connection) bool { return hook0(c) && hook1(c) && hook2(c) }

// session is a parser's state.
type session struct {
	requests int
	_        [3]uintptr // and so on
}

// sessionConn has the state in a member of its own: the fastest way, for an owner that knows all parsers.
type sessionConn struct {
	payload
	session *session
}

// BenchmarkField makes and finds the state of a parser. The connections of a map are few here and in the cache, which
// flatters it; it also is of one goroutine only, where goroutines with connections of their own need a lock.
func BenchmarkField(b *testing.B) {
	b.Run("op=GetOrNew/impl=conn", func(b *testing.B) {
		b.ReportAllocs()
		var field conn.Field[session]
		var cs ring[conn.Connection]
		for i := 0; b.Loop(); i++ {
			s, _ := field.GetOrNew(cs.renew(i))
			s.requests++
		}
	})
	b.Run("op=GetOrNew/impl=pointer", func(b *testing.B) {
		b.ReportAllocs()
		var cs ring[sessionConn]
		for i := 0; b.Loop(); i++ {
			c := cs.renew(i)
			if c.session == nil {
				c.session = new(session)
			}
			c.session.requests++
		}
	})
	b.Run("op=GetOrNew/impl=map", func(b *testing.B) {
		b.ReportAllocs()
		sessions := make(map[*conn.Connection]*session)
		var cs ring[conn.Connection]
		for i := 0; b.Loop(); i++ {
			c := cs.renew(i)
			s := sessions[c]
			if s == nil {
				s = new(session)
				sessions[c] = s
			}
			s.requests++
			delete(sessions, c) // as it must when the connection ends
		}
	})
	for _, n := range []int{1, 3, 8} {
		name := func(impl string) string { return fmt.Sprintf("op=Get/fields=%d/impl=%s", n, impl) }
		b.Run(name("conn"), func(b *testing.B) {
			b.ReportAllocs()
			fields := make([]conn.Field[session], n)
			var cs ring[conn.Connection]
			for i := range cs {
				for j := range fields {
					fields[j].GetOrNew(&cs[i])
				}
			}
			field := &fields[0] // the one that is found last
			for i := 0; b.Loop(); i++ {
				field.Get(&cs[i&(len(cs)-1)]).requests++
			}
		})
		b.Run(name("pointer"), func(b *testing.B) {
			b.ReportAllocs()
			var cs ring[sessionConn]
			for i := range cs {
				cs[i].session = new(session)
			}
			for i := 0; b.Loop(); i++ {
				if s := cs[i&(len(cs)-1)].session; s != nil {
					s.requests++
				}
			}
		})
		b.Run(name("map"), func(b *testing.B) {
			b.ReportAllocs()
			sessions := make(map[*conn.Connection]*session)
			var cs ring[conn.Connection]
			for i := range cs {
				sessions[&cs[i]] = new(session)
			}
			for i := 0; b.Loop(); i++ {
				sessions[&cs[i&(len(cs)-1)]].requests++
			}
		})
	}
}

// BenchmarkParallel lets goroutines do what BenchmarkRegisterRemove does with three hooks, each with connections of its
// own. With two goroutines, each operation is preceded by the same work of one of them alone, not measured but for the
// metric speedup: how many times the connections that one goroutine handles in a second. impl=floor shares nothing at
// all, so its speedup is what the machine can give.
func BenchmarkParallel(b *testing.B) {
	for _, goroutines := range []int{1, 2} {
		name := func(impl string) string { return fmt.Sprintf("goroutines=%d/impl=%s", goroutines, impl) }
		b.Run(name("conn"), func(b *testing.B) {
			benchmarkParallel(b, goroutines, func(cs *ring[conn.Connection]) {
				for i := range connsPerOp {
					c := cs.renew(i)
					parseConn(c, 3)
					conn.StateRemove(c)
				}
			})
		})
		b.Run(name("floor"), func(b *testing.B) {
			benchmarkParallel(b, goroutines, func(cs *ring[floorConn]) {
				for i := range connsPerOp {
					c := cs.renew(i)
					c.parse(3)
					c.remove()
				}
			})
		})
	}
}

// connsPerOp is how many connections each goroutine of BenchmarkParallel handles in an operation: so many that starting
// the goroutine takes no time beside.
const connsPerOp = 1 << 20

func benchmarkParallel[T any](b *testing.B, goroutines int, work func(*ring[T])) {
	b.ReportAllocs()
	rings := make([]*ring[T], goroutines)
	for i := range rings {
		rings[i] = new(ring[T])
	}
	var alone time.Duration
	for b.Loop() {
		if goroutines > 1 {
			b.StopTimer()
			start := time.Now()
			work(rings[0])
			alone += time.Since(start)
			b.StartTimer()
		}
		var wg sync.WaitGroup
		for _, cs := range rings {
			wg.Go(func() { work(cs) })
		}
		wg.Wait()
	}
	b.ReportMetric(float64(goroutines*connsPerOp*b.N)/b.Elapsed().Seconds(), "conns/s")
	if goroutines > 1 {
		b.ReportMetric(float64(goroutines)*alone.Seconds()/b.Elapsed().Seconds(), "speedup")
	}
}

// BenchmarkRegisterAmong registers one hook with a connection and removes it, where the connections take turns with the
// hooks of the given number of protocols.
func BenchmarkRegisterAmong(b *testing.B) {
	for _, protocols := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("protocols=%d/impl=conn", protocols), func(b *testing.B) {
			b.ReportAllocs()
			var cs ring[conn.Connection]
			for i := 0; b.Loop(); i++ {
				c := cs.renew(i)
				conn.Register(c, protocolHooks[i&(protocols-1)])
				conn.StateRemove(c)
			}
		})
	}
}

// protocolHook is a top-level function for each T.
func protocolHook[T any](*conn.Connection) bool { return unsafe.Sizeof(*new(T)) != 0 }

var protocolHooks = [64]conn.RemovalHook{
	protocolHook[[1]byte], protocolHook[[2]byte], protocolHook[[3]byte], protocolHook[[4]byte],
	protocolHook[[5]byte], protocolHook[[6]byte], protocolHook[[7]byte], protocolHook[[8]byte],
	protocolHook[[9]byte], protocolHook[[10]byte], protocolHook[[11]byte], protocolHook[[12]byte],
	protocolHook[[13]byte], protocolHook[[14]byte], protocolHook[[15]byte], protocolHook[[16]byte],
	protocolHook[[17]byte], protocolHook[[18]byte], protocolHook[[19]byte], protocolHook[[20]byte],
	protocolHook[[21]byte], protocolHook[[22]byte], protocolHook[[23]byte], protocolHook[[24]byte],
	protocolHook[[25]byte], protocolHook[[26]byte], protocolHook[[27]byte], protocolHook[[28]byte],
	protocolHook[[29]byte], protocolHook[[30]byte], protocolHook[[31]byte], protocolHook[[32]byte],
	protocolHook[[33]byte], protocolHook[[34]byte], protocolHook[[35]byte], protocolHook[[36]byte],
	protocolHook[[37]byte], protocolHook[[38]byte], protocolHook[[39]byte], protocolHook[[40]byte],
	protocolHook[[41]byte], protocolHook[[42]byte], protocolHook[[43]byte], protocolHook[[44]byte],
	protocolHook[[45]byte], protocolHook[[46]byte], protocolHook[[47]byte], protocolHook[[48]byte],
	protocolHook[[49]byte], protocolHook[[50]byte], protocolHook[[51]byte], protocolHook[[52]byte],
	protocolHook[[53]byte], protocolHook[[54]byte], protocolHook[[55]byte], protocolHook[[56]byte],
	protocolHook[[57]byte], protocolHook[[58]byte], protocolHook[[59]byte], protocolHook[[60]byte],
	protocolHook[[61]byte], protocolHook[[62]byte], protocolHook[[63]byte], protocolHook[[64]byte],
}
