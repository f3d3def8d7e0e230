package model

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/conn"
)

// FuzzPrograms plays the input as a program (see player) on the package and on the model, and
// compares every result and the order in which hooks run.
func FuzzPrograms(f *testing.F) {
	for _, s := range seeds {
		f.Add(s.program)
	}
	f.Fuzz(func(t *testing.T, program []byte) { play(t, program) })
}

// maxProgram bounds the length of a program, and so everything it does.
const maxProgram = 512

// play plays a program on the package, with both kinds of connections, and on the model, and
// compares the results.
func play(t *testing.T, program []byte) *driver[conn.Connection] {
	program = program[:min(len(program), maxProgram)]
	playKind(t, flowKind, program)
	return playKind(t, connectionKind, program)
}

func playKind[C any](t *testing.T, k *kind[C], program []byte) *driver[C] {
	d, m := newDriver(k), newModel()
	d.play(program)
	m.play(program)
	compare(t, d, m, program)
	return d
}

// compare finishes the program and compares the traces of the package and the model.
func compare[C any](t *testing.T, d *driver[C], m *model, program []byte) {
	d.finish()
	m.finish()
	if !slices.Equal(d.trace, m.trace) {
		require.Fail(t, "the package differs from the model", "%T\n%s\nprogram %#v",
			*new(C), difference(d.trace, m.trace), program)
	}
	if faults := d.ledger.finish(); len(faults) > 0 {
		require.Fail(t, "a hook is lost, or runs when it must not", "%T\n%s\n%s\nprogram %#v",
			*new(C), strings.Join(faults, "\n"), difference(d.trace, nil), program)
	}
}

// difference shows the traces up to the point where they differ.
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

func TestSeedsRunExpectedHooks(t *testing.T) {
	for _, s := range seeds {
		t.Run(s.name, func(t *testing.T) {
			d := play(t, s.program)
			assert.Equal(t, strings.Fields(s.runs), runs(d.trace[:d.finished]))
		})
	}
}

func TestClosuresOfProgramsAreCollected(t *testing.T) {
	closuresAreCollected(t, connectionKind)
	closuresAreCollected(t, flowKind)
}

func closuresAreCollected[C any](t *testing.T, k *kind[C]) {
	var kept []*[connections]C
	var made []*atomic.Int64
	collectGarbage() // makes room for shared sets, which must not hold closures
	for _, s := range seeds {
		d := playKind(t, k, s.program)
		if d.plain == 0 { // very many hooks might leave no room for others
			kept = append(kept, d.conns)
			made = append(made, d.made)
		}
	}

	// All connections have been removed. Neither they nor the shared sets keep a closure alive.
	alive := int64(0)
	assert.Eventually(t, func() bool {
		collectGarbage()
		alive = 0
		for _, n := range made {
			alive += n.Load()
		}
		return alive == 0
	}, 10*time.Second, time.Millisecond)
	assert.Zero(t, alive, "closures not collected")
	runtime.KeepAlive(kept)
}

// collectGarbage returns when the garbage has been collected and a finalizer has run.
func collectGarbage() {
	done := make(chan struct{})
	runtime.SetFinalizer(new(*int), func(**int) { close(done) })
	runtime.GC()
	<-done
}

// runs abbreviates the events that the seeds list: 0:top1 is a run of top1 for conn0, 0:(top1) one
// as a chain's body, 0=true the result of removing conn0, caught=1 the first panic where it is
// recovered, and ended a goroutine ended by Goexit.
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
	for range n {
		countEvents(seen, play(t, randomProgram(random)))
	}

	for _, what := range []string{
		"register: true", "register: false", "unregister: true", "unregister: false", "registered: true", "registered: false",
		"removed: true", "removed: false", "created: true", "created: false", "delete: true", "delete: false",
		"yield", "caught", "goroutine ended", "misuse: false", "misuse: panics", "run as body", "more than 64 hooks",
		"in a hook: register: true", "in a hook: unregister: true", "in a hook: yield", "in a hook: reuse",
		"in a hook: removed: false", "in a hook: caught", "in a hook: run",
	} {
		assert.NotZero(t, seen[what], "no program did this: %s", what)
	}
}

func randomProgram(random *rand.Rand) []byte {
	program := make([]byte, 16<<random.IntN(6))
	for i := range program {
		program[i] = byte(random.Uint32())
	}
	return program
}

// Shared state is bounded: when it is full, new combinations of hooks are not shared, and the next
// garbage collection makes room. The programs are played in three parts: before, between and after.
func TestRandomProgramsWhileSharedStateIsFullAndForgotten(t *testing.T) {
	randomProgramsWhileFull(t, connectionKind)
	randomProgramsWhileFull(t, flowKind)
}

func randomProgramsWhileFull[C any](t *testing.T, k *kind[C]) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	random := rand.New(rand.NewPCG(3, 4))
	const n = 300
	var programs [n][]byte
	var drivers [n]*driver[C]
	var models [n]*model
	for i := range n {
		programs[i] = randomProgram(random)
		drivers[i], models[i] = newDriver(k), newModel()
	}
	for part := range 3 {
		for i, program := range programs {
			third := program[part*len(program)/3 : (part+1)*len(program)/3]
			drivers[i].play(third)
			models[i].play(third)
		}
		switch part {
		case 0:
			for range 8000 {
				c := new(C)
				for _, h := range random.Perm(int(methodVar)) {
					k.register(c, k.lasting[h])
				}
			}
		case 1:
			collectGarbage()
		}
	}
	for i, program := range programs {
		compare(t, drivers[i], models[i], program)
	}
}

// countEvents counts the events of each kind in a program.
func countEvents(seen map[string]int, d *driver[conn.Connection]) {
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
