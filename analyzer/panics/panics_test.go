package panics

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func recovered(r *Reporter, during string, call func()) {
	defer func() {
		if panicked := recover(); panicked != nil {
			r.Report(panicked, during)
		}
	}()
	call()
}

func TestReportNamesFrameConnectionAndPlace(t *testing.T) {
	var b bytes.Buffer
	r := NewReporter(&b)
	r.Frame = 1
	recovered(r, "connection C1", func() { panic("trouble") })
	assert.True(t, strings.HasPrefix(b.String(), "analyzer: frame 1: connection C1: panic: trouble\nat "), b.String())
	assert.Regexp(t, `\nat .*/panics_test\.go:\d+; `, b.String())
	assert.Contains(t, b.String(), "TestReportNamesFrameConnectionAndPlace", "the stack")

	b.Reset()
	r.Frame = 0
	recovered(r, "", func() { panic(errors.New("other trouble")) })
	assert.True(t, strings.HasPrefix(b.String(), "analyzer: panic: other trouble\n"), b.String())
}

func TestEachPlaceIsReportedOnce(t *testing.T) {
	var b bytes.Buffer
	r := NewReporter(&b)
	other := r.Share()
	var none []int
	index := func() { none[len(b.String())+1]++ }
	nilPointer := func() { var m *struct{ n int }; m.n++ }
	twice := func() { panic("outer") }
	for range 3 {
		for _, r := range []*Reporter{r, other} {
			recovered(r, "", index)
			recovered(r, "", nilPointer)
			recovered(r, "", twice)
			recovered(r, "", func() { // a panic in a deferred function is at another place
				defer func() { panic("inner") }()
				twice()
			})
		}
	}
	assert.Equal(t, 4, strings.Count(b.String(), "analyzer: panic: "), b.String())
	assert.Equal(t, 1, strings.Count(b.String(), "index out of range"))
	assert.Equal(t, 1, strings.Count(b.String(), "nil pointer"))
}
