package hookvet_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/analysistest"

	"example.com/conn/hookvet"
)

// A package of generated code may have thousands of functions that call each other. Each shape is
// analyzed with n functions and with four times as many; the number of allocations shows how often
// each was examined, without a clock.
func TestChainsOfFunctionsTakeLinearTime(t *testing.T) {
	shapes := map[string]string{
		"makers, callers first": "func make%[1]d(s *session) conn.RemovalHook { return make%[2]d(s) }\n",
		"makers, callees first": "func make%[2]d(s *session) conn.RemovalHook { return make%[1]d(s) }\n",
		"helpers":               "func drop%[1]d(c *conn.Connection, hk conn.RemovalHook) { drop%[2]d(c, hk) }\n",
		"loops": "func loop%[1]d(c *conn.Connection, s *session) {\n" +
			"\tfor range 3 {\n\t\tconn.Register(c, s.finalize)\n\t\tloop%[2]d(c, s)\n\t}\n}\n",
	}
	ends := "func make%[1]d(s *session) conn.RemovalHook { return s.finalize }\n" +
		"func drop%[1]d(c *conn.Connection, hk conn.RemovalHook) { conn.Unregister(c, hk) }\n" +
		"func loop%[1]d(c *conn.Connection, s *session) {}\n"
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			allocs := func(n int) float64 {
				var src strings.Builder
				src.WriteString("package chain\n\nimport \"example.com/conn\"\n\ntype session struct{ n int }\n\n" +
					"func (s *session) finalize(*conn.Connection) bool { return s.n > 0 }\n\n")
				if strings.Contains(name, "callees") {
					fmt.Fprintf(&src, ends, 0)
				} else {
					fmt.Fprintf(&src, ends, n)
				}
				for i := range n {
					fmt.Fprintf(&src, shape, i, i+1)
				}
				return allocsOf(t, src.String())
			}
			few, many := allocs(250), allocs(1000)
			assert.Less(t, many/few, 5.0, "%v allocations for 250 functions, %v for 1000", few, many)
		})
	}
}

// allocsOf returns how many objects the analyzer allocates for a package with the given source.
func allocsOf(t *testing.T, src string) (n float64) {
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(analysistest.TestData())))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "chain"), 0o777))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "chain", "chain.go"), []byte(src), 0o666))
	counting := *hookvet.Analyzer
	counting.Run = func(pass *analysis.Pass) (any, error) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		v, err := hookvet.Analyzer.Run(pass)
		runtime.ReadMemStats(&after)
		if pass.Pkg.Name() == "chain" {
			n = float64(after.Mallocs - before.Mallocs)
		}
		return v, err
	}
	analysistest.Run(ignoreErrors{}, dir, &counting, "./chain")
	require.NotZero(t, n)
	return n
}

// ignoreErrors ignores that the generated source does not state the facts it expects.
type ignoreErrors struct{}

func (ignoreErrors) Errorf(string, ...any) {}
