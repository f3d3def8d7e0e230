package protocol

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// Parsers combine verdicts with min and max.
func TestVerdictsAreOrdered(t *testing.T) {
	assert.IsIncreasing(t, []Verdict{No, Maybe, Half, Yes})
}

func TestOtherSide(t *testing.T) {
	assert.Equal(t, Resp, Orig.Other())
	assert.Equal(t, Orig, Resp.Other())
}

func TestViolated(t *testing.T) {
	for name, tt := range map[string]struct {
		confirmed bool
		seen      int
		want      Next
	}{
		"of another protocol":  {false, 1, More},
		"soon":                 {true, 1, Violation},
		"after 10 KB":          {true, 10 << 10, Violation},
		"after more than that": {true, 10<<10 + 1, More},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tt.want, Violated(tt.confirmed, tt.seen))
		})
	}
}
