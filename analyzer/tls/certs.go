package tls

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"net"
	"net/netip"
	"strings"

	"example.com/conn"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

const (
	maxCerts        = 32                  // of one side
	fingerprintSize = 2*sha256.Size + 2*8 // bytes in the row, with the string header
)

// certificates logs the fingerprints of the certificates in a message, and whether the server's
// first one is for the name that the client asked for. Only that one is parsed.
func (s *state) certificates(c *conn.Connection, client bool, body cryptobyte.String) {
	var list, der cryptobyte.String
	if !body.ReadUint24LengthPrefixed(&list) {
		return
	}
	for list.ReadUint24LengthPrefixed(&der) {
		chain := &s.row.CertChain
		if client {
			chain = &s.row.ClientCertChain
		}
		switch {
		case len(der) == 0:
			s.owner.Weird(c, "zero_length_certificate", "")
			continue
		case len(*chain) == maxCerts:
			s.owner.Weird(c, "SSL_many_certificates", "")
			return
		case s.row.CertChain == nil:
			s.row.CertChain, s.row.ClientCertChain = []string{}, []string{}
		}
		sum := sha256.Sum256(der)
		*chain = append(*chain, hex.EncodeToString(sum[:]))
		if !client && len(*chain) == 1 && s.row.ServerName != "" {
			s.row.SNIMatchesCert = matches(der, s.row.ServerName)
		}
	}
}

// matches reports whether a certificate is for a host, by its alternative names or its common name,
// as Zeek's x509_check_cert_hostname does. It returns nil if der is not a certificate.
func matches(der cryptobyte.String, host string) *bool {
	n, ok := readNames(der)
	if !ok {
		return nil
	}
	// Package x509 is asked only about the names that may match.
	var cert x509.Certificate
	_, parent, _ := strings.Cut(host, ".")
	host = strings.TrimSuffix(host, ".")
	addr, _ := netip.ParseAddr(strings.Trim(host, "[]"))
	var exact, wild bool
	consider := func(name []byte) {
		switch domain, isWild := bytes.CutPrefix(name, []byte("*.")); {
		case isWild && !wild && equalFold(domain, strings.TrimSuffix(parent, ".")):
			wild = true
		case !isWild && !exact && equalFold(name, host):
			exact = true
		default:
			return
		}
		cert.DNSNames = append(cert.DNSNames, string(name))
	}
	consider(n.common)
	for !n.alternative.Empty() {
		var name cryptobyte.String
		var tag asn1.Tag
		if !n.alternative.ReadAnyASN1(&name, &tag) {
			return nil
		}
		switch {
		case tag == asn1.Tag(2).ContextSpecific():
			consider(name)
		case tag == asn1.Tag(7).ContextSpecific() && addr.IsValid() && bytes.Equal(name, addr.AsSlice()):
			cert.IPAddresses = []net.IP{net.IP(name)}
		}
	}
	return new(cert.VerifyHostname(host) == nil)
}

func equalFold(a []byte, b string) bool { return len(a) == len(b) && strings.EqualFold(string(a), b) }

// names are the names of a certificate's subject.
type names struct {
	common      []byte            // the last one, nil without one
	alternative cryptobyte.String // a list of GeneralName
}

// OIDs, in DER.
const (
	oidCommonName = "\x55\x04\x03"
	oidSAN        = "\x55\x1d\x11"
)

// readNames reads the names in a certificate, and reports whether it is one. Package x509 would
// parse all of it and allocate for each of its parts, of which a hundred thousand fit into one
// certificate.
func readNames(der cryptobyte.String) (n names, ok bool) {
	var cert, tbs, subject, extensions cryptobyte.String
	var present bool
	version, extensionList := asn1.Tag(0).Constructed().ContextSpecific(), asn1.Tag(3).Constructed().ContextSpecific()
	if !der.ReadASN1(&cert, asn1.SEQUENCE) || !cert.ReadASN1(&tbs, asn1.SEQUENCE) ||
		!tbs.SkipOptionalASN1(version) ||
		!tbs.SkipASN1(asn1.INTEGER) || // serial number
		!tbs.SkipASN1(asn1.SEQUENCE) || // algorithm
		!tbs.SkipASN1(asn1.SEQUENCE) || // issuer
		!tbs.SkipASN1(asn1.SEQUENCE) || // validity
		!tbs.ReadASN1(&subject, asn1.SEQUENCE) ||
		!tbs.SkipASN1(asn1.SEQUENCE) || // public key
		!tbs.SkipOptionalASN1(asn1.Tag(1).ContextSpecific()) || !tbs.SkipOptionalASN1(asn1.Tag(2).ContextSpecific()) ||
		!tbs.ReadOptionalASN1(&extensions, &present, extensionList) {
		return n, false
	}
	for !subject.Empty() {
		var set, attribute, oid, value cryptobyte.String
		var tag asn1.Tag
		if !subject.ReadASN1(&set, asn1.SET) {
			return n, false
		}
		for !set.Empty() {
			if !set.ReadASN1(&attribute, asn1.SEQUENCE) || !attribute.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) ||
				!attribute.ReadAnyASN1(&value, &tag) {
				return n, false
			}
			if string(oid) == oidCommonName {
				n.common = value
			}
		}
	}
	if !present {
		return n, true
	}
	if !extensions.ReadASN1(&extensions, asn1.SEQUENCE) {
		return n, false
	}
	for !extensions.Empty() {
		var extension, oid, value cryptobyte.String
		if !extensions.ReadASN1(&extension, asn1.SEQUENCE) || !extension.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) ||
			!extension.SkipOptionalASN1(asn1.BOOLEAN) || !extension.ReadASN1(&value, asn1.OCTET_STRING) {
			return n, false
		}
		if string(oid) == oidSAN && !value.ReadASN1(&n.alternative, asn1.SEQUENCE) {
			return n, false
		}
	}
	return n, true
}
