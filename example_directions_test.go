package conn_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"example.com/conn"
)

// A tap records a proxied connection. Each direction has its own goroutine, and a timer ends the
// connection when neither has read anything for a while.
type tap struct {
	client, server net.Conn

	mu       sync.Mutex // guards the fields below; held while the hooks run
	onRemove conn.Hooks[tap]
	idle     *time.Timer
	copying  int    // directions that have not ended
	ended    string // why, for the hooks
	lines    []string

	done chan struct{} // closed when t is removed
}

const tapTimeout = time.Hour

// start starts both goroutines and the timer, which all use t.
func (t *tap) start() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.copying = 2
	t.idle = time.AfterFunc(tapTimeout, func() { t.end("timeout") })
	go t.copy(t.server, t.client)
	go t.copy(t.client, t.server)
}

// copy copies one direction until it ends. The last of the two to end removes the connection.
func (t *tap) copy(dst io.Writer, src io.Reader) {
	for s := bufio.NewScanner(src); s.Scan(); {
		t.onLine(s.Text())
		fmt.Fprintln(dst, s.Text())
	}
	t.mu.Lock()
	t.copying--
	last := t.copying == 0
	t.mu.Unlock()
	if last {
		t.end("closed")
	}
}

// onLine records a line of either direction. If the timer has removed the connection since the line
// was read, no hook will run, and onLine saves the line itself.
func (t *tap) onLine(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, line)
	if t.onRemove.Removed() {
		t.save()
		return
	}
	t.idle.Reset(tapTimeout)
	t.onRemove.Register((*tap).save)
}

// save is the hook. Its caller holds t.mu.
func (t *tap) save() bool {
	fmt.Printf("%s: %q\n", t.ended, t.lines)
	t.lines = nil
	return true
}

// end removes the connection, unless the timer or the last direction has already done so.
func (t *tap) end(why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.onRemove.Removed() {
		return
	}
	t.idle.Stop()
	t.ended = why
	t.onRemove.StateRemove(t)
	t.client.Close() // which ends the goroutines that still copy
	t.server.Close()
	close(t.done)
}

// A goroutine per direction and a timer: each takes the connection's mutex, and the first to find
// the connection at its end removes it.
func Example_directions() {
	for _, silent := range []bool{false, true} {
		client, clientSide := net.Pipe()
		server, serverSide := net.Pipe()
		t := &tap{client: clientSide, server: serverSide, done: make(chan struct{})}
		t.start()

		fmt.Fprintln(client, "ping")
		bufio.NewReader(server).ReadString('\n')
		fmt.Fprintln(server, "pong")
		bufio.NewReader(client).ReadString('\n')

		if silent {
			t.idle.Reset(0) // as if an hour had passed
		} else {
			client.Close()
			server.Close()
		}
		<-t.done
	}
	// Output:
	// closed: ["ping" "pong"]
	// timeout: ["ping" "pong"]
}
