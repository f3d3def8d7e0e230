package main

import (
	"example.com/conn"
	"example.com/conn/analyzer/dns"
	"example.com/conn/analyzer/ftp"
	"example.com/conn/analyzer/http"
	"example.com/conn/analyzer/protocol"
	"example.com/conn/analyzer/smtp"
	"example.com/conn/analyzer/ssh"
	"example.com/conn/analyzer/starttls"
	"example.com/conn/analyzer/tls"
)

// parsers lists the constructors of all parsers; each worker calls them once. The first parser that
// is sure of a connection gets it.
var parsers = []func(protocol.Owner) protocol.Parser{
	func(o protocol.Owner) protocol.Parser { return http.New(o) },
	func(o protocol.Owner) protocol.Parser { return tls.New(o) },
	func(o protocol.Owner) protocol.Parser { return tls.NewDTLS(o) },
	func(o protocol.Owner) protocol.Parser { return ssh.New(o) },
	func(o protocol.Owner) protocol.Parser { return smtp.New(o) },
	func(o protocol.Owner) protocol.Parser { return ftp.New(o) },
	func(o protocol.Owner) protocol.Parser { return starttls.New(o, starttls.IMAP) },
	func(o protocol.Owner) protocol.Parser { return starttls.New(o, starttls.POP3) },
	func(o protocol.Owner) protocol.Parser { return starttls.New(o, starttls.IRC) },
	func(o protocol.Owner) protocol.Parser { return starttls.New(o, starttls.XMPP) },
	func(o protocol.Owner) protocol.Parser { return starttls.New(o, starttls.LDAP) },
	func(o protocol.Owner) protocol.Parser { return starttls.New(o, starttls.RDP) },
	func(o protocol.Owner) protocol.Parser { return starttls.New(o, starttls.MySQL) },
	func(o protocol.Owner) protocol.Parser { return starttls.New(o, starttls.PostgreSQL) },
	func(o protocol.Owner) protocol.Parser { return starttls.New(o, starttls.SOCKS) },
	func(o protocol.Owner) protocol.Parser { return dns.New(o, conn.TCP) },
	func(o protocol.Owner) protocol.Parser { return dns.New(o, conn.UDP) },
}
