package tcp

// A state is what Zeek knows of one side of a connection. Its conn_state is a function of both
// sides' states at the end. What is believed of a segment does not depend on them alone: see half.
type state uint8

const (
	inactive    state = iota // has sent nothing
	synSent                  // has sent a SYN
	synAckSent               // has sent a SYN-ACK as its first packet: the SYN was not captured
	partial                  // has sent something, but no SYN was seen
	established              // has sent a SYN, and the other side something
	closed                   // has sent a FIN
	reset                    // has sent a RST
)

// handshaking reports whether a side has not got beyond its SYN.
func (s state) handshaking() bool { return s <= synAckSent }

// unseen reports whether no SYN of a side was seen.
func (s state) unseen() bool { return s == inactive || s == partial }
