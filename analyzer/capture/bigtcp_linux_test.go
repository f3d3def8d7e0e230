package capture

import (
	"io"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/packet"
)

// longestPacket is a packet.Sink that notes the length of the longest packet.
type longestPacket struct{ length int }

func (s *longestPacket) Packet(p *packet.Packet)         { s.length = max(s.length, p.Length) }
func (s *longestPacket) Weird(time.Time, string, string) {}
func (s *longestPacket) Log(logs.Row)                    {}

// With BIG TCP, Linux makes IPv6 packets above 64 KB (RFC 2675).
func TestLiveBigTCP(t *testing.T) {
	isolate(t)
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs ip: ", err)
	}
	require.NoError(t, os.WriteFile("/proc/sys/net/ipv6/conf/lo/disable_ipv6", []byte("0"), 0))
	out, err := exec.Command("ip", "link", "set", "lo", "mtu", "65536", "gso_max_size", "200000", "gro_max_size", "200000").CombinedOutput()
	if err != nil {
		t.Skipf("needs a kernel with BIG TCP: %s", out)
	}
	r := live(t, LiveConfig{Interface: "lo", Fanout: -1, Buffer: 64 << 20})
	l, err := net.Listen("tcp6", "[::1]:0")
	require.NoError(t, err)
	defer l.Close()
	client, err := net.Dial("tcp6", l.Addr().String())
	require.NoError(t, err)
	defer client.Close()
	server, err := l.Accept()
	require.NoError(t, err)
	defer server.Close()
	go func() { _, _ = io.Copy(io.Discard, server) }()
	_, err = client.Write(make([]byte, 10<<20))
	require.NoError(t, err)

	d := packet.NewDecoder()
	d.IgnoreChecksums = true
	var s longestPacket
	for _, f := range passed(t, r) {
		assert.Equal(t, f.Wire, len(f.Data))
		require.NoError(t, d.Decode(f, &s))
	}
	assert.Greater(t, s.length, 1<<16)
}
