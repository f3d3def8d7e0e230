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
	Alike  bool   // and that does the same as another if the arguments are the same
	Passes string // the function that it passes a parameter to: Register, Unregister or Registered
	Hook   int    // that parameter, from 1 on; it does nothing else with it
	Conn   int    // of Register: the parameter that is the connection, 0 for the receiver
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
		var call *ast.CallExpr
		var count [other + 1]int
		for _, id := range ck.uses[v] {
			how, e := ck.useOf(id)
			count[how]++
			if how == seeks || how == registers {
				call = e.(*ast.CallExpr)
			}
		}
		if count[assigns] > 1 || count[returns] > 0 || count[other] > 0 { // one is its declaration
			continue
		}
		if count[seeks] > 0 && count[registers] == 0 {
			return fact{Passes: ck.sink(call).name, Hook: i + 1}
		}
		if count[registers] == 1 && count[seeks] == 0 && len(body.List) == 1 && ck.isCall(body.List[0], call) {
			if c := ck.local(ck.sink(call).conn); c != nil && slices.Contains(params, c) {
				return fact{Passes: "Register", Hook: i + 1, Conn: slices.Index(params, c)}
			}
		}
	}
	return fact{}
}

// isCall reports whether stmt is nothing but call, without calls in its arguments.
func (ck *checker) isCall(stmt ast.Stmt, call *ast.CallExpr) bool {
	switch stmt := stmt.(type) {
	case *ast.ExprStmt:
		return stmt.X == call && !slices.ContainsFunc(call.Args, ck.isCompound)
	case *ast.ReturnStmt:
		return len(stmt.Results) == 1 && stmt.Results[0] == call && !slices.ContainsFunc(call.Args, ck.isCompound)
	}
	return false
}

func (ck *checker) isCompound(e ast.Expr) bool {
	_, ok := ck.strip(e).(*ast.Ident)
	return !ok
}

// returnsNew returns what is known about the function at fn if it returns new hooks.
func (ck *checker) returnsNew(fn inspector.Cursor, sig *types.Signature) fact {
	if sig.Results().Len() != 1 {
		return fact{}
	}
	result := sig.Results().At(0)
	given, ok := ck.onlyNew(result, returns)
	var made ast.Expr
	for cur := range fn.Preorder((*ast.ReturnStmt)(nil)) {
		if funcAround(cur) != fn {
			continue
		}
		if results := cur.Node().(*ast.ReturnStmt).Results; len(results) == 0 {
			made = given
		} else if v := ck.local(results[0]); v != nil {
			made, _ = ck.onlyNew(v, returns)
		} else {
			made = ck.newHook(results[0])
		}
		if made == nil || !ok {
			return fact{}
		}
	}
	known := fact{Makes: made != nil}
	if decl, ok := fn.Node().(*ast.FuncDecl); ok && len(decl.Body.List) == 1 {
		// What a single statement makes is made of parameters.
		sel, isValue := made.(*ast.SelectorExpr)
		_, isLit := made.(*ast.FuncLit)
		known.Alike = isLit || isValue && ck.local(sel.X) != nil
	}
	return known
}

// onlyNew returns what makes the hook in v, a local variable, nil if nothing is assigned to it. It is
// not ok if something else may be assigned, or if anything but how is done with v.
func (ck *checker) onlyNew(v *types.Var, how use) (made ast.Expr, ok bool) {
	for _, id := range ck.uses[v] {
		switch is, value := ck.useOf(id); is {
		case nothing, how:
		case assigns:
			made = ck.newHook(value)
			if lit, ok := value.(*ast.FuncLit); ok && how == seeks {
				made = lit // captures or not: it gets nowhere else
			}
			if made == nil {
				return nil, false
			}
		default:
			return nil, false
		}
	}
	return made, true
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
	if _, ok := e.(*ast.FuncLit); ok {
		return e // captures or not: only this call gets it
	}
	v := ck.local(e)
	if v == nil {
		return ck.newHook(e)
	}
	if made, _ := ck.onlyNew(v, seeks); made != nil {
		return made
	}
	return ck.justGiven(v, e)
}

// justGiven returns what makes the hook in v, a local variable, where e names it, if the statement
// before has just assigned it, whatever happens to it later; else nil.
func (ck *checker) justGiven(v *types.Var, e ast.Expr) ast.Expr {
	uses := ck.uses[v]
	for _, id := range uses {
		if how, value := ck.useOf(id); funcAround(id) != funcAround(uses[0]) || how == assigns && value == nil {
			return nil // a closure or a pointer may do anything with it at any time
		}
	}
	i := slices.IndexFunc(uses, func(id inspector.Cursor) bool { return id.Node() == e })
	how, value := ck.useOf(uses[i-1])
	if how != assigns {
		return nil
	}
	assign := uses[i-1].Parent()
	if assign.ParentEdgeKind() == edge.GenDecl_Specs {
		assign = assign.Parent().Parent()
	}
	for next, _ := assign.NextSibling(); uses[i] != next; uses[i] = uses[i].Parent() {
		switch uses[i].Parent().Node().(type) {
		case *ast.ForStmt, *ast.RangeStmt, *ast.LabeledStmt, *ast.DeferStmt, *ast.GoStmt, *ast.FuncDecl:
			return nil // not straight from there to here
		}
	}
	return ck.newHook(value)
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
func (ck *checker) useOf(id inspector.Cursor) (use, ast.Expr) {
	v := ck.local(id.Node().(*ast.Ident))
	for around := range id.Enclosing((*ast.IfStmt)(nil)) {
		stmt := around.Node().(*ast.IfStmt)
		if call, ok := stmt.Cond.(*ast.CallExpr); ok && stmt.Body.Pos() <= id.Node().Pos() && id.Node().Pos() < stmt.Body.End() {
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
	var left int
	var right []ast.Expr
	switch n := cur.Parent().Node().(type) {
	case *ast.Field:
		if cur.Parent().Parent().ParentEdgeKind() == edge.FuncType_Results {
			return nothing, nil
		}
		return assigns, nil // a parameter
	case *ast.IncDecStmt:
		return assigns, nil
	case *ast.RangeStmt:
		if cur.ParentEdgeKind() != edge.RangeStmt_X {
			return assigns, nil
		}
	case *ast.UnaryExpr:
		if n.Op == token.AND {
			return assigns, nil
		}
	case *ast.BinaryExpr:
		if n.Op == token.EQL || n.Op == token.NEQ {
			return nothing, nil
		}
	case *ast.ReturnStmt:
		return returns, nil
	case *ast.CallExpr:
		if s := ck.sink(n); s.hook == cur.Node() && s.name == "Register" {
			return registers, n
		} else if s.hook == cur.Node() {
			return seeks, n
		}
	case *ast.ValueSpec:
		left, right = len(n.Names), n.Values
		if left > 0 && len(right) == 0 {
			return nothing, nil
		}
	case *ast.AssignStmt:
		left = len(n.Lhs)
		if n.Tok == token.ASSIGN || n.Tok == token.DEFINE {
			right = n.Rhs
		}
	}
	switch kind := cur.ParentEdgeKind(); {
	case kind != edge.ValueSpec_Names && kind != edge.AssignStmt_Lhs:
		return other, nil
	case left != len(right):
		return assigns, nil
	}
	return assigns, right[cur.ParentEdgeIndex()]
}
