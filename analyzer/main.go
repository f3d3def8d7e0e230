// Analyzer follows the connections in captures or on an interface, parses DNS, FTP, HTTP, SMTP, SSH
// and TLS, and writes logs like Zeek's. It shows how the parsers of a network analyzer use removal
// hooks.
//
// Start reading with http/http.go, a parser; flow/doc.go, which lists the files of the connection
// table; and protocol/protocol.go, the contract between the table and the parsers.
//
// In this package, each file uses only those below it:
//
//	main.go      flags, and what runs when
//	demo.go      the embedded capture, and what the hooks saved of it
//	observe.go   what metrics and health checks see of an analysis
//	live.go      follows an interface: a ring for each worker
//	analyze.go   reads captures, and distributes their packets to workers
//	worker.go    follows the packets of a share of the connections
//	frames.go    what the reader and the workers have in common
//	board.go     a worker's published counters
//	stats.go     counters, and stats.log
//	parsers.go, systemd.go
//
// To add a protocol, write a package that implements protocol.Parser, and add a line to parsers.go.
// A parser keeps its state of a connection in a conn.Field, registers a hook when something becomes
// pending, and unregisters it when nothing is.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"example.com/conn/analyzer/capture"
	"example.com/conn/analyzer/flow"
	"example.com/conn/analyzer/logs"
	"example.com/conn/analyzer/metrics"
)

func main() { os.Exit(runMain()) }

// runMain runs the program until it is done or interrupted, and returns its exit status.
func runMain() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)   // a second signal ends the program at once
	signal.Ignore(syscall.SIGPIPE) // so that a closed pipe is a write error like any other
	// run handles SIGHUP; before and after it, the signal must not kill the program.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	return run(ctx, os.Args[1:], os.Stdout, os.Stderr)
}

const usage = `usage: analyzer [flags] [FILE...]

Analyzer follows the connections in captures, or on an interface with -i, and writes logs like Zeek's as JSON lines.
FILE is a pcap or pcapng capture, gzipped or not, or "-" for standard input. Several files are read in the given order,
as parts of one capture. Without FILE or -i, it analyzes an embedded demo capture and shows which records its removal
hooks saved.

SIGINT and SIGTERM remove all connections, write all rows, and exit; a second signal exits at once. SIGHUP reopens the
files under -o, for logrotate; without -o, it exits like SIGTERM.

`

// examples maps each flag to an example for -h.
var examples = map[string]string{
	"C":               "analyzer -C capture.pcap",
	"o":               "analyzer -o logs capture.pcap",
	"json":            "analyzer -json >demo.json",
	"i":               "analyzer -i eth0",
	"fanout":          "analyzer -fanout 7 -i eth0",
	"filter":          `analyzer -filter "$(tcpdump -i eth0 -ddd not port 22)" -i eth0`,
	"buffer":          "analyzer -buffer 268435456 -i eth0",
	"rotate":          "analyzer -rotate 1h -o logs -i eth0",
	"metrics":         "analyzer -metrics :9479 -o logs -i eth0",
	"stats":           "analyzer -stats 1m -o logs -i eth0",
	"local":           "analyzer -local 192.0.2.0/24,2001:db8::/32 capture.pcap",
	"workers":         "analyzer -workers 4 capture.pcap",
	"max-connections": "analyzer -max-connections 1000000 capture.pcap",
	"max-buffered":    "analyzer -max-buffered 65536 capture.pcap",
	"max-total":       "analyzer -max-total 1000000000 capture.pcap",
	"tcp-timeout":     "analyzer -tcp-timeout 1h capture.pcap",
	"udp-timeout":     "analyzer -udp-timeout 10s capture.pcap",
	"attempt-timeout": "analyzer -attempt-timeout 30s capture.pcap",
	"close-timeout":   "analyzer -close-timeout 1s capture.pcap",
}

// options holds the parsed command line.
type options struct {
	dir     string
	rotate  time.Duration // 0 for never
	metrics string        // address to serve metrics at; empty for none
	stats   time.Duration // between two rows of stats.log; 0 for one row at the end
	json    bool
	live    capture.LiveConfig // used if its Interface is set
	workers int
	flow    flow.Config
	files   []string
}

// maxWorkers catches typing errors: each worker takes memory.
const maxWorkers = 1024

// defaults returns Zeek's timeouts, and limits that keep memory below 1 GiB in a flood.
func defaults() options {
	return options{workers: 1, stats: 5 * time.Minute, live: capture.LiveConfig{Fanout: -1, Buffer: 64 << 20}, flow: flow.Config{
		MaxConnections: 100_000,
		MaxBuffered:    1 << 20,
		MaxTotal:       256 << 20,
		TCPTimeout:     5 * time.Minute,
		UDPTimeout:     time.Minute,
		AttemptTimeout: 5 * time.Second,
		CloseTimeout:   5 * time.Second,
		Parsers:        slices.Clone(parsers),
	}}
}

func parsePrefixes(text string) (nets []netip.Prefix, err error) {
	for net := range strings.SplitSeq(text, ",") {
		p, err := netip.ParsePrefix(net)
		if err != nil {
			return nil, err
		}
		nets = append(nets, p.Masked())
	}
	return nets, nil
}

// parse reads the command line. If help was asked for, it writes it to help and returns
// flag.ErrHelp.
func parse(args []string, help io.Writer) (options, error) {
	o := defaults()
	set := flag.NewFlagSet("analyzer", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&o.dir, "o", "", "write one file per log, such as conn.log, to the folder `DIR`; logs of earlier runs there are renamed")
	set.BoolVar(&o.flow.IgnoreChecksums, "C", false, "ignore checksums, for captures on a host whose network card computes them")
	set.DurationVar(&o.rotate, "rotate", 0, "start new files under -o every `TIME`, at least 1s, and rename the old ones by their start time; 0 for never")
	set.StringVar(&o.metrics, "metrics", "", "serve /metrics for Prometheus, and /healthz, at `ADDR`, as host:port; without a host, on loopback")
	set.DurationVar(&o.stats, "stats", o.stats, "write a row of stats.log every `TIME` (capture time for files) and one at the end; 0 means only at the end")
	set.BoolVar(&o.json, "json", false, "write the logs of the demo capture as JSON lines")
	set.StringVar(&o.live.Interface, "i", "", "capture on the interface `IFACE`, or on all if any, until interrupted (Linux; needs CAP_NET_RAW)")
	set.IntVar(&o.live.Fanout, "fanout", -1, "share the interface with all processes in the fanout group `ID` (0 to 65535); -1 means none")
	set.Func("filter", "capture only packets that the BPF `PROGRAM` accepts, as printed by tcpdump -ddd", func(text string) (err error) {
		o.live.Filter, err = capture.ParseFilter(text)
		return err
	})
	set.IntVar(&o.live.Buffer, "buffer", o.live.Buffer, "size of each worker's capture ring in `BYTES`")
	set.Func("local", "treat the networks `NETS` as local in conn.log; by default, private networks", func(text string) (err error) {
		o.flow.Local, err = parsePrefixes(text)
		return err
	})
	set.IntVar(&o.workers, "workers", o.workers, "distribute connections over `N` workers; with more than one, rows are in no particular order")
	set.IntVar(&o.flow.MaxConnections, "max-connections", o.flow.MaxConnections,
		"follow at most `N` connections at once; beyond that, evict the least valuable, attempts first")
	set.IntVar(&o.flow.MaxBuffered, "max-buffered", o.flow.MaxBuffered,
		"hold at most `BYTES` per side of a connection; beyond that, stop waiting for missing data")
	set.IntVar(&o.flow.MaxTotal, "max-total", o.flow.MaxTotal,
		"hold at most `BYTES` in all; beyond that, the connections that hold most stop waiting for missing data")
	set.DurationVar(&o.flow.TCPTimeout, "tcp-timeout", o.flow.TCPTimeout, "remove a TCP connection that was idle for `TIME`")
	set.DurationVar(&o.flow.UDPTimeout, "udp-timeout", o.flow.UDPTimeout, "remove a UDP or ICMP flow or a TCP handshake that was idle for `TIME`")
	set.DurationVar(&o.flow.AttemptTimeout, "attempt-timeout", o.flow.AttemptTimeout, "remove a connection attempt unanswered for `TIME`")
	set.DurationVar(&o.flow.CloseTimeout, "close-timeout", o.flow.CloseTimeout, "keep a closed connection for `TIME`, for late packets")
	err := set.Parse(args)
	o.files = set.Args()
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(help, usage)
		set.VisitAll(func(f *flag.Flag) {
			arg, text := flag.UnquoteUsage(f)
			if f.DefValue != "" {
				text += " (default " + f.DefValue + ")"
			}
			fmt.Fprintf(help, "  -%s\n\t%s\n\texample: %s\n", strings.TrimSpace(f.Name+" "+arg), text, examples[f.Name])
		})
	case err != nil:
	case o.workers < 1:
		err = fmt.Errorf("-workers %d: must be at least 1", o.workers)
	case o.workers > maxWorkers:
		err = fmt.Errorf("-workers %d: must be at most %d", o.workers, maxWorkers)
	case o.flow.MaxConnections < 1:
		err = fmt.Errorf("-max-connections %d: must be at least 1", o.flow.MaxConnections)
	case o.flow.MaxBuffered < 1:
		err = fmt.Errorf("-max-buffered %d: must be at least 1", o.flow.MaxBuffered)
	case o.flow.MaxTotal < 1:
		err = fmt.Errorf("-max-total %d: must be at least 1", o.flow.MaxTotal)
	case min(o.flow.TCPTimeout, o.flow.UDPTimeout, o.flow.AttemptTimeout, o.flow.CloseTimeout) <= 0:
		err = errors.New("timeouts must be positive")
	case o.live.Fanout < -1 || o.live.Fanout > 65535:
		err = fmt.Errorf("-fanout %d: must be between -1 and 65535", o.live.Fanout)
	case o.live.Buffer < 1:
		err = fmt.Errorf("-buffer %d: must be at least 1", o.live.Buffer)
	case o.rotate != 0 && (o.rotate < time.Second || o.dir == ""):
		err = errors.New("-rotate needs -o and at least one second")
	case o.stats != 0 && o.stats < time.Second:
		err = fmt.Errorf("-stats %v: must be at least one second, or 0", o.stats)
	case o.live.Interface == "" && isSet(set, "i"): // such as an unset variable in a script
		err = errors.New("-i needs the name of an interface")
	case o.live.Interface == "any" && o.live.Filter != nil:
		err = errors.New("-filter and -i any are mutually exclusive: a filter fits one link type only")
	case o.live.Interface != "" && len(o.files) > 0:
		err = errors.New("-i and FILE are mutually exclusive")
	}
	return o, err
}

// isSet reports whether the command line has the flag name.
func isSet(set *flag.FlagSet, name string) (found bool) {
	set.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}

// run runs the program and returns its exit status: 0, 1 after an error in a capture or the output,
// or 2 if the command line is wrong.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var help bytes.Buffer
	o, err := parse(args, &help)
	if errors.Is(err, flag.ErrHelp) {
		if _, err := help.WriteTo(stderr); err != nil {
			return 1
		}
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "analyzer: %v (-h shows all flags)\n", err)
		return 2
	}
	stderr = &lockedWriter{w: stderr}
	var failed atomic.Bool
	fail := func(err error) {
		if err != nil {
			fmt.Fprintf(stderr, "analyzer: %v\n", err)
			failed.Store(true)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	writing := func(err error) { // rows are lost, so stop
		fail(err)
		cancel()
	}
	var show *demonstration // of the embedded capture
	out := logs.NewOutput(stdout, writing)
	switch {
	case o.dir != "":
		if out, err = logs.NewDir(o.dir, writing); err != nil {
			fail(err)
			return 1
		}
	case o.live.Interface == "" && len(o.files) == 0 && !o.json:
		show = newDemonstration()
		out = logs.NewOutput(io.Discard, nil) // for rows without a connection
		o.workers = 1
		o.flow.Log = show
	}

	hangup := cancel
	if o.dir != "" {
		hangup = out.Reopen
	}
	defer onSignals(hangup, out.Rotate, o.rotate)()

	o.flow.Errors = stderr
	a := newAnalysis(o.workers, o.flow, out)
	if show != nil {
		show.table = a.workers[0].table
	}
	a.every, a.live = o.stats, o.live.Interface != ""
	if o.metrics != "" || watchdog() > 0 {
		a.observe()
	}
	if o.metrics != "" {
		server, err := metrics.Serve(o.metrics, metrics.Source{
			Workers: a.observed, Output: out.Stats, Weirds: a.weirds, Healthy: func() error { return a.health(out) },
			MaxConnections: o.flow.MaxConnections, MaxHeld: o.flow.MaxTotal,
		})
		if err != nil {
			fail(errors.Join(err, out.Close()))
			return 1
		}
		defer server.Close()
	}
	ending := func() {}
	ready := func() { ending = tellSystemd(func() error { return a.health(out) }) }
	opened := false
	if a.live {
		opened = a.runLive(ctx, o.live, stderr, fail, ready)
	} else {
		ready()
		opened = a.runFiles(ctx, o.files, stderr, fail)
	}
	defer ending()
	stats, _ := a.stats()
	if opened {
		w := logs.NewWriter(out)
		w.Write(stats)
		w.Flush()
	}
	_ = out.Close() // already reported by writing
	if show != nil {
		fail(show.report(stdout, stats))
	}
	if failed.Load() {
		return 1
	}
	return 0
}

// A lockedWriter is a writer for several goroutines.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// onSignals calls hangup at every SIGHUP and, if every is not 0, rotate after that time, until the
// function that it returns is called.
func onSignals(hangup, rotate func(), every time.Duration) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	var ticks <-chan time.Time
	if every > 0 {
		ticks = time.Tick(every)
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-signals:
				hangup()
			case <-ticks:
				rotate()
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
		<-ended
	}
}

// runFiles analyzes files, or the embedded capture if there are none, as parts of one capture. It
// reports whether one could be opened.
func (a *analysis) runFiles(ctx context.Context, files []string, stderr io.Writer, fail func(error)) (opened bool) {
	a.start()
	defer a.finish()
	analyze := func(s *capture.Source, err error) {
		if err != nil {
			fail(err)
			return
		}
		opened = true
		show := newProgress(stderr, s)
		err = a.read(ctx, s, show.tick)
		show.done()
		fail(err)
		s.Close()
	}
	if len(files) == 0 {
		analyze(capture.FromBytes("demo.pcap", demo))
	}
	for _, name := range files {
		if ctx.Err() == nil {
			analyze(capture.Open(ctx, name))
		}
	}
	return opened
}

// runLive captures on an interface until ctx ends. It calls ready once the interface is open, and
// reports whether it could be opened.
func (a *analysis) runLive(ctx context.Context, cfg capture.LiveConfig, stderr io.Writer, fail func(error), ready func()) bool {
	if len(a.workers) > 1 && cfg.Fanout < 0 {
		cfg.Fanout = os.Getpid() & 0xffff // a group of the workers' own
	}
	var rings []*capture.Ring
	for range a.workers {
		r, err := capture.Live(cfg)
		if err != nil {
			fail(err)
			return false
		}
		defer r.Close()
		rings = append(rings, r)
	}
	ready()
	var once sync.Once
	say := func(err error) { fmt.Fprintf(stderr, "analyzer: %v\n", err) }
	fail(a.follow(ctx, rings, say, func(dropped uint64) {
		if dropped > 0 {
			once.Do(func() {
				fmt.Fprintf(stderr, "analyzer: interface %s: the kernel has dropped %d packets so far: use more -workers, "+
					"a larger -buffer, or a -filter\n", cfg.Interface, dropped)
			})
		}
	}))
	return true
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
	if f, ok := w.(*lockedWriter).w.(*os.File); ok {
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
