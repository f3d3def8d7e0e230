// Package result has the cases of Register's result.
package result

import (
	"errors"
	"log"
	"os"
	"testing"

	"example.com/conn"
	"example.com/conn/makers"
)

type session struct {
	n  int
	ok bool
}

func (s *session) finalize(c *conn.Connection) bool { return s.n > 0 }
func (s *session) close()                           {}

func finalize(c *conn.Connection) bool { return true }

func generic[T any](c *conn.Connection) bool { return true }

func start()         {}
func count(ok bool)  {}
func again(n ...any) {}

// The result decides.

func conditions(c *conn.Connection, s *session, n int) {
	if conn.Register(c, s.finalize) { // want `^Register's result does not tell whether this hook was registered before: every evaluation of the method value s.finalize makes a new hook; register a top-level function or a hook that is kept with the connection's state, or let conn.Field's GetOrNew tell the first time$`
		start()
	}
	if conn.Register(c, func(*conn.Connection) bool { return n > 0 }) { // want `every evaluation of this function literal makes a new hook`
		start()
	}
	if conn.Register(c, func(*conn.Connection) bool { return true }) { // want `a function literal that captures nothing has a hook of its own wherever the compiler inlines it`
		start()
	}
	if conn.Register(c, conn.Chain(finalize)) { // want `every call of conn.Chain makes a new hook`
		start()
	}
	if conn.Register(c, makers.Shared()) { // want `every call of makers.Shared that the compiler inlines has a hook of its own`
		start()
	}
	if conn.Register(c, conn.RemovalHook(s.finalize)) { // want `method value s.finalize`
		start()
	}
	if conn.Register(c, s.finalize) { // want `method value s.finalize`
		start()
	} else {
		again()
	}
	if n > 0 && conn.Register(c, s.finalize) { // want `method value s.finalize`
		start()
	}
	if n > 0 || (conn.Register(c, s.finalize)) { // want `method value s.finalize`
		start()
	}
	if conn.Register(c, s.finalize) == true { // want `method value s.finalize`
		start()
	}
	if false != conn.Register(c, s.finalize) { // want `method value s.finalize`
		start()
	}
	for i := 0; i < n && conn.Register(c, s.finalize); i++ { // want `^Register's result .* method value s.finalize`
	}
	for conn.Register(c, makers.Capturing(n)) { // want `every call of makers.Capturing makes a new hook`
	}
	switch conn.Register(c, s.finalize) { // want `method value s.finalize`
	case true:
		start()
	}
	switch {
	case n == 0:
	case conn.Register(c, s.finalize): // want `method value s.finalize`
		start()
	}
	if !conn.Register(c, s.finalize) { // want `method value s.finalize`
		s.n++
	}
	if !conn.Register(c, s.finalize) { // want `method value s.finalize`
		log.Print("again")
	}
	if !conn.Register(c, func(*conn.Connection) bool { log.Print(n); return true }) { // want `this function literal`
		log.Print("again")
		return
	}
	if conn.Register(c, s.finalize) == false { // want `method value s.finalize`
		return
	}
	start()
}

func leave(c *conn.Connection, s *session) error {
	if !conn.Register(c, s.finalize) { // want `method value s.finalize`
		return nil
	}
	return errors.New("not implemented")
}

func parse() (int, bool) { return 0, true }

func typeParameter[T any](c *conn.Connection) {
	if conn.Register(c, func(*conn.Connection) bool { return true }) { // want `every evaluation of this function literal makes a new hook`
		start()
	}
	if conn.Register(c, generic[T]) { // want `every evaluation of generic\[T\], which depends on a type parameter, makes a new hook`
		start()
	}
}

func variables(c *conn.Connection, s *session) (int, error) {
	first := conn.Register(c, s.finalize) // want `method value s.finalize`
	if first {
		start()
	}
	var once = conn.Register(c, s.finalize) // want `method value s.finalize`
	if !once {
		return 0, nil
	}
	if ok := conn.Register(c, s.finalize); ok { // want `method value s.finalize`
		start()
	}
	if again := !conn.Register(c, s.finalize); again { // want `method value s.finalize`
		return 1, nil
	}
	return 0, nil
}

func notFirst(c *conn.Connection, s *session, known map[string]bool, all map[string]*session, err error) {
	if err == nil {
		if conn.Register(c, s.finalize) { // want `method value s.finalize`
			start()
		}
	}
	if s.ok {
		if conn.Register(c, s.finalize) { // want `method value s.finalize`
			start()
		}
	}
	if ok := known != nil; ok {
		if conn.Register(c, s.finalize) { // want `method value s.finalize`
			start()
		}
	}
	if n, ok := parse(); ok && n > 0 {
		if conn.Register(c, s.finalize) { // want `method value s.finalize`
			start()
		}
	}
	other := all[c.UID]
	if other.n > 0 {
		if conn.Register(c, s.finalize) { // want `method value s.finalize`
			start()
		}
	}
	if all[c.UID].n > 0 {
		if conn.Register(c, s.finalize) { // want `method value s.finalize`
			start()
		}
	}
	if conn.Register(c, func(*conn.Connection) bool { return s != nil }) { // want `this function literal`
		start()
	}
}

// Near misses: the hook is the same again.

func sameHook(c *conn.Connection, s *session, hk conn.RemovalHook) {
	if conn.Register(c, finalize) {
		start()
	}
	if conn.Register(c, hk) {
		start()
	}
	if conn.Register(c, generic[int]) {
		start()
	}
	if conn.Register(c, makers.TopLevel()) {
		start()
	}
	kept := s.finalize
	if conn.Register(c, kept) {
		start()
	}
}

// Near misses: the result decides nothing, or what it does is not known.

func unused(c *conn.Connection, s *session, results []bool) bool {
	conn.Register(c, s.finalize)
	conn.Register(c, func(*conn.Connection) bool { return s.n > 0 })
	conn.Register(c, func(*conn.Connection) bool { return true })
	conn.Register(c, conn.Chain(finalize, s.finalize))
	conn.Register(c, makers.Capturing(1))
	_ = conn.Register(c, s.finalize)
	var _ = conn.Register(c, s.finalize)
	defer conn.Register(c, s.finalize)
	go conn.Register(c, s.finalize)
	if conn.Register(c, s.finalize); s.ok {
		start()
	}
	switch conn.Register(c, s.finalize); {
	}

	count(conn.Register(c, s.finalize))
	count(!conn.Register(c, s.finalize))
	s.ok = conn.Register(c, s.finalize)
	results[0] = conn.Register(c, s.finalize)
	ok := conn.Register(c, s.finalize)
	count(ok)
	both := conn.Register(c, s.finalize)
	both = both && conn.Register(c, finalize)
	if both {
		start()
	}
	if conn.Register(c, s.finalize) == results[1] {
		start()
	}
	return conn.Register(c, s.finalize)
}

var registered bool

func elsewhere(c *conn.Connection, s *session) {
	registered = conn.Register(c, s.finalize)
	if registered {
		start()
	}
}

var atStart = conn.Register(new(conn.Connection), conn.Chain(finalize))

// Near misses: the result tells that the removal is over.

var errOver = errors.New("the connection is removed")

func over(c *conn.Connection, s *session, f *os.File) error {
	if !conn.Register(c, func(*conn.Connection) bool { return f.Close() == nil }) {
		f.Close()
		return nil
	}
	if !conn.Register(c, s.finalize) {
		s.close()
	}
	if conn.Register(c, s.finalize) == false {
		s.close()
	}
	if true != conn.Register(c, s.finalize) {
		s.close()
	}
	if !conn.Register(c, s.finalize) {
		s.finalize(c)
		return nil
	}
	if conn.Register(c, s.finalize) {
		start()
	} else {
		s.close()
	}
	if !conn.Register(c, s.finalize) {
		return errOver
	}
	if !conn.Register(c, s.finalize) {
		panic("the connection is removed")
	}
	if !conn.Register(c, s.finalize) {
		log.Fatal("the connection is removed")
	}
	if !conn.Register(c, s.finalize) {
		os.Exit(1)
	}
	ok := conn.Register(c, s.finalize)
	if ok {
		start()
	}
	if !ok {
		return errOver
	}
	if !conn.Register(c, func(c *conn.Connection) bool { forget(c); return true }) {
		forget(c)
	}
	switch conn.Register(c, s.finalize) {
	case false:
		return errOver
	}
	switch {
	case conn.Register(c, s.finalize):
		start()
	default:
		s.close()
	}
	if conn.Register(c, s.finalize) {
		return nil
	}
	return errOver
}

func forget(c *conn.Connection) {}

func TestOver(t *testing.T) {
	var c conn.Connection
	var s session
	if !conn.Register(&c, s.finalize) {
		t.Error("not registered")
	}
	conn.StateRemove(&c)
	if conn.Register(&c, s.finalize) {
		t.Error("registered")
	}
	if got := conn.Register(&c, s.finalize); got {
		t.Errorf("got %t", got)
	}
	if got := conn.Register(&c, s.finalize); !got {
	} else {
		t.Errorf("got %t", got)
	}
}

// Near misses: something else tells the first time.

var field conn.Field[session]

var seen = make(map[*conn.Connection]bool)

var sessions = make(map[*conn.Connection]*session)

func first(c *conn.Connection) {
	s, created := field.GetOrNew(c)
	if created {
		if !conn.Register(c, s.finalize) {
			return
		}
	}
	if created && conn.Register(c, s.finalize) {
		start()
	}
	if _, ok := sessions[c]; !ok {
		s := new(session)
		if conn.Register(c, s.finalize) {
			sessions[c] = s
		}
	}
	if !seen[c] {
		seen[c] = true
		if conn.Register(c, s.finalize) {
			start()
		}
	}
	if before := seen[c]; !before {
		if conn.Register(c, s.finalize) {
			start()
		}
	}
	known := sessions[c]
	if known == nil {
		known = new(session)
		if conn.Register(c, known.finalize) {
			sessions[c] = known
		}
	}
}
