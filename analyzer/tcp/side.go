package tcp

// A Side is one of the two sides of a connection, and an index of arrays that hold something for
// each.
type Side uint8

const (
	Orig Side = iota // the originator: the client, which sends the SYN
	Resp             // the responder: the server, which answers with the SYN-ACK
)

// Other returns the other side.
func (s Side) Other() Side { return 1 - s }
