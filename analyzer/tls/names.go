package tls

import (
	"strconv"
)

const (
	ssl2   = 0x0002
	tls13  = 0x0304
	dtls13 = 0xfefc
	draft  = 0x7f // the upper half of the versions of TLS 1.3's drafts
)

// versionOK reports whether a hello may have this version.
func versionOK(version uint16) bool {
	return version == ssl2 || version>>8 == 3 && version <= tls13 || version>>8 == draft || isDTLS(byte(version>>8), byte(version))
}

var versions = map[uint16]string{
	ssl2: "SSLv2", 0x0300: "SSLv3", 0x0301: "TLSv10", 0x0302: "TLSv11", 0x0303: "TLSv12", tls13: "TLSv13",
	0xfeff: "DTLSv10", 0xfefd: "DTLSv12", dtls13: "DTLSv13",
}

func versionName(version uint16) string {
	if version>>8 == draft {
		return "TLSv13-draft" + strconv.Itoa(int(version&0xff))
	}
	return name(versions, version)
}

// name returns the name of a number, or what Zeek calls one without a name.
func name[N uint16 | uint32](names map[N]string, n N) string {
	if s, ok := names[n]; ok {
		return s
	}
	return "unknown-" + strconv.Itoa(int(n))
}

// curves is IANA's registry "TLS Supported Groups", with the drafts of Kyber.
var curves = map[uint16]string{
	1: "sect163k1", 2: "sect163r1", 3: "sect163r2", 4: "sect193r1", 5: "sect193r2", 6: "sect233k1", 7: "sect233r1",
	8: "sect239k1", 9: "sect283k1", 10: "sect283r1", 11: "sect409k1", 12: "sect409r1", 13: "sect571k1", 14: "sect571r1",
	15: "secp160k1", 16: "secp160r1", 17: "secp160r2", 18: "secp192k1", 19: "secp192r1", 20: "secp224k1", 21: "secp224r1",
	22: "secp256k1", 23: "secp256r1", 24: "secp384r1", 25: "secp521r1",
	26: "brainpoolP256r1", 27: "brainpoolP384r1", 28: "brainpoolP512r1", 29: "x25519", 30: "x448",
	31: "brainpoolP256r1tls13", 32: "brainpoolP384r1tls13", 33: "brainpoolP512r1tls13",
	34: "GC256A", 35: "GC256B", 36: "GC256C", 37: "GC256D", 38: "GC512A", 39: "GC512B", 40: "GC512C", 41: "curveSM2",
	256: "ffdhe2048", 257: "ffdhe3072", 258: "ffdhe4096", 259: "ffdhe6144", 260: "ffdhe8192",
	512: "MLKEM512", 513: "MLKEM768", 514: "MLKEM1024",
	4587: "SecP256r1MLKEM768", 4588: "X25519MLKEM768", 4589: "SecP384r1MLKEM1024", 4590: "curveSM2MLKEM768",
	25497: "X25519Kyber768Draft00", 25498: "SecP256r1Kyber768Draft00",
	0xff01: "arbitrary_explicit_prime_curves", 0xff02: "arbitrary_explicit_char2_curves",
}

func curveName(id uint16) string { return name(curves, id) }

var alerts = map[uint16]string{
	0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 21: "decryption_failed", 22: "record_overflow",
	30: "decompression_failure", 40: "handshake_failure", 41: "no_certificate", 42: "bad_certificate",
	43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired", 46: "certificate_unknown",
	47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error", 51: "decrypt_error",
	60: "export_restriction", 52: "too_many_cids_requested", 70: "protocol_version", 71: "insufficient_security", 80: "internal_error",
	86: "inappropriate_fallback", 90: "user_canceled", 100: "no_renegotiation", 109: "missing_extension",
	110: "unsupported_extension", 111: "certificate_unobtainable", 112: "unrecognized_name",
	113: "bad_certificate_status_response", 114: "bad_certificate_hash_value", 115: "unknown_psk_identity",
	116: "certificate_required", 117: "general_error", 120: "no_application_protocol", 121: "ech_required",
}

func alertName(code byte) string { return name(alerts, uint16(code)) }
