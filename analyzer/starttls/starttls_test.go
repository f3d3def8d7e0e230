package starttls

import (
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn/analyzer/protocol"
	. "example.com/conn/analyzer/protocol/protocoltest"
)

var all = []*Protocol{IMAP, POP3, IRC, XMPP, LDAP, RDP, MySQL, PostgreSQL, SOCKS}

func (p *Protocol) String() string { return p.name }

const hello = "\x16\x03\x01" // the TLS that follows

// ber makes a BER element.
func ber(tag byte, parts ...string) string {
	body := strings.Join(parts, "")
	if len(body) < 128 {
		return string([]byte{tag, byte(len(body))}) + body
	}
	return string([]byte{tag, 0x82, byte(len(body) >> 8), byte(len(body))}) + body
}

// tpkt makes a message of RDP.
func tpkt(body string) string {
	return string(binary.BigEndian.AppendUint16([]byte{3, 0}, uint16(len(body)+4))) + body
}

// packet makes a packet of MySQL.
func packet(number byte, body string) string {
	return string([]byte{byte(len(body)), byte(len(body) >> 8), 0, number}) + body
}

var (
	startTLSRequest = ber(0x30, "\x02\x01\x05", ber(0x77, ber(0x80, "1.3.6.1.4.1.1466.20037")))
	granted         = ber(0x30, "\x02\x01\x05", ber(0x78, "\x0a\x01\x00\x04\x00\x04\x00"))
	denied          = ber(0x30, "\x02\x01\x05", ber(0x78, "\x0a\x01\x02\x04\x00\x04\x00"))

	connectRequest = tpkt("\x2a\xe0\x00\x00\x00\x00\x00Cookie: mstshash=a\r\n\x01\x00\x08\x00\x03\x00\x00\x00")
	oldRequest     = tpkt("\x06\xe0\x00\x00\x00\x00\x00")

	greeting = packet(0, "\x0a8.0.36\x00"+strings.Repeat("s", 60))
	sslLogin = packet(1, "\x85\xae\xff\x19\x00\x00\x00\x01\xff"+strings.Repeat("\x00", 23))
	login    = packet(1, "\x85\xa6\xff\x19\x00\x00\x00\x01\xff"+strings.Repeat("\x00", 23))

	postgresTLS = "\x00\x00\x00\x08\x04\xd2\x16\x2f"
	postgresGSS = "\x00\x00\x00\x08\x04\xd2\x16\x30"
	startup     = "\x00\x00\x00\x11\x00\x03\x00\x00user\x00joe\x00\x00"

	stream = "<stream:stream xmlns='jabber:client' to='x' version='1.0'>"
)

func connectConfirm(kind, protocol byte) string {
	return tpkt("\x0e\xd0\x00\x00\x12\x34\x00" + string([]byte{kind, 0, 8, 0, protocol, 0, 0, 0}))
}

// conversations end as their names say. Those that hand over are followed by a hello.
var conversations = []struct {
	name      string
	p         *Protocol
	turns     []Turn
	next      protocol.Next
	confirmed bool
	weird     string
}{
	{"grants", IMAP, []Turn{Resp("* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n"), Orig("a1 capability\r\n"),
		Resp("* CAPABILITY IMAP4rev1 STARTTLS\r\na1 OK done\r\n"), Orig("a2 starttls\r\n"), Resp("* OK still here\r\na2 ok begin\r\n"),
	}, protocol.HandOver, true, ""},
	{"refuses", IMAP, []Turn{Resp("* OK hi\r\n"), Orig("a STARTTLS\r\n"), Resp("a NO\r\n"), Orig("b NOOP\r\n")}, protocol.More, true, "IMAP: server refused StartTLS"},
	{"grants the second time", IMAP, []Turn{Orig("a STARTTLS\r\nb STARTTLS\r\n"), Resp("a BAD\r\n"), Resp("b OK\r\n")}, protocol.HandOver, true, "IMAP: server refused StartTLS"},
	{"answers something else", IMAP, []Turn{Orig("a STARTTLS\r\n"), Resp("b OK\r\n"), Resp("a2 OK\r\n")}, protocol.More, true, ""},
	{"logs in", IMAP, []Turn{Resp("* OK hi\r\n"), Orig("a LOGIN joe secret\r\n")}, protocol.Stop, true, ""},
	{"has long tags", IMAP, []Turn{Resp("* OK hi\r\n"), Orig(strings.Repeat("t", maxTag+1) + " STARTTLS\r\n")}, protocol.Stop, true, ""},
	{"has empty lines", IMAP, []Turn{Resp("* OK hi\r\n"), Orig("\na STARTTLS\r\n"), Resp("a OK\r\n")}, protocol.HandOver, true, ""},
	{"has the longest tag", IMAP, []Turn{Orig(strings.Repeat("t", maxTag) + " STARTTLS\r\n"), Resp(strings.Repeat("t", maxTag) + " OK\r\n")},
		protocol.HandOver, true, ""},
	{"has long lines", IMAP, []Turn{Resp("* OK hi\r\n* OK " + strings.Repeat("x", maxLine))}, protocol.Stop, true, ""},
	{"has the longest line", IMAP, []Turn{Resp("* OK " + strings.Repeat("x", maxLine-6) + "\n")}, protocol.More, true, ""},
	{"is something else", IMAP, []Turn{Resp(strings.Repeat("x", maxLine))}, protocol.Violation, false, ""},
	{"sends words without end", IMAP, []Turn{Resp(strings.Repeat("* OK\r\n", maxSeen/6+1))}, protocol.Stop, true, ""},
	{"sends almost too much", IMAP, []Turn{Resp(strings.Repeat("* OK\r\n", maxSeen/6))}, protocol.More, true, ""},
	{"has empty lines", IMAP, []Turn{Resp("* OK hi\r\n"), Orig("\r\n\r\na NOOP\r\n")}, protocol.More, true, ""},

	{"grants", POP3, []Turn{Resp("+OK hi\r\n"), Orig("CAPA\r\n"), Resp("+OK\r\nSTLS\r\n.\r\n"), Orig("stls\r\n"), Resp("+OK begin\r\n")},
		protocol.HandOver, true, ""},
	{"refuses", POP3, []Turn{Resp("+OK\r\n"), Orig("STLS\r\n"), Resp("-ERR no\r\n"), Orig("QUIT\r\n"), Resp("+OK bye\r\n")}, protocol.More, true, ""},
	{"capabilities", POP3, []Turn{Orig("CAPA\r\n"), Resp("+OK\r\n")}, protocol.More, true, ""},
	{"says something before it grants", POP3, []Turn{Orig("STLS\r\n"), Resp("* wait\r\n+OK\r\n")}, protocol.HandOver, true, ""},
	{"error, then success", POP3, []Turn{Orig("CAPA\r\n"), Resp("-ERR\r\n+OK\r\n")}, protocol.More, true, ""},
	{"capabilities refused", POP3, []Turn{Orig("CAPA\r\n"), Resp("-ERR\r\n"), Orig("\r\n")}, protocol.More, false, ""},
	{"is asked for mechanisms", POP3, []Turn{Resp("+OK\r\n"), Orig("AUTH\r\n"), Resp("+OK\r\nPLAIN\r\n.\r\n"), Orig("STLS\r\n"), Resp("+OK\r\n")},
		protocol.HandOver, true, ""},
	{"authenticates", POP3, []Turn{Resp("+OK\r\n"), Orig("AUTH PLAIN\r\n")}, protocol.Stop, false, ""},
	{"logs in", POP3, []Turn{Resp("+OK\r\n"), Orig("USER joe\r\n"), Resp("+OK\r\n"), Orig("PASS secret\r\n")}, protocol.Stop, true, ""},

	{"grants", IRC, []Turn{Orig("STARTTLS\r\n"), Resp(":irc.example 670  :STARTTLS successful, go ahead\r\n")}, protocol.HandOver, true, ""},
	{"refuses", IRC, []Turn{Orig("STARTTLS\r\n"), Resp(":irc.example 691 * :no\r\n"), Orig("NICK joe\r\n"), Resp(":irc.example 670 * :late\r\n")},
		protocol.More, true, ""},
	{"welcomes", IRC, []Turn{Orig("NICK joe\r\nUSER joe 0 * :Joe\r\n"), Resp(":irc.example NOTICE * :***\r\n:irc.example 001 joe :Welcome\r\n")},
		protocol.Stop, true, ""},
	{"welcomes a client without a name", IRC, []Turn{Orig("NICK joe\r\n"), Resp(":x 001 \r\n")}, protocol.Stop, true, ""},
	{"has no numbers", IRC, []Turn{Orig("NICK joe\r\n"), Resp("NOTICE AUTH :***\r\n:a b c\r\n: 670 x\r\n:a 67\r\n:a 6x0 b\r\n:a 6700\r\n:a\r\n")},
		protocol.More, false, ""},

	{"grants", XMPP, []Turn{Orig("<?xml version='1.0'?>" + stream), Resp(stream + "<stream:features><starttls xmlns='tls'><required/></starttls></stream:features>"),
		Orig("<starttls xmlns='tls'/>"), Resp("<proceed xmlns='tls'/>")}, protocol.HandOver, true, ""},
	{"refuses", XMPP, []Turn{Orig(stream + "<starttls/>"), Resp("<failure/><proceed/>")}, protocol.More, true, "XMPP: proceed without starttls"},
	{"is the server's", XMPP, []Turn{Resp(stream + "<starttls\n/>")}, protocol.More, false, ""},
	{"continues without TLS", XMPP, []Turn{Orig(stream), Resp("<success/>")}, protocol.Stop, true, ""},
	{"has an empty tag", XMPP, []Turn{Orig(">" + stream + "<starttls/>"), Resp("<proceed/>")}, protocol.HandOver, true, ""},
	{"verifies a server", XMPP, []Turn{Orig(stream + "<db:verify>")}, protocol.Stop, true, ""},
	{"has long tags", XMPP, []Turn{Orig(stream + "<" + strings.Repeat("x", maxLine))}, protocol.Stop, true, ""},
	{"has the longest tag", XMPP, []Turn{Orig(stream + "<" + strings.Repeat("x", maxLine-2) + ">")}, protocol.More, true, ""},

	{"grants", LDAP, []Turn{Orig(startTLSRequest), Resp(granted)}, protocol.HandOver, true, ""},
	{"grants after a search", LDAP, []Turn{Orig(ber(0x30, "\x02\x01\x01", ber(0x63, strings.Repeat("x", 500)))),
		Resp(ber(0x30, "\x02\x01\x01", ber(0x64, strings.Repeat("x", 900)))), Orig(startTLSRequest), Resp(granted)}, protocol.HandOver, true, ""},
	{"grants in long forms", LDAP, []Turn{
		Orig("\x30\x84\x00\x00\x00\x1f\x02\x03\x01\x02\x03\x77\x18\x80\x161.3.6.1.4.1.1466.20037"),
		Resp("\x30\x84\x00\x00\x00\x12\x02\x03\x01\x02\x03\x78\x84\x00\x00\x00\x07\x0a\x01\x00\x04\x00\x04\x00")},
		protocol.HandOver, true, ""},
	{"grants at length", LDAP, []Turn{Orig(startTLSRequest), Resp(ber(0x30, "\x02\x01\x05", ber(0x78, "\x0a\x01\x00", ber(0x04, strings.Repeat("x", 300)))))},
		protocol.HandOver, true, ""},
	{"grants without end", LDAP, []Turn{Orig(startTLSRequest), Resp(ber(0x30, "\x02\x01\x05", ber(0x78, "\x0a\x01\x00", ber(0x04, strings.Repeat("x", maxLine)))))},
		protocol.Stop, true, ""},
	{"refuses", LDAP, []Turn{Orig(startTLSRequest), Resp(denied), Resp(granted)}, protocol.More, true, ""},
	{"answers something else", LDAP, []Turn{Orig(startTLSRequest), Resp(ber(0x30, "\x02\x01\x06", ber(0x78, "\x0a\x01\x00"))),
		Resp(ber(0x30, "\x02\x01\x05", ber(0x61, "\x0a\x01\x00")))}, protocol.More, true, ""},
	{"answers before", LDAP, []Turn{Resp(granted + granted)}, protocol.More, false, ""},
	{"asks for something else", LDAP, []Turn{Orig(ber(0x30, "\x02\x01\x05", ber(0x77, ber(0x80, "1.3.6.1.4.1.4203.1.11.3")))), Resp(granted)}, protocol.More, true, ""},
	{"wraps", LDAP, []Turn{Orig(ber(0x30, "\x02\x01\x01", ber(0x60, "x"))), Resp(granted), Orig("\x00\x00\x01\x00")}, protocol.Stop, true, ""},
	{"has no ID", LDAP, []Turn{Orig("\x30\x05\x04\x01\x01" + strings.Repeat("\x60", ldapEnough))}, protocol.Violation, false, ""},

	{"chooses TLS", RDP, []Turn{Orig(connectRequest), Resp(connectConfirm(2, 1))}, protocol.HandOver, true, ""},
	{"chooses CredSSP", RDP, []Turn{Orig(connectRequest), Resp(connectConfirm(2, 2))}, protocol.HandOver, true, ""},
	{"chooses its own", RDP, []Turn{Orig(connectRequest), Resp(connectConfirm(2, 0)), Orig(tpkt("\x02\xf0\x80\x7f\x65\x82"))}, protocol.Stop, true, ""},
	{"knows its own only", RDP, []Turn{Orig(oldRequest), Resp(tpkt("\x06\xd0\x00\x00\x12\x34\x00")), Orig(tpkt("\x02\xf0\x80\x7f\x65\x82"))}, protocol.Stop, true, ""},
	{"fails", RDP, []Turn{Orig(connectRequest), Resp(connectConfirm(3, 5))}, protocol.Stop, false, ""},
	{"is not RDP after all", RDP, []Turn{Orig(oldRequest), Resp(tpkt("\x11\xd0\x00\x00\x12\x34\x00\xc1\x02\x01\x00\xc2\x02\x01\x02\xc0\x01\x0a")),
		Orig(tpkt("\x02\xf0\x80\x32\x01\x00"))}, protocol.Violation, false, ""},
	{"is not RDP at once", RDP, []Turn{Orig(oldRequest), Resp(tpkt("\x06\xd0\x00\x00\x12\x34\x00")), Orig(tpkt("\x02\xf0\x80"))},
		protocol.Violation, false, ""},
	{"is cut", RDP, []Turn{Orig("\x03\x00\x00\x06\xe0\x00")}, protocol.Violation, false, ""},
	{"is long", RDP, []Turn{Orig("\x03\x00\x10\x01\xe0\x00")}, protocol.Violation, false, ""},
	{"is short", RDP, []Turn{Orig("\x03\x00\x00\x07\x02\xe0\x00"), Resp(connectConfirm(2, 1))}, protocol.HandOver, true, ""},
	{"answers before", RDP, []Turn{Resp(connectConfirm(2, 1))}, protocol.Violation, false, ""},

	{"uses TLS", MySQL, []Turn{Resp(greeting), Orig(sslLogin)}, protocol.HandOver, true, ""},
	{"does without", MySQL, []Turn{Resp(greeting), Orig(login)}, protocol.Stop, true, ""},
	{"has a long greeting", MySQL, []Turn{Resp(packet(0, "\x0a8.0.36\x00"+strings.Repeat("s", 600))), Orig(sslLogin)}, protocol.HandOver, true, ""},
	{"sends an error after a long greeting", MySQL, []Turn{Resp(packet(0, "\x0a8.0.36\x00"+strings.Repeat("s", 300)) + packet(1, "\xff\x10\x04T"))}, protocol.Violation, false, ""},
	{"sends a long login", MySQL, []Turn{Resp(greeting), Orig("\x20\x00\x01" + sslLogin[3:])}, protocol.Stop, true, ""},
	{"logs in with the flag of TLS", MySQL, []Turn{Resp(greeting), Orig(packet(1, "\x85\xae\xff\x19"+strings.Repeat("x", 60)))}, protocol.Stop, true, ""},
	{"is early", MySQL, []Turn{Orig(sslLogin)}, protocol.More, false, ""},
	{"sends an error", MySQL, []Turn{Resp(packet(0, "\xff\x10\x04Too many connections"))}, protocol.Violation, false, ""},
	{"sends a short error", MySQL, []Turn{Resp(packet(0, "\xff\x10\x04T"))}, protocol.Violation, false, ""},
	{"counts wrong", MySQL, []Turn{Resp(greeting), Orig(packet(2, sslLogin[4:]))}, protocol.Violation, false, ""},
	{"greets twice", MySQL, []Turn{Resp(greeting + greeting)}, protocol.Violation, false, ""},

	{"grants", PostgreSQL, []Turn{Orig(postgresTLS), Resp("S")}, protocol.HandOver, true, ""},
	{"has no GSSAPI but TLS", PostgreSQL, []Turn{Orig(postgresGSS), Resp("N"), Orig(postgresTLS), Resp("S")}, protocol.HandOver, true, ""},
	{"has GSSAPI", PostgreSQL, []Turn{Orig(postgresGSS), Resp("S")}, protocol.Violation, false, ""},
	{"refuses", PostgreSQL, []Turn{Orig(postgresTLS), Resp("N"), Orig(startup)}, protocol.Stop, true, ""},
	{"is something else", PostgreSQL, []Turn{Orig(startup)}, protocol.Violation, false, ""},
	{"is short", PostgreSQL, []Turn{Orig("GET")}, protocol.Violation, false, ""},
	{"says what the client says", PostgreSQL, []Turn{Resp(postgresTLS)}, protocol.Violation, false, ""},
	{"answers twice", PostgreSQL, []Turn{Orig(postgresTLS), Resp("N"), Resp("S")}, protocol.Stop, true, ""},
	{"errs", PostgreSQL, []Turn{Orig(postgresTLS), Resp("E\x00\x00\x00\x10")}, protocol.Violation, false, ""},
	{"answers before", PostgreSQL, []Turn{Resp("S")}, protocol.Violation, false, ""},

	{"connects by 5", SOCKS, []Turn{Orig("\x05\x02\x00\x02"), Resp("\x05\x00"), Orig("\x05\x01\x00\x03\x0bexample.com\x01\xbb"),
		Resp("\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")}, protocol.HandOver, true, ""},
	{"connects by 5 with a password", SOCKS, []Turn{Orig("\x05\x01\x02"), Resp("\x05\x02"), Orig("\x01\x03joe\x06secret"), Resp("\x01\x00"),
		Orig("\x05\x01\x00\x04" + strings.Repeat("\x20", 16) + "\x01\xbb"), Resp("\x05\x00\x00\x03\x01x\x00\x00")}, protocol.HandOver, true, ""},
	{"connects by 4", SOCKS, []Turn{Orig("\x04\x01\x01\xbb\xc0\x00\x02\x01joe\x00"), Resp("\x00\x5a\x00\x00\x00\x00\x00\x00")}, protocol.HandOver, true, ""},
	{"connects by 4a", SOCKS, []Turn{Orig("\x04\x01\x01\xbb\x00\x00\x00\x01\x00example.com\x00"), Resp("\x00\x5a\x00\x00\x00\x00\x00\x00")},
		protocol.HandOver, true, ""},
	{"is connected to by 4", SOCKS, []Turn{Orig("\x04\x02\x01\xbb\x00\x00\x00\x00\x00"), Resp("\x00\x5a\x00\x00\x00\x00\x00\x00"),
		Resp("\x00\x5a\x00\x00\x00\x00\x00\x00")}, protocol.HandOver, true, ""},
	{"relays datagrams", SOCKS, []Turn{Orig("\x05\x01\x00"), Resp("\x05\x00"), Orig("\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00"),
		Resp("\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")}, protocol.Stop, true, ""},
	{"refuses by 5", SOCKS, []Turn{Orig("\x05\x01\x00"), Resp("\x05\x00"), Orig("\x05\x01\x00\x01\x00\x00\x00\x00\x00\x00"),
		Resp("\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00")}, protocol.Stop, true, ""},
	{"refuses by 4", SOCKS, []Turn{Orig("\x04\x01\x01\xbb\xc0\x00\x02\x01\x00"), Resp("\x00\x5b\x00\x00\x00\x00\x00\x00")}, protocol.Stop, true, ""},
	{"refuses the password", SOCKS, []Turn{Orig("\x05\x01\x02"), Resp("\x05\x02"), Orig("\x01\x00\x00"), Resp("\x01\x01")}, protocol.Stop, false, ""},
	{"wants GSSAPI", SOCKS, []Turn{Orig("\x05\x01\x01"), Resp("\x05\x01")}, protocol.Stop, false, "socks5_unsupported_authentication_method"},
	{"has a strange address", SOCKS, []Turn{Orig("\x05\x01\x00"), Resp("\x05\x00"), Orig("\x05\x01\x00\x07" + strings.Repeat("x", 700))},
		protocol.Violation, false, ""},
	{"sends a password in another version", SOCKS, []Turn{Orig("\x05\x01\x02"), Resp("\x05\x02"), Orig("\x02\x01a\x01b")}, protocol.Violation, false, ""},
	{"has a long user", SOCKS, []Turn{Orig("\x04\x01\x01\xbb\xc0\x00\x02\x01" + strings.Repeat("x", 700))}, protocol.Violation, false, ""},
	{"is something else", SOCKS, []Turn{Orig("GET / HTTP/1.1\r\n")}, protocol.Violation, false, ""},
	{"answers before", SOCKS, []Turn{Resp("\x05\x00")}, protocol.Violation, false, ""},
}

func TestConversations(t *testing.T) {
	for _, tt := range conversations {
		t.Run(tt.p.name+" "+tt.name, func(t *testing.T) {
			var want [2]string
			turns := tt.turns
			if tt.next == protocol.HandOver {
				want = [2]string{hello, "server's"} // not a byte of it is lost, even if it comes early
				last := turns[len(turns)-1]
				last.Data += want[1]
				early := Orig(want[0])
				turns = append(append([]Turn{}, turns[:len(turns)-1]...), early, last)
				if tt.p == MySQL {
					turns = append(append([]Turn{}, tt.turns[:1]...), Orig(tt.turns[1].Data+hello))
					want[1] = ""
				}
			}
			o, c := &Recorder{}, Conn()
			p := New(o, tt.p)
			res := Play(t, p, c, turns...)
			assert.Equal(t, tt.next, res.Next)
			assert.Equal(t, tt.confirmed, o.Confirmed)
			if tt.next == protocol.HandOver {
				assert.Equal(t, want, res.Rest)
			}
			if tt.weird == "" {
				assert.Empty(t, o.Weirds)
			} else {
				assert.Equal(t, []string{tt.weird}, o.Weirds)
			}
			if tt.next == protocol.More {
				assert.LessOrEqual(t, p.MemoryUsed(c), stateSize+maxTag)
			} else {
				assert.Zero(t, p.MemoryUsed(c), "nothing is left")
			}
			rows := Rows
			if testing.Short() || len(Encode(turns...)) > 2000 { // cuts at any byte take long
				rows = FuzzRows
			}
			rows(t, func(o protocol.Owner) protocol.Parser { return New(o, tt.p) }, turns...)
		})
	}
}

// The last byte of an answer is enough; nothing has to follow it.
func TestHandsOverAtOnce(t *testing.T) {
	for _, tt := range conversations {
		t.Run(tt.p.name+" "+tt.name, func(t *testing.T) {
			// "grants the second time" waits for the client's turn.
			if tt.next == protocol.HandOver && tt.name != "grants the second time" {
				res := Play(t, New(&Recorder{}, tt.p), Conn(), tt.turns...)
				assert.Equal(t, Result{Next: protocol.HandOver}, res)
			}
		})
	}
}

// TestMatch checks that no protocol matches the conversations of another.
func TestMatch(t *testing.T) {
	for _, tt := range conversations {
		t.Run(tt.p.name+" "+tt.name, func(t *testing.T) {
			if tt.next == protocol.Violation {
				return
			}
			var said [2][]byte
			for _, turn := range tt.turns {
				side := protocol.Resp
				if turn.FromOrig {
					side = protocol.Orig
				}
				said[side] = append(said[side], turn.Data...)
			}
			for _, p := range all {
				if p != tt.p {
					assert.NotEqual(t, protocol.Yes, New(nil, p).Match(said[0], said[1]), p.name)
				}
			}
		})
	}
	for _, other := range []string{"", "GET / HTTP/1.1\r\n", "SSH-2.0-x\r\n", "220 mail ready\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"} {
		t.Run(other, func(t *testing.T) {
			for _, p := range all {
				assert.NotEqual(t, protocol.Yes, New(nil, p).Match([]byte(other), []byte(other)), p.name)
			}
		})
	}
	for _, tt := range []struct {
		p          *Protocol
		orig, resp string
		want       protocol.Verdict
	}{
		{IMAP, "", "* OK ready", protocol.Yes},
		{IMAP, "", "* O", protocol.Maybe},
		{IMAP, "", "* OX", protocol.No},
		{POP3, "USER joe", "+ok hi", protocol.Yes},
		{POP3, "USE", "+OK", protocol.Maybe},
		{POP3, "HELP", "+OK", protocol.No},
		{IRC, "NICK joe", ":x 001 joe", protocol.Yes},
		{IRC, "CAP LS", ":x NOTICE * :hi\r\nPING :1\r\n:x 451 y", protocol.Yes},
		{IRC, "NICK joe", ":x NOTICE y", protocol.Maybe},
		{IRC, "NICK joe", ":x NOTICE y\r\nHTTP/1.1 400\r\n", protocol.No},
		{IRC, "USER joe", "331 more\r\n", protocol.No},
		{XMPP, stream, "", protocol.Yes},
		{XMPP, "<?xml version='1.0'?>\n" + stream, "", protocol.Yes},
		{XMPP, "<?xml version='1.0'?>" + stream, "", protocol.Yes},
		{XMPP, "<?xml version='1.0'?>", "", protocol.Maybe},
		{XMPP, "<?xml version='1.0'?><stream:stream xmlns='x'>", "", protocol.No},
		{XMPP, "<?xml version='1.0'", "", protocol.Maybe},
		{XMPP, "<?x", "", protocol.Maybe},
		{XMPP, "<str", "", protocol.Maybe},
		{XMPP, "<stream:stream xmlns='jab", "", protocol.Maybe},
		{XMPP, "<stream:stream " + strings.Repeat("x", maxLine), "", protocol.No},
		{XMPP, "<stream:stream " + strings.Repeat("x", maxLine-15), "", protocol.Maybe},
		{XMPP, "<?xml version='1.0'?><html>", "", protocol.No},
		{LDAP, startTLSRequest, "", protocol.Maybe},
		{LDAP, startTLSRequest, granted, protocol.Yes},
		{LDAP, "\x30\x84\x00", "\x30", protocol.Maybe},
		{LDAP, granted, granted, protocol.No},
		{LDAP, "\x30\x0c\x02\x05" + strings.Repeat("\x01", 70), "\x30", protocol.No},
		{LDAP, "\x31", "\x30", protocol.No},
		{RDP, connectRequest, connectConfirm(2, 1), protocol.Yes},
		{RDP, connectRequest, "\x03", protocol.Maybe},
		{RDP, connectRequest, connectRequest, protocol.No},
		{MySQL, sslLogin, greeting, protocol.Yes},
		{MySQL, "", greeting, protocol.Maybe},
		{MySQL, greeting, greeting, protocol.No},
		{MySQL, sslLogin, packet(0, "\x0ax"), protocol.No},
		{PostgreSQL, postgresTLS, "S", protocol.Yes},
		{PostgreSQL, postgresGSS, "N", protocol.Yes},
		{PostgreSQL, postgresGSS[:7], "N", protocol.Maybe},
		{PostgreSQL, startup, "S", protocol.No},
		{SOCKS, "\x05\x01\x00", "\x05\x00", protocol.Yes},
		{SOCKS, "\x05\x02\x00", "\x05\x00", protocol.Maybe},
		{SOCKS, "\x05\x00\x00", "\x05\x00", protocol.No},
		{SOCKS, "\x05\x00", "\x05\x00", protocol.No},
		{SOCKS, "\x05", "\x05", protocol.Maybe},
		{SOCKS, "\x05\x01\x00", "\x05\x07", protocol.No},
		{SOCKS, "\x04\x01\x00", "\x00\x5a", protocol.Yes},
		{SOCKS, "\x04\x03\x00", "\x00\x5a", protocol.No},
		{SOCKS, "\x04\x01\x00", "", protocol.Maybe},
		{SOCKS, "\x04", "", protocol.Maybe},
	} {
		t.Run(fmt.Sprintf("%s %.20q %.20q", tt.p.name, tt.orig, tt.resp), func(t *testing.T) {
			assert.Equal(t, tt.want, New(nil, tt.p).Match([]byte(tt.orig), []byte(tt.resp)))
		})
	}
	for kind := range 256 {
		want := protocol.No
		if strings.IndexByte("\x4a\x60\x63\x66\x68\x6c\x6e\x77", byte(kind)) >= 0 { // RFC 4511's requests
			want = protocol.Yes
		}
		assert.Equal(t, want, matchLDAP([]byte(ber(0x30, "\x02\x01\x05", ber(byte(kind))))), "%#x", kind)
	}
}

func TestReadLDAP(t *testing.T) {
	for data, want := range map[string]ldap{
		"\x30\x07\x02\x02\x01\x02\x60\x01x":                          {9, 0x0102, 0x60, []byte("x")},
		"\x30\x81\x80\x02\x04\x01\x02\x03\x04\x77\x82\x01\x00":       {3 + 0x80, 0x01020304, 0x77, []byte{}},
		"\x30\x83\x01\x02\x03\x02\x01\x05\x78\x84\x00\x00\x00\x01xy": {5 + 0x010203, 5, 0x78, []byte("xy")},
		// lengths that are -1 in 32 bits
		"\x30\x84\xff\xff\xff\xff\x02\x01\x05\x78\x84\xff\xff\xff\xff": {6 + math.MaxInt32/2, 5, 0x78, []byte{}},
	} {
		t.Run(data, func(t *testing.T) {
			got, ok := readLDAP([]byte(data))
			assert.True(t, ok)
			assert.Equal(t, want, got)
			for n := range len(data) - len(want.body) {
				_, ok := readLDAP([]byte(data[:n]))
				assert.False(t, ok, "%d bytes", n)
			}
		})
	}
	for _, data := range []string{
		"\x31\x07\x02\x02\x01\x02\x60\x01x", "\x30\x07\x03\x02\x01\x02\x60\x01x", "\x30\x07\x02\x00\x60\x01x", "\x30\x80\x02\x01\x01\x60\x01x",
		"\x30\x85\x00\x00\x00\x00\x07\x02\x01\x01\x60\x01x", "\x30\x07\x02\x05\x01\x01\x01\x01\x01\x60\x01x",
	} {
		t.Run(data, func(t *testing.T) {
			_, ok := readLDAP([]byte(data))
			assert.False(t, ok)
		})
	}
}

// A negotiation may be as long as the limit, but not longer.
func TestNegotiationIsBounded(t *testing.T) {
	noop := "a NOOP\r\n"
	for n, next := range map[int]protocol.Next{16 << 10 / len(noop): protocol.More, 16<<10/len(noop) + 1: protocol.Stop} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			assert.Equal(t, next, Play(t, New(&Recorder{}, IMAP), Conn(), Orig(strings.Repeat(noop, n))).Next, "%d bytes", n*len(noop))
		})
	}
	assert.Equal(t, 16<<10, maxWaiting)
}

func TestGapEnds(t *testing.T) {
	o, c := &Recorder{}, Conn()
	p := New(o, IMAP)
	turn := Orig("a STARTTLS\r\n")
	turn.Lost = 1
	assert.Equal(t, protocol.Stop, Play(t, p, c, turn).Next)
	assert.Zero(t, p.MemoryUsed(c))
}

func TestHeldCountsTheTag(t *testing.T) {
	c := Conn()
	p := New(&Recorder{}, IMAP)
	Play(t, p, c, Orig("tag STARTTLS\r\n"))
	assert.Equal(t, stateSize+len("tag"), p.MemoryUsed(c))
}

// TestClientsDoNotWaitForever plays a client that continues before it is answered.
func TestClientsDoNotWaitForever(t *testing.T) {
	for _, tt := range []struct {
		p     *Protocol
		start string
	}{{IMAP, "a STARTTLS\r\n"}, {SOCKS, "\x05\x01\x00"}, {MySQL, ""}} {
		t.Run(tt.p.name, func(t *testing.T) {
			c := Conn()
			p := New(&Recorder{}, tt.p)
			assert.Equal(t, protocol.More, Play(t, p, c, Orig(tt.start+strings.Repeat("x", maxWaiting))).Next)
			p.FreeMemory(c)
			assert.Equal(t, tt.start != "", p.MemoryUsed(c) > 0 && tt.start != "")
			assert.NotEqual(t, protocol.More, Play(t, p, Conn(), Orig(tt.start+strings.Repeat("x", maxWaiting+1))).Next)
		})
	}
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func FuzzParsers(f *testing.F) {
	for _, tt := range conversations {
		if input := Encode(tt.turns...); len(input) < 2000 { // longer ones take long in small packets
			f.Add(byte(slices.Index(all, tt.p)), input)
		}
	}
	// The name of StartTLS lies after the end of the message that asks for it.
	f.Add(byte(4), []byte("\x9f0\r\x02\x01\x05w\x18\x80\x161.3.6.1.4.1.1466.20037"))
	f.Fuzz(func(t *testing.T, which byte, input []byte) {
		proto := all[int(which)%len(all)]
		turns := Decode(input)
		rows := FuzzRows(t, func(o protocol.Owner) protocol.Parser { return New(o, proto) }, turns...)
		assert.Empty(t, rows)
		var said [2][]byte
		for _, turn := range turns {
			side := protocol.Resp
			if turn.FromOrig {
				side = protocol.Orig
			}
			said[side] = append(said[side], turn.Data...)
		}
		New(nil, proto).Match(said[0], said[1])

		c, p := Conn(), New(&Recorder{}, proto)
		cost := allocated(func() {
			for _, turn := range turns {
				side := protocol.Resp
				if turn.FromOrig {
					side = protocol.Orig
				}
				if _, next := p.Data(c, protocol.Packet{Side: side}, []byte(turn.Data)); next != protocol.More {
					break
				}
				require.LessOrEqual(t, p.MemoryUsed(c), stateSize+maxTag)
			}
		})
		assert.LessOrEqual(t, cost, uint64(64<<10+64*len(input)))
	})
}
