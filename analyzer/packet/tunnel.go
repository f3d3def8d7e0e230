package packet

import (
	"cmp"
	"container/list"
	"net/netip"
	"slices"
	"time"

	"example.com/conn"
	"example.com/conn/analyzer/identity"
	"example.com/conn/analyzer/logs"
)

// Bounds on tunnels.
const (
	maxDepth   = 8       // tunnels in tunnels; Zeek's Tunnel::max_depth is 4
	maxTunnels = 1 << 15 // tracked at once, at most 2 KiB each
	ipTimeout  = time.Hour
	udpTimeout = time.Minute // Zeek's udp_inactivity_timeout
)

// A tunnel is an outer connection: UDP to or from a tunnel's port, even before a packet was found
// inside; or, with ports of 0, two hosts that exchange IP in IP or GRE.
type tunnel struct {
	Tunnel   // Type is empty until a packet was found inside
	key      identity.Key
	last     time.Time     // Decoder.now at its latest valid packet
	seen     time.Time     // timestamp of that packet
	elem     *list.Element // in tunnels.udp or tunnels.ip
	violated bool          // a packet was not the tunnel's protocol
	noted    bool          // tunnel.log has its Tunnel::DISCOVER

	latest place  // where it was entered last, so that packets in the same place share a path
	within uint64 // latest.number of the enclosing tunnel at that time, 0 if there was none
}

// A place is a position inside a tunnel. As a tunnel may contain itself, a frame may have several
// places in the same tunnel.
type place struct {
	*tunnel
	path   []Tunnel // Packet.Tunnels of packets here
	number uint64   // identifies path
}

// tunnels tracks the outer connections. A tunnel over UDP expires when the flow table's connection
// does, because both have the same timeout, restart it at the same packets, and use the same clock.
// In two cases, the next packet of a connection begins another one in the table: if its tunnel was
// the idlest of maxTunnels and was forgotten, or if a connection on other ports turns into a tunnel
// after its first packet; see [Outer]. If a full table removes a connection, the rest of it gets
// another row with the same UID.
type tunnels struct {
	known   map[identity.Key]*tunnel
	udp, ip *list.List // in the order of their latest packets
	numbers uint64     // the last tunnel.number
}

func newTunnels() tunnels {
	return tunnels{known: make(map[identity.Key]*tunnel), udp: list.New(), ip: list.New()}
}

// outer returns the outer connection of a packet, a new one if necessary.
func (d *Decoder) outer(src, dst netip.AddrPort, proto conn.Proto) *tunnel {
	key := identity.KeyOf(src, dst, proto, false)
	t := d.tunnels.known[key]
	if t == nil {
		if len(d.tunnels.known) >= maxTunnels {
			d.endTunnel(d.tunnels.idlest(), "Tunnel::EXPIRE", d.at)
		}
		id := conn.ID{Orig: src, Resp: dst, Proto: proto}
		if d.Servers.FromResponder(proto, src, dst, false, false) {
			id.Orig, id.Resp = dst, src
		}
		t = &tunnel{key: key, last: d.now, seen: d.at}
		t.Outer = &Outer{ID: id, UID: identity.UID(id, d.at), Start: d.at}
		t.elem = d.tunnels.order(proto).PushBack(t)
		d.tunnels.known[key] = t
	}
	return t
}

// refresh restarts the timeout of t. Packets with a wrong checksum do not.
func (d *Decoder) refresh(t *tunnel) {
	t.last, t.seen = d.now, d.at
	d.tunnels.order(t.ID.Proto).MoveToBack(t.elem)
}

// via returns the place in the innermost tunnel entered so far, the zero value if there is none.
func (d *Decoder) via() place {
	if len(d.chain) == 0 {
		return place{}
	}
	return d.chain[len(d.chain)-1]
}

// enter records that the following data is inside t, a tunnel of the given type. It returns false
// if tunnels are nested too deep.
func (d *Decoder) enter(t *tunnel, typ string) bool {
	if len(d.chain) >= maxDepth {
		d.badPacket("exceeded_tunnel_max_depth", t.ID.Orig.Addr(), t.ID.Resp.Addr())
		return false
	}
	outer := d.via()
	if t.Type != typ || t.within != outer.number {
		d.tunnels.numbers++
		t.Type, t.within = typ, outer.number
		t.latest = place{t, append(slices.Clip(outer.path), t.Tunnel), d.tunnels.numbers}
	}
	d.chain = append(d.chain, t.latest)
	return true
}

// discover logs the tunnels around a packet that tunnel.log does not have yet.
func (d *Decoder) discover() {
	if d.via().noted {
		return
	}
	for _, p := range d.chain {
		if !p.noted {
			p.noted = true
			d.logTunnel(p.tunnel, "Tunnel::DISCOVER", d.at)
		}
	}
}

func (d *Decoder) logTunnel(t *tunnel, action string, at time.Time) {
	c := conn.Connection{ID: t.ID, UID: t.UID}
	d.sink.Log(&logs.Tunnel{Header: logs.NewHeader("tunnel", &c, at), Type: t.Type, Action: action})
}

// endTunnel forgets t, and logs it with the given action.
func (d *Decoder) endTunnel(t *tunnel, action string, at time.Time) {
	delete(d.tunnels.known, t.key)
	d.tunnels.order(t.ID.Proto).Remove(t.elem)
	if t.noted {
		d.logTunnel(t, action, at)
	}
}

// expire forgets tunnels and fragments that have timed out.
func (d *Decoder) expire() {
	timeout := cmp.Or(d.UDPTimeout, udpTimeout)
	for t := first(d.tunnels.udp); t != nil && d.now.Sub(t.last) >= timeout; t = first(d.tunnels.udp) {
		d.endTunnel(t, "Tunnel::CLOSE", t.seen.Add(timeout))
	}
	for t := first(d.tunnels.ip); t != nil && d.now.Sub(t.last) >= ipTimeout; t = first(d.tunnels.ip) {
		d.endTunnel(t, "Tunnel::EXPIRE", t.seen.Add(ipTimeout))
	}
	d.expireFragments()
}

// order returns the list for tunnels of the given protocol.
func (ts *tunnels) order(proto conn.Proto) *list.List {
	if proto == conn.UDP {
		return ts.udp
	}
	return ts.ip
}

// first returns the first tunnel of a list, nil if it is empty.
func first(l *list.List) *tunnel {
	e := l.Front()
	if e == nil {
		return nil
	}
	return e.Value.(*tunnel)
}

// idlest returns the tunnel whose latest packet is the oldest.
func (ts *tunnels) idlest() *tunnel {
	u, i := first(ts.udp), first(ts.ip)
	if u == nil || i != nil && i.last.Before(u.last) {
		return i
	}
	return u
}
