package hookvet_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// inFreshModule runs the go command in a new module that imports package conn from this repository and has the given
// files. It returns what the command prints.
func inFreshModule(t *testing.T, files map[string]string, args ...string) (output string, err error) {
	t.Helper()
	repository, err := filepath.Abs("..")
	require.NoError(t, err)
	dir := t.TempDir()
	write := func(name, content string) {
		name = filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o777))
		require.NoError(t, os.WriteFile(name, []byte(content), 0o666))
	}
	write("go.mod", "module app\n\ngo 1.26\n\nrequire example.com/conn v0.0.0\n\nreplace example.com/conn => "+repository+"\n")
	for name, content := range files {
		write(name, content)
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	b, err := cmd.CombinedOutput()
	return string(b), err
}

// buildCommand builds the hookvet command and returns the name of its file.
func buildCommand(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hookvet.exe")
	out, err := exec.Command("go", "build", "-o", file, "./cmd/hookvet").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return file
}

const rightUse = `package main

import "example.com/conn"

type session struct{ hook conn.RemovalHook }

func (s *session) finalize(c *conn.Connection) bool { return true }

func main() {
	var c conn.Connection
	var s session
	s.hook = s.finalize
	if conn.Register(&c, s.hook) {
		println("first")
	}
	conn.Register(&c, func(c *conn.Connection) bool { return c.UID == "" })
	conn.Unregister(&c, s.hook)
	conn.StateRemove(&c)
}
`

func TestGoVetRunsTheCommand(t *testing.T) {
	command := buildCommand(t)

	out, err := inFreshModule(t, map[string]string{"main.go": rightUse}, "vet", "-vettool="+command, "./...")
	assert.NoError(t, err, "%s", out)
	assert.Empty(t, out)

	out, err = inFreshModule(t, map[string]string{
		"hooks/hooks.go": `package hooks

import "example.com/conn"

func New(n int) conn.RemovalHook { return func(*conn.Connection) bool { return n > 0 } }
`,
		"generated/generated.go": `package generated

import "example.com/conn"

//line parser.y:10
func parse(c *conn.Connection, n int) {
	for range n {
		conn.Register(c, func(*conn.Connection) bool { return n > 0 })
	}
}
`,
		"main.go": `package main

import (
	"app/hooks"

	"example.com/conn"
)

type session struct{}

func (*session) finalize(c *conn.Connection) bool { return true }

func finalize(c *conn.Connection) bool { return true }

func generic[T any](c *conn.Connection) bool { return true }

func forget[T any](c *conn.Connection) { conn.Unregister(c, generic[T]) }

func main() {
	var c conn.Connection
	var s session
	for range 3 {
		conn.Register(&c, s.finalize)
	}
	if conn.Register(&c, func(c *conn.Connection) bool { return s.finalize(c) }) {
		println("first")
	}
	conn.Unregister(&c, hooks.New(1))
	conn.Registered(&c, conn.Chain(finalize))
	forget[int](&c)
}
`,
	}, "vet", "-vettool="+command, "./...")
	assert.Error(t, err)
	for _, want := range []string{
		"parser.y:12: Register adds a hook in every iteration of the loop",
		"main.go:17:61: Unregister cannot find this hook: every evaluation of generic[T]",
		"main.go:23:21: Register adds a hook in every iteration of the loop: every evaluation of the method value s.finalize",
		"main.go:25:23: Register's result does not tell whether this hook was registered before: every evaluation of this",
		"main.go:28:22: Unregister cannot find this hook: every call of hooks.New makes a new hook",
		"main.go:29:22: Registered cannot find this hook: every call of conn.Chain makes a new hook",
	} {
		assert.Contains(t, out, want)
	}
}

// The analyzer has nothing to say about copies, because go vet has.
func TestGoVetFindsACopiedConnection(t *testing.T) {
	out, err := inFreshModule(t, map[string]string{"main.go": rightUse}, "vet", "./...")
	assert.NoError(t, err, "%s", out)

	out, err = inFreshModule(t, map[string]string{"main.go": `package main

import "example.com/conn"

func show(c conn.Connection) { println(c.UID) }

func main() {
	var c conn.Connection
	d := c
	show(d)
}
`}, "vet", "./...")
	assert.Error(t, err)
	for _, want := range []string{
		"main.go:5:13: show passes lock by value: example.com/conn.Connection",
		"main.go:9:7: assignment copies lock value to d: example.com/conn.Connection",
		"main.go:10:7: call of show copies lock value: example.com/conn.Connection",
	} {
		assert.Contains(t, out, want)
	}
}
