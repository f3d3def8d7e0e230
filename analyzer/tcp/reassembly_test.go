package tcp_test

import "testing"

// Bytes are delivered in order, each once. If several have the same sequence number, the first one
// wins.
func TestReassembly(t *testing.T) {
	for name, s := range map[string]script{
		"in order": handshake + `
			> A 101 501 hello         | >hello
			> A 106 501 world         | >world
		`,
		"a hole that is filled": handshake + `
			> A 106 501 world
			> A 101 501 hello         | >hello >world
		`,
		"two holes": handshake + `
			> A 103 501 c
			> A 105 501 e
			> A 101 501 ab            | >ab >c
			> A 104 501 d             | >d >e
		`,
		"overlaps": handshake + `
			> A 101 501 abc           | >abc
			> A 102 501 bcde          | >de
			> A 103 501 c
			> A 106 501 fgh           | >fgh
		`,
		"a hole, and overlaps after it": handshake + `
			> A 103 501 cd
			> A 107 501 gh
			> A 102 501 bcdefghi
			> A 101 501 a             | >a >b >cdef >ghi
		`,
		"bytes that differ after a hole": handshake + `
			> A 106 501 world
			> A 106 501 wOrld         | rexmit_inconsistency
			> A 101 501 hello         | >hello >world
		`,
		"bytes that differ in a part after a hole": handshake + `
			> A 106 501 world
			> A 104 501 loWo          | rexmit_inconsistency
			> A 101 501 hel           | >hel >lo >world
		`,
		"the same bytes after a hole": handshake + `
			> A 106 501 world
			> A 104 501 lowo
			> A 101 501 hel           | >hel >lo >world
		`,
		"delivered bytes that differ": handshake + `
			> A 101 501 /a            | >/a
			> A 101 501 /b            | rexmit_inconsistency
		`,
		"a delivered byte that differs": handshake + `
			> A 101 501 a             | >a
			> A 101 501 b             | rexmit_inconsistency
		`,
		"delivered bytes again, and more": handshake + `
			> A 101 501 /a            | >/a
			> A 101 501 /ab           | >b
		`,
		"delivered bytes that differ, and more": handshake + `
			> A 101 501 /a            | >/a
			> A 101 501 /bb           | rexmit_inconsistency >b
		`,
		"a part of the delivered bytes": handshake + `
			> A 101 501 /a            | >/a
			> A 102 501 b
		`,
		"delivered bytes that differ, from before": handshake + `
			> A 101 501 /a            | >/a
			> A 103 501 /b            | >/b
			> A 101 501 /a/c          | rexmit_inconsistency
		`,
		"delivered bytes that differ after their ACK": handshake + `
			> A 101 501 /a            | >/a
			< A 501 103
			> A 101 501 /b
		`,
		"keep-alive with garbage": handshake + `
			> A 101 501 hello         | >hello
			> A 106 501 x             | >x
			< A 501 107
			> A 106 501 y
		`,
		"long, the same": handshake + `
			> A 101 501 x*1000        | >x*1000
			> A 101 501 x*1000
		`,
		"long, differs": handshake + `
			> A 101 501 x*1000        | >x*1000
			> A 101 501 y*1000        | rexmit_inconsistency
		`,
		"bytes delivered out of a hole are not compared later": handshake + `
			> A 101 501 hello         | >hello
			> A 107 501 +
			> A 106 501 -             | >- >+
			> A 107 501 %
		`,
		"a hole that is acknowledged": handshake + `
			> A 101 501 hello         | >hello
			> A 116 501 after
			< A 501 121               | >[10] >after
			> A 106 501 toolate123
			> FA 121 501              | >.
		`,
		"a hole after which the sender continues": handshake + `
			> A 101 501 hello         | >hello
			< A 501 121
			> A 116 501 after         | >[10] >after
		`,
		"holes that are acknowledged": handshake + `
			> A 106 501 b
			> A 112 501 c
			< A 501 110               | >[5] >b >[3]
			< A 501 113               | >[2] >c
		`,
		"the end after a missing byte": handshake + `
			> A 101 501 hello         | >hello
			> FA 107 501
			> A 106 501 !             | >! >.
		`,
		"the end after a missing byte that is acknowledged": handshake + `
			> A 101 501 hello         | >hello
			> FA 107 501
			< A 501 108               | >[1] >.
		`,
		"the end after bytes that were acknowledged before it": handshake + `
			< A 501 110
			> FA 104 501 abc len=5    | >[3] truncated_tcp_payload
			end                       | >[5] >.
		`,
		"a jump beyond a window that is unknown": `
			< SA 500 101
			> A 101 501 hello         | >hello
			< A 200000 106 x
			> A 106 200001            | <[199499] <x
		`,
		"an end without data": handshake + `
			> FA 101 501              | >.
			< A 501 102 hello         | <hello
		`,
		"an end with data": handshake + `
			> FA 101 501 hello        | >hello >.
			< FA 501 107 reply        | <reply <. closed
			> A 107 507
		`,
		"across the wraparound of sequence numbers": `
			> S 4294967293
			< SA 4294967295 4294967294
			> A 4294967294 0 hello    | >hello
			< A 0 3 reply             | <reply
			> A 3 5 again             | >again
			= S1 ShDd 10/5
		`,
	} {
		t.Run(name, func(t *testing.T) { play(t, s) })
	}
}
