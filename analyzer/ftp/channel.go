package ftp

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/conn"
)

const (
	// maxChannels bounds the announced and open data connections of one control connection. Beyond
	// it none is announced: it would displace the announcements of other connections.
	maxChannels = 32

	// lapse is how long the analyzer waits for a connection that was announced.
	lapse = 5 * time.Minute
)

// channelSize is about how many bytes a channel takes, with its closures and its place in the
// owner's list.
const channelSize = 256

// A channel is a data connection that is announced or open.
type channel struct {
	announced time.Time
	open      bool
}

// expect announces a data connection.
func (s *state) expect(c *conn.Connection, orig netip.Addr, resp netip.AddrPort, passive bool) {
	s.dataChannel = &DataChannel{Passive: passive, OrigH: orig, RespH: resp.Addr(), RespP: resp.Port()}
	if s.swept != s.now { // once per packet, however many connections it announces
		s.swept = s.now
		s.channels = slices.DeleteFunc(s.channels, func(ch *channel) bool {
			return !ch.open && s.now.Sub(ch.announced) > lapse
		})
	}
	if len(s.channels) == maxChannels {
		s.parser.owner.Weird(c, "FTP_too_many_data_channels", "")
		return
	}
	ch := &channel{announced: s.now}
	s.channels = append(s.channels, ch)
	s.parser.owner.Expect(orig, resp, "ftp-data", func(data *conn.Connection) {
		ch.open = true
		// This hook of one connection changes the state of another. It is a closure, made for this
		// data connection. The state outlives the control connection, and both connections belong
		// to the same worker.
		conn.Register(data, func(*conn.Connection) bool {
			s.channels = slices.DeleteFunc(s.channels, func(other *channel) bool { return other == ch })
			return true
		})
	})
}

// parsePort finds the address in the argument of PORT or the reply to PASV: h1,h2,h3,h4,p1,p2, the
// first six numbers separated by commas.
func parsePort(text []byte) (addr netip.AddrPort, ok bool) {
	var b [6]byte
	n, value, digits := 0, 0, false // complete numbers, and the current one
	for i := 0; ; i++ {
		if i < len(text) && isDigit(text[i]) {
			value, digits = min(10*value+int(text[i]-'0'), 256), true
			continue
		}
		if digits {
			if value > 255 {
				return addr, false
			}
			b[n] = byte(value)
			n++
		}
		switch {
		case n == len(b):
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[:4])), uint16(b[4])<<8|uint16(b[5])), true
		case i >= len(text):
			return addr, false
		case !digits || text[i] != ',':
			n = 0
		}
		value, digits = 0, false
	}
}

// parseExtended parses the argument of EPRT, or the parenthesized part of the reply to EPSV:
// |2|address|port|, with any byte in place of |. Without an address, it is that of host.
func parseExtended(text []byte, host netip.Addr) (addr netip.AddrPort, ok bool) {
	const longest = 128 // bytes; an address and a port take fewer
	text = text[:min(len(text), longest)]
	if len(text) == 0 {
		return addr, false
	}
	parts := strings.Split(string(text[1:]), string(text[:1]))
	if len(parts) < 4 {
		return addr, false
	}
	if parts[1] != "" {
		var err error
		if host, err = netip.ParseAddr(parts[1]); err != nil {
			return addr, false
		}
	}
	port, err := strconv.ParseUint(parts[2], 10, 16)
	return netip.AddrPortFrom(host.Unmap().WithZone(""), uint16(port)), err == nil
}
