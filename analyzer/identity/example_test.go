package identity_test

import (
	"fmt"
	"net/netip"

	"example.com/conn"
	"example.com/conn/analyzer/identity"
)

// Both directions of a connection have the same key.
func ExampleKeyOf() {
	client, server := netip.MustParseAddrPort("192.0.2.1:40000"), netip.MustParseAddrPort("198.51.100.7:80")
	request := identity.KeyOf(client, server, conn.TCP, false)
	reply := identity.KeyOf(server, client, conn.TCP, false)
	fmt.Println(request == reply)
	// Output: true
}

// The SYN-ACK is the first packet in the capture, so it was sent by the responder.
func ExampleServers_FromResponder() {
	client, server := netip.MustParseAddrPort("192.0.2.1:40000"), netip.MustParseAddrPort("198.51.100.7:80")
	fmt.Println(identity.NewServers().FromResponder(conn.TCP, server, client, true, true))
	// Output: true
}
