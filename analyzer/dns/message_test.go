package dns

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"example.com/conn/analyzer/logs"
	. "example.com/conn/analyzer/protocol/protocoltest"
)

// pointer returns a compressed name.
func pointer(offset int) string { return short(0xc000 | offset) }

func TestNames(t *testing.T) {
	// chain returns n pointers to pointers to "x". The question begins with the last.
	chain := func(n int) (s string) {
		s = "\x01x\x00" + short(1) + short(1)
		at := headerLen
		for range n {
			s += pointer(at) + short(1) + short(1)
			at = headerLen + len(s) - 6
		}
		return s
	}
	for what, tt := range map[string]struct {
		data  string // after the header
		count int
		want  string
		weird string
	}{
		"root":               {"\x00" + short(1) + short(1), 1, "0 /A/", ""},
		"upper case":         {question("Ab@[Z", 1), 1, "0 ab@[z/A/", ""},
		"dots in a label":    {"\x03a.b\x00" + short(1) + short(1), 1, "0 a.b/A/", ""},
		"not UTF-8":          {question("a\xff", 1), 1, `0 a\xff/A/`, ""},
		"63 bytes":           {question(strings.Repeat("x", 63), 1), 1, "0 " + strings.Repeat("x", 63) + "/A/", ""},
		"64 bytes":           {"\x01a\x40" + short(1) + short(1) + strings.Repeat("b", 60), 1, "0 a/A/", "DNS_label_too_long"},
		"pointer":            {question("a.b", 1) + "\x01c" + pointer(headerLen+2) + short(1) + short(1), 2, "0 c.b/A/", ""},
		"pointer to root":    {question("a", 1) + "\x01c" + pointer(headerLen+2) + short(1) + short(1), 2, "0 c/A/", ""},
		"pointer to itself":  {"\x01a" + pointer(headerLen+2) + short(1) + short(1), 1, "0 a/A/", "DNS_label_forward_compress_offset"},
		"pointer forward":    {pointer(headerLen+6) + short(1) + short(1), 1, "0 /A/", "DNS_label_forward_compress_offset"},
		"pointer into name":  {"\x01a\x01b" + pointer(headerLen) + short(1) + short(1), 1, "0 a.b.a.b/A/", ""},
		"pointer to header":  {pointer(11) + short(1) + short(1), 1, "0 /A/", ""},
		"pointer cut":        {"\xc0", 1, "0//", "DNS_truncated_quest_too_short"},
		"label cut":          {"\x05abcd", 1, "0//", "DNS_label_len_gt_pkt"},
		"label to the end":   {"\x04abcd", 1, "0//", "DNS_truncated_quest_too_short"},
		"type cut":           {"\x01a\x00\x00\x01\x00", 1, "0//", "DNS_truncated_quest_too_short"},
		"nothing":            {"", 1, "0//", "DNS_truncated_quest_too_short"},
		"20 pointers":        {chain(20), 21, "0 x/A/", ""},
		"21 pointers":        {chain(21), 22, "0 /A/", "DNS_max_compression_chain_depth_exceeded"},
		"254 bytes":          {question(strings.Repeat("a.", 126)+"a", 1), 1, "0 " + strings.Repeat("a.", 126) + "a/A/", ""},
		"255 bytes":          {question(strings.Repeat("a.", 126)+"aa", 1), 1, "0 " + strings.Repeat("a.", 126) + "aa/A/", "DNS_NAME_too_long"},
		"512 bytes":          {question(strings.Repeat("a.", 255)+"a", 1), 1, "0 " + strings.Repeat("a.", 255) + "a/A/", "DNS_NAME_too_long"},
		"more":               {strings.Repeat("\x01a", 256) + "\x01" + short(1) + short(1), 1, "0 " + strings.Repeat("a.", 255) + "a/A/", "DNS_label_len_gt_name_len"},
		"more by a pointer":  {question(strings.Repeat("a.", 126)+"a", 1) + strings.Repeat("\x01b", 150) + pointer(headerLen) + short(1) + short(1), 2, "0 " + strings.Repeat("b.", 150) + strings.Repeat("a.", 105) + "a/A/", "DNS_label_len_gt_name_len"},
		"pointer, 14 bits":   {question("a.b", 1) + strings.Repeat("\x01c", 250) + "\x00" + short(1) + short(1) + pointer(headerLen+2) + short(1) + short(1), 3, "0 b/A/", ""},
		"reserved bits 0x80": {"\x01a\x80" + short(1) + short(1) + strings.Repeat("b", 200), 1, "0 a/A/", "DNS_label_too_long"},
	} {
		t.Run(what, func(t *testing.T) {
			m := msg{counts: [4]uint16{uint16(tt.count)}, trailer: tt.data}
			rows, o := observe(t, server, Orig(m.encode()))
			assert.Equal(t, []string{tt.want}, brief(rows))
			if tt.weird == "" {
				assert.Empty(t, o.Weirds)
				assert.True(t, o.Confirmed)
			} else {
				assert.Contains(t, o.Weirds, tt.weird)
			}
		})
	}
}

func TestNamesInAnswers(t *testing.T) {
	owner := strings.Repeat("a.", 200)
	m := msg{flags: isReply, an: []string{rr(owner+"a", 5, wire("b")), rr("x", 12, "\x01Y\x01z"+pointer(headerLen+400))}}
	rows, o := observe(t, server, Resp(m.encode()))
	assert.Equal(t, []string{"b", "y.z.a"}, rows[0].Answers)
	assert.Equal(t, owner+"a", *rows[0].Query)
	assert.Equal(t, []string{"DNS_NAME_too_long"}, o.Weirds)
	assert.True(t, o.Confirmed)

	m.an = []string{pointer(headerLen+100) + short(1) + strings.Repeat("\x00", 100), a("b")}
	_, o = observe(t, server, Resp(m.encode()))
	assert.Contains(t, o.Weirds, "DNS_label_forward_compress_offset", "even in a name that is not logged")
}

// The name of an answer is not logged if the query was seen, so its pointer is not followed.
func TestPointersOfUnloggedNamesAreNotFollowed(t *testing.T) {
	const id = 0x8001 // which would be a label that is too long
	m := msg{id: id, flags: isReply, an: []string{pointer(0) + a("")[1:]}}
	rows, o := observe(t, server, query(id, "a"), Resp(m.encode()))
	assert.Equal(t, []string{"192.0.2.1"}, rows[0].Answers)
	assert.Empty(t, o.Weirds)
	_, o = observe(t, server, Resp(m.encode()))
	assert.Equal(t, []string{"DNS_label_len_gt_pkt"}, o.Weirds)
}

func TestMessageEndsWithTTL(t *testing.T) {
	m := msg{flags: isReply, counts: [4]uint16{0, 1}, trailer: wire("a") + short(999) + short(1) + "\x00\x00\x01\x00"}
	rows := play(t, server, Resp(m.encode()))
	assert.Equal(t, []string{"<unknown type=999>"}, rows[0].Answers)
	assert.Equal(t, logs.Interval(256*time.Second), rows[0].TTLs[0])
}

func TestDamagedRecords(t *testing.T) {
	for what, tt := range map[string]struct {
		an    string
		count uint16
		weird string
		want  []string
	}{
		"short":                {wire("a") + "\x00\x01\x00", 1, "DNS_truncated_ans_too_short", nil},
		"no TTL":               {wire("a") + short(12) + short(1) + "\x00\x00\x01", 1, "DNS_zero_rdlength", nil},
		"no TTL at all":        {wire("a") + short(12) + short(1), 1, "", nil},
		"data cut":             {wire("a") + short(1) + short(1) + "\x00\x00\x00\x00" + short(4) + "123", 1, "DNS_truncated_RR_rdlength_lt_len", nil},
		"no data":              {rr("a", 5, "") + a("b"), 2, "DNS_zero_rdlength", nil},
		"no data, the end":     {rr("a", 16, ""), 1, "", nil},
		"more than there are":  {a("a"), 2, "DNS_truncated_ans_too_short", []string{"192.0.2.1"}},
		"fewer than there are": {a("a") + a("b"), 1, "", []string{"192.0.2.1"}},
	} {
		t.Run(what, func(t *testing.T) {
			m := msg{flags: isReply, counts: [4]uint16{0, tt.count}, trailer: tt.an}
			rows, o := observe(t, server, Resp(m.encode()))
			assert.Equal(t, tt.want, rows[0].Answers)
			if tt.weird == "" {
				assert.Empty(t, o.Weirds)
				return
			}
			assert.Equal(t, []string{tt.weird}, o.Weirds)
			assert.False(t, o.Confirmed)
		})
	}
}
