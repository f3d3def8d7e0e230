// Package tcp follows one TCP connection from outside, as a passive observer of its packets. It
// tracks what both hosts know of the connection, puts the bytes of either side in order, and tells
// which segments a host would not believe. It knows neither addresses nor tables of connections,
// nor what the bytes mean.
//
// A [Conn] is given segments in the order of the capture, by [Conn.Segment]. A [Sink] gets bytes,
// gaps, ends and whatever is weird; the [Outcome] tells the owner of the connection what it must
// do, such as to begin another connection. When no more segments come, [Conn.Conclude] gives up
// what waits for them.
//
// # An observer is not a host
//
// What reaches an observer differs from what reaches the hosts in three ways, and a segment that
// looks wrong can come from each of them:
//
//   - It sees less. Packets are lost between the wire and the capture, so bytes may be
//     acknowledged that were not captured, and whole directions may be missing.
//   - It sees them in another order. The two directions often come from two queues or two
//     interfaces, one of them late: a reply before its request, or before the handshake.
//   - It sees more. A packet of which a host thinks nothing is captured like any other. An
//     attacker need not be on the path to send one, in the name of either side.
//
// # What is believed
//
// A segment is believed if its numbers are such that an attacker who does not see the traffic has
// to guess them: RFC 9293, section 3.10.7, with the tightened rules of RFC 5961. In particular:
//
//   - Until the SYN is answered, the responder's segments have to acknowledge it. A RST that does
//     refuses the connection, until a SYN-ACK shows that it was forged. Of several SYN-ACKs, the
//     client's ACK tells which one counts; data in or after a SYN-ACK waits for that ACK.
//   - Once established, a segment has to be in the window of what the other side has granted, give
//     or take 64 KB, as the ACKs that open the window may be captured late.
//   - A FIN or RST ends the connection at once only where the next byte is due. A FIN elsewhere
//     ends it when the other side acknowledges it. If the stream goes on beyond its end, that end
//     was forged, and is taken back.
//   - A SYN in the middle of a connection is doubted until the other side accepts it. Then both
//     may be forged, so the old connection is kept by its owner, and comes back if it goes on.
//   - An ACK of bytes that were not captured says that they exist. Data that comes with it is
//     believed when the other side goes on from there, and acknowledges the data. An ACK far
//     beyond the window is not believed before data comes there, nor is data alone.
//   - Where two segments have the same numbers and different bytes, the first one is taken.
//
// What is not believed changes neither bytes nor ends, but has its letters in the history and its
// name in [Sink.Weird]: conn.log tells what was tried.
//
// # What is bounded
//
// An attacker can have a connection keep bytes that came too early, segments that acknowledge what
// never comes, and SYN-ACKs. All have bounds of their own in numbers, and [Conn.Held] says how
// many bytes they are, for the owner to bound.
//
// # Where things are
//
// Each file uses only those below it:
//
//	tcp.go        what the owner calls: a segment, the end, too much memory
//	handshake.go  segments that wait for the handshake, and rival answers to a SYN
//	follow.go     what a segment changes, step by step, in Zeek's order
//	states.go     the states of both sides, and conn_state
//	stream.go     payload: in order, missing, late, or claimed
//	believe.go    which segments a host would believe
//	conn.go       Conn, Sink and Outcome
//	rare.go       the part of a connection that few have
//	half.go       one side: its numbers, its state, its window
//	queue.go      reassembly
//	history.go    the letters of the history
//	header.go     Side, Header, segment
//
// States, weird names and the history are Zeek's, and so is the order in which they are found.
package tcp
