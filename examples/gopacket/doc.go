// Package gopacket has nothing but an example: an analyzer of TCP connections in one page, with
// gopacket to decode and reassemble, and with removal hooks on a connection type of its own.
package gopacket
