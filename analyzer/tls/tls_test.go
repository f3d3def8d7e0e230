package tls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/cryptobyte"

	"example.com/conn"
	"example.com/conn/analyzer/protocol"
	. "example.com/conn/analyzer/protocol/protocoltest"
)

func parser(o protocol.Owner) protocol.Parser { return New(o) }

// row returns the only row of turns.
func row(t *testing.T, turns ...Turn) (r Row) {
	t.Helper()
	lines := Rows(t, parser, turns...)
	require.Len(t, lines, 1)
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &r))
	return r
}

// testCertificate is the server's.
var testCertificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"www.example.com"}, NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

// A tap records the bytes written to a connection.
type tap struct {
	net.Conn
	fromOrig bool
	log      *recording
}

type recording struct {
	mu    sync.Mutex
	turns []Turn
}

func (t tap) Write(b []byte) (int, error) {
	t.log.mu.Lock()
	t.log.turns = append(t.log.turns, Turn{FromOrig: t.fromOrig, Data: string(b)})
	t.log.mu.Unlock()
	return t.Conn.Write(b)
}

// converse makes package crypto/tls shake hands and exchange a few bytes, and returns the
// conversation.
func converse(t testing.TB, client, server *tls.Config) []Turn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	b, err := l.Accept()
	require.NoError(t, err)
	var log recording
	server.Certificates = []tls.Certificate{testCertificate()}
	client.InsecureSkipVerify = true
	client.ServerName = "www.example.com"
	var wg sync.WaitGroup
	wg.Go(func() {
		c := tls.Server(tap{b, false, &log}, server)
		if c.Handshake() == nil {
			io.ReadFull(c, make([]byte, 4))
			c.Write([]byte("pong"))
		}
		b.Close()
	})
	c := tls.Client(tap{a, true, &log}, client)
	if c.Handshake() == nil {
		c.Write([]byte("ping"))
		io.ReadFull(c, make([]byte, 4))
	}
	a.Close()
	wg.Wait()
	return log.turns
}

func TestVersions(t *testing.T) {
	for version, want := range map[uint16]Row{
		tls.VersionTLS10: {Version: "TLSv10", Cipher: "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", History: "CsxknGIi"},
		tls.VersionTLS11: {Version: "TLSv11", Cipher: "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", History: "CsxknGIi"},
		tls.VersionTLS12: {Version: "TLSv12", Cipher: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", History: "CsxknGIi"},
		tls.VersionTLS13: {Version: "TLSv13", Cipher: "TLS_AES_128_GCM_SHA256", History: "CsiI"},
	} {
		t.Run(want.Version, func(t *testing.T) {
			turns := converse(t,
				&tls.Config{
					MinVersion: version, MaxVersion: version, CurvePreferences: []tls.CurveID{tls.CurveP256},
					NextProtos: []string{"h2", "http/1.1"},
					CipherSuites: []uint16{
						tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
					},
				},
				&tls.Config{MinVersion: version, NextProtos: []string{"http/1.1"}},
			)
			got := row(t, turns...)
			assert.Equal(t, want.Version, got.Version)
			if version != tls.VersionTLS13 { // where the choice depends on the machine
				assert.Equal(t, want.Cipher, got.Cipher)
			}
			assert.Equal(t, "www.example.com", got.ServerName)
			assert.Equal(t, "secp256r1", got.Curve)
			assert.True(t, got.Established)
			assert.False(t, got.Resumed)
			if version == tls.VersionTLS13 {
				assert.Empty(t, got.NextProtocol, "is encrypted")
				assert.Equal(t, want.History, got.History[:4])
			} else {
				assert.Equal(t, "http/1.1", got.NextProtocol)
				assert.Equal(t, want.History, got.History)
			}
		})
	}
}

func TestResumedSessions(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			client := &tls.Config{MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
			server := &tls.Config{}
			first := row(t, converse(t, client, server)...)
			assert.False(t, first.Resumed)
			if version == tls.VersionTLS12 {
				assert.Equal(t, "CsxknGIti", first.History, "a ticket")
			}
			again := row(t, converse(t, client, server)...)
			assert.True(t, again.Resumed)
			assert.True(t, again.Established)
		})
	}
}

func TestHelloRetry(t *testing.T) {
	got := row(t, converse(t,
		&tls.Config{CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP384}},
		&tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP384}},
	)...)
	assert.Equal(t, "secp384r1", got.Curve)
	assert.Equal(t, "Cj", got.History[:2])
	assert.True(t, got.Established)
}

func TestRefusal(t *testing.T) {
	got := row(t, converse(t,
		&tls.Config{MaxVersion: tls.VersionTLS12}, &tls.Config{MinVersion: tls.VersionTLS13})...)
	assert.Equal(t, "protocol_version", got.LastAlert)
	assert.Equal(t, "Cl", got.History)
	assert.False(t, got.Established)
	assert.Empty(t, got.Version)
}

func TestCutShort(t *testing.T) {
	turns := converse(t, &tls.Config{MaxVersion: tls.VersionTLS12}, &tls.Config{})
	half := turns[1]
	half.Data = half.Data[:len(half.Data)-1]
	assert.Equal(t, "C", row(t, turns[0]).History)
	got := row(t, turns[0], half)
	assert.Equal(t, "TLSv12", got.Version)
	assert.False(t, got.Established)
	got = row(t, turns[1])
	assert.Equal(t, "sxkn", got.History, "one side only")
	turns[0].Lost = 1
	assert.Equal(t, "C", row(t, turns[0], turns[1]).History, "after a gap")
	assert.Empty(t, Rows(t, parser, Orig(turns[0].Data[:60])), "there is nothing to say yet")
}

// A hello has its row even if the record that holds it is not complete.
func TestHelloInUnfinishedRecord(t *testing.T) {
	record := rec(handshake, hello(clientHello, 0x0303, "")+hello(serverHello, 0x0303, ""))
	assert.Equal(t, "C", row(t, Orig(record[:len(record)-1])).History)
}

// TestMessagesSpanRecords sends each byte of a hello in its own record.
func TestMessagesSpanRecords(t *testing.T) {
	turns := converse(t, &tls.Config{}, &tls.Config{})
	hello := turns[0].Data
	var records []byte
	for _, b := range []byte(hello[recordHeader:]) {
		records = append(records, hello[0], 3, 1, 0, 1, b)
	}
	o := &Recorder{}
	c := Conn()
	Play(t, New(o), c, Orig(string(records)), turns[1])
	conn.StateRemove(c)
	require.Len(t, o.Rows, 1)
	assert.Equal(t, "www.example.com", o.Rows[0].(*Row).ServerName)
	assert.Equal(t, "Cs", o.Rows[0].(*Row).History[:2])
}

func TestFlippedRoles(t *testing.T) {
	turns := converse(t, &tls.Config{MaxVersion: tls.VersionTLS12}, &tls.Config{})
	for i := range turns {
		turns[i].FromOrig = !turns[i].FromOrig
	}
	got := row(t, turns...)
	assert.Equal(t, "^CsxknGIi", got.History)
	assert.Equal(t, "www.example.com", got.ServerName)

	got = row(t, Orig(rec(alert, "\x01\x70")), Resp(rec(handshake, hello(clientHello, 0x0303, ""))))
	assert.Equal(t, "L^C", got.History, "a server may warn before the client says hello")
}

func TestViolations(t *testing.T) {
	turns := converse(t, &tls.Config{MaxVersion: tls.VersionTLS12}, &tls.Config{})
	for name, data := range map[string]string{
		"no record":          "GET / HTTP/1.1\r\n\r\n",
		"unknown version":    "\x16\x03\x09\x00\x01\x00",
		"unknown type":       "\x19\x03\x01\x00\x01\x00",
		"too long":           "\x16\x03\x01\xff\xff\x01",
		"unknown message":    "\x16\x03\x01\x00\x04\x63\x00\x00\x00",
		"huge hello":         "\x16\x03\x01\x00\x05\x01\x0f\x00\x00\x00",
		"hello without body": "\x16\x03\x01\x00\x04\x01\x00\x00\x00",
		"unknown hello":      rec(handshake, hello(clientHello, 0x0505, "")),
		"unknown answer":     rec(handshake, hello(serverHello, 0x0505, "")),
	} {
		t.Run(name, func(t *testing.T) {
			for _, first := range [][]Turn{nil, {turns[0]}} {
				o := &Recorder{}
				c := Conn()
				res := Play(t, New(o), c, slices.Concat(first, []Turn{Resp(data)})...)
				assert.Equal(t, protocol.Violation, res.Next)
				assert.Len(t, o.Rows, len(first), "what is known is logged at once")
				assert.False(t, conn.Registered(c, finalize))
			}
		})
	}
}

func TestEstablishedConnectionsHaveNoHook(t *testing.T) {
	o := &Recorder{}
	c := Conn()
	p := New(o)
	res := Play(t, p, c, converse(t, &tls.Config{}, &tls.Config{})...)
	assert.Equal(t, protocol.Stop, res.Next)
	assert.Len(t, o.Rows, 1)
	assert.False(t, conn.Registered(c, finalize))
	assert.True(t, o.Confirmed)
	assert.Zero(t, p.MemoryUsed(c))
}

// rec makes a record.
func rec(kind byte, body string) string {
	return string(binary.BigEndian.AppendUint16([]byte{kind, 3, 3}, uint16(len(body)))) + body
}

// ext makes an extension.
func ext(kind uint16, body string) string {
	b := binary.BigEndian.AppendUint16(nil, kind)
	return string(binary.BigEndian.AppendUint16(b, uint16(len(body)))) + body
}

// hello makes a handshake message: a ClientHello or ServerHello that chooses
// TLS_AES_128_GCM_SHA256.
func hello(kind byte, version uint16, id string, exts ...string) string {
	b := cryptobyte.NewBuilder([]byte{kind})
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint16(version)
		b.AddBytes(make([]byte, 32))
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(id)) })
		if kind == clientHello {
			b.AddUint16(2)
		}
		b.AddUint16(tls.TLS_AES_128_GCM_SHA256)
		if kind == clientHello {
			b.AddUint8(1)
		}
		b.AddUint8(0)
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(strings.Join(exts, ""))) })
	})
	return string(b.BytesOrPanic())
}

// A draft's ServerHello has neither session ID nor compression.
func TestServerHelloOfDraft(t *testing.T) {
	keyShare := ext(extKeyShareOld, "\x00\x1d")
	body := "\x7f\x17" + strings.Repeat("\x00", 32) + "\x13\x01" + "\x00" + string(rune(len(keyShare))) + keyShare
	got := row(t, Orig(rec(handshake, hello(clientHello, 0x0303, ""))), Resp(rec(handshake, "\x02\x00\x00"+string(rune(len(body)))+body)))
	assert.Equal(t, "TLSv13-draft23", got.Version)
	assert.Equal(t, "TLS_AES_128_GCM_SHA256", got.Cipher)
	assert.Equal(t, "x25519", got.Curve)
}

func TestExtensions(t *testing.T) {
	const name = "\x01\x00\x01x\x00\x00\x05first\x00\x00\x06second" // the first is of another type
	got := row(t, Orig(rec(handshake, hello(clientHello, 0x0303, "", ext(extServerName, "\x00\x15"+name)))))
	assert.Equal(t, "first", got.ServerName)
	got = row(t, Orig(rec(handshake, hello(clientHello, 0x0303, "", ext(extServerName, "\x00\x15"+name), ext(extServerName, "\x00\x00")))))
	assert.Equal(t, "first", got.ServerName, "the second extension has no name")

	for want, version := range map[string]uint16{
		"TLSv12": 0x0303, "TLSv13": tls13, "TLSv13-draft23": 0x7f17, "unknown-64282": 0xfb1a,
	} {
		t.Run(want, func(t *testing.T) {
			chosen := string(binary.BigEndian.AppendUint16(nil, version))
			got := row(t, Resp(rec(handshake, hello(serverHello, 0x0303, "", ext(extSupportedVersions, chosen)))))
			assert.Equal(t, want, got.Version)
		})
	}
	broken := ext(extServerName, "x")[:4]
	assert.Empty(t, Rows(t, parser, Orig(rec(handshake, hello(clientHello, 0x0303, "", broken)))))
}

// A hello that ends before its fields do is a violation; the list of extensions may be missing.
func TestHelloEndsEarly(t *testing.T) {
	for name, kind := range map[string]byte{"client": clientHello, "server": serverHello} {
		t.Run(name, func(t *testing.T) {
			whole := hello(kind, 0x0303, "id", ext(extALPN, "\x00\x03\x02h2"), ext(extSessionTicket, ""))
			fields := len(hello(kind, 0x0303, "id")) - 2 // without the length of the list
			for n := 4; n <= len(whole); n++ {
				cut := string([]byte{kind, 0, 0, byte(n - 4)}) + whole[4:n]
				res := Play(t, New(&Recorder{}), Conn(), Orig(rec(handshake, cut)))
				assert.Equal(t, n == fields || n == len(whole), res.Next != protocol.Violation, "%d of %d bytes", n, len(whole))
			}
		})
	}
}

func TestResumption(t *testing.T) {
	ccs := rec(changeCipherSpec, "\x01")
	ticket, psk := ext(extSessionTicket, "ticket"), ext(extPreSharedKey, "\x00\x00")
	id, other := strings.Repeat("i", 32), strings.Repeat("o", 32)
	zeros := strings.Repeat("\x00", 32)
	client := func(id string, exts ...string) Turn {
		return Orig(rec(handshake, hello(clientHello, 0x0303, id, exts...)))
	}
	server := func(id string, exts ...string) Turn {
		return Resp(rec(handshake, hello(serverHello, 0x0303, id, exts...)))
	}
	keyExchange := Orig(rec(handshake, "\x10\x00\x00\x01k"))
	is13 := ext(extSupportedVersions, "\x03\x04")
	for name, tt := range map[string]struct {
		turns []Turn
		want  bool
	}{
		"same ID":                   {[]Turn{client(id), server(id)}, true},
		"same ID of one byte":       {[]Turn{client("i"), server("i")}, true},
		"another ID":                {[]Turn{client(id), server(other)}, false},
		"no ID":                     {[]Turn{client(""), server("")}, false},
		"ID of zeros":               {[]Turn{client(zeros), server(zeros)}, false},
		"same ID in TLS 1.3":        {[]Turn{client(id), server(id, is13)}, false},
		"ticket, no new key":        {[]Turn{client("", ticket), server(""), Orig(ccs)}, true},
		"ticket, new key":           {[]Turn{client("", ticket), server(""), keyExchange, Orig(ccs)}, false},
		"ticket, server's key":      {[]Turn{client("", ticket), server(""), Resp(keyExchange.Data), Orig(ccs)}, true},
		"ticket and ID":             {[]Turn{client(id, ticket), server(other), Orig(ccs)}, false},
		"empty ticket":              {[]Turn{client("", ext(extSessionTicket, "")), server(""), Orig(ccs)}, false},
		"ticket, server's change":   {[]Turn{client("", ticket), server(""), Resp(ccs)}, false},
		"key of an earlier session": {[]Turn{client(id, psk), server(id, is13, psk)}, true},
		"key that is not accepted":  {[]Turn{client(id, psk), server(id, is13)}, false},
		"key that was not offered":  {[]Turn{client(id), server(id, is13, psk)}, false},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tt.want, row(t, tt.turns...).Resumed) })
	}
}

// TestChangeCipherSpecMeansNothingInTLS13 sends an alert in the clear after it, as clients that
// refuse the server do.
func TestChangeCipherSpecMeansNothingInTLS13(t *testing.T) {
	chosen := ext(extSupportedVersions, "\x03\x04")
	ccs := rec(changeCipherSpec, "\x01")
	got := row(t, Orig(rec(handshake, hello(clientHello, 0x0303, ""))),
		Resp(rec(handshake, hello(serverHello, 0x0303, "", chosen))+ccs),
		Orig(ccs+rec(alert, "\x02\x28\x02\x00")))
	assert.Equal(t, "handshake_failure", got.LastAlert, "a record of TLS 1.3 has one alert")
	assert.Equal(t, "CsiIL", got.History)
	assert.False(t, got.Established)
}

func TestEmptyRecordsMeanNothing(t *testing.T) {
	assert.Empty(t, Rows(t, parser, Orig(rec(changeCipherSpec, "")+rec(heartbeat, ""))))
}

func TestHistoryIsBounded(t *testing.T) {
	alerts := strings.Repeat(rec(alert, strings.Repeat("\x01\x5a", 2*maxAlerts)), 20)
	o, c := &Recorder{}, Conn()
	Play(t, New(o), c, Orig(alerts[:len(alerts)/20]))
	assert.Len(t, session.Get(c).row.History, maxAlerts)
	Play(t, New(o), c, Orig(alerts))
	assert.Len(t, session.Get(c).row.History, maxHistory)
}

// v2 makes a record of SSL 2.
func v2(message string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(len(message))|0x8000)) + message
}

func TestSSL2(t *testing.T) {
	challenge := strings.Repeat("c", 16)
	greet := func(version string) Turn {
		return Orig(v2("\x01" + version + "\x00\x06\x00\x00\x00\x10" + "\x01\x00\x80\x00\x00\x2f" + challenge))
	}
	server := Resp(v2("\x04\x00\x01\x00\x02\x00\x03\x00\x03\x00\x10" + "crt" + "\x01\x00\x80" + challenge))
	key := Orig(v2("\x02\x01\x00\x80\x00\x00\x00\x00\x00\x00"))
	assert.Equal(t, protocol.Yes, New(nil).Match([]byte(greet("\x03\x01").Data), nil))

	got := row(t, greet("\x00\x02"), server, key)
	assert.Equal(t, "SSLv2", got.Version)
	assert.Equal(t, "Cs", got.History)
	assert.True(t, got.Established)

	assert.Equal(t, "SSLv20_CK_RC4_128_WITH_MD5", got.Cipher)
	for name, turns := range map[string][]Turn{
		"the server's key":    {greet("\x00\x02"), server, Resp(key.Data)},
		"an error":            {greet("\x00\x02"), server, Orig(v2("\x00\x00\x01"))},
		"a key before":        {greet("\x00\x02"), key},
		"three bytes and one": {greet("\x00\x02"), server, Orig("\x80\x03\x00\x00\x01"), Resp("\x80\x03\x00\x00\x01")},
	} {
		t.Run(name, func(t *testing.T) {
			assert.False(t, row(t, turns...).Established)
		})
	}
	for cut, cipher := range map[int]string{2 + 5: "unknown-0", 2 + 10: "unknown-0", 2 + 13: "unknown-0", 2 + 16: "unknown-0", 2 + 17: "SSLv20_CK_RC4_128_WITH_MD5"} {
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			got := row(t, greet("\x00\x02"), Resp(v2(server.Data[2:cut])), key)
			assert.Equal(t, cipher, got.Cipher, "after %d bytes", cut)
			assert.True(t, got.Established)
		})
	}
	none := Resp(v2("\x04\x00\x01\x00\x02\x00\x03\x00\x02\x00\x10" + "crt" + "\x01\x00\x80" + challenge))
	assert.Equal(t, "unknown-0", row(t, greet("\x00\x02"), none, key).Cipher, "less than a cipher")
	c, o := Conn(), &Recorder{}
	assert.Equal(t, protocol.Violation, Play(t, New(o), c, greet("\x00\x02"), server, Orig("\x01"+key.Data[1:])).Next, "from then on, everything is SSL 2")
	modern := Orig(rec(handshake, hello(clientHello, 0x0303, "")))
	assert.Equal(t, protocol.Violation, Play(t, New(o), Conn(), modern, greet("\x03\x01")).Next, "once TLS has begun, nothing is SSL 2")

	answer := converse(t, &tls.Config{MaxVersion: tls.VersionTLS12}, &tls.Config{})[1:]
	got = row(t, append([]Turn{greet("\x03\x03")}, answer...)...)
	assert.Equal(t, "TLSv12", got.Version, "a hello in SSL 2, the rest in TLS")
	assert.Equal(t, "CsxknGIi", got.History)
	assert.True(t, got.Established)
}

// The longest record is accepted, and a longer one is not.
func TestLongestRecord(t *testing.T) {
	for length, next := range map[uint16]protocol.Next{maxRecord: protocol.More, maxRecord + 1: protocol.Violation} {
		t.Run(fmt.Sprint(length), func(t *testing.T) {
			turn := Orig(string(binary.BigEndian.AppendUint16([]byte{heartbeat, 3, 3}, length)))
			assert.Equal(t, next, Play(t, New(&Recorder{}), Conn(), turn).Next, "%d bytes", length)
		})
	}
}

// An empty record says nothing, whatever its type.
func TestEmptyRecordOfUnknownType(t *testing.T) {
	assert.Equal(t, protocol.More, Play(t, New(&Recorder{}), Conn(), Orig(rec(25, ""))).Next)
	assert.Equal(t, protocol.Violation, Play(t, New(&Recorder{}), Conn(), Orig(rec(25, "x"))).Next)
}

// The first bytes of a record that arrives in pieces count once.
func TestShortRecordsInPieces(t *testing.T) {
	client := Orig(rec(handshake, hello(clientHello, 0x0303, "")))
	beat := rec(heartbeat, strings.Repeat("x", 100))
	got := row(t, client, Orig(beat[:40]), Orig(beat[40:80]), Orig(beat[80:]))
	assert.Equal(t, "CB", got.History)
}

// A single byte is a ticket.
func TestShortTicket(t *testing.T) {
	for ticket, want := range map[string]bool{"": false, "t": true} {
		t.Run(ticket, func(t *testing.T) {
			got := row(t, Orig(rec(handshake, hello(clientHello, 0x0303, "", ext(extSessionTicket, ticket)))),
				Resp(rec(handshake, hello(serverHello, 0x0303, ""))+rec(changeCipherSpec, "\x01")), Orig(rec(changeCipherSpec, "\x01")))
			assert.Equal(t, want, got.Resumed)
		})
	}
}

func TestSSL2Violations(t *testing.T) {
	for name, turn := range map[string]Turn{
		"short":           Orig("\x80\x00\x01\x00\x02"),
		"unknown message": Orig(v2("\x09\x00\x02\x00")),
		"unknown version": Orig(v2("\x01\x00\x03\x00\x00\x00\x00\x00\x00")),
		"TLS 1.3":         Orig(v2("\x01\x03\x04\x00\x03\x00\x00\x00\x10" + "\x01\x00\x80" + strings.Repeat("c", 16))),
		"cut hello":       Orig(v2("\x01\x00\x02\x00\x03\x00\x00\x00\x00")),
		"newer server":    Resp(v2("\x04\x00\x01\x00\x03\x00\x00\x00\x00")),
	} {
		t.Run(name, func(t *testing.T) {
			o, c := &Recorder{}, Conn()
			assert.Equal(t, protocol.Violation, Play(t, New(o), c, turn).Next)
			assert.Empty(t, o.Rows)
		})
	}
}

func TestMatch(t *testing.T) {
	turns := converse(t, &tls.Config{}, &tls.Config{})
	p := New(nil)
	client, server := []byte(turns[0].Data), []byte(turns[1].Data)
	warning := []byte("\x15\x03\x01\x00\x02\x01\x70")
	assert.Equal(t, protocol.Yes, p.Match(client, nil))
	assert.Equal(t, protocol.Yes, p.Match(nil, server))
	assert.Equal(t, protocol.Yes, p.Match(nil, append(warning, server...)))
	assert.Equal(t, protocol.Maybe, p.Match(nil, nil))
	for n := range 11 {
		assert.Equal(t, protocol.Maybe, p.Match(client[:n], nil), "%d bytes", n)
	}
	for n := range len(warning) {
		assert.Equal(t, protocol.Maybe, p.Match(nil, warning[:n]), "%d bytes of a warning", n)
	}
	for _, other := range []string{"GET / HTTP/1.1", "G", "SSH-2.0-x", "220 hello", "\x16\x03\x01\x00\x05\x02\x00\x00\x00\x04", "\x80\x05\x02", "\x80\x00\x01", v2("\x01\x00\x02\x00\x02\x00\x00\x00\x00xx")} {
		t.Run(other, func(t *testing.T) {
			assert.Equal(t, protocol.No, p.Match([]byte(other), nil))
		})
	}
}

func FuzzParser(f *testing.F) {
	f.Add(Encode(converse(f, &tls.Config{}, &tls.Config{})...))
	f.Add(Encode(converse(f, &tls.Config{MaxVersion: tls.VersionTLS12, NextProtos: []string{"h2"}},
		&tls.Config{NextProtos: []string{"h2"}})...))
	f.Add(Encode(converse(f, &tls.Config{MaxVersion: tls.VersionTLS12}, &tls.Config{MinVersion: tls.VersionTLS13})...))
	f.Add(Encode(Orig(v2("\x01\x00\x02\x00\x03\x00\x00\x00\x10\x01\x00\x80cccccccccccccccc")),
		Resp(v2("\x04\x00\x01\x00\x02\x00\x00\x00\x00\x00\x00")), Orig(v2("\x02\x01\x00\x80\x00"))))
	f.Fuzz(func(t *testing.T, input []byte) {
		turns := Decode(input)
		rows := FuzzRows(t, parser, turns...)
		assert.LessOrEqual(t, len(rows), 1)
		for _, row := range rows {
			assert.Less(t, len(row), 6*(len(input)+1000), "rows do not outgrow what was sent")
		}
		p, c := New(&Recorder{}), Conn()
		var left [2][]byte
		cost := allocated(func() {
			for _, turn := range turns {
				side := protocol.Resp
				if turn.FromOrig {
					side = protocol.Orig
				}
				left[side] = append(left[side], turn.Data...)
				n, next := p.Data(c, protocol.Packet{Side: side}, left[side])
				if next != protocol.More {
					return
				}
				left[side] = left[side][n:]
				require.LessOrEqual(t, p.MemoryUsed(c), maxHeld(len(input)))
			}
		})
		assert.LessOrEqual(t, cost, maxAllocated(len(input)))
	})
}

// The last alert of a record is the one that is logged.
func TestAlertsInRecord(t *testing.T) {
	c, p := Conn(), New(&Recorder{})
	s := p.state(c)
	s.row.History = strings.Repeat("l", maxHistory)
	assert.LessOrEqual(t, testing.AllocsPerRun(10, func() { s.alerts(c, false, []byte(strings.Repeat("\x01\xc8", 9)+"\x02\xc9\x01")) }), 3.0)
	assert.Equal(t, "unknown-201", s.row.LastAlert)
	s.alerts(c, false, []byte{1})
	assert.Equal(t, "unknown-201", s.row.LastAlert)
	s.version = tls13
	s.alerts(c, false, []byte("\x01\x00\x02\x28"))
	assert.Equal(t, "close_notify", s.row.LastAlert)
}
