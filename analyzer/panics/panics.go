// Package panics reports recovered panics, so that one packet cannot end a run unnoticed.
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
	// Frame is the number of the frame that the goroutine is processing, counted from 1, or 0 if
	// there is none.
	Frame int

	places *places
}

// places holds the source lines that have panicked, so it is no larger than the program.
type places struct {
	mu   sync.Mutex
	w    io.Writer
	seen map[string]struct{}
}

// NewReporter returns a Reporter that writes to w.
func NewReporter(w io.Writer) *Reporter {
	return &Reporter{places: &places{w: w, seen: make(map[string]struct{})}}
}

// Share returns a Reporter for another goroutine. A place reported by either is not reported again
// by the other.
func (r *Reporter) Share() *Reporter { return &Reporter{places: r.places} }

// Report writes panicked, a non-nil value returned by recover, with the stack. The deferred
// function that called recover must call Report itself, before it returns. Only the first panic at
// each source line is written. During names what was being processed, such as a connection; it may
// be empty.
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
	fmt.Fprintf(r.places.w, "%spanic: %v\nat %s; further panics there are not reported\n%s", text, panicked, place, debug.Stack())
}

// site returns the file and line that panicked: the first frame below the latest panic that is not
// in package runtime.
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
