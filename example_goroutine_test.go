package conn_test

import (
	"fmt"
	"time"

	"example.com/conn"
)

// A query is a packet of a DNS client, or of its server if it is a reply.
type query struct {
	client string
	name   string
	reply  bool
	at     time.Time
}

// A resolver owns the connections. All its methods run on one goroutine.
type resolver struct {
	live map[string]*client
	idle time.Duration
}

// A client is the connection of one DNS client.
type client struct {
	conn.Hooks[client]
	addr     string
	lastSeen time.Time
	asked    []string // names without an answer
}

func (r *resolver) onQuery(q query) {
	for _, c := range r.live {
		if q.at.Sub(c.lastSeen) > r.idle {
			r.remove(c)
		}
	}
	c := r.live[q.client]
	if c == nil {
		c = &client{addr: q.client}
		r.live[q.client] = c
	}
	c.lastSeen = q.at
	if q.reply {
		c.asked = c.asked[min(1, len(c.asked)):]
		if len(c.asked) == 0 {
			c.Unregister((*client).logUnanswered)
		}
		return
	}
	c.asked = append(c.asked, q.name)
	c.Register((*client).logUnanswered)
}

func (r *resolver) remove(c *client) {
	delete(r.live, c.addr)
	c.StateRemove(c)
}

// logUnanswered is the hook.
func (c *client) logUnanswered() bool {
	fmt.Printf("%s: no answer for %v\n", c.addr, c.asked)
	return true
}

// One goroutine owns all connections. Others send it what they read, and no lock is needed.
func Example_goroutine() {
	queries := make(chan query)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		r := &resolver{live: make(map[string]*client), idle: time.Minute}
		for q := range queries {
			r.onQuery(q)
		}
		for _, c := range r.live { // at shutdown, the remaining ones
			r.remove(c)
		}
	}()

	start := time.Unix(1_700_000_000, 0)
	queries <- query{client: "192.0.2.1", name: "a.example", at: start}
	queries <- query{client: "192.0.2.2", name: "b.example", at: start}
	queries <- query{client: "192.0.2.2", reply: true, at: start}
	queries <- query{client: "192.0.2.3", name: "c.example", at: start.Add(time.Hour)}
	close(queries)
	<-finished
	// Output:
	// 192.0.2.1: no answer for [a.example]
	// 192.0.2.3: no answer for [c.example]
}
