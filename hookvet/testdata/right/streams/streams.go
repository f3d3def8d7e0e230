// Package streams has the shapes of gopacket's reassembly.
package streams

import (
	"bufio"
	"io"
	"log"
	"runtime/debug"
	"sync"

	"example.com/conn"
)

type scatter interface{ Fetch(n int) []byte }

type stream struct {
	c    *conn.Connection
	mu   *sync.Mutex
	out  io.Writer
	got  int
	half [2]half
}

type half struct {
	r    *bufio.Reader
	seen int
}

type factory struct {
	conns []*conn.Connection
	log   io.Writer
}

func (f *factory) end(c *conn.Connection) bool {
	_, err := io.WriteString(f.log, c.UID)
	return err == nil
}

func (f *factory) New() *stream {
	s := &stream{c: new(conn.Connection), out: f.log}
	f.conns = append(f.conns, s.c)
	conn.Register(s.c, f.end)
	return s
}

func (s *stream) flush(*conn.Connection) bool { return s.got > 0 }

func (s *stream) ReassembledSG(sg scatter) {
	b := sg.Fetch(3)
	if s.got == 0 {
		conn.Register(s.c, s.flush)
	}
	s.got += len(b)
}

func (s *stream) ReassemblyComplete() bool {
	defer func() {
		if v := recover(); v != nil {
			log.Printf("%s: %v\n%s", s.c.UID, v, debug.Stack())
		}
	}()
	conn.StateRemove(s.c)
	return false
}

func (f *factory) closeAll() {
	for _, c := range f.conns {
		func() {
			defer func() { _ = recover() }()
			conn.Register(c, f.end)
			conn.StateRemove(c)
		}()
	}
}

// read reads one direction; the last reader removes the connection.
func (s *stream) read(dir int, wg *sync.WaitGroup) {
	defer wg.Done()
	h := &s.half[dir]
	for {
		line, err := h.r.ReadString('\n')
		if err != nil {
			return
		}
		s.mu.Lock()
		h.seen += len(line)
		conn.Register(s.c, s.flush)
		s.mu.Unlock()
	}
}

// reopen removes and begins again at each SYN.
func (s *stream) reopen(flags []byte) {
	for _, flag := range flags {
		if flag&2 != 0 {
			conn.StateRemove(s.c)
			s.c = new(conn.Connection)
		}
		conn.Register(s.c, s.flush)
	}
}

func (s *stream) each(segments []scatter, handle func(scatter)) {
	for _, sg := range segments {
		conn.Register(s.c, s.flush)
		handle(sg)
	}
	for _, sg := range segments {
		conn.Register(s.c, s.flush)
		s.got += len(sg.Fetch(1))
	}
}
