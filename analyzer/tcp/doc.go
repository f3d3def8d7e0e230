// Package tcp follows one TCP connection as a passive observer of its packets. It tracks what both
// hosts know of the connection, puts the bytes of each side in order, and tells which segments a
// host would not accept. It knows neither addresses nor tables of connections, nor what the bytes
// mean.
//
// A [Conn] is given segments in the order of the capture, by [Conn.Segment]. A [Sink] receives
// bytes, gaps, ends and anomalies; the [Outcome] tells the owner of the connection what to do, such
// as to begin another connection. When no more segments come, [Conn.Flush] gives up what waits for
// them.
//
// # An observer is not a host
//
// What reaches an observer differs in three ways from what reaches the hosts, and each of them can
// make a segment look wrong:
//
//   - It sees less. Packets are lost between the wire and the capture, so bytes may be
//     acknowledged that were not captured, and whole directions may be missing.
//   - It sees them in another order. The two directions often come from two queues or two
//     interfaces, one of them late: a reply before its request, or before the handshake.
//   - It sees more. Packets that hosts drop are captured like all others. An attacker can send them
//     in the name of either side, even if not on the path.
//
// # What is accepted
//
// A segment is accepted if an attacker who does not see the traffic would have to guess its
// numbers: RFC 9293, section 3.10.7, with the stricter rules of RFC 5961. In particular:
//
//   - Until the SYN is answered, the responder's segments must acknowledge it. A RST that does
//     refuses the connection, unless a SYN-ACK shows later that the RST was forged. If there are
//     several SYN-ACKs, the client's ACK tells which one counts; data in or after a SYN-ACK waits
//     for that ACK.
//   - Once the connection is established, a segment must be in the window that the other side has
//     granted, give or take 64 KB, because the ACKs that open the window may be captured late.
//   - From then on, a FIN or RST ends the connection at once only if it has the next expected
//     sequence number. Any other FIN ends it when the other side acknowledges it. If data follows
//     an end, that end was forged and is reverted.
//   - A SYN in an established connection is not accepted until the other side answers it. Even then
//     both may be forged, so the owner keeps the old connection, and restores it if it continues.
//   - An ACK of bytes that were not captured shows that they exist. Data in the same segment is
//     accepted when the other side continues from there and acknowledges the data. An ACK far
//     beyond the window is not accepted before data comes there, nor is such data alone.
//   - If two segments have the same sequence numbers and different bytes, the first one counts.
//
// A segment that is not accepted changes neither bytes nor ends, but it is recorded in the history
// or by [Sink.Weird], so that the logs show what was tried.
//
// # What is bounded
//
// An attacker can make a connection keep bytes that come too early, segments that acknowledge what
// is never sent, segments that wait for the handshake, and SYN-ACKs. The number of each is bounded.
// [Conn.Held] returns how many bytes they take, for the owner to bound.
//
// # Where things are
//
// Each file uses only those below it:
//
//	tcp.go        what the owner calls: for a segment, the end, or too much memory
//	handshake.go  segments that wait for the handshake, and competing answers to a SYN
//	follow.go     what a segment changes, step by step, in Zeek's order
//	states.go     the states of both sides, and conn_state
//	stream.go     payload: in order, missing, late, or claimed
//	accept.go     which segments a host would accept
//	conn.go       Conn, Sink and Outcome
//	rare.go       the part of a connection that few have
//	half.go       one side: its numbers, its state, its window
//	queue.go      reassembly
//	history.go    the letters of the history
//	header.go     Side, Header, segment
//
// States, weird names and the history are Zeek's, and so is the order in which they are found.
package tcp
