// Package capture reads packets from capture files, streams and interfaces, and finds the IP
// packets in them.
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

// ErrIdle is what Next of a Source returns when nothing has come for a while; the next call may
// bring something.
var ErrIdle = errors.New("no packets at the moment")

// A Source has frames. Its methods belong to one goroutine, but for Progress.
type Source struct {
	name   string
	next   func() (packet.Frame, error)
	close  func() error
	frames int
	err    error        // that ended it; Next returns it from then on
	read   atomic.Int64 // bytes of the file
	size   int64        // of the file; 0 if that is unknown
}

// Next returns the next frame, or io.EOF at the end, or an error that names the source and the
// place. Once it has returned an error other than ErrIdle, it returns that error for good.
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

// Progress returns which share of the source was read, from 0 to 1; 0 if that is unknown.
func (s *Source) Progress() float64 {
	if s.size == 0 {
		return 0
	}
	return float64(s.read.Load()) / float64(s.size)
}

// Close closes the source.
func (s *Source) Close() error { return s.close() }

// Open opens the capture file with the given name: pcap or pcapng, gzipped or not; or "-", the
// standard input. What is no regular file may have pauses: see [ErrIdle].
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
		return nil, err // it has the name
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
	// A pipe waits for a writer when it is opened. It is not closed, as it may be waiting when the
	// Source is.
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

// countingReader counts what is read of a file, for Progress.
type countingReader struct {
	io.Reader
	n *atomic.Int64
}

func (r countingReader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.n.Add(int64(n))
	return n, err
}

// open reads the beginning of a capture and returns what reads the next frame.
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

// idleTime is how long Next waits before it returns ErrIdle.
const idleTime = 200 * time.Millisecond

// patiently returns a function that returns what next does, which may block, but ErrIdle if that
// takes long, and io.EOF when ctx ends. open is called in the goroutine that calls next, which is
// left behind if it blocks for ever.
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
