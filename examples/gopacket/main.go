// Command gopacket prints the connections in a pcap or pcapng file, their HTTP requests and DNS
// queries, and which of those got no reply:
//
//	go -C examples run ./gopacket "$PWD/my.pcap"
//
// To build on it, copy table.go unchanged, model your parsers on http.go and dns.go, and list them
// below.
package main

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

var parsers = map[gopacket.Endpoint]parser{ // by the responder's port
	layers.NewTCPPortEndpoint(80): parseHTTP,
	layers.NewUDPPortEndpoint(53): parseDNS,
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: gopacket FILE")
	}
	file, err := os.Open(os.Args[1])
	if err == nil {
		err = analyze(file, newTable())
	}
	if err != nil {
		log.Fatal(err)
	}
}

// analyze passes each packet of a file to t. Even if the file is truncated, every connection has
// been removed when it returns.
func analyze(file io.Reader, t *table) error {
	defer t.end()
	packets, err := open(file)
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		data, info, err := packets.ReadPacketData()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("packet %d: %w", n, err)
		}
		t.packet(gopacket.NewPacket(data, packets.LinkType(), gopacket.Lazy), info.Timestamp)
	}
}

// A capture is a pcap or pcapng file.
type capture interface {
	gopacket.PacketDataSource
	LinkType() layers.LinkType
}

func open(file io.Reader) (capture, error) {
	in := bufio.NewReader(file)
	if magic, _ := in.Peek(4); string(magic) == "\n\r\r\n" {
		return pcapgo.NewNgReader(in, pcapgo.DefaultNgReaderOptions)
	}
	return pcapgo.NewReader(in)
}
