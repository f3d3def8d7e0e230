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

// A Config configures a Table. Timeouts are measured in packet time.
type Config struct {
	// MaxConnections is the size of the table, at least 1. When it is full, the least valuable
	// connection is evicted; see Table.evict.
	MaxConnections int

	// MaxBuffered bounds the bytes held for one side of a connection, including those that its
	// parsers keep. Beyond it, the connection stops waiting for missing bytes; see Table.limit.
	MaxBuffered int

	// MaxTotal bounds the bytes held for all connections. Beyond it, the connections that hold most
	// stop waiting for missing bytes.
	MaxTotal int

	TCPTimeout     time.Duration
	UDPTimeout     time.Duration // also for ICMP, and for TCP handshakes
	AttemptTimeout time.Duration // for an unanswered SYN, from the SYN on
	CloseTimeout   time.Duration // after the end, for late packets

	IgnoreChecksums bool           // accept TCP, UDP and ICMP whatever their checksums; Zeek's flag -C
	Local           []netip.Prefix // the local networks: conn.log's local_orig and local_resp; nil means PrivateNetworks
	Parsers         []func(protocol.Owner) protocol.Parser
	Log             interface{ Write(logs.Row) } // receives the rows of all logs, such as a *logs.Writer
	Errors          io.Writer                    // for messages that concern the whole capture
	Panics          *panics.Reporter             // for panics of parsers and hooks; nil means one that writes to Errors
	Once            *sync.Once                   // for the offloading warning of all tables that share it; nil if there is one table
}
