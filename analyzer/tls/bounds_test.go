package tls

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"hash/fnv"
	"math/big"
	"net"
	"net/url"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"example.com/conn/analyzer/protocol"
	. "example.com/conn/analyzer/protocol/protocoltest"
)

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// maxAllocated bounds the bytes allocated for an input: the first part is for the state and the
// test itself.
func maxAllocated(input int) uint64 { return uint64(256<<10 + 64*input) }

// maxHeld bounds the bytes held for an input.
func maxHeld(input int) int { return stateSize + 4096 + 8*input }

func TestStateSize(t *testing.T) {
	assert.LessOrEqual(t, int(reflect.TypeFor[state]().Size()), stateSize)
	assert.Greater(t, int(reflect.TypeFor[state]().Size()), stateSize/2)
}

// makeCertificate makes a certificate that has a common name and, if any are given, alternative
// names.
func makeCertificate(t *testing.T, common string, names ...string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: common}, DNSNames: names, NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	require.NoError(t, err)
	return string(der)
}

func inRecords(message string) (records string) {
	for len(message) > 0 {
		n := min(len(message), 1<<14)
		records += rec(handshake, message[:n])
		message = message[n:]
	}
	return records
}

func TestCertificates(t *testing.T) {
	common := makeCertificate(t, "host.example")
	alternative := makeCertificate(t, "other.example", "a.example", "*.wild.example")
	client := func(names ...string) Turn {
		if names == nil {
			return Orig(inRecords(hello(clientHello, 0x0303, "")))
		}
		return Orig(inRecords(hello(clientHello, 0x0303, "", serverNameExt(names...))))
	}
	server := func(certs ...string) Turn {
		return Resp(inRecords(hello(serverHello, 0x0303, "") + chain(certs...)))
	}
	for name, tt := range map[string]struct {
		turns []Turn
		want  *bool
	}{
		"common name":                 {[]Turn{client("HOST.example"), server(common)}, new(true)},
		"another name":                {[]Turn{client("x.example"), server(common)}, new(false)},
		"alternative name":            {[]Turn{client("a.example"), server(alternative)}, new(true)},
		"common name besides":         {[]Turn{client("other.example"), server(alternative)}, new(true)},
		"wildcard":                    {[]Turn{client("x.wild.example"), server(alternative)}, new(true)},
		"too deep for the wildcard":   {[]Turn{client("x.y.wild.example"), server(alternative)}, new(false)},
		"address":                     {[]Turn{client("192.0.2.1"), server(alternative)}, new(false)},
		"the first of two":            {[]Turn{client("a.example"), server(common, alternative)}, new(false)},
		"no certificate":              {[]Turn{client("a.example"), server("x")}, nil},
		"the first is no certificate": {[]Turn{client("host.example"), server("x", common)}, nil},
		"no name":                     {[]Turn{client(), server(common)}, nil},
		"a client's":                  {[]Turn{client("host.example"), server(), Orig(inRecords(chain(common)))}, nil},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tt.want, row(t, tt.turns...).SNIMatchesCert) })
	}

	got := row(t, client("x"), server(common, alternative), Orig(inRecords(chain("mine"))))
	assert.Equal(t, []string{fingerprint(common), fingerprint(alternative)}, got.CertChain)
	assert.Equal(t, []string{fingerprint("mine")}, got.ClientCertChain)
	assert.Equal(t, "CsxX", got.History)
	assert.Nil(t, row(t, client(), server()).CertChain, "there was none")
	lines := Rows(t, parser, client(), server())
	assert.NotContains(t, lines[0], "cert")
	lines = Rows(t, parser, client(), server("x"))
	assert.Contains(t, lines[0], `"cert_chain_fps":["`+fingerprint("x")+`"],"client_cert_chain_fps":[]}`)

	o := &Recorder{}
	c := Conn()
	Play(t, New(o), c, server("", "x"))
	assert.Equal(t, []string{"zero_length_certificate"}, o.Weirds)
	assert.Equal(t, []string{fingerprint("x")}, session.Get(c).row.CertChain)
	many := make([]string, maxCerts)
	for i := range many {
		many[i] = string(rune('a' + i))
	}
	o, c = &Recorder{}, Conn()
	Play(t, New(o), c, server(many...))
	assert.Empty(t, o.Weirds)
	Play(t, New(o), c, Resp(inRecords(chain("one more"))))
	assert.Equal(t, []string{"SSL_many_certificates"}, o.Weirds)
	assert.Len(t, session.Get(c).row.CertChain, maxCerts)

	broken := chain(common)
	broken = msg(certificate, broken[messageHeader:len(broken)-1])
	assert.Nil(t, row(t, client(), server(), Resp(inRecords(broken))).CertChain)
}

// TestHostileCertificate parses a hundred thousand names of all kinds. Those that cannot match cost
// no memory.
func TestHostileCertificate(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	for name, entry := range map[string]string{
		"DNS": "\x82\x01a", "URI": "\x86\x02a:", "mail": "\x81\x01a", "address": "\x87\x04abcd", "repeated": "\x82\x0chost.example",
	} {
		t.Run(name, func(t *testing.T) {
			list := strings.Repeat(entry, 300_000/len(entry)) + "\x82\x0cHOST.example"
			list = "\x30\x83" + string([]byte{byte(len(list) >> 16), byte(len(list) >> 8), byte(len(list))}) + list
			template := x509.Certificate{
				SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
				ExtraExtensions: []pkix.Extension{{Id: []int{2, 5, 29, 17}, Value: []byte(list)}},
			}
			der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
			require.NoError(t, err)
			assert.Equal(t, new(true), matches(der, "host.example"))
			assert.Equal(t, new(false), matches(der, "x.example"))
			assert.LessOrEqual(t, testing.AllocsPerRun(2, func() { matches(der, "host.example") }), 50.0)
		})
	}
}

// A certificate that is damaged where its names are is none.
func TestDamagedCertificates(t *testing.T) {
	der := func(tag byte, parts ...string) string {
		b := cryptobyte.NewBuilder(nil)
		b.AddASN1(asn1.Tag(tag), func(b *cryptobyte.Builder) { b.AddBytes([]byte(strings.Join(parts, ""))) })
		return string(b.BytesOrPanic())
	}
	const integer, octets, oid, sequence, set, extensions = 0x02, 0x04, 0x06, 0x30, 0x31, 0xa3
	cert := func(subject, rest string) string {
		empty := der(sequence)
		return der(sequence, der(sequence, der(integer, "\x01"), empty, empty, empty, subject, empty, rest))
	}
	common := der(sequence, der(oid, oidCommonName), der(0x0c, "host.example"))
	names := func(list string) string {
		return der(extensions, der(sequence, der(sequence, der(oid, oidSAN), der(octets, list))))
	}
	for name, tt := range map[string]struct {
		subject, rest string
		want          *bool
	}{
		"whole":                      {der(sequence, der(set, common)), names(der(sequence, "\x82\x01a")), new(true)},
		"no name":                    {der(sequence), "", new(false)},
		"subject is a set":           {der(set), "", nil},
		"name is no set":             {der(sequence, common), "", nil},
		"name is empty":              {der(sequence, der(set, der(sequence))), "", nil},
		"name is a number":           {der(sequence, der(set, der(integer, "\x01"))), "", nil},
		"name without a value":       {der(sequence, der(set, der(sequence, der(oid, oidCommonName)))), "", nil},
		"extensions are empty":       {der(sequence), der(extensions), nil},
		"extension is a number":      {der(sequence), der(extensions, der(sequence, der(integer, "\x01"))), nil},
		"extension is empty":         {der(sequence), der(extensions, der(sequence, der(sequence))), nil},
		"extension without a value":  {der(sequence), der(extensions, der(sequence, der(sequence, der(oid, oidSAN)))), nil},
		"alternative names, no list": {der(sequence), names(der(set)), nil},
		"alternative name, cut":      {der(sequence, der(set, common)), names(der(sequence, "\x82\x02a")), nil},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tt.want, matches(cryptobyte.String(cert(tt.subject, tt.rest)), "host.example"))
		})
	}
}

// TestNamesOfCertificates compares with package x509, which parses whole certificates.
func TestNamesOfCertificates(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	for _, template := range []x509.Certificate{
		{Subject: pkix.Name{CommonName: "host.example", Organization: []string{"an.example"}}},
		{Subject: pkix.Name{CommonName: "*.example"}, DNSNames: []string{"*.a.example", "b.example", "*", "x.*.example", "*b.example"}},
		{DNSNames: []string{"a.example", "b.example", "*.b.example", "*.a.example"}}, // of the same lengths
		{DNSNames: []string{"Host.Example"}, URIs: []*url.URL{{Scheme: "http", Host: "an.example"}}, EmailAddresses: []string{"m@mail.example"}},
		{IPAddresses: []net.IP{{192, 0, 2, 1}, net.ParseIP("2001:db8::1")}},
		{},
	} {
		t.Run(template.Subject.CommonName+" "+strings.Join(template.DNSNames, ","), func(t *testing.T) {
			template.SerialNumber, template.NotAfter = big.NewInt(1), time.Now().Add(time.Hour)
			template.IsCA, template.BasicConstraintsValid = true, true
			der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
			require.NoError(t, err)
			cert, err := x509.ParseCertificate(der)
			require.NoError(t, err)
			common := x509.Certificate{DNSNames: []string{cert.Subject.CommonName}}
			for _, host := range strings.Fields("host.example HOST.example host.example. a.example x.a.example y.x.a.example b.example " +
				"an.example mail.example example . * *.example x.*.example bb.example 192.0.2.1 192.0.2.2 [192.0.2.1] 2001:db8::1 [2001:db8::1] a_b.example a..example") {
				want := cert.VerifyHostname(host) == nil || common.VerifyHostname(host) == nil
				assert.Equal(t, &want, matches(der, host), "%v for %q", template, host)
			}
			for n := range der { // cut off anywhere, there is no certificate
				assert.NotPanics(t, func() { matches(der[:n], "host.example") })
			}
			assert.Nil(t, matches(der[:len(der)-1], "host.example"))
		})
	}
}

// TestLongMessages sends messages at the limits.
func TestLongMessages(t *testing.T) {
	play := func(message string) (*state, protocol.Next) {
		c := Conn()
		next := Play(t, New(&Recorder{}), c, Orig(inRecords(message))).Next
		return session.Get(c), next
	}
	fits := chain(strings.Repeat("x", maxCertificates-6))
	require.Len(t, fits, messageHeader+maxCertificates)
	s, _ := play(fits)
	assert.Len(t, s.row.ClientCertChain, 1)
	s, next := play(chain(strings.Repeat("x", maxCertificates-5)))
	assert.Equal(t, protocol.More, next)
	assert.Nil(t, s.row.ClientCertChain, "too long to be read")
	assert.Equal(t, "X", s.row.History)

	pad := func(n int) string {
		short := len(hello(clientHello, 0x0303, "", ext(99, "")))
		return hello(clientHello, 0x0303, "", ext(99, strings.Repeat("x", messageHeader+n-short)))
	}
	s, next = play(pad(60000))
	assert.Equal(t, protocol.More, next)
	assert.Equal(t, "C", s.row.History)
	for _, kind := range []byte{clientHello, serverHello} {
		s, next = play(string([]byte{kind, 1, 0, 1}))
		assert.Equal(t, protocol.Violation, next)
		assert.Nil(t, s)
		s, next = play(string([]byte{kind, 1, 0, 0}) + strings.Repeat("x", maxMessage-1))
		assert.Equal(t, protocol.More, next, "it may still become one")
		assert.NotNil(t, s)
	}
	s, next = play(string([]byte{serverKeyExchange, 1, 0, 1}) + strings.Repeat("x", maxMessage+1))
	assert.Equal(t, protocol.More, next)
	assert.Equal(t, "K", s.row.History)
}

// TestMemoryUsed compares MemoryUsed with the memory kept.
func TestMemoryUsed(t *testing.T) {
	p, c := New(&Recorder{}), Conn()
	assert.Zero(t, p.MemoryUsed(c))
	p.FreeMemory(c)
	name := strings.Repeat("n", 200)
	id := strings.Repeat("i", 32)
	const alpn = "\x00\x03\x02h2"
	Play(t, p, c, Orig(inRecords(hello(clientHello, 0x0303, id, serverNameExt(name)))))
	assert.Equal(t, stateSize+200+32+1, p.MemoryUsed(c))
	Play(t, p, c, Resp(inRecords(hello(serverHello, 0x0303, "", ext(extALPN, alpn))+chain("one", "two"))))
	assert.Equal(t, stateSize+200+32+3+2+2*2*(64+16), p.MemoryUsed(c))
	before := p.MemoryUsed(c)

	// A message that is not whole is held by capacity.
	part := inRecords(chain(strings.Repeat("x", 50000))[:40000])
	Play(t, p, c, Resp(part))
	assert.GreaterOrEqual(t, p.MemoryUsed(c)-before, 40000)
	assert.Equal(t, before+cap(session.Get(c).sides[protocol.Resp].message.body), p.MemoryUsed(c))
	p.FreeMemory(c)
	assert.Equal(t, before, p.MemoryUsed(c))
	res := Play(t, p, c, Resp(inRecords(chain(strings.Repeat("x", 50000))[40000:]+msg(14, ""))))
	assert.Equal(t, protocol.More, res.Next)
	assert.Equal(t, "Csxxn", session.Get(c).row.History, "parsing continues after the dropped message")
	assert.Len(t, session.Get(c).row.CertChain, 2)
	assert.Equal(t, before+2, p.MemoryUsed(c))

	// A dropped hello does not count.
	c = Conn()
	all := inRecords(hello(clientHello, 0x0303, "", serverNameExt(name)))
	Play(t, p, c, Orig(all[:100]))
	p.FreeMemory(c)
	Play(t, p, c, Orig(all[100:]))
	assert.Equal(t, "C", session.Get(c).row.History)
	assert.Empty(t, session.Get(c).row.ServerName)
}

// TestPiecesLeaveNothing plays a connection that once sent a hello in pieces.
func TestPiecesLeaveNothing(t *testing.T) {
	turns := converse(t, &tls.Config{MaxVersion: tls.VersionTLS12}, &tls.Config{})
	p, c := New(&Recorder{}), Conn()
	data := []byte(turns[0].Data)
	var held []byte
	longest := 0
	for i := range data {
		held = append(held, data[i])
		n, _ := p.Data(c, protocol.Packet{}, held)
		held = append(held[:0], held[n:]...)
		longest = max(longest, len(held))
	}
	assert.Less(t, longest, recordHeader, "only headers are left to the flow table")
	assert.Less(t, p.MemoryUsed(c), stateSize+200)
	assert.Nil(t, session.Get(c).sides[protocol.Orig].message.body)
}

func TestWeirds(t *testing.T) {
	for want, turn := range map[string]Turn{
		"SSL_many_server_names":              Orig(rec(handshake, hello(clientHello, 0x0303, "", serverNameExt("a", "b")))),
		"SSL_Excessive_alerts_in_record":     Orig(rec(alert, strings.Repeat("\x01\x00", maxAlerts)+"\x01")),
		"ssl_early_application_data":         Resp(rec(handshake, hello(serverHello, 0x0303, "")) + rec(applicationData, "x")),
		"SSL_max_ssl_history_length_reached": Orig(strings.Repeat(rec(heartbeat, "x"), maxHistory)),
	} {
		t.Run(want, func(t *testing.T) {
			o := &Recorder{}
			assert.Equal(t, protocol.More, Play(t, New(o), Conn(), turn).Next)
			assert.Equal(t, []string{want}, o.Weirds)
		})
	}
	o := &Recorder{}
	Play(t, New(o), Conn(), Orig(rec(alert, strings.Repeat("\x01\x00", maxAlerts))+strings.Repeat(rec(heartbeat, "x"), maxHistory-maxAlerts-1)))
	assert.Empty(t, o.Weirds)
	c := Conn()
	Play(t, New(o), c, Orig(rec(handshake, hello(clientHello, 0x0303, "", serverNameExt(strings.Repeat("n", maxServerName+1))))))
	assert.Len(t, session.Get(c).row.ServerName, maxServerName)
}

// TestHellosInShortRecords splits hellos between records.
func TestHellosInShortRecords(t *testing.T) {
	p := New(nil)
	for _, kind := range []byte{clientHello, serverHello} {
		t.Run(fmt.Sprintf("message %d", kind), func(t *testing.T) {
			data := hello(kind, 0x0303, "")
			for size := 1; size <= 7; size++ {
				var records string
				for from := 0; from < len(data); from += size {
					records += rec(handshake, data[from:min(from+size, len(data))])
				}
				enough := messageHeader + 2
				enough += recordHeader * ((enough + size - 1) / size)
				for n := range len(records) {
					want := protocol.Maybe
					if n >= enough {
						want = protocol.Yes
					}
					require.Equal(t, want, p.Match([]byte(records[:n]), nil), "%d bytes of records of %d", n, size)
				}
			}
		})
	}
	first := rec(handshake, "\x01\x00")
	for _, second := range []string{rec(alert, "\x00"), rec(handshake, ""), "\x16\x02", "\x16\x03\x04", "\x16\x03\x03\x48\x01",
		rec(handshake, "\x00\x10\x02"), rec(handshake, "\x00\x10\x03\x05")} {
		t.Run(second, func(t *testing.T) {
			assert.Equal(t, protocol.No, p.Match([]byte(first+second), nil))
		})
	}
	assert.Equal(t, protocol.Yes, p.Match(nil, []byte(rec(handshake, hello(serverHello, 0x7f17, "")))), "a draft of TLS 1.3")
	assert.Equal(t, protocol.No, p.Match([]byte(rec(handshake, hello(clientHello, 0x7f17, ""))), nil))
}

func TestNames(t *testing.T) {
	assert.Equal(t, 352+10, len(ciphers), "IANA's, and those of drafts")
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		assert.Equal(t, suite.Name, cipherName(suite.ID))
	}
	for id, want := range map[uint16]string{
		0x0000: "TLS_NULL_WITH_NULL_NULL", 0x001b: "TLS_DH_ANON_WITH_3DES_EDE_CBC_SHA", 0x001e: "TLS_KRB5_WITH_DES_CBC_SHA",
		0x0046: "TLS_DH_ANON_WITH_CAMELLIA_128_CBC_SHA", 0x006d: "TLS_DH_ANON_WITH_AES_256_CBC_SHA256", 0x00c7: "TLS_SM4_CCM_SM3",
		0x00ff: "TLS_EMPTY_RENEGOTIATION_INFO_SCSV", 0x1307: "TLS_AEGIS_128L_SHA256", 0xc03c: "TLS_RSA_WITH_ARIA_128_CBC_SHA256",
		0xc09b: "TLS_ECDHE_PSK_WITH_CAMELLIA_256_CBC_SHA384", 0xc0b5: "TLS_SHA384_SHA384", 0xc106: "TLS_GOSTR341112_256_WITH_MAGMA_MGM_S",
		0xccae: "TLS_RSA_PSK_WITH_CHACHA20_POLY1305_SHA256", 0xd005: "TLS_ECDHE_PSK_WITH_AES_128_CCM_SHA256",
		0x001c: "unknown-28", 0xd004: "unknown-53252", 0x0a0a: "unknown-2570",
	} {
		t.Run(fmt.Sprint(id), func(t *testing.T) {
			assert.Equal(t, want, cipherName(id))
		})
	}
	assert.Equal(t, "SSLv20_CK_DES_64_CBC_WITH_MD5", cipherNameV2(0x060040))
	assert.Equal(t, "unknown-0", cipherNameV2(0))
	assert.Equal(t, "unknown-2570", curveName(0x0a0a))
	assert.Equal(t, "unknown-255", alertName(255))

	// A checksum of the registries, so that no name or number changes unnoticed.
	sum := fnv.New64a()
	fmt.Fprintln(sum, versions, curves, alerts, ciphers, v2Ciphers) // maps are printed in order
	assert.Equal(t, uint64(0x15b0e5a1851ed3a7), sum.Sum64())
}

func TestVersionNumbers(t *testing.T) {
	var hellos, after12 []string
	for v := range 1 << 16 {
		if v>>8 == draft {
			assert.True(t, versionOK(uint16(v)) && isTLS13(uint16(v)))
			continue
		}
		if versionOK(uint16(v)) {
			hellos = append(hellos, fmt.Sprintf("%x", v))
		}
		if isTLS13(uint16(v)) {
			after12 = append(after12, fmt.Sprintf("%x", v))
		}
	}
	assert.Equal(t, strings.Fields("2 300 301 302 303 304 fefc fefd feff"), hellos)
	assert.Equal(t, strings.Fields("304 fefc"), after12)
}

func TestMatchSSL2(t *testing.T) {
	p := New(nil)
	for data, want := range map[string]protocol.Verdict{
		"\x80":                 protocol.Maybe,
		"\x80\x2e\x01":         protocol.Maybe,
		"\x80\x2e\x02":         protocol.No,
		"\x80\x2e\x01\x00":     protocol.Maybe,
		"\x80\x2e\x01\x03":     protocol.Maybe,
		"\x80\x2e\x01\x04":     protocol.No,
		"\x80\x2e\x01\x00\x02": protocol.Maybe,
		"\x80\x2e\x01\x03\x03": protocol.Maybe,
		"\x80\x2e\x01\x03\x04": protocol.No,
		"\x80\x02\x01":         protocol.No,
		"\x80\x03\x01":         protocol.Maybe,
	} {
		t.Run(data, func(t *testing.T) {
			assert.Equal(t, want, p.Match([]byte(data), nil))
		})
	}
	hello := "\x01\x03\x01\x00\x06\x00\x00\x00\x10\x01\x00\x80\x00\x00\x2f" + strings.Repeat("c", 16)
	assert.Equal(t, protocol.Maybe, p.Match([]byte(v2(hello))[:30], nil))
	assert.Equal(t, protocol.Yes, p.Match([]byte(v2(hello)), nil))
	for name, other := range map[string]string{
		"no bit for the header": "\x00" + v2(hello)[1:],
		"no ciphers":            v2("\x01\x03\x01\x00\x00\x00\x00\x00\x10" + strings.Repeat("c", 16)),
		"ciphers of two bytes":  v2("\x01\x03\x01\x00\x05\x00\x00\x00\x10" + strings.Repeat("c", 21)),
		"a short session ID":    v2("\x01\x03\x01\x00\x06\x00\x01\x00\x10" + strings.Repeat("c", 23)),
		"a long session ID":     v2("\x01\x03\x01\x00\x06\x00\x11\x00\x10" + strings.Repeat("c", 39)),
		"a challenge cut short": v2("\x01\x03\x01\x00\x06\x00\x00\x00\x11\x01\x00\x80\x00\x00\x2f" + strings.Repeat("c", 16)),
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, protocol.No, p.Match([]byte(other), nil))
		})
	}
	withID := "\x01\x03\x01\x00\x06\x00\x10\x00\x10\x01\x00\x80\x00\x00\x2f" + strings.Repeat("c", 32)
	assert.Equal(t, protocol.Yes, p.Match([]byte(v2(withID)), nil))
}
