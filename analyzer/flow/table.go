package flow

import (
	"sync"
	"time"

	"github.com/gopacket/gopacket/layers"

	"example.com/conn"
	"example.com/conn/analyzer/identity"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/panics"
	"example.com/conn/analyzer/protocol"
	"example.com/conn/analyzer/session"
)

// A Table follows connections. It is not safe for concurrent use, and neither is anything that it
// refers to.
type Table struct {
	Stats Stats

	cfg Config
	now time.Time // of the capture's clock, for timeouts; never goes back

	// at is the current packet's timestamp, for weird.log. As in Zeek, it does not go back by a
	// second or less.
	at time.Time

	flows     map[identity.Key]*flow
	displaced int // connections that others have replaced in flows; see displace
	timers    *timers
	ranks     ranks
	ledger    ledger
	current   *flow  // whose parser or hook is running, or nil
	following *flow  // the current packet's connection, once known; see Resume
	ending    Reason // why the connection whose hooks are running was removed
	spare     *flow  // removed, for reuse by the next connection; or nil
	expected  expectations
	weirds    logs.WeirdLimit
	offload   offloading
	parsers   *session.Parsers
	servers   *identity.Servers
	local     networks
	toSession sink      // the result of the sink method
	row       logs.Conn // reused by remove

	udp   layers.UDP // decoded in place, so that packets allocate nothing
	icmp4 layers.ICMPv4
	icmp6 layers.ICMPv6
}

// A sink passes the events of a TCP connection to its session and to weird.log.
type sink struct {
	table *Table
	flow  *flow
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

// Servers returns the ports where the table expects servers: Zeek's, and those of its parsers. They
// never change.
func (t *Table) Servers() *identity.Servers { return t.servers }

// Log implements protocol.Owner.
func (t *Table) Log(row logs.Row) { t.cfg.Log.Write(row) }

// Len returns the number of connections in the table.
func (t *Table) Len() int { return len(t.flows) + t.displaced }

// Held returns the number of bytes held for all connections, besides the connections themselves.
func (t *Table) Held() int { return t.ledger.total }

// Ending returns why the connection whose hooks are running was removed, such as "timeout" or "end
// of capture". It is empty while no hooks run.
func (t *Table) Ending() string { return t.ending.String() }

// flowOf returns the flow that c is part of, or nil if it is not in the table.
func (t *Table) flowOf(c *conn.Connection) *flow {
	if t.current != nil && &t.current.Connection == c {
		return t.current
	}
	f := t.flows[identity.KeyOf(c.ID.Orig, c.ID.Resp, c.ID.Proto, false)]
	if f == nil || &f.Connection == c {
		return f
	}
	if f = f.rare().prior; f != nil && &f.Connection != c {
		return nil
	}
	return f
}
