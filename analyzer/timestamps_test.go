package main

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// datagram writes a frame with a datagram between a client's port and a server.
func (c *tape) datagram(port layers.UDPPort, reply bool) {
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: net.IP{192, 0, 2, 1}, DstIP: net.IP{198, 51, 100, 1}}
	udp := &layers.UDP{SrcPort: port, DstPort: 7000}
	if reply {
		ip.SrcIP, ip.DstIP, udp.SrcPort, udp.DstPort = ip.DstIP, ip.SrcIP, udp.DstPort, udp.SrcPort
	}
	require.NoError(c.t, udp.SetNetworkLayerForChecksum(ip))
	c.frame(ip, udp, gopacket.Payload("x"))
}

// A single wrong timestamp anywhere neither merges connections nor splits them. The one exception
// is a first timestamp that is only hours early: it looks like silence.
func TestOneWrongTimestamp(t *testing.T) {
	const exchanges = 8
	port := func(n int) layers.UDPPort { return layers.UDPPort(1000 + n) }
	for name, c := range map[string]struct {
		gap  time.Duration
		port func(n int) layers.UDPPort
	}{
		"dense":                     {10 * time.Millisecond, port},
		"sparse":                    {20 * time.Second, port},
		"sparse, between two ports": {15 * time.Minute, func(int) layers.UDPPort { return 1000 }},
	} {
		for when, change := range map[string]func(time.Time) time.Time{
			"in 1970":         func(time.Time) time.Time { return time.Unix(0, 0) },
			"a year early":    func(at time.Time) time.Time { return at.AddDate(-1, 0, -1) },
			"half a day late": func(at time.Time) time.Time { return at.Add(12 * time.Hour) },
			"ten years late":  func(at time.Time) time.Time { return at.AddDate(10, 0, 0) },
			"in 2106":         func(time.Time) time.Time { return time.Unix(1<<32-1, 0) },
		} {
			t.Run(name+"/"+when, func(t *testing.T) {
				for wrong := range 2 * exchanges {
					tape := newTape(t, layers.LinkTypeRaw)
					start := tape.at
					for n := range 2 * exchanges {
						tape.at = start.Add(time.Duration(n/2)*c.gap + time.Duration(n%2)*5*time.Millisecond)
						if n == wrong {
							tape.at = change(tape.at)
						}
						tape.datagram(c.port(n/2), n%2 == 1)
					}
					status, out, _ := runWith(t, write(t, tape.b.Bytes()))
					require.Zero(t, status)
					assert.Equal(t, exchanges, strings.Count(out, `"_path":"conn"`), "packet %d", wrong)
				}
			})
		}
	}
}
