// Package capture reads frames from capture files, streams and interfaces.
package capture

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"example.com/conn/analyzer/packet"
)

// ErrIdle is returned by Next when no frame has arrived for a while; the next call may return one.
var ErrIdle = errors.New("no packets at the moment")

// A Source reads the frames of a capture. Only one goroutine may use it, except for Progress.
type Source struct {
	name   string
	next   func() (packet.Frame, error)
	close  func() error
	frames int
	err    error        // that Next has returned and keeps returning
	read   atomic.Int64 // bytes read from the file
	size   int64        // of the file, 0 if unknown
}

// Next returns the next frame. At the end of the capture it returns io.EOF; other errors name the
// source and the frame. After any error except ErrIdle, Next keeps returning that error. The
// frame's data is valid until the next call.
func (s *Source) Next() (packet.Frame, error) {
	if s.err != nil {
		return packet.Frame{}, s.err
	}
	f, err := s.next()
	switch {
	case err == nil:
		s.frames++
		return f, nil
	case err == ErrIdle:
		return packet.Frame{}, err
	case err == io.EOF:
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = fmt.Errorf("%s: the capture ends in the middle of frame %d", s.name, s.frames+1)
	default:
		err = fmt.Errorf("%s: frame %d: %w", s.name, s.frames+1, err)
	}
	s.err = err
	return packet.Frame{}, err
}

// Progress returns the share of the source that has been read, from 0 to 1, or 0 if unknown.
func (s *Source) Progress() float64 {
	if s.size == 0 {
		return 0
	}
	return float64(s.read.Load()) / float64(s.size)
}

// Close closes the source.
func (s *Source) Close() error { return s.close() }

// Open opens the capture file with the given name, pcap or pcapng, gzipped or not, or standard
// input if the name is "-". Anything but a regular file may pause: see [ErrIdle].
func Open(ctx context.Context, name string) (*Source, error) {
	info, err := os.Stat(name)
	open := func() (*os.File, error) { return os.Open(name) }
	s := &Source{name: name, close: func() error { return nil }}
	if name == "-" {
		info, err = os.Stdin.Stat()
		open = func() (*os.File, error) { return os.Stdin, nil }
		s.name = "standard input"
	}
	switch {
	case err != nil:
		return nil, err // it names the file
	case info.IsDir():
		return nil, fmt.Errorf("%s: is a directory, not a capture", s.name)
	case info.Mode().IsRegular():
		f, err := open()
		if err != nil {
			return nil, err
		}
		s.size, s.close = info.Size(), f.Close
		if s.next, err = s.open(f); err != nil {
			f.Close()
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		return s, nil
	}
	// Opening a pipe blocks until there is a writer. It is never closed: it may still be blocked
	// when the Source is closed.
	s.next, err = patiently(ctx, func() (func() (packet.Frame, error), error) {
		f, err := open()
		if err != nil {
			return nil, err
		}
		return s.open(f)
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	return s, nil
}

// FromBytes returns a Source that reads a capture from memory.
func FromBytes(name string, capture []byte) (*Source, error) {
	s := &Source{name: name, size: int64(len(capture)), close: func() error { return nil }}
	var err error
	if s.next, err = s.open(bytes.NewReader(capture)); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// countingReader counts the bytes read from a file, for Progress.
type countingReader struct {
	io.Reader
	n *atomic.Int64
}

func (r countingReader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.n.Add(int64(n))
	return n, err
}

// open reads the beginning of a capture. It returns a function that reads the next frame.
func (s *Source) open(r io.Reader) (next func() (packet.Frame, error), err error) {
	b := bufio.NewReaderSize(countingReader{r, &s.read}, 1<<16)
	magic, err := b.Peek(4)
	if bytes.HasPrefix(magic, []byte{0x1f, 0x8b}) {
		unzipped, zipErr := gzip.NewReader(b)
		if zipErr != nil {
			return nil, zipErr
		}
		b = bufio.NewReaderSize(unzipped, 1<<16)
		magic, err = b.Peek(4)
		if err == io.ErrUnexpectedEOF {
			return nil, errors.New("is cut off at its beginning")
		}
	}
	switch {
	case len(magic) == 0 && err == io.EOF:
		return nil, errors.New("is empty")
	case len(magic) == 0:
		return nil, err
	}
	if bytes.Equal(magic, []byte{0x0a, 0x0d, 0x0d, 0x0a}) {
		return readNg(b)
	}
	return readPcap(b)
}

// idleTime is how long Next waits for a frame before it returns ErrIdle.
const idleTime = 200 * time.Millisecond

// patiently wraps next, which may block, in a function that returns ErrIdle when next takes long,
// and io.EOF when ctx ends. Both open and next run in a goroutine of their own, which leaks if one
// of them never returns.
func patiently(ctx context.Context, open func() (next func() (packet.Frame, error), err error)) (func() (packet.Frame, error), error) {
	type result struct {
		frame packet.Frame
		err   error
	}
	opened := make(chan error, 1)
	results := make(chan result, 256)
	go func() {
		next, err := open()
		opened <- err
		for err == nil {
			var f packet.Frame
			f, err = next()
			f.Data = bytes.Clone(f.Data)
			select {
			case results <- result{f, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	select {
	case err := <-opened:
		if err != nil {
			return nil, err
		}
	case <-ctx.Done():
		return func() (packet.Frame, error) { return packet.Frame{}, io.EOF }, nil
	}
	timer := time.NewTicker(idleTime)
	return func() (packet.Frame, error) {
		select {
		case r := <-results:
			return r.frame, r.err
		case <-timer.C:
			return packet.Frame{}, ErrIdle
		case <-ctx.Done():
			return packet.Frame{}, io.EOF
		}
	}, nil
}
