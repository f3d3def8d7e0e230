// The chart command draws the chart of the README from what the benchmarks of package conn print:
//
//	go test -run '^$' -bench '^Benchmark(Teardown|RegisterRemove)$' -count 6 . |
//		go -C benchmarks run . >benchmarks/chart.svg
//
// Its two panels show the cost of removing a connection without hooks, by the number of protocols
// in the program, and of registering and running hooks. Times are medians, as in benchstat.
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

// times maps the name of a benchmark, without the number of CPUs, to the times it took, in
// nanoseconds per connection.
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
			// Some benchmarks remove many connections per operation and report the time of one.
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

// withoutCPUs returns name without the number of CPUs at its end, such as -8.
func withoutCPUs(name benchfmt.Name) string {
	full := name.String()
	if _, parts := name.Parts(); len(parts) > 0 {
		if last := string(parts[len(parts)-1]); last[0] == '-' {
			full = full[:len(full)-len(last)]
		}
	}
	return full
}

// A series is one line or color of the chart: the time y that an implementation takes for each x.
type series struct {
	impl string
	x, y []float64
}

// series returns the medians of the sub-benchmarks key=x/impl=impl.
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
