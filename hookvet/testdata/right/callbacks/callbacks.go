// Package callbacks has types whose methods the standard library calls: they end connections.
package callbacks

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"log/slog"

	"example.com/conn"
)

type session struct {
	c     *conn.Connection
	lines int
}

func (s *session) finalize(c *conn.Connection) bool { return s.lines > 0 }

// A datagram ends its connection when it has been written.
type datagram struct{ c *conn.Connection }

func (d datagram) Write(b []byte) (int, error) {
	conn.StateRemove(d.c)
	*d.c = conn.Connection{}
	return len(b), nil
}

// A failure has the Error method of what it embeds.
type failure struct {
	error
	d datagram
}

func failed(d datagram, s *session, failures []failure) {
	for _, f := range failures {
		conn.Register(d.c, s.finalize)
		fmt.Println(f)
	}
	for x := "a"; x < "aaa"; x += "a" {
		conn.Register(d.c, s.finalize)
	}
}

func written(d datagram, s *session, datagrams []string) {
	for _, dg := range datagrams {
		conn.Register(d.c, s.finalize)
		io.WriteString(d, dg)
	}
	for _, dg := range datagrams {
		conn.Register(d.c, s.finalize)
		fmt.Fprintln(d, dg)
	}
	for range datagrams {
		conn.Register(d.c, s.finalize)
		binary.Write(d, binary.BigEndian, uint16(1))
	}
	w := bufio.NewWriter(d)
	for _, dg := range datagrams {
		conn.Register(d.c, s.finalize)
		w.WriteString(dg)
		w.Flush()
	}
	var any io.Writer = d
	for _, dg := range datagrams {
		conn.Register(d.c, s.finalize)
		io.WriteString(any, dg)
	}
}

func logged(d datagram, s *session, datagrams []string) {
	log.SetOutput(d)
	for _, dg := range datagrams {
		conn.Register(d.c, s.finalize)
		log.Print(dg)
	}
	logger := slog.New(slog.NewTextHandler(d, nil))
	for _, dg := range datagrams {
		conn.Register(d.c, s.finalize)
		logger.Info(dg)
	}
}

// A source starts the next connection when one ends.
type source struct {
	r io.Reader
	s *session
}

func (r *source) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	if n == 0 {
		r.s.c = new(conn.Connection)
	}
	return n, err
}

func read(r *source) {
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		conn.Register(r.s.c, r.s.finalize)
	}
	br := bufio.NewReader(r)
	for {
		if _, err := br.ReadString('\n'); err != nil {
			break
		}
		conn.Register(r.s.c, r.s.finalize)
	}
	var v uint16
	for {
		if err := binary.Read(r, binary.BigEndian, &v); err != nil {
			break
		}
		conn.Register(r.s.c, r.s.finalize)
	}
}
