//go:build go1.24

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

// The benchmarks compare conn with what a program would write without it. All are named key=value,
// so that
//
//	go test -run '^$' -bench RegisterRemove -count 6 . > new.txt
//	go tool -modfile=.ci/go.mod benchstat -col /impl new.txt
//
// prints each comparison as a row. Whatever the benchmark, impl=conn is this package with a
// Connection, and impl=hooks with a type that embeds Hooks.

// payload makes a baseline's connection as big as a Connection, apart from its hooks.
type payload struct {
	ID    conn.ID
	UID   string
	Start time.Time
}

// The hooks are top-level functions that do nothing: the benchmarks measure storing and calling
// them.
func hook0(*conn.Connection) bool { return true }
func hook1(*conn.Connection) bool { return true }
func hook2(*conn.Connection) bool { return true }
func hook3(*conn.Connection) bool { return true }
func hook4(*conn.Connection) bool { return true }
func hook5(*conn.Connection) bool { return true }
func hook6(*conn.Connection) bool { return true }
func hook7(*conn.Connection) bool { return true }

// baselineHook is a hook of a baseline. It takes the payload, so that all baselines share the same
// hooks.
type baselineHook func(*payload) bool

func plain0(*payload) bool { return true }
func plain1(*payload) bool { return true }
func plain2(*payload) bool { return true }
func plain3(*payload) bool { return true }
func plain4(*payload) bool { return true }
func plain5(*payload) bool { return true }
func plain6(*payload) bool { return true }
func plain7(*payload) bool { return true }

// baselineIdentity identifies a baselineHook as conn does. The usual reflect.ValueOf(hk).Pointer()
// costs a call and cannot tell apart closures of one literal.
func baselineIdentity(hk baselineHook) unsafe.Pointer {
	return *(*unsafe.Pointer)(unsafe.Pointer(&hk))
}

// The implementations. Each has a parse function that registers the first k of eight hooks as
// parsers do: each call names its hook. Comparing k between the calls costs every implementation
// the same.

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

// hooksConn is an analyzer's own connection type, the size of a Connection.
type hooksConn struct {
	conn.Hooks[hooksConn]
	payload
	_ *session // in place of a Connection's fields
}

func (c *hooksConn) hook0() bool { return true }
func (c *hooksConn) hook1() bool { return true }
func (c *hooksConn) hook2() bool { return true }
func (c *hooksConn) hook3() bool { return true }
func (c *hooksConn) hook4() bool { return true }
func (c *hooksConn) hook5() bool { return true }
func (c *hooksConn) hook6() bool { return true }
func (c *hooksConn) hook7() bool { return true }

func (c *hooksConn) remove() bool { return c.StateRemove(c) }

func (c *hooksConn) parse(k int) {
	c.Register((*hooksConn).hook0)
	if k == 1 {
		return
	}
	c.Register((*hooksConn).hook1)
	if k == 2 {
		return
	}
	c.Register((*hooksConn).hook2)
	if k == 3 {
		return
	}
	c.Register((*hooksConn).hook3)
	c.Register((*hooksConn).hook4)
	c.Register((*hooksConn).hook5)
	c.Register((*hooksConn).hook6)
	c.Register((*hooksConn).hook7)
}

// mapConn keeps its hooks in a map, made for the first one. It does less than conn: a map is
// unordered, and keeping the order would take a slice as well.
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

// sliceConn keeps its hooks in a slice, which it searches for duplicates. It does less than conn: a
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

// afterFuncConn leaves its hooks to the standard library: a context that the removal cancels. It
// differs from conn: each hook runs on its own goroutine, in any order, and the removal waits for
// them all.
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

// floorConn has one bit per hook. All hooks of the program must be listed in floorHooks in advance.
// No design can do much less to register and run a hook. It supports neither closures nor an order
// of registration.
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

// A ring holds few enough connections to stay in the L1 cache. They are used in turn, so each has
// time to complete its stores before it is used again. Their number is a power of two, so finding
// the next takes no division.
type ring[T any] [64]T

// renew resets the i-th connection, like an owner that recycles connections.
func (r *ring[T]) renew(i int) *T {
	c := &r[i&(len(r)-1)]
	*c = *new(T)
	return c
}

var hookCounts = []int{1, 2, 3, 8}

// BenchmarkTeardown removes connections without hooks in a program with the given number of
// protocols. An operation is a whole ring, since one removal takes less time than an iteration of
// the benchmark loop; ns/conn is per connection.
func BenchmarkTeardown(b *testing.B) {
	for _, protocols := range []int{1, 10, 100, 1000} {
		name := func(impl string) string { return fmt.Sprintf("protocols=%d/impl=%s", protocols, impl) }
		b.Run(name("conn"), func(b *testing.B) {
			// Other connections have the hooks of every protocol.
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
		b.Run(name("hooks"), func(b *testing.B) {
			others := make([]hooksConn, protocols)
			for p := range others {
				others[p].Register(func(*hooksConn) bool { return p < protocols })
			}
			b.ReportAllocs()
			var cs ring[hooksConn]
			for b.Loop() {
				for i := range cs {
					c := &cs[i]
					c.StateRemove(c)
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

// nilTestConn is the cheapest way for a connection to run something at its end.
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

// broadcastConn names its protocol, or 0 if no protocol handles it. This is the fastest way to let
// every protocol decide whether a connection concerns it: all of them read the same field of the
// connection. Looking it up in each protocol's own table of connections, or a pointer per protocol
// in the connection, would take longer. It also helps broadcast that its functions are closures of
// one literal, so all calls have the same target.
type broadcastConn struct {
	payload
	protocol int
}

func reportPerConn(b *testing.B, conns int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(conns), "ns/conn")
}

// BenchmarkRegisterRemove makes a connection, registers hooks and removes it, all in the L1 cache.
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
		b.Run(name("hooks"), func(b *testing.B) {
			b.ReportAllocs()
			var cs ring[hooksConn]
			for i := 0; b.Loop(); i++ {
				c := cs.renew(i)
				c.parse(k)
				c.StateRemove(c)
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

// BenchmarkColdRegisterRemove visits a million live connections in random order to register hooks,
// and again to remove them, as traffic does: each connection was last in the cache a million
// connections ago. An operation is both passes; ns/conn is per connection, and B/conn is the heap
// that a connection takes with its hooks, itself included.
func BenchmarkColdRegisterRemove(b *testing.B) {
	for _, k := range hookCounts {
		name := func(impl string) string { return fmt.Sprintf("hooks=%d/impl=%s", k, impl) }
		b.Run(name("conn"), func(b *testing.B) { benchmarkCold(b, k, parseConn, conn.StateRemove) })
		b.Run(name("hooks"), func(b *testing.B) { benchmarkCold(b, k, (*hooksConn).parse, (*hooksConn).remove) })
		b.Run(name("map"), func(b *testing.B) { benchmarkCold(b, k, (*mapConn).parse, (*mapConn).remove) })
		b.Run(name("slice"), func(b *testing.B) { benchmarkCold(b, k, (*sliceConn).parse, (*sliceConn).remove) })
		b.Run(name("floor"), func(b *testing.B) { benchmarkCold(b, k, (*floorConn).parse, (*floorConn).remove) })
	}
}

// manyConns is the number of live connections in benchmarks where it must be large.
const manyConns = 1 << 20

// benchmarkCold calls the functions through variables, which costs all implementations the same,
// and little compared with the cache misses. The time measured includes collecting the garbage of
// registration, but not of removal.
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

// BenchmarkGC forces collections while a million connections with three hooks each are live; those
// of impl=none have no hooks. An operation is a collection; objects/conn counts the heap objects
// that the hooks take.
func BenchmarkGC(b *testing.B) {
	b.Run("impl=conn", func(b *testing.B) { benchmarkGC(b, parseConn) })
	b.Run("impl=hooks", func(b *testing.B) { benchmarkGC(b, (*hooksConn).parse) })
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

// BenchmarkClosure registers one closure, made for the connection, and removes the connection. One
// of the allocations is the closure itself.
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
	b.Run("impl=hooks", func(b *testing.B) {
		b.ReportAllocs()
		var cs ring[hooksConn]
		for i := 0; b.Loop(); i++ {
			c := cs.renew(i)
			c.Register(func(*hooksConn) bool { return i >= 0 })
			c.StateRemove(c)
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

// lockedConn is a connection that several goroutines use under its lock.
type lockedConn struct {
	mu sync.Mutex
	payload
	packets int
	ended   bool
	hooks   conn.Hooks[lockedConn]
}

func (c *lockedConn) hook() bool { return c.ended }

// BenchmarkLock locks a connection twice: for a packet, and for its end. impl=mutex does nothing
// else; impl=hooks registers the given number of hooks under the first lock and removes the
// connection under the second.
func BenchmarkLock(b *testing.B) {
	b.Run("hooks=0/impl=mutex", func(b *testing.B) {
		benchmarkLock(b, func(*lockedConn) {}, func(*lockedConn) {})
	})
	b.Run("hooks=0/impl=hooks", func(b *testing.B) {
		benchmarkLock(b, func(*lockedConn) {}, func(c *lockedConn) { c.hooks.StateRemove(c) })
	})
	b.Run("hooks=1/impl=hooks", func(b *testing.B) {
		benchmarkLock(b, func(c *lockedConn) { c.hooks.Register((*lockedConn).hook) },
			func(c *lockedConn) { c.hooks.StateRemove(c) })
	})
}

// benchmarkLock calls the functions through variables, which costs all implementations the same.
func benchmarkLock(b *testing.B, packet, end func(*lockedConn)) {
	b.ReportAllocs()
	var cs [64]lockedConn
	for i := 0; b.Loop(); i++ {
		c := &cs[i&(len(cs)-1)]
		c.payload, c.packets, c.ended, c.hooks = payload{}, 0, false, conn.Hooks[lockedConn]{} // not mu
		c.mu.Lock()
		c.packets++
		packet(c)
		c.mu.Unlock()
		c.mu.Lock()
		c.ended = true
		end(c)
		c.mu.Unlock()
	}
}

var chain = conn.Chain(hook0, hook1, hook2)

// BenchmarkChain registers a chain of three bodies and removes the connection; impl=func calls the
// bodies from one handwritten function, which loses the later bodies if one panics.
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

// sessionConn keeps the state in a field of the struct: the fastest way, for an owner that knows
// all parsers.
type sessionConn struct {
	payload
	session *session
}

// BenchmarkField makes and finds the state of a parser. It flatters the map, which holds few
// connections, all in the cache, and needs no lock, as only one goroutine uses it.
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
			delete(sessions, c) // required when a connection ends
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
			field := &fields[0] // the one found last
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

// BenchmarkParallel runs BenchmarkRegisterRemove with three hooks on several goroutines, each with
// its own connections. With two goroutines, each operation first does the work of one alone,
// untimed but for the metric speedup: connections per second, relative to one goroutine. impl=floor
// shares nothing at all, so its speedup is the most the machine allows.
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
		b.Run(name("hooks"), func(b *testing.B) {
			benchmarkParallel(b, goroutines, func(cs *ring[hooksConn]) {
				for i := range connsPerOp {
					c := cs.renew(i)
					c.parse(3)
					c.StateRemove(c)
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

// connsPerOp is the number of connections that each goroutine of BenchmarkParallel handles per
// operation: enough to make the cost of starting the goroutine negligible.
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
			wg.Add(1)
			go func() {
				defer wg.Done()
				work(cs)
			}()
		}
		wg.Wait()
	}
	b.ReportMetric(float64(goroutines*connsPerOp*b.N)/b.Elapsed().Seconds(), "conns/s")
	if goroutines > 1 {
		b.ReportMetric(float64(goroutines)*alone.Seconds()/b.Elapsed().Seconds(), "speedup")
	}
}

// BenchmarkRegisterAmong registers one hook with each connection and removes the connection. The
// hooks of the given number of protocols take turns.
func BenchmarkRegisterAmong(b *testing.B) {
	for _, protocols := range []int{1, 16, 64} {
		name := func(impl string) string { return fmt.Sprintf("protocols=%d/impl=%s", protocols, impl) }
		b.Run(name("conn"), func(b *testing.B) {
			conn.ForgetSets() // or the search finds those of the other impl first
			b.ReportAllocs()
			var cs ring[conn.Connection]
			for i := 0; b.Loop(); i++ {
				c := cs.renew(i)
				conn.Register(c, protocolHooks[i&(protocols-1)])
				conn.StateRemove(c)
			}
		})
		b.Run(name("hooks"), func(b *testing.B) {
			conn.ForgetSets() // or the search finds those of the other impl first
			b.ReportAllocs()
			var cs ring[hooksConn]
			for i := 0; b.Loop(); i++ {
				c := cs.renew(i)
				c.Register(hooksConnHooks[i&(protocols-1)])
				c.StateRemove(c)
			}
		})
	}
}

// protocolHook is a different top-level function for each C and T.
func protocolHook[C, T any](*C) bool { return unsafe.Sizeof(*new(T)) != 0 }

var protocolHooks = [64]conn.RemovalHook{
	protocolHook[conn.Connection, [1]byte], protocolHook[conn.Connection, [2]byte], protocolHook[conn.Connection, [3]byte], protocolHook[conn.Connection, [4]byte],
	protocolHook[conn.Connection, [5]byte], protocolHook[conn.Connection, [6]byte], protocolHook[conn.Connection, [7]byte], protocolHook[conn.Connection, [8]byte],
	protocolHook[conn.Connection, [9]byte], protocolHook[conn.Connection, [10]byte], protocolHook[conn.Connection, [11]byte], protocolHook[conn.Connection, [12]byte],
	protocolHook[conn.Connection, [13]byte], protocolHook[conn.Connection, [14]byte], protocolHook[conn.Connection, [15]byte], protocolHook[conn.Connection, [16]byte],
	protocolHook[conn.Connection, [17]byte], protocolHook[conn.Connection, [18]byte], protocolHook[conn.Connection, [19]byte], protocolHook[conn.Connection, [20]byte],
	protocolHook[conn.Connection, [21]byte], protocolHook[conn.Connection, [22]byte], protocolHook[conn.Connection, [23]byte], protocolHook[conn.Connection, [24]byte],
	protocolHook[conn.Connection, [25]byte], protocolHook[conn.Connection, [26]byte], protocolHook[conn.Connection, [27]byte], protocolHook[conn.Connection, [28]byte],
	protocolHook[conn.Connection, [29]byte], protocolHook[conn.Connection, [30]byte], protocolHook[conn.Connection, [31]byte], protocolHook[conn.Connection, [32]byte],
	protocolHook[conn.Connection, [33]byte], protocolHook[conn.Connection, [34]byte], protocolHook[conn.Connection, [35]byte], protocolHook[conn.Connection, [36]byte],
	protocolHook[conn.Connection, [37]byte], protocolHook[conn.Connection, [38]byte], protocolHook[conn.Connection, [39]byte], protocolHook[conn.Connection, [40]byte],
	protocolHook[conn.Connection, [41]byte], protocolHook[conn.Connection, [42]byte], protocolHook[conn.Connection, [43]byte], protocolHook[conn.Connection, [44]byte],
	protocolHook[conn.Connection, [45]byte], protocolHook[conn.Connection, [46]byte], protocolHook[conn.Connection, [47]byte], protocolHook[conn.Connection, [48]byte],
	protocolHook[conn.Connection, [49]byte], protocolHook[conn.Connection, [50]byte], protocolHook[conn.Connection, [51]byte], protocolHook[conn.Connection, [52]byte],
	protocolHook[conn.Connection, [53]byte], protocolHook[conn.Connection, [54]byte], protocolHook[conn.Connection, [55]byte], protocolHook[conn.Connection, [56]byte],
	protocolHook[conn.Connection, [57]byte], protocolHook[conn.Connection, [58]byte], protocolHook[conn.Connection, [59]byte], protocolHook[conn.Connection, [60]byte],
	protocolHook[conn.Connection, [61]byte], protocolHook[conn.Connection, [62]byte], protocolHook[conn.Connection, [63]byte], protocolHook[conn.Connection, [64]byte],
}

var hooksConnHooks = [64]func(*hooksConn) bool{
	protocolHook[hooksConn, [1]byte], protocolHook[hooksConn, [2]byte], protocolHook[hooksConn, [3]byte], protocolHook[hooksConn, [4]byte],
	protocolHook[hooksConn, [5]byte], protocolHook[hooksConn, [6]byte], protocolHook[hooksConn, [7]byte], protocolHook[hooksConn, [8]byte],
	protocolHook[hooksConn, [9]byte], protocolHook[hooksConn, [10]byte], protocolHook[hooksConn, [11]byte], protocolHook[hooksConn, [12]byte],
	protocolHook[hooksConn, [13]byte], protocolHook[hooksConn, [14]byte], protocolHook[hooksConn, [15]byte], protocolHook[hooksConn, [16]byte],
	protocolHook[hooksConn, [17]byte], protocolHook[hooksConn, [18]byte], protocolHook[hooksConn, [19]byte], protocolHook[hooksConn, [20]byte],
	protocolHook[hooksConn, [21]byte], protocolHook[hooksConn, [22]byte], protocolHook[hooksConn, [23]byte], protocolHook[hooksConn, [24]byte],
	protocolHook[hooksConn, [25]byte], protocolHook[hooksConn, [26]byte], protocolHook[hooksConn, [27]byte], protocolHook[hooksConn, [28]byte],
	protocolHook[hooksConn, [29]byte], protocolHook[hooksConn, [30]byte], protocolHook[hooksConn, [31]byte], protocolHook[hooksConn, [32]byte],
	protocolHook[hooksConn, [33]byte], protocolHook[hooksConn, [34]byte], protocolHook[hooksConn, [35]byte], protocolHook[hooksConn, [36]byte],
	protocolHook[hooksConn, [37]byte], protocolHook[hooksConn, [38]byte], protocolHook[hooksConn, [39]byte], protocolHook[hooksConn, [40]byte],
	protocolHook[hooksConn, [41]byte], protocolHook[hooksConn, [42]byte], protocolHook[hooksConn, [43]byte], protocolHook[hooksConn, [44]byte],
	protocolHook[hooksConn, [45]byte], protocolHook[hooksConn, [46]byte], protocolHook[hooksConn, [47]byte], protocolHook[hooksConn, [48]byte],
	protocolHook[hooksConn, [49]byte], protocolHook[hooksConn, [50]byte], protocolHook[hooksConn, [51]byte], protocolHook[hooksConn, [52]byte],
	protocolHook[hooksConn, [53]byte], protocolHook[hooksConn, [54]byte], protocolHook[hooksConn, [55]byte], protocolHook[hooksConn, [56]byte],
	protocolHook[hooksConn, [57]byte], protocolHook[hooksConn, [58]byte], protocolHook[hooksConn, [59]byte], protocolHook[hooksConn, [60]byte],
	protocolHook[hooksConn, [61]byte], protocolHook[hooksConn, [62]byte], protocolHook[hooksConn, [63]byte], protocolHook[hooksConn, [64]byte],
}
