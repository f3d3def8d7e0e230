package main

import (
	"encoding/binary"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/require"
)

// writeFlood writes a capture of n SYNs, each from its own address and port, a microsecond apart.
func writeFlood(t testing.TB, w io.Writer, n int) {
	out := pcapgo.NewWriter(w)
	require.NoError(t, out.WriteFileHeader(65535, layers.LinkTypeEthernet))
	buf := gopacket.NewSerializeBuffer()
	eth := layers.Ethernet{SrcMAC: make([]byte, 6), DstMAC: make([]byte, 6), EthernetType: layers.EthernetTypeIPv4}
	ip := layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, DstIP: netip.MustParseAddr("198.51.100.1").AsSlice()}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range n {
		ip.SrcIP = binary.BigEndian.AppendUint32(nil, 10<<24+uint32(i))
		tcp := layers.TCP{SYN: true, Window: 1024, DstPort: 80, SrcPort: layers.TCPPort(1024 + i%60000), Seq: uint32(i) * 7919}
		require.NoError(t, tcp.SetNetworkLayerForChecksum(&ip))
		opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
		require.NoError(t, gopacket.SerializeLayers(buf, opts, &eth, &ip, &tcp))
		ci := gopacket.CaptureInfo{
			Timestamp:     start.Add(time.Duration(i) * time.Microsecond),
			CaptureLength: len(buf.Bytes()),
			Length:        len(buf.Bytes()),
		}
		require.NoError(t, out.WritePacket(ci, buf.Bytes()))
	}
}
