package ssh

import (
	"bytes"
	"fmt"
	"strings"

	"golang.org/x/crypto/cryptobyte"
)

// Where the lists of algorithms are in a KEXINIT.
const (
	kexAlgs = iota
	hostKeyAlgs
	cipherToServer
	cipherToClient
	macToServer
	macToClient
	compToServer
	compToClient
)

// kexInit takes one side's KEXINIT, without its header. With the other's, it tells what they agree on.
func (s *state) kexInit(me *side, packet []byte) {
	body := cryptobyte.String(packet)
	body.Skip(16) // cookie
	var lists [8][]byte
	for i := range lists {
		var n uint32
		var list []byte
		if !body.ReadUint32(&n) || !body.ReadBytes(&list, int(n)) {
			return
		}
		lists[i] = bytes.Clone(list)
	}
	me.lists = &lists
	client, server := s.sides[0].lists, s.sides[1].lists
	if client == nil || server == nil {
		return
	}
	s.row.KexAlg = agree(client[kexAlgs], server[kexAlgs])
	s.row.HostKeyAlg = agree(client[hostKeyAlgs], server[hostKeyAlgs])
	both := func(toServer, toClient int) string {
		up, down := agree(client[toServer], server[toServer]), agree(client[toClient], server[toClient])
		if up == down {
			return up
		}
		return fmt.Sprintf("To server: %s, to client: %s", up, down)
	}
	s.row.CipherAlg = both(cipherToServer, cipherToClient)
	s.row.MACAlg = both(macToServer, macToClient)
	s.row.CompAlg = both(compToServer, compToClient)
	s.sides[0].lists, s.sides[1].lists = nil, nil
}

// agree returns the first algorithm of the client's list that the server's has too.
func agree(client, server []byte) string {
	offered := map[string]bool{}
	for name := range strings.SplitSeq(string(server), ",") {
		offered[name] = true
	}
	for name := range strings.SplitSeq(string(client), ",") {
		if name != "" && offered[name] {
			return name
		}
	}
	return "Algorithm negotiation failed"
}
