// The chart command draws the chart of the README from what the benchmarks of package conn print:
//
//	go test -run '^$' -bench '^Benchmark(Teardown|RegisterRemove)$' -count 6 . |
//		go -C benchmarks run . >benchmarks/chart.svg
//
// It has two panels: what the teardown of a connection without hooks costs in a program of so many
// protocols, and what it costs to register hooks and to run them. Of the times that a benchmark
// took it shows the median, as benchstat does.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	"golang.org/x/perf/benchfmt"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}

func run(r io.Reader, w io.Writer) error {
	times, err := read(r)
	if err != nil {
		return err
	}
	teardown, err := times.series("Teardown", "protocols", []float64{1, 10, 100, 1000}, "broadcast", "conn")
	if err != nil {
		return err
	}
	hooks, err := times.series("RegisterRemove", "hooks", []float64{1, 2, 3, 8}, "map", "slice", "conn")
	if err != nil {
		return err
	}
	return drawChart(w, teardown, hooks)
}

// times has the measured times of each benchmark in nanoseconds a connection, by the benchmark's
// name without the number of CPUs.
type times map[string][]float64

// read reads what go test -bench prints.
func read(r io.Reader) (times, error) {
	ts := times{}
	results := benchfmt.NewReader(r, "standard input")
	for results.Scan() {
		switch record := results.Result().(type) {
		case *benchfmt.SyntaxError:
			return nil, record
		case *benchfmt.Result:
			// An operation of some benchmarks has many connections. They report the time of one.
			t, ok := record.Value("sec/conn")
			if !ok {
				t, ok = record.Value("sec/op")
			}
			if ok {
				name := withoutCPUs(record.Name)
				ts[name] = append(ts[name], 1e9*t)
			}
		}
	}
	if err := results.Err(); err != nil {
		return nil, err
	}
	if len(ts) == 0 {
		return nil, errors.New("standard input has no results of benchmarks")
	}
	return ts, nil
}

// withoutCPUs returns the name without its last part if that is the number of CPUs, as in -8.
func withoutCPUs(name benchfmt.Name) string {
	full := name.String()
	if _, parts := name.Parts(); len(parts) > 0 {
		if last := string(parts[len(parts)-1]); last[0] == '-' {
			full = full[:len(full)-len(last)]
		}
	}
	return full
}

// A series is how an implementation does: the time y of each x.
type series struct {
	impl string
	x, y []float64
}

// series returns what was measured of a benchmark with sub-benchmarks key=x/impl=impl.
func (ts times) series(benchmark, key string, xs []float64, impls ...string) ([]series, error) {
	var all []series
	for _, impl := range impls {
		s := series{impl: impl, x: xs}
		for _, x := range xs {
			name := fmt.Sprintf("%s/%s=%s/impl=%s", benchmark, key, strconv.FormatFloat(x, 'f', -1, 64), impl)
			t := slices.Sorted(slices.Values(ts[name]))
			if len(t) == 0 {
				return nil, fmt.Errorf("standard input has no result of Benchmark%s", name)
			}
			s.y = append(s.y, (t[(len(t)-1)/2]+t[len(t)/2])/2)
		}
		all = append(all, s)
	}
	return all, nil
}
