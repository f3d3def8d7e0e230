package panics_test

import (
	"fmt"
	"strings"

	"example.com/conn/analyzer/panics"
)

// A parser panics on two packets. The analyzer goes on, and the place is reported once.
func ExampleReporter() {
	var out strings.Builder
	r := panics.NewReporter(&out)
	parse := func(data []byte) (first byte) {
		defer func() {
			if v := recover(); v != nil {
				r.Report(v, "a connection")
			}
		}()
		return data[0]
	}
	for frame := range 2 {
		r.Frame = frame + 1
		parse(nil)
	}
	fmt.Println(strings.Count(out.String(), "index out of range"))
	// Output: 1
}
