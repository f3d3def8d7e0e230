// The hookvet command runs package hookvet's analyzer. go vet runs it:
//
//	go install example.com/conn/hookvet/cmd/hookvet@latest
//	go vet -vettool="$(which hookvet)" ./...
//
// It also runs on its own, as hookvet ./... does. With -fix, both apply the suggested fixes.
package main

import (
	"golang.org/x/tools/go/analysis/multichecker"

	"example.com/conn/hookvet"
)

func main() {
	// Unlike singlechecker's, this Main speaks go vet's protocol too.
	multichecker.Main(hookvet.Analyzer)
}
