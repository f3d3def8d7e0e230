package clock_test

import (
	"fmt"
	"time"

	"example.com/conn/analyzer/clock"
)

// The first timestamp waits for the second to confirm it. The third is wrong, an hour ahead; it waits
// for the fourth, which shows that no hour has passed.
func ExampleClock() {
	start := time.Date(2026, 1, 2, 15, 0, 0, 0, time.UTC)
	var c clock.Clock
	for _, after := range []time.Duration{0, 100 * time.Millisecond, time.Hour, 200 * time.Millisecond} {
		fmt.Printf("%v:", after)
		for _, r := range c.Add(start.Add(after)) {
			fmt.Printf(" %v", r.Time.Sub(start))
		}
		fmt.Println()
	}
	// Output:
	// 0s:
	// 100ms: 0s 100ms
	// 1h0m0s:
	// 200ms: 100ms 200ms
}
