// Package flow follows the connections of a packet stream: it decides when one begins and ends,
// puts TCP's bytes into order, finds the parser that each connection needs, runs removal hooks, and
// writes conn.log.
//
// table.go holds the connections; transport.go finds the one that a packet belongs to, and
// checksum.go drops damaged packets. timers.go tells which connections time out, ranks.go which one
// goes when the table is full, ledger.go what is held for each, and limits.go enforces bounds.
// tcp.go brings segments to their connections; [tcp.Conn] follows them. deliver.go brings bytes to
// the parsers, expect.go announces connections to them, and record.go, stats.go and weird.go are
// what is logged.
package flow

import (
	"io"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/gopacket/gopacket/layers"

	"example.com/conn"
	"example.com/conn/analyzer/identity"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/packet"
	"example.com/conn/analyzer/panics"
	"example.com/conn/analyzer/protocol"
	"example.com/conn/analyzer/session"
	"example.com/conn/analyzer/tcp"
)

// A Config is how a Table is set up. Its timeouts are measured in the time of packets.
type Config struct {
	// MaxConnections is how many there may be at once, at least 1. Before one more, that which is
	// worth least is removed: see Table.evict.
	MaxConnections int

	// MaxBuffered is how many bytes may be held for one side of a connection, with what its parsers
	// keep. Beyond it, the connection gives up what it waits for; see Table.limit.
	MaxBuffered int

	// MaxTotal is how many bytes may be held for all connections. Beyond it, that which holds most
	// gives up what it waits for.
	MaxTotal int

	TCPTimeout     time.Duration
	UDPTimeout     time.Duration // also ICMP, and TCP before anything was established
	AttemptTimeout time.Duration // a SYN that stays without an answer, from the SYN on
	CloseTimeout   time.Duration // after the end, for late packets

	IgnoreChecksums bool           // believe TCP, UDP and ICMP without looking at their checksums; Zeek's flag -C
	Local           []netip.Prefix // the local networks: conn.log's local_orig and local_resp; nil stands for PrivateNetworks
	Parsers         []func(protocol.Owner) protocol.Parser
	Log             interface{ Write(logs.Row) } // takes the rows of all logs, such as a *logs.Writer
	Errors          io.Writer                    // where the user is told of what concerns the whole capture
	Panics          *panics.Reporter             // of panics of parsers and hooks; nil for one that writes to Errors
	Once            *sync.Once                   // of what is said once for all tables that share it; nil if there is one table
}

// A Table follows connections. It and all it refers to belong to one goroutine.
type Table struct {
	Stats Stats

	cfg       Config
	now       time.Time // of the capture's clock, for timeouts; never goes back
	at        time.Time // the timestamp of the packet that is followed, as Zeek has it: not a little earlier than the one before
	flows     map[identity.Key]*flow
	displaced int // that another has taken the place of in flows; see displace
	timers    *timers
	ranks     ranks
	ledger    ledger
	current   *flow  // that a parser or hook was called with, or nil
	following *flow  // the connection of the packet that is being followed, once that is known; see Resume
	ending    Reason // why the connection whose hooks run at the moment was removed
	spare     *flow  // that was removed, and may be used again; or nil
	expected  expectations
	weirds    logs.WeirdLimit
	offload   offloading
	parsers   *session.Parsers
	servers   *identity.Servers
	local     networks
	toSession sink      // the one that sink returns
	row       logs.Conn // of remove

	udp   layers.UDP // decoded in place, so that packets allocate nothing
	icmp4 layers.ICMPv4
	icmp6 layers.ICMPv6
}

// A flow is a connection with what its owner, the table, knows of it. Arrays of two have something
// for each [protocol.Side]. In a flood there is a flow for every packet, so it is kept small.
type flow struct {
	conn.Connection
	waiting node // in Table.timers
	ranked  node // in Table.ranks
	timer   timer
	rank    rank
	oneWay  bool      // see identity.KeyOf
	since   time.Time // when it began to wait for timer

	packets [2]uint64
	ipBytes [2]uint64 // of the same packets, with headers
	bytes   [2]int64  // payload; of TCP, tcp tells
	held    int       // bytes, as Table.ledger has it
	rare    *rare     // nil for most; its methods take nil, and more makes it for writing
	tcp     tcp.Conn  // of other transports it has the time of the last packet and the history alone
	session session.Session
}

// rare is the part of a flow that few need.
type rare struct {
	holding node           // in Table.ledger
	size    uint8          // which of its sizes
	corrupt [2]tcp.Counter // packets with a bad checksum
	weirds  []string       // names that were logged, at most maxWeirds
	syn     *packet.Packet // that is doubted, with its header only; nil if there is none
	parents []string       // UIDs of tunnels that packets came through, at most maxParents
	prior   *flow          // that this one displaced, or nil
	by      *flow          // that displaced this one, or nil
}

// displaced returns the connection that this one displaced, nil if there is none.
func (r *rare) displaced() *flow {
	if r == nil {
		return nil
	}
	return r.prior
}

// noted returns the names of the weirds that were logged.
func (r *rare) noted() []string {
	if r == nil {
		return nil
	}
	return r.weirds
}

// tunnels returns the UIDs of the tunnels that packets came through.
func (r *rare) tunnels() []string {
	if r == nil {
		return nil
	}
	return r.parents
}

// more returns the rare part of f, for writing.
func (f *flow) more() *rare {
	if f.rare == nil {
		f.rare = new(rare)
	}
	return f.rare
}

// New returns a Table without connections.
func New(cfg Config) *Table {
	if cfg.Local == nil {
		cfg.Local = PrivateNetworks
	}
	if cfg.Once == nil {
		cfg.Once = new(sync.Once)
	}
	if cfg.Panics == nil {
		cfg.Panics = panics.NewReporter(cfg.Errors)
	}
	t := &Table{
		cfg:      cfg,
		flows:    make(map[identity.Key]*flow),
		timers:   newTimers(&cfg),
		ranks:    ranks{max: cfg.MaxConnections},
		expected: newExpectations(),
		servers:  identity.NewServers(),
		local:    newNetworks(cfg.Local),
	}
	var parsers []protocol.Parser
	for _, make := range cfg.Parsers {
		p := make(t)
		parsers = append(parsers, p)
		t.servers.Add(p.Transport(), p.Ports()...)
	}
	t.parsers = session.NewParsers(t, parsers)
	return t
}

// Servers returns the ports where the table expects servers: those of its parsers, and Zeek's. They
// do not change.
func (t *Table) Servers() *identity.Servers { return t.servers }

// Log implements protocol.Owner.
func (t *Table) Log(row logs.Row) { t.cfg.Log.Write(row) }

// flowOf returns the flow that c is part of, nil if the table does not have it.
func (t *Table) flowOf(c *conn.Connection) *flow {
	if t.current != nil && &t.current.Connection == c {
		return t.current
	}
	f := t.flows[identity.KeyOf(c.ID.Orig, c.ID.Resp, c.ID.Proto, false)]
	if f != nil && f.rare.displaced() != nil && &f.rare.prior.Connection == c {
		return f.rare.prior
	}
	if f == nil || &f.Connection != c {
		return nil
	}
	return f
}

// find returns the connection that a packet belongs to, a new one if need be, and the side that
// sent it.
func (t *Table) find(p *packet.Packet, src, dst netip.AddrPort, oneWay bool) (*flow, protocol.Side) {
	k := identity.KeyOf(src, dst, p.Proto, oneWay)
	return t.join(t.flows[k], p, k, src, dst)
}

// join is find after f was looked up, which is nil if there is none.
func (t *Table) join(f *flow, p *packet.Packet, k identity.Key, src, dst netip.AddrPort) (*flow, protocol.Side) {
	if f == nil {
		f = t.begin(p, k, src, dst)
	}
	f.through(p.Tunnels)
	return f, f.sideOf(src)
}

// sideOf returns the side of f that sends from src.
func (f *flow) sideOf(src netip.AddrPort) protocol.Side {
	if f.ID.Orig != src {
		return protocol.Resp
	}
	return protocol.Orig
}

// begin adds a connection.
func (t *Table) begin(p *packet.Packet, k identity.Key, src, dst netip.AddrPort) *flow {
	if t.Len() >= t.cfg.MaxConnections {
		t.evict()
	}
	f := t.spare
	if t.spare = nil; f == nil {
		f = new(flow)
	}
	f.oneWay, f.tcp.Last = k.OneWay, p.Time
	if f.Start = p.Start; f.Start.IsZero() {
		f.Start = p.Time
	}
	f.ID = conn.ID{Orig: src, Resp: dst, Proto: p.Proto}
	var syn, ack bool
	if p.Proto == conn.TCP {
		h := tcp.Header(p.Payload) // which was parsed before
		syn, ack = h.SYN(), h.ACK()
	}
	if t.servers.FromResponder(p.Proto, src, dst, syn, ack) {
		f.flip()
	}
	f.UID = identity.UID(f.ID, f.Start)
	t.flows[k], t.following = f, f
	t.Stats.Connections++
	t.Stats.Begun[transportOf(p.Proto)]++
	if syn && ack && (f.ID.Orig == src || !t.servers.Likely(conn.TCP, src.Port())) {
		t.weird(f, "connection_originator_SYN_ack", "", "TCP")
	}
	t.attachExpected(f)
	return f
}

// maxParents bounds the tunnels that are named in a row of conn.log.
const maxParents = 8

// through notes the innermost of the tunnels that a packet came through.
func (f *flow) through(tunnels []packet.Tunnel) {
	if len(tunnels) == 0 {
		return
	}
	uid := tunnels[len(tunnels)-1].UID
	if r := f.more(); len(r.parents) < maxParents && !slices.Contains(r.parents, uid) {
		r.parents = append(r.parents, uid)
	}
}

// remove ends a connection, and says why: its hooks run, its row is written, and the table forgets
// it, whatever of this panics.
func (t *Table) remove(f *flow, why Reason) {
	if f.timer == closeTimer {
		why = Closed
	}
	t.ending = why
	for step := 0; step < 3; {
		t.contain(f, func() {
			for step < 3 {
				step++ // first, so that a step that panics is not repeated
				switch step {
				case 1:
					t.conclude(f)
				case 2:
					t.stateRemove(f)
				case 3:
					t.ending = notRemoved
					f.describe(&t.row, &t.local)
					t.Log(&t.row)
				}
			}
		})
	}
	t.ending = notRemoved
	t.timers.stop(f)
	t.ranks.remove(f)
	t.ledger.set(f, 0)
	t.forget(f)
	t.Stats.Removed++
	t.Stats.RemovedFor[why]++
	t.Stats.Ended[transportOf(f.ID.Proto)]++
	if t.following == f {
		t.following = nil
	}
	if f.session.Untouched() {
		// No parser or hook has ever had it. In a flood it is what the next packet needs.
		*f = flow{}
		t.spare = f
	}
}

// forget takes f out of the table's map. One that it has displaced comes back.
func (t *Table) forget(f *flow) {
	k := identity.KeyOf(f.ID.Orig, f.ID.Resp, f.ID.Proto, f.oneWay)
	switch {
	case t.flows[k] != f:
		t.displaced--
		if f.rare.by != nil {
			f.rare.by.rare.prior = nil
		}
	case f.rare.displaced() != nil:
		t.displaced--
		t.flows[k], f.rare.prior.rare.by = f.rare.prior, nil
	default:
		delete(t.flows, k)
	}
}

// Ending returns why the connection whose hooks run at the moment was removed, such as "timeout" or
// "end of capture"; it is empty while none run.
func (t *Table) Ending() string { return t.ending.String() }

// stateRemove runs the hooks of f, those behind one that panics, too.
func (t *Table) stateRemove(f *flow) {
	if hooks := f.pendingHooks(); hooks > 0 {
		start := time.Now()
		defer func() {
			t.Stats.HookTime += time.Since(start)
			t.Stats.HooksRun += hooks
		}()
	}
	conn.StateRemove(&f.Connection)
}

// pendingHooks returns how many hooks the removal of f would run.
func (f *flow) pendingHooks() (n int) {
	if f.session.Untouched() {
		return 0 // no parser has had it
	}
	for range f.RemovalHooks() {
		n++
	}
	return n
}

// contain calls a hook of f, or what may call one. If it panics, that is reported, and f goes on
// without parsers.
func (t *Table) contain(f *flow, call func()) {
	outer := t.current
	t.current = f
	defer func() {
		t.current = outer
		if panicked := recover(); panicked != nil {
			t.ignore(f)
			t.Panicked(&f.Connection, panicked)
		}
	}()
	call()
}

// Resume makes t consistent again after Packet has panicked. The connection that the packet was of
// goes on without parsers, for what was held of its bytes may not be what t takes it for.
func (t *Table) Resume() {
	t.ending, t.current = notRemoved, nil
	f := t.following
	if f == nil {
		return
	}
	t.ignore(f)
	f.tcp.Drop()
	t.ledger.set(f, f.holds())
	if f.timer == noTimer { // the packet was its first
		t.timers.start(f, briefTimer, t.now)
	}
	t.ranks.update(f)
}

// Close removes all connections, those that time out first before the others.
func (t *Table) Close() {
	for f := t.timers.idlest(); f != nil; f = t.timers.idlest() {
		t.remove(f, EndOfCapture)
	}
	t.warnOfOffloading()
}

// Advance removes the connections whose time is over at now, by a clock that never goes back; an
// earlier time changes nothing. A clock.Clock makes such a time of timestamps that may be wrong.
func (t *Table) Advance(now time.Time) {
	if !now.After(t.now) {
		return
	}
	t.now = now
	for f := t.timers.due(now); f != nil; f = t.timers.due(now) {
		t.remove(f, Timeout)
	}
}
