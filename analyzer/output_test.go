package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A failing write to any output is reported, and the program ends with status 1.
func TestFailingWritesEndWithStatusOne(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no device that is always full: ", err)
	}
	program, capture := program(t), write(t, demo)
	full := t.TempDir() // where writing dns.log fails
	require.NoError(t, os.Symlink("/dev/full", filepath.Join(full, "dns.log")))
	fullStats := t.TempDir()
	require.NoError(t, os.Symlink("/dev/full", filepath.Join(fullStats, "stats.log")))
	for name, c := range map[string]struct {
		args         []string
		stderrIsFull bool
	}{
		"the demonstration":           {},
		"rows of the embedded file":   {args: []string{"-json"}},
		"rows of a file":              {args: []string{capture}},
		"rows of two workers":         {args: []string{"-workers", "2", capture}},
		"a log's file":                {args: []string{"-o", full, capture}},
		"stats, the last row written": {args: []string{"-o", fullStats, capture}},
		"help":                        {args: []string{"-h"}, stderrIsFull: true},
	} {
		t.Run(name, func(t *testing.T) {
			device, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
			require.NoError(t, err)
			defer device.Close()
			var stderr bytes.Buffer
			cmd := exec.Command(program, c.args...)
			cmd.Stdout, cmd.Stderr = device, &stderr
			if c.stderrIsFull {
				cmd.Stderr = device
			}
			assert.Error(t, cmd.Run())
			assert.Equal(t, 1, cmd.ProcessState.ExitCode())
			if !c.stderrIsFull {
				assert.Regexp(t, `^analyzer: writing .*: no space left on device\n$`, stderr.String())
			}
		})
	}
}

// logRows returns the rows in the files in dir whose names match pattern. Every row must be whole,
// except the last of a file if the process that wrote it was killed.
func logRows(t *testing.T, dir, pattern string, killed bool) (rows []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		if !regexp.MustCompile(pattern).MatchString(e.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			if killed && !strings.HasSuffix(line, "\n") {
				break
			}
			require.True(t, strings.HasSuffix(line, "\n") && json.Valid([]byte(line)), "%s: %q", e.Name(), line)
			rows = append(rows, line)
		}
	}
	return rows
}

// A killed process loses no row that it has written: the next one rotates the files.
func TestKilledRunKeepsItsRows(t *testing.T) {
	program, dir := program(t), t.TempDir()
	const aside, current = `^\w+\.\d{8}T\d{6}\.\d{3}Z(\.\d+)?\.log$`, `^\w+\.log$`
	var want []string
	for range 3 {
		r, w, err := os.Pipe()
		require.NoError(t, err)
		cmd := exec.Command(program, "-o", dir, "-")
		cmd.Stdin = r
		require.NoError(t, cmd.Start())
		_, err = w.Write(demo[:len(demo)/2])
		require.NoError(t, err)
		connLog := filepath.Join(dir, "conn.log")
		require.Eventually(t, func() bool { // rows of this run, not of the one before
			text, err := os.ReadFile(connLog)
			return err == nil && len(text) > 0 && len(logRows(t, dir, aside, false)) == len(want)
		}, 10*time.Second, 10*time.Millisecond)
		require.NoError(t, cmd.Process.Kill())
		require.Error(t, cmd.Wait())
		w.Close()
		r.Close()
		want = append(want, logRows(t, dir, current, true)...)

		f, err := os.OpenFile(connLog, os.O_APPEND|os.O_WRONLY, 0)
		require.NoError(t, err)
		_, err = f.WriteString(`{"_path":"conn","ts":17`) // as if killed in the middle of a write
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	require.NotEmpty(t, want)
	out, err := exec.Command(program, "-o", dir, write(t, demo)).CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.ElementsMatch(t, want, logRows(t, dir, aside, false))
	_, all, _ := runWith(t, "-json")
	assert.Equal(t, strings.Count(all, "\n"), len(logRows(t, dir, current, false)), "only the rows of the last run")
}
