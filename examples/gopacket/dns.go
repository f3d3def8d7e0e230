// Copy this file as a model for parsers of datagrams. Like http.go, it knows nothing about the
// table.

package main

import (
	"fmt"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"example.com/conn"
)

var dnsPending conn.Field[map[uint16]string] // names queried, by ID; at most 100

func parseDNS(c *conn.Connection, fromOrig bool, data []byte) {
	var m layers.DNS
	if m.DecodeFromBytes(data, gopacket.NilDecodeFeedback) != nil || len(m.Questions) == 0 || m.QR == fromOrig {
		return
	}
	pending, created := dnsPending.GetOrNew(c)
	if created {
		*pending = map[uint16]string{}
	}
	if name, ok := (*pending)[m.ID]; ok && m.QR {
		fmt.Printf("%s %v: %q: %v\n", c.UID, c.ID, name, m.ResponseCode)
		delete(*pending, m.ID)
	} else if fromOrig && len(*pending) < 100 {
		(*pending)[m.ID] = string(m.Questions[0].Name)
		conn.Register(c, finishDNS)
	}
}

func finishDNS(c *conn.Connection) bool {
	for _, name := range *dnsPending.Get(c) {
		fmt.Printf("%s %v: %q: no reply\n", c.UID, c.ID, name)
	}
	return true
}
