package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn"
	"example.com/conn/analyzer/capture"
	"example.com/conn/analyzer/flow"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/packet"
	"example.com/conn/analyzer/protocol"
	"example.com/conn/conntest"
)

// A trap is a parser that panics where the data of a connection tells it to. Its hook logs a row.
type trap struct {
	owner   protocol.Owner
	follow  bool // the next call of Name, which the flow table does not guard, panics
	hooked  func(*conn.Connection) bool
	trapped func(*conn.Connection) bool
}

type trapRow struct{ logs.Header }

func newTrap(o protocol.Owner) protocol.Parser {
	p := &trap{owner: o}
	p.hooked = func(c *conn.Connection) bool {
		p.owner.Log(&trapRow{logs.NewHeader("trap", c, c.Start)})
		return true
	}
	p.trapped = func(*conn.Connection) bool { panic("trapped in a hook") }
	return p
}

func (p *trap) Name() string {
	if p.follow {
		p.follow = false
		panic("trapped while the packet is followed")
	}
	return "trap"
}

func (p *trap) Transport() conn.Proto { return conn.TCP }
func (p *trap) Ports() []uint16       { return nil }

func (p *trap) Match(orig, _ []byte) protocol.Verdict {
	if string(orig) == "match" {
		panic("trapped in Match")
	}
	p.follow = string(orig) == "follow"
	return protocol.Yes
}

func (p *trap) Data(c *conn.Connection, _ protocol.Packet, data []byte) (int, protocol.Next) {
	switch string(data) {
	case "parse":
		panic("trapped in Data")
	case "hook":
		conn.Register(c, p.trapped)
	}
	p.owner.Confirm(c)
	conn.Register(c, p.hooked)
	return len(data), protocol.More
}

func (p *trap) Gap(*conn.Connection, protocol.Packet, int) protocol.Next { return protocol.More }
func (p *trap) End(*conn.Connection, protocol.Packet)                    {}
func (p *trap) MemoryUsed(*conn.Connection) int                          { return 0 }
func (p *trap) FreeMemory(*conn.Connection)                              {}

// A tape is a capture built frame by frame.
type tape struct {
	t      testing.TB
	b      bytes.Buffer
	w      *pcapgo.Writer
	frames int
	at     time.Time
}

func newTape(t testing.TB, link layers.LinkType) *tape {
	c := &tape{t: t, at: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	c.w = pcapgo.NewWriter(&c.b)
	require.NoError(t, c.w.WriteFileHeader(65535, link))
	return c
}

func (c *tape) frame(ls ...gopacket.SerializableLayer) {
	buf := gopacket.NewSerializeBuffer()
	require.NoError(c.t, gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ls...))
	n := len(buf.Bytes())
	require.NoError(c.t, c.w.WritePacket(gopacket.CaptureInfo{Timestamp: c.at, CaptureLength: n, Length: n}, buf.Bytes()))
	c.frames++
}

// say makes a host connect and send data. The data is in the third of three frames.
func (c *tape) say(host byte, data string) {
	client, server := net.IP{192, 0, 2, host}, net.IP{198, 51, 100, 1}
	tcp := func(src, dst net.IP, l *layers.TCP, data string) {
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: src, DstIP: dst}
		l.Window = 1000
		require.NoError(c.t, l.SetNetworkLayerForChecksum(ip))
		c.frame(ip, l, gopacket.Payload(data))
	}
	tcp(client, server, &layers.TCP{SrcPort: 1000, DstPort: 7000, Seq: 100, SYN: true}, "")
	tcp(server, client, &layers.TCP{SrcPort: 7000, DstPort: 1000, Seq: 500, Ack: 101, SYN: true, ACK: true}, "")
	tcp(client, server, &layers.TCP{SrcPort: 1000, DstPort: 7000, Seq: 101, Ack: 501, ACK: true}, data)
}

// tunnelled is a packet in VXLAN.
func (c *tape) tunnelled(host byte) {
	ip := func(network byte) *layers.IPv4 {
		return &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP,
			SrcIP: net.IP{network, 0, 0, host}, DstIP: net.IP{network, 0, 0, 254}}
	}
	udp := func(ip *layers.IPv4, port layers.UDPPort) *layers.UDP {
		l := &layers.UDP{SrcPort: 9, DstPort: port}
		require.NoError(c.t, l.SetNetworkLayerForChecksum(ip))
		return l
	}
	outer, inner := ip(10), ip(11)
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	c.frame(outer, udp(outer, 4789), &layers.VXLAN{ValidIDFlag: true},
		&layers.Ethernet{SrcMAC: mac, DstMAC: mac, EthernetType: layers.EthernetTypeIPv4}, inner, udp(inner, 9))
}

// A panic anywhere costs only its packet, or the parser or hook that panicked. All other
// connections keep their parsers and rows, and all hooks run.
func TestPanicLosesOnlyItsPacket(t *testing.T) {
	const hosts = 20
	for name, c := range map[string]struct {
		conns, services, rows, panics int
		lost                          int  // packets
		noServers                     bool // the reader's decoder panics on every tunnel
		text                          string
	}{
		"decode":  {conns: hosts, services: hosts, rows: hosts, panics: 2, lost: 2, noServers: true, text: "nil pointer"},
		"follow":  {conns: hosts + 2, services: hosts, rows: hosts, panics: 2, lost: 2, text: "trapped while the packet is followed"},
		"match":   {conns: hosts + 2, services: hosts, rows: hosts, panics: 2, text: "trapped in Match"},
		"parse":   {conns: hosts + 2, services: hosts, rows: hosts, panics: 2, text: "trapped in Data"},
		"hook":    {conns: hosts + 2, services: hosts + 2, rows: hosts + 2, panics: 2, text: "trapped in a hook"},
		"timeout": {conns: hosts + 2, services: hosts + 2, rows: hosts + 2, panics: 2, text: "trapped in a hook"},
	} {
		for _, workers := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s with %d workers", name, workers), func(t *testing.T) {
				conntest.VerifyRemoved(t)
				tape := newTape(t, layers.LinkTypeRaw)
				var traps []string // numbers of the frames that cause a panic
				for host := range byte(hosts) {
					tape.say(host, "hello")
					if host != 5 && host != 11 {
						continue
					}
					switch name {
					case "decode":
						tape.tunnelled(100 + host)
					case "timeout":
						tape.say(100+host, "hook")
						tape.at = tape.at.Add(10 * time.Minute)
					default:
						tape.say(100+host, name)
					}
					traps = append(traps, strconv.Itoa(tape.frames))
				}
				var out, errs bytes.Buffer
				o := defaults()
				o.flow.Errors = &lockedWriter{w: &errs}
				o.flow.Parsers = []func(protocol.Owner) protocol.Parser{newTrap}
				output := logs.NewOutput(&out, nil)
				a := newAnalysis(workers, o.flow, output)
				if c.noServers {
					a.decoder.Servers = nil
				}
				s, err := capture.FromBytes("tape", tape.b.Bytes())
				require.NoError(t, err)
				a.start()
				require.NoError(t, a.read(context.Background(), s, func() {}))
				a.finish()
				stats, _ := a.stats()
				require.NoError(t, output.Close())

				assert.Equal(t, c.panics, stats.Panics)
				assert.Equal(t, tape.frames, stats.Packets)
				assert.Equal(t, c.conns, stats.Connections)
				assert.Equal(t, c.conns, stats.Removed)
				conns, services, rows, packets := 0, 0, 0, 0
				for line := range strings.Lines(out.String()) {
					var row struct {
						Path        string `json:"_path"`
						Service     string `json:"service"`
						OrigPackets int    `json:"orig_pkts"`
						RespPackets int    `json:"resp_pkts"`
					}
					require.NoError(t, json.Unmarshal([]byte(line), &row))
					switch row.Path {
					case "conn":
						conns++
						packets += row.OrigPackets + row.RespPackets
						if row.Service == "trap" {
							services++
						}
					case "trap":
						rows++
					}
				}
				assert.Equal(t, []int{c.conns, c.services, c.rows}, []int{conns, services, rows})
				assert.Equal(t, tape.frames-c.lost, packets, "each packet is followed once")
				assert.Equal(t, 1, strings.Count(errs.String(), ": panic: "), errs.String())
				assert.Contains(t, errs.String(), c.text)
				switch name {
				case "hook": // at the end of the capture
					assert.True(t, strings.HasPrefix(errs.String(), "analyzer: connection C"), errs.String())
				case "timeout": // in the packet that advances the clock
					assert.Regexp(t, `^analyzer: frame \d+: connection C`, errs.String())
				default:
					if workers == 1 {
						traps = traps[:1]
					}
					assert.Regexp(t, `^analyzer: frame (`+strings.Join(traps, "|")+"): ", errs.String())
				}
			})
		}
	}
}

// On an interface, each worker decodes all frames itself.
func TestLivePanicLosesOnlyItsFrame(t *testing.T) {
	tape := newTape(t, layers.LinkTypeRaw)
	tape.say(1, "hello")
	tape.tunnelled(2)
	tape.say(3, "follow")
	tape.say(4, "hello")
	var out, errs bytes.Buffer
	o := defaults()
	o.flow.Errors = &errs
	o.flow.Parsers = []func(protocol.Owner) protocol.Parser{newTrap}
	output := logs.NewOutput(&out, nil)
	a := newAnalysis(1, o.flow, output)
	w := a.workers[0]
	w.decoder.Servers = nil
	s, err := capture.FromBytes("tape", tape.b.Bytes())
	require.NoError(t, err)
	for {
		f, err := s.Next()
		if err != nil {
			break
		}
		w.frame(f)
	}
	w.end()
	stats, _ := a.stats()
	assert.Equal(t, 2, stats.Panics)
	assert.Equal(t, tape.frames, stats.Packets)
	assert.Equal(t, 3, stats.Connections)
	assert.Equal(t, 3, stats.Removed)
	assert.Equal(t, 2, strings.Count(out.String(), `"service":"trap"`))
	assert.Equal(t, 2, strings.Count(out.String(), `"_path":"trap"`), "rows logged by hooks")
	assert.Contains(t, errs.String(), "analyzer: frame 4: panic: ")
	assert.Contains(t, errs.String(), "analyzer: frame 7: panic: ")
}

// bundled returns a tape with one frame, an A-MSDU of the packets of tape.
func bundled(t *testing.T, tape *tape) *tape {
	s, err := capture.FromBytes("tape", tape.b.Bytes())
	require.NoError(t, err)
	frame := append([]byte{0x88, 1}, make([]byte, 24)...) // with QoS
	frame[24] = 0x80
	for f, err := s.Next(); err == nil; f, err = s.Next() {
		frame = append(frame, make([]byte, 12)...)
		frame = append(frame, 0, byte(8+len(f.Data)), 0xaa, 0xaa, 3, 0, 0, 0, 8, 0) // SNAP
		frame = append(frame, f.Data...)
		frame = append(frame, make([]byte, -(14+8+len(f.Data))&3)...)
	}
	one := newTape(t, layers.LinkTypeIEEE802_11)
	one.frame(gopacket.Payload(frame))
	return one
}

// A panic costs only its packet, not the others of the frame.
func TestPanicInFrameWithSeveralPackets(t *testing.T) {
	for name, read := range map[string]func(a *analysis, s *capture.Source){
		"file": func(a *analysis, s *capture.Source) {
			a.start()
			require.NoError(t, a.read(context.Background(), s, func() {}))
			a.finish()
		},
		"interface": func(a *analysis, s *capture.Source) {
			w := a.workers[0]
			for f, err := s.Next(); err == nil; f, err = s.Next() {
				w.frame(f)
			}
			w.end()
		},
	} {
		t.Run(name, func(t *testing.T) {
			conntest.VerifyRemoved(t)
			tape := newTape(t, layers.LinkTypeRaw)
			tape.say(1, "hello")
			tape.say(2, "follow")
			tape.tunnelled(3) // the Decoder panics
			tape.say(4, "hello")
			tape.tunnelled(5)
			tape.tunnelled(6)
			tape.say(7, "follow")
			tape.say(8, "hello")
			tape.frame(gopacket.Payload(strings.Repeat("x", 20))) // malformed
			tape = bundled(t, tape)
			var out, errs bytes.Buffer
			o := defaults()
			o.flow.Errors = &lockedWriter{w: &errs}
			o.flow.Parsers = []func(protocol.Owner) protocol.Parser{newTrap}
			output := logs.NewOutput(&out, nil)
			a := newAnalysis(1, o.flow, output)
			a.decoder.Servers, a.workers[0].decoder.Servers = nil, nil
			s, err := capture.FromBytes("tape", tape.b.Bytes())
			require.NoError(t, err)
			read(a, s)
			require.NoError(t, output.Close())
			stats, _ := a.stats()
			assert.Equal(t, 5, stats.Panics)
			assert.Equal(t, 1, stats.Packets)
			assert.Equal(t, 1, stats.DecodeErrors, "after the last panic")
			assert.Equal(t, 5, stats.Connections)
			assert.Equal(t, 5, stats.Removed)
			assert.Equal(t, 3, strings.Count(out.String(), `"service":"trap"`))
			assert.Equal(t, 3, strings.Count(out.String(), `"_path":"trap"`), "rows logged by hooks")
			assert.Equal(t, 2, strings.Count(errs.String(), "analyzer: frame 1: panic: "), errs.String())
		})
	}
}

// A brokenSink panics on every row.
type brokenSink struct{ rows int }

func (s *brokenSink) Packet(*packet.Packet)           {}
func (s *brokenSink) Weird(time.Time, string, string) {}
func (s *brokenSink) Log(logs.Row)                    { s.rows++; panic("trapped in Log") }

func TestDecoderClosedAfterPanics(t *testing.T) {
	tape := newTape(t, layers.LinkTypeRaw)
	for host := range byte(5) {
		tape.tunnelled(host)
	}
	s, err := capture.FromBytes("tape", tape.b.Bytes())
	require.NoError(t, err)
	var out, errs bytes.Buffer
	cfg := flow.Config{Errors: &errs, MaxConnections: 10, MaxTotal: 10}
	a := newAnalysis(1, cfg, logs.NewOutput(&out, nil))
	for {
		f, err := s.Next()
		if err != nil {
			break
		}
		a.frame(f)
	}
	var sink brokenSink
	a.closeDecoder(&sink)
	assert.Equal(t, 5, sink.rows)
	assert.Equal(t, 5, a.counts.panics)
	assert.Equal(t, 1, strings.Count(errs.String(), ": panic: "))
}
