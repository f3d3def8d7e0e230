package main

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"

	"example.com/conn"
	"example.com/conn/analyzer/flow"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/protocol"
)

// demo is a capture of the project's own: see testdata/README.md.
//
//go:embed testdata/demo.pcap
var demo []byte

// A demonstration gathers what removal hooks do, for a person to read.
type demonstration struct {
	saved  map[string][]string // by log: records that hooks saved, in their order
	hooks  map[string]*hookCounts
	parsed bytes.Buffer // rows
}

// hookCounts are what the parser of one protocol did with hooks.
type hookCounts struct{ registered, unregistered int }

func newDemonstration() *demonstration {
	return &demonstration{saved: make(map[string][]string), hooks: make(map[string]*hookCounts)}
}

// watch returns a parser like that of make, whose hooks d takes note of.
func (d *demonstration) watch(make func(protocol.Owner) protocol.Parser) func(protocol.Owner) protocol.Parser {
	return func(o protocol.Owner) protocol.Parser {
		w := &watchedOwner{Table: o.(*flow.Table), demonstration: d}
		p := make(w)
		if d.hooks[p.Name()] == nil {
			d.hooks[p.Name()] = new(hookCounts)
		}
		w.counts = d.hooks[p.Name()]
		return p
	}
}

// A watchedOwner is the owner of one parser.
type watchedOwner struct {
	*flow.Table
	demonstration *demonstration
	counts        *hookCounts
}

func (w *watchedOwner) Register(c *conn.Connection, hk conn.RemovalHook) bool {
	ok := w.Table.Register(c, hk)
	if ok {
		w.counts.registered++
	}
	return ok
}

func (w *watchedOwner) Unregister(c *conn.Connection, hk conn.RemovalHook) bool {
	ok := w.Table.Unregister(c, hk)
	if ok {
		w.counts.unregistered++
	}
	return ok
}

func (w *watchedOwner) Log(row logs.Row) {
	w.Table.Log(row)
	if why := w.Table.Ending(); why != "" { // a hook is what logs it
		w.demonstration.save(row, why)
	}
}

// A record is the part of rows that says what was left open.
type record struct {
	OrigH netip.Addr `json:"id.orig_h"`
	OrigP uint16     `json:"id.orig_p"`
	RespH netip.Addr `json:"id.resp_h"`
	RespP uint16     `json:"id.resp_p"`

	Query       string   `json:"query"`
	Method      string   `json:"method"`
	Host        string   `json:"host"`
	URI         string   `json:"uri"`
	Status      *int     `json:"status_code"`
	Command     string   `json:"command"`
	Arg         string   `json:"arg"`
	MailFrom    string   `json:"mailfrom"`
	RcptTo      []string `json:"rcptto"`
	Helo        string   `json:"helo"`
	LastReply   string   `json:"last_reply"`
	ServerName  string   `json:"server_name"`
	Established bool     `json:"established"`
	Alert       string   `json:"last_alert"`
	Client      string   `json:"client"`
	AuthSuccess *bool    `json:"auth_success"`
}

func (d *demonstration) save(row logs.Row, why string) {
	text, err := json.Marshal(row)
	if err != nil {
		return
	}
	var r record
	if json.Unmarshal(text, &r) != nil {
		return
	}
	path := row.LogName()
	d.saved[path] = append(d.saved[path], fmt.Sprintf("%s → %s %s: %s (%s)",
		netip.AddrPortFrom(r.OrigH, r.OrigP), netip.AddrPortFrom(r.RespH, r.RespP), path, r.open(path), why))
}

// open says what was left open, in words.
func (r *record) open(path string) string {
	switch path {
	case "dns":
		return "no reply to " + r.Query
	case "http":
		request := strings.TrimSpace(r.Method + " " + r.Host + r.URI)
		switch {
		case request == "":
			return "a body without a request"
		case r.Status == nil:
			return "no reply to " + request
		}
		return "half a reply to " + request
	case "ftp":
		return "no reply to " + strings.TrimSpace(r.Command+" "+r.Arg)
	case "smtp":
		if r.MailFrom == "" {
			return fmt.Sprintf("no mail from %s, after %q", r.Helo, r.LastReply)
		}
		return fmt.Sprintf("mail of %s not finished, after %q", r.MailFrom, r.LastReply)
	case "ssl":
		text := "handshake cut short"
		if r.ServerName != "" {
			text += " with " + r.ServerName
		}
		if r.Alert != "" {
			text += ", after the alert " + r.Alert
		}
		return text
	case "ssh":
		if r.AuthSuccess != nil && !*r.AuthSuccess {
			return "no login by " + r.Client
		}
		return "key exchange only, by " + r.Client
	}
	return "open"
}

// perLog is how many records of a log are shown.
const perLog = 3

// report writes what was gathered, and returns the error of writing, if there is one.
func (d *demonstration) report(out io.Writer, stats *statsRow) error {
	w := bufio.NewWriter(out)
	fmt.Fprint(w, "Removal hooks saved these records, among others, when their connections were removed:\n\n")
	more := 0
	for _, path := range slices.Sorted(maps.Keys(d.saved)) {
		records := d.saved[path]
		shown := min(perLog, len(records))
		for _, r := range records[:shown] {
			fmt.Fprintln(w, r)
		}
		more += len(records) - shown
	}
	fmt.Fprintf(w, "… and %d more\n\n", more)

	connections := make(map[string]int)
	for line := range bytes.Lines(d.parsed.Bytes()) {
		var row struct {
			Path    string `json:"_path"`
			Service string `json:"service"`
		}
		if json.Unmarshal(line, &row) == nil && row.Path == "conn" {
			for s := range strings.SplitSeq(row.Service, ",") {
				connections[s]++
			}
		}
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "service\tconnections\thooks registered\ttaken back\trun\t\n")
	for _, name := range slices.Sorted(maps.Keys(connections)) {
		h := d.hooks[name]
		if h == nil {
			h = new(hookCounts)
		}
		shown := name
		if name == "" {
			shown = "none"
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t\n", shown, connections[name], h.registered, h.unregistered, h.registered-h.unregistered)
	}
	fmt.Fprintf(table, "all\t%d\t%d\t%d\t%d\t\n", stats.Connections, stats.HooksRegistered, stats.HooksUnregistered, stats.HooksRun)
	table.Flush()
	fmt.Fprint(w, "\nThat was the capture which is part of this program. -json shows its logs; name a FILE to analyze another, -h has more.\n")
	if err := w.Flush(); err != nil {
		return fmt.Errorf("writing what hooks saved: %w", err)
	}
	return nil
}
