package flow

import "time"

// offloading notices captures of a host that leaves checksums to its network card, as Zeek's
// find-checksum-offloading does: by the share of packets whose checksum is wrong, ten seconds after
// the first packet and at the end.
type offloading struct {
	packets, tcp, udp int // of the latter, those with a wrong checksum
	next              time.Time
	done              bool
}

const (
	offloadingInterval = 10 * time.Second
	offloadingPackets  = 20 // that are needed for a judgment before the end
)
