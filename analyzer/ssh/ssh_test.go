package ssh

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"example.com/conn"
	"example.com/conn/analyzer/logs"
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

// packet makes a packet of SSH 2.
func packet(kind byte, body string) string {
	const padding = 4
	head := binary.BigEndian.AppendUint32(nil, uint32(2+len(body)+padding))
	return string(append(head, padding, kind)) + body + strings.Repeat("\x00", padding)
}

// kexInit makes a KEXINIT with the given lists.
func kexInit(lists ...string) string {
	body := strings.Repeat("k", 16)
	for _, l := range append(lists, "", "") {
		body += string(binary.BigEndian.AppendUint32(nil, uint32(len(l)))) + l
	}
	return packet(msgKexInit, body+"\x00\x00\x00\x00\x00")
}

var (
	clientVersion = Orig("SSH-2.0-client\r\n")
	serverVersion = Resp("SSH-2.0-server with a comment\n")
	clientInit    = Orig(kexInit("dh,ecdh", "rsa,ed25519", "aes,3des", "rc4,aes", "md5,sha", "md5,sha", "none,zlib", "none"))
	serverInit    = Resp(kexInit("x25519,ecdh,dh", "ed25519", "3des,aes", "rc4", "sha", "sha", "none", "none"))
	reply         = Resp(packet(31, "key") + packet(msgNewKeys, ""))
	newKeys       = Orig(packet(30, "key") + packet(msgNewKeys, ""))
)

func TestVersions(t *testing.T) {
	for name, tt := range map[string]struct {
		client, server string
		want           int
	}{
		"both 2":            {"SSH-2.0-a", "SSH-2.0-b", 2},
		"both 1":            {"SSH-1.5-a", "SSH-1.3-b", 1},
		"server can both":   {"SSH-2.0-a", "SSH-1.99-b", 2},
		"client can both":   {"SSH-1.99-a", "SSH-1.5-b", 1},
		"both can both":     {"SSH-1.99-a", "SSH-1.99-b", 2},
		"nothing in common": {"SSH-2.0-a", "SSH-1.5-b", 0},
		"client only":       {"SSH-2.0-a", "", 0},
		"server only":       {"", "SSH-2.0-b", 0},
	} {
		t.Run(name, func(t *testing.T) {
			var turns []Turn
			if tt.server != "" {
				turns = append(turns, Resp(tt.server+"\r\n"))
			}
			if tt.client != "" {
				turns = append(turns, Orig(tt.client+"\r\n"))
			}
			got := row(t, turns...)
			assert.Equal(t, tt.want, got.Version)
			assert.Equal(t, tt.client, got.Client)
			assert.Equal(t, tt.server, got.Server)
			assert.Zero(t, got.AuthAttempts)
			assert.Nil(t, got.AuthSuccess)
		})
	}
}

func TestAlgorithms(t *testing.T) {
	for name, turns := range map[string][]Turn{
		"client first": {clientVersion, serverVersion, clientInit, serverInit, newKeys, reply},
		"server first": {serverVersion, serverInit, clientVersion, clientInit, reply, newKeys},
		"at once":      {Orig(clientVersion.Data + clientInit.Data), Resp(serverVersion.Data + serverInit.Data)},
	} {
		t.Run(name, func(t *testing.T) {
			got := row(t, turns...)
			assert.Equal(t, "dh", got.KexAlg)
			assert.Equal(t, "ed25519", got.HostKeyAlg)
			assert.Equal(t, "To server: aes, to client: rc4", got.CipherAlg)
			assert.Equal(t, "sha", got.MACAlg)
			assert.Equal(t, "none", got.CompAlg)
		})
	}
	other := Resp(kexInit("rsa", "", "", "", "", "", "", ""))
	assert.Equal(t, "Algorithm negotiation failed", row(t, clientVersion, serverVersion, clientInit, other).KexAlg)
	assert.Equal(t, "Algorithm negotiation failed", agree(nil, nil))
	last, late := []byte(strings.Repeat("x,", maxNames-1)+"y"), []byte(strings.Repeat("x,", maxNames)+"y")
	for _, lists := range [][2][]byte{{last, []byte("y")}, {[]byte("y"), last}} {
		assert.Equal(t, "y", agree(lists[0], lists[1]))
	}
	for _, lists := range [][2][]byte{{late, []byte("y")}, {[]byte("y"), late}} {
		assert.Equal(t, "Algorithm negotiation failed", agree(lists[0], lists[1]))
	}

	p, c := New(&Recorder{}), Conn()
	Play(t, p, c, clientVersion, serverVersion, clientInit, serverInit)
	assert.Nil(t, session.Get(c).sides[0].init, "is not kept")
	assert.Nil(t, session.Get(c).sides[1].init)
}

func TestOneSideOnly(t *testing.T) {
	got := row(t, clientVersion, clientInit, newKeys, Orig("encrypted"))
	assert.Equal(t, "SSH-2.0-client", got.Client)
	assert.Zero(t, got.Version)
	got = row(t, Resp("Welcome\r\nto the server\r\n"+serverVersion.Data), serverInit, reply)
	assert.Equal(t, "SSH-2.0-server with a comment", got.Server, "after other lines")
	got = row(t, Resp("SSH-1.99-x\r\n"), Resp(strings.Repeat("?", 10)))
	assert.Equal(t, "SSH-1.99-x", got.Server)
	assert.Empty(t, Rows(t, parser, Orig("SSH-2.0-cut")), "there is nothing to say yet")
}

func TestConfirmed(t *testing.T) {
	key1 := func(kind byte) string { return "\x00\x00\x00\x05\x00\x00\x00" + string(kind) + "xxxx" }
	v1 := []Turn{Resp("SSH-1.99-s\n"), Orig("SSH-1.5-c\n"), Resp(key1(2))}
	for name, tt := range map[string]struct {
		turns []Turn
		want  bool
	}{
		"nothing":            {nil, false},
		"versions":           {[]Turn{clientVersion, serverVersion}, false},
		"keys":               {[]Turn{clientVersion, serverVersion, clientInit, serverInit, reply}, true},
		"keys of one side":   {[]Turn{clientVersion, clientInit, newKeys}, false},
		"SSH 1, server only": {v1, false},
		"SSH 1":              {append(v1, Orig(key1(cmsgSessionKey))), true},
	} {
		t.Run(name, func(t *testing.T) {
			o, c := &Recorder{}, Conn()
			Play(t, New(o), c, tt.turns...)
			assert.Equal(t, tt.want, o.Confirmed)
		})
	}
}

// TestAuthentication uses the sizes of OpenSSH's packets.
func TestAuthentication(t *testing.T) {
	sized := func(n int) Turn { return Resp(strings.Repeat("e", n)) }
	request, accept, failure, success := Orig("request"), sized(44), sized(76), sized(28)
	yes, no := new(true), new(false)
	for name, tt := range map[string]struct {
		turns    []Turn
		want     *bool
		attempts int
	}{
		"none needed":           {[]Turn{request, accept, request, success}, yes, 1},
		"first password":        {[]Turn{request, accept, request, failure, request, success}, yes, 1},
		"second password":       {[]Turn{request, accept, request, failure, request, failure, request, success}, yes, 2},
		"wrong passwords":       {[]Turn{request, accept, request, failure, request, failure, request, failure}, no, 2},
		"banner":                {[]Turn{request, accept, request, sized(800), failure, request, failure, request, success}, yes, 2},
		"short banner":          {[]Turn{request, accept, request, sized(44 + 256), failure, request, sized(44 + 256)}, no, 1},
		"shortest banner":       {[]Turn{request, accept, request, sized(44 + 257), failure, request, failure}, no, 1},
		"one banner only":       {[]Turn{request, accept, request, sized(800), sized(800), request, sized(800)}, no, 1},
		"short failures":        {[]Turn{request, accept, request, sized(27), request, sized(27)}, no, 1},
		"none tried":            {[]Turn{request, accept, request, failure}, nil, 0},
		"server's last key":     {[]Turn{sized(99), request, accept, request, success}, yes, 1},
		"rest is skipped":       {[]Turn{request, accept, request, success, failure, failure}, yes, 1},
		"sizes without meaning": {[]Turn{request, accept, request, failure, request, sized(77), sized(99)}, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			o, c := &Recorder{}, Conn()
			turns := append([]Turn{clientVersion, serverVersion, clientInit, serverInit, reply, newKeys}, tt.turns...)
			res := Play(t, New(o), c, turns...)
			if tt.want == yes {
				assert.Equal(t, protocol.Stop, res.Next)
				assert.Len(t, o.Rows, 1, "logged at once")
				assert.False(t, conn.Registered(c, finalize))
			} else {
				assert.Empty(t, o.Rows)
			}
			conn.StateRemove(c)
			require.Len(t, o.Rows, 1)
			assert.Equal(t, tt.want, o.Rows[0].(*Row).AuthSuccess)
			assert.Equal(t, tt.attempts, o.Rows[0].(*Row).AuthAttempts)
		})
	}
}

func TestCompressionHidesAuthentication(t *testing.T) {
	for _, alg := range []string{"zlib", "zlib@openssh.com"} {
		t.Run(alg, func(t *testing.T) {
			zlib := kexInit("a", "a", "a", "a", "a", "a", alg, alg)
			o, c := &Recorder{}, Conn()
			res := Play(t, New(o), c, clientVersion, serverVersion, Orig(zlib), Resp(zlib), reply, newKeys, Orig("x"))
			assert.Equal(t, protocol.Stop, res.Next, "nothing more can be learned")
			require.Len(t, o.Rows, 1)
			assert.Equal(t, alg, o.Rows[0].(*Row).CompAlg)
			assert.False(t, conn.Registered(c, finalize))
		})
	}
}

func TestNoCommonVersion(t *testing.T) {
	o, c := &Recorder{}, Conn()
	res := Play(t, New(o), c, clientVersion, Resp("SSH-1.5-s\n"))
	assert.Equal(t, protocol.Stop, res.Next, "nothing can follow")
	assert.Len(t, o.Rows, 1)
	assert.False(t, conn.Registered(c, finalize))
}

func TestDirection(t *testing.T) {
	for _, tt := range [][3]string{
		{"10.1.2.3:5", "198.51.100.1:22", "OUTBOUND"},
		{"198.51.100.1:5", "[fe80::1]:22", "INBOUND"},
		{"192.168.0.1:5", "172.16.0.1:22", ""},
		{"203.0.113.1:5", "198.51.100.1:22", ""},
	} {
		t.Run(tt[0]+" to "+tt[1], func(t *testing.T) {
			o, c := &Recorder{}, Conn()
			c.ID = conn.ID{Orig: netip.MustParseAddrPort(tt[0]), Resp: netip.MustParseAddrPort(tt[1]), Proto: conn.TCP}
			Play(t, New(o), c, clientVersion)
			conn.StateRemove(c)
			assert.Equal(t, tt[2], o.Rows[0].(*Row).Direction)
		})
	}
}

func TestViolations(t *testing.T) {
	versions := []Turn{clientVersion, serverVersion}
	for name, turns := range map[string][]Turn{
		"client says something else": {Orig("GET / HTTP/1.1\r\n")},
		"endless line":               {Resp(strings.Repeat("x", maxLine+1))},
		"huge packet":                append(versions, Orig("\x7f\x00\x00\x00\x04\x14")),
		"tiny packet":                append(versions, Orig("\x00\x00\x00\x01\x04\x14")),
		"huge KEXINIT":               append(versions, Resp("\x00\x02\x00\x00\x04\x14")),
	} {
		t.Run(name, func(t *testing.T) {
			o, c := &Recorder{}, Conn()
			assert.Equal(t, protocol.Violation, Play(t, New(o), c, turns...).Next)
			conn.StateRemove(c)
			assert.Len(t, o.Rows, len(turns)/2, "what is known is logged")
		})
	}
}

func TestGap(t *testing.T) {
	lost := clientInit
	lost.Lost = 5
	got := row(t, clientVersion, serverVersion, lost, serverInit)
	assert.Equal(t, 2, got.Version)
	assert.Empty(t, got.KexAlg)
}

func TestMatch(t *testing.T) {
	p := New(nil)
	assert.Equal(t, protocol.Yes, p.Match([]byte("SSH-2.0-x"), []byte("ssh-1.99-x")))
	assert.Equal(t, protocol.Maybe, p.Match([]byte("SSH-2.0-x"), nil))
	for n := range 6 {
		assert.Equal(t, protocol.Maybe, p.Match([]byte("SSH-2.0-x"), []byte("SSH-2."[:n])))
	}
	assert.Equal(t, protocol.Yes, p.Match([]byte("SSH-2.0-x"), []byte("SSH-2.")))
	for _, other := range []string{"G", "SSH-3", "SSH-3.0", "SSH-2,", "SSH-2,0", "220 mail"} {
		t.Run(other, func(t *testing.T) {
			assert.Equal(t, protocol.No, p.Match([]byte(other), nil))
			assert.Equal(t, protocol.No, p.Match([]byte("SSH-2.0-x"), []byte(other)))
		})
	}
}

// The longest line, packet and KEXINIT and the shortest packet are accepted, and longer and shorter
// ones are not.
func TestLengths(t *testing.T) {
	versions := []Turn{clientVersion, serverVersion}
	frame := func(size uint32, head string) string { return string(binary.BigEndian.AppendUint32(nil, size)) + head }
	for name, c := range map[string]struct {
		turns []Turn
		next  protocol.Next
	}{
		"line":           {[]Turn{Resp(strings.Repeat("x", maxLine-1) + "\n")}, protocol.More},
		"longer line":    {[]Turn{Resp(strings.Repeat("x", maxLine) + "\n")}, protocol.Violation},
		"packet":         {append(versions, Resp(frame(maxPacket, ""))), protocol.More},
		"longer packet":  {append(versions, Resp(frame(maxPacket+1, ""))), protocol.Violation},
		"KEXINIT":        {append(versions, Resp(frame(maxRead-4, "\x04\x14"))), protocol.More},
		"longer KEXINIT": {append(versions, Resp(frame(maxRead-3, "\x04\x14"))), protocol.Violation},
		"short packet":   {append(versions, Resp(frame(2, "\x00\x15"))), protocol.More},
		"shorter packet": {append(versions, Resp(frame(1, "\x00\x15"))), protocol.Violation},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.next, Play(t, New(&Recorder{}), Conn(), c.turns...).Next)
		})
	}
}

// A tap records the bytes written to a connection.
type tap struct {
	net.Conn
	fromOrig bool
	mu       *sync.Mutex
	turns    *[]Turn
}

func (t tap) Write(b []byte) (int, error) {
	t.mu.Lock()
	*t.turns = append(*t.turns, Turn{FromOrig: t.fromOrig, Data: string(b)})
	t.mu.Unlock()
	return t.Conn.Write(b)
}

// converse makes x/crypto's package ssh log in with a password, and returns the conversation and
// the server's key.
func converse(t testing.TB, password string) (turns []Turn, key ssh.PublicKey) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	b, err := l.Accept()
	require.NoError(t, err)
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	signer, err := ssh.NewSignerFromSigner(private)
	require.NoError(t, err)
	server := &ssh.ServerConfig{
		MaxAuthTries: 2,
		PasswordCallback: func(_ ssh.ConnMetadata, got []byte) (*ssh.Permissions, error) {
			if string(got) != "right" {
				return nil, errors.New("wrong password")
			}
			return nil, nil
		},
	}
	server.AddHostKey(signer)
	var mu sync.Mutex
	var wg sync.WaitGroup
	wg.Go(func() {
		ssh.NewServerConn(tap{b, false, &mu, &turns}, server)
		b.Close()
	})
	ssh.NewClientConn(tap{a, true, &mu, &turns}, "", &ssh.ClientConfig{
		User: "u", Auth: []ssh.AuthMethod{ssh.Password(password)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	a.Close()
	wg.Wait()
	return turns, signer.PublicKey()
}

func TestRealConversation(t *testing.T) {
	o, c := &Recorder{}, Conn()
	turns, key := converse(t, "right")
	Play(t, New(o), c, turns...)
	conn.StateRemove(c)
	require.Len(t, o.Rows, 1)
	got := o.Rows[0].(*Row)
	assert.Equal(t, 2, got.Version)
	assert.Equal(t, "SSH-2.0-Go", got.Client)
	assert.Equal(t, "SSH-2.0-Go", got.Server)
	assert.Equal(t, "ssh-ed25519", got.HostKeyAlg)
	assert.Equal(t, ssh.FingerprintSHA256(key)[:len("SHA256:")+32], got.HostKey)
	assert.Equal(t, "none", got.CompAlg)
	assert.NotEmpty(t, got.KexAlg)
	assert.True(t, o.Confirmed)
	assert.Empty(t, o.Weirds)
}

func FuzzParser(f *testing.F) {
	for _, password := range []string{"right", "wrong"} {
		turns, _ := converse(f, password)
		f.Add(Encode(turns...))
	}
	f.Add(Encode(clientVersion, serverVersion, clientInit, serverInit, reply, newKeys, Orig("xx"), Resp("yy")))
	f.Add(Encode(Resp("hello\nSSH-1.99-s\n"), Orig("SSH-1.5-c\n"), Resp("\x00\x00\x00\x05\x00\x00\x00\x02xxxx")))
	f.Fuzz(func(t *testing.T, input []byte) {
		turns := Decode(input)
		whole := rows(t, turns)
		var bytes []Turn
		for _, turn := range turns {
			for i := 0; i+1 < len(turn.Data); i++ {
				bytes = append(bytes, Turn{FromOrig: turn.FromOrig, Data: turn.Data[i : i+1]})
			}
			turn.Data = turn.Data[max(0, len(turn.Data)-1):]
			bytes = append(bytes, turn)
		}
		assert.Equal(t, whole, rows(t, bytes), "byte by byte")
		assert.LessOrEqual(t, len(whole), 1)

		var before, after runtime.MemStats
		p, c := New(discard{}), Conn()
		runtime.ReadMemStats(&before)
		n := say(p, c, turns)
		runtime.ReadMemStats(&after)
		assert.LessOrEqual(t, int(after.TotalAlloc-before.TotalAlloc), maxAlloc(n)+8192)
		assert.LessOrEqual(t, p.MemoryUsed(c), maxAlloc(n))
		p.FreeMemory(c)
		assert.Less(t, p.MemoryUsed(c), 300)
	})
}

// rows plays turns and returns the rows, without what depends on how the bytes are cut into
// packets: the times, which count turns, and the guess.
func rows(t *testing.T, turns []Turn) (rows []Row) {
	o, c := &Recorder{}, Conn()
	Play(t, New(o), c, turns...)
	require.True(t, conn.StateRemove(c))
	for _, r := range o.Rows {
		row := *r.(*Row)
		row.Header, row.AuthSuccess, row.AuthAttempts = logs.Header{}, nil, 0
		rows = append(rows, row)
	}
	return rows
}
