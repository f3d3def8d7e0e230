package model

import (
	"fmt"
	"iter"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"unsafe"

	"example.com/conn"
)

// A kind is a connection type with the package's functions for it.
type kind[C any] struct {
	register, unregister, registered func(c *C, hk func(*C) bool) bool

	list            func(c *C) iter.Seq[func(*C) bool]
	remove, removed func(c *C) bool
	chain           func(bodies ...func(*C) bool) func(*C) bool
	fields          func(c *C) *conn.Connection // the connection that holds the fields of c

	lasting [madeHook]func(*C) bool // hooks that live as long as the program, by number
	driving **driver[C]             // the current driver, for hooks that capture nothing
}

// driver runs a program on the package.
type driver[C any] struct {
	player
	*kind[C]
	conns   *[connections]C
	hooks   [maxHooks]func(*C) bool
	numbers map[unsafe.Pointer]int // hook numbers by identity
	values  [connections]map[any]int
	asBody  bool // the hook about to begin runs as the body of a chain
	ledger  ledger
	made    *atomic.Int64 // hooks made by the program and not yet garbage-collected
}

func newDriver[C any](k *kind[C]) *driver[C] {
	d := &driver[C]{kind: k, conns: new([connections]C), numbers: map[unsafe.Pointer]int{}, made: new(atomic.Int64)}
	d.player = player{machine: d}
	for h, hk := range k.lasting {
		d.hooks[h] = hk
		d.numbers[pointer(hk)] = identity(h)
	}
	return d
}

// number returns the number of hk, or none if hk is not one of the program's hooks.
func (d *driver[C]) number(hk func(*C) bool) int {
	if h, ok := d.numbers[pointer(hk)]; ok {
		return h
	}
	return none
}

// pointer returns the pointer that a func value consists of, since func values cannot be compared.
func pointer[C any](hk func(*C) bool) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&hk)) }

// begin is called first by every hook. It returns the number of connection c, and whether the hook
// runs as the body of a chain.
func (d *driver[C]) begin(h int, c *C) (number int, asBody bool) {
	number = none
	for i := range d.conns {
		if c == &d.conns[i] {
			number = i
		}
	}
	asBody, d.asBody = d.asBody, false
	if number != none && !asBody {
		d.ledger.run(number, h)
	}
	return number, asBody
}

// hook is the body of every hook except chains.
func (d *driver[C]) hook(h byte, c *C) bool { return d.hookOf(int(h), c) }

func (d *driver[C]) hookOf(h int, c *C) bool {
	number, asBody := d.begin(h, c)
	return d.behave(number, h, asBody).completed
}

// chainBegins is the first body of all chains.
func (d *driver[C]) chainBegins(h int, c *C) bool {
	number, asBody := d.begin(h, c)
	d.noteRun(number, h, asBody)
	return true
}

// chainBody wraps hk as the body of a chain.
func chainBody[C any](driving **driver[C], hk func(*C) bool) func(*C) bool {
	return func(c *C) bool {
		(*driving).asBody = true
		return hk(c)
	}
}

// makeHook makes a hook that shares its code with every function made by package reflect.
func makeHook[C any](hk func(*C) bool) func(*C) bool {
	return reflect.MakeFunc(reflect.TypeOf(hk), func(args []reflect.Value) []reflect.Value {
		return []reflect.Value{reflect.ValueOf(hk(args[0].Interface().(*C)))}
	}).Interface().(func(*C) bool)
}

// madeState is captured by a hook that a program makes.
type madeState[C any] struct {
	*driver[C]
	h       int
	garbage *[16]byte // carries the finalizer, which would never run on an object in a cycle
}

func (s *madeState[C]) finalize(c *C) bool { return s.hookOf(s.h, c) }

func returnedClosure[C any](s *madeState[C]) func(*C) bool {
	return func(c *C) bool { return s.finalize(c) }
}

func (d *driver[C]) newHook(h int, kind byte, bodies []int) {
	s := &madeState[C]{d, h, new([16]byte)}
	made := d.made
	made.Add(1)
	runtime.SetFinalizer(s.garbage, func(*[16]byte) { made.Add(-1) })
	switch kind {
	case newClosure:
		d.hooks[h] = func(c *C) bool { return s.finalize(c) }
	case newReturned:
		d.hooks[h] = returnedClosure(s)
	case newMethod:
		d.hooks[h] = s.finalize
	case newReflect:
		d.hooks[h] = makeHook(s.finalize)
	case newChain:
		hooks := []func(*C) bool{func(c *C) bool { return s.chainBegins(s.h, c) }}
		for _, b := range bodies {
			hooks = append(hooks, chainBody(d.driving, d.hooks[b]))
		}
		d.hooks[h] = d.chain(hooks...)
		clear(hooks) // the slice is the caller's
	}
	d.numbers[pointer(d.hooks[h])] = h
}

func (d *driver[C]) register(c, h int) bool {
	ok := d.kind.register(&d.conns[c], d.hooks[h])
	if ok {
		d.ledger.register(c, identity(h))
	}
	return ok
}

func (d *driver[C]) unregister(c, h int) bool {
	ok := d.kind.unregister(&d.conns[c], d.hooks[h])
	if ok {
		d.ledger.unregister(c, identity(h))
	}
	return ok
}

func (d *driver[C]) registered(c, h int) bool { return d.kind.registered(&d.conns[c], d.hooks[h]) }

func (d *driver[C]) list(c int, yield func(h int) bool) {
	for hk := range d.kind.list(&d.conns[c]) {
		if !yield(d.number(hk)) {
			break
		}
	}
}

func (d *driver[C]) remove(c int) outcome {
	return outcome{completed: d.kind.remove(&d.conns[c])}
}

func (d *driver[C]) removed(c int) bool { return d.kind.removed(&d.conns[c]) }

func (d *driver[C]) reuse(c int) {
	d.conns[c] = *new(C)
	d.ledger.reuse(c)
	clear(d.values[c])
}

// thrown is the type of the values that hooks panic with.
type thrown int

func (d *driver[C]) throw(value int) outcome { panic(thrown(value)) }

func (d *driver[C]) exit() outcome {
	runtime.Goexit()
	panic("unreachable")
}

func (d *driver[C]) catch(f func() outcome) (o outcome) {
	defer func() {
		switch v := recover().(type) {
		case nil: // returned, or Goexit
		case thrown:
			d.note("caught", none, none, int(v))
		default:
			d.note("caught", none, none, fmt.Sprintf("%v\n%s", v, debug.Stack()))
		}
	}()
	return f()
}

func (d *driver[C]) spawn(f func() outcome) outcome {
	*d.driving = d
	o := outcome{exited: true}
	done := make(chan struct{})
	go func() {
		defer close(done)
		o = f()
	}()
	<-done
	*d.driving = nil
	return o
}

// misuse passes nil to the package and returns the outcome.
func (d *driver[C]) misuse(c int, what byte) (result string) {
	defer func() {
		if v := recover(); v != nil {
			result = fmt.Sprint(v)
			if strings.HasPrefix(result, "conn: ") && strings.Contains(result, "nil") {
				result = "panics"
			}
		}
	}()
	switch what {
	case nilRegister:
		return fmt.Sprint(d.kind.register(&d.conns[c], nil))
	case nilUnregister:
		return fmt.Sprint(d.kind.unregister(&d.conns[c], nil))
	case nilRegistered:
		return fmt.Sprint(d.kind.registered(&d.conns[c], nil))
	}
	d.chain(d.hooks[top0], nil)
	return "no panic"
}

// A testField is a conn.Field of some type.
type testField interface {
	get(c *conn.Connection) any // a *T; nil if there is no value
	getOrNew(c *conn.Connection) (any, bool)
	delete(c *conn.Connection) bool
}

type fieldOf[T any] struct{ conn.Field[T] }

func (f *fieldOf[T]) get(c *conn.Connection) any {
	if v := f.Get(c); v != nil {
		return v
	}
	return nil
}

func (f *fieldOf[T]) getOrNew(c *conn.Connection) (any, bool) { return f.GetOrNew(c) }
func (f *fieldOf[T]) delete(c *conn.Connection) bool          { return f.Delete(c) }

var testFields = [fieldCount]testField{
	&fieldOf[string]{}, &fieldOf[string]{}, &fieldOf[struct{ a, b *int }]{}, &fieldOf[struct{}]{},
}

// wrongValue stands for the value of a field that returns a wrong pointer.
const wrongValue = -1

// get returns the number of the field's value. Values are identified by address.
func (d *driver[C]) get(c, f int) int {
	v := testFields[f].get(d.fields(&d.conns[c]))
	if v == nil {
		return 0
	}
	if n, ok := d.values[c][v]; ok {
		return n
	}
	return wrongValue
}

func (d *driver[C]) getOrNew(c, f, fresh int) (int, bool) {
	v, created := testFields[f].getOrNew(d.fields(&d.conns[c]))
	n, known := d.values[c][v]
	switch {
	case created && known, !created && !known:
		return wrongValue, created
	case created:
		if d.values[c] == nil {
			d.values[c] = map[any]int{}
		}
		d.values[c][v] = fresh
		n = fresh
	}
	return n, created
}

func (d *driver[C]) delete(c, f int) bool { return testFields[f].delete(d.fields(&d.conns[c])) }

// A ledger follows every registration until its hook runs, is unregistered, or is dropped with its
// connection.
type ledger struct {
	entries [connections][maxHooks]entry
	faults  []string
}

type entry byte

const (
	absent entry = iota
	waiting
	begun
)

func (l *ledger) change(c, h int, from, to entry, what string) {
	e := &l.entries[c][h]
	if *e != from {
		l.faults = append(l.faults, fmt.Sprintf("%s of conn%d: %s", hookName(h), c, what))
	}
	*e = to
}

func (l *ledger) register(c, h int) { l.change(c, h, absent, waiting, "registered twice") }
func (l *ledger) unregister(c, h int) {
	l.change(c, h, waiting, absent, "unregistered but not waiting")
}
func (l *ledger) run(c, h int) { l.change(c, h, waiting, begun, "run but not waiting") }
func (l *ledger) reuse(c int)  { clear(l.entries[c][:]) }

// finish returns the errors found, after all connections have been removed.
func (l *ledger) finish() []string {
	for c := range l.entries {
		for h, e := range l.entries[c] {
			if e == waiting {
				l.faults = append(l.faults, fmt.Sprintf("%s of conn%d: never run", hookName(h), c))
			}
		}
	}
	return l.faults
}
