package flow

import (
	"example.com/conn"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/tcp"
)

// connState returns Zeek's conn_state.
func (f *flow) connState() string {
	orig, resp := f.tcp.History.HasData(tcp.Orig), f.tcp.History.HasData(tcp.Resp)
	switch {
	case f.ID.Proto == conn.TCP:
		return f.tcp.State()
	case f.ID.Proto != conn.UDP:
		return "OTH"
	case orig && resp:
		return "SF"
	case orig:
		return "S0"
	case resp:
		return "SHR" // flipped, and never answered
	}
	return "OTH"
}

// describe sets row to the connection's row of conn.log.
func (f *flow) describe(row *logs.Conn, local *networks) {
	*row = logs.Conn{
		Header:  logs.NewHeader("conn", &f.Connection, f.Start),
		Proto:   f.ID.Proto.String(),
		Service: f.session.Services(),
		Bytes:   f.bytes,
		State:   f.connState(),
		Local:   [2]bool{local.contain(f.ID.Orig.Addr()), local.contain(f.ID.Resp.Addr())},
		History: f.tcp.History.Letters(),
		Packets: f.packets,
		IPBytes: f.ipBytes,
		IPProto: uint8(f.ID.Proto),
	}
	row.Parents = f.rare().parents
	switch f.ID.Proto {
	case conn.TCP:
		row.Bytes = [2]int64{f.tcp.Bytes(tcp.Orig), f.tcp.Bytes(tcp.Resp)}
		row.Missed = f.tcp.Missed()
	case conn.ICMPv6:
		row.Proto = conn.ICMP.String() // as Zeek does
	case conn.UDP, conn.ICMP:
	default:
		row.Proto = "unknown_transport"
	}
	if d := f.tcp.Last.Sub(f.Start); d > 0 {
		row.Duration = new(logs.Interval(d))
	}
}
