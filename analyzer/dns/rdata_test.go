package dns

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	. "example.com/conn/analyzer/protocol/protocoltest"
)

func TestAnswers(t *testing.T) {
	const zero16 = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	soa := wire("Name.example") + wire("admin") + zero16 + "\x00\x00\x00\x00"
	rrsig := "\x00\x01\x08" + zero16[:15]
	param := func(key int, value string) string { return short(key) + short(len(value)) + value }
	for _, tt := range []struct {
		kind  int
		data  string
		want  string // "-": the record is skipped
		weird string // its name and details
	}{
		{1, "\xc0\x00\x02\x01", "192.0.2.1", ""},
		{2, wire("Name.example"), "name.example", ""},
		{5, wire("Name.example"), "name.example", ""},
		{6, soa, "name.example", ""},
		{11, "\x00", "", ""},
		{12, wire("Name.example"), "name.example", ""},
		{13, "\x03cpu\x02os", "-", ""},
		{15, "\x00\x01" + wire("Name.example"), "name.example", ""},
		{16, "\x03one\x03two", "TXT 3 one TXT 3 two", ""},
		{16, "\x00", "TXT 0 ", ""},
		{16, "\x0ctwelve bytes", "TXT 12 twelve bytes", ""},
		{16, "\x01\xff", `TXT 1 \xff`, ""},
		{28, "\x20\x01\x0d\xb8" + zero16[:11] + "\x01", "2001:db8::1", ""},
		{29, "\x00\x01\x02\x03" + zero16[:12], "LOC:  1 2 3", ""},
		{29, "\x09\x01\x02\x03" + zero16[:12], "LOC:  1 2 3", "DNS_LOC_version_unrecognized 9"},
		{32, "\x01", "-", ""},
		{33, "\x00\x01\x00\x02\x00\x50" + wire("Name.example"), "name.example", ""},
		{35, "\x00\x01\x00\x02\x01s\x03SIP\x00" + wire("Name.example"), "NAPTR 1 2 s SIP name.example", ""},
		{35, "\x00\x01\x00\x02\x01u\x03SIP\x02!!" + wire(""), "NAPTR 1 2 u SIP !!", ""},
		{35, "\x00\x01\x00\x02\x01u\x03SIP\x02!!" + wire("n"), "NAPTR 1 2 u SIP !! n", ""},
		{38, zero16 + "\x01", "::", ""},
		{39, wire("a"), "<unknown type=39>", "DNS_RR_unknown_type 39"},
		{41, "\x00\x08\x00\x01x", "-", ""},
		{41, "\x00\x08\x00\x00", "-", ""},
		{43, "\x00\x01\x08\x02", "DS 8 2", ""},
		{43, "\x00\x01\x08\x04", "DS 8 4", ""},
		{43, "\x00\x01\x08\x05", "DS 8 5", "DNSSEC_DS_unknown_DigestType 5"},
		{43, "\x00\x01\x08\x00", "DS 8 0", "DNSSEC_DS_ReservedDigestType 0"},
		{44, "\x01\x02\x0a\xff", "SSHFP: 0aff", ""},
		{46, rrsig + wire("Name.example") + "sig", "RRSIG 1 name.example", ""},
		{46, rrsig + wire("") + "sig", "RRSIG 1 <Root>", ""},
		{46, "\x00\x01\x01" + zero16[:15] + wire("a"), "RRSIG 1 a", "DNSSEC_RRSIG_NotRecommended_ZoneSignAlgo 1"},
		{47, wire("Next.example") + "\x00\x01\x40", "NSEC a next.example", ""},
		{48, "\x01\x00\x03\x08key", "DNSKEY 8", ""},
		{48, "\x01\x01\x03\x0dkey", "DNSKEY 13", ""},
		{48, "\x01\x80\x03\x02key", "DNSKEY 2", ""},
		{48, "\x01\x81\x03\x08key", "DNSKEY 8", "DNSSEC_DNSKEY_Revoked_KSK 385"},
		{48, "\x02\x00\x03\x08key", "DNSKEY 8", "DNSSEC_DNSKEY_Invalid_Flag 512"},
		{48, "\x01\x00\x02\x08key", "DNSKEY 8", "DNSSEC_DNSKEY_Invalid_Protocol 2"},
		{48, "\x01\x00\x03\x01key", "DNSKEY 1", "DNSSEC_DNSKEY_NotRecommended_ZoneSignAlgo 1"},
		{48, "\x01\x00\x03\x00key", "DNSKEY 0", "DNSSEC_DNSKEY_unknown_ZoneSignAlgo 0"},
		{48, "\x01\x00\x03\x09key", "DNSKEY 9", "DNSSEC_DNSKEY_unknown_ZoneSignAlgo 9"},
		{48, "\x01\x00\x03\x0akey", "DNSKEY 10", ""},
		{48, "\x01\x00\x03\x0bkey", "DNSKEY 11", "DNSSEC_DNSKEY_unknown_ZoneSignAlgo 11"},
		{48, "\x01\x00\x03\x0ckey", "DNSKEY 12", ""},
		{48, "\x01\x00\x03\x10key", "DNSKEY 16", ""},
		{48, "\x01\x00\x03\x11key", "DNSKEY 17", "DNSSEC_DNSKEY_unknown_ZoneSignAlgo 17"},
		{48, "\x01\x00\x03\xfbkey", "DNSKEY 251", "DNSSEC_DNSKEY_unknown_ZoneSignAlgo 251"},
		{48, "\x01\x00\x03\xfckey", "DNSKEY 252", "DNSSEC_DNSKEY_Indirect_ZoneSignAlgo 252"},
		{48, "\x01\x00\x03\xfdkey", "DNSKEY 253", "DNSSEC_DNSKEY_PrivateDNS_ZoneSignAlgo 253"},
		{48, "\x01\x00\x03\xfekey", "DNSKEY 254", "DNSSEC_DNSKEY_PrivateOID_ZoneSignAlgo 254"},
		{48, "\x01\x00\x03\xffkey", "DNSKEY 255", "DNSSEC_DNSKEY_unknown_ZoneSignAlgo 255"},
		{50, "\x01\x00\x00\x00\x00\x00", "NSEC3", ""},
		{51, "\x01\x00\x00\x00\x00", "NSEC3PARAM", ""},
		{52, "\x01", "<unknown type=52>", "DNS_RR_unknown_type 52"},
		{64, "\x00\x01" + wire("a"), "-", ""},
		{64, "\x00\x01" + wire(""), "-", ""},
		{65, "\x00\x01" + wire("") + param(1, ""), "-", ""},
		{65, "\x00\x01" + wire("") + param(1, "\x02h2\x02h3") + param(3, "\x01\xbb") + param(4, "abcd"), "-", ""},
		{65, "\x00\x01" + wire("") + param(1, "\x00"), "-", ""},
		{99, "\x06v=spf1", "SPF 6 v=spf1", ""},
		{249, "\x01", "-", ""},
		{250, "\x01", "-", ""},
		{257, "\x00\x05issueca", "-", ""},
		{257, "\x00\x00v", "-", ""},
		{257, "\x00\x02tag", "-", ""},
		{65534, "\x08\x00\x01\x00\x01", "BIND9 signing signal", ""},
	} {
		t.Run(fmt.Sprintf("type %d %s %s", tt.kind, tt.want, tt.weird), func(t *testing.T) {
			m := msg{flags: isReply | aaRA, q: []string{question("a", 1)}, an: []string{rr("a", tt.kind, tt.data), a("b")}}
			rows, o := observe(t, server, query(0, "a"), Resp(m.encode()))
			want := []string{tt.want, "192.0.2.1"}
			if tt.want == "-" || tt.want == "" {
				want = want[1:]
			}
			assert.Equal(t, want, rows[0].Answers)
			assert.Len(t, rows[0].TTLs, len(want))
			assert.True(t, o.Confirmed)
			if tt.weird == "" {
				assert.Empty(t, o.Weirds)
			} else {
				name, addl, _ := strings.Cut(tt.weird, " ")
				assert.Equal(t, map[string]string{name: addl}, o.Addl)
			}
			m.an = m.an[:1]
			rows, _ = observe(t, server, query(0, "a"), Resp(m.encode()))
			assert.Equal(t, tt.want != "-", rows[0].RTT != nil)
			assert.Equal(t, tt.want != "-", rows[0].AA)
		})
	}
}

func TestDamagedData(t *testing.T) {
	param := func(key int, value string) string { return "\x00\x01\x00" + short(key) + short(len(value)) + value }
	const zeros = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	for what, tt := range map[string]struct {
		kind  int
		data  string
		weird string
		want  string // the text of the record, "" if there is none
		on    bool   // the next record is read
	}{
		"A, 3 bytes":               {1, "123", "DNS_RR_bad_length", "", false},
		"A, 5 bytes":               {1, "12345", "DNS_RR_bad_length", "", false},
		"AAAA, 15 bytes":           {28, zeros[:15], "DNS_RR_bad_length", "", false},
		"name is shorter":          {5, "\x01b\x00", "", "b", true},
		"string too long":          {16, "\x01a\x05b", "DNS_TXT_char_str_past_rdlen", "TXT 1 a", false},
		"string too long by one":   {16, "\x02a", "DNS_TXT_char_str_past_rdlen", "", false},
		"string too long, no byte": {16, "\x05", "DNS_TXT_char_str_past_rdlen", "", true},
		"HINFO, three strings":     {13, "\x01a\x01b\x01c", "", "", false},
		"HINFO, one string":        {13, "\x01a", "", "", true},
		"HINFO, cut":               {13, "\x01a\x02b", "DNS_TXT_char_str_past_rdlen", "", false},
		"NAPTR, two strings":       {35, "\x00\x01\x00\x02\x01s\x01S", "", "", false},
		"CAA, tag too long":        {257, "\x00\x03tag", "DNS_CAA_char_str_past_rdlen", "", false},
		"CAA, no tag":              {257, "\x00", "DNS_CAA_char_str_past_rdlen", "", false},
		"EDNS, option cut":         {41, "\x00\x08\x00\x02x", "EDNS_truncated_option", "", false},
		"EDNS, one byte":           {41, "\x00", "EDNS_truncated_option", "", false},
		"EDNS, option header cut":  {41, "\x00\x08\x00", "EDNS_truncated_option", "", false},
		"SVCB, no name":            {64, "\x00\x01", "DNS_SVCB_wrong_length", "", false},
		"SVCB, ALPN too long":      {65, param(1, "\x02h2\x08h3"), "DNS_SVCB_alpn_length_invalid", "", false},
		"SVCB, ALPN longer by one": {65, param(1, "\x02h2\x03h3"), "DNS_SVCB_alpn_length_invalid", "", false},
		"SVCB, ALPN too short":     {65, param(1, "\x02h2\x01h3"), "DNS_SVCB_alpn_length_invalid", "", false},
		"SVCB, port":               {65, param(3, "\x00\x01\xbb"), "DNS_SVCB_port_length_invalid", "", false},
		"SVCB, no port":            {65, param(3, ""), "DNS_SVCB_port_length_invalid", "", false},
		"SVCB, another key":        {65, param(0x103, "\x00\x01\xbb"), "", "", true},
		"SVCB, parameter cut":      {65, "\x00\x01\x00\x00\x01\x00\x09h2", "", "", false},
	} {
		t.Run(what, func(t *testing.T) {
			m := msg{flags: isReply, an: []string{rr("a", tt.kind, tt.data), a("b")}}
			rows, o := observe(t, server, Resp(m.encode()))
			var want []string
			if tt.want != "" {
				want = append(want, tt.want)
			}
			if tt.on {
				want = append(want, "192.0.2.1")
			}
			assert.Equal(t, want, rows[0].Answers)
			assert.Equal(t, tt.on, o.Confirmed)
			if tt.weird == "" {
				assert.Empty(t, o.Weirds)
			} else {
				assert.Equal(t, []string{tt.weird}, o.Weirds)
			}
		})
	}
}

// TestMessageEndsInData plays records whose data is complete by its length and ends the message,
// but is too short.
func TestMessageEndsInData(t *testing.T) {
	for kind, least := range map[int]int{6: 22, 29: 15, 43: 4, 44: 2, 46: 18, 48: 4, 50: 6, 51: 5, 65534: 5} {
		t.Run(fmt.Sprint(kind), func(t *testing.T) {
			for _, n := range []int{least - 1, least} {
				m := msg{flags: isReply, an: []string{rr("a", kind, strings.Repeat("\x00", n))}}
				rows, o := observe(t, server, Resp(m.encode()))
				assert.Equal(t, n == least, o.Confirmed, "%d bytes of type %d", n, kind)
				assert.Equal(t, n == least, rows[0].RTT == nil && len(rows[0].Answers) == 1 || kind == 6 && o.Confirmed, "type %d", kind)
			}
		})
	}
}

// TestEndOfNameOverridesLength plays records whose stated length is wrong: like Zeek, the parser
// uses the end of the name.
func TestEndOfNameOverridesLength(t *testing.T) {
	soa := wire("b") + wire("c") + strings.Repeat("\x00", 20)
	for kind, data := range map[int]string{
		2: wire("b"), 5: wire("b"), 12: wire("b"), 6: soa, 15: "\x00\x01" + wire("b"), 33: "\x00\x01\x00\x02\x00\x03" + wire("b"),
	} {
		t.Run(fmt.Sprint(kind), func(t *testing.T) {
			for _, wrong := range []int{-1, 1} {
				record := wire("a") + short(kind) + short(1) + "\x00\x00\x00\x00" + short(len(data)+wrong) + data
				rows, o := observe(t, server, Resp(msg{flags: isReply, an: []string{record, a("b")}}.encode()))
				assert.Equal(t, []string{"b", "192.0.2.1"}, rows[0].Answers, "type %d", kind)
				assert.Equal(t, []string{"DNS_RR_length_mismatch"}, o.Weirds)
				assert.True(t, o.Confirmed)
			}
		})
	}
}
