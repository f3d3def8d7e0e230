package flow

import (
	"time"

	"example.com/conn"
)

// Stats is what a Table has counted. Connections equals Removed once the table is closed.
type Stats struct {
	Connections, Removed int
	Begun, Ended         [NumTransports]int // Connections and Removed, by transport
	RemovedFor           [NumReasons]int    // Removed, by reason
	Evicted              int                // of Removed, those that made room for others
	HooksRun             int                // those that were pending when their connection was removed, or its parser given up
	DecodeErrors         int                // packets whose transport header could not be read
	BadChecksums         int                // packets that were not believed
	Panics               int
	HookTime             time.Duration // that hooks took, with what they log
}

// Add adds n times the counts of o, such as 1 to sum up what several tables have counted, or -1 to
// get what was counted since o.
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
	s.Panics += n * o.Panics
	s.HookTime += time.Duration(n) * o.HookTime
}

// Active returns how many connections of a transport have begun and not ended.
func (s *Stats) Active(t Transport) int { return s.Begun[t] - s.Ended[t] }

// A Transport is one of the kinds of connections that [Stats] tells apart.
type Transport uint8

// The transports. ICMP is that of IPv4 and of IPv6.
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
	Closed              // both sides have closed it, or one has reset it, and late packets were waited for
	Timeout             // no packet came for long
	Reused              // its endpoints began another connection
	Resumed             // it had displaced one that went on
	TableFull           // it made room for another, as there were too many
	MemoryFull          // it made room for others, as too much was held
	EndOfCapture        // no more packets will come
	NumReasons
)

// String returns the reason in words, such as "end of capture".
func (r Reason) String() string {
	return [...]string{
		notRemoved:   "",
		Closed:       "closed",
		Timeout:      "timeout",
		Reused:       "endpoints in use again",
		Resumed:      "the one before goes on",
		TableFull:    "table full",
		MemoryFull:   "memory full",
		EndOfCapture: "end of capture",
	}[r]
}
