package packet_test

import (
	"fmt"
	"time"

	"github.com/gopacket/gopacket/layers"

	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/packet"
)

// A printer is a Sink that prints packets.
type printer struct{}

func (printer) Packet(p *packet.Packet) {
	fmt.Println(p.Src, p.Dst, p.Proto, "in", len(p.Tunnels), "tunnel")
}
func (printer) Weird(_ time.Time, name, addl string) { fmt.Println(name, addl) }
func (printer) Log(row logs.Row)                     { fmt.Println("a row of", row.LogName()) }

// An IPv4 packet carries an IPv6 packet. The Sink gets the inner one, with the tunnel, and a row of
// tunnel.log.
func ExampleDecoder() {
	d := packet.NewDecoder()
	d.IgnoreChecksums = true
	frame := []byte{
		0x45, 0, 0, 64, 0, 0, 0, 0, 64, 41, 0, 0, 192, 0, 2, 1, 198, 51, 100, 7, // IPv4; protocol 41: IPv6
		0x60, 0, 0, 0, 0, 4, 17, 64, // IPv6; four bytes of UDP
		0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
		0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
		0x9c, 0x40, 0, 7,
	}
	if err := d.Decode(packet.Frame{Data: frame, Link: layers.LinkTypeRaw, Wire: len(frame)}, printer{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// a row of tunnel
	// 2001:db8::1 2001:db8::2 udp in 1 tunnel
}
