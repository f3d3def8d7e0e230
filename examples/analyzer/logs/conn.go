package logs

import "strconv"

// Conn is a row of conn.log.
type Conn struct {
	Header
	Proto    string
	Service  string   // names separated by commas; empty if unset
	Duration *Seconds // nil if there is but one packet; then OrigBytes and RespBytes are unset too
	Bytes    [2]int64 // payload of the originator and of the responder
	State    string
	History  []byte // empty if unset
	Packets  [2]uint64
}

// AppendJSON implements Appender. Reflection would take longer than all else that is done for a connection of one
// packet, and in a scan or a flood these are all there is. No member needs escaping.
func (r *Conn) AppendJSON(b []byte) []byte {
	b = append(append(b, `{"_path":"`...), r.Path...)
	b = r.TS.append(append(b, `","ts":`...))
	b = append(append(b, `,"uid":"`...), r.UID...)
	b = r.OrigH.AppendTo(append(b, `","id.orig_h":"`...))
	b = strconv.AppendUint(append(b, `","id.orig_p":`...), uint64(r.OrigP), 10)
	b = r.RespH.AppendTo(append(b, `,"id.resp_h":"`...))
	b = strconv.AppendUint(append(b, `","id.resp_p":`...), uint64(r.RespP), 10)
	b = append(append(append(b, `,"proto":"`...), r.Proto...), '"')
	if r.Service != "" {
		b = append(append(append(b, `,"service":"`...), r.Service...), '"')
	}
	if r.Duration != nil {
		b = r.Duration.append(append(b, `,"duration":`...))
		b = strconv.AppendInt(append(b, `,"orig_bytes":`...), r.Bytes[0], 10)
		b = strconv.AppendInt(append(b, `,"resp_bytes":`...), r.Bytes[1], 10)
	}
	b = append(append(b, `,"conn_state":"`...), r.State...)
	if len(r.History) > 0 {
		b = append(append(b, `","history":"`...), r.History...)
	}
	b = strconv.AppendUint(append(b, `","orig_pkts":`...), r.Packets[0], 10)
	b = strconv.AppendUint(append(b, `,"resp_pkts":`...), r.Packets[1], 10)
	return append(b, '}')
}
