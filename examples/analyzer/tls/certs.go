package tls

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"

	"example.com/conn"
	"golang.org/x/crypto/cryptobyte"
)

const (
	maxCerts        = 32                  // of a side of a connection
	fingerprintSize = 2*sha256.Size + 2*8 // bytes that one takes in the row, with its string header
)

// certificates notes the fingerprints of the certificates in a message, and whether the first that the server sends is for the
// name that the client wants. That one alone is parsed.
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

// matches reports whether a certificate is for a host, as Zeek's x509_check_cert_hostname has it: by its alternative names or
// by its common name. It returns nil if der is no certificate.
func matches(der []byte, host string) *bool {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil
	}
	common := x509.Certificate{DNSNames: []string{cert.Subject.CommonName}}
	return new(cert.VerifyHostname(host) == nil || common.VerifyHostname(host) == nil)
}
