// Package protocoltest plays conversations to a parser, cut into packets in any way, and checks
// what every parser promises to the flow table.
package protocoltest

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/conn"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/protocol"
)

// MaxHeld is how many bytes of one side a parser may leave to the flow table, waiting for more.
const MaxHeld = 64 << 10

// Parser.MemoryUsed may be heldPerByte for each byte that was offered, plus heldAlways. After
// FreeMemory it may be MaxRetained: the state, and a text that outlives the rows, such as a working
// directory, whose bytes may each have become \xNN.
const (
	heldPerByte = 64
	heldAlways  = 16 << 10
	MaxRetained = 4*logs.MaxText + 4<<10
)

// A Turn is what one side sends, or loses, before the other sends. Over UDP, Data is a datagram and
// the other fields mean nothing.
type Turn struct {
	FromOrig bool
	Data     string
	Lost     int // bytes that are missing after Data
	End      bool
}

// Orig and Resp return turns of the two sides.
func Orig(data string) Turn { return Turn{FromOrig: true, Data: data} }
func Resp(data string) Turn { return Turn{Data: data} }

// Ends returns the two turns that end a connection properly.
func Ends() []Turn { return []Turn{{FromOrig: true, End: true}, {End: true}} }

// Encode turns a conversation into input for a fuzz test, and Decode any input into a conversation.
// A byte tells the side, whether bytes are lost, and how many bytes there are.
func Encode(turns ...Turn) (input []byte) {
	for _, t := range turns {
		var kind byte
		if t.FromOrig {
			kind = 0x80
		}
		for data := t.Data; data != ""; {
			n := min(len(data), 0x3f)
			input = append(append(input, kind|byte(n)), data[:n]...)
			data = data[n:]
		}
		if t.Lost > 0 || t.End {
			input = append(input, kind|0x40|byte(min(t.Lost, 0x3f)))
		}
	}
	return input
}

// Decode is the inverse of Encode: a turn that loses nothing, and has no bytes, ends its side.
func Decode(input []byte) (turns []Turn) {
	for len(input) > 0 {
		t, n := Turn{FromOrig: input[0]&0x80 != 0}, int(input[0]&0x3f)
		if input[0]&0x40 != 0 {
			t.Lost, t.End = n, n == 0
			input = input[1:]
		} else {
			n = min(n, len(input)-1)
			t.Data = string(input[1 : 1+n])
			input = input[1+n:]
		}
		turns = append(turns, t)
	}
	return turns
}

// An Expected is an announced connection.
type Expected struct {
	Orig    netip.Addr
	Resp    netip.AddrPort
	Service string
	Attach  func(c *conn.Connection)
}

// A Recorder is a protocol.Owner that keeps what parsers report.
type Recorder struct {
	Rows      []any
	Expected  []Expected
	Confirmed bool
	Weirds    []string          // names, each once
	Addl      map[string]string // the details of each weird at its first report
}

// Log keeps a copy, as the parser may reuse row.
func (r *Recorder) Log(row logs.Row) {
	kept := reflect.New(reflect.TypeOf(row).Elem()).Interface()
	text, err := json.Marshal(row)
	if err == nil {
		err = json.Unmarshal(text, kept)
	}
	if err != nil {
		panic(err) // no log can have this row
	}
	r.Rows = append(r.Rows, kept)
}

func (r *Recorder) Confirm(*conn.Connection) { r.Confirmed = true }

func (r *Recorder) Weird(_ *conn.Connection, name, addl string) {
	if slices.Contains(r.Weirds, name) {
		return
	}
	if r.Addl == nil {
		r.Addl = make(map[string]string)
	}
	r.Weirds, r.Addl[name] = append(r.Weirds, name), addl
}

func (r *Recorder) Expect(orig netip.Addr, resp netip.AddrPort, service string, attach func(c *conn.Connection)) {
	r.Expected = append(r.Expected, Expected{orig, resp, service, attach})
}

// JSON returns the rows as they are written to logs.
func (r *Recorder) JSON(t testing.TB) (lines []string) {
	for _, row := range r.Rows {
		line, err := json.Marshal(row)
		require.NoError(t, err)
		lines = append(lines, string(line))
	}
	return lines
}

// Start is when a played conversation begins. Its turns follow one another by a second.
var Start = time.Date(2024, 5, 17, 10, 0, 0, 0, time.UTC)

// Conn returns a connection to play a conversation on, over TCP.
func Conn() *conn.Connection { return connOver(conn.TCP) }

func connOver(transport conn.Proto) *conn.Connection {
	return &conn.Connection{
		ID: conn.ID{
			Orig:  netip.MustParseAddrPort("192.0.2.1:40000"),
			Resp:  netip.MustParseAddrPort("198.51.100.2:80"),
			Proto: transport,
		},
		UID:   "CTest",
		Start: Start,
	}
}

// A Result is the outcome of playing a conversation.
type Result struct {
	protocol.Next
	Rest [2]string // what the parser left for another protocol, by side
}

// Play plays turns to p on c. It does what the analyzer does, except for removing c, and fails t
// where p breaks its promises.
func Play(t testing.TB, p protocol.Parser, c *conn.Connection, turns ...Turn) Result {
	pl := &player{t: t, p: p, c: c, fill: '?', held: p.MemoryUsed(c)}
	return pl.play(turns, whole)
}

// A cut returns how many bytes the next packet takes of what is left of a turn.
type cut func(turn int, left string) int

func whole(_ int, left string) int { return len(left) }

func pieces(size int) cut { return func(_ int, left string) int { return min(size, len(left)) } }

// A player plays a conversation to a parser.
type player struct {
	t       testing.TB
	p       protocol.Parser
	c       *conn.Connection
	flush   bool // after every packet
	fill    byte // overwrites offered bytes afterwards: the parser must not keep them
	held    int  // by the parser before
	offered int  // bytes
	untaken [2][]byte
	ended   [2]bool
	res     Result
}

func (pl *player) play(turns []Turn, cut cut) Result {
	overTCP := pl.p.Transport() == conn.TCP
	stream, ok := pl.p.(protocol.StreamParser)
	require.True(pl.t, ok || !overTCP, "a parser over TCP is a StreamParser")
	for i, turn := range turns {
		side := protocol.Resp
		if turn.FromOrig {
			side = protocol.Orig
		}
		if pl.ended[side] {
			continue
		}
		packet := protocol.Packet{Time: Start.Add(time.Duration(i) * time.Second), Side: side}
		if !overTCP {
			pl.data(packet, turn.Data)
			continue
		}
		for data := turn.Data; data != ""; {
			n := cut(i, data)
			pl.data(packet, data[:n])
			data = data[n:]
		}
		if pl.res.Next == protocol.More && turn.Lost > 0 {
			pl.untaken[side] = nil
			pl.res.Next = stream.Gap(pl.c, packet, turn.Lost)
			pl.check()
		}
		if turn.End {
			pl.ended[side] = true
			if pl.res.Next == protocol.More {
				stream.End(pl.c, packet)
				pl.check()
			}
		}
	}
	if pl.res.Next == protocol.HandOver {
		pl.res.Rest = [2]string{string(pl.untaken[0]), string(pl.untaken[1])}
	}
	return pl.res
}

// data offers a packet's bytes, after those that were not taken before.
func (pl *player) data(packet protocol.Packet, part string) {
	side := packet.Side
	pl.untaken[side] = append(pl.untaken[side], part...)
	pl.offered += len(part)
	if pl.res.Next != protocol.More {
		return
	}
	offered := append([]byte(nil), pl.untaken[side]...)
	n, next := pl.p.Data(pl.c, packet, offered)
	require.True(pl.t, n >= 0 && n <= len(offered), "took %d of %d bytes", n, len(offered))
	for i := range offered {
		offered[i] = pl.fill
	}
	if pl.p.Transport() != conn.TCP {
		n = len(offered) // what it leaves of a datagram is dropped
	}
	pl.untaken[side] = append([]byte(nil), pl.untaken[side][n:]...)
	require.LessOrEqual(pl.t, len(pl.untaken[side]), MaxHeld)
	pl.res.Next = next
	pl.check()
}

// check checks what the parser says it holds, and calls FreeMemory if the player is to.
func (pl *player) check() {
	held := pl.p.MemoryUsed(pl.c)
	require.GreaterOrEqual(pl.t, held, 0, "bytes held")
	require.LessOrEqual(pl.t, held, pl.held+heldPerByte*pl.offered+heldAlways, "bytes held after %d", pl.offered)
	if pl.flush {
		pl.p.FreeMemory(pl.c)
		require.LessOrEqual(pl.t, pl.p.MemoryUsed(pl.c), MaxRetained, "bytes held after FreeMemory")
	}
}

// Rows plays turns to a new parser, removes the connection and returns the rows in JSON. It checks
// that rows and results do not change when bytes come in packets of some small sizes, or when one
// turn is cut in two at any byte (any byte near its ends, if it has several thousand). Datagrams
// are not cut. It also plays the turns to a parser and calls FreeMemory after every packet.
func Rows(t testing.TB, parser func(protocol.Owner) protocol.Parser, turns ...Turn) []string {
	t.Helper()
	const long = 1000
	want := sameInSmallPackets(t, parser, turns)
	for i, turn := range turns {
		if want.transport != conn.TCP {
			break
		}
		for at := 1; at < len(turn.Data); at++ {
			if at == long {
				at = max(at, len(turn.Data)-long)
			}
			got := run(t, parser, turns, player{fill: '?'}, func(j int, left string) int {
				if j == i && len(left) == len(turn.Data) {
					return at
				}
				return len(left)
			})
			require.Equal(t, want, got, "turn %d cut at %d", i, at)
		}
	}
	return want.rows
}

// FuzzRows is Rows without the cuts at every byte, which take long.
func FuzzRows(t testing.TB, parser func(protocol.Owner) protocol.Parser, turns ...Turn) []string {
	t.Helper()
	return sameInSmallPackets(t, parser, turns).rows
}

func sameInSmallPackets(t testing.TB, parser func(protocol.Owner) protocol.Parser, turns []Turn) outcome {
	t.Helper()
	want := run(t, parser, turns, player{fill: '?'}, whole)
	require.Equal(t, want, run(t, parser, turns, player{fill: '!'}, whole), "bytes were kept")
	if want.transport == conn.TCP {
		for _, size := range []int{1, 2, 7, 64} {
			require.Equal(t, want, run(t, parser, turns, player{fill: '?'}, pieces(size)), "packets of %d bytes", size)
		}
	}
	run(t, parser, turns, player{fill: '?', flush: true}, whole)
	return want
}

// outcome is what must not depend on how bytes are cut into packets.
type outcome struct {
	transport conn.Proto
	rows      []string
	expected  []netip.AddrPort
	confirmed bool
	res       Result
}

// run plays turns to a new parser, with a player whose parser and connection it sets, and removes
// the connection.
func run(t testing.TB, parser func(protocol.Owner) protocol.Parser, turns []Turn, pl player, cut cut) (out outcome) {
	o := &Recorder{}
	p := parser(o)
	c := connOver(p.Transport())
	pl.t, pl.p, pl.c = t, p, c
	out.res = pl.play(turns, cut)
	require.True(t, conn.StateRemove(c), "hooks of the connection complete")
	for hk := range c.RemovalHooks() {
		t.Errorf("%v is left over", hk)
	}
	out.transport, out.rows, out.confirmed = p.Transport(), o.JSON(t), o.Confirmed
	for _, e := range o.Expected {
		out.expected = append(out.expected, e.Resp)
	}
	return out
}

// Match asks p about what both sides have sent, as the analyzer does: turn by turn, until p is sure
// or none are left.
func Match(t testing.TB, p protocol.Parser, turns ...Turn) protocol.Verdict {
	t.Helper()
	var first [2][]byte
	verdict := protocol.Maybe
	for _, turn := range turns {
		side := protocol.Resp
		if turn.FromOrig {
			side = protocol.Orig
		}
		if p.Transport() != conn.TCP {
			first = [2][]byte{} // datagrams stand for themselves
		}
		first[side] = append(first[side], turn.Data...)
		before := [2]string{string(first[0]), string(first[1])}
		verdict = p.Match(first[0], first[1])
		require.Equal(t, before, [2]string{string(first[0]), string(first[1])}, "Match changed the bytes")
		if verdict == protocol.Yes {
			break
		}
	}
	return verdict
}
