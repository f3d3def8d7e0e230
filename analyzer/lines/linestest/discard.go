package linestest

import (
	"net/netip"

	"example.com/conn"
	"example.com/conn/analyzer/logs"
)

// discard is a protocol.Owner that keeps nothing.
type discard struct{}

func (discard) Log(logs.Row) {}

func (discard) Confirm(*conn.Connection) {}

func (discard) Weird(*conn.Connection, string, string) {}

func (discard) Expect(netip.Addr, netip.AddrPort, string, func(*conn.Connection)) {}
