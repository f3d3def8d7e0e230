package ssh

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/ssh"

	"example.com/conn"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/protocol"
)

// The types of packets that are read.
const (
	msgKexInit = 20
	msgNewKeys = 21

	smsgPublicKey  = 2 // of SSH 1
	cmsgSessionKey = 3
)

// packet handles a packet of the key exchange, or a part of one that is skipped.
func (s *state) packet(c *conn.Connection, from protocol.Side, data []byte) (int, protocol.Next) {
	me := &s.sides[from]
	if me.skip > 0 {
		n := min(me.skip, len(data))
		me.skip -= n
		return n, protocol.More
	}
	version := s.row.Version
	if me.version == '2' {
		version = 2 // need not wait for the other side
	}
	if version == 0 {
		return len(data), protocol.More // unreadable without the other side
	}
	if len(data) < 4 {
		return 0, protocol.More
	}
	size := binary.BigEndian.Uint32(data)
	switch {
	case size > maxPacket:
		return 0, s.tooLong(c, int(size), maxPacket)
	case version == 1:
		return s.packet1(c, me, data, int(size))
	}
	return s.packet2(c, me, data, int(size))
}

// packet1 handles a packet of SSH 1: its size, padding, its type, its body and a checksum. Each
// side sends one in the clear.
func (s *state) packet1(c *conn.Connection, me *side, data []byte, size int) (int, protocol.Next) {
	header := 4 + 8 - size%8 + 1
	if len(data) < header {
		return 0, protocol.More
	}
	end := header
	switch data[header-1] {
	case smsgPublicKey:
		if end = max(header, header-1+size); end > maxRead {
			return 0, s.tooLong(c, end, maxRead)
		}
		if len(data) < end {
			return 0, protocol.More
		}
		s.row.HostKey = publicKey1(data[header:max(header, end-4)])
	case cmsgSessionKey:
		s.parser.owner.Confirm(c)
	}
	me.phase = encrypted // nothing after it is read
	return end, protocol.More
}

// tooLong reports a packet of n bytes, which are more than most.
func (s *state) tooLong(c *conn.Connection, n, most int) protocol.Next {
	s.parser.owner.Weird(c, "SSH_max_packet_length_exceeded", fmt.Sprintf("%d > %d", n, most))
	return protocol.Violation
}

// packet2 handles a packet of SSH 2: its size, the size of its padding, its type, its body and the
// padding.
func (s *state) packet2(c *conn.Connection, me *side, data []byte, size int) (int, protocol.Next) {
	const header = 6
	if size < header-4 {
		return 0, protocol.Violation
	}
	if len(data) < header {
		return 0, protocol.More
	}
	end := 4 + size
	kind := data[5]
	if kind != msgKexInit && kind != msgNewKeys && (kind != s.hostKeyIn || kind == 0) {
		me.skip = end - header
		return header, protocol.More
	}
	if end > maxRead {
		return 0, s.tooLong(c, end, maxRead)
	}
	if len(data) < end {
		return 0, protocol.More
	}
	body := data[header:max(header, end-int(data[4]))]
	switch kind {
	case msgKexInit:
		if !s.kexInit(c, me, body) {
			return end, protocol.Violation
		}
	case msgNewKeys:
		me.phase = encrypted
		if s.row.Version == 2 {
			s.parser.owner.Confirm(c)
		}
	default:
		s.row.HostKey = hostKey2(body)
	}
	return end, protocol.More
}

// A kexInitMsg is a KEXINIT (RFC 4253, section 7.1).
type kexInitMsg struct {
	Cookie                         [16]byte
	Kex, HostKey                   []byte
	CipherToServer, CipherToClient []byte
	MACToServer, MACToClient       []byte
	CompToServer, CompToClient     []byte
	Rest                           []byte `ssh:"rest"`
}

// kexInit handles one side's KEXINIT. With the second one, it finds out what the sides agree on. It
// reports whether they can be read.
func (s *state) kexInit(c *conn.Connection, me *side, body []byte) bool {
	if s.row.KexAlg != "" || me.init != nil {
		return true // a key re-exchange
	}
	me.init = bytes.Clone(body) // at most maxRead
	var client, server kexInitMsg
	if s.sides[0].init == nil || s.sides[1].init == nil {
		return ssh.Unmarshal(body, &client) == nil
	}
	err := ssh.Unmarshal(s.sides[0].init, &client)
	if err == nil {
		err = ssh.Unmarshal(s.sides[1].init, &server)
	}
	s.sides[0].init, s.sides[1].init = nil, nil
	if err != nil {
		return false
	}
	r := s.row
	r.KexAlg = agree(client.Kex, server.Kex)
	r.HostKeyAlg = agree(client.HostKey, server.HostKey)
	r.CipherAlg = both(agree(client.CipherToServer, server.CipherToServer), agree(client.CipherToClient, server.CipherToClient))
	r.MACAlg = both(agree(client.MACToServer, server.MACToServer), agree(client.MACToClient, server.MACToClient))
	r.CompAlg = both(agree(client.CompToServer, server.CompToServer), agree(client.CompToClient, server.CompToClient))
	var known bool
	if s.hostKeyIn, known = hostKeyMessage(r.KexAlg); !known && r.KexAlg != disagree {
		s.parser.owner.Weird(c, "ssh_unknown_kex_algorithm", r.KexAlg)
	}
	return true
}

const disagree = "Algorithm negotiation failed"

// maxNames is how many algorithms of a list are read. Hosts allow fewer: OpenSSH 40, Dropbear 50.
const maxNames = 64

// agree returns the first algorithm of the client's list that is also in the server's, or disagree.
func agree(client, server []byte) string {
	offered := names(server)
	for _, name := range names(client) {
		if name != "" && slices.Contains(offered, name) {
			return logs.Text([]byte(name))
		}
	}
	return disagree
}

// names splits a list at its commas.
func names(list []byte) []string {
	all := strings.SplitN(string(list), ",", maxNames+1)
	return all[:min(len(all), maxNames)]
}

// both combines what was agreed on for the two directions.
func both(toServer, toClient string) string {
	if toServer == toClient {
		return toServer
	}
	return fmt.Sprintf("To server: %s, to client: %s", toServer, toClient)
}

// hostKeyMessage returns the type of the message that carries the server's key in a key exchange, 0
// if none does.
func hostKeyMessage(kexAlg string) (kind byte, known bool) {
	for _, x := range []struct {
		prefix string
		kind   byte
	}{
		{"diffie-hellman-group-exchange-", 33}, {"diffie-hellman-group", 31},
		{"ecdh-sha2-", 31}, {"ecmqv-sha2", 31}, {"curve25519-sha256", 31}, {"curve448-sha512", 31},
		{"sntrup", 31}, {"mlkem", 31},
		{"gss-", 33}, {"rsa1024-sha1", 0}, {"rsa2048-sha256", 0},
	} {
		if strings.HasPrefix(kexAlg, x.prefix) {
			return x.kind, true
		}
	}
	return 0, false
}

// hostKey2 returns the fingerprint of the key at the beginning of a message, "" if there is none.
func hostKey2(body []byte) string {
	var reply struct {
		Key  []byte
		Rest []byte `ssh:"rest"`
	}
	if ssh.Unmarshal(body, &reply) != nil {
		return ""
	}
	return fingerprint(reply.Key)
}

// publicKey1 returns the fingerprint of the host key in an SMSG_PUBLIC_KEY, "" if there is none.
func publicKey1(body []byte) string {
	r := cryptobyte.String(body)
	number := func() (v []byte) {
		var bits uint16
		if r.ReadUint16(&bits) {
			r.ReadBytes(&v, (int(bits)+7)/8)
		}
		return v
	}
	r.Skip(8 + 4) // a cookie, and the size of the server's key, which follows
	number()
	number()
	r.Skip(4)
	exponent, modulus := number(), number()
	if modulus == nil {
		return ""
	}
	return fingerprint(modulus, exponent)
}

// fingerprint returns the first 24 bytes of a key's SHA-256, as Zeek does; OpenSSH shows all.
func fingerprint(key ...[]byte) string {
	h := sha256.New()
	for _, part := range key {
		h.Write(part)
	}
	return "SHA256:" + base64.StdEncoding.EncodeToString(h.Sum(nil)[:24])
}
