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
	// MaxConnections is the size of the table, at least 1. When the table is full, the least
	// valuable connection is evicted; see rank.
	MaxConnections int

	// MaxBuffered bounds the bytes held for one side of a connection, including those that its
	// parsers keep. Beyond it, the connection stops waiting for missing bytes, and if that is not
	// enough, its parsers are stopped.
	MaxBuffered int

	// MaxTotal bounds the bytes held for all connections. Beyond it, connections that hold much do
	// the same, and at last are evicted; see ledger.biggest.
	MaxTotal int

	TCPTimeout     time.Duration
	UDPTimeout     time.Duration // also for TCP handshakes and all other transports
	AttemptTimeout time.Duration // for an unanswered SYN, from the SYN on
	CloseTimeout   time.Duration // after the end, for late packets

	IgnoreChecksums bool // accept TCP, UDP and ICMP whatever their checksums; Zeek's flag -C

	// Local lists the local networks, for conn.log's local_orig and local_resp. Nil means
	// PrivateNetworks.
	Local []netip.Prefix

	Parsers []func(protocol.Owner) protocol.Parser
	Log     interface{ Write(logs.Row) } // receives the rows of all logs, such as a *logs.Writer
	Errors  io.Writer                    // for messages that concern the whole capture

	// Panics reports the panics of parsers and hooks. Nil means a Reporter that writes to Errors.
	Panics *panics.Reporter

	// Once bounds the warnings of offloading: tables that share it print one. It may be nil if there
	// is only one table.
	Once *sync.Once
}
