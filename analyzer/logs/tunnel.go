package logs

// Tunnel is a row of tunnel.log. Its header names the outer connection, with ports of 0 for a
// tunnel without ports.
type Tunnel struct {
	Header
	Type   string `json:"tunnel_type"` // such as "Tunnel::VXLAN"
	Action string `json:"action"`      // "Tunnel::DISCOVER", "Tunnel::CLOSE" or "Tunnel::EXPIRE"
}
