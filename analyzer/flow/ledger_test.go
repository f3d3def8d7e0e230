package flow

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestLedgerFindsLatestOfLargestClass(t *testing.T) {
	var l ledger
	big, small := flows(1, true)[0], flows(40, true)
	assert.Nil(t, l.biggest())
	l.set(big, 1)
	assert.Same(t, big, l.biggest(), "a single byte")
	l.set(big, 1000)
	assert.Same(t, big, l.biggest())
	for _, f := range small {
		l.set(f, 30)
	}
	assert.Equal(t, 2200, l.total)
	assert.Same(t, small[39], l.biggest(), "together they hold more than the big one")
	for _, f := range small[10:] {
		l.set(f, 0)
	}
	assert.Same(t, big, l.biggest())
	l.set(big, 16)
	assert.Same(t, big, l.biggest(), "as much as the small ones, and later")
	l.set(big, 15)
	assert.Same(t, small[9], l.biggest(), "another size class")
	for _, f := range append(small, big) {
		l.set(f, 0)
	}
	assert.Zero(t, l.total)
	assert.Nil(t, l.biggest())
}
