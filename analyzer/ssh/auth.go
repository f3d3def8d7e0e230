package ssh

import "example.com/conn/analyzer/protocol"

// auth guesses from the sizes of the server's first encrypted packets whether the user logged in,
// as Zeek does.
//
// The server's first answer accepts the request for user authentication. It is as long as a packet
// of 17 bytes; a success is as long as one of a single byte, 16 bytes less. A failure lists the
// possible methods, so all failures of a server have one size. A much longer packet before the
// first failure is a banner. Each segment counts as a packet, which holds while the sides take
// turns.
type auth struct {
	client  bool // has sent encrypted bytes: whatever came before belongs to the key exchange
	accept  int  // size of the server's answer to the request
	failure int  // size of a failure
	banner  bool // a banner was seen
	decided bool
}

// segment handles n encrypted bytes that arrived together.
func (s *state) segment(pkt protocol.Packet, n int) {
	a := &s.auth
	const longer = 256 // than the answer: a banner
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
		a.failure = n // not counted: clients first try without a password, to get the list
	case n == a.failure:
		s.attempt(false)
	}
}

func (s *state) attempt(success bool) {
	s.row.AuthSuccess = &success
	s.row.AuthAttempts++
}

// compressed reports whether alg makes sizes meaningless.
func compressed(alg string) bool { return alg == "zlib" || alg == "zlib@openssh.com" }
