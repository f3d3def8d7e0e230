package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"example.com/conn"
	"example.com/conn/analyzer/capture"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/packet"
	"example.com/conn/analyzer/packet/packettest"
	"example.com/conn/analyzer/panics"
	"example.com/conn/conntest"
)

// asAnalyzer names an environment variable that makes the test binary run the analyzer instead, for
// tests that need it in a process of its own. If a goroutine is left at the end or, with withHooks,
// a removal hook, the process says so and exits with statusLeft.
const (
	asAnalyzer = "RUN_AS_ANALYZER"
	plain      = "plain"
	withHooks  = "hooks" // no hook sets are shared then
	statusLeft = 3
)

func TestMain(m *testing.M) {
	mode := os.Getenv(asAnalyzer)
	if mode == "" {
		goleak.VerifyTestMain(m)
		return
	}
	var hooks processTB
	if mode == withHooks {
		conntest.VerifyRemoved(&hooks)
	}
	status := runMain()
	for _, f := range hooks.cleanups {
		f()
	}
	if err := goleak.Find(); err != nil {
		hooks.Errorf("%v", err)
	}
	if hooks.failed {
		status = statusLeft
	}
	os.Exit(status)
}

// A processTB is the testing.TB of a process that runs no test.
type processTB struct {
	testing.TB
	cleanups []func()
	failed   bool
}

func (p *processTB) Name() string              { return "the process" }
func (p *processTB) Helper()                   {}
func (p *processTB) Logf(string, ...any)       {}
func (p *processTB) Cleanup(f func())          { p.cleanups = append(p.cleanups, f) }
func (p *processTB) Errorf(f string, a ...any) { fmt.Fprintf(os.Stderr, f+"\n", a...); p.failed = true }

var update = flag.Bool("update", false, "rewrite testdata/*.golden")

// runWith runs the program, and checks that it removes every connection on which a parser
// registered a hook.
func runWith(t testing.TB, args ...string) (status int, stdout, stderr string) {
	conntest.VerifyRemoved(t)
	var out, errs bytes.Buffer
	status = run(context.Background(), args, &out, &errs)
	return status, out.String(), errs.String()
}

// program builds the analyzer.
func program(t *testing.T) string {
	name := filepath.Join(t.TempDir(), "analyzer.exe") // Windows requires the extension
	out, err := exec.Command("go", "build", "-o", name, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return name
}

// The output for the embedded capture equals the reviewed one, which go test -run Golden -update .
// rewrites.
func TestGoldenOutputOfDemo(t *testing.T) {
	for golden, args := range map[string][]string{"testdata/demo.golden": {"-json"}, "testdata/demonstration.golden": nil} {
		t.Run(filepath.Base(golden), func(t *testing.T) {
			status, got, stderr := runWith(t, args...)
			assert.Equal(t, 0, status)
			assert.Empty(t, stderr)
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o666))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			wantLines, gotLines := strings.Split(string(want), "\n"), strings.Split(got, "\n")
			for i := range min(len(wantLines), len(gotLines)) {
				require.Equal(t, wantLines[i], gotLines[i], "line %d", i+1)
			}
			assert.Len(t, gotLines, len(wantLines))
		})
	}
}

// All rows of a connection have its uid, and every connection has one row in conn.log.
func TestRowsShareUID(t *testing.T) {
	_, out, _ := runWith(t, "-json")
	conns := make(map[string]string)
	type row struct {
		Path  string  `json:"_path"`
		UID   string  `json:"uid"`
		OrigH string  `json:"id.orig_h"`
		OrigP float64 `json:"id.orig_p"`
	}
	var others []row
	for line := range strings.Lines(out) {
		var r row
		require.NoError(t, json.Unmarshal([]byte(line), &r))
		switch r.Path {
		case "conn":
			assert.NotContains(t, conns, r.UID)
			conns[r.UID] = r.OrigH
		case "stats", "weird":
		default:
			others = append(others, r)
		}
	}
	paths := make(map[string]bool)
	for _, r := range others {
		assert.Equal(t, conns[r.UID], r.OrigH)
		paths[r.Path] = true
	}
	for _, path := range []string{"dns", "ftp", "http", "smtp", "ssh", "ssl"} {
		assert.True(t, paths[path], path)
	}
}

// The number of workers affects only the order of rows.
func TestWorkersAgree(t *testing.T) {
	sorted := func(workers string) []string {
		status, out, _ := runWith(t, "-json", "-workers", workers)
		require.Equal(t, 0, status)
		return slices.Sorted(strings.Lines(out))
	}
	want := sorted("1")
	assert.Equal(t, want, sorted("2"))
	assert.Equal(t, want, sorted("7"))
}

// A worker that gets no packets for long still follows the clock: its timeouts, and the time when
// it gets a packet again, are the same as with one worker. Here the capture's clock steps back in
// between.
func TestWorkersShareTheClock(t *testing.T) {
	var b bytes.Buffer
	w := pcapgo.NewWriter(&b)
	require.NoError(t, w.WriteFileHeader(65535, layers.LinkTypeRaw))
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	send := func(at time.Duration, host byte) {
		ip := layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: net.IP{192, 0, 2, host}, DstIP: net.IP{198, 51, 100, 1}}
		udp := layers.UDP{SrcPort: 1000, DstPort: 9}
		require.NoError(t, udp.SetNetworkLayerForChecksum(&ip))
		buf := gopacket.NewSerializeBuffer()
		opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
		require.NoError(t, gopacket.SerializeLayers(buf, opts, &ip, &udp, gopacket.Payload("x")))
		n := len(buf.Bytes())
		require.NoError(t, w.WritePacket(gopacket.CaptureInfo{Timestamp: start.Add(at), CaptureLength: n, Length: n}, buf.Bytes()))
	}
	for host := range byte(50) {
		send(0, host)
	}
	for host := range byte(4) { // later than all those that follow, and too many to be wrong
		send(50*time.Second, 100+host)
	}
	for host := range byte(50) {
		send(time.Second, host)
	}
	// a minute after the first ones, but less after the clock when the second ones came
	for host := range byte(50) {
		send(90*time.Second, host)
	}
	file := write(t, b.Bytes())
	var want []string
	for _, workers := range []string{"1", "2", "7"} {
		status, out, _ := runWith(t, "-workers", workers, file)
		require.Equal(t, 0, status)
		got := slices.Sorted(strings.Lines(out))
		if want == nil {
			want = got
		}
		assert.Equal(t, want, got, "%s workers", workers)
	}
	assert.Len(t, want, 50+4+1, "each host's three packets are one connection")
}

func TestWorkersDivideTheLimits(t *testing.T) {
	for _, tt := range []struct{ workers, max, want int }{{1, 1, 1}, {2, 1, 1}, {2, 6, 3}} {
		t.Run(fmt.Sprintf("%d connections, %d workers", tt.max, tt.workers), func(t *testing.T) {
			cfg := defaults().flow
			cfg.MaxConnections = tt.max
			a := newAnalysis(tt.workers, cfg, logs.NewOutput(io.Discard, nil))
			for _, w := range a.workers {
				for host := range byte(10) {
					w.table.Packet(&packet.Packet{
						Src: netip.AddrFrom4([4]byte{192, 0, 2, host}), Dst: netip.AddrFrom4([4]byte{198, 51, 100, 1}), Proto: conn.SCTP,
					})
				}
				assert.Equal(t, tt.want, w.table.Len())
			}
		})
	}
	t.Run("memory", func(t *testing.T) {
		cfg := defaults().flow
		cfg.MaxTotal, cfg.IgnoreChecksums = 1000, true
		a := newAnalysis(2, cfg, logs.NewOutput(io.Discard, nil))
		table := a.workers[0].table
		send := func(host byte, reply bool, flags byte, seq, ack uint32, payload int) {
			p := &packet.Packet{Src: netip.AddrFrom4([4]byte{192, 0, 2, host}), Dst: netip.AddrFrom4([4]byte{198, 51, 100, 1}), Proto: conn.TCP}
			if reply {
				p.Src, p.Dst = p.Dst, p.Src
			}
			p.Payload = make([]byte, 20+payload)
			binary.BigEndian.PutUint32(p.Payload[4:], seq)
			binary.BigEndian.PutUint32(p.Payload[8:], ack)
			p.Payload[12], p.Payload[13] = 5<<4, flags
			p.Length = len(p.Payload)
			table.Packet(p)
		}
		for host := range byte(2) {
			const syn, ack = 0x02, 0x10
			send(host, false, syn, 0, 0, 0)
			send(host, true, syn|ack, 0, 1, 0)
			send(host, false, ack, 1, 1, 0)
			send(host, false, ack, 1000, 1, 300) // held until what is before it arrives
			assert.Greater(t, table.Held(), 300)
			assert.LessOrEqual(t, table.Held(), 500)
		}
	})
}

// Logs of captures analyzed separately can be merged: a connection has the same UID however its
// capture is analyzed.
func TestUIDsAgree(t *testing.T) {
	file := write(t, demo)
	_, alone, _ := runWith(t, file)
	_, twice, _ := runWith(t, "/nonexistent/file", file)
	_, workers, _ := runWith(t, "-workers", "3", file)
	uids := func(out string) (uids []string) {
		for _, m := range regexp.MustCompile(`"uid":"(\w+)"`).FindAllStringSubmatch(out, -1) {
			uids = append(uids, m[1])
		}
		slices.Sort(uids)
		return slices.Compact(uids)
	}
	assert.Greater(t, len(uids(alone)), 100)
	assert.Equal(t, uids(alone), uids(twice))
	assert.Equal(t, uids(alone), uids(workers))
}

// Compares the logs with Zeek's own, where those are available.
func TestCompareWithZeek(t *testing.T) {
	const tool, traces = "../../shared/tools/compare_zeek", "../../shared/traces"
	if _, err := os.Stat(tool); err != nil {
		t.Skipf("no traces with Zeek's logs here: %v", err)
	}
	out, err := exec.Command(tool, traces, "-q", "--", program(t), "-C").CombinedOutput()
	require.NoError(t, err, string(out))
	t.Logf("%s", out)
	share := func(pattern string) string {
		m := regexp.MustCompile(`(?m)^` + pattern).FindSubmatch(out)
		require.NotNil(t, m, "%s in\n%s", pattern, out)
		return string(m[1])
	}
	for pattern, least := range map[string]float64{
		`all: ([0-9.]+)% of Zeek's rows`:             98,
		`all: .*, ([0-9.]+)% of its own rows`:        98,
		`traces: .* with the same rows \(([0-9.]+)%`: 95,
		`conn\+: .* of Zeek's rows \(([0-9.]+)%`:     95,
	} {
		var got float64
		require.NoError(t, json.Unmarshal([]byte(share(pattern)), &got))
		assert.GreaterOrEqual(t, got, least, pattern)
	}
}

// Without -local, the local networks are those of package flow: more than the private networks
// proper.
func TestLocalNetworks(t *testing.T) {
	assert.Nil(t, defaults().flow.Local)
	o, err := parse([]string{"-local", "192.0.2.7/24,2001:db8::/32"}, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}, o.flow.Local)
}

func TestOutputFolderHasFileForEachLog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	_, together, _ := runWith(t, "-json")
	status, out, _ := runWith(t, "-o", dir)
	assert.Equal(t, 0, status)
	assert.Empty(t, out)
	var apart []string
	for _, path := range []string{"conn", "dns", "ftp", "http", "smtp", "ssh", "ssl", "stats", "weird"} {
		b, err := os.ReadFile(filepath.Join(dir, path+".log"))
		require.NoError(t, err)
		for line := range strings.Lines(string(b)) {
			assert.Contains(t, line, `{"_path":"`+path+`"`)
			apart = append(apart, line)
		}
	}
	assert.ElementsMatch(t, slices.Collect(strings.Lines(together)), apart)
}

func write(t *testing.T, data []byte) string {
	name := filepath.Join(t.TempDir(), "capture")
	require.NoError(t, os.WriteFile(name, data, 0o666))
	return name
}

func zipped(t *testing.T, data []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(data)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.Bytes()
}

// asPcapng returns the demo capture in pcapng format.
func asPcapng(t testing.TB) []byte {
	r, err := pcapgo.NewReader(bytes.NewReader(demo))
	require.NoError(t, err)
	var b bytes.Buffer
	w, err := pcapgo.NewNgWriter(&b, r.LinkType())
	require.NoError(t, err)
	for {
		data, ci, err := r.ReadPacketData()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		ci.InterfaceIndex = 0
		require.NoError(t, w.WritePacket(ci, data))
	}
	require.NoError(t, w.Flush())
	return b.Bytes()
}

func TestFormats(t *testing.T) {
	_, want, _ := runWith(t, "-json")
	for name, data := range map[string][]byte{
		"pcap": demo, "pcap.gz": zipped(t, demo), "pcapng": asPcapng(t), "pcapng.gz": zipped(t, asPcapng(t)),
	} {
		status, got, stderr := runWith(t, write(t, data))
		assert.Equal(t, 0, status, name)
		assert.Empty(t, stderr, name)
		assert.Equal(t, want, got, name)
	}
}

func TestStandardInput(t *testing.T) {
	_, want, _ := runWith(t, "-json")
	for name, data := range map[string][]byte{"pcap": demo, "pcapng.gz": zipped(t, asPcapng(t))} {
		t.Run(name, func(t *testing.T) {
			r, w, err := os.Pipe()
			require.NoError(t, err)
			old := os.Stdin
			os.Stdin = r
			defer func() { os.Stdin = old }()
			go func() { // a pause does not advance the capture's clock
				_, _ = w.Write(data[:len(data)/2])
				time.Sleep(500 * time.Millisecond)
				_, _ = w.Write(data[len(data)/2:])
				w.Close()
			}()
			status, got, stderr := runWith(t, "-")
			assert.Equal(t, 0, status)
			assert.Empty(t, stderr)
			assert.ElementsMatch(t, slices.Collect(strings.Lines(want)), slices.Collect(strings.Lines(got)))
		})
	}
}

// An input error is one line that names the input, and everything readable is logged.
func TestBadInput(t *testing.T) {
	random := bytes.Repeat([]byte{0x17, 0x93, 0xe2, 0x5c}, 100)
	header := demo[:24]
	header50 := 24 // where the 50th frame begins
	for range 49 {
		header50 += 16 + int(binary.LittleEndian.Uint32(demo[header50+8:]))
	}
	for name, c := range map[string]struct {
		data   []byte
		want   string
		opened bool
		conns  bool
	}{
		"empty":                       {nil, "is empty", false, false},
		"random bytes":                {random, "neither a pcap nor a pcapng capture", false, false},
		"short":                       {demo[:10], "neither a pcap nor a pcapng capture", false, false},
		"cut in a packet":             {demo[:len(demo)-5], "ends in the middle of frame", true, true},
		"cut in a header":             {demo[:header50+7], "ends in the middle of frame 50", true, true},
		"cut after a header":          {demo[:header50+16], "ends in the middle of frame 50", true, true},
		"packet of a gigabyte":        {append(slices.Clone(header), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0, 64), "frame 1: ", true, false},
		"cut gzip":                    {zipped(t, demo)[:50_000], "ends in the middle of frame", true, true},
		"gzip of nothing":             {zipped(t, nil), "is empty", false, false},
		"invalid gzip header":         {[]byte{0x1f, 0x8b, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, "gzip", false, false},
		"pcapng cut in a packet":      {asPcapng(t)[:100_001], "ends in the middle of frame", true, true},
		"pcapng without an interface": {asPcapng(t)[:28], "pcapng", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			file := write(t, c.data)
			status, out, stderr := runWith(t, file)
			assert.Equal(t, 1, status)
			assert.Contains(t, stderr, file)
			assert.Contains(t, stderr, c.want)
			assert.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
			assert.Equal(t, c.conns, strings.Contains(out, `{"_path":"conn"`))
			assert.Equal(t, c.opened, strings.Contains(out, `{"_path":"stats"`))
		})
	}
	for _, c := range []struct{ args, want []string }{
		{[]string{"/nonexistent/file"}, []string{"/nonexistent/file", "no such file"}},
		{[]string{os.TempDir()}, []string{os.TempDir(), "directory"}},
		{[]string{"-i", "nonexistent0"}, []string{"nonexistent0"}},
		{[]string{"-o", "/dev/null/x", "-"}, []string{"/dev/null"}},
	} {
		status, out, stderr := runWith(t, c.args...)
		assert.Equal(t, 1, status)
		assert.Empty(t, out)
		for _, want := range c.want {
			assert.Contains(t, stderr, want)
		}
		assert.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
	}
}

// Frames of an unknown link type do not end the run: they are counted, and reported once.
func TestUnknownLinkTypeIsSkipped(t *testing.T) {
	strange := slices.Clone(demo)
	strange[20] = 147
	status, out, stderr := runWith(t, write(t, strange), write(t, demo))
	assert.Equal(t, 0, status)
	assert.Empty(t, stderr)
	assert.Equal(t, 184, strings.Count(out, `{"_path":"conn"`), "connections of the other file")
	assert.Equal(t, 1, strings.Count(out, `"addl":"link type 0x93"`))
	assert.Contains(t, out, `"decode_errors":1811,`)
}

// A host that leaves checksums to its network card is reported once, however many workers there are.
func TestOffloadingIsReportedOnce(t *testing.T) {
	damaged := slices.Clone(demo)
	for at := 24; at < len(damaged); { // the last byte of each frame
		at += 16 + int(binary.LittleEndian.Uint32(damaged[at+8:]))
		damaged[at-1]++
	}
	status, _, stderr := runWith(t, "-workers", "4", write(t, damaged))
	assert.Equal(t, 0, status)
	assert.Contains(t, stderr, "use -C to accept them")
	assert.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
}

// A cut anywhere in a capture, except between two frames, is reported.
func TestEveryCutIsNoticed(t *testing.T) {
	for name, data := range map[string][]byte{"pcap": demo, "pcapng": asPcapng(t)} {
		clean := 0
		for n := 200; n < 1000; n++ {
			s, err := capture.FromBytes(name, data[:n])
			require.NoError(t, err)
			for err == nil {
				_, err = s.Next()
			}
			if err == io.EOF {
				clean++
			}
		}
		assert.Less(t, clean, 10, name)
	}
}

func TestReadingTicks(t *testing.T) {
	a := newAnalysis(1, defaults().flow, logs.NewOutput(io.Discard, nil))
	a.start()
	s, err := capture.FromBytes("demo", demo)
	require.NoError(t, err)
	ticks := 0
	require.NoError(t, a.read(context.Background(), s, func() { ticks++ }))
	a.finish()
	assert.Equal(t, 3, ticks, "at each of the first two frames, as one waits for the other, and after 1024 of 1811")
}

func TestProgressIsShownOnTerminal(t *testing.T) {
	s, err := capture.FromBytes("demo", demo)
	require.NoError(t, err)
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	require.NoError(t, err)
	defer file.Close()
	assert.Nil(t, newProgress(&lockedWriter{w: file}, s).w, "no terminal")
	device, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer device.Close()
	assert.NotNil(t, newProgress(&lockedWriter{w: device}, s).w, "a device, like a terminal")

	for s.Progress() < 0.5 {
		_, err = s.Next()
		require.NoError(t, err)
	}
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		shown := func() string {
			text := b.String()
			b.Reset()
			return text
		}
		p := newProgress(&lockedWriter{w: device}, s)
		p.w = &b
		p.done()
		assert.Empty(t, shown(), "nothing to clear")
		time.Sleep(time.Second)
		p.tick()
		assert.Empty(t, shown(), "too early")
		time.Sleep(time.Nanosecond)
		p.tick()
		assert.Regexp(t, `^\r [5-9]\d %$`, shown())
		time.Sleep(200 * time.Millisecond)
		p.tick()
		assert.Empty(t, shown(), "too soon")
		time.Sleep(time.Nanosecond)
		p.tick()
		assert.NotEmpty(t, shown())
		p.done()
		assert.Equal(t, "\r     \r", shown())
	})
}

func TestBadFileDoesNotStopTheNext(t *testing.T) {
	_, want, _ := runWith(t, "-json")
	status, got, _ := runWith(t, "/nonexistent/file", write(t, demo))
	assert.Equal(t, 1, status)
	assert.Equal(t, want, got)
}

func TestWrongCommandLine(t *testing.T) {
	for _, args := range [][]string{{"-workers", "0"}, {"-workers", "1025"}, {"-max-connections", "0"}, {"-max-buffered", "0"}, {"-max-total", "0"},
		{"-tcp-timeout", "-5s"}, {"-udp-timeout", "0"}, {"-i", ""}, {"-i", "x", "y"}, {"-stats", "1ms"}, {"-i", "any", "-filter", "1,6 0 0 1"}, {"-nonsense"}, {"-o"}} {
		status, out, stderr := runWith(t, args...)
		assert.Equal(t, 2, status)
		assert.Empty(t, out)
		assert.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
	}
}

// Package flag would repeat the error on standard error, with all flags.
func TestWrongCommandLineIsReportedOnce(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	require.NoError(t, err)
	defer file.Close()
	old := os.Stderr
	os.Stderr = file
	defer func() { os.Stderr = old }()
	_, err = parse([]string{"-nonsense"}, io.Discard)
	assert.ErrorContains(t, err, "-nonsense")
	text, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	assert.Empty(t, text)
}

func TestBoundsOfFlags(t *testing.T) {
	for _, tt := range []struct{ flag, accepted, rejected string }{
		{"-workers", "1", "0"},
		{"-workers", "1024", "1025"},
		{"-max-connections", "1", "0"},
		{"-max-buffered", "1", "0"},
		{"-max-total", "1", "0"},
		{"-tcp-timeout", "1ns", "0s"},
		{"-udp-timeout", "1ns", "0s"},
		{"-attempt-timeout", "1ns", "0s"},
		{"-close-timeout", "1ns", "0s"},
		{"-fanout", "-1", "-2"},
		{"-fanout", "65535", "65536"},
		{"-buffer", "1", "0"},
		{"-stats", "0s", "-1s"},
		{"-stats", "1s", "999ms"},
		{"-rotate", "0s", "-1s"},
		{"-rotate", "1s", "999ms"},
	} {
		t.Run(tt.flag+" "+tt.accepted, func(t *testing.T) {
			_, err := parse([]string{"-o", "logs", tt.flag, tt.accepted}, io.Discard)
			assert.NoError(t, err)
			_, err = parse([]string{"-o", "logs", tt.flag, tt.rejected}, io.Discard)
			assert.Error(t, err, tt.rejected)
		})
	}
	_, err := parse([]string{"-rotate", "1s"}, io.Discard)
	assert.EqualError(t, err, "-rotate needs -o and at least one second")
}

func TestHelpHasExampleForEachFlag(t *testing.T) {
	status, out, stderr := runWith(t, "-h")
	assert.Equal(t, 0, status)
	assert.Empty(t, out)
	for _, name := range regexp.MustCompile(`(?m)^  -(\S+)`).FindAllStringSubmatch(stderr, -1) {
		assert.Contains(t, examples[name[1]], "analyzer -"+name[1]+" ")
		assert.Contains(t, stderr, examples[name[1]])
	}
	assert.Equal(t, len(examples), strings.Count(stderr, "example: "))
	assert.True(t, strings.HasPrefix(stderr, "usage: analyzer "))
	assert.Contains(t, stderr, "idle for TIME (default 5m0s)\n")
	assert.NotContains(t, stderr, "(default )")
}

// An interrupt while the input is silent ends the program with all connections removed.
func TestInterruptRemovesConnections(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	old := os.Stdin
	os.Stdin = r
	defer func() { os.Stdin = old }()
	defer w.Close()
	_, err = w.Write(demo[:60_000]) // ends in the middle of a packet, and never continues
	require.NoError(t, err)
	ctx, interrupt := context.WithCancel(context.Background())
	time.AfterFunc(500*time.Millisecond, interrupt)
	var out, stderr bytes.Buffer
	assert.Equal(t, 0, run(ctx, []string{"-"}, &out, &stderr))
	assert.Empty(t, stderr.String())
	var stats statsRow
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &stats))
	assert.Greater(t, stats.Connections, 10)
	assert.Equal(t, stats.Connections, stats.Removed)
}

// pipe makes a named pipe.
func pipe(t *testing.T) (name string) {
	name = filepath.Join(t.TempDir(), "pipe")
	if err := exec.Command("mkfifo", name).Run(); err != nil {
		t.Skip("no mkfifo: ", err)
	}
	return name
}

func TestNamedPipe(t *testing.T) {
	name := pipe(t)
	go func() { _ = os.WriteFile(name, demo, 0o666) }()
	var out, stderr bytes.Buffer
	assert.Equal(t, 0, run(context.Background(), []string{name}, &out, &stderr))
	assert.Empty(t, stderr.String())
	assert.Contains(t, out.String(), `"_path":"http"`)
}

// An interrupt ends the program, with all rows so far, even while it waits for a pipe without a
// writer.
func TestInterruptBeforePipeIsWritten(t *testing.T) {
	capture := filepath.Join(t.TempDir(), "demo.pcapng")
	require.NoError(t, os.WriteFile(capture, demo, 0o666))
	ctx, interrupt := context.WithCancel(context.Background())
	time.AfterFunc(500*time.Millisecond, interrupt)
	var out, stderr bytes.Buffer
	name := pipe(t)
	assert.Equal(t, 0, run(ctx, []string{capture, name}, &out, &stderr))
	// nothing else ends the goroutine that opens the pipe
	require.NoError(t, os.WriteFile(name, nil, 0))
	assert.Empty(t, stderr.String())
	assert.Contains(t, out.String(), `"_path":"http"`)
	assert.Contains(t, out.String(), `"_path":"stats"`)
}

// brokenWriter fails from some write on, like a full disk.
type brokenWriter struct{ left int }

func (w *brokenWriter) Write(b []byte) (int, error) {
	if w.left--; w.left < 0 {
		return 0, errors.New("no space left on device")
	}
	return len(b), nil
}

// A failing write is reported at once and ends the run, with all connections removed.
func TestFailingOutputEndsTheRun(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	old := os.Stdin
	os.Stdin = r
	defer func() { os.Stdin = old }()
	defer w.Close() // the input stays open during the test
	go func() { _, _ = w.Write(demo[:len(demo)-5]) }()
	var stderr bytes.Buffer
	assert.Equal(t, 1, run(context.Background(), []string{"-"}, &brokenWriter{}, &stderr))
	assert.Equal(t, "analyzer: writing logs: no space left on device\n", stderr.String())

	out := logs.NewOutput(&brokenWriter{left: 1}, nil)
	stats, _ := analyzeTo(t, out, demo, 1)
	assert.Equal(t, stats.Connections, stats.Removed)
	assert.ErrorContains(t, out.Close(), "no space")
}

// Runs the program itself, without a test's writer: a closed pipe is an error like any other.
func TestClosedPipeIsAnError(t *testing.T) {
	cmd := exec.Command(program(t), "-json")
	r, w, err := os.Pipe()
	require.NoError(t, err)
	r.Close()
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = w, &stderr
	require.Error(t, cmd.Run())
	assert.Equal(t, 1, cmd.ProcessState.ExitCode())
	assert.Contains(t, stderr.String(), "writing logs: ")
}

func TestRotateBeginsNewFiles(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	old := os.Stdin
	os.Stdin = r
	defer func() { os.Stdin = old }()
	dir := t.TempDir()
	go func() {
		_, _ = w.Write(demo[:len(demo)/2])
		time.Sleep(1500 * time.Millisecond)
		_, _ = w.Write(demo[len(demo)/2:])
		w.Close()
	}()
	status, _, stderr := runWith(t, "-o", dir, "-rotate", "1s", "-")
	assert.Equal(t, 0, status, stderr)
	_, want, _ := runWith(t, "-json")
	var got []string
	parts, err := filepath.Glob(filepath.Join(dir, "*.log"))
	require.NoError(t, err)
	rotated := regexp.MustCompile(`^conn\.\d{8}T\d{6}\.\d{3}Z\.log$`)
	assert.True(t, slices.ContainsFunc(parts, func(p string) bool { return rotated.MatchString(filepath.Base(p)) }), parts)
	for _, part := range parts {
		b, err := os.ReadFile(part)
		require.NoError(t, err)
		got = slices.AppendSeq(got, strings.Lines(string(b)))
	}
	assert.ElementsMatch(t, slices.Collect(strings.Lines(want)), got)
}

// FuzzPackets analyzes frames of arbitrary bytes, all the way to logs. No parser may panic, every
// connection must be removed, every hook must run or be unregistered, and every row must be JSON.
func FuzzPackets(f *testing.F) {
	for _, seed := range conversations(f) {
		f.Add(uint16(layers.LinkTypeEthernet), seed)
	}
	f.Add(uint16(layers.LinkTypeRaw), []byte{0, 20, 0x45, 0, 0, 20})
	for link, frame := range packettest.Seeds() {
		if len(frame) < 1<<11 {
			f.Add(uint16(link), append([]byte{byte(len(frame) >> 8), byte(len(frame))}, frame...))
		}
	}
	f.Fuzz(func(t *testing.T, link uint16, data []byte) {
		var frames []packet.Frame
		at := time.Unix(1e9, 0)
		// two bytes with the length, and a pause in the highest five bits; then the frame
		for len(data) >= 2 {
			n, pause := int(data[0]&7)<<8|int(data[1]), data[0]>>3
			n = min(n, len(data)-2)
			at = at.Add(time.Millisecond << pause)
			frames = append(frames, packet.Frame{Data: data[2 : 2+n], Time: at, Link: layers.LinkType(link), Wire: n})
			data = data[2+n:]
		}
		w, out, stderr := analyze(t, func(w *worker) {
			for _, f := range frames {
				f.Now = w.table.Advance(f.Time)
				w.decode(f, w)
			}
		})
		assertOrderly(t, w, out, stderr)
	})
}

// FuzzCaptures analyzes capture files of arbitrary bytes, all the way to logs.
func FuzzCaptures(f *testing.F) {
	f.Add(demo[:2000])
	f.Add(asPcapng(f)[:2000])
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := capture.FromBytes("fuzz", data)
		if err != nil {
			return
		}
		w, out, stderr := analyze(t, func(w *worker) {
			for {
				f, err := s.Next()
				if err != nil {
					return
				}
				f.Now = w.table.Advance(f.Time)
				w.decode(f, w)
			}
		})
		assertOrderly(t, w, out, stderr)
	})
}

// assertOrderly checks everything that must hold after any input.
func assertOrderly(t *testing.T, w *worker, out, stderr string) {
	stats := w.table.Stats
	assert.Zero(t, stats.Panics, stderr)
	assert.Equal(t, stats.Connections, stats.Removed)
	conns := 0
	for line := range strings.Lines(out) {
		var row struct {
			Path string `json:"_path"`
			UID  string `json:"uid"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &row), line)
		if row.Path == "conn" {
			conns++
		}
		if row.Path != "weird" { // which may have no connection
			assert.NotEmpty(t, row.UID)
		}
	}
	assert.Equal(t, stats.Removed, conns)
}

// analyze runs a worker on the frames from feed, in the caller's goroutine: for fuzzing, every run
// of an input must be the same.
func analyze(t testing.TB, feed func(w *worker)) (w *worker, stdout, stderr string) {
	conntest.VerifyRemoved(t)
	var rows, errs bytes.Buffer
	cfg := defaults().flow
	cfg.Errors, cfg.Panics = &errs, panics.NewReporter(&errs)
	cfg.IgnoreChecksums = true // otherwise hardly any mutated packet would be followed
	w = newWorker(cfg, logs.NewOutput(&rows, nil))
	feed(w)
	w.end()
	return w, rows.String(), errs.String()
}

// conversations returns the short connections of the demo capture, encoded for FuzzPackets.
func conversations(t testing.TB) [][]byte {
	r, err := pcapgo.NewReader(bytes.NewReader(demo))
	require.NoError(t, err)
	byFlow := make(map[uint64][]byte)
	var order []uint64
	for {
		data, ci, err := r.ReadPacketData()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		p := gopacket.NewPacket(data, r.LinkType(), gopacket.Default)
		if len(data) >= 1<<11 || p.TransportLayer() == nil || ci.CaptureLength != ci.Length {
			continue
		}
		id := p.NetworkLayer().NetworkFlow().FastHash() ^ p.TransportLayer().TransportFlow().FastHash()
		if byFlow[id] == nil {
			order = append(order, id)
		}
		byFlow[id] = append(append(byFlow[id], byte(len(data)>>8), byte(len(data))), data...)
	}
	var seeds [][]byte
	for _, id := range order {
		if len(byFlow[id]) < 6000 {
			seeds = append(seeds, byFlow[id])
		}
	}
	require.NotEmpty(t, seeds)
	return seeds
}
