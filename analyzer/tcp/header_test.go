package tcp_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"example.com/conn/analyzer/tcp"
)

func TestParse(t *testing.T) {
	segment := func(offset byte, n int) []byte {
		b := make([]byte, n)
		b[12] = offset << 4
		return b
	}
	for name, c := range map[string]struct {
		segment []byte
		header  int // its length, 0 if it is not ok
	}{
		"nothing":                        {nil, 0},
		"a byte too short":               {make([]byte, 19), 0},
		"offset of less than a header":   {segment(4, 60), 0},
		"header alone":                   {segment(5, 20), 20},
		"header and payload":             {segment(5, 27), 20},
		"options":                        {segment(15, 60), 60},
		"options and payload":            {segment(6, 30), 24},
		"options that were not captured": {segment(6, 23), 0},
	} {
		t.Run(name, func(t *testing.T) {
			h, payload, ok := tcp.Parse(c.segment)
			assert.Equal(t, c.header > 0, ok)
			assert.Len(t, h, c.header)
			if ok {
				assert.Len(t, payload, len(c.segment)-c.header)
			}
		})
	}
}

func TestHeaderFields(t *testing.T) {
	h := tcp.Header{0x9c, 0x40, 0, 80, 1, 2, 3, 4, 5, 6, 7, 8, 0x50, 0, 9, 10, 11, 12, 13, 14}
	assert.Equal(t, uint16(40000), h.SrcPort())
	assert.Equal(t, uint16(80), h.DstPort())
	assert.Equal(t, uint32(0x01020304), h.Seq())
	assert.Equal(t, uint32(0x05060708), h.Ack())
	assert.Equal(t, uint16(0x090a), h.Window())
	assert.Equal(t, 20, tcp.DataOffset(h))
	for bit, want := range map[byte][5]bool{
		0x01: {true}, 0x02: {1: true}, 0x04: {2: true}, 0x10: {3: true}, 0x20: {4: true}, 0x08: {}, 0x40: {}, 0x80: {},
	} {
		h[13] = bit
		assert.Equal(t, want, [5]bool{h.FIN(), h.SYN(), h.RST(), h.ACK(), h.URG()}, "%#x", bit)
	}
}

func TestWindowScale(t *testing.T) {
	for name, c := range map[string]struct {
		options []byte
		want    uint8
	}{
		"none":                         {nil, 0},
		"alone":                        {[]byte{3, 3, 7}, 7},
		"after others":                 {[]byte{2, 4, 5, 0xb4, 1, 4, 2, 3, 3, 9}, 9},
		"before others":                {[]byte{3, 3, 9, 2, 4, 5, 0xb4}, 9},
		"after the end":                {[]byte{0, 3, 3, 7}, 0},
		"twice":                        {[]byte{3, 3, 7, 3, 3, 8}, 8},
		"too large":                    {[]byte{3, 3, 15}, 14},
		"largest":                      {[]byte{3, 3, 14}, 14},
		"much too large":               {[]byte{3, 3, 255}, 14},
		"of another length":            {[]byte{3, 4, 7, 7}, 0},
		"empty":                        {[]byte{3, 2}, 0},
		"cut before its length":        {[]byte{3}, 0},
		"cut":                          {[]byte{3, 3}, 0},
		"after one of no length":       {[]byte{2, 0, 3, 3, 7}, 0},
		"after one of length 1":        {[]byte{2, 1, 3, 3, 7}, 0},
		"after one that is too long":   {[]byte{2, 200, 3, 3, 7}, 0},
		"after one without its length": {[]byte{1, 1, 2}, 0},
		"after an empty one":           {[]byte{4, 2, 3, 3, 7}, 7},
		"of another kind":              {[]byte{5, 3, 7}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := append(make(tcp.Header, 20), c.options...)
			assert.Equal(t, c.want, h.WindowScale())
		})
	}
}
