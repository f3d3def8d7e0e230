package flow

import (
	"io"
	"net/netip"
	"sync"
	"time"

	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/panics"
	"example.com/conn/analyzer/protocol"
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
