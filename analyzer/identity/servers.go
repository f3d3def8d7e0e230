package identity

import (
	"net/netip"

	"example.com/conn"
)

// Servers holds the ports where servers listen, to guess the originator of a connection whose first
// packets were not captured. It corresponds to Zeek's likely_server_ports.
type Servers struct {
	ports map[conn.Proto]map[uint16]bool
}

// NewServers returns Servers with Zeek's ports for protocols that have no parser here, except
// IRC's, which clients use as often.
func NewServers() *Servers {
	s := &Servers{ports: map[conn.Proto]map[uint16]bool{conn.TCP: {}, conn.UDP: {}}}
	s.Add(conn.TCP, 88, 110, 135, 139, 143, 389, 445, 502, 1434, 1883, 3268, 3306, 3389, 5222, 5269, 5432, 20000)
	s.Add(conn.UDP, 67, 68, 88, 123, 161, 162, 389, 443, 514, 1812, 2123, 2152, 3544, 4011, 4789, 5060, 5072, 6081, 20000)
	return s
}

// Add adds ports of proto, which must be conn.TCP or conn.UDP.
func (s *Servers) Add(proto conn.Proto, ports ...uint16) {
	for _, port := range ports {
		s.ports[proto][port] = true
	}
}

// Likely reports whether servers listen on port.
func (s *Servers) Likely(proto conn.Proto, port uint16) bool { return s.ports[proto][port] }

// FromResponder reports whether the first captured packet of a connection, from src to dst, more
// likely comes from the responder. syn and ack are its TCP flags.
func (s *Servers) FromResponder(proto conn.Proto, src, dst netip.AddrPort, syn, ack bool) bool {
	if proto == conn.TCP && syn && !ack || dst.Addr() == Broadcast {
		return false
	}
	from, to := s.Likely(proto, src.Port()), s.Likely(proto, dst.Port())
	switch {
	case proto == conn.TCP && syn: // a SYN-ACK; between two server ports it may be a scan
		return !to
	case from && to:
		return proto == conn.TCP && src.Port() < dst.Port()
	}
	return from
}
