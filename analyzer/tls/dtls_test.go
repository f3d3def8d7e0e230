package tls

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/cryptobyte"

	"example.com/conn"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/protocol"
	. "example.com/conn/analyzer/protocol/protocoltest"
)

// datagram makes a record of DTLS 1.2.
func datagram(kind byte, epoch uint16, number uint64, body string) string {
	b := cryptobyte.NewBuilder([]byte{kind, 0xfe, 0xfd})
	b.AddUint16(epoch)
	b.AddUint48(number)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(body)) })
	return string(b.BytesOrPanic())
}

// fragment makes a piece of a handshake message that is whole in TLS's form, with its header.
func fragment(message string, seq uint16, from, to int) string {
	body := message[messageHeader:]
	b := cryptobyte.NewBuilder([]byte(message[:messageHeader]))
	b.AddUint16(seq)
	b.AddUint24(uint32(from))
	b.AddUint24(uint32(to - from))
	b.AddBytes([]byte(body[from:to]))
	return string(b.BytesOrPanic())
}

// whole makes a datagram of an unfragmented message.
func whole(message string, seq uint16, number uint64) string {
	return datagram(handshake, 0, number, fragment(message, seq, 0, len(message)-messageHeader))
}

// msg makes a handshake message.
func msg(kind byte, body string) string {
	b := cryptobyte.NewBuilder([]byte{kind})
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(body)) })
	return string(b.BytesOrPanic())
}

// datagramHello makes a ClientHello with a cookie.
func datagramHello(version uint16, cookie string, exts ...string) string {
	plain := hello(clientHello, version, "", exts...)[messageHeader:]
	const cut = 2 + 32 + 1
	return msg(clientHello, plain[:cut]+string([]byte{byte(len(cookie))})+cookie+plain[cut:])
}

// chain makes a message with certificates.
func chain(certs ...string) string {
	var list string
	for _, der := range certs {
		list += string([]byte{byte(len(der) >> 16), byte(len(der) >> 8), byte(len(der))}) + der
	}
	return msg(certificate, string([]byte{byte(len(list) >> 16), byte(len(list) >> 8), byte(len(list))})+list)
}

func fingerprint(der string) string {
	sum := sha256.Sum256([]byte(der))
	return hex.EncodeToString(sum[:])
}

// serverNameExt makes the extension of a ClientHello.
func serverNameExt(names ...string) string {
	var list string
	for _, name := range names {
		list += "\x00" + string(binary.BigEndian.AppendUint16(nil, uint16(len(name)))) + name
	}
	return ext(extServerName, string(binary.BigEndian.AppendUint16(nil, uint16(len(list))))+list)
}

// datagrams plays datagrams and returns the only row, or nil if there is none, once the connection
// is removed.
func datagrams(t *testing.T, turns ...Turn) (*Row, Result, *Recorder) {
	t.Helper()
	o, c := &Recorder{}, Conn()
	p := NewDTLS(o)
	res := Play(t, p, c, turns...)
	if res.Next != protocol.More {
		assert.Zero(t, p.MemoryUsed(c), "nothing is left")
		assert.False(t, conn.Registered(c, finalize))
	}
	conn.StateRemove(c)
	if len(o.Rows) == 0 {
		return nil, res, o
	}
	require.Len(t, o.Rows, 1)
	return o.Rows[0].(*Row), res, o
}

// A mirror port may capture each datagram twice. As in Zeek, the history then has both.
func TestDTLS(t *testing.T) {
	leaf := string(testCertificate().Certificate[0])
	certs := chain(leaf, "root")
	end := len(certs) - messageHeader
	suite := hello(serverHello, 0xfefd, "")
	// one that has a ServerKeyExchange
	suite = strings.Replace(suite, "\x13\x01\x00", "\xc0\x2b\x00", 1)
	turns := []Turn{
		Orig(whole(datagramHello(0xfefd, "", serverNameExt("www.example.com")), 0, 0)),
		Resp(whole(msg(3, "\xfe\xff\x06cookie"), 0, 0)),
		Orig(whole(datagramHello(0xfefd, "cookie", serverNameExt("www.example.com")), 1, 1)),
		Resp(whole(suite, 1, 1) + datagram(handshake, 0, 2, fragment(certs, 2, 0, 100))),
		Resp(datagram(handshake, 0, 3, fragment(certs, 2, 100, end))),
		Resp(datagram(handshake, 0, 4, fragment(msg(serverKeyExchange, "\x03\x00\x17"), 3, 0, 3)+fragment(msg(14, ""), 4, 0, 0))),
		Orig(whole(msg(clientKeyExchange, "key"), 2, 2) + datagram(changeCipherSpec, 0, 3, "\x01") + datagram(handshake, 1, 0, "secret")),
		Resp(datagram(changeCipherSpec, 0, 5, "\x01")),
		Resp(datagram(handshake, 1, 0, "secret") + datagram(applicationData, 1, 1, "secret")),
	}
	for copies, history := range map[int]string{1: "CvCsxknGIi", 2: "CCvvCCssxknknGIGIii"} {
		t.Run(fmt.Sprintf("each datagram %d times", copies), func(t *testing.T) {
			var all []Turn
			for _, turn := range turns {
				for range copies {
					all = append(all, turn)
				}
			}
			row, res, o := datagrams(t, all...)
			require.NotNil(t, row)
			assert.Equal(t, protocol.Stop, res.Next)
			assert.True(t, o.Confirmed)
			assert.Empty(t, o.Weirds)
			assert.Equal(t, "DTLSv12", row.Version)
			assert.Equal(t, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", row.Cipher)
			assert.Equal(t, "secp256r1", row.Curve)
			assert.Equal(t, "www.example.com", row.ServerName)
			assert.Equal(t, history, row.History)
			assert.True(t, row.Established)
			assert.Equal(t, []string{fingerprint(leaf), fingerprint("root")}, row.CertChain)
			assert.Equal(t, []string{}, row.ClientCertChain)
			assert.Equal(t, new(true), row.SNIMatchesCert)
		})
	}
}

func TestDTLSVersions(t *testing.T) {
	client := Orig(whole(datagramHello(0xfefd, ""), 0, 0))
	for want, server := range map[string]string{
		"DTLSv10": hello(serverHello, 0xfeff, ""),
		"DTLSv12": hello(serverHello, 0xfefd, "id"),
		"DTLSv13": hello(serverHello, 0xfefd, "", ext(extSupportedVersions, "\xfe\xfc"), ext(extKeyShare, "\x00\x1d\x00\x00")),
	} {
		t.Run(want, func(t *testing.T) {
			row, res, _ := datagrams(t, client, Resp(whole(server, 0, 0)))
			require.NotNil(t, row)
			assert.Equal(t, protocol.More, res.Next)
			assert.Equal(t, want, row.Version)
			assert.Equal(t, "TLS_AES_128_GCM_SHA256", row.Cipher)
			assert.Equal(t, "Cs", row.History)
			assert.False(t, row.Established)
		})
	}
}

func TestDTLS13IsEstablishedByEncryptedRecords(t *testing.T) {
	client := Orig(whole(datagramHello(0xfefd, ""), 0, 0))
	server := whole(hello(serverHello, 0xfefd, "", ext(extSupportedVersions, "\xfe\xfc")), 0, 0)
	row, res, _ := datagrams(t, client, Resp(server+"\x2e\x00\x01\x00\x05abcde\x2e\x00\x02\x00\x01z"), Orig("\x2f\x00\x01\x00\x01z"))
	assert.True(t, row.Established)
	assert.Equal(t, protocol.Stop, res.Next)
	row, res, _ = datagrams(t, client, Resp(server), Resp("\x2f\x00\x01\x00\x01z"), Resp("\x2f\x00\x01\x00\x01z"))
	assert.False(t, row.Established, "one side")
	assert.Equal(t, protocol.More, res.Next)
	row, res, _ = datagrams(t, Orig("\x2f\x00\x01\x00\x01z"), Resp("\x2f\x00\x01\x00\x01z"))
	assert.Nil(t, row, "without a hello, it is not DTLS")
	assert.Equal(t, protocol.More, res.Next)
}

func TestUnifiedHeaders(t *testing.T) {
	for data, want := range map[string]int{
		"\x2c\x00\x01\x00\x02abcde": 7,  // a long number and a length
		"\x24\x00\x00\x02abcde":     6,  // a short number and a length
		"\x20\x00abcde":             7,  // the last of the datagram
		"\x20\x00\x00\x01abc":       7,  // also if it looks like a length
		"\x3c\x00\x01\x00\x02abcde": 10, // a connection ID
		"\x2c\x00\x01\x00\xffabcde": 10, // cut off
		"\x2c\x00\x01\x00":          4,
		"\x24\x00\x00\x00":          4,
		"\x24\x00\x00":              3,
		"\x2c":                      1,
	} {
		t.Run(data, func(t *testing.T) {
			assert.Equal(t, want, unified([]byte(data)))
		})
	}
}

func TestConnectionIDs(t *testing.T) {
	client := Orig(whole(datagramHello(0xfefd, ""), 0, 0))
	sealed := datagram(25, 1, 0, "idsecret")
	row, res, _ := datagrams(t, client, Orig(sealed), Resp(sealed+"junk"))
	assert.True(t, row.Established)
	assert.Equal(t, protocol.Stop, res.Next)
	row, _, _ = datagrams(t, Orig(datagram(25, 0, 0, "x")), Resp(sealed))
	assert.Nil(t, row)
}

// TestPieces sends a hello in pieces in several ways.
func TestPieces(t *testing.T) {
	m := datagramHello(0xfefd, "", serverNameExt("www.example.com"))
	end := len(m) - messageHeader
	type cut struct {
		from, to int
		number   uint64
	}
	for name, cuts := range map[string][]cut{
		"in order":             {{0, 10, 0}, {10, 40, 1}, {40, end, 2}},
		"in reverse":           {{40, end, 2}, {10, 40, 1}, {0, 10, 0}},
		"twice":                {{0, 10, 0}, {0, 10, 1}, {10, end, 2}},
		"overlapping":          {{0, 30, 0}, {20, 50, 1}, {10, 25, 2}, {40, end, 3}},
		"one inside the other": {{0, 10, 0}, {0, 60, 1}, {20, 30, 2}, {50, end, 3}},
		"with an empty one":    {{0, 0, 0}, {0, 40, 1}, {40, end, 2}},
		"late":                 {{0, 40, 1<<47 + 1}, {40, end, 1<<47 + 2}},
		"at most as far apart": {{0, 40, 100}, {40, end, 100 + maxSpan}},
		"as far the other way": {{0, 40, 100 + maxSpan}, {40, end, 100}},
	} {
		t.Run(name, func(t *testing.T) {
			var turns []Turn
			for _, x := range cuts {
				turns = append(turns, Orig(datagram(handshake, 0, x.number, fragment(m, 0, x.from, x.to))))
			}
			row, res, _ := datagrams(t, turns...)
			assert.Equal(t, protocol.More, res.Next)
			assert.Equal(t, "www.example.com", row.ServerName)
			assert.Equal(t, "C", row.History)
			row, _, _ = datagrams(t, turns[:len(turns)-1]...)
			assert.Empty(t, row.History, "the last is missing")
			assert.Equal(t, logs.Time(Start), row.TS, "the row is of the first record")
		})
	}
	row, _, _ := datagrams(t, Orig(datagram(handshake, 0, 0, fragment(m, 0, 0, 40))), Orig(datagram(handshake, 0, 1, fragment(m, 1, 40, end))))
	assert.Empty(t, row.History, "pieces of two messages")
	row, _, _ = datagrams(t, Orig(datagram(handshake, 0, 0, fragment(m, 0, 0, 40))), Orig(datagram(handshake, 0, 1, fragment(m, 1, 0, 40))),
		Orig(datagram(handshake, 0, 2, fragment(m, 1, 40, end))))
	assert.Equal(t, "C", row.History, "the other message replaces the first")
}

func TestDTLSViolations(t *testing.T) {
	m := datagramHello(0xfefd, "")
	end := len(m) - messageHeader
	long := make([]string, maxPieces+1)
	for i := range long {
		long[i] = fragment(msg(certificate, strings.Repeat("x", 200)), 0, 2*i+1, 2*i+2)
	}
	for name, turns := range map[string][]Turn{
		"jump":             {Orig(datagram(handshake, 0, 0, fragment(m, 0, 0, 40))), Orig(datagram(handshake, 0, maxSpan+1, fragment(m, 0, 40, end)))},
		"jump back":        {Orig(datagram(handshake, 0, maxSpan+1, fragment(m, 0, 0, 40))), Orig(datagram(handshake, 0, 0, fragment(m, 0, 40, end)))},
		"too many pieces":  {Orig(datagram(handshake, 0, 0, strings.Join(long, "")))},
		"cut header":       {Orig(datagram(handshake, 0, 0, "\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00"))},
		"cut body":         {Orig(datagram(handshake, 0, 0, fragment(m, 0, 0, end)[:50]))},
		"past the end":     {Orig(datagram(handshake, 0, 0, "\x01\x00\x00\x02\x00\x00\x00\x00\x02\x00\x00\x01x"))},
		"too long":         {Orig(datagram(handshake, 0, 0, "\x01\x01\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01x"))},
		"no message":       {Orig(datagram(handshake, 0, 0, fragment(msg(99, ""), 0, 0, 0)))},
		"no hello":         {Orig(datagram(handshake, 0, 0, fragment(msg(clientHello, "x"), 0, 0, 1)))},
		"no hello, in two": {Orig(datagram(handshake, 0, 0, fragment(msg(clientHello, "xy"), 0, 0, 1)+fragment(msg(clientHello, "xy"), 0, 1, 2)))},
	} {
		t.Run(name, func(t *testing.T) {
			row, res, o := datagrams(t, turns...)
			assert.Equal(t, protocol.Violation, res.Next)
			require.NotNil(t, row, "what is known is logged")
			assert.Empty(t, row.History)
			assert.False(t, o.Confirmed)
		})
	}
	row, res, _ := datagrams(t, Orig(datagram(heartbeat+1, 0, 0, "x")))
	assert.Nil(t, row)
	assert.Equal(t, protocol.Violation, res.Next, "a connection ID before there is a connection")
	_, res, _ = datagrams(t, Orig(datagram(handshake, 0, 0, strings.Join(long[:maxPieces], ""))))
	assert.Equal(t, protocol.More, res.Next)
	again := strings.Repeat(fragment(m, 0, 0, 40)+fragment(m, 0, 0, 30), maxPieces)
	nothing := strings.Repeat(fragment(m, 0, 41, 41), maxPieces+1)
	row, res, _ = datagrams(t, Orig(datagram(handshake, 0, 0, again+nothing+fragment(m, 0, 40, end))))
	assert.Equal(t, protocol.More, res.Next, "neither a repeated nor an empty piece counts")
	assert.Equal(t, "C", row.History)
	row, res, _ = datagrams(t, Orig(datagram(handshake, 0, 0, "")))
	assert.Nil(t, row, "an empty record says nothing")
	assert.Equal(t, protocol.More, res.Next)
}

func TestOtherRecordsOfDTLS(t *testing.T) {
	client := Orig(whole(datagramHello(0xfefd, ""), 0, 0))
	row, _, o := datagrams(t, client,
		Resp(datagram(alert, 0, 0, "\x02\x28")+datagram(heartbeat, 0, 1, "x")+datagram(applicationData, 0, 2, "x")))
	assert.Equal(t, "handshake_failure", row.LastAlert)
	assert.Equal(t, "Clb", row.History)
	assert.Equal(t, []string{"ssl_early_application_data"}, o.Weirds)
	_, _, o = datagrams(t, client, Resp(datagram(alert, 0, 0, strings.Repeat("\x01\x00", maxAlerts))))
	assert.Empty(t, o.Weirds)
	row, _, o = datagrams(t, client, Resp(datagram(alert, 0, 0, strings.Repeat("\x01\x00", maxAlerts+1))))
	assert.Len(t, row.History, 1+maxAlerts)
	assert.Equal(t, []string{"SSL_Excessive_alerts_in_record"}, o.Weirds)
}

func TestJunk(t *testing.T) {
	client := Orig(whole(datagramHello(0xfefd, ""), 0, 0))
	for _, junk := range []string{"\x00\x01", "\x80\x60xxxxxxxxxxxxxxxxxxxx", "\x16\xfe\xfe\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01x",
		"\x16\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02x", "\x13\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01x"} {
		t.Run(junk, func(t *testing.T) {
			var turns []Turn
			for range maxJunk {
				turns = append(turns, Resp(junk))
			}
			_, res, _ := datagrams(t, turns...)
			assert.Equal(t, protocol.More, res.Next)
			row, res, _ := datagrams(t, append(turns, Resp(junk))...)
			assert.Equal(t, protocol.Stop, res.Next)
			assert.Nil(t, row)
			row, res, _ = datagrams(t, append(append([]Turn{client}, turns...), Resp(junk))...)
			assert.Equal(t, protocol.Stop, res.Next)
			assert.Equal(t, "C", row.History)
			more := append(append([]Turn{client}, turns...), Resp(datagram(alert, 0, 0, "\x01\x00")))
			_, res, _ = datagrams(t, append(more, turns...)...)
			assert.Equal(t, protocol.More, res.Next, "there was a record in between")
			_, res, _ = datagrams(t, append(append(turns, Resp(datagram(alert, 0, 0, "\x01\x00"))), Resp(junk))...)
			assert.Equal(t, protocol.Stop, res.Next, "a record does not count before a client's hello")
		})
	}
}

func TestMatchDTLS(t *testing.T) {
	p := NewDTLS(nil)
	client := whole(datagramHello(0xfefd, ""), 0, 255)
	assert.Equal(t, protocol.Yes, p.Match([]byte(client), nil))
	assert.Equal(t, protocol.Yes, p.Match(nil, []byte(client)))
	assert.Equal(t, protocol.Yes, p.Match([]byte(client[:27]), nil))
	assert.Equal(t, protocol.No, p.Match([]byte(client[:26]), nil))
	assert.Equal(t, protocol.No, p.Match(nil, nil))
	for at := range 27 {
		if at >= 10 && at < 13 || at > 13 && at < 25 { // numbers and lengths
			continue
		}
		changed := []byte(client)
		changed[at] ^= 0x40
		assert.Equal(t, protocol.No, p.Match(changed, nil), "byte %d", at)
	}
	assert.Equal(t, "dtls", p.Name())
	assert.Equal(t, conn.UDP, p.Transport())
	assert.Equal(t, []uint16{443}, p.Ports())
}

func TestPiecesAreAccountedFor(t *testing.T) {
	assert.Equal(t, 2*int(reflect.TypeFor[piece]().Size()), pieceSize)
	var few pieces
	few.add(piece{length: 1000, data: make([]byte, 64)}, 0)
	assert.Equal(t, pieceSize+64, few.size)
	m := msg(certificate, strings.Repeat("x", maxMessage))
	o, c := &Recorder{}, Conn()
	p := NewDTLS(o)
	assert.Zero(t, p.MemoryUsed(c))
	p.FreeMemory(c)
	Play(t, p, c, Orig(whole(datagramHello(0xfefd, ""), 0, 0)))
	empty := p.MemoryUsed(c)
	for i := range 3 {
		res := Play(t, p, c, Resp(datagram(handshake, 0, uint64(i), fragment(m, 0, 1+i, 30001+i))))
		require.Equal(t, protocol.More, res.Next)
		assert.InDelta(t, empty+30000*(i+1), p.MemoryUsed(c), 8000*float64(i+1))
	}
	p.FreeMemory(c)
	assert.Equal(t, empty, p.MemoryUsed(c))
	var res Result
	for i := 0; res.Next == protocol.More; i++ {
		require.LessOrEqual(t, p.MemoryUsed(c), empty+3*maxMessage)
		res = Play(t, p, c, Resp(datagram(handshake, 0, uint64(i), fragment(m, 0, 1+i, 60001+i))))
	}
	assert.Equal(t, protocol.Violation, res.Next, "pieces on pieces")
}

func FuzzDTLS(f *testing.F) {
	m := datagramHello(0xfefd, "", serverNameExt("www.example.com"))
	end := len(m) - messageHeader
	server := whole(hello(serverHello, 0xfefd, "", ext(extSupportedVersions, "\xfe\xfc")), 0, 0)
	f.Add(datagramInput(datagram(handshake, 0, 0, fragment(m, 0, 0, 40)), datagram(handshake, 0, 1, fragment(m, 0, 40, end))))
	f.Add(datagramInput(whole(m, 0, 0), server+"\x2e\x00\x01\x00\x05abcde"))
	f.Add(datagramInput(whole(m, 0, 0), datagram(changeCipherSpec, 0, 1, "\x01"), datagram(alert, 1, 1, "secret")))
	f.Fuzz(func(t *testing.T, input []byte) {
		o, c := &Recorder{}, Conn()
		p := NewDTLS(o)
		total := len(input)
		cost := allocated(func() {
			side := protocol.Orig
			for len(input) >= 2 {
				n := min(int(binary.BigEndian.Uint16(input)), len(input)-2)
				data := input[2 : 2+n]
				input = input[2+n:]
				took, next := p.Data(c, protocol.Packet{Side: side}, data)
				require.Equal(t, len(data), took)
				require.LessOrEqual(t, p.MemoryUsed(c), maxHeld(total))
				if next != protocol.More {
					break
				}
				side = side.Other()
			}
			conn.StateRemove(c)
		})
		assert.LessOrEqual(t, cost, maxAllocated(total))
		assert.LessOrEqual(t, len(o.Rows), 1)
	})
}

func datagramInput(datagrams ...string) (input []byte) {
	for _, d := range datagrams {
		input = append(binary.BigEndian.AppendUint16(input, uint16(len(d))), d...)
	}
	return input
}
