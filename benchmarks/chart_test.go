package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// results returns what the benchmarks of package conn print, apart from the one with the given
// name. Each runs twice, so that the median is 0.5 more than the number given here.
func results(without string) string {
	var b strings.Builder
	b.WriteString("goos: linux\npkg: example.com/conn\n")
	write := func(name string, ns float64, unit string) {
		for _, more := range []float64{0, 1} {
			if name != without {
				fmt.Fprintf(&b, "Benchmark%s-2 \t 1000 \t %v ns/op \t %v %s \t 0 B/op\n", name, 64*ns, ns+more, unit)
			}
		}
	}
	for i, protocols := range []int{1, 10, 100, 1000} {
		write(fmt.Sprintf("Teardown/protocols=%d/impl=conn", protocols), 1, "ns/conn")
		write(fmt.Sprintf("Teardown/protocols=%d/impl=broadcast", protocols), float64(2000+i), "ns/conn")
	}
	for i, hooks := range []int{1, 2, 3, 8} {
		for _, impl := range []string{"conn", "map", "slice", "floor"} {
			write(fmt.Sprintf("RegisterRemove/hooks=%d/impl=%s", hooks, impl), float64(100+i), "ns/conn")
		}
	}
	b.WriteString("PASS\n")
	return b.String()
}

func TestChart(t *testing.T) {
	var svg strings.Builder
	require.NoError(t, run(strings.NewReader(results("")), &svg))
	for _, label := range []string{
		"every protocol called: 2004", "conn: 1.5", // at 1000 protocols
		">map<", ">slice<", ">conn<", ">102<", ">104<",
		"prefers-color-scheme: dark",
	} {
		assert.Contains(t, svg.String(), label)
	}
	assert.Less(t, svg.Len(), 30_000)

	d := xml.NewDecoder(strings.NewReader(svg.String()))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
	}
}

func TestNoChart(t *testing.T) {
	for name, test := range map[string]struct{ input, want string }{
		"empty input":   {"", "standard input has no results of benchmarks"},
		"no benchmarks": {"PASS\n", "standard input has no results of benchmarks"},
		"one missing": {
			results("RegisterRemove/hooks=3/impl=slice"),
			"standard input has no result of BenchmarkRegisterRemove/hooks=3/impl=slice",
		},
		"malformed": {"BenchmarkTeardown 1 x ns/op\n", "standard input:1: "},
	} {
		t.Run(name, func(t *testing.T) {
			var svg strings.Builder
			assert.ErrorContains(t, run(strings.NewReader(test.input), &svg), test.want)
			assert.Empty(t, svg.String())
		})
	}
}
