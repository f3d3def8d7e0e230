package hookvet_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const goMod = `module app

go 1.23

require example.com/conn v0.0.0

replace example.com/conn => REPOSITORY
`

// repository returns the directory of this repository, used as the README's clone.
func repository(t *testing.T) string {
	dir, err := filepath.Abs("..")
	require.NoError(t, err)
	return dir
}

// newModule returns the directory of a new module with the given files, which can import package
// conn from this repository.
func newModule(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	write := func(name, content string) {
		name = filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o777))
		require.NoError(t, os.WriteFile(name, []byte(content), 0o666))
	}
	write("go.mod", strings.Replace(goMod, "REPOSITORY", repository(t), 1))
	for name, content := range files {
		write(name, content)
	}
	return dir
}

// run runs a command in dir, a new module, and returns its output. It finds commands that it
// installs.
func run(t *testing.T, dir string, command ...string) (output string, err error) {
	t.Helper()
	bin := t.TempDir()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "GOBIN="+bin,
		"PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
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
	"parser.y:12: conn.Register adds a hook in each iteration of the loop: each evaluation of the function literal",
	"main.go:19:21: conn.Register adds a hook in each iteration of the loop: each evaluation of s.finalize",
	"main.go:21:22: conn.Unregister never finds this hook: each evaluation of hooks.New(1)",
	"main.go:22:22: conn.Registered never finds this hook: each evaluation of conn.Chain(finalize)",
	"main.go:23:17: hooks.Drop never finds this hook: each evaluation of s.finalize",
}

// Runs the command in each way that the README gives, including those for clones, in a module with
// the lowest go line that package conn allows.
func TestCommandIsRunAsTheREADMESays(t *testing.T) {
	blocks := shellBlocks(t, "README.md")
	require.Len(t, blocks, 5)
	vet, tools, tool, install, edit := blocks[0], blocks[1], blocks[2], blocks[3], blocks[4]
	replace := func(block, line, with string) string {
		require.Contains(t, block, line)
		return strings.Replace(block, line, with, 1)
	}
	const get = "get -tool example.com/conn/hookvet/cmd/hookvet\n"
	for _, way := range []struct {
		name, script, goLine string
	}{
		{"vet tool", replace(vet, "go install example.com/conn/hookvet/cmd/hookvet@latest\n", install), "go 1.23"},
		{"module of tools", replace(tools, "go -C tools "+get, "cd tools\n"+edit+"cd ..\n"), "go 1.23"},
		{"tool of the module", replace(tool, "go "+get, edit), "go 1.24.0"},
	} {
		t.Run(way.name, func(t *testing.T) {
			script := strings.ReplaceAll(way.script, "/path/to/clone", repository(t))

			dir := newModule(t, map[string]string{"main.go": rightUse})
			before, err := os.ReadFile(filepath.Join(dir, "go.mod"))
			require.NoError(t, err)
			out, err := run(t, dir, "sh", "-ec", script)
			assert.NoError(t, err, "%s", out)
			after, err := os.ReadFile(filepath.Join(dir, "go.mod"))
			require.NoError(t, err)
			assert.Contains(t, string(after), "\n"+way.goLine+"\n")
			assert.Equal(t, way.goLine == "go 1.23", string(before) == string(after), "go.mod unchanged")

			out, err = run(t, newModule(t, wrongUses), "sh", "-ec", script)
			assert.Error(t, err)
			for _, want := range reports {
				assert.Contains(t, out, want)
			}
		})
	}
}

// shellBlocks returns the fenced code blocks of shell commands in a page.
func shellBlocks(t *testing.T, page string) (blocks []string) {
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	for _, block := range strings.Split(string(text), "\n```sh\n")[1:] {
		block, _, _ = strings.Cut(block, "```\n")
		blocks = append(blocks, block)
	}
	return blocks
}

// This repository's own programs, including tests, have no mistakes.
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

// hookvet leaves copies to go vet.
func TestGoVetFindsACopiedConnection(t *testing.T) {
	out, err := run(t, newModule(t, map[string]string{"main.go": rightUse}), "go", "vet", "./...")
	assert.NoError(t, err, "%s", out)

	out, err = run(t, newModule(t, map[string]string{"main.go": `package main

import "example.com/conn"

func show(c conn.Connection) { println(c.UID) }

func main() {
	var c conn.Connection
	d := c
	show(d)
}
`}), "go", "vet", "./...")
	assert.Error(t, err)
	for _, want := range []string{
		"main.go:5:13: show passes lock by value: example.com/conn.Connection",
		"main.go:9:7: assignment copies lock value to d: example.com/conn.Connection",
		"main.go:10:7: call of show copies lock value: example.com/conn.Connection",
	} {
		assert.Contains(t, out, want)
	}
}
