package conn_test

import (
	"fmt"
	"log"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"example.com/conn"
)

// A flowTable is shared by goroutines that read packets and a janitor that removes idle flows.
type flowTable struct {
	mu    sync.Mutex // guards flows; taken before a flow's mu, never while holding one
	flows map[string]*sharedFlow
}

// A sharedFlow is one connection.
type sharedFlow struct {
	mu       sync.Mutex // guards the fields below; held while the hooks run
	onRemove conn.Hooks[sharedFlow]
	lastSeen time.Time
	pending  []string // requests without a reply
}

// get returns the flow with the given name, making it if necessary.
func (t *flowTable) get(name string, now time.Time) *sharedFlow {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.flows[name]
	if f == nil {
		f = &sharedFlow{lastSeen: now}
		t.flows[name] = f
	}
	return f
}

// removeIdle is the janitor: it removes the flows without a packet since the given time.
func (t *flowTable) removeIdle(since time.Time) {
	var idle []*sharedFlow
	t.mu.Lock()
	for name, f := range t.flows {
		if f.idle(since) {
			delete(t.flows, name)
			idle = append(idle, f)
		}
	}
	t.mu.Unlock() // so that readers need not wait for the hooks
	for _, f := range idle {
		f.remove()
	}
}

func (f *sharedFlow) idle(since time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lastSeen.Before(since)
}

// onRequest is called by the readers. If the janitor removed f between get and Lock, no hook will
// run, and onRequest delivers the request itself.
func (f *sharedFlow) onRequest(request string, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lastSeen = now
	f.pending = append(f.pending, request)
	if f.onRemove.Removed() {
		f.logPending()
		return
	}
	f.onRemove.Register((*sharedFlow).logPending)
}

var requestsLogged atomic.Int64

// logPending is the hook. Its caller holds f.mu, so it must not lock it.
func (f *sharedFlow) logPending() bool {
	requestsLogged.Add(int64(len(f.pending)))
	f.pending = nil
	return true
}

// remove runs the hooks. It recovers before it unlocks, so a hook that panics leaves f unlocked.
func (f *sharedFlow) remove() {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer func() {
		if v := recover(); v != nil {
			log.Printf("a removal hook panicked: %v\n%s", v, debug.Stack())
		}
	}()
	f.onRemove.StateRemove(f)
}

// A map, a mutex per connection, and a janitor: whoever holds the mutex may use the connection.
// Every request is logged once, by the hook or, if the janitor was faster, by the reader.
func Example_mutex() {
	t := &flowTable{flows: make(map[string]*sharedFlow)}

	const readers, requests = 4, 1000
	var reading sync.WaitGroup
	for range readers {
		reading.Add(1)
		go func() {
			defer reading.Done()
			for range requests {
				now := time.Now()
				t.get("192.0.2.1:40000", now).onRequest("GET /", now)
			}
		}()
	}

	done := make(chan struct{})
	janitor := make(chan struct{})
	go func() {
		defer close(janitor)
		for {
			select {
			case <-done:
				return
			default:
				t.removeIdle(time.Now())
			}
		}
	}()

	reading.Wait()
	close(done)
	<-janitor

	now := time.Now()
	f := t.get("192.0.2.1:40000", now)
	t.removeIdle(now.Add(time.Hour)) // at shutdown, all of them
	f.onRequest("GET /", now)        // by a reader that got the flow before

	fmt.Println(requestsLogged.Load(), "requests logged,", len(t.flows), "flows left")
	// Output:
	// 4001 requests logged, 0 flows left
}
