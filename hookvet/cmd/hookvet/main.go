// The hookvet command runs package hookvet's analyzer over packages:
//
//	go tool hookvet ./...
package main

import (
	"golang.org/x/tools/go/analysis/multichecker"

	"example.com/conn/hookvet"
)

func main() {
	multichecker.Main(hookvet.Analyzer) // unlike singlechecker's, a vet tool too
}
