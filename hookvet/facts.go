package hookvet

import (
	"fmt"
	"go/ast"
	"go/types"
	"slices"

	"golang.org/x/tools/go/ast/inspector"
	"golang.org/x/tools/go/types/typeutil"
)

// A fact is what is known about a function.
type fact struct {
	Makes  bool   // each call returns a hook that no other call returns
	Alike  bool   // and that does the same as another if the arguments are the same
	Passes string // the function that it passes a parameter to: Register, Unregister or Registered
	Hook   int    // that parameter, from 1 on, with which it does nothing else
	Conn   int    // of Register, which it always calls: the connection, 0 for the receiver
}

func (*fact) AFact() {}

func (f *fact) String() string {
	if f.Makes {
		return "makes a new hook"
	}
	return fmt.Sprintf("passes parameter %d to %s", f.Hook, f.Passes)
}

// factOf returns what is known about fn.
func (ck *checker) factOf(fn *types.Func) (known fact) {
	if fn == nil || fn.Pkg() == nil {
		return known
	}
	if fn.Pkg().Path() != connPath {
		ck.pass.ImportObjectFact(fn.Origin(), &known)
		return known
	}
	switch fn.Name() {
	case "Chain":
		known = fact{Makes: true, Alike: true} // as its documentation says
	case "Register", "Unregister", "Registered":
		n := fn.Signature().Params().Len()
		known = fact{Passes: fn.Name(), Hook: n, Conn: n - 1}
	}
	return known
}

// exportFacts exports the facts about the functions of the package, again while there are new ones,
// since a function may return what another makes and pass on to what another passes on.
func (ck *checker) exportFacts() {
	for changed := ck.pass.Pkg.Path() != connPath; changed; {
		changed = false
		for fn, cur := range ck.decls {
			known := ck.returnsNew(cur, fn.Signature())
			if !known.Makes {
				known = ck.passesOn(cur.Node().(*ast.FuncDecl).Body, fn.Signature())
			}
			if known != ck.factOf(fn) {
				ck.pass.ExportObjectFact(fn, &known)
				changed = true
			}
		}
	}
}

// passesOn returns what is known about a function if it passes a parameter on.
func (ck *checker) passesOn(body *ast.BlockStmt, sig *types.Signature) fact {
	params := append([]*types.Var{sig.Recv()}, slices.Collect(sig.Params().Variables())...)
	for i, v := range params[1:] {
		var s sink
		var count [other + 1]int
		for _, id := range ck.uses[v] {
			how, e := ck.useOf(id)
			count[how]++
			if how == seeks || how == registers {
				s = ck.sink(e.(*ast.CallExpr))
			}
		}
		switch {
		case count[assigns] != 1 || count[returns]+count[other] > 0: // one is the declaration
		case count[seeks] > 0 && count[registers] == 0:
			return fact{Passes: s.name, Hook: i + 1}
		case count[registers] > 0 && ck.onlyCalls(body, s) && slices.Contains(params, ck.local(s.conn)):
			return fact{Passes: s.name, Hook: i + 1, Conn: slices.Index(params, ck.local(s.conn))}
		}
	}
	return fact{}
}

// onlyCalls reports whether body is only the call of s, with variables for arguments.
func (ck *checker) onlyCalls(body *ast.BlockStmt, s sink) bool {
	var e ast.Expr
	switch stmt := body.List[0].(type) {
	case *ast.ExprStmt:
		e = stmt.X
	case *ast.ReturnStmt:
		e = stmt.Results[0]
	}
	call, ok := e.(*ast.CallExpr)
	return ok && len(body.List) == 1 && ck.sink(call) == s && ck.local(s.conn) != nil &&
		!slices.ContainsFunc(call.Args, func(arg ast.Expr) bool { return ck.local(arg) == nil })
}

// returnsNew returns what is known about the function at fn if it returns new hooks.
func (ck *checker) returnsNew(fn inspector.Cursor, sig *types.Signature) fact {
	if sig.Results().Len() != 1 {
		return fact{}
	}
	var made ast.Expr
	given, ok := ck.onlyNew(sig.Results().At(0), returns, fn.Node().End())
	for cur := range fn.Preorder((*ast.ReturnStmt)(nil)) {
		if funcAround(cur) != fn {
			continue
		}
		made = given
		if results := cur.Node().(*ast.ReturnStmt).Results; len(results) == 1 {
			made = ck.newHook(results[0])
			if v := ck.local(results[0]); v != nil {
				made, _ = ck.onlyNew(v, returns, fn.Node().End())
			}
		}
		if made == nil || !ok {
			return fact{}
		}
	}
	// What a single statement makes is made of parameters.
	decl, ok := fn.Node().(*ast.FuncDecl)
	sel, isValue := made.(*ast.SelectorExpr)
	_, isLit := made.(*ast.FuncLit)
	alike := ok && len(decl.Body.List) == 1 && (isLit || isValue && ck.local(sel.X) != nil)
	return fact{Makes: made != nil, Alike: alike}
}

// A sink is what a call passes to Register, Unregister or Registered of package conn.
type sink struct {
	name    string // which of them; "" if the call passes nothing to them, as far as is known
	hook    ast.Expr
	conn    ast.Expr // the connection, its Hooks, or what embeds these
	through string   // names the function between, if there is one
}

// sink returns what call passes on.
func (ck *checker) sink(call *ast.CallExpr) sink {
	fn := typeutil.StaticCallee(ck.info, call)
	known := ck.factOf(fn)
	if known.Passes == "" {
		return sink{}
	}
	args := call.Args // of a method expression: the receiver comes first
	if sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr); fn.Signature().Recv() == nil {
		args = append([]ast.Expr{nil}, args...)
	} else if ok && ck.info.Selections[sel].Kind() == types.MethodVal {
		args = append([]ast.Expr{sel.X}, args...)
	}
	if len(args) != 1+fn.Signature().Params().Len() {
		return sink{} // variadic, or the arguments are the results of one call
	}
	through := ""
	if fn.Pkg().Path() != connPath {
		through = ", through " + fn.Name() + ","
	}
	return sink{known.Passes, args[known.Hook], args[known.Conn], through}
}
