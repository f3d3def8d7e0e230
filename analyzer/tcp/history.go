package tcp

import (
	"bytes"
	"slices"
)

// A History is Zeek's history of a connection: a letter for each kind of event, in order, in upper
// case for the originator and in lower case for the responder. "ShADadFf" is a handshake, data in
// both directions, and a FIN of each side.
//
// The zero value is an empty history. A short history, as most are, takes no memory besides the
// History itself.
type History struct {
	long  *[maxHistory]byte // the letters, if they do not fit into short
	short [13]byte
	n     uint8    // how many letters there are
	seen  [2]uint8 // the letters of each side that are in the history; see once
}

// maxHistory bounds the letters of one connection. SYNs, FINs and RSTs get one each time their
// sequence number changes, which an attacker can do forever.
const maxHistory = 128

// Letters that are recorded once per side, some of them again if the sequence number changes.
const (
	sawSYN uint8 = 1 << iota
	sawFIN
	sawRST
	sawData
	sawACK
	sawSYNAndMore
	sawFINAndRST
)

// Letters returns the letters. They share the memory of h.
func (h *History) Letters() []byte {
	if h.long != nil {
		return h.long[:h.n]
	}
	return h.short[:h.n]
}

// Add adds a letter, which is given in upper case.
func (h *History) Add(side Side, letter byte) { h.append(of(side, letter)) }

// of returns a letter, which is given in upper case, in the case of a side.
func of(side Side, letter byte) byte { return letter | byte(side)*('a'-'A') }

func (h *History) append(letter byte) {
	if h.long == nil && int(h.n) == len(h.short) {
		h.long = new([maxHistory]byte)
		copy(h.long[:], h.short[:])
	}
	if h.n < maxHistory {
		h.n++
		h.Letters()[h.n-1] = letter
	}
}

// Data records that a side has sent data.
func (h *History) Data(side Side) { h.once(side, sawData, 'D') }

// HasData reports whether data of a side was captured.
func (h *History) HasData(side Side) bool { return h.seen[side]&sawData != 0 }

// once adds a letter unless the side has it already, and reports whether it had.
func (h *History) once(side Side, bit uint8, letter byte) bool {
	if h.seen[side]&bit != 0 {
		return true
	}
	h.seen[side] |= bit
	h.Add(side, letter)
	return false
}

// Flip swaps the originator and the responder from now on. Earlier letters stay as they are,
// followed by a '^'.
func (h *History) Flip() {
	h.seen[0], h.seen[1] = h.seen[1], h.seen[0]
	h.append('^')
}

// Flipped reports whether the originator and the responder were swapped.
func (h *History) Flipped() bool { return bytes.IndexByte(h.Letters(), '^') >= 0 }

// takeBack removes the last occurrence of a letter, which is given in upper case.
func (h *History) takeBack(side Side, letter byte) {
	if i := bytes.LastIndexByte(h.Letters(), of(side, letter)); i >= 0 {
		h.n = uint8(len(slices.Delete(h.Letters(), i, i+1)))
	}
}

// counted is what the history needs to know of one side: the sequence numbers of the latest segment
// of each kind, so that a retransmission is not recorded again, and how often other events happened.
type counted struct {
	syn, fin, rst             uint32
	retransmits, zeroes, gaps Counter
}

// segment records a segment by its most important flag.
func (h *History) segment(s *segment, seq int64, l *counted) {
	again := func(bit uint8, letter byte, latest *uint32, seq uint32) {
		if h.once(s.side, bit, letter) && *latest != seq {
			h.Add(s.side, letter)
		}
		*latest = seq
	}
	switch {
	case s.FIN() && s.RST():
		h.once(s.side, sawFINAndRST, 'I')
	case s.SYN() && (s.FIN() || s.RST()):
		h.once(s.side, sawSYNAndMore, 'Q')
	case s.SYN() && s.ACK():
		again(sawSYN, 'H', &l.syn, uint32(seq))
	case s.SYN():
		again(sawSYN, 'S', &l.syn, uint32(seq))
	case s.FIN():
		again(sawFIN, 'F', &l.fin, uint32(seq)+uint32(s.length))
	case s.RST():
		again(sawRST, 'R', &l.rst, uint32(seq))
	case s.length > 0:
		h.once(s.side, sawData, 'D')
	case s.ACK():
		h.once(s.side, sawACK, 'A')
	}
}

// A Counter counts events of which the 1st, 10th, 100th, … get a letter in the history.
type Counter uint32

// Add counts an event, and reports whether its letter is due.
func (c *Counter) Add() bool {
	*c++
	n := *c
	for n%10 == 0 && n > 0 {
		n /= 10
	}
	return n == 1
}
