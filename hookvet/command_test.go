package hookvet_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// newModule returns the folder of a new module that has the given files and may import package conn
// and hookvet from this repository.
func newModule(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	repository, err := filepath.Abs("..")
	require.NoError(t, err)
	sums, err := os.ReadFile("go.sum")
	require.NoError(t, err)
	dir = t.TempDir()
	write := func(name, content string) {
		name = filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o777))
		require.NoError(t, os.WriteFile(name, []byte(content), 0o666))
	}
	write("go.mod", "module app\n\ngo 1.26\n\nrequire example.com/conn v0.0.0\n\nreplace example.com/conn => "+repository+
		"\n\nreplace example.com/conn/hookvet => "+filepath.Join(repository, "hookvet")+"\n")
	write("go.sum", string(sums))
	for name, content := range files {
		write(name, content)
	}
	return dir
}

// runGo runs the go command in dir, a new module, and returns what it prints. What the module needs
// is here or was needed to build this test.
func runGo(dir string, args ...string) (output string, err error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod", "GOPROXY=off")
	b, err := cmd.CombinedOutput()
	return string(b), err
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

var wrongUses = map[string]string{
	"hooks/hooks.go": `package hooks

import "example.com/conn"

func New(n int) conn.RemovalHook { return func(*conn.Connection) bool { return n > 0 } }

func Drop(c *conn.Connection, hk conn.RemovalHook) bool { return conn.Unregister(c, hk) }
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

func main() {
	var c conn.Connection
	var s session
	for range 3 {
		conn.Register(&c, s.finalize)
	}
	conn.Unregister(&c, hooks.New(1))
	conn.Registered(&c, conn.Chain(finalize))
	hooks.Drop(&c, s.finalize)
}
`,
}

var reports = []string{
	"parser.y:12: conn.Register adds a hook in each iteration of the loop: a function literal",
	"main.go:19:21: conn.Register adds a hook in each iteration of the loop: each evaluation of s.finalize",
	"main.go:21:22: conn.Unregister never finds this hook: each evaluation of hooks.New(1)",
	"main.go:22:22: conn.Registered never finds this hook: each evaluation of conn.Chain(finalize)",
	"main.go:23:17: hooks.Drop never finds this hook: each evaluation of s.finalize",
}

func TestCommandIsAToolOfAModule(t *testing.T) {
	dir := newModule(t, map[string]string{"main.go": rightUse})
	out, err := runGo(dir, "get", "-tool", "example.com/conn/hookvet/cmd/hookvet")
	require.NoError(t, err, "%s", out)
	out, err = runGo(dir, "tool", "hookvet", "./...")
	assert.NoError(t, err, "%s", out)
	assert.Empty(t, out)

	dir = newModule(t, wrongUses)
	out, err = runGo(dir, "get", "-tool", "example.com/conn/hookvet/cmd/hookvet")
	require.NoError(t, err, "%s", out)
	out, err = runGo(dir, "tool", "hookvet", "./...")
	assert.Error(t, err)
	for _, want := range reports {
		assert.Contains(t, out, want)
	}
}

func TestCommandIsAVetTool(t *testing.T) {
	command := filepath.Join(t.TempDir(), "hookvet.exe")
	b, err := exec.Command("go", "build", "-o", command, "./cmd/hookvet").CombinedOutput()
	require.NoError(t, err, "%s", b)

	out, err := runGo(newModule(t, map[string]string{"main.go": rightUse}), "vet", "-vettool="+command, "./...")
	assert.NoError(t, err, "%s", out)
	assert.Empty(t, out)

	out, err = runGo(newModule(t, wrongUses), "vet", "-vettool="+command, "./...")
	assert.Error(t, err)
	for _, want := range reports {
		assert.Contains(t, out, want)
	}
}

// This repository's own programs, tests among them, are right.
func TestNothingIsReportedInTheRepository(t *testing.T) {
	command := filepath.Join(t.TempDir(), "hookvet.exe")
	b, err := exec.Command("go", "build", "-o", command, "./cmd/hookvet").CombinedOutput()
	require.NoError(t, err, "%s", b)
	for _, dir := range []string{"..", "../analyzer", "../benchmarks", "../examples", "."} {
		cmd := exec.Command("go", "vet", "-vettool="+command, "./...")
		cmd.Dir = dir
		b, err := cmd.CombinedOutput()
		assert.NoError(t, err, "%s", b)
	}
}

// The analyzer has nothing to say about copies, because go vet has.
func TestGoVetFindsACopiedConnection(t *testing.T) {
	out, err := runGo(newModule(t, map[string]string{"main.go": rightUse}), "vet", "./...")
	assert.NoError(t, err, "%s", out)

	out, err = runGo(newModule(t, map[string]string{"main.go": `package main

import "example.com/conn"

func show(c conn.Connection) { println(c.UID) }

func main() {
	var c conn.Connection
	d := c
	show(d)
}
`}), "vet", "./...")
	assert.Error(t, err)
	for _, want := range []string{
		"main.go:5:13: show passes lock by value: example.com/conn.Connection",
		"main.go:9:7: assignment copies lock value to d: example.com/conn.Connection",
		"main.go:10:7: call of show copies lock value: example.com/conn.Connection",
	} {
		assert.Contains(t, out, want)
	}
}
