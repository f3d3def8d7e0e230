// The hookvet command runs package hookvet's analyzer: go tool hookvet ./...
package main

import (
	"golang.org/x/tools/go/analysis/multichecker"

	"example.com/conn/hookvet"
)

func main() {
	multichecker.Main(hookvet.Analyzer) // unlike singlechecker, it is also a vet tool
}
