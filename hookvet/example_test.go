package hookvet_test

import (
	"golang.org/x/tools/go/analysis/multichecker"
	"golang.org/x/tools/go/analysis/passes/copylock"

	"example.com/conn/hookvet"
)

// A vet tool of your own runs hookvet together with other checks, such as the one that reports
// copies of connections. This is its main function.
func Example() {
	multichecker.Main(
		hookvet.Analyzer,
		copylock.Analyzer,
	)
}
