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
//	go run golang.org/x/perf/cmd/benchstat@latest -col /impl new.txt
//
// prints each comparison as a row. Whatever the benchmark, impl=conn is this package with a
// Connection, and impl=hooks with a type that embeds Hooks.

// payload is what every baseline's connection carries, so that it is as big as a Connection but for
// its hooks.
type payload struct {
	ID    conn.ID
	UID   string
	Start time.Time
}

// The hooks are top-level functions that do nothing: the benchmarks measure how they are kept and
// reached.
func hook0(*conn.Connection) bool { return true }
func hook1(*conn.Connection) bool { return true }
func hook2(*conn.Connection) bool { return true }
func hook3(*conn.Connection) bool { return true }
func hook4(*conn.Connection) bool { return true }
func hook5(*conn.Connection) bool { return true }
func hook6(*conn.Connection) bool { return true }
func hook7(*conn.Connection) bool { return true }

// baselineHook is a hook of a baseline. It gets the payload, so that all baselines can have the
// same hooks.
type baselineHook func(*payload) bool

func plain0(*payload) bool { return true }
func plain1(*payload) bool { return true }
func plain2(*payload) bool { return true }
func plain3(*payload) bool { return true }
func plain4(*payload) bool { return true }
func plain5(*payload) bool { return true }
func plain6(*payload) bool { return true }
func plain7(*payload) bool { return true }

// baselineIdentity tells one baselineHook from another, as conn does. The usual
// reflect.ValueOf(hk).Pointer() costs a call, and takes all closures of one literal for the same.
func baselineIdentity(hk baselineHook) unsafe.Pointer {
	return *(*unsafe.Pointer)(unsafe.Pointer(&hk))
}

// The implementations. Each has a function parse that registers the first k of eight hooks, in the
// way parsers do: each call names its hook. The tests of k between them cost all implementations
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

// hooksConn is a connection of an analyzer's own, of the size of a Connection.
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

// mapConn keeps its hooks in a map, made when the first one comes. It does less than conn: a map
// has no order, and to keep one it would need a slice besides.
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

// sliceConn keeps its hooks in a slice and looks through it for one that is there already. It does
// less than conn: a panic in a hook loses the hooks after it, as in the other baselines.
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
// does something else than conn, since each hook runs on a goroutine of its own, in any order; the
// removal waits for them.
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

// floorConn has one bit for each hook of the program, which must all be known in advance, in
// floorHooks. No design can do much less to register a hook and to run it. It knows neither
// closures nor an order of registration.
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

// ring is connections few enough to stay in the nearest cache, to be used in turn: each has time to
// complete its stores before it is used again. They are a power of two, so that finding the next
// costs no division.
type ring[T any] [64]T

// renew makes the i-th connection new, as an owner does that recycles the memory of connections.
func (r *ring[T]) renew(i int) *T {
	c := &r[i&(len(r)-1)]
	*c = *new(T)
	return c
}

var hookCounts = []int{1, 2, 3, 8}

// BenchmarkTeardown removes connections without hooks in a program that has the given number of
// protocols. An operation is a ring of connections, since the removal of one takes less than a turn
// of the benchmark loop; ns/conn is for one.
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

// broadcastConn tells its protocol, 0 if none does anything with it. Of the ways to let every
// protocol find out whether a connection concerns it, this is the fastest: all protocols look at
// the same member of the connection. A look-up in each protocol's own table of connections, or a
// pointer for each protocol in the connection, would take longer. It also helps broadcast that its
// functions are closures of one literal, so that all calls have the same target.
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
// and again to remove them, as traffic does: what a connection has was last in the cache a million
// connections ago. An operation is all of that; ns/conn is for one connection, B/conn what it takes
// of the heap while it has its hooks, itself included.
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

// manyConns is how many connections live at the same time where it matters that they are many.
const manyConns = 1 << 20

// benchmarkCold calls the functions through variables, which costs all implementations the same and
// little beside the cache misses. Garbage of the registration is collected in the time measured,
// that of the removal is not.
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

// BenchmarkGC forces collections while a million connections live that have three hooks each;
// impl=none has connections without hooks. An operation is a collection; objects/conn is how many
// objects of the heap the hooks took.
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

// BenchmarkClosure registers one closure, made for the connection, and removes the connection. The
// closure itself is one of the allocations.
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

// BenchmarkLock takes the lock of a connection twice: for a packet, and for the end of the
// connection. impl=mutex does nothing else, and impl=hooks registers the given number of hooks under
// the first lock and removes the connection under the second.
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

// BenchmarkChain registers a chain of three bodies and removes the connection; impl=func has the
// bodies in one function written by hand, which loses the later bodies if one panics.
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

// sessionConn has the state in a member of its own: the fastest way, for an owner that knows all
// parsers.
type sessionConn struct {
	payload
	session *session
}

// BenchmarkField makes and finds the state of a parser. The connections of a map are few here and
// in the cache, which flatters it; it also is of one goroutine only, where goroutines with
// connections of their own need a lock.
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

// BenchmarkParallel lets goroutines do what BenchmarkRegisterRemove does with three hooks, each
// with connections of its own. With two goroutines, each operation is preceded by the same work of
// one of them alone, not measured but for the metric speedup: how many times the connections that
// one goroutine handles in a second. impl=floor shares nothing at all, so its speedup is what the
// machine can give.
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

// connsPerOp is how many connections each goroutine of BenchmarkParallel handles in an operation:
// so many that starting the goroutine takes no time beside.
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

// BenchmarkRegisterAmong registers one hook with a connection and removes it, where the connections
// take turns with the hooks of the given number of protocols.
func BenchmarkRegisterAmong(b *testing.B) {
	for _, protocols := range []int{1, 16, 64} {
		name := func(impl string) string { return fmt.Sprintf("protocols=%d/impl=%s", protocols, impl) }
		b.Run(name("conn"), func(b *testing.B) {
			conn.ForgetSets() // or those of the other impl would be found first
			b.ReportAllocs()
			var cs ring[conn.Connection]
			for i := 0; b.Loop(); i++ {
				c := cs.renew(i)
				conn.Register(c, protocolHooks[i&(protocols-1)])
				conn.StateRemove(c)
			}
		})
		b.Run(name("hooks"), func(b *testing.B) {
			conn.ForgetSets() // or those of the other impl would be found first
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

// protocolHook is a top-level function for each C and T.
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
