package conn_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/doc/comment"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A sample is a piece of Go code on a page of the documentation.
type sample struct {
	page string
	line int // line number of its first line
	text string
}

// sampleStubs declares the identifiers that the samples leave to the reader.
const sampleStubs = `
type Session struct{ pending []Request }
func (s *Session) match(Reply) bool { return false }
type (
	Request string
	Reply   string
)
func finalize(c *conn.Connection) bool { return true }
func logConnection(c *conn.Connection) {}

type table struct{ flows map[conn.ID]*conn.Connection }
func (t *table) logConnection(c *conn.Connection) {}

type tcpConn struct {
	conn.Hooks[tcpConn]
	ended string
}

type scanner struct{}
func (s *scanner) finish(t *tcpConn) bool { return true }

type stream struct{ c *conn.Connection }
type Analyzer struct{}
func (a *Analyzer) finalize(c *conn.Connection) bool { return true }

var (
	c        *conn.Connection
	from, to *conn.Connection
	t        *tcpConn
)
`

// sampleImports maps package names to the import paths meant by samples that do not import them. A
// package of another module is replaced by the parts that the samples use.
var sampleImports = map[string]string{
	"conn":       "example.com/conn",
	"conntest":   "example.com/conn/conntest",
	"debug":      "runtime/debug",
	"fmt":        "fmt",
	"log":        "log",
	"os":         "os",
	"reassembly": "example.com/conn/internal/reassembly",
	"sync":       "sync",
	"testing":    "testing",
	"time":       "time",
}

const reassemblyStub = "package reassembly; type AssemblerContext any"

// A sample sees its own declarations, then those of earlier samples on its page, then sampleStubs.
// The compiler's errors name the page and line.
func TestSamplesCompile(t *testing.T) {
	samples := append(markdownSamples(t, "README.md"), commentSamples(t, "doc.go")...)
	require.NotEmpty(t, samples)
	// a separate module, which the go command does not download with conn
	if _, err := os.Stat("hookvet"); err == nil {
		samples = append(samples, markdownSamples(t, "hookvet/README.md")...)
	}

	overlay := map[string]string{}
	write := func(name, text string) {
		abs, err := filepath.Abs(name)
		require.NoError(t, err)
		overlay[abs] = filepath.Join(t.TempDir(), "sample.go")
		require.NoError(t, os.WriteFile(overlay[abs], []byte(text), 0o666))
	}
	write("internal/reassembly/reassembly.go", reassemblyStub)

	var earlier []string
	for i, s := range samples {
		if i == 0 || s.page != samples[i-1].page {
			earlier = []string{sampleStubs}
		}
		source, err := s.complete(earlier)
		require.NoError(t, err, "%s:%d", s.page, s.line)
		write(fmt.Sprintf("internal/sample%d/sample.go", i), source)
		if declares(s.text) {
			earlier = append([]string{s.text}, earlier...)
		}
	}
	replacements, err := json.Marshal(map[string]any{"Replace": overlay})
	require.NoError(t, err)
	overlayFile := filepath.Join(t.TempDir(), "overlay.json")
	require.NoError(t, os.WriteFile(overlayFile, replacements, 0o666))

	for i, s := range samples {
		t.Run(fmt.Sprintf("%s:%d", s.page, s.line), func(t *testing.T) {
			out, err := exec.Command("go", "build", "-overlay", overlayFile, fmt.Sprintf("./internal/sample%d", i)).CombinedOutput()
			assert.NoError(t, err, "%s", out)
		})
	}
}

// markdownSamples returns the fenced Go code blocks of a page.
func markdownSamples(t *testing.T, page string) (samples []sample) {
	t.Helper()
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	const fence = "```"
	in := false
	for i, line := range strings.Split(string(text), "\n") {
		switch {
		case in && line == fence:
			in = false
		case in:
			if strings.TrimSpace(line) == "…" { // an ellipsis
				line = ""
			}
			samples[len(samples)-1].text += line + "\n"
		case line == fence+"go":
			in = true
			samples = append(samples, sample{page: page, line: i + 2})
		}
	}
	require.NotEmpty(t, samples, page)
	return samples
}

// commentSamples returns the code blocks in the package comment of a file, all of which are Go.
func commentSamples(t *testing.T, page string) (samples []sample) {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, page, nil, parser.ParseComments)
	require.NoError(t, err)
	source, err := os.ReadFile(page)
	require.NoError(t, err)
	for _, block := range new(comment.Parser).Parse(f.Doc.Text()).Content {
		if code, ok := block.(*comment.Code); ok {
			first, _, _ := strings.Cut(code.Text, "\n")
			before, _, found := strings.Cut(string(source), "//\t"+first+"\n")
			require.True(t, found, first)
			samples = append(samples, sample{page, 1 + strings.Count(before, "\n"), code.Text})
		}
	}
	require.NotEmpty(t, samples, page)
	return samples
}

// declares reports whether a sample consists of declarations rather than statements.
func declares(text string) bool {
	_, err := parser.ParseFile(token.NewFileSet(), "", "package p; "+text, parser.SkipObjectResolution)
	return err == nil
}

// complete returns a file with the sample and the imports and declarations it needs.
func (s sample) complete(earlier []string) (string, error) {
	body := fmt.Sprintf("\n//line %s:%d\n%s\n", s.page, s.line, s.text)
	if !declares(s.text) {
		body = "\nfunc _() {" + body + "}\n"
	}

	declared := map[string]bool{}
	if err := declarations(body, declared, nil); err != nil {
		return "", err
	}
	var rest bytes.Buffer
	for _, text := range earlier {
		if err := declarations(text, declared, &rest); err != nil {
			return "", err
		}
	}
	body += "\n//line sampleStubs:1\n" + rest.String()

	f, err := parser.ParseFile(token.NewFileSet(), "", "package sample;"+body, 0)
	if err != nil {
		return "", err
	}
	imported := map[string]bool{}
	for _, spec := range f.Imports {
		imported[strings.Trim(spec.Path.Value, `"`)] = true
	}
	head := "package sample;"
	for _, id := range f.Unresolved {
		if path := sampleImports[id.Name]; path != "" && !imported[path] {
			imported[path] = true
			head += fmt.Sprintf(" import %q;", path)
		}
	}
	return head + body, nil
}

// declarations adds the names that text declares to declared. If w is not nil, it writes the
// declarations of names that are new to it. Imports are left out.
func declarations(text string, declared map[string]bool, w *bytes.Buffer) error {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "", "package p;"+text, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	add := func(node any, names ...string) error {
		isNew := false
		for _, name := range names {
			isNew = isNew || !declared[name]
			declared[name] = true
		}
		if !isNew || w == nil {
			return nil
		}
		defer w.WriteString("\n")
		return format.Node(w, fset, node)
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				var recv bytes.Buffer
				if err := format.Node(&recv, fset, d.Recv.List[0].Type); err != nil {
					return err
				}
				name = strings.Trim(recv.String(), "*") + "." + name
			}
			if name == "_" {
				continue
			}
			if err := add(d, name); err != nil {
				return err
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				var names []string
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					names = []string{spec.Name.Name}
				case *ast.ValueSpec:
					for _, id := range spec.Names {
						names = append(names, id.Name)
					}
				default:
					continue
				}
				one := &ast.GenDecl{Tok: d.Tok, Specs: []ast.Spec{spec}}
				if err := add(one, names...); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
