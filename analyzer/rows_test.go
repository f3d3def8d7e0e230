package main

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn/analyzer/dns"
	"example.com/conn/analyzer/ftp"
	"example.com/conn/analyzer/http"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/smtp"
	"example.com/conn/analyzer/ssh"
	"example.com/conn/analyzer/tls"
)

// FuzzRows fills rows of every log with the fuzzer's text and with values chosen by seed, and
// compares a Writer's output with that of encoding/json.
func FuzzRows(f *testing.F) {
	f.Add(uint64(1), "GET")
	f.Add(uint64(2), "<&>\"\\\u2028\u2029\u007f\x00\x1f\t\n\b\f")
	f.Add(uint64(3), "grün 🦊 \ufffd")
	f.Add(uint64(4), "\xff\xc3")
	f.Add(uint64(5), "")
	f.Fuzz(func(t *testing.T, seed uint64, text string) {
		for _, row := range []logs.Row{
			new(dns.Row), new(ftp.Row), new(http.Row), new(smtp.Row), new(ssh.Row), new(statsRow), new(tls.Row), new(logs.Tunnel),
		} {
			fill(t, reflect.ValueOf(row).Elem(), rand.New(rand.NewPCG(seed, 0)), text)
			var got, want bytes.Buffer
			w := logs.NewWriter(logs.NewOutput(&got, nil))
			w.Write(row)
			w.Flush()
			enc := json.NewEncoder(&want)
			enc.SetEscapeHTML(false)
			require.NoError(t, enc.Encode(row))
			assert.Equal(t, want.String(), got.String(), "%T", row)
		}
	})
}

// fill sets v and everything in it to values of their types, some of them zero.
func fill(t *testing.T, v reflect.Value, r *rand.Rand, text string) {
	t.Helper()
	if v.Type() == reflect.TypeFor[netip.Addr]() {
		addrs := []netip.Addr{{}, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("fe80::1%eth0")}
		v.Set(reflect.ValueOf(addrs[r.IntN(len(addrs))]))
		return
	}
	zero := r.IntN(3) == 0
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(t, v.Field(i), r, text)
			}
		}
	case reflect.Pointer:
		if !zero {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem(), r, text)
		}
	case reflect.Slice:
		if !zero {
			v.Set(reflect.MakeSlice(v.Type(), r.IntN(3), 2))
			for i := range v.Len() {
				fill(t, v.Index(i), r, text)
			}
		}
	case reflect.String:
		if !zero {
			v.SetString(text)
		}
	case reflect.Bool:
		v.SetBool(!zero)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(r.Uint64()) >> r.IntN(64))
	case reflect.Uint8, reflect.Uint16, reflect.Uint64:
		v.SetUint(r.Uint64() >> (64 - r.IntN(v.Type().Bits()+1)))
	case reflect.Float64:
		v.SetFloat(float64(r.Int64()>>r.IntN(64)) / 1e6)
	default:
		t.Fatalf("no value for %s", v.Type())
	}
}
