package conn_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn"
)

// FuzzPrograms plays the input as a program (see player) on the package and on the model, and compares every result and
// the order in which hooks run.
func FuzzPrograms(f *testing.F) {
	for _, s := range seeds {
		f.Add(s.program)
	}
	f.Fuzz(func(t *testing.T, program []byte) { play(t, program) })
}

// maxProgram bounds the length of a program, and with it everything that the program does.
const maxProgram = 512

// play plays a program on the package and on the model, and compares them.
func play(t *testing.T, program []byte) *driver {
	program = program[:min(len(program), maxProgram)]
	d := newDriver(program)
	d.run()
	m := newModel(program)
	m.play()
	if !slices.Equal(d.trace, m.trace) {
		require.Fail(t, "the package does something else than the model", "%s\nprogram %#v",
			difference(d.trace, m.trace), program)
	}
	if faults := d.ledger.finish(); len(faults) > 0 {
		require.Fail(t, "a hook is lost, or runs when it must not", "%s\n%s\nprogram %#v",
			strings.Join(faults, "\n"), difference(d.trace, nil), program)
	}
	return d
}

// difference shows what happened up to where the traces differ.
func difference(got, want []event) string {
	n := 0
	for n < min(len(got), len(want)) && got[n] == want[n] {
		n++
	}
	var b strings.Builder
	for _, e := range got[:n] {
		fmt.Fprintln(&b, e)
	}
	if n < len(got) {
		fmt.Fprintln(&b, "got: ", got[n])
	}
	if n < len(want) {
		fmt.Fprintln(&b, "want:", want[n])
	}
	return b.String()
}

func TestSeedsRunTheHooksThatTheirNamesSay(t *testing.T) {
	for _, s := range seeds {
		t.Run(s.name, func(t *testing.T) {
			d := play(t, s.program)
			assert.Equal(t, strings.Fields(s.runs), runs(d.trace[:d.finished]))
		})
	}
}

// runs returns a short form of the events that seeds are checked for: 0:top1 is a run of top1 for conn0, 0:(top1) one
// as a chain's body, 0=true the result of removing conn0, caught=1 the first panic where it is recovered, and ended a
// goroutine that Goexit ended.
func runs(trace []event) []string {
	s := []string{}
	for _, e := range trace {
		switch e.what {
		case "run":
			s = append(s, fmt.Sprintf("%d:%s", e.c, hookName(e.h)))
		case "run as body":
			s = append(s, fmt.Sprintf("%d:(%s)", e.c, hookName(e.h)))
		case "removed":
			s = append(s, fmt.Sprintf("%d=%v", e.c, e.result))
		case "caught":
			s = append(s, fmt.Sprintf("caught=%v", e.result))
		case "goroutine ended":
			s = append(s, "ended")
		}
	}
	return s
}

func TestRandomPrograms(t *testing.T) {
	n := 3000
	if testing.Short() {
		n = 400
	}
	random := rand.New(rand.NewPCG(1, 2))
	seen := map[string]int{}
	var kept []*[connections]conn.Connection
	var made []weak.Pointer[madeState]
	for i := range n {
		program := make([]byte, 16<<random.IntN(6))
		for j := range program {
			program[j] = byte(random.Uint32())
		}
		if i%400 == 200 {
			registerInManyOrders(nil)
		}
		d := play(t, program)
		look(seen, d)
		if i%100 == 0 {
			kept = append(kept, d.conns)
			made = append(made, d.made...)
		}
	}

	for _, what := range []string{
		"register: true", "register: false", "unregister: true", "unregister: false", "registered: true", "registered: false",
		"removed: true", "removed: false", "created: true", "created: false", "delete: true", "delete: false",
		"yield", "caught", "goroutine ended", "misuse: false", "misuse: panics", "run as body", "more than 64 hooks",
		"in a hook: register: true", "in a hook: unregister: true", "in a hook: yield", "in a hook: reuse",
		"in a hook: removed: false", "in a hook: caught", "in a hook: run",
	} {
		assert.NotZero(t, seen[what], "no program came to this: %s", what)
	}

	// Connections that have been removed keep no closure alive, and neither does what connections share.
	runtime.GC()
	alive := 0
	for _, w := range made {
		if w.Value() != nil {
			alive++
		}
	}
	assert.NotEmpty(t, made)
	assert.Zero(t, alive, "closures that are not collected, of %d", len(made))
	runtime.KeepAlive(kept)
}

// registerInManyOrders registers lasting hooks in more orders than the package shares.
func registerInManyOrders(order []int) {
	if len(order) == 5 {
		var c conn.Connection
		for _, h := range order {
			conn.Register(&c, lasting[h])
		}
		return
	}
	for h := range 10 {
		if !slices.Contains(order, h) {
			registerInManyOrders(append(order, h))
		}
	}
}

// look counts what happened in a program.
func look(seen map[string]int, d *driver) {
	waiting := [connections]int{}
	for _, e := range d.trace[:d.finished] {
		what := e.what
		if r, ok := e.result.(bool); ok {
			what = fmt.Sprintf("%s: %t", e.what, r)
		} else if e.what == "misuse" {
			what = fmt.Sprintf("%s: %s", e.what, e.result)
		}
		seen[what]++
		if e.depth > 0 {
			seen["in a hook: "+what]++
		}
		switch what {
		case "register: true":
			waiting[e.c]++
			if waiting[e.c] > 64 {
				seen["more than 64 hooks"]++
			}
		case "unregister: true", "run":
			waiting[e.c]--
		case "reuse":
			waiting[e.c] = 0
		}
	}
}
