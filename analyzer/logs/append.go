package logs

import (
	"net/netip"
	"strconv"

	"github.com/goccy/go-json"
)

// AppendHeader begins a row that writes itself: it appends the opening brace and the members of h.
func AppendHeader(b []byte, h *Header) []byte {
	b = AppendString(append(b, `{"_path":`...), h.Path)
	b = h.TS.append(append(b, `,"ts":`...))
	b = AppendString(append(b, `,"uid":`...), h.UID)
	b = appendEndpoint(b, "orig", h.OrigH, h.OrigP)
	return appendEndpoint(b, "resp", h.RespH, h.RespP)
}

func appendEndpoint(b []byte, side string, addr netip.Addr, port uint16) []byte {
	b = append(append(append(b, `,"id.`...), side...), `_h":"`...)
	b, _ = addr.AppendText(b) // never fails
	b = append(append(append(b, `","id.`...), side...), `_p":`...)
	return strconv.AppendUint(b, uint64(port), 10)
}

// AppendString appends s as a JSON string, escaped as by encoding/json with SetEscapeHTML(false).
func AppendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x80 {
			quoted, _ := json.MarshalWithOption(s, json.DisableHTMLEscape()) // a string never fails
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// AppendStrings appends list as a JSON array, or null if it is nil.
func AppendStrings(b []byte, list []string) []byte {
	if list == nil {
		return append(b, "null"...)
	}
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendString(b, s)
	}
	return append(b, ']')
}
