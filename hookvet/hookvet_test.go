package hookvet_test

import (
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"

	"example.com/conn/hookvet"
)

// Comments in the packages under testdata state the expected reports. Code without such a comment
// is, or may be, right.

func TestFactsAboutFunctions(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), hookvet.Analyzer, ".", "./helpers")
}

func TestUnregisterAndRegisteredOfNewHooksAreReported(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), hookvet.Analyzer, "./seek")
}

func TestRegisterOfNewHooksIsReportedInLoops(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), hookvet.Analyzer, "./loop")
}

func TestRightProgramsAreNotReported(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), hookvet.Analyzer, "./rightseek", "./rightloop", "./intests", "./right/...")
}

func TestMistakesAreReported(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), hookvet.Analyzer, "./wrong")
}
