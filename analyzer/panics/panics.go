// Package panics reports panics that were recovered, so that one packet does not end a run.
package panics

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
)

// A Reporter reports the panics of one goroutine.
type Reporter struct {
	// Frame is the number of the frame that the goroutine is working on, counted from 1, or 0 if it
	// is working on none.
	Frame int

	places *places
}

// places are the places in the source that panicked. There are no more of them than the program has
// lines.
type places struct {
	mu   sync.Mutex
	w    io.Writer
	seen map[string]struct{}
}

// NewReporter returns a Reporter that writes to w.
func NewReporter(w io.Writer) *Reporter {
	return &Reporter{places: &places{w: w, seen: make(map[string]struct{})}}
}

// Share returns a Reporter for another goroutine. What one of the two has reported, the other does
// not report again.
func (r *Reporter) Share() *Reporter { return &Reporter{places: r.places} }

// Report reports panicked, a value that recover returned and is not nil, with the stack. The
// deferred function that has called recover must call it before it returns. Of the panics at one
// place in the source, only the first is reported. During is what panicked, such as a connection;
// it may be empty.
func (r *Reporter) Report(panicked any, during string) {
	place := site()
	r.places.mu.Lock()
	defer r.places.mu.Unlock()
	if _, ok := r.places.seen[place]; ok {
		return
	}
	r.places.seen[place] = struct{}{}
	text := "analyzer: "
	if r.Frame > 0 {
		text += fmt.Sprintf("frame %d: ", r.Frame)
	}
	if during != "" {
		text += during + ": "
	}
	fmt.Fprintf(r.places.w, "%spanic: %v\nat %s, from where no other will be reported\n%s", text, panicked, place, debug.Stack())
}

// site returns the file and the line that panicked: the first outside of package runtime below the
// latest panic.
func site() string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	panicking := false
	for {
		f, more := frames.Next()
		switch {
		case f.Function == "runtime.gopanic":
			panicking = true
		case panicking && !strings.HasPrefix(f.Function, "runtime."):
			return fmt.Sprintf("%s:%d", f.File, f.Line)
		case !more:
			return "an unknown place"
		}
	}
}
