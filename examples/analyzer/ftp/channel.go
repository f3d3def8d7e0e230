package ftp

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/conn"
)

const (
	// maxChannels is how many data connections of one control connection may be announced or open. More are not
	// announced, for they would take the place of other connections' announcements.
	maxChannels = 32

	// lapse is how long the analyzer waits for a connection that was announced.
	lapse = 5 * time.Minute
)

// A channel is a data connection that is announced or open.
type channel struct {
	announced time.Time
	open      bool
}

// expect announces a data connection.
func (s *state) expect(orig netip.Addr, resp netip.AddrPort, passive bool) {
	s.dataChannel = &DataChannel{Passive: passive, OrigH: orig, RespH: resp.Addr(), RespP: resp.Port()}
	s.channels = slices.DeleteFunc(s.channels, func(ch *channel) bool {
		return !ch.open && s.now.Sub(ch.announced) > lapse
	})
	if len(s.channels) == maxChannels {
		return
	}
	ch := &channel{announced: s.now}
	s.channels = append(s.channels, ch)
	s.parser.owner.Expect(orig, resp, "ftp-data", func(data *conn.Connection) {
		ch.open = true
		// A hook of one connection that works on the state of another: it is a closure, made for this one data
		// connection. The control connection may be gone by then; its state is still there. Both connections belong to
		// the same worker.
		conn.Register(data, func(*conn.Connection) bool {
			s.channels = slices.DeleteFunc(s.channels, func(other *channel) bool { return other == ch })
			return true
		})
	})
}

var sixNumbers = regexp.MustCompile(`(\d+),(\d+),(\d+),(\d+),(\d+),(\d+)`)

// parsePort finds the address and port in the argument of PORT, or in the reply to PASV: h1,h2,h3,h4,p1,p2.
func parsePort(text string) (addr netip.AddrPort, ok bool) {
	m := sixNumbers.FindStringSubmatch(text)
	if m == nil {
		return addr, false
	}
	var b [6]byte
	for i := range b {
		n, err := strconv.ParseUint(m[1+i], 10, 8)
		if err != nil {
			return addr, false
		}
		b[i] = byte(n)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[:4])), uint16(b[4])<<8|uint16(b[5])), true
}

// parseExtended takes apart the argument of EPRT, or what is in parentheses in the reply to EPSV: |2|address|port| with
// any byte in place of |. If there is no address, host has it.
func parseExtended(text string, host netip.Addr) (addr netip.AddrPort, ok bool) {
	if text == "" {
		return addr, false
	}
	parts := strings.Split(text[1:], text[:1])
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
