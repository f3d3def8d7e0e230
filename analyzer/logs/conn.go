package logs

import "strconv"

// Conn is a row of conn.log.
type Conn struct {
	Header
	Proto    string
	Service  string    // names separated by commas; empty if unset
	Duration *Micros   // nil if there is only one packet; then Bytes are unset too
	Bytes    [2]int64  // payload of the originator and of the responder
	State    string    // conn_state
	Local    [2]bool   // whether the originator and the responder are in the local networks
	Missed   int64     // bytes in gaps
	History  []byte    // empty if unset
	Packets  [2]uint64 // orig_pkts and resp_pkts
	IPBytes  [2]uint64 // orig_ip_bytes and resp_ip_bytes: with headers
	Parents  []string  // tunnel_parents: UIDs
	IPProto  uint8
}

// AppendJSON implements Appender. In a scan or a flood most of the work is writing this row, for
// connections of one packet; a struct with json tags takes longer (BenchmarkWrite). No member needs
// escaping.
func (r *Conn) AppendJSON(b []byte) []byte {
	b = append(append(b, `{"_path":"`...), r.Path...)
	b = r.TS.append(append(b, `","ts":`...))
	b = append(append(append(b, `,"uid":"`...), r.UID...), '"')
	b = appendEndpoint(b, "orig", r.OrigH, r.OrigP)
	b = appendEndpoint(b, "resp", r.RespH, r.RespP)
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
	b = strconv.AppendBool(append(b, `","local_orig":`...), r.Local[0])
	b = strconv.AppendBool(append(b, `,"local_resp":`...), r.Local[1])
	b = strconv.AppendInt(append(b, `,"missed_bytes":`...), r.Missed, 10)
	if len(r.History) > 0 {
		b = append(append(append(b, `,"history":"`...), r.History...), '"')
	}
	b = strconv.AppendUint(append(b, `,"orig_pkts":`...), r.Packets[0], 10)
	b = strconv.AppendUint(append(b, `,"orig_ip_bytes":`...), r.IPBytes[0], 10)
	b = strconv.AppendUint(append(b, `,"resp_pkts":`...), r.Packets[1], 10)
	b = strconv.AppendUint(append(b, `,"resp_ip_bytes":`...), r.IPBytes[1], 10)
	for i, uid := range r.Parents {
		if i == 0 {
			b = append(b, `,"tunnel_parents":["`...)
		} else {
			b = append(b, `","`...)
		}
		b = append(b, uid...)
	}
	if len(r.Parents) > 0 {
		b = append(b, `"]`...)
	}
	b = strconv.AppendUint(append(b, `,"ip_proto":`...), uint64(r.IPProto), 10)
	return append(b, '}')
}
