package hookvet

import (
	"go/ast"
	"go/token"
	"go/types"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/tools/go/types/typeutil"
)

// An effect is what a piece of the program may do when it runs.
type effect uint8

const (
	disturbs effect = 1 << iota // unregisters hooks, or ends or replaces a connection
	adds                        // accumulates with each run: counts, takes from a queue, sends
	anything = disturbs | adds
)

// effectsOf returns the effects of the package's functions, including everything they call. The nil
// function stands for all methods that a package in quiet may call.
func (ck *checker) effectsOf() map[*types.Func]effect {
	if ck.effects != nil {
		return ck.effects
	}
	ck.effects = make(map[*types.Func]effect)
	callers := make(map[*types.Func][]*types.Func)
	var todo []*types.Func // functions whose callers must be updated
	for fn, cur := range ck.decls {
		own, callees := ck.scan(cur.Node(), cur.Node().Pos(), cur.Node().End(), nil)
		ck.effects[fn] = own
		for _, callee := range callees {
			callers[callee] = append(callers[callee], fn)
		}
		if fn.Signature().Recv() != nil && ck.calledBack(fn) {
			callers[fn] = append(callers[fn], nil)
		}
		todo = append(todo, fn)
	}
	for len(todo) > 0 {
		fn := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, caller := range callers[fn] {
			if before := ck.effects[caller]; before|ck.effects[fn] != before {
				ck.effects[caller] |= ck.effects[fn]
				todo = append(todo, caller)
			}
		}
	}
	return ck.effects
}

// effectOf returns the effect of the part of n between pos and end. Making a hook there has no
// effect: it runs later.
func (ck *checker) effectOf(n ast.Node, pos, end token.Pos, hook ast.Expr) effect {
	e, callees := ck.scan(n, pos, end, hook)
	for _, fn := range callees {
		e |= ck.effectsOf()[fn]
	}
	return e
}

// scan is effectOf without the package's functions named there, which it returns.
func (ck *checker) scan(n ast.Node, pos, end token.Pos, hook ast.Expr) (e effect, callees []*types.Func) {
	skip := make(map[ast.Node]bool)
	later := func(hook ast.Expr) {
		switch hook := ck.strip(hook).(type) {
		case *ast.FuncLit, *ast.Ident:
			skip[hook] = true
		case *ast.SelectorExpr:
			skip[hook.Sel] = true
		}
	}
	if hook != nil {
		later(hook)
	}
	ast.Inspect(n, func(n ast.Node) bool {
		if n == nil || skip[n] || n.End() <= pos || end <= n.Pos() {
			return false
		}
		switch n := n.(type) {
		case *ast.GoStmt, *ast.SendStmt:
			e |= anything // another goroutine may get the connection
		case *ast.UnaryExpr:
			if n.Op == token.ARROW {
				e |= anything // or may already have it
			}
		case *ast.RangeStmt:
			if _, ok := ck.info.TypeOf(n.X).Underlying().(*types.Chan); ok {
				e |= anything
			}
			if n.Tok == token.ASSIGN {
				e |= ck.assign(n.Key, nil) | ck.assign(n.Value, nil)
			}
		case *ast.IncDecStmt:
			e |= ck.assign(n.X, nil)
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				var right ast.Expr
				if n.Tok == token.ASSIGN && len(n.Lhs) == len(n.Rhs) {
					right = n.Rhs[i]
				}
				if n.Tok != token.DEFINE {
					e |= ck.assign(left, right)
				}
			}
		case *ast.CallExpr:
			if s := ck.sink(n); s.name != "" {
				later(s.hook)
			}
			switch callee := typeutil.Callee(ck.info, n).(type) {
			case *types.Builtin:
				if slices.Contains([]string{"clear", "close", "copy"}, callee.Name()) {
					e |= anything
				} else if callee.Name() == "delete" && ck.local(n.Args[1]) != nil {
					e |= adds // may take elements one by one
				}
			case *types.Func:
				if ck.passesForeign(callee, n) {
					e |= anything
				}
			case nil:
				if _, ok := ast.Unparen(n.Fun).(*ast.FuncLit); !ok && !ck.info.Types[n.Fun].IsType() {
					e |= anything
				}
			}
		case *ast.Ident:
			switch obj := ck.info.Uses[n].(type) {
			case *types.Func:
				more, callee, ok := ck.effectOfFunc(obj.Origin())
				if e |= more; ok {
					callees = append(callees, callee)
				}
			case *types.Var:
				if _, ok := obj.Type().Underlying().(*types.Signature); ok {
					e |= anything // an unknown function
				}
			}
		}
		return true
	})
	return e, callees
}

// effectOfFunc returns the effect of calling fn. If that is not known yet, it also returns the
// function of the package that it depends on.
func (ck *checker) effectOfFunc(fn *types.Func) (e effect, callee *types.Func, ok bool) {
	recv := fn.Signature().Recv()
	if fn.Pkg() == nil {
		return 0, nil, true // the Error method
	} else if recv != nil && types.IsInterface(recv.Type()) {
		return anything, nil, false
	} else if calls, ok := quiet[fn.Pkg().Path()]; ok {
		switch {
		case fills.MatchString(fn.Name()):
			e = anything
		case reads.MatchString(fn.Name()):
			e = adds
		}
		return e, nil, calls
	} else if fn.Pkg().Path() == connPath {
		switch fn.Name() {
		case "Chain", "Registered", "Removed", "String", "Get", "GetOrNew", "Delete":
			return 0, nil, false
		case "Register":
			return adds, nil, false
		case "Unregister", "StateRemove":
			return disturbs, nil, false
		}
		return anything, nil, false
	} else if ck.factOf(fn).Passes == "Register" {
		return adds, nil, false
	} else if _, ok := ck.decls[fn]; !ok {
		return anything, nil, false
	}
	return 0, fn, true
}

// assign returns the effect of an assignment to left. right is nil if the assigned value is
// computed.
func (ck *checker) assign(left, right ast.Expr) (e effect) {
	if left == nil || ck.info.TypeOf(left) == nil {
		return 0 // blank
	}
	isLocal := ck.local(left) != nil
	switch ck.info.TypeOf(left).Underlying().(type) {
	case *types.Pointer, *types.Interface:
		if !isLocal { // loop.same looks at local variables
			e |= disturbs
		}
	case *types.Struct, *types.Array:
		e |= disturbs
	}
	if !isLocal && !ck.repeatable(right) {
		e |= adds
	}
	return e
}

// repeatable reports whether assigning e again changes nothing, or only adds more of the same: e is
// constant, or appends variables, as for a log but not for a list of free slots.
func (ck *checker) repeatable(e ast.Expr) bool {
	if value := ck.info.Types[e]; e != nil && (value.Value != nil || value.IsNil()) {
		return true
	}
	call, ok := e.(*ast.CallExpr)
	if !ok || typeutil.Callee(ck.info, call) != types.Universe.Lookup("append") {
		return false
	}
	return !slices.ContainsFunc(call.Args[1:], func(arg ast.Expr) bool {
		base := arg
		for sel, ok := base.(*ast.SelectorExpr); ok; sel, ok = base.(*ast.SelectorExpr) {
			base = sel.X
		}
		return ck.local(base) == nil
	})
}

// quiet lists packages that know nothing of connections, and whether they may call methods of their
// arguments, such as a Writer or a Stringer.
var quiet = map[string]bool{
	"bufio": true, "bytes": true, "encoding/binary": true, "encoding/hex": true, "encoding/json": true,
	"errors": true, "fmt": true, "io": true, "log": true, "log/slog": true, "os": true, "strings": true,
	"math": false, "math/bits": false, "net/netip": false, "path": false, "path/filepath": false,
	"strconv": false, "time": false, "unicode": false, "unicode/utf8": false,
}

// Some functions and methods of these consume their input, and some set the targets of pointers,
// which may themselves be pointers.
var (
	reads = regexp.MustCompile("Read|Next|Scan|Copy|Discard")
	fills = regexp.MustCompile("^(Unmarshal|Decode)")
)

// callbacks are the methods that these may call.
var callbacks = strings.Fields("As AppendText Enabled Error Format GoString Handle Is LogValue MarshalJSON " +
	"MarshalText Read ReadAt ReadByte ReadFrom ReadRune Scan Seek String UnreadByte UnreadRune Unwrap " +
	"WithAttrs WithGroup Write WriteAt WriteByte WriteString WriteTo")

// calledBack reports whether fn may be one of callbacks: it has the name of one, and no type of
// this program in its parameters and results.
func (ck *checker) calledBack(fn *types.Func) bool {
	own := false
	types.TypeString(fn.Signature(), func(pkg *types.Package) string {
		own = own || pkg == ck.pass.Pkg || pkg.Path() == connPath
		return ""
	})
	return !own && slices.Contains(callbacks, fn.Name())
}

// passesForeign reports whether call, of fn in a package in quiet, passes a value with such a
// method from an unknown package.
func (ck *checker) passesForeign(fn *types.Func, call *ast.CallExpr) bool {
	if fn.Pkg() == nil || !quiet[fn.Pkg().Path()] {
		return false
	}
	foreign := func(pkg *types.Package) bool {
		if pkg == nil || pkg == ck.pass.Pkg || pkg.Path() == connPath {
			return false
		}
		_, known := quiet[pkg.Path()]
		return !known
	}
	return slices.ContainsFunc(call.Args, func(arg ast.Expr) bool {
		t := ck.info.TypeOf(arg)
		methods := types.NewMethodSet(t)
		for i := range methods.Len() {
			method := methods.At(i).Obj()
			if !types.IsInterface(t) && foreign(method.Pkg()) && slices.Contains(callbacks, method.Name()) {
				return true
			}
		}
		return false
	})
}
