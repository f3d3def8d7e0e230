package hookvet

import (
	"go/ast"
	"go/token"
	"go/types"

	"golang.org/x/tools/go/ast/edge"
	"golang.org/x/tools/go/ast/inspector"
	"golang.org/x/tools/go/types/typeutil"
)

// removal examines a call of StateRemove. It returns the receiver or argument, the connection whose
// hooks run, and the connection passed to them, or nil if they are unknown.
func (ck *checker) removal(call *ast.CallExpr) (hooks, owner, passed ast.Expr) {
	fn := typeutil.StaticCallee(ck.info, call)
	if fn == nil || fn.Pkg() == nil || fn.Pkg().Path() != connPath || fn.Name() != "StateRemove" || len(call.Args) != 1 {
		return nil, nil, nil
	}
	passed = ast.Unparen(call.Args[0])
	hooks = passed
	if fn.Signature().Recv() != nil {
		sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr)
		if !ok {
			return nil, nil, nil
		}
		hooks = ast.Unparen(sel.X)
	}
	owner = hooks
	c := deref(ck.info.TypeOf(passed))
	if field, ok := hooks.(*ast.SelectorExpr); ok && !types.Identical(deref(ck.info.TypeOf(hooks)), c) {
		owner = ast.Unparen(field.X) // of a field that is a Hooks
	}
	if !types.Identical(deref(ck.info.TypeOf(owner)), c) {
		return nil, nil, nil // the connection of these Hooks is elsewhere
	}
	return hooks, owner, passed
}

// otherConnection returns the connection whose hooks call runs with a different one, or nil if that
// is not certain.
func (ck *checker) otherConnection(call *ast.CallExpr) ast.Expr {
	_, owner, passed := ck.removal(call)
	if owner == nil {
		return nil
	}
	differ := ck.differ
	if addr, ok := passed.(*ast.UnaryExpr); ok && deref(ck.info.TypeOf(owner)) == ck.info.TypeOf(owner) {
		// Two variables, not the targets of two pointers.
		passed, differ = addr.X, func(x, y *types.Var) bool { return true }
	}
	if x, y := ck.variable(owner), ck.variable(passed); x != nil && y != nil && x != y && differ(x, y) {
		return owner
	}
	return nil
}

// variable returns the variable or field that e names; nil if e is anything else.
func (ck *checker) variable(e ast.Expr) *types.Var {
	id, _ := ast.Unparen(e).(*ast.Ident)
	if sel, ok := ast.Unparen(e).(*ast.SelectorExpr); ok {
		id = sel.Sel
	}
	if id == nil {
		return nil
	}
	v, _ := ck.info.Uses[id].(*types.Var)
	return v
}

// differ reports whether x and y, two pointers, certainly point to different connections: they are
// parameters of one function or connections it makes, never reassigned, and nothing compares them.
// The receiver and the only parameter of a method may be the same, as in a hook.
func (ck *checker) differ(x, y *types.Var) bool {
	if len(ck.uses[x]) == 0 || len(ck.uses[y]) == 0 || !ck.keepsOwn(x) || !ck.keepsOwn(y) {
		return false
	}
	fn := funcAround(ck.uses[x][0])
	if fn != funcAround(ck.uses[y][0]) {
		return false
	}
	if decl, ok := fn.Node().(*ast.FuncDecl); ok && decl.Recv != nil && decl.Type.Params.NumFields() == 1 {
		return false
	}
	for _, id := range ck.uses[x] {
		for compares := range id.Enclosing((*ast.BinaryExpr)(nil)) {
			for _, other := range ck.uses[y] {
				if compares.Contains(other) {
					return false
				}
			}
		}
	}
	return true
}

// keepsOwn reports whether v is a parameter, or is declared with &T{…} or new(T), and nothing else
// is assigned to it.
func (ck *checker) keepsOwn(v *types.Var) bool {
	how, value := ck.useOf(ck.uses[v][0])
	kind, _ := ck.uses[v][0].ParentEdge()
	list, _ := ck.uses[v][0].Parent().Parent().ParentEdge()
	own := kind == edge.Field_Names && list != edge.FuncType_Results
	switch value := value.(type) {
	case *ast.UnaryExpr:
		_, isLit := value.X.(*ast.CompositeLit)
		own = own || isLit
	case *ast.CallExpr:
		own = own || how == assigns && typeutil.Callee(ck.info, value) == types.Universe.Lookup("new")
	}
	for _, id := range ck.uses[v][1:] {
		if how, _ := ck.useOf(id); how == assigns {
			return false
		}
	}
	return own
}

// justRemoved reports whether the call at cur, of Register, is a statement that directly follows
// the removal of the same connection.
func (ck *checker) justRemoved(cur inspector.Cursor, s sink) bool {
	before, ok := cur.Parent().PrevSibling()
	if kind, _ := cur.ParentEdge(); !ok || kind != edge.ExprStmt_X { // otherwise the result is used
		return false
	}
	stmt, ok := before.Node().(*ast.ExprStmt)
	if !ok {
		return false
	}
	call, ok := ast.Unparen(stmt.X).(*ast.CallExpr)
	if !ok || typeutil.StaticCallee(ck.info, cur.Node().(*ast.CallExpr)).Pkg().Path() != connPath {
		return false
	}
	hooks, _, _ := ck.removal(call)
	if _, isCall := ck.strip(s.hook).(*ast.CallExpr); isCall || hooks == nil {
		return false // a call may reuse the memory for a new connection
	}
	return types.ExprString(hooks) == types.ExprString(s.conn) && ck.stays(hooks, funcAround(cur))
}

// stays reports whether no hook can replace e, a local variable or a part of one, and the function
// at fn is not itself a hook, in which the removal is not over.
func (ck *checker) stays(e ast.Expr, fn inspector.Cursor) bool {
	if addr, ok := e.(*ast.UnaryExpr); ok && addr.Op == token.AND {
		e = addr.X
	}
	for sel, ok := e.(*ast.SelectorExpr); ok; sel, ok = e.(*ast.SelectorExpr) {
		if deref(ck.info.TypeOf(sel)) != ck.info.TypeOf(sel) {
			return false
		}
		e = sel.X
	}
	v := ck.local(e)
	if v == nil || funcAround(ck.uses[v][0]) != fn {
		return false
	}
	var results *ast.FieldList
	switch fn := fn.Node().(type) {
	case *ast.FuncDecl:
		results = fn.Type.Results
	case *ast.FuncLit:
		results = fn.Type.Results
	}
	if kind, _ := ck.uses[v][0].ParentEdge(); kind == edge.Field_Names && results.NumFields() == 1 &&
		types.Identical(ck.info.TypeOf(results.List[0].Type), types.Typ[types.Bool]) {
		return false
	}
	for _, id := range ck.uses[v] {
		kind, _ := id.ParentEdge()
		ofPointer := kind == edge.UnaryExpr_X && deref(v.Type()) != v.Type()
		if how, _ := ck.useOf(id); how == assigns && (ofPointer || funcAround(id) != fn) {
			return false
		}
	}
	return true
}
