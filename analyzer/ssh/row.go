package ssh

import (
	"net/netip"
	"time"

	"example.com/conn"
	"example.com/conn/analyzer/logs"
)

// A Row is one row of the log ssh.
type Row struct {
	logs.Header
	Version      int    `json:"version,omitempty"`
	AuthSuccess  *bool  `json:"auth_success,omitempty"`
	AuthAttempts int    `json:"auth_attempts"`
	Direction    string `json:"direction,omitempty"`
	Client       string `json:"client,omitempty"`
	Server       string `json:"server,omitempty"`
	CipherAlg    string `json:"cipher_alg,omitempty"`
	MACAlg       string `json:"mac_alg,omitempty"`
	CompAlg      string `json:"compression_alg,omitempty"`
	KexAlg       string `json:"kex_alg,omitempty"`
	HostKeyAlg   string `json:"host_key_alg,omitempty"`
	HostKey      string `json:"host_key_fingerprint,omitempty"`
}

func newRow(c *conn.Connection, now time.Time) *Row {
	return &Row{Header: logs.NewHeader("ssh", c, now), Direction: direction(c.ID)}
}

// held returns how many bytes r takes. Each text has at most a few times [logs.MaxText].
func (r *Row) held() int {
	const rowSize = 320
	return rowSize + len(r.Client) + len(r.Server) + len(r.CipherAlg) + len(r.MACAlg) + len(r.CompAlg) + len(r.KexAlg) +
		len(r.HostKeyAlg) + len(r.HostKey)
}

// direction tells which way a connection crosses the border between private and public addresses.
func direction(id conn.ID) string {
	switch orig, resp := local(id.Orig.Addr()), local(id.Resp.Addr()); {
	case orig && !resp:
		return "OUTBOUND"
	case resp && !orig:
		return "INBOUND"
	}
	return ""
}

func local(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast()
}
