package flow

import "time"

// offloading detects captures from a host that leaves checksums to its network card, as Zeek's
// find-checksum-offloading does: by the share of packets with a wrong checksum. It checks that
// every ten seconds until there are enough packets, and at the end.
type offloading struct {
	packets  int // all
	tcp, udp int // with a wrong checksum
	next     time.Time
	done     bool
}

const (
	offloadingInterval = 10 * time.Second
	offloadingPackets  = 20 // enough to stop checking before the end
)
