//go:build !linux

package capture

import (
	"errors"

	"example.com/conn/analyzer/packet"
)

// A Ring is not supported on this platform.
type Ring struct{}

// Live returns an error: capturing at an interface needs Linux.
func Live(cfg LiveConfig) (*Ring, error) {
	return nil, errors.New("interface " + cfg.Interface + ": capturing needs Linux")
}

// Next is never called, as Live returns no Ring.
func (r *Ring) Next() (packet.Frame, error) { return packet.Frame{}, ErrIdle }

// Down is never called.
func (r *Ring) Down() bool { return false }

// Stats is never called.
func (r *Ring) Stats() (packets, dropped uint64, err error) { return 0, 0, nil }

// Close is never called.
func (r *Ring) Close() {}
