package conn_test

import (
	"fmt"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
	"unsafe"
	"weak"

	"example.com/conn"
)

// driver does what a program says with the package.
type driver struct {
	player
	conns   *[connections]conn.Connection
	hooks   [maxHooks]conn.RemovalHook
	numbers map[unsafe.Pointer]int // of the hooks that the program made, by identity
	values  [connections]map[any]int
	asBody  bool // the hook that begins now is a chain's body
	ledger  ledger
	made    []weak.Pointer[madeState] // what the closures that the program made capture
}

// driving is the driver that runs. Hooks that capture nothing find it here.
var driving *driver

func newDriver() *driver {
	d := &driver{conns: new([connections]conn.Connection), numbers: map[unsafe.Pointer]int{}}
	d.player = player{machine: d}
	copy(d.hooks[:], lasting[:])
	return d
}

// number returns which hook hk is, none if it is no hook of the program.
func (d *driver) number(hk conn.RemovalHook) int {
	if h, ok := d.numbers[pointer(hk)]; ok {
		return h
	}
	if h, ok := lastingNumbers[pointer(hk)]; ok {
		return h
	}
	return none
}

// pointer returns the pointer that a func value consists of. Func values cannot be compared, but this tells them apart.
func pointer(hk conn.RemovalHook) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&hk)) }

// begin is called by every hook when it begins to run. It returns which connection c is, and how the hook runs.
func (d *driver) begin(h int, c *conn.Connection) (number int, asBody bool) {
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

// hook is the body of all hooks but chains.
func (d *driver) hook(h byte, c *conn.Connection) bool { return d.hookOf(int(h), c) }

func (d *driver) hookOf(h int, c *conn.Connection) bool {
	number, asBody := d.begin(h, c)
	return d.behave(number, h, asBody).completed
}

// chainBegins is the first body of all chains.
func (d *driver) chainBegins(h int, c *conn.Connection) bool {
	number, asBody := d.begin(h, c)
	d.noteRun(number, h, asBody)
	return true
}

// chainBody makes hk a body of a chain.
func chainBody(hk conn.RemovalHook) conn.RemovalHook {
	return func(c *conn.Connection) bool {
		driving.asBody = true
		return hk(c)
	}
}

// Hooks that live as long as the program.

func hookTop0(c *conn.Connection) bool { return driving.hook(top0, c) }
func hookTop1(c *conn.Connection) bool { return driving.hook(top1, c) }
func hookTop2(c *conn.Connection) bool { return driving.hook(top2, c) }
func hookTop3(c *conn.Connection) bool { return driving.hook(top3, c) }
func hookTop4(c *conn.Connection) bool { return driving.hook(top4, c) }

func hookGeneric[T any](c *conn.Connection) bool { return driving.hook(genericVar, c) }

func (h numberedHook) run(c *conn.Connection) bool { return driving.hook(byte(h), c) }

type numberedHook byte

func returnedHook(h byte) conn.RemovalHook {
	return func(c *conn.Connection) bool { return driving.hook(h, c) }
}

//go:noinline
func literalHook() conn.RemovalHook {
	return func(c *conn.Connection) bool { return driving.hook(localLiteral, c) }
}

var (
	hookAlias0   conn.RemovalHook = hookTop0
	hookLiteral  conn.RemovalHook = func(c *conn.Connection) bool { return driving.hook(literalVar, c) }
	hookReturned                  = returnedHook(returnedVar)
	hookInstance conn.RemovalHook = hookGeneric[int]
	hookMethod   conn.RemovalHook = numberedHook(methodVar).run
	hookReflect                   = makeHook(func(c *conn.Connection) bool { return driving.hook(reflectVar, c) })
	hookInner                     = conn.Chain(
		func(c *conn.Connection) bool { return driving.chainBegins(int(innerChain), c) },
		chainBody(hookTop2), chainBody(hookTop3))
	hookOuter = conn.Chain(
		func(c *conn.Connection) bool { return driving.chainBegins(int(outerChain), c) },
		conn.Chain(), chainBody(hookTop1), chainBody(hookInner))
	hookLocal = literalHook()
)

// makeHook makes a hook whose code is that of every function that package reflect makes.
func makeHook(hk conn.RemovalHook) conn.RemovalHook {
	return reflect.MakeFunc(reflect.TypeFor[conn.RemovalHook](), func(args []reflect.Value) []reflect.Value {
		return []reflect.Value{reflect.ValueOf(hk(args[0].Interface().(*conn.Connection)))}
	}).Interface().(conn.RemovalHook)
}

// lasting has these hooks by number, and lastingNumbers the number of each.
var lasting = [madeHook]conn.RemovalHook{
	hookTop0, hookTop1, hookTop2, hookTop3, hookTop4, hookAlias0, hookLiteral, hookReturned, hookInstance, hookMethod,
	hookReflect, hookInner, hookOuter, hookLocal,
}

var lastingNumbers = func() map[unsafe.Pointer]int {
	numbers := map[unsafe.Pointer]int{}
	for h, hk := range lasting {
		numbers[pointer(hk)] = identity(h)
	}
	return numbers
}()

// madeState is what a hook that a program made captures.
type madeState struct {
	*driver
	h int
}

func (s *madeState) finalize(c *conn.Connection) bool { return s.hookOf(s.h, c) }

func returnedClosure(s *madeState) conn.RemovalHook {
	return func(c *conn.Connection) bool { return s.finalize(c) }
}

func (d *driver) newHook(h int, kind byte, bodies []int) {
	s := &madeState{d, h}
	d.made = append(d.made, weak.Make(s))
	switch kind {
	case newClosure:
		d.hooks[h] = func(c *conn.Connection) bool { return s.finalize(c) }
	case newReturned:
		d.hooks[h] = returnedClosure(s)
	case newMethod:
		d.hooks[h] = s.finalize
	case newReflect:
		d.hooks[h] = makeHook(s.finalize)
	case newChain:
		hooks := []conn.RemovalHook{func(c *conn.Connection) bool { return s.chainBegins(s.h, c) }}
		for _, b := range bodies {
			hooks = append(hooks, chainBody(d.hooks[b]))
		}
		d.hooks[h] = conn.Chain(hooks...)
		clear(hooks) // the slice is the caller's
	}
	d.numbers[pointer(d.hooks[h])] = h
}

func (d *driver) register(c, h int) bool {
	ok := conn.Register(&d.conns[c], d.hooks[h])
	if ok {
		d.ledger.register(c, identity(h))
	}
	return ok
}

func (d *driver) unregister(c, h int) bool {
	ok := conn.Unregister(&d.conns[c], d.hooks[h])
	if ok {
		d.ledger.unregister(c, identity(h))
	}
	return ok
}

func (d *driver) registered(c, h int) bool { return conn.Registered(&d.conns[c], d.hooks[h]) }

func (d *driver) list(c int, yield func(h int) bool) {
	for hk := range d.conns[c].RemovalHooks() {
		if !yield(d.number(hk)) {
			break
		}
	}
}

func (d *driver) remove(c int) outcome {
	return outcome{completed: conn.StateRemove(&d.conns[c])}
}

func (d *driver) reuse(c int) {
	d.conns[c] = conn.Connection{}
	d.ledger.reuse(c)
	clear(d.values[c])
}

// thrown is what hooks panic with.
type thrown int

func (d *driver) throw(value int) outcome { panic(thrown(value)) }

func (d *driver) exit() outcome {
	runtime.Goexit()
	panic("unreachable")
}

func (d *driver) catch(f func() outcome) (o outcome) {
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

func (d *driver) spawn(f func() outcome) outcome {
	driving = d
	o := outcome{exited: true}
	done := make(chan struct{})
	go func() {
		defer close(done)
		o = f()
	}()
	<-done
	driving = nil
	return o
}

// misuse passes nil to the package and returns what comes of it.
func (d *driver) misuse(c int, what byte) (result string) {
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
		return fmt.Sprint(conn.Register(&d.conns[c], nil))
	case nilUnregister:
		return fmt.Sprint(conn.Unregister(&d.conns[c], nil))
	case nilRegistered:
		return fmt.Sprint(conn.Registered(&d.conns[c], nil))
	}
	conn.Chain(hookTop0, nil)
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

// wrongValue is the value of a field that gives a pointer it must not give.
const wrongValue = -1

// get returns the number of the value that the field has. Values are told apart by their addresses.
func (d *driver) get(c, f int) int {
	v := testFields[f].get(&d.conns[c])
	if v == nil {
		return 0
	}
	if n, ok := d.values[c][v]; ok {
		return n
	}
	return wrongValue
}

func (d *driver) getOrNew(c, f, fresh int) (int, bool) {
	v, created := testFields[f].getOrNew(&d.conns[c])
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

func (d *driver) delete(c, f int) bool { return testFields[f].delete(&d.conns[c]) }

// A ledger follows every registration: it must end by a run, or be taken back, or be dropped with its connection.
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

// finish returns what went wrong, when all connections have been removed.
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
