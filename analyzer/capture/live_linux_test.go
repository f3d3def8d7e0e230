package capture

import (
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"example.com/conn/analyzer/packet"
)

// isolate moves the test's thread to its own network namespace, with a matching /sys, or skips the
// test without the right to do so. The thread ends with the test.
func isolate(t *testing.T) {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
		t.Skip("needs the right to make namespaces: ", err)
	}
	require.NoError(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		t.Skip("needs the right to mount: ", err)
	}
	// Otherwise the kernel sends its own packets on each interface.
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0)
	up(t, "lo")
}

func up(t *testing.T, name string)   { setFlags(t, name, unix.IFF_UP) }
func down(t *testing.T, name string) { setFlags(t, name, 0) }

func setFlags(t *testing.T, name string, flags uint16) {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	require.NoError(t, err)
	defer unix.Close(s)
	ifr, err := unix.NewIfreq(name)
	require.NoError(t, err)
	ifr.SetUint16(flags)
	require.NoError(t, unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, ifr))
}

// device creates an interface that receives the frames written to the file: Ethernet frames if kind
// is IFF_TAP, IP packets if it is IFF_TUN. Closing the file removes it.
func device(t *testing.T, name string, kind uint16) *os.File {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip("needs network devices it may create: ", err)
	}
	f := os.NewFile(uintptr(fd), name)
	t.Cleanup(func() { f.Close() })
	ifr, err := unix.NewIfreq(name)
	require.NoError(t, err)
	ifr.SetUint16(kind | unix.IFF_NO_PI)
	require.NoError(t, unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr))
	up(t, name)
	return f
}

// frame returns a frame addressed to another host; n tells it from others.
func frame(n byte) []byte {
	return append([]byte{2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 8, 0}, strings.Repeat(string(rune('a'+n)), 46)...)
}

func live(t *testing.T, cfg LiveConfig) *Ring {
	r, err := Live(cfg)
	require.NoError(t, err)
	t.Cleanup(r.Close)
	return r
}

// passed returns the ring's frames until none arrives for a while. Their data is copied.
func passed(t *testing.T, r *Ring) (frames []packet.Frame) {
	for {
		f, err := r.Next()
		if err == ErrIdle {
			return frames
		}
		require.NoError(t, err)
		f.Data = append([]byte{}, f.Data...)
		frames = append(frames, f)
	}
}

func TestLive(t *testing.T) {
	isolate(t)
	tap := device(t, "tap", unix.IFF_TAP)
	flags := func() string {
		b, err := os.ReadFile("/sys/class/net/tap/flags")
		require.NoError(t, err)
		return strings.TrimSpace(string(b))
	}
	before := flags()
	r, err := Live(LiveConfig{Interface: "tap", Fanout: -1})
	require.NoError(t, err)
	assert.NotEqual(t, before, flags(), "the interface is promiscuous")
	began := time.Now()
	assert.Empty(t, passed(t, r))
	assert.Greater(t, time.Since(began), idleTime/2)

	tagged := append([]byte{2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x81, 0, 0, 5}, frame(0)[12:]...)
	whole := append(frame(0), make([]byte, 1400)...)
	for _, f := range [][]byte{frame(0), tagged, whole} {
		_, err = tap.Write(f)
		require.NoError(t, err)
	}
	frames := passed(t, r)
	require.Len(t, frames, 3)
	for i, want := range [][]byte{frame(0), tagged, whole} {
		assert.Equal(t, want, frames[i].Data)
		assert.Equal(t, len(want), frames[i].Wire)
		assert.Equal(t, layers.LinkTypeEthernet, frames[i].Link)
		assert.WithinDuration(t, time.Now(), frames[i].Time, 10*time.Second)
	}
	packets, dropped, err := r.Stats()
	assert.NoError(t, err)
	assert.EqualValues(t, 3, packets)
	assert.Zero(t, dropped)

	require.NoError(t, tap.Close())
	_, err = r.Next()
	assert.EqualError(t, err, "interface tap: is gone")
	r.Close()
	_, _, err = r.Stats()
	assert.ErrorContains(t, err, "interface tap: counting drops: ")
}

// Frames that the host sends are captured like those it receives.
func TestLiveSent(t *testing.T) {
	isolate(t)
	device(t, "tap", unix.IFF_TAP)
	r := live(t, LiveConfig{Interface: "tap", Fanout: -1})
	i, err := net.InterfaceByName("tap")
	require.NoError(t, err)
	s, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	require.NoError(t, err)
	defer unix.Close(s)
	require.NoError(t, unix.Sendto(s, frame(0), 0, &unix.SockaddrLinklayer{Ifindex: i.Index}))
	frames := passed(t, r)
	require.Len(t, frames, 1)
	assert.Equal(t, frame(0), frames[0].Data)
}

func TestLiveWithFilter(t *testing.T) {
	isolate(t)
	tap := device(t, "tap", unix.IFF_TAP)
	filter, err := ParseFilter("4,48 0 0 14,21 0 1 98,6 0 0 262144,6 0 0 0") // a b after the header
	require.NoError(t, err)
	r := live(t, LiveConfig{Interface: "tap", Filter: filter, Fanout: -1})
	for n := range byte(3) {
		_, err = tap.Write(frame(n))
		require.NoError(t, err)
	}
	frames := passed(t, r)
	require.Len(t, frames, 1)
	assert.Equal(t, frame(1), frames[0].Data)
}

// A packet that a host sends to itself is sent and received, but captured once.
func TestLiveLoopback(t *testing.T) {
	isolate(t)
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IP{127, 0, 0, 1}})
	require.NoError(t, err)
	defer c.Close()
	all := live(t, LiveConfig{Interface: "lo", Fanout: -1})
	// passes packets with a b after the UDP header
	filter, err := ParseFilter("4,48 0 0 42,21 0 1 98,6 0 0 262144,6 0 0 0")
	require.NoError(t, err)
	some := live(t, LiveConfig{Interface: "lo", Filter: filter, Fanout: -1})
	for _, text := range []string{"a", "b", strings.Repeat("b", 60_000)} {
		_, err = c.WriteTo([]byte(text), c.LocalAddr())
		require.NoError(t, err)
	}
	for r, lengths := range map[*Ring][]int{all: {43, 43, 60_042}, some: {43, 60_042}} {
		var got []int
		for _, f := range passed(t, r) {
			got = append(got, len(f.Data))
			assert.Equal(t, layers.LinkTypeEthernet, f.Link)
		}
		assert.Equal(t, lengths, got)
	}
}

// The rings of a group share the packets, and no connection is in two of them.
func TestLiveFanout(t *testing.T) {
	isolate(t)
	tun := device(t, "tun", unix.IFF_TUN)
	var rings []*Ring
	for range 2 {
		rings = append(rings, live(t, LiveConfig{Interface: "tun"})) // group 0
	}
	alone := live(t, LiveConfig{Interface: "tun", Fanout: -1})
	const flows = 100
	for n := range 2 * flows {
		ip := []byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, byte(n % flows), 10, 0, 1, 1}
		_, err := tun.Write(append(ip, 0, 9, 0, byte(n%flows), 0, 8, 0, 0))
		require.NoError(t, err)
	}
	ring, count := make(map[byte]int), make([]int, 2)
	for i, r := range rings {
		for _, f := range passed(t, r) {
			flow := f.Data[15]
			if other, ok := ring[flow]; ok {
				assert.Equal(t, other, i)
			}
			ring[flow] = i
			count[i]++
		}
	}
	assert.Equal(t, 2*flows, count[0]+count[1])
	assert.NotContains(t, count, 0)
	frames := passed(t, alone)
	assert.Len(t, frames, 2*flows)
	assert.Equal(t, layers.LinkTypeRaw, frames[0].Link)

	_, err := Live(LiveConfig{Interface: "lo", Fanout: 0})
	assert.ErrorContains(t, err, "interface lo: joining fanout group 0: ", "the group belongs to another interface")
}

// A ring has the requested size, rounded up, and counts the packets that do not fit.
func TestLiveBuffer(t *testing.T) {
	isolate(t)
	tap := device(t, "tap", unix.IFF_TAP)
	mapped := func() (size uint64) {
		maps, err := os.ReadFile("/proc/thread-self/maps")
		require.NoError(t, err)
		for line := range strings.Lines(string(maps)) {
			var from, to uint64
			if strings.Contains(line, "socket:") {
				_, err := fmt.Sscanf(line, "%x-%x", &from, &to)
				require.NoError(t, err)
				size += to - from
			}
		}
		return size
	}
	for buffer, size := range map[int]uint64{0: 2 << 20, 2<<20 + 1: 3 << 20, 3 << 20: 3 << 20} {
		r, err := Live(LiveConfig{Interface: "tap", Buffer: buffer, Fanout: -1})
		require.NoError(t, err)
		assert.Equal(t, size, mapped(), "%d bytes", buffer)
		r.Close()
		assert.Zero(t, mapped())
	}

	r := live(t, LiveConfig{Interface: "tap", Fanout: -1})
	const sent = 4000
	for range sent {
		_, err := tap.Write(append(frame(0), make([]byte, 1400)...))
		require.NoError(t, err)
	}
	packets, dropped, err := r.Stats()
	require.NoError(t, err)
	assert.EqualValues(t, sent, packets)
	assert.Positive(t, dropped)
	_, again, err := r.Stats()
	require.NoError(t, err)
	assert.Equal(t, dropped, again, "so far")
	assert.Equal(t, sent-int(dropped), len(passed(t, r)))
}

// A ring skips frames from before it was opened, but not for long if the system clock is set back.
func TestSystemClockSetBack(t *testing.T) {
	isolate(t)
	tap := device(t, "tap", unix.IFF_TAP)
	r := live(t, LiveConfig{Interface: "tap", Fanout: 7})
	r.opened = time.Now().Add(time.Hour)
	send := func() []packet.Frame {
		_, err := tap.Write(frame(0))
		require.NoError(t, err)
		return passed(t, r)
	}
	assert.Empty(t, send(), "as if from before")
	time.Sleep(joinTime)
	assert.Len(t, send(), 1)
	assert.Len(t, send(), 1)
}

// next returns the next error of a ring that is not a plain ErrIdle.
func next(t *testing.T, r *Ring) error {
	for range 50 {
		if _, err := r.Next(); err != ErrIdle {
			return err
		}
	}
	t.Fatal("only idle")
	return nil
}

func TestInterfaceGoesDownAndUp(t *testing.T) {
	isolate(t)
	tap := device(t, "tap", unix.IFF_TAP)
	r := live(t, LiveConfig{Interface: "tap", Fanout: 7})
	for i := range byte(3) {
		_, err := tap.Write(frame(i))
		require.NoError(t, err)
		assert.Len(t, passed(t, r), 1)
		r.joined = time.Now() // as after a second

		down(t, "tap")
		err = next(t, r)
		require.EqualError(t, err, "interface tap: is down: waiting until it is up")
		assert.ErrorIs(t, err, ErrIdle)
		assert.True(t, r.Down())
		began := time.Now()
		for range 3 {
			_, err = r.Next()
			assert.Equal(t, ErrIdle, err, "the reason is given once")
		}
		assert.Greater(t, time.Since(began), 3*idleTime, "it does not spin")

		up(t, "tap")
		err = next(t, r)
		require.EqualError(t, err, "interface tap: is up")
		assert.ErrorIs(t, err, ErrIdle)
		assert.False(t, r.Down())
		packets, dropped, err := r.Stats()
		require.NoError(t, err)
		assert.EqualValues(t, i+1, packets, "earlier rings count")
		assert.Zero(t, dropped)
	}
	down(t, "tap")
	require.ErrorIs(t, next(t, r), ErrIdle)
	require.NoError(t, tap.Close())
	assert.EqualError(t, next(t, r), "interface tap: is gone")
}

func TestInterfaceInitiallyDown(t *testing.T) {
	isolate(t)
	tap := device(t, "tap", unix.IFF_TAP)
	down(t, "tap")
	r := live(t, LiveConfig{Interface: "tap", Fanout: -1})
	require.EqualError(t, next(t, r), "interface tap: is down: waiting until it is up")
	up(t, "tap")
	require.EqualError(t, next(t, r), "interface tap: is up")
	_, err := tap.Write(frame(0))
	require.NoError(t, err)
	assert.Len(t, passed(t, r), 1)
}

// Frames have the link type of their interface; those of the loopback are captured once.
func TestAnyInterface(t *testing.T) {
	isolate(t)
	tap, tun := device(t, "tap", unix.IFF_TAP), device(t, "tun", unix.IFF_TUN)
	r := live(t, LiveConfig{Interface: "any", Fanout: 7})
	ip := append([]byte{0x45, 0, 0, 21, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2}, 'x')
	_, err := tap.Write(frame(0))
	require.NoError(t, err)
	_, err = tun.Write(ip)
	require.NoError(t, err)
	c, err := net.Dial("udp", "127.0.0.1:9")
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Write([]byte("to myself"))
	require.NoError(t, err)
	down(t, "tap")
	late := device(t, "late", unix.IFF_TAP)
	_, err = late.Write(frame(1))
	require.NoError(t, err)

	var got []string
	for _, f := range passed(t, r) {
		got = append(got, fmt.Sprint(f.Link, " ", string(f.Data[len(f.Data)-1:])))
	}
	// The reply to the datagram at the loopback is an ICMP error, which ends with the datagram.
	assert.ElementsMatch(t, []string{"Ethernet a", "Raw x", "Ethernet f", "Ethernet f", "Ethernet b"}, got)
	assert.Equal(t, unknownLink, r.link(1_000_000), "there is none")
}

func TestLinksAreBounded(t *testing.T) {
	r := &Ring{links: make(map[int]layers.LinkType)}
	for i := range 2*maxLinks + 1 {
		assert.Equal(t, unknownLink, r.link(-i), "no interface has that index")
		require.LessOrEqual(t, len(r.links), maxLinks)
		require.Contains(t, r.links, -i, "looked up once")
	}
}

func TestLiveErrors(t *testing.T) {
	isolate(t)
	filter, err := ParseFilter("1,0 0 0 1") // no return instruction
	require.NoError(t, err)
	most := strconv.Itoa(math.MaxInt)
	for want, cfg := range map[string]LiveConfig{
		"interface none: does not exist; there are lo, and any": {Interface: "none", Fanout: -1},
		"interface lo: setting the filter":                      {Interface: "lo", Filter: filter, Fanout: -1},
		"interface lo: a buffer of " + most + " bytes does not": {Interface: "lo", Buffer: math.MaxInt, Fanout: -1},
	} {
		r, err := Live(cfg)
		assert.ErrorContains(t, err, want)
		assert.Nil(t, r)
	}
}

// Linux uses ARP's hardware types.
func TestLinkTypes(t *testing.T) {
	isolate(t)
	require.NoError(t, unix.Mount("tmpfs", "/sys/class/net", "tmpfs", 0, ""))
	require.NoError(t, os.Mkdir("/sys/class/net/test", 0o700))
	file := filepath.Join("/sys/class/net/test", "type")
	types := map[int]layers.LinkType{
		1: layers.LinkTypeEthernet, 772: layers.LinkTypeEthernet, // the loopback
		512: layers.LinkTypeRaw, 768: layers.LinkTypeRaw, 769: layers.LinkTypeRaw, 776: layers.LinkTypeRaw, 778: layers.LinkTypeRaw,
		65534: layers.LinkTypeRaw, 801: layers.LinkTypeIEEE802_11, 803: layers.LinkTypeIEEE80211Radio,
	}
	i := &net.Interface{Name: "test"}
	_, err := linkType(i)
	assert.ErrorIs(t, err, os.ErrNotExist)
	for n := range 1 << 16 {
		if n > 1000 && n < 65_000 {
			continue // unassigned
		}
		require.NoError(t, os.WriteFile(file, fmt.Appendln(nil, n), 0o600))
		link, err := linkType(i)
		want, ok := types[n]
		if !ok {
			assert.EqualError(t, err, fmt.Sprintf("frames of hardware type %d are not supported", n))
		}
		assert.Equal(t, want, link)
	}
	require.NoError(t, os.WriteFile(file, []byte("ether"), 0o600))
	_, err = linkType(i)
	assert.ErrorContains(t, err, `"ether"`)
}
