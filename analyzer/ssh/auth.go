package ssh

import "example.com/conn/analyzer/protocol"

// auth guesses from the sizes of the server's first encrypted packets whether the user got in, as
// Zeek does.
//
// The server's first answer accepts the request for user authentication. It is as long as a packet
// of 17 bytes gets, a success is as long as one of a single byte: 16 bytes less. A failure lists
// what the user may try, so all failures of a server are of one size. What comes before the first
// and is much longer is a banner. This takes each segment for a packet, which holds while the two
// sides take turns.
type auth struct {
	client  bool // has sent something encrypted: what came before that is part of the key exchange
	accept  int  // size of the server's answer to the request
	failure int  // size of a failure
	banner  bool // was seen
	decided bool
}

// segment takes n encrypted bytes that came at once.
func (s *state) segment(pkt protocol.Packet, n int) {
	a := &s.auth
	const longer = 256 // than the answer by so much, and it is a banner
	switch {
	case pkt.Side == protocol.Orig:
		a.client = true
	case !a.client:
	case a.accept == 0:
		a.accept = n
	case n+16 == a.accept:
		a.decided = true
		s.attempt(true)
	case a.failure == 0 && !a.banner && n-a.accept > longer:
		a.banner = true
	case a.failure == 0:
		a.failure = n // also to the attempt without a password that clients make to get the list: not counted
	case n == a.failure:
		s.attempt(false)
	}
}

func (s *state) attempt(success bool) {
	s.row.AuthSuccess = &success
	s.row.AuthAttempts++
}

// compressed reports whether sizes tell nothing.
func compressed(alg string) bool { return alg == "zlib" || alg == "zlib@openssh.com" }
