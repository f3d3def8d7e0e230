package dns

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"

	"example.com/conn/analyzer/logs"
)

// An rdataReader reads the data of the current record. text is what Zeek logs of it. logged is
// false for a record that Zeek skips; ok is false if the rest of the message cannot be read.
//
// For damaged data, ok follows Zeek. Some readers therefore accept a name that is longer than the
// record, and leave m at the end of the name. The others leave m anywhere, and the next record
// begins at m.record.end.
type rdataReader func(m *message) (text string, logged, ok bool)

// readers maps a type to its reader. The other types are [unknown].
var readers = map[uint16]rdataReader{
	1: readA, 2: readName, 5: readName, 6: readSOA, 11: noText, 12: readName, 13: readHINFO, 15: readMX, 16: readTXT,
	28: readAAAA, 29: readLOC, 32: notLogged, 33: readSRV, 35: readNAPTR, 38: readAAAA, 41: readOPT, 43: readDS,
	44: readSSHFP, 46: readRRSIG, 47: readNSEC, 48: readDNSKEY, 50: fixed(6, "NSEC3"), 51: fixed(5, "NSEC3PARAM"),
	64: readSVCB, 65: readSVCB, 99: readTXT, 249: notLogged, 250: notLogged, 257: readCAA,
	65534: fixed(5, "BIND9 signing signal"),
}

// rdata reads the data of the current record, up to the next one.
func (m *message) rdata() (text string, logged, ok bool) {
	read := readers[m.record.kind]
	if read == nil {
		read = unknown
	}
	text, logged, ok = read(m)
	if !endsWithName[m.record.kind] {
		m.at = m.record.end
	} else if ok && m.at != m.record.end {
		m.fault("DNS_RR_length_mismatch", "")
	}
	return text, logged, ok
}

// endsWithName lists the types whose records end where their data does, whatever length they state.
// They contain names.
var endsWithName = map[uint16]bool{2: true, 5: true, 6: true, 12: true, 15: true, 33: true}

func unknown(m *message) (string, bool, bool) {
	n := strconv.Itoa(int(m.record.kind))
	m.fault("DNS_RR_unknown_type", n)
	return "<unknown type=" + n + ">", true, true
}

func notLogged(*message) (string, bool, bool) { return "", false, true }
func noText(*message) (string, bool, bool)    { return "", true, true }

// fixed returns a reader for records of at least the given number of bytes, for which only text is
// logged.
func fixed(least int, text string) rdataReader {
	return func(m *message) (string, bool, bool) { return text, m.left() >= least, m.left() >= least }
}

// nameText reads a name as the whole text.
func (m *message) nameText() (string, bool, bool) { return logs.Text(m.name()), true, true }

func readName(m *message) (string, bool, bool) { return m.nameText() }

func readMX(m *message) (string, bool, bool) {
	m.uint16()
	return m.nameText()
}

func readSRV(m *message) (string, bool, bool) {
	if m.netbios { // it is NBSTAT
		m.at = m.record.end
		return "", false, true
	}
	m.uint16()
	m.uint32()
	return m.nameText()
}

func readSOA(m *message) (string, bool, bool) {
	primary := logs.Text(m.name())
	m.walk(false)
	if m.left() < 20 {
		return "", false, false
	}
	m.at += 20
	return primary, true, true
}

func readA(m *message) (string, bool, bool) {
	if m.record.end-m.at != 4 {
		m.fault("DNS_RR_bad_length", "")
		return "", false, false
	}
	return m.address(netip.AddrFrom4([4]byte(m.rest())))
}

// readAAAA also reads A6: Zeek treats its first 16 bytes as an address.
func readAAAA(m *message) (string, bool, bool) {
	if m.record.end-m.at < 16 {
		m.fault("DNS_RR_bad_length", "")
		return "", false, false
	}
	return m.address(netip.AddrFrom16([16]byte(m.rest())))
}

func (m *message) address(a netip.Addr) (string, bool, bool) {
	text := a.String()
	if m.update() {
		text = typeName(m.record.kind) + " " + m.nameAt(m.record.name) + " " + text
	}
	return text, true, true
}

// charString reads a character string of RFC 1035: a length and as many bytes. ok is false if there
// is none.
func (m *message) charString() (s []byte, ok bool) {
	rest := m.rest()
	if len(rest) == 0 {
		return nil, false
	}
	n := int(rest[0])
	if n >= len(rest) {
		m.fault("DNS_TXT_char_str_past_rdlen", "")
		m.at++
		return nil, false
	}
	m.at += 1 + n
	return rest[1 : 1+n], true
}

// readTXT also reads SPF.
func readTXT(m *message) (string, bool, bool) {
	m.text = m.text[:0]
	for {
		s, ok := m.charString()
		if !ok {
			return logs.Text(m.text), true, m.at == m.record.end
		}
		if len(m.text) > logs.MaxText {
			continue
		}
		if len(m.text) > 0 {
			m.text = append(m.text, ' ')
		}
		m.text = append(append(m.text, typeName(m.record.kind)...), ' ')
		m.text = append(strconv.AppendInt(m.text, int64(len(s)), 10), ' ')
		m.text = append(m.text, s...)
	}
}

func readHINFO(m *message) (string, bool, bool) {
	m.charString()
	m.charString()
	return "", false, m.at == m.record.end
}

func readNAPTR(m *message) (string, bool, bool) {
	order, preference := m.uint16(), m.uint16()
	var texts [3]string // flags, services and a regular expression
	for i := range texts {
		s, ok := m.charString()
		if !ok {
			return "", false, false
		}
		texts[i] = logs.Text(s)
	}
	text := fmt.Sprintf("NAPTR %d %d %s %s %s", order, preference, texts[0], texts[1], texts[2])
	if replacement := logs.Text(m.name()); replacement != "" {
		if texts[2] != "" {
			text += " "
		}
		text += replacement
	}
	return text, true, true
}

func readRRSIG(m *message) (string, bool, bool) {
	if m.left() < 18 {
		return "", false, false
	}
	covered, algorithm := m.uint16(), m.data[m.at]
	m.at += 16
	m.zoneSigning("RRSIG", algorithm)
	signer := logs.Text(m.name())
	if signer == "" {
		signer = "<Root>"
	}
	return fmt.Sprintf("RRSIG %d %s", covered, signer), true, true
}

func readDNSKEY(m *message) (string, bool, bool) {
	if m.left() < 4 {
		return "", false, false
	}
	const zoneKey, revoked, entryPoint = 0x100, 0x80, 1
	flags := m.uint16()
	proto, algorithm := m.data[m.at], m.data[m.at+1]
	if flags&^(zoneKey|revoked|entryPoint) != 0 {
		m.fault("DNSSEC_DNSKEY_Invalid_Flag", strconv.Itoa(int(flags)))
	}
	if flags&(zoneKey|revoked|entryPoint) == zoneKey|revoked|entryPoint {
		m.fault("DNSSEC_DNSKEY_Revoked_KSK", strconv.Itoa(int(flags)))
	}
	if proto != 3 {
		m.fault("DNSSEC_DNSKEY_Invalid_Protocol", strconv.Itoa(int(proto)))
	}
	m.zoneSigning("DNSKEY", algorithm)
	return fmt.Sprintf("DNSKEY %d", algorithm), true, true
}

// zoneSigning adds a fault for an algorithm that should not sign zones.
func (m *message) zoneSigning(record string, algorithm uint8) {
	what := "unknown"
	switch {
	case algorithm == 1:
		what = "NotRecommended"
	case algorithm >= 2 && algorithm <= 8, algorithm == 10, algorithm >= 12 && algorithm <= 16:
		return
	case algorithm >= 252 && algorithm <= 254:
		what = [...]string{"Indirect", "PrivateDNS", "PrivateOID"}[algorithm-252]
	}
	m.fault("DNSSEC_"+record+"_"+what+"_ZoneSignAlgo", strconv.Itoa(int(algorithm)))
}

func readDS(m *message) (string, bool, bool) {
	if m.left() < 4 {
		return "", false, false
	}
	algorithm, digest := m.data[m.at+2], m.data[m.at+3]
	switch {
	case digest == 0:
		m.fault("DNSSEC_DS_ReservedDigestType", "0")
	case digest > 4:
		m.fault("DNSSEC_DS_unknown_DigestType", strconv.Itoa(int(digest)))
	}
	return fmt.Sprintf("DS %d %d", algorithm, digest), true, true
}

func readNSEC(m *message) (string, bool, bool) {
	next := logs.Text(m.name())
	return "NSEC " + m.nameAt(m.record.name) + " " + next, true, true
}

func readSSHFP(m *message) (string, bool, bool) {
	if m.left() < 2 {
		return "", false, false
	}
	m.at += 2
	print := m.rest()
	return "SSHFP: " + hex.EncodeToString(print[:min(len(print), logs.MaxText/2)]), true, true
}

func readLOC(m *message) (string, bool, bool) {
	if m.left() < 15 {
		return "", false, false
	}
	loc := m.data[m.at:]
	if loc[0] != 0 {
		m.fault("DNS_LOC_version_unrecognized", strconv.Itoa(int(loc[0])))
	}
	// size, horizontal and vertical precision
	return fmt.Sprintf("LOC:  %d %d %d", loc[1], loc[2], loc[3]), true, true
}

func readCAA(m *message) (string, bool, bool) {
	if size := m.record.end - m.at; size < 3 || int(m.data[m.at+1]) >= size-2 {
		m.fault("DNS_CAA_char_str_past_rdlen", "")
		return "", false, false
	}
	return "", false, true
}

// readOPT reads the options of EDNS, but only among the answers, where they do not belong: Zeek
// does not read the additional records.
func readOPT(m *message) (string, bool, bool) {
	rest := m.rest()
	for len(rest) >= 4 {
		n := int(binary.BigEndian.Uint16(rest[2:]))
		if n > len(rest)-4 {
			break
		}
		rest = rest[4+n:]
	}
	if len(rest) > 0 {
		m.fault("EDNS_truncated_option", "")
	}
	return "", false, len(rest) == 0
}

// readSVCB also reads HTTPS: a priority, a name, and parameters.
func readSVCB(m *message) (string, bool, bool) {
	if m.record.end-m.at < 3 {
		m.fault("DNS_SVCB_wrong_length", "")
		return "", false, false
	}
	m.uint16()
	m.walk(false)
	for rest := m.rest(); len(rest) >= 4; {
		key, n := binary.BigEndian.Uint16(rest), int(binary.BigEndian.Uint16(rest[2:]))
		if rest = rest[4:]; n > len(rest) {
			return "", false, false
		}
		const alpn, port = 1, 3
		switch {
		case key == alpn && !charStrings(rest[:n]):
			m.fault("DNS_SVCB_alpn_length_invalid", "")
			return "", false, false
		case key == port && n != 2:
			m.fault("DNS_SVCB_port_length_invalid", "")
			return "", false, false
		}
		rest = rest[n:]
	}
	return "", false, true
}

// charStrings reports whether value consists of strings, each preceded by its length.
func charStrings(value []byte) bool {
	for len(value) > 0 && int(value[0]) < len(value) {
		value = value[1+int(value[0]):]
	}
	return len(value) == 0
}
