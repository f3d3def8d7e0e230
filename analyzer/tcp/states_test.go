package tcp_test

import "testing"

// The conn.log row of a connection: Zeek's conn_state, the history, and the bytes of both sides.
func TestStates(t *testing.T) {
	for name, s := range map[string]script{
		"attempt": `
			> S 100
			= S0 S 0/0
		`,
		"repeated attempt": `
			> S 100
			> S 100
			= S0 S 0/0
		`,
		"rejected": `
			> S 100
			< RA 0 101                | closed
			= REJ Sr 0/0
		`,
		"aborted attempt": `
			> S 100
			> R 101                   | closed
			= RSTOS0 SR 0/0
		`,
		"attempt with FIN": `
			> S 100
			> F 101                   | inappropriate_FIN
			= SH SF 0/0
		`,
		"established": `
			> S 100
			< SA 500 101
			> A 101 501
			= S1 ShA 0/0
		`,
		"normal end": handshake + `
			> FA 101 501              | >.
			< FA 501 102              | <. closed
			> A 102 502
			= SF ShAFf 0/0
		`,
		"closed by the originator": handshake + `
			> FA 101 501              | >.
			= S2 ShAF 0/0
		`,
		"closed by the responder": handshake + `
			< FA 501 101              | <.
			= S3 ShAf 0/0
		`,
		"reset by the originator": handshake + `
			> RA 101 501              | closed
			= RSTO ShAR 0/0
		`,
		"reset by the responder": handshake + `
			> A 101 501 x             | >x
			< R 501                   | closed
			= RSTR ShADr 1/0
		`,
		"reset after both FINs": handshake + `
			> FA 101 501              | >.
			< FA 501 102              | <. closed
			> R 102
			= SF ShAFfR 0/0
		`,
		"reset by both": handshake + `
			> R 101                   | closed
			< R 501
			= REJ ShARr 0/0
		`,
		"reset by both, after data": handshake + `
			> A 101 501 x             | >x
			> R 102                   | closed
			< R 501
			= RSTR ShADRr 1/0
		`,
		"no handshake": `
			> A 900 70 abcd           | >abcd
			< A 70 904 xy             | <xy
			= OTH Dd 4/2
		`,
		"FIN without a handshake": `
			> A 900 70 abcd           | >abcd
			> FA 904 70               | >. closed
			= SH DF 4/0
		`,
		"RST without a handshake": `
			> A 900 70 x              | >x
			> R 901                   | closed
			= OTH DR 1/0
		`,
		"RST of the responder without a handshake": `
			< A 900 70 x              | <x
			< R 901                   | closed
			= RSTRH dr 0/1
		`,
		"FIN of the responder without a handshake": `
			< A 900 70 x              | <x
			< FA 901 70               | <. closed
			= SHR df 0/1
		`,
		"SYN-ACK first": `
			> SA 500 101
			< A 101 501
			= OTH Ha 0/0
		`,
		"SYN after its SYN-ACK": `
			> SA 500 101
			< S 100                   | ^
			> A 101 501 hello         | >hello
			< A 501 106 reply         | <reply
			= S1 Hs^Dd 5/5
		`,
		"SYN after its SYN-ACK, sides known from the ports": `
			< SA 500 101
			> S 100
			> A 101 501 four          | >four
			< A 501 105 sixsix        | <sixsix
			= S1 hSDd 4/6
		`,
		"FIN of the originator that was forged, and one of the responder": `
			> S 100
			> F 101                   | inappropriate_FIN
			< SA 500 101
			> A 101 501 hello         | >hello
			< FA 501 106              | <.
			= S3 SFhDf 5/0
		`,
		"SYN of the responder, acknowledged": `
			< S 500                   | simultaneous_open
			> A 101 501
			= S1 sA 0/0
		`,
		"SYN-ACK with RST": `
			> S 100
			< SRA 500 101             | TCP_christmas closed
			= RSTR Sq 0/0
		`,
		"SYN acknowledged before it is answered": `
			> S 100
			< A 500 101
			< SA 500 101
			> A 101 501
			= S1 SahA 0/0
		`,
		"originator's side alone": `
			> S 100
			> A 101 501
			> A 101 501 abc
			end                       | possible_split_routing data_before_established >abc
			= S0 SAD 3/0
		`,
		"FIN, RST, FIN": handshake + `
			> FA 101 501              | >.
			> R 102                   | closed
			< FA 501 102              | <.
			= SF ShAFRf 0/0
		`,
		"RST far away": `
			> S 100
			> R 3000000               | closed
			= RSTOS0 SR 0/0
		`,
		"RST elsewhere": `
			> S 100
			> R 5000                  | closed
			= RSTOS0 SR 4899/0
		`,
		"RST of a half-open connection": `
			> S 100
			< A 900 102
			> R 5000                  | closed
			= RSTOS0 SaR 0/0
		`,
		"RST elsewhere, after an ACK of the SYN": `
			> S 100
			< A 900 101
			> R 5000                  | closed
			= RSTOS0 SaR 4899/0
		`,
		"RST with data": handshake + `
			> R 101 - junk            | closed
			= RSTO ShART 0/0
		`,
		"data": handshake + `
			> A 101 501 abc           | >abc
			= S1 ShAD 3/0
		`,
		"retransmission": handshake + `
			> A 101 501 abc           | >abc
			> A 101 501 abc
			> A 104 501
			= S1 ShADT 3/0
		`,
		"FIN again, with less data": handshake + `
			> FA 101 501 ab           | >ab >.
			> FA 102 501 b
			= S2 ShAFT 2/0
		`,
		"acknowledged, but not captured": handshake + `
			< A 501 111
			= S1 ShAaG 10/0
		`,
		"SYN and FIN alone": `
			> S 100
			< SA 500 101
			> FA 3000000101 501
			= S2 ShF 3000000000/0
		`,
		"SYN and FIN alone, both ways": `
			> S 100
			< SA 500 101
			> FA 3000000101 501
			< FA 2000000501 3000000102
			end                       | closed
			= SF ShFf 3000000000/2000000000
		`,
		"SYN and FIN alone, mismatched": `
			> S 100
			< SA 500 101
			> FA 3000000101 501
			< FA 2000000501 3000000101
			end
			= SF ShFf 3000000000/2000000000
		`,
		"SYN and FIN alone, and then data": `
			> S 100
			< SA 500 101
			> FA 3000000101 501
			> A 101 501 x             | >x
			= S2 ShFD 1/0
		`,
		"flags that exclude one another": `
			> S 100
			> SF 100                  | inappropriate_FIN >. closed
			= SH SQ 0/0
		`,
		"SYN and RST": `
			> SR 100                  | TCP_christmas closed
			= OTH Q 0/0
		`,
		"FIN and RST": `
			> FR 100                  | >. closed
			= OTH I 0/0
		`,
		"nothing": `
			= OTH  0/0
		`,
		"SYN after its SYN-ACK and a RST": `
			< SA 500 101
			< R 501                   | closed
			> S 100
			= REJ hrS 0/0
		`,
		"SYN again after data and a RST": handshake + `
			> A 101 501 hello         | >hello
			> R 106                   | closed
			> S 100                   | SYN_after_reset
			= RSTO ShADR 5/0
		`,
		"FIN and RST of the originator": handshake + `
			> FA 101 501              | >.
			> R 102                   | closed
			= RSTO ShAFR 0/0
		`,
	} {
		t.Run(name, func(t *testing.T) { play(t, s) })
	}
}

// Rare events have letters in the history.
func TestHistory(t *testing.T) {
	for name, s := range map[string]script{
		"zero window": handshake + `
			> A 101 501 w=0           | window_recision
			< A 501 101 w=0
			= S1 ShAWaw 0/0
		`,
		"zero window after the FIN of the side it stops": handshake + `
			< FA 501 101              | <.
			> A 101 502 w=0           | window_recision
			= S3 ShAf 0/0
		`,
		"zero window after a RST": handshake + `
			> R 101                   | closed
			> A 101 501 w=0
			= RSTO ShAR 0/0
		`,
		"zero window with a RST": handshake + `
			> RA 101 501 w=0          | closed
			= RSTO ShAR 0/0
		`,
		"SYN again with another number": `
			> S 100
			< RA 0 101                | closed
			> S 200                   | SYN_seq_jump begins
			= REJ Sr 0/0
		`,
		"FIN again with another number": handshake + `
			> FA 101 501              | >.
			> FA 102 501              | FIN_advanced_last_seq
			> FA 102 501
			= S2 ShAFF 1/0
		`,
		"RST again with another number": handshake + `
			> R 101                   | closed
			> R 102
			> R 102
			= RSTO ShARR 0/0
		`,
		"gap that is filled late": handshake + `
			< A 501 106
			> A 101 501 hello         | >hello
			= S1 ShAaD 5/0
		`,
		"gap that is not filled": handshake + `
			< A 501 106
			> A 106 501 world         | >[5] >world
			= S1 ShAaGD 10/0
		`,
		"five gaps, which do not count as ten": handshake + `
			< A 501 106
			> A 106 501 world         | >[5] >world
			< A 501 116
			> A 116 501 world         | >[5] >world
			< A 501 126
			> A 126 501 world         | >[5] >world
			< A 501 136
			> A 136 501 world         | >[5] >world
			< A 501 146
			> A 146 501 world         | >[5] >world
			= S1 ShAaGD 50/0
		`,
		"gaps of both sides, the first of which is filled late": handshake + `
			< A 501 106
			> A 106 511               | >[5]
			> A 101 511 hello
			< A 501 106 replyreply    | <replyreply
			= S1 ShAaGDTd 5/10
		`,
		"second gap": handshake + `
			> A 101 501 hello         | >hello
			> A 111 501 x
			< A 501 112               | >[5] >x
			> A 117 501 x
			< A 501 118               | >[5] >x
			= S1 ShADaG 17/0
		`,
		"second gap that is filled late": handshake + `
			< A 501 106
			> A 101 501 hello         | >hello
			> A 111 501 x
			< A 501 112               | >[5] >x
			< A 501 117
			> A 112 501 again         | >again
			= S1 ShAaDG 16/0
		`,
		"gap after a RST": handshake + `
			> A 101 501 hello         | >hello
			> A 111 501 x
			< R 501                   | closed
			< A 501 112               | >[5] >x
			= RSTR ShADra 11/0
		`,
		"gap before a FIN": handshake + `
			< A 501 111               |
			> FA 106 501              | >[5] >.
			= S2 ShAaGF 9/0
		`,
		"gap before the end": handshake + `
			> A 101 501 hello         | >hello
			> FA 111 501
			< A 501 112               | >[5] >.
			= S2 ShADFaG 10/0
		`,
	} {
		t.Run(name, func(t *testing.T) { play(t, s) })
	}
}

// Weirds about TCP are Zeek's, and in Zeek's order.
func TestWeird(t *testing.T) {
	for name, s := range map[string]script{
		"data before the SYN-ACK": `
			> S 100
			> A 101 501 x
			end                       | possible_split_routing data_before_established >x
		`,
		"SYN with data": `
			> S 100 - x               | SYN_with_data >x
		`,
		"SYN with data, then the rest": `
			> S 100 - hell            | SYN_with_data >hell
			< SA 500 105
			> A 105 501 o             | >o
		`,
		"SYN again, without its data": `
			> S 100 - hello           | SYN_with_data >hello
			> S 100
			< SA 500 106
		`,
		"urgent SYN": `
			> SU 100                  | baroque_SYN
		`,
		"SYN and RST": `
			> SR 100                  | TCP_christmas closed
		`,
		"another SYN": `
			> S 100
			> S 200                   | SYN_seq_jump unexpected
		`,
		"another SYN in a connection": handshake + `
			> S 9000                  | active_connection_reuse unexpected
		`,
		"another SYN-ACK in a connection": handshake + `
			> A 101 501 x             | >x
			< SA 800 101              | SYN_seq_jump unexpected
		`,
		"another SYN-ACK of the originator": handshake + `
			> SA 9000 501             | SYN_seq_jump unexpected
		`,
		"SYN-ACK again, after data": handshake + `
			< A 501 101 x             | <x
			< SA 500 101              | SYN_inside_connection
		`,
		"SYN of the responder": `
			> S 100
			< S 100                   | simultaneous_open
		`,
		"SYN-ACK of a SYN-ACK": `
			> SA 100 600
			< SA 500 101
		`,
		"SYN-ACK of what is after a SYN-ACK": `
			> SA 100 600
			< SA 500 102              | bad_SYN_ack
		`,
		"SYN-ACK of what is before a SYN-ACK": `
			> SA 100 600
			< SA 500 99               | TCP_ack_underflow_or_misorder bad_SYN_ack
		`,
		"SYN-ACK of something else": `
			> S 100
			< SA 500 300              | bad_SYN_ack
		`,
		"SYN with ACK after SYN": `
			> S 100
			> SA 100 1                | repeated_SYN_with_ack
		`,
		"SYN with ACK and RST": `
			> S 100
			> SAR 100 1               | TCP_christmas closed
		`,
		"SYN with ACK and FIN": `
			> S 100
			> SAF 100 1               | inappropriate_FIN >. closed
		`,
		"SYN-ACK again, with another number": `
			> SA 100 7
			> SA 200 7                | SYN_seq_jump
		`,
		"SYN-ACK again": `
			> SA 100 7
			> SA 100 7
		`,
		"no flags": `
			> - 100 - x               | >x
			> - 101 - x               | >x
		`,
		"no ACK, from the middle on": `
			> A 100 500 x             | >x
			< A 500 101 x             | <x
			> FA 101 501              | >.
			< FA 501 102              | <. closed
			> - 102 - x
		`,
		"late SYN-ACK of what is not there": `
			> S 100
			> A 101 501
			< SA 500 300              | bad_SYN_ack
			end
		`,
		"late SYN-ACK that fits": `
			> S 100
			> A 101 501
			< SA 500 101
		`,
		"another SYN after a rejection": `
			> S 100
			< RA 0 101                | closed
			> S 9000                  | SYN_seq_jump begins
		`,
		"FIN after data of the other side": `
			> S 100
			> A 101 501
			< A 501 101 x             | possible_split_routing <x
			> FA 101 502              | >.
			end
		`,
		"SYN after a partial connection": `
			> A 100 1 x               | >x
			> S 99 1                  | SYN_inside_connection SYN_after_partial
		`,
		"SYN after its SYN-ACK and data, when it is too late to swap the sides": `
			> SA 500 101
			< A 101 501 hello         | <hello
			< S 100                   | SYN_inside_connection
		`,
		"SYN-ACK after a partial connection": `
			> A 100 1 x               | >x
			> SA 99 1                 | SYN_inside_connection
		`,
		"SYN after a partial connection of both": `
			> A 100 500 x             | >x
			< A 500 101 y             | <y
			> S 99                    | SYN_inside_connection
		`,
		"SYN after its FIN": handshake + `
			> FA 101 501              | >.
			> S 100                   | SYN_after_close
		`,
		"SYN after RST": `
			> S 100
			> R 101                   | closed
			> S 100                   | SYN_after_reset
		`,
		"FIN far away, with data, after RST": `
			> S 100
			< SA 500 101
			> R 101                   | closed
			> FA 3000000101 501 x
		`,
		"SYN-ACK again, after data, when the SYN was lost": `
			> A 100 500 x             | >x
			< SA 500 101
			< A 501 101 y             | <y
			< SA 500 101              | SYN_inside_connection
		`,
		"data after RST": handshake + `
			> R 101 501               | closed
			> A 101 501 x             | data_after_reset >x reopened
		`,
		"FIN beyond a FIN": handshake + `
			> FA 101 501              | >.
			> FA 105 501              | FIN_advanced_last_seq
		`,
		"ACK below the SYN": handshake + `
			> A 101 490               | TCP_ack_underflow_or_misorder
		`,
		"RST with an ACK below the SYN": handshake + `
			> RA 101 490              | TCP_ack_underflow_or_misorder closed
		`,
		"segment before the SYN": `
			> S 100
			> A 90 501                | segment_outside_window
			end
		`,
		"segment before the SYN, after the SYN-ACK": `
			> S 100
			< SA 500 101
			> A 90 501                | TCP_seq_underflow_or_misorder
		`,
		"segment at the SYN's own number": `
			> S 100
			> A 100 501
			end                       | possible_split_routing
		`,
		"new SYN after both FINs": handshake + `
			> FA 101 501              | >.
			< FA 501 102              | <. closed
			> S 9000                  | premature_connection_reuse begins
		`,
		"new SYN after FIN and RST": handshake + `
			> FA 101 501              | >.
			< R 501                   | closed
			> S 9000                  | begins
		`,
		"SYN after another's SYN-ACK": `
			< SA 500 101
			> S 99                    | active_connection_reuse begins
		`,
		"SYN-ACK after data of one side": `
			> A 100 1 x               | >x
			< SA 500 101
		`,
		"SYN after partial data of both": `
			> A 100 500 x             | >x
			< A 500 101 y             | <y
			> S 9000                  | active_connection_reuse begins
		`,
		"split routing is not reported after another weird": `
			> S 100 - x               | SYN_with_data >x
			> A 102 501
			end
		`,
		"shrinking window": handshake + `
			> A 101 501 w=1000
			< A 501 101 w=1000
			< A 501 101 w=900         | window_recision
			< A 501 101 w=800         | window_recision
		`,
		"window that shrinks as it fills": handshake + `
			> A 101 501 x*100         | >x*100
			< A 501 201 w=900
		`,
		"old window": handshake + `
			> A 101 501 x*100         | >x*100
			< A 501 201
			< A 501 101 w=1000
		`,
		"data before the connection is established": `
			> S 100
			> - 101 - x               | data_before_established
			< SA 500 101
		`,
		"truncated": handshake + `
			> A 101 501 hello len=9   | truncated_tcp_payload
			< A 501 110               | >[9]
			> A 110 501 more          | >more
		`,
		"RST of a half-open connection says nothing of bytes": `
			> S 100
			< A 900 5000
			> R 5000                  | closed
		`,
	} {
		t.Run(name, func(t *testing.T) { play(t, s) })
	}
}
