// Package linestest checks how parsers of text protocols account for memory: what they say they
// hold, what they release, and what they allocate.
package linestest

import (
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/conn"
	"example.com/conn/analyzer/protocol"
	"example.com/conn/analyzer/protocol/protocoltest"
)

// An Account describes a parser and its limits.
type Account struct {
	New      func(protocol.Owner) protocol.Parser
	State    func(*conn.Connection) any // a pointer to the state of a connection
	Retained int                        // bytes that may be held after FreeMemory
	PerByte  int                        // bytes that may be allocated per byte of input
}

// Check plays turns to a parser and, after each packet, compares what it says it holds with what
// can be reached from its state. If free returns true for the nth packet, it calls FreeMemory and
// checks that little is held then. It removes the connection and returns the rows.
func (a Account) Check(t testing.TB, turns []protocoltest.Turn, size int, free func(n int) bool) []any {
	t.Helper()
	o, c := &protocoltest.Recorder{}, protocoltest.Conn()
	p := a.New(o)
	n := 0
	a.play(p, c, turns, size, func() {
		held := p.MemoryUsed(c)
		if state := a.State(c); !reflect.ValueOf(state).IsNil() {
			real := Size(state)
			require.GreaterOrEqual(t, 5*held, 4*real, "holds %d", real)
			require.LessOrEqual(t, held, 2*real+1024, "holds %d", real)
		}
		if n++; free(n) {
			p.FreeMemory(c)
			require.LessOrEqual(t, p.MemoryUsed(c), a.Retained, "after FreeMemory")
		}
	})
	require.True(t, conn.StateRemove(c))
	return o.Rows
}

// CheckAllocations plays turns to a parser and checks how much it allocates.
func (a Account) CheckAllocations(t testing.TB, turns []protocoltest.Turn, size int) {
	t.Helper()
	c, p := protocoltest.Conn(), a.New(discard{})
	input := 0
	for _, turn := range turns {
		input += len(turn.Data)
	}
	held := make([]byte, 0, input+1)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	a.playIn(held, p, c, turns, size, func() {})
	conn.StateRemove(c)
	runtime.ReadMemStats(&after)
	require.LessOrEqual(t, int(after.TotalAlloc-before.TotalAlloc), a.PerByte*input+16<<10, "for %d bytes", input)
}

// Bench plays turns to new parsers, in packets of the usual size.
func (a Account) Bench(b *testing.B, turns ...protocoltest.Turn) {
	input := 0
	for _, turn := range turns {
		input += len(turn.Data)
	}
	held := make([]byte, 0, input+1)
	b.SetBytes(int64(input))
	b.ReportAllocs()
	for b.Loop() {
		c := protocoltest.Conn()
		a.playIn(held, a.New(discard{}), c, turns, 1460, func() {})
		conn.StateRemove(c)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(input), "ns/byte")
}

func (a Account) play(p protocol.Parser, c *conn.Connection, turns []protocoltest.Turn, size int, after func()) {
	a.playIn(nil, p, c, turns, size, after)
}

// playIn plays turns as the flow table does. What the parser leaves is kept in held, which has room
// for all input.
func (a Account) playIn(
	held []byte, p protocol.Parser, c *conn.Connection, turns []protocoltest.Turn, size int, after func(),
) {
	stream := p.(protocol.StreamParser)
	next := protocol.More
	var left [2][]byte
	at := protocoltest.Start
	for _, turn := range turns {
		pkt := protocol.Packet{Time: at, Side: protocol.Resp}
		at = at.Add(time.Second)
		if turn.FromOrig {
			pkt.Side = protocol.Orig
		}
		for data := turn.Data; data != "" && next == protocol.More; {
			part := data[:min(size, len(data))]
			data = data[len(part):]
			offered := append(append(held[:0], left[pkt.Side]...), part...)
			var n int
			n, next = p.Data(c, pkt, offered)
			left[pkt.Side] = append(left[pkt.Side][:0], offered[n:]...)
			after()
		}
		if turn.Lost > 0 && next == protocol.More {
			left[pkt.Side] = left[pkt.Side][:0]
			next = stream.Gap(c, pkt, turn.Lost)
			after()
		}
		if turn.End && next == protocol.More {
			stream.End(c, pkt)
			after()
		}
		if next == protocol.HandOver { // to the same parser, as CONNECT inside CONNECT does
			next = protocol.More
		}
	}
}

// Size returns how many bytes of memory can be reached from the value that v points to, except what
// it shares with other connections: it does not follow interfaces, functions, or pointers to
// parsers.
func Size(v any) int {
	s := sizer{}
	return s.of(reflect.ValueOf(v))
}

type sizer map[uintptr]bool

// of returns the size of what v refers to, without v itself.
func (s sizer) of(v reflect.Value) (n int) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() || s[v.Pointer()] || v.Type().Elem().Name() == "Parser" {
			return 0
		}
		s[v.Pointer()] = true
		return int(v.Type().Elem().Size()) + s.of(v.Elem())
	case reflect.String:
		return v.Len()
	case reflect.Slice:
		n = v.Cap() * int(v.Type().Elem().Size())
		for i := range v.Len() {
			n += s.of(v.Index(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			n += s.of(v.Index(i))
		}
	case reflect.Struct:
		if v.Type().PkgPath() == "time" || v.Type().PkgPath() == "net/netip" {
			return 0
		}
		for i := range v.NumField() {
			n += s.of(v.Field(i))
		}
	case reflect.Map:
		n = v.Len() * int(v.Type().Key().Size()+v.Type().Elem().Size())
	}
	return n
}
