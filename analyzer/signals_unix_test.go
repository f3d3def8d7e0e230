//go:build unix

package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// SIGHUP may arrive at any time, even while or after the files are closed.
func TestHangupsWhileTheRunEnds(t *testing.T) {
	_, rows, _ := runWith(t, "-json")
	signals := make(chan os.Signal, 1) // so that one between the runs does not kill the tests
	signal.Notify(signals, syscall.SIGHUP)
	defer signal.Stop(signals)
	done := make(chan struct{})
	hangups := make(chan int)
	go func() {
		n := 0
		defer func() { hangups <- n }()
		for ; ; n++ {
			select {
			case <-done:
				return
			case <-time.After(50 * time.Microsecond):
				_ = syscall.Kill(os.Getpid(), syscall.SIGHUP)
			}
		}
	}()
	capture, dir := write(t, demo), t.TempDir()
	for i := range 20 {
		folder := filepath.Join(dir, strconv.Itoa(i))
		status, _, stderr := runWith(t, "-o", folder, capture)
		require.Equal(t, 0, status)
		require.Empty(t, stderr)
		assert.Equal(t, strings.Count(rows, "\n"), len(logRows(t, folder, `\.log$`, false)))
	}
	close(done)
	assert.Greater(t, <-hangups, 100)
	time.Sleep(10 * time.Millisecond) // until the last one is delivered
}

// SIGHUP begins a new file where one was moved away; without a folder it ends the run.
func TestHangup(t *testing.T) {
	signals := make(chan os.Signal, 1) // so that one between the runs does not kill the tests
	signal.Notify(signals, syscall.SIGHUP)
	defer signal.Stop(signals)

	name := filepath.Join(t.TempDir(), "conn.log")
	w, wait := fromPipe(t, io.Discard, os.Stderr, "-o", filepath.Dir(name))
	_, err := w.Write(demo[:len(demo)/2])
	require.NoError(t, err)
	size := func(name string) int64 {
		info, err := os.Stat(name)
		if err != nil {
			return -1
		}
		return info.Size()
	}
	require.Eventually(t, func() bool { return size(name) > 0 }, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, os.Rename(name, name+".1"))
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	require.Eventually(t, func() bool { return size(name) == 0 }, 10*time.Second, 10*time.Millisecond)
	old := size(name + ".1")
	_, err = w.Write(demo[len(demo)/2:])
	require.NoError(t, err)
	w.Close()
	assert.Equal(t, 0, wait())
	assert.Positive(t, size(name))
	assert.Equal(t, old, size(name+".1"), "no rows are added")

	var out bytes.Buffer
	w, wait = fromPipe(t, &out, os.Stderr)
	_, err = w.Write(demo[:len(demo)/2]) // more than the pipe holds, so the run has begun
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	assert.Equal(t, 0, wait(), "although the input goes on")
	assert.Contains(t, out.String(), `"_path":"conn"`)
}

// The first signal ends the run, but not while a write blocks. The second one ends the process.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	cmd := exec.Command(os.Args[0], "-json")
	cmd.Env = append(os.Environ(), asAnalyzer+"="+plain)
	cmd.Stdout = w
	require.NoError(t, cmd.Start())
	w.Close()
	_, err = r.Read(make([]byte, 1)) // the logs do not fit into the pipe
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()

	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-ended:
		t.Fatal("the first signal ended the process: ", err)
	case <-time.After(200 * time.Millisecond):
	}
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-ended:
		assert.Equal(t, syscall.SIGTERM, cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())
	case <-time.After(10 * time.Second):
		_ = cmd.Process.Kill()
		t.Fatal("the second signal did not end the process: ", <-ended)
	}
}
