package ssh

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/protocol"
	. "example.com/conn/analyzer/protocol/protocoltest"
)

// str encodes a string as SSH 2 does.
func str(s string) string { return string(binary.BigEndian.AppendUint32(nil, uint32(len(s)))) + s }

func inits(kex string) []Turn {
	return []Turn{clientVersion, serverVersion, Orig(kexInit(kex, "", "", "", "", "", "", "")), Resp(kexInit(kex, "", "", "", "", "", "", ""))}
}

func sum(key string) string {
	h := sha256.Sum256([]byte(key))
	return "SHA256:" + base64.StdEncoding.EncodeToString(h[:])[:32]
}

func TestHostKey(t *testing.T) {
	key := sum("the key")
	for kex, kind := range map[string]byte{
		"diffie-hellman-group1-sha1": 31, "diffie-hellman-group14-sha256": 31, "diffie-hellman-group18-sha512": 31,
		"diffie-hellman-group-exchange-sha256": 33, "gss-gex-sha1-toWM5Slw5Ew8Mqkay+al2g==": 33,
		"ecdh-sha2-nistp256": 31, "ecmqv-sha2": 31, "curve25519-sha256@libssh.org": 31, "curve448-sha512": 31,
		"sntrup761x25519-sha512@openssh.com": 31, "mlkem768x25519-sha256": 31,
		"rsa2048-sha256": 0, "rsa1024-sha1": 0,
	} {
		t.Run(kex, func(t *testing.T) {
			for _, sent := range []byte{0, 30, 31, 33} {
				o, c := &Recorder{}, Conn()
				turns := append(inits(kex), Resp(packet(sent, str("the key")+str("f")+str("signature"))))
				Play(t, New(o), c, turns...)
				conn.StateRemove(c)
				want := key
				if sent != kind || kind == 0 {
					want = ""
				}
				assert.Equal(t, want, o.Rows[0].(*Row).HostKey, "%s, message %d", kex, sent)
				assert.Empty(t, o.Weirds)
			}
		})
	}
	got := row(t, append(inits("ecdh-sha2-nistp256"), Orig(packet(31, str("the key"))))...)
	assert.Equal(t, key, got.HostKey, "of a server that opened the connection")
	got = row(t, append(inits("ecdh-sha2-nistp256"), Resp(packet(31, "\x00\x00\x00\x09too short")))...)
	assert.Equal(t, sum("too short"), got.HostKey)
	got = row(t, append(inits("ecdh-sha2-nistp256"), Resp(packet(31, "\x00\x00\x00\x0atoo short")))...)
	assert.Empty(t, got.HostKey, "the padding is not the key's")

	o, c := &Recorder{}, Conn()
	Play(t, New(o), c, append(inits("new"), Resp(packet(31, str("the key"))))...)
	conn.StateRemove(c)
	assert.Equal(t, map[string]string{"ssh_unknown_kex_algorithm": "new"}, o.Addl)
	assert.Equal(t, "new", o.Rows[0].(*Row).KexAlg)
	assert.Empty(t, o.Rows[0].(*Row).HostKey)
	o, c = &Recorder{}, Conn()
	Play(t, New(o), c, clientVersion, serverVersion, clientInit, Resp(kexInit("no", "", "", "", "", "", "", "")))
	assert.Empty(t, o.Weirds, "nothing in common is no weird algorithm")
}

// number encodes a number as SSH 1 does.
func number(bits int, v string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(bits))) + v
}

// packet1 makes a packet of SSH 1.
func packet1(kind byte, body string) string {
	size := 1 + len(body) + 4
	return string(binary.BigEndian.AppendUint32(nil, uint32(size))) + strings.Repeat("p", 8-size%8) + string(rune(kind)) + body + "crc!"
}

func TestHostKeyOfSSH1(t *testing.T) {
	body := "cookie!!" + "size" + number(17, "eee") + number(9, "mo") + "size" + number(17, "exp") + number(32, "modu") + "flags"
	turns := []Turn{Resp("SSH-1.99-s\n"), Orig("SSH-1.5-c\n"), Resp(packet1(smsgPublicKey, body))}
	assert.Equal(t, sum("moduexp"), row(t, turns...).HostKey)
	for _, short := range []string{"", body[:20], body[:len(body)-6]} {
		t.Run(short, func(t *testing.T) {
			turns[2] = Resp(packet1(smsgPublicKey, short)[:12])
			assert.Empty(t, row(t, turns...).HostKey)
		})
	}
	turns[2] = Resp(packet1(smsgPublicKey, body[:len(body)-5]))
	assert.Equal(t, sum("moduexp"), row(t, turns...).HostKey, "the modulus ends before the checksum")
	turns[2] = Resp(packet1(smsgPublicKey, body[:len(body)-7]))
	assert.Equal(t, "", row(t, turns...).HostKey, "the modulus ends in the checksum")
	turns[2] = Resp(packet1(9, body))
	assert.Empty(t, row(t, turns...).HostKey)

	last := &Recorder{}
	turns[2] = Resp(packet1(smsgPublicKey, body))
	assert.Equal(t, protocol.Stop, Play(t, New(last), Conn(), append(turns, Orig(packet1(cmsgSessionKey, "key")))...).Next)
	assert.Len(t, last.Rows, 1, "the rest is encrypted")

	o, c := &Recorder{}, Conn()
	assert.Equal(t, protocol.Violation, Play(t, New(o), c, append(turns[:2:2], Resp("\x00\x01\x00\x00"+"pppppppp"+"\x02"))...).Next)
	assert.Equal(t, map[string]string{"SSH_max_packet_length_exceeded": "65548 > 65536"}, o.Addl)
}

func TestDamagedKexInit(t *testing.T) {
	whole := kexInit("a", "b", "c", "d", "e", "f", "g", "h")
	body := whole[6:]
	for cut := range len(body) - 17 { // up to the list that is the last to be read
		first := Orig(packet(msgKexInit, body[:cut]))
		assert.Equal(t, protocol.Violation, Play(t, New(&Recorder{}), Conn(), clientVersion, serverVersion, first).Next, "%d bytes", cut)
	}
	first := Orig(packet(msgKexInit, body[:len(body)-17]))
	assert.Equal(t, protocol.More, Play(t, New(&Recorder{}), Conn(), clientVersion, serverVersion, first).Next)
}

func TestSecondKexInitIsNotRead(t *testing.T) {
	turns := append(inits("ecdh-sha2-nistp256"), Orig(kexInit("other", "", "", "", "", "", "", "")), Resp(kexInit("other", "", "", "", "", "", "", "")))
	assert.Equal(t, "ecdh-sha2-nistp256", row(t, turns...).KexAlg)
	assert.Equal(t, protocol.More, Play(t, New(&Recorder{}), Conn(), turns...).Next)
}

func TestWeirds(t *testing.T) {
	for name, tt := range map[string]struct {
		turns []Turn
		want  string // its name and details
	}{
		"versions":     {[]Turn{clientVersion, Resp("SSH-1.5-s\n")}, "SSH_version_mismatch SSH-1.5-s vs SSH-2.0-client"},
		"packet":       {[]Turn{clientVersion, serverVersion, Orig("\x00\x04\x00\x01\x04\x1e")}, "SSH_max_packet_length_exceeded 262145 > 262144"},
		"KEXINIT":      {[]Turn{clientVersion, serverVersion, Orig("\x00\x00\xff\xfd\x04\x14")}, "SSH_max_packet_length_exceeded 65537 > 65536"},
		"packet fits":  {[]Turn{clientVersion, serverVersion, Orig("\x00\x04\x00\x00\x04\x1e")}, ""},
		"KEXINIT fits": {[]Turn{clientVersion, serverVersion, Orig("\x00\x00\xff\xfc\x04\x14")}, ""},
		"one version":  {[]Turn{serverVersion}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o, c := &Recorder{}, Conn()
			res := Play(t, New(o), c, tt.turns...)
			if tt.want == "" {
				assert.Empty(t, o.Weirds)
				assert.Equal(t, protocol.More, res.Next)
				return
			}
			name, addl, _ := strings.Cut(tt.want, " ")
			assert.Equal(t, map[string]string{name: addl}, o.Addl)
			assert.NotEqual(t, protocol.More, res.Next)
		})
	}
}

func TestFreeMemory(t *testing.T) {
	o, c := &Recorder{}, Conn()
	p := New(o)
	p.FreeMemory(c)
	assert.Zero(t, p.MemoryUsed(c))
	Play(t, p, c, clientVersion)
	assert.Equal(t, 208+320+len("SSH-2.0-client"), p.MemoryUsed(c))
	Play(t, p, c, clientInit)
	assert.Greater(t, p.MemoryUsed(c), 600)
	p.FreeMemory(c)
	require.Len(t, o.Rows, 1)
	assert.Equal(t, "SSH-2.0-client", o.Rows[0].(*Row).Client)
	assert.Less(t, p.MemoryUsed(c), 300)
	assert.False(t, conn.Registered(c, finalize))
	for _, turn := range []Turn{serverVersion, newKeys, Resp("more lines\n" + serverVersion.Data)} {
		assert.Equal(t, protocol.Stop, Play(t, p, c, turn).Next)
	}
	p.FreeMemory(c)
	conn.StateRemove(c)
	assert.Len(t, o.Rows, 1)
}

// discard is an owner that keeps nothing.
type discard struct{ protocol.Owner }

func (discard) Log(logs.Row)                           {}
func (discard) Confirm(*conn.Connection)               {}
func (discard) Weird(*conn.Connection, string, string) {}

func TestHeldCountsTexts(t *testing.T) {
	p, c := New(&Recorder{}), Conn()
	Play(t, p, c, append(inits("ecdh-sha2-nistp256"), Resp(packet(31, str("the key"))))...)
	r := session.Get(c).row
	texts := 0
	for _, text := range []string{r.Client, r.Server, r.CipherAlg, r.MACAlg, r.CompAlg, r.KexAlg, r.HostKeyAlg, r.HostKey} {
		t.Run(text, func(t *testing.T) {
			assert.NotEmpty(t, text)
			texts += len(text)
		})
	}
	assert.Equal(t, 208+320+texts, p.MemoryUsed(c))
}

func TestHeldIsWhatIsReachable(t *testing.T) {
	assert.LessOrEqual(t, unsafe.Sizeof(Row{}), uintptr(320))
	long := strings.Repeat("abcdefgh,", 5000)
	for name, turns := range map[string][]Turn{
		"version":       {clientVersion},
		"one KEXINIT":   {clientVersion, clientInit},
		"long KEXINIT":  {clientVersion, Orig(kexInit(long, long[:100], "", "", "", "", "", ""))},
		"both":          {clientVersion, serverVersion, clientInit, serverInit},
		"long, both":    {clientVersion, serverVersion, Orig(kexInit(long, "", "", "", "", "", "", "")), Resp(kexInit(long, "", "", "", "", "", "", ""))},
		"one long name": {clientVersion, serverVersion, Orig(kexInit(long[:8000], "", "", "", "", "", "", "")), Resp(kexInit(long[:8000], "", "", "", "", "", "", ""))},
		"encrypted":     {clientVersion, serverVersion, clientInit, serverInit, reply, newKeys, Resp("e")},
	} {
		t.Run(name, func(t *testing.T) {
			const n = 500
			conns := make([]conn.Connection, n)
			p := New(discard{})
			for i := range conns {
				conns[i] = *Conn()
			}
			heap := func() int {
				var stats runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&stats)
				return int(stats.HeapAlloc)
			}
			before, held := heap(), 0
			for i := range conns {
				Play(t, p, &conns[i], turns...)
				held += p.MemoryUsed(&conns[i])
			}
			real := (heap() - before) / n
			runtime.KeepAlive(conns)
			assert.InDelta(t, 1, float64(held/n)/float64(real), 0.35, "%s: held %d, reachable %d", name, held/n, real)
		})
	}
}

// hostile returns conversations that are made to be expensive.
func hostile() map[string][]Turn {
	var distinct strings.Builder
	for i := range 12000 {
		distinct.WriteString(string([]byte{'A' + byte(i%26), 'a' + byte(i/26%26), '0' + byte(i/676)}) + ",")
	}
	names := kexInit(distinct.String()[:45000], "", "", "", "", "", "", "")
	other := kexInit(strings.ToLower(distinct.String())[:45000], "", "", "", "", "", "", "")
	small := kexInit("a", "b", "c", "d", "e", "f", "g", "h")
	again := []Turn{clientVersion, serverVersion}
	tiny := []Turn{clientVersion, serverVersion, clientInit, serverInit}
	lines := []Turn{}
	for range 200 {
		again = append(again, Orig(small))
		tiny = append(tiny, Orig(strings.Repeat("\x00\x00\x00\x02\x00\x63", 100)))
		lines = append(lines, Resp(strings.Repeat("x\n", 500)))
	}
	return map[string][]Turn{
		"friendly":       {clientVersion, serverVersion, clientInit, serverInit, reply, newKeys, Orig("x"), Resp("y")},
		"many names":     {clientVersion, serverVersion, Orig(names), Resp(other)},
		"KEXINIT, again": again,
		"tiny packets":   tiny,
		"lines":          lines,
	}
}

// maxAlloc is how many bytes may be allocated for n bytes of a conversation.
func maxAlloc(n int) int { return 8192 + 40*n }

// say passes turns to p as they are, and returns how many bytes they have.
func say(p *Parser, c *conn.Connection, turns []Turn) (n int) {
	for _, turn := range turns {
		side := protocol.Resp
		if turn.FromOrig {
			side = protocol.Orig
		}
		n += len(turn.Data)
		if _, next := p.Data(c, protocol.Packet{Time: Start, Side: side}, []byte(turn.Data)); next != protocol.More {
			break
		}
	}
	return n
}

func TestAllocationIsBounded(t *testing.T) {
	for name, turns := range hostile() {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			p, c := New(discard{}), Conn()
			runtime.ReadMemStats(&before)
			n := say(p, c, turns)
			runtime.ReadMemStats(&after)
			assert.LessOrEqual(t, int(after.TotalAlloc-before.TotalAlloc), maxAlloc(n), name)
			assert.Less(t, p.MemoryUsed(c), 100<<10)
		})
	}
}

func BenchmarkConversation(b *testing.B) {
	for name, turns := range hostile() {
		b.Run("turns="+strings.ReplaceAll(name, " ", "_"), func(b *testing.B) {
			p, n := New(discard{}), 0
			b.ReportAllocs()
			for b.Loop() {
				n = say(p, Conn(), turns)
			}
			b.SetBytes(int64(n))
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/byte")
		})
	}
}
