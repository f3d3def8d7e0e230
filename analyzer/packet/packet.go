// Package packet finds the IP packets in frames: it decodes what stands before IP, opens tunnels,
// and puts fragments together.
//
// The files: decode.go has the table of decoders, link.go, wireless.go, ip.go, gre.go and udp.go
// those that are in it, tunnel.go remembers the tunnels, and fragment.go the fragments.
package packet

import (
	"net/netip"
	"time"

	"github.com/gopacket/gopacket/layers"

	"example.com/conn"
	"example.com/conn/analyzer/logs"
)

// A Frame is what was captured of one frame.
type Frame struct {
	Data []byte
	Time time.Time
	Now  time.Time // by the capture's clock, for timeouts; Time if it is zero
	Link layers.LinkType
	Wire int // how long the frame was
}

// A Packet is an IP packet, whole if it had been fragmented.
type Packet struct {
	Time     time.Time
	Src, Dst netip.Addr // of IPv6, the home address and the final destination if the packet has them
	Proto    conn.Proto
	Payload  []byte    // what was captured of the transport's header and what follows it
	Length   int       // how long that was on the wire
	IPLength int       // how long its header says that it is, which may be 0 before a network card divides it
	Tunnels  []Tunnel  // that it came through, the outermost first; shared by packets, so not to be changed
	Start    time.Time // of its connection, if that may be a tunnel over UDP; else zero
}

// A Tunnel is what a packet came through.
type Tunnel struct {
	Type  string    // Zeek's name, such as "Tunnel::VXLAN"
	ID    conn.ID   // the outer connection; ports are 0 for tunnels without
	UID   string    // of the outer connection; all workers have the same
	Start time.Time // of the outer connection
}

// A Sink takes what a Decoder finds in a frame, while it decodes it.
type Sink interface {
	// Packet takes an IP packet, which is only good until it returns. A packet that is a tunnel's
	// comes before the packet inside it.
	Packet(p *Packet)

	// Weird notes something in a frame that should not be and that is of no connection. Names are
	// Zeek's.
	Weird(at time.Time, name, addl string)

	// Log takes a row of the log tunnel.
	Log(row logs.Row)
}
