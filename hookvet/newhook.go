package hookvet

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"

	"golang.org/x/tools/go/ast/edge"
	"golang.org/x/tools/go/ast/inspector"
	"golang.org/x/tools/go/types/typeutil"
)

// A fact is what is known about a function.
type fact struct {
	Makes  bool   // each call returns a hook that no other call returns
	Alike  bool   // and all that one receiver or the arguments make do the same
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
	switch {
	case fn == nil || fn.Pkg() == nil:
	case fn.Pkg().Path() != connPath:
		ck.pass.ImportObjectFact(fn.Origin(), &known)
	case fn.Name() == "Chain":
		known = fact{Makes: true, Alike: true} // as its documentation says
	case slices.Contains([]string{"Register", "Unregister", "Registered"}, fn.Name()):
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
	decl, ok := fn.Node().(*ast.FuncDecl)
	sel, isValue := made.(*ast.SelectorExpr)
	_, isLit := made.(*ast.FuncLit)
	alike := ok && len(decl.Body.List) == 1 && sig.Params().Len() == 0 && (isLit || isValue && ck.local(sel.X) != nil)
	return fact{Makes: made != nil, Alike: alike}
}

// newHook returns e, without parentheses and conversions, if every evaluation of it makes a hook
// that is like no other; else nil.
func (ck *checker) newHook(e ast.Expr) ast.Expr {
	e = ck.strip(e)
	isNew := false
	switch e := e.(type) {
	case *ast.FuncLit:
		isNew = len(ck.captured(e)) > 0 // otherwise it may be the same each time
	case *ast.SelectorExpr:
		sel := ck.info.Selections[e]
		isNew = sel != nil && sel.Kind() == types.MethodVal
	case *ast.CallExpr:
		isNew = ck.callee(e).Makes
	}
	if !isNew {
		return nil
	}
	return e
}

// callee returns what is known about the function that call calls.
func (ck *checker) callee(call *ast.CallExpr) fact {
	if lit, ok := ast.Unparen(call.Fun).(*ast.FuncLit); ok {
		cur, _ := ck.root.FindNode(lit)
		return ck.returnsNew(cur, ck.info.TypeOf(lit).(*types.Signature))
	}
	return ck.factOf(typeutil.StaticCallee(ck.info, call))
}

// captured returns the local variables of the functions around lit that it refers to.
func (ck *checker) captured(lit *ast.FuncLit) (vars []*types.Var) {
	for n := range ast.Preorder(lit.Body) {
		if id, ok := n.(*ast.Ident); ok {
			if v := ck.local(id); v != nil && (v.Pos() < lit.Pos() || lit.End() <= v.Pos()) {
				vars = append(vars, v)
			}
		}
	}
	return vars
}

// neverRegistered returns what makes the hook that e, an argument, evaluates to, if that hook cannot
// have been registered; else nil.
func (ck *checker) neverRegistered(e ast.Expr) ast.Expr {
	e = ck.strip(e)
	if lit, ok := e.(*ast.FuncLit); ok {
		return lit // captures or not: only this call gets it
	}
	v := ck.local(e)
	if v == nil {
		return ck.newHook(e)
	}
	cur, _ := ck.root.FindNode(e)
	made, _ := ck.onlyNew(v, seeks, funcAround(ck.uses[v][0]).Node().End())
	if made == nil && ck.straight(v, cur) {
		made, _ = ck.onlyNew(v, seeks, e.End())
	}
	return made
}

// straight reports whether control gets to cur once for each time that v is declared.
func (ck *checker) straight(v *types.Var, cur inspector.Cursor) bool {
	for around := range cur.Enclosing((*ast.ForStmt)(nil), (*ast.RangeStmt)(nil), (*ast.DeferStmt)(nil),
		(*ast.GoStmt)(nil), (*ast.FuncLit)(nil)) {
		if v.Pos() < around.Node().Pos() {
			return false
		}
	}
	for label := range funcAround(cur).Preorder((*ast.LabeledStmt)(nil)) {
		if v.Pos() < label.Node().Pos() && label.Node().Pos() < cur.Node().Pos() {
			return false
		}
	}
	return ck.uses[v][0].Parent().ParentEdgeKind() != edge.ForStmt_Init
}

// onlyNew returns what makes the hook in v, a local variable, before end, nil if nothing is assigned
// to it. It is not ok if something else may be, or if anything but how is done with it.
func (ck *checker) onlyNew(v *types.Var, how use, end token.Pos) (made ast.Expr, ok bool) {
	for _, id := range ck.uses[v] {
		if id.Node().Pos() >= end {
			break
		}
		switch is, value := ck.useOf(id); is {
		case nothing, how:
		case assigns:
			if made = ck.newHook(value); made == nil {
				return nil, false
			}
		default:
			return nil, false
		}
	}
	return made, true
}

// What a program does with a variable where it names it.
type use int

const (
	nothing   use = iota // also what it does only if Unregister or Registered has found the hook
	assigns              // by a declaration, a statement or, whenever, a pointer
	seeks                // calls what passes it to Unregister or Registered
	registers            // calls what passes it to Register
	returns
	other
)

// useOf returns what happens to a local variable where id names it, with the value that is assigned,
// nil if that is not known, or the call.
func (ck *checker) useOf(id inspector.Cursor) (how use, e ast.Expr) {
	v := ck.local(id.Node().(*ast.Ident))
	for around := range id.Enclosing((*ast.IfStmt)(nil)) {
		call, ok := around.Node().(*ast.IfStmt).Cond.(*ast.CallExpr)
		if ok && around.ChildAt(edge.IfStmt_Body, -1).Contains(id) {
			if s := ck.sink(call); s.name != "" && s.name != "Register" && ck.local(s.hook) == v {
				return nothing, nil
			}
		}
	}
	cur := id
	for e, ok := cur.Parent().Node().(ast.Expr); ok && ck.strip(e) == id.Node(); {
		cur = cur.Parent()
		e, ok = cur.Parent().Node().(ast.Expr)
	}
	var left, i = 0, cur.ParentEdgeIndex()
	var right []ast.Expr
	switch parent := cur.Parent().Node(); cur.ParentEdgeKind() {
	case edge.BinaryExpr_X, edge.BinaryExpr_Y: // of a func: a comparison with nil
		return nothing, nil
	case edge.ReturnStmt_Results:
		return returns, nil
	case edge.CallExpr_Args:
		call := parent.(*ast.CallExpr)
		if s := ck.sink(call); s.hook == cur.Node() && s.name == "Register" {
			return registers, call
		} else if s.hook == cur.Node() {
			return seeks, call
		}
		return other, nil
	case edge.IncDecStmt_X, edge.RangeStmt_Key, edge.RangeStmt_Value, edge.UnaryExpr_X: // of a func: its address
	case edge.Field_Names:
		if cur.Parent().Parent().ParentEdgeKind() == edge.FuncType_Results {
			return nothing, nil
		}
	case edge.ValueSpec_Names:
		if left, right = len(parent.(*ast.ValueSpec).Names), parent.(*ast.ValueSpec).Values; right == nil {
			return nothing, nil
		}
	case edge.AssignStmt_Lhs:
		left, right = len(parent.(*ast.AssignStmt).Lhs), parent.(*ast.AssignStmt).Rhs
	default:
		return other, nil
	}
	if left == len(right) && left > 0 {
		return assigns, right[i]
	}
	return assigns, nil
}
