package logs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// An Output is where all rows go in the end: one stream, or a folder with a file for each log. Workers reach it through
// a [Writer] each.
type Output struct {
	stream io.Writer // nil if rows go to dir
	dir    string

	mu    sync.Mutex
	files map[string]*os.File
	err   error // the first that writing met
}

// NewOutput returns an Output that writes all rows to w.
func NewOutput(w io.Writer) *Output { return &Output{stream: w} }

// NewDir returns an Output that writes a file for each log, such as conn.log, in the folder dir. It makes dir, and
// replaces files that have the logs' names.
func NewDir(dir string) (*Output, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	return &Output{dir: dir, files: make(map[string]*os.File)}, nil
}

// write writes whole lines of the log named path.
func (o *Output) write(path string, lines []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return
	}
	w := o.stream
	if w == nil {
		f := o.files[path]
		if f == nil {
			if f, o.err = os.Create(filepath.Join(o.dir, path+".log")); o.err != nil {
				return
			}
			o.files[path] = f
		}
		w = f
	}
	_, o.err = w.Write(lines)
}

// Close closes the files and returns the first error that writing met. All Writers must be flushed before.
func (o *Output) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	err := o.err
	for _, f := range o.files {
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("writing logs: %w", err)
	}
	return nil
}

// A Writer turns one worker's rows into lines. It gathers them, so that workers meet at the Output once in some hundred
// rows.
type Writer struct {
	out     *Output
	pending map[string]*bytes.Buffer // by log; all in one place if the Output is a stream, which keeps their order
}

// NewWriter returns a Writer to out. It belongs to one goroutine.
func NewWriter(out *Output) *Writer {
	return &Writer{out: out, pending: make(map[string]*bytes.Buffer)}
}

// An Appender is a row that writes itself, without its newline. The log that has a row for every connection needs it.
type Appender interface {
	AppendJSON(b []byte) []byte
}

// flushSize is how many bytes a Writer gathers before it writes them.
const flushSize = 64 << 10

// Write writes row, a struct with json tags or an Appender, to the log named path. It panics if row cannot be JSON, a
// caller's bug.
func (w *Writer) Write(path string, row any) {
	place := path
	if w.out.stream != nil {
		place = ""
	}
	b := w.pending[place]
	if b == nil {
		b = new(bytes.Buffer)
		w.pending[strings.Clone(place)] = b
	}
	if a, ok := row.(Appender); ok {
		b.Write(append(a.AppendJSON(b.AvailableBuffer()), '\n'))
	} else {
		enc := json.NewEncoder(b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(row); err != nil {
			panic("logs: a row of " + path + " is not JSON: " + err.Error())
		}
	}
	if b.Len() >= flushSize {
		w.out.write(place, b.Bytes())
		b.Reset()
	}
}

// Flush writes what was gathered.
func (w *Writer) Flush() {
	for place, b := range w.pending {
		if b.Len() > 0 {
			w.out.write(place, b.Bytes())
			b.Reset()
		}
	}
}
