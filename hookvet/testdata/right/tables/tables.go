// Package tables has flow tables: with a mutex and a janitor, with workers, with eviction.
package tables

import (
	"encoding/json"
	"fmt"
	"log"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"example.com/conn"
)

type flow struct {
	conn.Connection
	seen    time.Time
	payload []byte
	next    *flow
}

type table struct {
	mu    sync.Mutex
	flows map[string]*flow
	lru   []*flow
	limit int
}

func (t *table) finalize(c *conn.Connection) bool { return t.limit > 0 }

func (t *table) get(id string) *flow {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.flows[id]
	if f == nil {
		f = &flow{}
		t.flows[id] = f
		conn.Register(&f.Connection, t.finalize)
	}
	return f
}

func (t *table) janitor(every time.Duration) {
	for range time.Tick(every) {
		t.mu.Lock()
		for id, f := range t.flows {
			if time.Since(f.seen) > time.Minute {
				delete(t.flows, id)
				t.remove(f)
			}
		}
		t.mu.Unlock()
	}
}

func (t *table) remove(f *flow) {
	defer func() {
		if v := recover(); v != nil {
			log.Printf("%s: %v\n%s", f.UID, v, debug.Stack())
		}
	}()
	conn.StateRemove(&f.Connection)
}

func (t *table) evict() {
	for len(t.flows) > t.limit {
		f := t.lru[0]
		t.lru = t.lru[1:]
		delete(t.flows, f.UID)
		conn.StateRemove(&f.Connection)
		f.Connection = conn.Connection{}
		conn.Register(&f.Connection, t.finalize)
	}
}

func (t *table) packets(ids []string) {
	for _, id := range ids {
		f := t.get(id)
		conn.Register(&f.Connection, t.finalize)
		f.payload = append(f.payload, id...)
	}
	var f *flow
	for _, id := range ids {
		if f == nil || f.UID != id {
			f = t.get(id)
		}
		conn.Register(&f.Connection, t.finalize)
	}
}

// locked waits for a lock in each iteration: another goroutine may remove the flow meanwhile.
func (t *table) locked(f *flow, n int) {
	for i := range n {
		t.mu.Lock()
		conn.Register(&f.Connection, func(*conn.Connection) bool { return t.limit > 0 })
		f.payload = append(f.payload, byte(i))
		t.mu.Unlock()
	}
}

func (t *table) shutdown() {
	for _, f := range slices.Collect(maps.Values(t.flows)) {
		conn.Register(&f.Connection, func(c *conn.Connection) bool { return c.UID != "" })
		conn.StateRemove(&f.Connection)
	}
	for f := range maps.Values(t.flows) {
		conn.Register(&f.Connection, t.finalize)
	}
	clear(t.flows)
}

// late delivers what a reader had when the janitor removed the flow.
func (t *table) late(f *flow, b []byte) {
	if !conn.Register(&f.Connection, t.finalize) {
		fmt.Println("late:", len(b))
	}
	var c conn.Connection
	conn.StateRemove(&c)
	if !conn.Register(&c, t.finalize) {
		fmt.Println("late:", len(b))
	}
	conn.StateRemove(&c)
	fmt.Println(conn.Register(&c, t.finalize))
	conn.StateRemove(&c)
	c = conn.Connection{}
	conn.Register(&c, t.finalize)
	conn.StateRemove(&c)
	t.limit++
	conn.Register(&c, t.finalize)
}

type state struct{ Conn *conn.Connection }

// decoded gets a connection with each line.
func decoded(dec *json.Decoder, s *state, t *table) {
	for dec.More() {
		if err := dec.Decode(s); err != nil {
			break
		}
		conn.Register(s.Conn, t.finalize)
	}
}

func pooled(p *sync.Pool, t *table, n int) {
	for range n {
		f := p.Get().(*flow)
		conn.Register(&f.Connection, t.finalize)
		conn.StateRemove(&f.Connection)
		*f = flow{}
		p.Put(f)
	}
}

func workers(t *table, queues []chan *flow) {
	var wg sync.WaitGroup
	for _, queue := range queues {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for f := range queue {
				conn.Register(&f.Connection, t.finalize)
			}
		}()
	}
	wg.Wait()
}

// A cell holds one flow and gives others its turn.
type cell struct {
	cur flow
	t   *table
}

func (c *cell) turn() { c.cur = flow{} }

func turns(c *cell, n int) {
	for range n {
		conn.Register(&c.cur.Connection, c.t.finalize)
		c.turn()
	}
	for range n {
		c.add(c.t.finalize)
		c.turn()
	}
}

func (c *cell) add(hk conn.RemovalHook) { conn.Register(&c.cur.Connection, hk) } // want add:"passes: 1 to Register"

// add registers with a copy, which go vet reports.
func add(f flow, hk conn.RemovalHook) { conn.Register(&f.Connection, hk) }
