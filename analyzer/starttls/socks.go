package starttls

import (
	"bytes"
	"strings"

	"example.com/conn/analyzer/protocol"
	"golang.org/x/crypto/cryptobyte"
)

// SOCKS, of versions 4, 4a and 5, gives way to whatever the client speaks with the server that it
// names.
var SOCKS = &Protocol{
	name: "socks", ports: []uint16{1080},
	match: func(orig, resp []byte) protocol.Verdict {
		if len(orig) > 0 && orig[0] == 4 {
			return min(matchBytes(orig, "\x04", "\x01\x02"), matchBytes(resp, "\x00", "\x5a\x5b\x5c\x5d"))
		}
		return min(matchSOCKS5(orig), matchBytes(resp, "\x05", "\x00\x01\x02"))
	},
	step: func(s *state, side protocol.Side, data []byte) (int, protocol.Next) {
		if side == protocol.Resp {
			return socksReply(s, data)
		}
		return socksRequest(s, data)
	},
}

// matchSOCKS5 tells whether data is a client's first message of version 5, after which it waits for
// an answer.
func matchSOCKS5(data []byte) protocol.Verdict {
	switch {
	case len(data) > 0 && data[0] != 5 || len(data) > 1 && data[1] == 0:
		return protocol.No
	case len(data) < 2 || len(data) < 2+int(data[1]):
		return protocol.Maybe
	}
	return protocol.Yes
}

// matchBytes tells whether each byte of data is among those of its place; an empty place accepts
// any byte.
func matchBytes(data []byte, places ...string) protocol.Verdict {
	for i, b := range data[:min(len(data), len(places))] {
		if places[i] != "" && strings.IndexByte(places[i], b) < 0 {
			return protocol.No
		}
	}
	if len(data) < len(places) {
		return protocol.Maybe
	}
	return protocol.Yes
}

// Commands, which are kept in state.id.
const (
	socksConnect = 1
	socksBind    = 2 // has two answers
)

func socksRequest(s *state, data []byte) (int, protocol.Next) {
	in := cryptobyte.String(data)
	var command uint8
	var user, password, methods cryptobyte.String
	switch {
	case s.stage == begun && data[0] == 4:
		return socks4Request(s, data)
	case s.stage == begun && data[0] == 5:
		if !in.Skip(1) || !in.ReadUint8LengthPrefixed(&methods) {
			return 0, protocol.More
		}
		s.stage = offered
	case s.stage == chosen && data[0] == 1: // RFC 1929
		if !in.Skip(1) || !in.ReadUint8LengthPrefixed(&user) || !in.ReadUint8LengthPrefixed(&password) {
			return 0, protocol.More
		}
		s.stage = greeted
	case s.stage == authorized && data[0] == 5:
		if !in.Skip(1) || !in.ReadUint8(&command) || !in.Skip(1) || !socksAddress(&in) {
			return s.more(data)
		}
		s.stage, s.id = asked, uint32(command)
	case s.stage == offered || s.stage == greeted:
		return wait(s, data)
	default:
		return s.done()
	}
	return len(data) - len(in), protocol.More
}

// socks4Request handles a request of version 4: the command, a port and an address, a user, and in
// version 4a a host name.
func socks4Request(s *state, data []byte) (int, protocol.Next) {
	const header = 8
	end := header
	for texts := 1; texts > 0; texts-- {
		if len(data) < end {
			return s.more(data)
		}
		i := bytes.IndexByte(data[end:], 0)
		if i < 0 {
			return s.more(data)
		}
		if end == header && string(data[4:7]) == "\x00\x00\x00" && data[7] != 0 {
			texts++
		}
		end += i + 1
	}
	s.stage, s.id = asked, uint32(data[1])
	return end, protocol.More
}

// more waits for the rest of a message, which has fewer than 600 bytes.
func (s *state) more(data []byte) (int, protocol.Next) {
	const longest = 600
	if len(data) > longest {
		return s.done()
	}
	return 0, protocol.More
}

// socksAddress skips an address of version 5 with its port.
func socksAddress(in *cryptobyte.String) bool {
	const ip4, host, ip6 = 1, 3, 4
	var kind uint8
	var name cryptobyte.String
	if !in.ReadUint8(&kind) {
		return false
	}
	ok := false
	switch kind {
	case ip4:
		ok = in.Skip(4)
	case host:
		ok = in.ReadUint8LengthPrefixed(&name)
	case ip6:
		ok = in.Skip(16)
	}
	return ok && in.Skip(2)
}

func socksReply(s *state, data []byte) (int, protocol.Next) {
	const (
		nothing  = 0 // methods to authenticate
		password = 2
		granted4 = 0x5a
		size4    = 8 // bytes
	)
	if len(data) < 2 {
		return 0, protocol.More
	}
	switch {
	case s.stage == offered && data[0] == 5 && data[1] == nothing:
		s.stage = authorized
		return 2, protocol.More
	case s.stage == offered && data[0] == 5 && data[1] == password:
		s.stage = chosen
		return 2, protocol.More
	case s.stage == offered && data[0] == 5:
		s.weird = "socks5_unsupported_authentication_method"
		return 2, protocol.Stop
	case s.stage == greeted && data[1] == 0:
		s.stage = authorized
		return 2, protocol.More
	case s.stage == greeted:
		return 2, protocol.Stop
	case s.stage == asked && data[0] == 5:
		in := cryptobyte.String(data)
		if !in.Skip(3) || !socksAddress(&in) {
			return s.more(data)
		}
		return s.answered(data[1] == 0, len(data)-len(in))
	case s.stage == asked && data[0] == 0:
		if len(data) < size4 {
			return 0, protocol.More
		}
		return s.answered(data[1] == granted4, size4)
	}
	return s.done()
}

// answered handles a server's answer to a command.
func (s *state) answered(granted bool, n int) (int, protocol.Next) {
	s.confirmed = true
	switch {
	case granted && s.id == socksConnect:
		return n, protocol.HandOver
	case granted && s.id == socksBind:
		s.id = socksConnect
		return n, protocol.More
	}
	return n, protocol.Stop
}
