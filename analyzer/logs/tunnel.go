package logs

// Tunnel is a row of tunnel.log. Its header has the outer connection, with ports of 0 for a tunnel
// without.
type Tunnel struct {
	Header
	Type   string `json:"tunnel_type"` // such as "Tunnel::VXLAN"
	Action string `json:"action"`      // "Tunnel::DISCOVER", "Tunnel::CLOSE" or "Tunnel::EXPIRE"
}
