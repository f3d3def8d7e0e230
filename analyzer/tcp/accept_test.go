package tcp_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"example.com/conn/analyzer/tcp"
)

// continued is the rest of a conversation that begins with greeting.
const continued script = `
	> A 106 506 and           | >and
	< A 506 109 another       | <another
	> FA 109 513              | >.
	< FA 513 110              | <. closed
	> A 110 514               |
`

// begun is a conversation after the handshake.
const begun script = `
	> A 101 501 hi            | >hi
	< A 501 103 reply         | <reply
	> FA 103 506              | >.
	< FA 506 104              | <. closed
	> A 104 507               |
`

// answered is a conversation after the SYN.
const answered script = `
	< SA 500 101              |
	> A 101 501 hello         | >hello
	< A 501 106 reply         | <reply
`

// A SYN within a connection is not accepted until the other side answers it, unless the connection
// has ended: both FINs were acknowledged, or a RST had the next expected sequence number.
func TestSYNOfAnotherConnection(t *testing.T) {
	for name, s := range map[string]script{
		"not while it is established": handshake + `
			> S 9000                  | active_connection_reuse unexpected
			> A 101 501 hello         | >hello
		`,
		"not from the responder either": handshake + `
			< S 9000 - x              | active_connection_reuse unexpected
			> A 101 501 hello         | >hello
		`,
		"but when the other side answers it": handshake + `
			> S 9000                  | active_connection_reuse unexpected
			< SA 7000 9001            | answered
		`,
		"from the responder, if the originator answers it": handshake + `
			< S 9000                  | active_connection_reuse unexpected
			> SA 7000 9001            | answered
		`,
		"not when its own sender answers it": handshake + `
			> S 9000                  | active_connection_reuse unexpected
			> SA 6000 9001            | SYN_seq_jump unexpected
		`,
		"only the latest": handshake + `
			> S 8000                  | active_connection_reuse unexpected
			> S 9000                  | active_connection_reuse unexpected
			< SA 7000 8001            | SYN_seq_jump unexpected
			< SA 7000 9001            | answered
		`,
		"not with another ACK": handshake + `
			> S 9000                  | active_connection_reuse unexpected
			< SA 7000 9000            | SYN_seq_jump unexpected
		`,
		"an answer counts once": handshake + `
			> S 9000                  | active_connection_reuse unexpected
			< SA 7000 9001            | answered
			< SA 7000 9001            | SYN_seq_jump unexpected
		`,
		"in place of an attempt": `
			> S 100
			> S 9000                  | SYN_seq_jump unexpected
			< SA 500 9001             | answered
		`,
		"in place of an attempt, which is answered": `
			> S 100
			> S 9000                  | SYN_seq_jump unexpected
			< SA 500 101
			< A 501 9001
		`,
		"retransmitted SYN": handshake + `
			> S 100
		`,
		"after a RST in the window": greeting + `
			> R 300
			> S 9000                  | active_connection_reuse unexpected
		`,
		"after an expected RST": greeting + `
			> R 106                   | closed
			> S 9000                  | active_connection_reuse begins
		`,
		"after a RST that was forged": greeting + `
			> R 106                   | closed
			> A 106 506 -             | data_after_reset >- reopened
			> S 9000                  | active_connection_reuse unexpected
		`,
		"after the FIN of one side": greeting + `
			> FA 106 506              | >.
			> S 9000                  | active_connection_reuse unexpected
		`,
		"after FINs in the window": greeting + `
			> FA 300 506
			< FA 700 106
			> A 106 506
			> S 9000                  | active_connection_reuse unexpected
		`,
		"after FINs, one in the window": greeting + `
			> FA 106 506              | >.
			< FA 700 107
			> S 9000                  | active_connection_reuse unexpected
		`,
		"after expected FINs": greeting + `
			> FA 106 506              | >.
			< FA 506 107              | <. closed
			> S 9000                  | premature_connection_reuse begins
		`,
		"after FINs, one acknowledged": greeting + `
			> FA 300 506
			< FA 506 301              | >[194] >. <. closed
			> S 9000                  | premature_connection_reuse begins
		`,
		"after a FIN and the expected RST": greeting + `
			> FA 106 506              | >.
			< R 506                   | closed
			> S 9000                  | begins
		`,
		"with sequence number 0": `
			> S 100
			> S 0                     | SYN_seq_jump unexpected
		`,
		"after a SYN-ACK of the originator": `
			> SA 500 101
			> S 9000                  | active_connection_reuse begins
		`,
		"after matching FINs far away": `
			> S 100
			< SA 500 101
			> FA 3000000101 501
			< FA 2000000501 3000000102
			end                       | closed
			> S 9000                  | premature_connection_reuse begins
		`,
	} {
		t.Run(name, func(t *testing.T) { play(t, s) })
	}
}

// Only a SYN-ACK of the server that acknowledges the client's SYN competes with the first one, and
// only until the client has acknowledged that. It is kept.
func TestWhatCompetes(t *testing.T) {
	const attempt script = `
		> S 100
		< SA 500 101
	`
	for name, c := range map[string]struct {
		before script
		line   string
		want   bool
	}{
		"another SYN-ACK":     {attempt, "< SA 900 101", true},
		"the same":            {attempt, "< SA 500 101", false},
		"a SYN":               {attempt, "< S 900 101", false},
		"with FIN":            {attempt, "< SFA 900 101", false},
		"with RST":            {attempt, "< SRA 900 101", false},
		"an old ACK":          {attempt, "< SA 900 100", false},
		"an early ACK":        {attempt, "< SA 900 102", false},
		"of the client":       {attempt, "> SA 900 101", false},
		"after the handshake": {handshake, "< SA 900 101", false},
		"without a SYN":       {"< SA 500 101\n> RA 101 501 | closed", "< SA 900 101", false},
	} {
		t.Run(name, func(t *testing.T) {
			p := play(t, c.before)
			p.step(t, c.line)
			assert.Equal(t, c.want, p.conn.Held(tcp.Orig)+p.conn.Held(tcp.Resp) > 0)
		})
	}
}

// Segments that every host drops, or queues as future data, do not change the sink's input.
func TestForgedSegments(t *testing.T) {
	for name, s := range map[string]script{
		"FIN without ACK": greeting + `
			> F 106                   | data_without_ACK
		` + continued,
		"reply's FIN without ACK": greeting + `
			< F 506                   | data_without_ACK
		` + continued,
		"FIN before": greeting + `
			> FA 105 506              | segment_outside_window
		` + continued,
		"reply's FIN before": greeting + `
			< FA 505 106              | segment_outside_window
		` + continued,
		"FIN ahead": greeting + `
			> FA 107 506
			> A 106 506 and           | >and
			< A 506 109 another       | <another
			> FA 109 513              | FIN_advanced_last_seq >.
			< FA 513 110              | <. closed
			> A 110 514
		`,
		"FIN far ahead": greeting + `
			> FA 1106 506
		` + continued,
		"reply's FIN ahead": greeting + `
			< FA 507 106
			> A 106 506 and           | >and
			< A 506 109 another       | <another
			> FA 109 513              | >.
			< FA 513 110              | FIN_advanced_last_seq <. closed
			> A 110 514
		`,
		"FIN with early ACK": greeting + `
			> FA 106 600
			> A 106 506 and           | >and
			< A 506 109 another       | <another
			> FA 109 513              | FIN_advanced_last_seq >.
			< FA 513 110              | <. closed
			> A 110 514
		`,
		"FIN with early ACK, then the other FIN": greeting + `
			> FA 106 600
			< FA 506 106              | <.
			> A 106 507 and           | >and
			> FA 109 507              | FIN_advanced_last_seq >. closed
			< A 507 110
		`,
		"both FINs ahead": greeting + `
			> FA 107 506
			< FA 507 106
			> A 106 506 and           | >and
			< A 506 109 another       | <another
			> FA 109 513              | FIN_advanced_last_seq >.
			< FA 513 110              | FIN_advanced_last_seq <. closed
			> A 110 514
		`,
		"both FINs ahead, and a SYN": greeting + `
			> FA 107 506
			< FA 507 106
			> S 9000000               | active_connection_reuse unexpected
			> A 106 506 and           | >and
			< A 506 109 another       | <another
			> FA 109 513              | FIN_advanced_last_seq >.
			< FA 513 110              | FIN_advanced_last_seq <. closed
			> A 110 514
		`,
		"early ACK": greeting + `
			> A 106 507
		` + continued,
		"much too early ACK": greeting + `
			> A 106 1506
		` + continued,
		"early ACK of the server": greeting + `
			< A 506 107
		` + continued,
		"early ACKs, then a FIN": greeting + `
			< A 506 107
			> A 106 507
			> FA 105 506              | segment_outside_window
		` + continued,
		"ACK far ahead": greeting + `
			> A 106 60000506          | ack_outside_window
		` + continued,
		"data with early ACK": greeting + `
			> A 106 1506 decoy
		` + continued + `
			end                       | ack_outside_window
		`,
		"data with ACK far ahead": greeting + `
			> A 106 60000506 decoy    | ack_outside_window
		` + continued + `
			end                       | ack_outside_window
		`,
		"data with old ACK": greeting + `
			> A 106 400 decoy         | TCP_ack_underflow_or_misorder
		` + continued,
		"data with ACK of 0": greeting + `
			> A 106 0 decoy           | TCP_ack_underflow_or_misorder
		` + continued,
		"reply with early ACK": greeting + `
			< A 506 1106 decoy
		` + continued + `
			end                       | ack_outside_window
		`,
		"data without ACK": greeting + `
			> - 106 - decoy           | data_without_ACK
			> - 106
		` + continued,
		"data far beyond the window": greeting + `
			> A 10000000 506 junk     | segment_outside_window
		` + continued,
		"RST before": greeting + `
			> RA 102 506              | segment_outside_window
		` + continued,
		"RST far beyond the window": greeting + `
			> RA 10000000 506         | segment_outside_window
		` + continued,
		"SYN of the server": greeting + `
			< S 500                   | active_connection_reuse unexpected
		` + continued,
		"SYN-ACK of the client": greeting + `
			> SA 9000000 506          | SYN_seq_jump unexpected
			> A 9000001 506 decoy     | segment_outside_window
		` + continued,
		"RST ahead": greeting + `
			> R 107
			> A 106 506 and           | data_after_reset >and
			< A 506 109 another       | <another
			> FA 109 513              | >.
			< FA 513 110              | <. closed
			> A 110 514
		`,
		"RST ahead, twice": greeting + `
			> R 107
			> R 108
			> A 106 506 and           | data_after_reset >and
			< A 506 109 another       | <another
			> FA 109 513              | >.
			< FA 513 110              | <. closed
			> A 110 514
		`,
		"expected RST, then the request again": greeting + `
			> R 106                   | closed
			> A 101 501 hello         | data_after_reset
		`,
		"RST ahead, then the expected one": greeting + `
			> R 107
			> R 106                   | closed
		`,
		"expected RST, again after the connection has continued": greeting + `
			> R 106                   | closed
			> A 106 506 and           | data_after_reset >and reopened
			> R 109                   | closed
		`,
		"RST ahead of the server": greeting + `
			< R 507
			> A 106 506 and           | >and
			< A 506 109 another       | data_after_reset <another
			> FA 109 513              | >.
			< FA 513 110              | <. closed
			> A 110 514
		`,
		"RST ahead, and a SYN": greeting + `
			> R 107
			> S 9000000               | active_connection_reuse unexpected
			> A 106 506 and           | data_after_reset >and
			< A 506 109 another       | <another
			> FA 109 513              | >.
			< FA 513 110              | <. closed
			> A 110 514
		`,
		"RST ahead of acknowledged data": greeting + `
			> A 1106 506
			> R 1106
			> S 9000000               | active_connection_reuse unexpected
			> A 106 506 and           | data_after_reset >and
			< A 506 109 another       | <another
			> FA 109 513              | >.
			< FA 513 110              | <. closed
			> A 110 514
		`,
		"RST before, and a SYN": greeting + `
			> R 101                   | segment_outside_window
			> S 9000000               | active_connection_reuse unexpected
		` + continued,
		"expected RST, but the connection continues": greeting + `
			> R 106                   | closed
			> A 106 506 and           | data_after_reset >and reopened
			< A 506 109 another       | <another
			> FA 109 513              | >.
			< FA 513 110              | <. closed
			> A 110 514
		`,
		"RST after acknowledged data that was not captured": greeting + `
			< A 506 116
			> R 116
		`,
		"FIN again": greeting + `
			> FA 106 506              | >.
			> FA 106 506
		`,
		"FIN followed by data": greeting + `
			> FA 106 506              | >.
			< A 506 107
			> A 107 506 more
		`,
		"FIN ahead of continuing data": `
			> A 100 500 x             | >x
			> FA 102 500              | closed
			> A 101 500 more          | >more reopened
			> A 105 500 on            | >on
		`,
		"a byte without ACK": greeting + `
			> - 106 - x               | data_without_ACK
		` + continued,
	} {
		t.Run(name, func(t *testing.T) { play(t, s) })
	}
}

// The same before either side has sent data.
func TestForgedSegmentsAtFirst(t *testing.T) {
	for name, s := range map[string]script{
		"FIN without ACK": handshake + `
			> F 101                   | data_without_ACK
		` + begun,
		"FIN before": handshake + `
			> FA 100 501
			> A 101 501 hi            | >hi
			< A 501 103 reply         | <reply
			> FA 103 506              | FIN_advanced_last_seq >.
			< FA 506 104              | <. closed
			> A 104 507
		`,
		"FIN long before": handshake + `
			> FA 4294966397 501
			> A 101 501 hi            | >hi
			< A 501 103 reply         | <reply
			> FA 103 506              | FIN_advanced_last_seq >.
			< FA 506 104              | <. closed
			> A 104 507
		`,
		"FIN far away": handshake + `
			> FA 2147483749 501
			> A 101 501 hi            | >hi
			< A 501 103 reply         | <reply
			> FA 103 506              | FIN_advanced_last_seq >.
			< FA 506 104              | <. closed
			> A 104 507
		`,
		"FIN ahead": handshake + `
			> FA 102 501
			> A 101 501 hi            | >hi
			< A 501 103 reply         | <reply
			> FA 103 506              | FIN_advanced_last_seq >.
			< FA 506 104              | <. closed
			> A 104 507
		`,
		"reply's FIN before": handshake + `
			< FA 4294966797 101       | TCP_seq_underflow_or_misorder segment_outside_window
		` + begun,
		"early ACK": handshake + `
			> A 101 502
		` + begun,
		"data with early ACK": handshake + `
			> A 101 502 decoy
		` + begun + `
			end                       | ack_outside_window
		`,
		"SYN of the server": handshake + `
			< S 500                   | active_connection_reuse unexpected
		` + begun,
		"RST ahead": handshake + `
			> R 102
			> A 101 501 hi            | data_after_reset >hi
			< A 501 103 reply         | <reply
			> FA 103 506              | >.
			< FA 506 104              | <. closed
			> A 104 507
		`,
	} {
		t.Run(name, func(t *testing.T) { play(t, s) })
	}
}

// Nobody can answer a SYN without knowing its sequence number. Of several answers, the client's ACK
// shows which one it has accepted.
func TestForgedAnswers(t *testing.T) {
	for name, s := range map[string]script{
		"SYN-ACK with an old ACK": `
			> S 100
			< SA 900 90               | bad_SYN_ack
		` + answered,
		"SYN-ACK whose ACK is too low by one": `
			> S 100
			< SA 900 100              | bad_SYN_ack
		` + answered,
		"SYN-ACK whose ACK is too high by one": `
			> S 100
			< SA 900 102              | bad_SYN_ack
		` + answered,
		"RST with a wrong number": `
			> S 100
			< RA 0 100                | segment_outside_window
		` + answered,
		"RST above the SYN": `
			> S 100
			< RA 0 102                | segment_outside_window
		` + answered,
		"RST": `
			> S 100
			< R 900                   | segment_outside_window
		` + answered,
		"RST that fits, then the SYN-ACK": `
			> S 100
			< RA 0 101                | closed
			< SA 500 101              | reopened
			> A 101 501 hello         | >hello
			< A 501 106 reply         | <reply
		`,
		"RST with data": `
			> S 100
			< RA 0 101 decoy          | closed
			< SA 500 101              | reopened
			> A 101 501 hello         | >hello
			< A 501 106 reply         | <reply
		`,
		"FIN": `
			> S 100
			< F 900                   | segment_outside_window
		` + answered,
		"FIN with a wrong number": `
			> S 100
			< FA 900 700              | segment_outside_window
		` + answered,
		"FIN with the right number": `
			> S 100
			< FA 900 101              | segment_outside_window
		` + answered,
		"data": `
			> S 100
			< - 900 - decoy           | segment_outside_window
		` + answered,
		"data with a wrong number": `
			> S 100
			< A 900 700 decoy         | segment_outside_window
		` + answered,
		"data with the right number": `
			> S 100
			< A 900 101 decoy         | segment_outside_window
		` + answered,
		"ACK with a wrong number": `
			> S 100
			< A 900 700
		` + answered,
		"ACK with the right number": `
			> S 100
			< A 900 101
		` + answered,
		"SYN of the server": `
			> S 100
			< S 900                   | simultaneous_open
			< SA 500 101              | SYN_seq_jump unexpected
			> A 101 501 hello         | >hello
			< A 501 106 reply         | <reply
		`,
		"SYN and FIN": `
			> S 100
			< SF 900                  | bad_SYN_ack
		` + answered,
		"SYN and RST": `
			> S 100
			< SR 900                  | bad_SYN_ack
		` + answered,
		"SYN, RST and ACK": `
			> S 100
			< SRA 900 101             | TCP_christmas closed
			< SA 500 101              | SYN_seq_jump unexpected
			> A 101 501 hello         | >hello reopened
			< A 501 106 reply         | <reply
		`,
		"SYN and RST, captured after the true SYN-ACK": `
			> SA 500 101
			< SR 100                  | TCP_christmas ^ closed
			> A 101 501 hello         | data_after_reset >hello reopened
			< A 501 106 reply         | <reply
		`,
		"data of a SYN, which waits like that of a SYN-ACK": `
			> S 3000000000
			< S 500 - welcome         | SYN_with_data simultaneous_open
			> A 3000000001 508 hello  | <welcome >hello
		`,
		"data with an old ACK, if the SYN was not captured": `
			< SA 500 101
			> A 101 501 hello         | >hello
			< A 501 50 decoy          | TCP_ack_underflow_or_misorder
			< A 501 106 reply         | <reply
		`,
		"client's FIN": `
			> S 100
			> F 101                   | inappropriate_FIN
		` + answered,
		"client's FIN far away": `
			> S 100
			> F 9000000               | segment_outside_window
		` + answered,
		"client's FIN before it": `
			> S 100
			> F 90                    | segment_outside_window
		` + answered,
		"client's FIN and ACK far away": `
			> S 100
			> FA 9000000 7            | segment_outside_window
		` + answered,
		"client's SYN-ACK": `
			> S 100
			> SA 9000000 7            | SYN_seq_jump unexpected
		` + answered,
		"client's SYN with all flags": `
			> S 100
			> SFRA 9000000 7          | SYN_seq_jump unexpected
		` + answered,
		"client's data": `
			> S 100
			> - 101 - decoy           | data_before_established
		` + answered,
		"client's RST": `
			> S 100
			> R 101                   | closed
			< SA 500 101
			> A 101 501 hello         | >hello reopened
			< A 501 106 reply         | <reply
		`,
		"client's RST elsewhere": `
			> S 100
			> R 5000                  | closed
			< SA 500 101
			> A 101 501 hello         | >hello reopened
			< A 501 106 reply         | <reply
			= S1 SRhDd 5/5
		`,
		"another SYN": `
			> S 100
			> S 9000000               | SYN_seq_jump unexpected
		` + answered,
		"SYN-ACK, before the SYN-ACK of another host": `
			> S 100
			< SA 900 101
			< SA 500 101              | SYN_seq_jump unexpected
			> A 101 501 hello         | >hello
			< A 501 106 reply         | <reply
		`,
		"SYN-ACK with data, before the true one": `
			> S 100
			< SA 900 101 decoy        | SYN_with_data
			< SA 500 101              | SYN_seq_jump unexpected
			> A 101 501 hello         | >hello
			< A 501 106 reply         | <reply
		`,
		"SYN-ACK with data, after the true one": `
			> S 100
			< SA 500 101
			< SA 900 101 decoy        | SYN_seq_jump unexpected
			> A 101 501 hello         | >hello
			< A 501 106 reply         | <reply
		`,
		"SYN-ACK, before the true one with data": `
			> S 100
			< SA 900 101
			< SA 500 101 welcome      | SYN_seq_jump unexpected
			> A 101 508 hello         | SYN_with_data <welcome >hello
			< A 508 106 reply         | <reply
		`,
		"SYN-ACK with data, before the true one with data": `
			> S 100
			< SA 900 101 decoy        | SYN_with_data
			< SA 500 101 welcome      | SYN_seq_jump unexpected
			< SA 500 101 welcome      | SYN_seq_jump unexpected
			> A 101 508 hello         | SYN_with_data <welcome >hello
			< A 508 106 reply         | <reply
		`,
		"SYN-ACK, before the client's ACK and the true one with data": `
			> S 100
			< SA 900 101
			> A 101 501               | TCP_ack_underflow_or_misorder
			< SA 500 101 welcome      | SYN_seq_jump unexpected
			> A 101 508 hello         | SYN_with_data <welcome >hello
			< A 508 106 reply         | <reply
		`,
		"SYN-ACK, before the true one with data that is not captured whole": `
			> S 100
			< SA 900 101
			< SA 500 101 welcome len=9 | SYN_seq_jump unexpected
			> A 101 510 hello         | SYN_with_data truncated_tcp_payload <[9] >hello
			< A 510 106 reply         | <reply
		`,
		"SYN-ACK and data, before the true ones": `
			> S 100
			< SA 900 101
			< A 901 101 decoy
			< SA 500 101              | SYN_seq_jump unexpected
			> A 101 501 hello         | >hello
			< A 501 106 reply         | <reply
		`,
		"SYN-ACK after the client has acknowledged the true one": `
			> S 100
			< SA 500 101
			> A 101 501
			< SA 900 101              | SYN_seq_jump unexpected
			> A 101 501 hello         | >hello
		`,
		"true SYN-ACK after a forged one and the client's ACK": `
			> S 100
			< SA 900 101
			> A 101 501               | TCP_ack_underflow_or_misorder
			< SA 500 101              | SYN_seq_jump unexpected
			> A 101 501 hello         | >hello
		`,
		"true SYN-ACK after a forged one that is shortly before it": `
			> S 100
			< SA 400 101
			> A 101 501
			< SA 500 101              | SYN_seq_jump unexpected
			> A 101 501 hello         | >hello
			< A 501 106 reply         | <reply
		`,
		"true SYN-ACK and its banner after a forged one that is shortly before it": `
			> S 100
			< SA 400 101
			> A 101 501
			< SA 500 101              | SYN_seq_jump unexpected
			< A 501 101 welcome
			> A 101 508 hello         | <welcome >hello
		`,
		"SYN-ACK between the true one and the client's ACK": `
			> S 100
			< SA 500 101
			> A 101 508
			< SA 504 101              | SYN_seq_jump unexpected
			< A 508 101 more          | <[7] <more
		`,
		"SYN-ACK at the end of delivered data does not compete": `
			> S 100
			< SA 400 101
			< A 401 101 x*100
			> A 101 501               | <x*100
			< SA 500 101              | SYN_seq_jump unexpected
		`,
		"forged ACK of the other SYN-ACK after the client has chosen": `
			> S 100
			< SA 500 101
			< SA 9000 101             | SYN_seq_jump unexpected
			> A 101 501
			> A 101 9001
			< A 501 101 reply         | <reply
		`,
		"two SYN-ACKs, of which the client acknowledges neither": `
			> S 100
			< SA 900 101
			< SA 500 101              | SYN_seq_jump unexpected
			> A 101 300 hello         | TCP_ack_underflow_or_misorder
			end
		`,
		"two SYN-ACKs, one of which the client acknowledges with its data": `
			> S 100
			< SA 900 101
			< SA 500 101              | SYN_seq_jump unexpected
			< A 501 101 welcome
			> A 101 508 hello         | <welcome >hello
		`,
		"ten SYN-ACKs": `
			> S 100
			< SA 900 101
			< SA 901 101              | SYN_seq_jump unexpected
			< SA 902 101              | SYN_seq_jump unexpected
			< SA 903 101              | SYN_seq_jump unexpected
			< SA 904 101              | SYN_seq_jump unexpected
			< SA 905 101              | SYN_seq_jump unexpected
			< SA 906 101              | SYN_seq_jump unexpected
			< SA 907 101              | SYN_seq_jump unexpected
			< SA 500 101              | SYN_seq_jump unexpected
			< SA 908 101              | SYN_seq_jump unexpected
			> A 101 501 hello         | >hello
		`,
		"SYN-ACK, before the true one and segments that seem to acknowledge the forged one": `
			> S 100
			< SA 900 101
			< SA 500 101              | SYN_seq_jump unexpected
			> - 101 901
			> SA 100 901
			> RA 101 901              | closed
			> A 101 501 hello         | data_after_reset >hello reopened
			< A 501 106 reply         | <reply
		`,
		"the same SYN-ACK twice": `
			> S 100
			< SA 900 101
			< SA 500 101              | SYN_seq_jump unexpected
			< SA 500 101              | SYN_seq_jump unexpected
			> A 101 501 hello         | >hello
		`,
		"SYN-ACK with FIN does not compete": `
			> S 100
			< SA 900 101
			< SAF 500 101             | SYN_seq_jump unexpected
		`,
		"SYN-ACK of another SYN does not compete": `
			> S 100
			< SA 900 101
			< SA 500 300              | SYN_seq_jump unexpected
		`,
		"data in the SYN-ACK waits for the client's ACK": `
			> S 100
			< SA 500 101 welcome      | SYN_with_data
			> A 101 508 hello         | <welcome >hello
		`,
		"data in the SYN-ACK that is not captured whole": `
			> S 100
			< SA 500 101 welcome len=9 | SYN_with_data truncated_tcp_payload
			> A 101 510 hello         | <[9] >hello
			< A 510 106 reply         | <reply
		`,
		"forged RST of the client": `
			> S 100
			> R 101                   | closed
			< SA 500 101
			> A 101 501 hello         | >hello reopened
			< FA 501 106              | <.
			> FA 106 502              | >. closed
		`,
		"forged RST of the client, and a wrong number": `
			> S 100
			> R 101                   | closed
			< SA 500 101
			> A 102 501
		`,
		"forged RST of the client, and a wrong ACK": `
			> S 100
			> R 101                   | closed
			< SA 500 101
			> A 101 502 hello         | data_after_reset >hello reopened
		`,
		"SYN-ACKs near one another, told apart by their data": `
			> S 100                   |
			< SA 501 101              |
			< SA 500 101 welcome      | SYN_seq_jump unexpected
			< SA 502 101 decoy        | SYN_seq_jump unexpected
			> A 101 508 hello         | SYN_with_data <welcome >hello
		`,
		"SYN-ACKs near one another, the first one told apart by its data": `
			> S 100                   |
			< SA 500 101 welcome      | SYN_with_data
			< SA 501 101              | SYN_seq_jump unexpected
			> A 101 508 hello         | <welcome >hello
		`,
		"SYN-ACKs near one another, told apart by the banner": `
			> S 100                   |
			< SA 505 101              |
			< SA 500 101              | SYN_seq_jump unexpected
			< A 501 101 welcome       |
			> A 101 508 hello         | <welcome >hello
		`,
	} {
		t.Run(name, func(t *testing.T) { play(t, s) })
	}
}

// Segments beyond the window that the other side has granted are not accepted.
func TestWindow(t *testing.T) {
	for name, s := range map[string]script{
		"end of the slack": handshake + `
			> A 66637 501 x
		`,
		"beyond the slack": handshake + `
			> A 66638 501 x           | segment_outside_window
		`,
		"ACK at the end of the slack": handshake + `
			> A 101 67037
		`,
		"ACK beyond the slack": handshake + `
			> A 101 67038             | ack_outside_window
		`,
		"SYN without a window": `
			> S 100 - w=0
			< SA 500 101 w=0
			> A 101 501 w=0
			< A 66037 101 x
			< A 66038 101 x
		`,
		"scaled": `
			> S 100 - w=60000 scale=7
			< SA 500 101 w=60000 scale=7
			> A 101 501 hello w=10000 | >hello
			< A 501 106 w=10000
			> A 1280106 501 in        | window_recision
			> A 1350120 501 out       | segment_outside_window
			< A 501 106 w=9999        | window_recision
		`,
		"scaled by more than allowed": `
			> S 100 - w=60000 scale=14
			< SA 500 101 w=60000 scale=20
			> A 101 501
			< A 501 101 w=1000
			> A 16384101 501 in
			> A 16454115 501 out      | segment_outside_window
		`,
		"of a segment whose ACK is not accepted": `
			> S 100 - scale=14
			< SA 500 101
			> A 101 501 w=1
			> A 101 900000000 w=60000 | ack_outside_window
			< A 10000000 101 x        | segment_outside_window
		`,
		"unscaled, since the SYN was not captured": `
			> A 100 500 x             | >x
			< A 500 101 y             | <y
			> A 5000101 501 far
		`,
		"stream that continues without ACKs": handshake + `
			> A 101 501 x*60000       | >x*60000
			> A 60101 501 x*60000     | >x*60000
			> A 120101 501 x*60000    | >x*60000
			> A 180101 501 x*60000    | >x*60000
		`,
		"hole confirmed by an ACK": greeting + `
			< A 10000506 106 after    | segment_outside_window
			> A 106 10000511          | ack_outside_window
			< A 10000511 106 more
			> A 106 10000515          | <[10000005] <more
		`,
		"hole not confirmed by an ACK elsewhere": greeting + `
			> A 106 10000511          | ack_outside_window
			< A 20000511 106 more     | segment_outside_window
		`,
		"old segment with an early ACK": handshake + `
			> A 101 501 hello         | >hello
			< A 501 106 x*60000       | <x*60000
			> A 106 60501
			< A 60501 106 x*60000     | <x*60000
			> A 106 120501
			< A 501 206               | segment_outside_window
			> A 106 120501 again      | >again
		`,
		"last byte that an ACK beyond the window confirms": greeting + `
			> A 106 10000511          | ack_outside_window
			< A 10066048 106 x        | segment_outside_window
			< A 10066047 106 x        |
		`,
		"first byte that an ACK beyond the window confirms": greeting + `
			> A 106 10000511          | ack_outside_window
			< A 9934974 106 x         | segment_outside_window
			< A 9934975 106 x         |
		`,
		"old segment again": handshake + `
			> A 101 501 hello         | >hello
			< A 501 106 x*60000       | <x*60000
			> A 106 60501             |
			< A 60501 106 x*60000     | <x*60000
			> A 106 120501            |
			< A 501 106               |
		`,
		"ACK of 0 that is near": `
			> S 4294967200
			< SA 500 4294967201
			> A 4294967201 501
			< A 501 0
			= S1 ShAaG 95/0
		`,
		"ACK of 0 that is far ahead": `
			> S 100
			< SA 3000000000 101
			> A 101 3000000001
			> A 101 0 decoy
			> A 101 3000000001 hello  | >hello
		`,
	} {
		t.Run(name, func(t *testing.T) { play(t, s) })
	}
}
