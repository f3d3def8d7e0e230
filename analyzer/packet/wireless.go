package packet

import (
	"encoding/binary"
)

// radiotap skips the radio information that the capturing card adds.
func (d *Decoder) radiotap(data []byte) (kind, []byte) {
	n := int(binary.LittleEndian.Uint16(data[2:]))
	if n >= len(data) {
		return d.bad("truncated_radiotap_header")
	}
	return wlan, data[n:]
}

// Bits of 802.11's frame control field.
const (
	wlanData    = 0x08
	wlanNoData  = 0x40
	wlanQoS     = 0x80
	wlanToDS    = 0x01
	wlanFromDS  = 0x02
	wlanCrypted = 0x40
	wlanOrder   = 0x80
)

// wlan opens 802.11 data frames that are not encrypted.
func (d *Decoder) wlan(data []byte) (kind, []byte) {
	kindBits, flags := data[0], data[1]
	if kindBits&0x0c != wlanData || kindBits&wlanNoData != 0 || flags&wlanCrypted != 0 {
		return done, nil
	}
	header := 24
	if flags&wlanToDS != 0 && flags&wlanFromDS != 0 {
		header += 6 // fourth address
	}
	next := llc
	if kindBits&wlanQoS != 0 {
		if len(data) > header && data[header]&0x80 != 0 {
			next = amsdu
		}
		header += 2
		if flags&wlanOrder != 0 {
			header += 4 // HT control
		}
	}
	if len(data) <= header {
		return d.bad("truncated_802_11_header")
	}
	return next, data[header:]
}

// amsdu opens the first of several packets in a frame, and leaves the others pending.
func (d *Decoder) amsdu(data []byte) (kind, []byte) {
	n := be16(data[12:])
	if len(data)-14 < n {
		return d.bad("truncated_802_11_amsdu_packet")
	}
	first := data[14 : 14+n]
	if next := (14 + n + 3) &^ 3; next < len(data) {
		d.pending = append(d.pending, rest{amsdu, data[next:], d.missing, len(d.chain)})
	}
	d.missing = 0
	return llc, first
}
