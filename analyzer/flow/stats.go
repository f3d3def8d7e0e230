package flow

import (
	"time"

	"example.com/conn"
)

// Stats holds the counters of a Table. Connections equals Removed once the table is closed.
type Stats struct {
	Connections, Removed int
	Begun, Ended         [NumTransports]int // Connections and Removed, by transport
	RemovedFor           [NumReasons]int    // Removed, by reason
	Evicted              int                // of Removed, those evicted to bound the table or memory
	HooksRun             int                // when a connection was removed, or its parsing stopped
	DecodeErrors         int                // packets whose transport header could not be read
	BadChecksums         int                // packets ignored because of a wrong checksum
	MissedBytes          int64              // of removed TCP connections: conn.log's missed_bytes
	Panics               int
	HookTime             time.Duration // spent in hooks, including their logging
}

// Add adds n times the counters of o: 1 to sum the counters of several tables, -1 to get the
// difference since o.
func (s *Stats) Add(o *Stats, n int) {
	s.Connections += n * o.Connections
	s.Removed += n * o.Removed
	for i := range s.Begun {
		s.Begun[i] += n * o.Begun[i]
		s.Ended[i] += n * o.Ended[i]
	}
	for i := range s.RemovedFor {
		s.RemovedFor[i] += n * o.RemovedFor[i]
	}
	s.Evicted += n * o.Evicted
	s.HooksRun += n * o.HooksRun
	s.DecodeErrors += n * o.DecodeErrors
	s.BadChecksums += n * o.BadChecksums
	s.MissedBytes += int64(n) * o.MissedBytes
	s.Panics += n * o.Panics
	s.HookTime += time.Duration(n) * o.HookTime
}

// Active returns the number of connections of a transport that have begun but not ended.
func (s *Stats) Active(t Transport) int { return s.Begun[t] - s.Ended[t] }

// A Transport is a kind of connection that [Stats] counts separately.
type Transport uint8

// The transports. ICMP includes ICMPv6.
const (
	TCP Transport = iota
	UDP
	ICMP
	OtherTransport
	NumTransports
)

// String returns the transport's name: "tcp", "udp", "icmp" or "other".
func (t Transport) String() string {
	return [...]string{TCP: "tcp", UDP: "udp", ICMP: "icmp", OtherTransport: "other"}[t]
}

func transportOf(p conn.Proto) Transport {
	switch p {
	case conn.TCP:
		return TCP
	case conn.UDP:
		return UDP
	case conn.ICMP, conn.ICMPv6:
		return ICMP
	}
	return OtherTransport
}

// A Reason is why a connection was removed.
type Reason uint8

// The reasons.
const (
	notRemoved   Reason = iota
	Closed              // closed by both sides or reset by one, whatever removed it then
	Timeout             // idle for too long
	Reused              // its endpoints began another connection
	Resumed             // the connection that it had displaced continued
	TableFull           // evicted: Config.MaxConnections
	MemoryFull          // evicted: Config.MaxTotal
	EndOfCapture        // open when the capture ended
	NumReasons
)

// String returns the reason in words, such as "end of capture".
func (r Reason) String() string {
	return [...]string{
		notRemoved:   "",
		Closed:       "closed",
		Timeout:      "timeout",
		Reused:       "endpoints reused",
		Resumed:      "earlier connection continued",
		TableFull:    "table full",
		MemoryFull:   "memory full",
		EndOfCapture: "end of capture",
	}[r]
}
