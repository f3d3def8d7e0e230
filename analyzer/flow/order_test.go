package flow_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn/analyzer/flow"
)

// A talk builds a conversation, in the order in which it was sent.
type talk struct {
	steps []step
	seq   [2]uint32 // of the client and the server
}

func newTalk() *talk {
	c := &talk{seq: [2]uint32{100, 500}}
	c.say("o", "S", "")
	c.say("r", "SA", "")
	return c
}

// say adds a segment that acknowledges everything the other side has sent.
func (c *talk) say(from, flags, data string) *talk {
	i := strings.Index("or", from)
	x := step{from, flags, c.seq[i], 0, data}
	if strings.Contains(flags, "A") {
		x.ack = c.seq[1-i]
	}
	c.steps = append(c.steps, x)
	c.seq[i] += uint32(len(data))
	if strings.ContainsAny(flags, "SF") {
		c.seq[i]++
	}
	return c
}

// exchange appends a request and its reply.
func (c *talk) exchange(n int, acks bool) *talk {
	c.say("o", "A", fmt.Sprintf("request %d", n))
	if acks {
		c.say("r", "A", "")
	}
	c.say("r", "A", fmt.Sprintf("reply %d", n))
	if acks {
		c.say("o", "A", "")
	}
	return c
}

// conversations returns the steps of talks by name. Each talk begins with "request" or "welcome".
func conversations() map[string][]step {
	all := make(map[string][]step)
	for _, acks := range []bool{true, false} {
		for _, welcome := range []bool{true, false} {
			for end, segments := range map[string][]string{
				"no end": nil, "client's FIN": {"oFA", "rFA", "oA"}, "server's FIN": {"rFA", "oFA", "rA"},
				"FIN and RST": {"oFA", "rA", "rRA"}, "client's RST": {"oRA"}, "server's RST": {"rRA"},
			} {
				c := newTalk()
				if acks || welcome {
					c.say("o", "A", "")
				}
				if welcome {
					c.say("r", "A", "welcome")
				}
				for n := range 4 {
					c.exchange(n, acks)
				}
				c.say("o", "A", "upload")
				c.say("o", "A", " and more")
				c.say("r", "A", "done")
				c.say("r", "A", " and done")
				c.say("o", "A", "")
				for _, s := range segments {
					c.say(s[:1], s[1:], "")
				}
				all[fmt.Sprintf("acks %t, welcome %t, %s", acks, welcome, end)] = c.steps
			}
		}
	}
	return all
}

// lagged returns the steps as they are captured if those of one side are late by the given number
// of segments of the other side.
func lagged(steps []step, from string, by int) (late []step) {
	var waits []step
	var due []int
	others := 0
	for _, s := range steps {
		if s.from == from {
			waits, due = append(waits, s), append(due, others+by)
			continue
		}
		for len(due) > 0 && due[0] <= others {
			late = append(late, waits[0])
			waits, due = waits[1:], due[1:]
		}
		late = append(late, s)
		others++
	}
	return append(late, waits...)
}

var v6client, v6server = netip.MustParseAddrPort("[2001:db8::1]:40000"), netip.MustParseAddrPort("[2001:db8::2]:7000")

// playBetween is play between the given endpoints.
func (h *harness) playBetween(client, server netip.AddrPort, steps []step) {
	for _, s := range steps {
		if s.from == "o" {
			h.tcp(client, server, s.flags, s.seq, s.ack, s.data)
		} else {
			h.tcp(server, client, s.flags, s.seq, s.ack, s.data)
		}
	}
}

// Capturing one direction late, all of it or by some segments, does not change the parser's input.
func TestLateDirection(t *testing.T) {
	for name, steps := range conversations() {
		t.Run(name, func(t *testing.T) {
			for _, ports := range [][]uint16{nil, {7000}} {
				outcome := func(client, server netip.AddrPort, steps []step) (got, row string, weirds []string) {
					p := &fake{name: "request", ports: ports}
					if strings.Contains(name, "welcome true") {
						p.name = "welcome"
					}
					h := newHarness(t, nil, p)
					h.playBetween(client, server, steps)
					require.NoError(t, h.table.Invariants())
					require.LessOrEqual(t, h.table.Len(), 1)
					rows := h.close()
					require.Len(t, rows, 1)
					return p.got.String(), rows[0], h.weirds()
				}
				want, wantRow, _ := outcome(client, server, steps)
				require.Contains(t, want, "request 3<reply 3>upload> and more<done< and done")
				for _, from := range []string{"o", "r"} {
					for by := 1; by <= len(steps); by++ {
						late := lagged(steps, from, by)
						what := fmt.Sprintf("ports %v, %s late by %d", ports, from, by)
						got, row, weirds := outcome(client, server, late)
						assert.Equal(t, want, got, what)
						assert.Equal(t, strings.Fields(wantRow)[1], strings.Fields(row)[1], what)
						assert.Equal(t, strings.Fields(wantRow)[3:], strings.Fields(row)[3:], what)
						weirds = slices.DeleteFunc(weirds, func(s string) bool { return s == "connection_originator_SYN_ack" })
						assert.Empty(t, weirds, what)
						got6, _, _ := outcome(v6client, v6server, late)
						assert.Equal(t, got, got6, what)
						if t.Failed() {
							t.Logf("%v", late)
							return
						}
					}
				}
			}
		})
	}
}

// If the other direction is missing, waiting segments are delivered at the end, or when they become
// too many.
func TestOneDirectionOnly(t *testing.T) {
	for name, from := range map[string]string{"client": "o", "server": "r"} {
		t.Run(name, func(t *testing.T) {
			for what, wait := range map[string]func(h *harness, seq uint32){
				"end": nil,
				"many bytes": func(h *harness, seq uint32) {
					for range 20 {
						h.play(step{from, "A", seq, 700, strings.Repeat("x", 1000)})
						seq += 1000
					}
				},
				"many segments": func(h *harness, seq uint32) {
					for range 1100 {
						h.play(step{from, "A", seq, 700, "x"})
						seq++
					}
				},
			} {
				p := &fake{name: "any", ports: []uint16{7000}}
				h := newHarness(t, func(c *flow.Config) { c.MaxBuffered, c.AttemptTimeout = 10_000, 5*time.Minute }, p)
				flags, seq := "S", uint32(100)
				if from == "r" {
					flags, seq = "SA", 500
				}
				h.play(step{from, flags, seq, 101, ""}, step{from, "A", seq + 1, 700, "any and more"})
				assert.Empty(t, p.got.String())
				if wait != nil {
					wait(h, seq+13)
					assert.Contains(t, p.got.String(), "any and more", what)
					assert.Contains(t, p.got.String(), "x", what)
					assert.Zero(t, h.table.Held(), what)
				}
				require.NoError(t, h.table.Invariants())
				h.close()
				assert.Contains(t, p.got.String(), "any and more", what)
			}
		})
	}
}

// The SYN-ACK is taken as lost when the server continues from the number that the client has
// acknowledged.
func TestLostSYNACKDelaysNothing(t *testing.T) {
	h := newHarness(t, nil)
	h.play(step{"o", "S", 100, 0, ""}, step{"o", "A", 101, 501, ""}, step{"o", "A", 101, 501, "request"})
	assert.NotZero(t, h.table.Held())
	h.play(step{"r", "A", 9_000_000, 108, "decoy"})
	assert.NotZero(t, h.table.Held(), "elsewhere")
	h.play(step{"r", "A", 501, 108, "reply"})
	assert.Zero(t, h.table.Held())
	assert.Equal(t, []string{"40000>7000 OTH SdAD 7/5"}, h.close())
}
