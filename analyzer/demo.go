package main

import (
	"bufio"
	_ "embed"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"

	"example.com/conn/analyzer/dns"
	"example.com/conn/analyzer/flow"
	"example.com/conn/analyzer/ftp"
	"example.com/conn/analyzer/http"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/smtp"
	"example.com/conn/analyzer/ssh"
	"example.com/conn/analyzer/tls"
)

// demo is a capture recorded for this project: see testdata/README.md.
//
//go:embed testdata/demo.pcap
var demo []byte

// A demonstration collects the rows of a table and reports what its removal hooks did.
type demonstration struct {
	table *flow.Table

	saved    map[string][]string // by log: the rows that hooks logged, described
	services map[string]*serviceCounts
	hooks    int // run until the latest row of conn.log
	records  int // saved by hooks until then
}

type serviceCounts struct{ connections, hooks, records int }

func newDemonstration() *demonstration {
	return &demonstration{saved: make(map[string][]string), services: make(map[string]*serviceCounts)}
}

// Write takes a row as a logs.Writer does. The row of conn.log is the last of its connection.
func (d *demonstration) Write(row logs.Row) {
	r, ok := row.(*logs.Conn)
	switch why := d.table.Ending(); {
	case ok:
		d.count(r.Service)
	case why != "": // hooks are running
		d.save(row, why)
	}
}

// count counts a connection that has just been removed.
func (d *demonstration) count(service string) {
	if service == "" {
		service = "none"
	}
	c := d.services[service]
	if c == nil {
		c = new(serviceCounts)
		d.services[strings.Clone(service)] = c
	}
	hooks, records := d.table.Stats.HooksRun, 0
	for _, rows := range d.saved {
		records += len(rows)
	}
	c.connections++
	c.hooks += hooks - d.hooks
	c.records += records - d.records
	d.hooks, d.records = hooks, records
}

func (d *demonstration) save(row logs.Row, why string) {
	e, ok := row.(interface {
		Endpoints() (orig, resp netip.AddrPort)
	})
	if !ok {
		return
	}
	orig, resp := e.Endpoints()
	path := row.LogName()
	d.saved[path] = append(d.saved[path], fmt.Sprintf("%s → %s %s: %s (%s)", orig, resp, path, open(row), why))
}

// open describes what was pending when the row's connection was removed.
func open(row logs.Row) string {
	switch r := row.(type) {
	case *dns.Row:
		return "no reply to " + text(r.Query)
	case *http.Row:
		request := strings.TrimSpace(r.Method + " " + text(r.Host) + text(r.URI))
		switch {
		case request == "":
			return "a body without a request"
		case r.StatusCode == nil:
			return "no reply to " + request
		}
		return "half a reply to " + request
	case *ftp.Row:
		return "no reply to " + strings.TrimSpace(r.Command+" "+r.Arg)
	case *smtp.Row:
		if r.MailFrom == "" {
			return fmt.Sprintf("no mail from %s, after %q", r.Helo, r.LastReply)
		}
		return fmt.Sprintf("mail from %s not finished, after %q", r.MailFrom, r.LastReply)
	case *tls.Row:
		s := "handshake cut short"
		if r.ServerName != "" {
			s += " with " + r.ServerName
		}
		if r.LastAlert != "" {
			s += ", after the alert " + r.LastAlert
		}
		return s
	case *ssh.Row:
		if r.AuthSuccess != nil && !*r.AuthSuccess {
			return "no login by " + r.Client
		}
		return "key exchange only, by " + r.Client
	}
	return "open"
}

// text returns the text that a row's field points to, "" if the field is unset.
func text(field *string) string {
	if field == nil {
		return ""
	}
	return *field
}

// perLog is the number of records shown per log.
const perLog = 3

// report writes the collected records and returns the first write error.
func (d *demonstration) report(out io.Writer, stats *statsRow) error {
	w := bufio.NewWriter(out)
	fmt.Fprint(w, "Removal hooks saved these records, among others, when their connections were removed:\n\n")
	more, records := 0, 0
	for _, path := range slices.Sorted(maps.Keys(d.saved)) {
		rows := d.saved[path]
		shown := min(perLog, len(rows))
		for _, r := range rows[:shown] {
			fmt.Fprintln(w, r)
		}
		more += len(rows) - shown
		records += len(rows)
	}
	fmt.Fprintf(w, "… and %d more\n\n", more)

	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "service\tconnections\thooks run\trecords saved\t\n")
	for _, service := range slices.Sorted(maps.Keys(d.services)) {
		c := d.services[service]
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t\n", service, c.connections, c.hooks, c.records)
	}
	fmt.Fprintf(table, "all\t%d\t%d\t%d\t\n", stats.Connections, stats.HooksRun, records)
	table.Flush()
	fmt.Fprint(w, "\nHooks of ftp-data save no records: they tell the control connection that a data connection has ended.\n"+
		"This was the embedded demo capture. Use -json to see its logs, FILE to analyze your own, -h for all flags.\n")
	if err := w.Flush(); err != nil {
		return fmt.Errorf("writing what hooks saved: %w", err)
	}
	return nil
}
