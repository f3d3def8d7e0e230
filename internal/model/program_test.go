package model

import (
	"fmt"
	"strings"
)

// A program is a slice of bytes: instructions for a few connections. It is played twice, on the
// package (see driver) and on the model, and both must leave the same trace.
//
// Instructions are listed in the order in which they run: those after a removal belong to the hooks
// that it runs. So the length of a program bounds everything. When the bytes run out, every
// remaining hook returns true.
const (
	// Each takes operands from the bytes that follow it. A connection and a hook or another operand
	// share a byte: conn1 + madeHook.

	opRegister   byte = iota // connection, hook
	opUnregister             // connection, hook
	opRegistered             // connection, hook

	// connection, how many hooks to yield before breaking out: 1 to 7, otherwise all
	opList
	// as opList; for each hook that is yielded, the next instruction is the loop's body
	opListEach

	opRemove   // connection; a panic goes through whoever removes it
	opReuse    // connection: its memory becomes a new one
	opGet      // connection, field
	opGetOrNew // connection, field
	opDelete   // connection, field

	// kind: makes a new hook; for newChain, then the number of bodies and a byte for each
	opNew
	// connection; number: makes new plain hooks and registers them
	opMany

	opSweep // connection, what to do with it and the plain hooks: see sweepUnregister
	opNil   // connection, what to do with a nil hook: see nilRegister
	opCatch // recovers a panic of the next instruction

	// Outside hooks, the rest does nothing.

	opPanic  // the hook panics with a value that was not used before
	opGoexit // the hook calls runtime.Goexit
	opTrue   // the hook returns true
	opFalse  // the hook returns false
	opCount
)

// frequent lists the instructions meant by the bytes from opCount on, so that random bytes make
// useful programs.
var frequent = [32 - opCount]byte{
	opRegister, opRegister, opRegister, opRegister, opRegister, opRegister, opUnregister, opRemove, opRemove, opReuse,
	opNew, opCatch, opPanic,
}

// The connections, as a program names them: in the upper two bits of a byte.
const (
	conn0 byte = iota << 6
	conn1
	conn2
	own // the connection of the running hook; outside hooks, conn0
)

const connections = 3

// The hooks, as a program names them: in the lower six bits of a byte. Hooks made by a program are
// numbered from madeHook on. Plain hooks come after all others, and only opMany and opSweep name
// them.
const (
	top0 byte = iota
	top1
	top2
	top3
	top4
	alias0       // a variable that holds top0: the same hook
	literalVar   // package-level variables, of a literal,
	returnedVar  // of a literal that a function returned,
	genericVar   // of an instance of a generic function,
	methodVar    // of a method value,
	reflectVar   // of a function made by package reflect,
	innerChain   // of a chain of top2 and top3,
	outerChain   // and of a chain of an empty chain, top1 and innerChain
	localLiteral // a literal inside a function, capturing nothing
	made0        // the first hook that the program made
	made1
	made2
	made3
	made4
	made5
	made6
	made7

	madeHook  = made0
	plainHook = 64
	maxHooks  = plainHook + 192
)

// The kinds of hooks that opNew makes.
const (
	newClosure  byte = iota // a literal that captures variables
	newReturned             // the same, returned by a function
	newMethod               // a method value
	newReflect              // made by package reflect
	newChain                // a Chain
	newKinds
)

// The fields, as a program names them, in place of a hook.
const (
	fieldA     byte = iota // a string
	fieldB                 // a string too
	fieldC                 // a struct
	fieldEmpty             // a value without size
	fieldCount
)

// A machine runs a program: the driver on the package, the model by itself. Its methods are the
// instructions of the same names.
type machine interface {
	register(c, h int) bool
	unregister(c, h int) bool
	registered(c, h int) bool
	list(c int, yield func(h int) bool)
	remove(c int) outcome
	removed(c int) bool
	reuse(c int)
	get(c, f int) (value int)
	getOrNew(c, f, fresh int) (value int, created bool)
	delete(c, f int) bool
	newHook(h int, kind byte, bodies []int)
	misuse(c int, what byte) string
	throw(value int) outcome
	exit() outcome

	catch(func() outcome) outcome // runs a function and recovers its panic
	spawn(func() outcome) outcome // runs a function on its own goroutine
}

// An outcome is how a hook, or an instruction in its body, ends. The driver uses real panics and
// Goexits instead.
type outcome struct {
	ended     bool // the hook's body ends with it
	completed bool // it returned true
	panicked  int  // the value it panicked with, 0 if it did not
	exited    bool // it called Goexit
}

// An event is an instruction that ran, with its connection, its hook or field, and its result.
type event struct {
	depth  int // how many hooks run
	what   string
	c, h   int // none, or a connection, and a hook or a field
	result any // nil, or a bool, the number of a value, a message
}

// none is the connection or hook of events without one. A field f is firstField + f.
const (
	none       = -1
	firstField = maxHooks
)

func (e event) String() string {
	s := strings.Repeat("\t", e.depth) + e.what
	if e.c != none {
		s += fmt.Sprint(" conn", e.c)
	}
	if e.h != none {
		s += " " + hookName(e.h)
	}
	if e.result != nil {
		s += fmt.Sprint(": ", e.result)
	}
	return s
}

func hookName(h int) string {
	names := []string{"top0", "top1", "top2", "top3", "top4", "alias0", "literalVar", "returnedVar", "genericVar",
		"methodVar", "reflectVar", "innerChain", "outerChain", "localLiteral"}
	switch {
	case h < len(names):
		return names[h]
	case h < plainHook:
		return fmt.Sprintf("made%d", h-len(names))
	case h < maxHooks:
		return fmt.Sprintf("plain%d", h-plainHook)
	}
	return fmt.Sprintf("field%c", 'A'+h-firstField)
}

// A player plays a program on a machine.
type player struct {
	machine
	program []byte // the part not yet played
	trace   []event

	finished int // number of events when finish began

	made, plain int            // number of these hooks
	nesting     [plainHook]int // how deeply chains are nested
	values      int            // number of values the fields have had
	panics      int            // number of panics so far
	depth       int            // how many hooks run
}

// maxNesting bounds chains in chains: the number of bodies that run grows exponentially with it.
const maxNesting = 3

// maxTrace stops hooks that register themselves forever if the package wrongly lets them.
const maxTrace = 1 << 16

// play plays a program, or a part of one.
func (p *player) play(program []byte) {
	p.program = program
	for len(p.program) > 0 {
		if p.spawn(p.main).exited {
			p.note("goroutine ended", none, none, nil)
		}
	}
}

// finish removes all connections at the end of the program, and checks that they are removed.
func (p *player) finish() {
	p.finished = len(p.trace)
	p.spawn(func() outcome { return p.catch(p.removeAll) })
}

// main plays the program outside hooks, until it ends its goroutine.
func (p *player) main() outcome {
	for len(p.program) > 0 {
		if o := p.catch(p.mainStep); o.exited {
			return o
		}
	}
	return outcome{}
}

func (p *player) mainStep() outcome { return p.step(0) }

func (p *player) removeAll() outcome {
	for c := range connections {
		p.doRemove(c)
		p.doRemove(c)
		p.doList(c, c, 0, false)
		p.doRegister(c, int(top0))
		for f := range int(fieldCount) {
			p.doField(opGet, c, f)
		}
	}
	return outcome{}
}

// behave is the body of a hook. asBody says that it runs as the body of a chain.
func (p *player) behave(c, h int, asBody bool) outcome {
	p.noteRun(c, h, asBody)
	p.depth++
	defer func() { p.depth-- }()
	if h >= plainHook {
		// Plain hooks need no bytes of the program, so a connection can have very many. Some return
		// false; some try to register themselves again, too late.
		if h%5 == 0 && len(p.trace) < maxTrace {
			p.doRegister(c, h)
		}
		return outcome{ended: true, completed: h%7 != 0}
	}
	for len(p.program) > 0 {
		if o := p.step(c); o.ended {
			return o
		}
	}
	return outcome{ended: true, completed: true}
}

func (p *player) noteRun(c, h int, asBody bool) {
	what := "run"
	if asBody {
		what = "run as body"
	}
	p.note(what, c, h, nil)
}

func (p *player) note(what string, c, h int, result any) {
	p.trace = append(p.trace, event{p.depth, what, c, h, result})
}

// next takes a byte from the program.
func (p *player) next() byte {
	if len(p.program) == 0 {
		return 0
	}
	b := p.program[0]
	p.program = p.program[1:]
	return b
}

// operands takes a byte that names a connection and something else.
func (p *player) operands(self int) (c int, other byte) {
	b := p.next()
	if b >= own {
		return self, b &^ own
	}
	return int(b >> 6), b &^ own
}

// hook returns the hook that b names.
func (p *player) hook(b byte) int {
	return int(b) % (int(madeHook) + p.made)
}

// step plays the next instruction, in a hook of the connection self or outside hooks.
func (p *player) step(self int) outcome {
	op := p.next() % 32
	if op >= opCount {
		op = frequent[op-opCount]
	}
	if op >= opPanic && p.depth == 0 {
		return outcome{}
	}
	switch op {
	case opRegister:
		c, b := p.operands(self)
		p.doRegister(c, p.hook(b))
	case opUnregister:
		c, b := p.operands(self)
		p.doUnregister(c, p.hook(b))
	case opRegistered:
		c, b := p.operands(self)
		p.doRegistered(c, p.hook(b))
	case opList, opListEach:
		c, most := p.operands(self)
		return p.doList(self, c, int(most), op == opListEach)
	case opRemove:
		c, _ := p.operands(self)
		return p.doRemove(c)
	case opReuse:
		c, _ := p.operands(self)
		p.note("reuse", c, none, nil)
		p.reuse(c)
	case opGet, opGetOrNew, opDelete:
		c, f := p.operands(self)
		p.doField(op, c, int(f%fieldCount))
	case opNew:
		p.doNew()
	case opMany:
		c, _ := p.operands(self)
		n := int(p.next())
		if n < 224 {
			n %= 8
		} else {
			n -= 224 - 65 // more than fit in a short list
		}
		for ; n > 0 && plainHook+p.plain < maxHooks; n-- {
			h := plainHook + p.plain
			p.plain++
			p.newHook(h, newClosure, nil)
			p.doRegister(c, h)
		}
	case opSweep:
		c, how := p.operands(self)
		p.sweep(c, how)
	case opNil:
		c, what := p.operands(self)
		p.note("misuse", c, none, p.misuse(c, what%nilKinds))
	case opCatch:
		if len(p.program) > 0 {
			return p.catch(func() outcome { return p.step(self) })
		}
	case opPanic:
		p.panics++
		p.note("panic", none, none, p.panics)
		return p.throw(p.panics)
	case opGoexit:
		p.note("goexit", none, none, nil)
		return p.exit()
	case opTrue, opFalse:
		return outcome{ended: true, completed: op == opTrue}
	}
	return outcome{}
}

func (p *player) doRegister(c, h int)   { p.note("register", c, h, p.register(c, h)) }
func (p *player) doUnregister(c, h int) { p.note("unregister", c, h, p.unregister(c, h)) }
func (p *player) doRegistered(c, h int) { p.note("registered", c, h, p.registered(c, h)) }

// doList lists the hooks of c, at most `most` of them if most is from 1 to 7. If each is set, the
// body of the loop is the next instruction, in a hook of self.
func (p *player) doList(self, c, most int, each bool) outcome {
	p.note("removed before listing", c, none, p.removed(c))
	var o outcome
	n := 0
	p.list(c, func(h int) bool {
		p.note("yield", c, h, nil)
		if each && len(p.program) > 0 {
			o = p.step(self)
		}
		n++
		return !o.ended && (n != most || n > 7)
	})
	return o
}

func (p *player) doRemove(c int) outcome {
	p.note("remove", c, none, nil)
	o := p.remove(c)
	if o.panicked != 0 || o.exited {
		o.ended = true
		return o
	}
	p.note("removed", c, none, o.completed)
	return outcome{}
}

func (p *player) doField(op byte, c, f int) {
	switch op {
	case opGet:
		p.note("get", c, firstField+f, p.get(c, f))
	case opGetOrNew:
		value, created := p.getOrNew(c, f, p.values+1)
		if created {
			p.values++
		}
		p.note("created", c, firstField+f, created)
		p.note("value", c, firstField+f, value)
	case opDelete:
		p.note("delete", c, firstField+f, p.delete(c, f))
	}
}

func (p *player) doNew() {
	kind := p.next() % newKinds
	h := int(madeHook) + p.made
	if h == plainHook {
		return
	}
	var bodies []int
	if kind == newChain {
		p.nesting[innerChain], p.nesting[outerChain] = 1, 2
		p.nesting[h] = 1
		for range p.next() % 4 {
			body := p.hook(p.next() &^ own)
			if p.nesting[body] < maxNesting {
				bodies = append(bodies, body)
				p.nesting[h] = max(p.nesting[h], p.nesting[body]+1)
			}
		}
	}
	p.made++
	p.newHook(h, kind, bodies)
}

// What opSweep does with the plain hooks, in place of a hook.
const (
	sweepUnregister byte = iota
	sweepRegister
	sweepRegistered
	sweepKinds = 4

	everySecond byte = 1 << 2
	everyThird  byte = 2 << 2
	everyFourth byte = 3 << 2
)

func (p *player) sweep(c int, how byte) {
	step := 1 + int(how/everySecond%4)
	for h := plainHook; h < plainHook+p.plain; h += step {
		switch how % sweepKinds {
		case sweepUnregister:
			p.doUnregister(c, h)
		case sweepRegister:
			p.doRegister(c, h)
		default:
			p.doRegistered(c, h)
		}
	}
}

// What opNil does with a nil hook, in place of a hook.
const (
	nilRegister byte = iota
	nilUnregister
	nilRegistered
	nilChain
	nilKinds
)
