// Package packet finds the IP packets in frames: it decodes link layers, opens tunnels, and
// reassembles fragments.
//
// decode.go holds the table of decoders; link.go, wireless.go, ip.go, gre.go and udp.go hold the
// decoders themselves. tunnel.go tracks tunnels, fragment.go tracks fragments.
package packet

import (
	"net/netip"
	"time"

	"github.com/gopacket/gopacket/layers"

	"example.com/conn"
	"example.com/conn/analyzer/logs"
)

// A Frame is one captured frame.
type Frame struct {
	Data []byte
	Time time.Time
	Now  time.Time // by the capture's clock, for timeouts; never goes back
	Link layers.LinkType
	Wire int // length of the frame on the wire; Data may be cut off
}

// A Packet is an IP packet, reassembled if it was fragmented.
type Packet struct {
	Time     time.Time
	Now      time.Time  // Frame.Now
	Src, Dst netip.Addr // for IPv6, the home address and final destination if there are any
	Proto    conn.Proto
	Payload  []byte   // transport header and data, as far as they were captured
	Length   int      // length of Payload on the wire
	IPLength int      // length according to the IP header; 0 if a network card will segment the packet
	Tunnels  []Tunnel // outermost first; shared between packets, so do not modify
	Outer    *Outer   // the packet's connection if it may be a UDP tunnel, or nil; do not modify
}

// An Outer is the outer connection of a tunnel. The Decoder alone decides its endpoints, its UID,
// and which packets belong to it. The flow table gives its connection that UID, and first ends any
// connection between the same endpoints that has another UID. Otherwise packets inside the tunnel
// could refer to a UID that no connection has.
type Outer struct {
	ID    conn.ID // ports are 0 if the tunnel has none
	UID   string
	Start time.Time
}

// A Tunnel is an outer connection that carried a packet.
type Tunnel struct {
	Type string // Zeek's name, such as "Tunnel::VXLAN"
	*Outer
}

// A Sink receives what a Decoder finds in a frame, during Decode.
type Sink interface {
	// Packet receives an IP packet, which is valid only until Packet returns. The packet of a UDP
	// tunnel comes before the packet inside it; that of any other tunnel does not come.
	Packet(p *Packet)

	// Weird reports an anomaly that belongs to no connection. Names are Zeek's.
	Weird(at time.Time, name, addl string)

	// Log receives a row of tunnel.log.
	Log(row logs.Row)
}
