// Package slots has connections that hold several of something, and a hook for each.
package slots

import (
	"bufio"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"example.com/conn"
)

type buffer struct{ b [2048]byte }

type pool struct {
	free    int
	used    int
	slots   chan struct{}
	tokens  []token
	buffers []*buffer
	atomic  atomic.Int64
	mu      sync.Mutex
	wg      sync.WaitGroup
	sem     semaphore
	queue   []string
	last    string
	log     io.Writer
	busy    map[int]bool
	r       *bufio.Reader
}

type token struct{}

type semaphore interface{ Release(n int64) }

func (p *pool) give(*conn.Connection) bool     { p.free++; return true }
func (p *pool) giveBack(*conn.Connection) bool { p.used -= 1; return true }
func (p *pool) giveAgain(*conn.Connection) bool {
	p.free = p.free + 1
	return true
}
func (p *pool) indirectly(*conn.Connection) bool { return p.more() }
func (p *pool) more() bool                       { p.evenMore(); return true }
func (p *pool) evenMore()                        { p.free++ }
func (p *pool) send(*conn.Connection) bool       { p.slots <- struct{}{}; return true }
func (p *pool) receive(*conn.Connection) bool    { <-p.slots; return true }
func (p *pool) token(*conn.Connection) bool      { p.tokens = append(p.tokens, token{}); return true }
func (p *pool) buffer(*conn.Connection) bool     { p.buffers = append(p.buffers, new(buffer)); return true }
func (p *pool) add(*conn.Connection) bool        { p.atomic.Add(1); return true }
func (p *pool) done(*conn.Connection) bool       { p.wg.Done(); return true }
func (p *pool) release(*conn.Connection) bool    { p.sem.Release(1); return true }
func (p *pool) releaser() conn.RemovalHook { // want releaser:"makes: true"
	return func(*conn.Connection) bool { p.free++; return true }
}
func (p *pool) locked(*conn.Connection) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free++
	return true
}
func (p *pool) next(*conn.Connection) bool {
	p.last, p.queue = p.queue[0], p.queue[1:]
	return true
}
func (p *pool) deliver(c *conn.Connection) bool {
	head := p.queue[0]
	p.queue = p.queue[1:]
	_, err := io.WriteString(p.log, head)
	return err == nil
}

func (p *pool) any(*conn.Connection) bool {
	for slot := range p.busy {
		delete(p.busy, slot)
		break
	}
	return true
}
func (p *pool) line(*conn.Connection) bool {
	line, err := p.r.ReadString('\n')
	return line != "" && err == nil
}

func taken(c *conn.Connection, p *pool, n int, local func()) {
	p.free -= n
	for range n {
		conn.Register(c, p.give)
	}
	for range n {
		conn.Register(c, p.giveBack)
	}
	for range n {
		conn.Register(c, p.giveAgain)
	}
	for range n {
		conn.Register(c, p.indirectly)
	}
	for range n {
		conn.Register(c, p.send)
	}
	for range n {
		conn.Register(c, p.receive)
	}
	for range n {
		conn.Register(c, p.token)
	}
	for range n {
		conn.Register(c, p.buffer)
	}
	for range n {
		conn.Register(c, p.add)
	}
	for range n {
		conn.Register(c, p.done)
	}
	for range n {
		conn.Register(c, p.release)
	}
	for range n {
		conn.Register(c, p.releaser())
	}
	for range n {
		conn.Register(c, p.locked)
	}
	for range n {
		conn.Register(c, p.next)
	}
	for range n {
		conn.Register(c, p.deliver)
	}
	for range n {
		conn.Register(c, p.any)
	}
	for range n {
		conn.Register(c, p.line)
	}
	for range n {
		conn.Register(c, func(*conn.Connection) bool { p.free++; return true })
	}
	for range n {
		conn.Register(c, func(*conn.Connection) bool { local(); return true })
	}
	for range n {
		conn.Register(c, conn.Chain(finish, p.give))
	}
	for range n {
		hk := conn.Chain(count)
		conn.Register(c, hk)
	}
}

var finished int

func finish(*conn.Connection) bool { return true }

func count(*conn.Connection) bool { finished++; return true }

func acquired(c *conn.Connection, sem chan bool, n int) {
	for range n {
		sem <- true
		conn.Register(c, func(*conn.Connection) bool { <-sem; return true })
	}
}

// files closes each file that it opens.
func files(c *conn.Connection, names []string) error {
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		conn.Register(c, func(*conn.Connection) bool { return f.Close() == nil })
	}
	return nil
}

// numbered says which slot each hook returns.
func numbered(c *conn.Connection, taken []int, free func(int)) {
	for _, slot := range taken {
		conn.Register(c, func(*conn.Connection) bool { free(slot); return true })
	}
}

const debug = false

// shared registers one hook, since the compiler captures nothing for code that never runs.
func shared(c *conn.Connection, n int, name string) {
	var table [16]string
	for range n {
		conn.Register(c, func(*conn.Connection) bool {
			if debug {
				println(name)
			}
			return true
		})
	}
	for range n {
		conn.Register(c, func(*conn.Connection) bool { return len(table) > 0 })
	}
	for range n {
		conn.Register(c, func(*conn.Connection) bool {
			switch {
			case debug:
				println(name)
			}
			return true
		})
	}
	quiet := func(*conn.Connection) bool {
		for debug {
			println(name)
		}
		return true
	}
	conn.Unregister(c, quiet)
	conn.Register(c, quiet)
}
