package hookvet_test

import (
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"

	"example.com/conn/hookvet"
)

// The packages under testdata declare in comments what is reported. A near miss has no comment.

func TestFactsAboutFunctionsThatMakeHooks(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), hookvet.Analyzer, ".", "./makers")
}

func TestUnregisterAndRegisteredOfNewHooksAreReported(t *testing.T) {
	analysistest.RunWithSuggestedFixes(t, analysistest.TestData(), hookvet.Analyzer, "./find")
}

func TestRegisterOfNewHooksIsReportedWhereItsResultDecides(t *testing.T) {
	analysistest.RunWithSuggestedFixes(t, analysistest.TestData(), hookvet.Analyzer, "./result")
}

func TestRegisterOfNewHooksIsReportedInLoops(t *testing.T) {
	analysistest.RunWithSuggestedFixes(t, analysistest.TestData(), hookvet.Analyzer, "./loop", "./nearloop")
}

func TestFixesKeepTheHookWhereItIsRegistered(t *testing.T) {
	analysistest.RunWithSuggestedFixes(t, analysistest.TestData(), hookvet.Analyzer, "./fix")
}
