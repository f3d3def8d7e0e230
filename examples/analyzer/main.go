// Analyzer reads captures or an interface, follows every connection, parses DNS, FTP, HTTP, SMTP, SSH and TLS, and writes
// logs as Zeek does. It shows how removal hooks carry the parsers of a network analyzer.
//
// Where to start reading: http/http.go is a parser, flow/table.go the owner of the connections, analyze.go the way of
// packets to workers. protocol/protocol.go is what parsers and owner agree on.
//
// A protocol is added with a package that implements protocol.Parser, keeps what it knows of a connection in a conn.Field,
// registers its finalizer when it makes that, and unregisters it when nothing is pending; and with a line in parsers.go.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"example.com/conn/examples/analyzer/capture"
	"example.com/conn/examples/analyzer/flow"
	"example.com/conn/examples/analyzer/logs"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// demo is a capture of the project's own: see testdata/README.md.
//
//go:embed testdata/demo.pcap
var demo []byte

const usage = `usage: analyzer [flags] [FILE...]

Analyzer follows the connections in captures and writes Zeek's logs as JSON lines: conn, dns, ftp, http, smtp, ssh, ssl,
and stats at the end. FILE is a pcap or pcapng capture, gzipped or not, or "-" for standard input. Files are read in the
given order, as parts of one capture. Without a FILE and without -i, it analyzes a small capture that is part of the program.

`

// examples has one line of use for each flag, for -h.
var examples = map[string]string{
	"C":               "analyzer -C capture.pcap",
	"o":               "analyzer -o logs capture.pcap",
	"i":               "analyzer -i eth0",
	"workers":         "analyzer -workers 4 capture.pcap",
	"max-connections": "analyzer -max-connections 1000000 capture.pcap",
	"max-buffered":    "analyzer -max-buffered 65536 capture.pcap",
	"max-total":       "analyzer -max-total 1000000000 capture.pcap",
	"tcp-timeout":     "analyzer -tcp-timeout 1h capture.pcap",
	"udp-timeout":     "analyzer -udp-timeout 10s capture.pcap",
	"attempt-timeout": "analyzer -attempt-timeout 30s capture.pcap",
	"close-timeout":   "analyzer -close-timeout 1s capture.pcap",
}

// options are what the command line asks for.
type options struct {
	dir     string
	iface   string
	workers int
	flow    flow.Config
	files   []string
}

// defaults are Zeek's timeouts, and bounds that keep floods below a gigabyte.
func defaults() options {
	return options{workers: 1, flow: flow.Config{
		MaxConnections: 100_000,
		MaxBuffered:    1 << 20,
		MaxTotal:       256 << 20,
		TCPTimeout:     5 * time.Minute,
		UDPTimeout:     time.Minute,
		AttemptTimeout: 5 * time.Second,
		CloseTimeout:   5 * time.Second,
		Parsers:        parsers,
	}}
}

// parse reads the command line. The error is flag.ErrHelp if help was asked for, and was written.
func parse(args []string, stderr io.Writer) (options, error) {
	o := defaults()
	set := flag.NewFlagSet("analyzer", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&o.dir, "o", "", "write one file a log, such as conn.log, into the folder `DIR`")
	set.BoolVar(&o.flow.IgnoreChecksums, "C", false, "ignore checksums, as in captures on a host whose network card makes them")
	set.StringVar(&o.iface, "i", "", "analyze what passes at the interface `IFACE`, until interrupted (Linux; needs the right to)")
	set.IntVar(&o.workers, "workers", o.workers, "spread connections over `N` workers; rows are then in no particular order")
	set.IntVar(&o.flow.MaxConnections, "max-connections", o.flow.MaxConnections,
		"follow `N` connections at once; before one more, that which has been idle longest is removed")
	set.IntVar(&o.flow.MaxBuffered, "max-buffered", o.flow.MaxBuffered,
		"hold `BYTES` for a side of a connection; then what they wait for is given up")
	set.IntVar(&o.flow.MaxTotal, "max-total", o.flow.MaxTotal,
		"hold `BYTES` for all connections; beyond that, those that have been idle longest are removed")
	set.DurationVar(&o.flow.TCPTimeout, "tcp-timeout", o.flow.TCPTimeout, "remove a TCP connection after this idle `TIME`")
	set.DurationVar(&o.flow.UDPTimeout, "udp-timeout", o.flow.UDPTimeout, "the same for UDP and ICMP, and for TCP handshakes, as `TIME`")
	set.DurationVar(&o.flow.AttemptTimeout, "attempt-timeout", o.flow.AttemptTimeout, "remove an attempt that is unanswered after this `TIME`")
	set.DurationVar(&o.flow.CloseTimeout, "close-timeout", o.flow.CloseTimeout, "keep a closed connection for late packets for this `TIME`")
	err := set.Parse(args)
	o.files = set.Args()
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stderr, usage)
		set.VisitAll(func(f *flag.Flag) {
			arg, text := flag.UnquoteUsage(f)
			if f.DefValue != "" {
				text += " (default " + f.DefValue + ")"
			}
			fmt.Fprintf(stderr, "  -%s %s\n\t%s\n\texample: %s\n", f.Name, arg, text, examples[f.Name])
		})
	case err != nil:
	case o.workers < 1:
		err = fmt.Errorf("-workers %d: at least one is needed", o.workers)
	case o.flow.MaxConnections < 1:
		err = fmt.Errorf("-max-connections %d: at least one is needed", o.flow.MaxConnections)
	case o.flow.MaxBuffered < 1:
		err = fmt.Errorf("-max-buffered %d: at least one is needed", o.flow.MaxBuffered)
	case o.flow.MaxTotal < 1:
		err = fmt.Errorf("-max-total %d: at least one is needed", o.flow.MaxTotal)
	case min(o.flow.TCPTimeout, o.flow.UDPTimeout, o.flow.AttemptTimeout, o.flow.CloseTimeout) <= 0:
		err = errors.New("timeouts are longer than nothing")
	case o.iface != "" && len(o.files) > 0:
		err = errors.New("-i and files exclude each other")
	}
	return o, err
}

// run is the program. It returns the exit status: 0, or 1 after trouble with a capture or the output, or 2 if the command
// line is wrong.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "analyzer: %v (-h shows all flags)\n", err)
		return 2
	}
	status := 0
	fail := func(err error) {
		if err != nil {
			fmt.Fprintf(stderr, "analyzer: %v\n", err)
			status = 1
		}
	}

	out := logs.NewOutput(stdout)
	if o.dir != "" {
		if out, err = logs.NewDir(o.dir); err != nil {
			fail(err)
			return status
		}
	}
	o.flow.Errors = stderr
	a := newAnalysis(o.workers, o.flow, out)
	isDemo := o.iface == "" && len(o.files) == 0
	analyze := func(s *capture.Source, err error) {
		if err != nil {
			fail(err)
			return
		}
		show := newProgress(stderr, s)
		err = a.read(ctx, s, show.tick)
		show.done()
		fail(err)
		s.Close()
	}
	switch {
	case isDemo:
		analyze(capture.FromBytes("demo.pcap", demo))
	case o.iface != "":
		analyze(capture.Live(ctx, o.iface))
	default:
		for _, name := range o.files {
			if ctx.Err() == nil {
				analyze(capture.Open(ctx, name))
			}
		}
	}
	stats, _ := a.close()
	w := logs.NewWriter(out)
	w.Write("stats", stats)
	w.Flush()
	fail(out.Close())
	if isDemo {
		summarize(stderr, stats)
	}
	return status
}

// summarize says in words what stats say.
func summarize(w io.Writer, s statsRow) {
	fmt.Fprintf(w, `
That was the capture which is part of this program; name a FILE to analyze another (-h has more).
%d packets made %d connections, all of which were removed.
Parsers registered %d removal hooks: %d were taken back because nothing was pending any more, and %d ran and logged
what was.
`, s.Packets, s.Connections, s.HooksRegistered, s.HooksUnregistered, s.HooksRun)
}

// progress shows on a terminal how far a long capture has been read.
type progress struct {
	w     io.Writer // nil if there is no terminal
	s     *capture.Source
	start time.Time
	shown time.Time
}

func newProgress(w io.Writer, s *capture.Source) *progress {
	p := &progress{s: s, start: time.Now()}
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			p.w = w
		}
	}
	return p
}

// tick shows the progress, from the first second on, five times a second.
func (p *progress) tick() {
	if p.w == nil {
		return
	}
	now := time.Now()
	share := p.s.Progress()
	if share > 0 && now.Sub(p.start) > time.Second && now.Sub(p.shown) > 200*time.Millisecond {
		fmt.Fprintf(p.w, "\r%3.0f %%", 100*share)
		p.shown = now
	}
}

// done clears the line.
func (p *progress) done() {
	if !p.shown.IsZero() {
		fmt.Fprint(p.w, "\r     \r")
	}
}
