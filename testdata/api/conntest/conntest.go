// Package conntest is the recorded API of package conntest.
package conntest

import "testing"

func VerifyRemoved(testing.TB) { panic("recorded") }
