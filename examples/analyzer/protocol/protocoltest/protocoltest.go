// Package protocoltest plays conversations to a parser, cut into packets in any way, and checks what every parser
// promises to the flow table.
package protocoltest

import (
	"encoding/json"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/conn"
	"example.com/conn/examples/analyzer/logs"
	"example.com/conn/examples/analyzer/protocol"
)

// MaxHeld is how many bytes of one side a parser may leave to the flow table, waiting for more.
const MaxHeld = 64 << 10

// A Turn is what one side sends, or loses, before the other sends.
type Turn struct {
	FromOrig bool
	Data     string
	Lost     int // bytes that are missing after Data
	End      bool
}

// Orig and Resp make turns of the two sides.
func Orig(data string) Turn { return Turn{FromOrig: true, Data: data} }
func Resp(data string) Turn { return Turn{Data: data} }

// Ends returns the two turns that end a connection well.
func Ends() []Turn { return []Turn{{FromOrig: true, End: true}, {End: true}} }

// Encode makes turns the input of a fuzz test, and Decode makes an input, whatever its bytes are, turns. A byte tells
// the side, whether bytes are lost, and how many bytes there are.
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

// A Recorder is a protocol.Owner that keeps what parsers tell it.
type Recorder struct {
	Rows      []any
	Expected  []Expected
	Confirmed bool
	Weirds    []string // names, each once
}

func (r *Recorder) Log(row logs.Row) { r.Rows = append(r.Rows, row) }

func (r *Recorder) Register(c *conn.Connection, hk conn.RemovalHook) bool {
	return conn.Register(c, hk)
}

func (r *Recorder) Unregister(c *conn.Connection, hk conn.RemovalHook) bool {
	return conn.Unregister(c, hk)
}

func (r *Recorder) Confirm(*conn.Connection) { r.Confirmed = true }

func (r *Recorder) Weird(_ *conn.Connection, name, _ string) {
	if !slices.Contains(r.Weirds, name) {
		r.Weirds = append(r.Weirds, name)
	}
}

func (r *Recorder) Expect(orig netip.Addr, resp netip.AddrPort, service string, attach func(c *conn.Connection)) {
	r.Expected = append(r.Expected, Expected{orig, resp, service, attach})
}

// JSON returns the rows as they are written.
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

// Conn returns a connection to play a conversation on.
func Conn() *conn.Connection {
	return &conn.Connection{
		ID: conn.ID{
			Orig:  netip.MustParseAddrPort("192.0.2.1:40000"),
			Resp:  netip.MustParseAddrPort("198.51.100.2:80"),
			Proto: conn.TCP,
		},
		UID:   "CTest",
		Start: Start,
	}
}

// A Result is what came of playing a conversation.
type Result struct {
	protocol.Next
	Rest [2]string // what the parser left of the originator and of the responder, in that order, for another protocol
}

// Play plays turns to p on c. It does what the flow table does but for the removal of c, and fails t where p does not keep
// its promises.
func Play(t testing.TB, p protocol.Parser, c *conn.Connection, turns ...Turn) Result {
	return play(t, p, c, turns, func(_ int, data string) int { return len(data) })
}

// play is Play with turns cut into packets: packet returns how many bytes the next packet takes of what is left of a turn.
func play(
	t testing.TB, p protocol.Parser, c *conn.Connection, turns []Turn, packet func(turn int, data string) int,
) (res Result) {
	stream, _ := p.(protocol.StreamParser)
	var held [2][]byte
	var ended [2]bool
	for i, turn := range turns {
		side := protocol.Resp
		if turn.FromOrig {
			side = protocol.Orig
		}
		if ended[side] {
			continue
		}
		pkt := protocol.Packet{Time: Start.Add(time.Duration(i) * time.Second), Side: side}
		for data := turn.Data; data != ""; {
			part := data[:packet(i, data)]
			data = data[len(part):]
			held[side] = append(held[side], part...)
			if res.Next != protocol.More {
				continue
			}
			offered := append([]byte(nil), held[side]...)
			n, next := p.Data(c, pkt, offered)
			require.True(t, n >= 0 && n <= len(offered), "took %d of %d bytes", n, len(offered))
			for i := range offered {
				offered[i] = '?' // the parser must not have kept it
			}
			held[side] = append([]byte(nil), held[side][n:]...)
			require.LessOrEqual(t, len(held[side]), MaxHeld)
			res.Next = next
		}
		if res.Next == protocol.More && turn.Lost > 0 && stream != nil {
			held[side] = nil
			res.Next = stream.Gap(c, pkt, turn.Lost)
		}
		if turn.End {
			ended[side] = true
			if res.Next == protocol.More && stream != nil {
				stream.End(c, pkt)
			}
		}
	}
	if res.Next == protocol.HandOver {
		res.Rest = [2]string{string(held[0]), string(held[1])}
	}
	return res
}

// Rows plays turns to a new parser, removes the connection and returns the rows in JSON. It checks that the rows, and all
// else, are the same in packets of some small sizes, and when one turn comes in two packets that are cut at any byte (of
// a turn of several thousand bytes, at any byte near its ends).
func Rows(t testing.TB, parser func(protocol.Owner) protocol.Parser, turns ...Turn) []string {
	t.Helper()
	const long = 1000
	want := sameInSmallPackets(t, parser, turns)
	for i, turn := range turns {
		for at := 1; at < len(turn.Data); at++ {
			if at == long {
				at = max(at, len(turn.Data)-long)
			}
			got := run(t, parser, turns, func(j int, data string) int {
				if j == i && len(data) == len(turn.Data) {
					return at
				}
				return len(data)
			})
			require.Equal(t, want, got, "turn %d cut at %d", i, at)
		}
	}
	return want.rows
}

// FuzzRows is Rows without the cuts at any byte, which take long.
func FuzzRows(t testing.TB, parser func(protocol.Owner) protocol.Parser, turns ...Turn) []string {
	t.Helper()
	return sameInSmallPackets(t, parser, turns).rows
}

func sameInSmallPackets(t testing.TB, parser func(protocol.Owner) protocol.Parser, turns []Turn) outcome {
	t.Helper()
	want := run(t, parser, turns, func(_ int, data string) int { return len(data) })
	for _, size := range []int{1, 2, 7, 64} {
		got := run(t, parser, turns, func(_ int, data string) int { return min(size, len(data)) })
		require.Equal(t, want, got, "packets of %d bytes", size)
	}
	return want
}

// outcome is what must not depend on how bytes are cut into packets.
type outcome struct {
	rows     []string
	expected []netip.AddrPort
	res      Result
}

func run(
	t testing.TB, parser func(protocol.Owner) protocol.Parser, turns []Turn, packet func(turn int, data string) int,
) (out outcome) {
	o := &Recorder{}
	c := Conn()
	out.res = play(t, parser(o), c, turns, packet)
	require.True(t, conn.StateRemove(c), "hooks of the connection complete")
	for hk := range c.RemovalHooks() {
		t.Errorf("%v is left over", hk)
	}
	out.rows = o.JSON(t)
	for _, e := range o.Expected {
		out.expected = append(out.expected, e.Resp)
	}
	return out
}
