package flow

import "example.com/conn"

// serverPorts are the ports that Zeek takes for a server's when it has not seen how a connection began: Zeek's
// likely_server_ports, the ports of the protocols it parses; not IRC's, which are as often a client's.
var serverPorts = map[conn.Proto]map[uint16]bool{
	conn.TCP: set(
		21, 22, 25, 53, 80, 81, 88, 110, 135, 139, 143, 389, 443, 445, 502, 563, 585, 587, 614, 631, 636, 989, 990, 992, 993, 995,
		1080, 1434, 1883, 2811, 3128, 3268, 3306, 3389, 5222, 5223, 5269, 5432, 6379, 8000, 8080, 8888, 20000),
	conn.UDP: set(
		53, 67, 68, 88, 123, 137, 161, 162, 389, 443, 514, 1812, 2123, 2152, 3544, 4011, 4789, 5060, 5072, 5353, 5355, 6081, 20000),
}

func set(ports ...uint16) map[uint16]bool {
	m := make(map[uint16]bool)
	for _, p := range ports {
		m[p] = true
	}
	return m
}

// flips reports whether the source of a first packet is more likely the responder. syn and ack are the flags of TCP.
func flips(proto conn.Proto, src, dst uint16, syn, ack bool) bool {
	likely := serverPorts[proto]
	switch {
	case !likely[src] || proto == conn.TCP && syn && !ack:
		return false
	case !likely[dst]:
		return true
	}
	return proto == conn.TCP && !syn && src < dst // a SYN-ACK between two such ports may be a scan
}
