package hookvet

import (
	"go/ast"
	"go/token"
	"go/types"

	"golang.org/x/tools/go/ast/edge"
	"golang.org/x/tools/go/ast/inspector"
	"golang.org/x/tools/go/types/typeutil"
)

// removes returns the connection, or its Hooks, whose StateRemove call is; else nil. c is the
// connection that is passed to the hooks.
func (ck *checker) removes(call *ast.CallExpr) (hooks, c ast.Expr) {
	fn := typeutil.StaticCallee(ck.info, call)
	if fn == nil || fn.Pkg() == nil || fn.Pkg().Path() != connPath || fn.Name() != "StateRemove" || len(call.Args) != 1 {
		return nil, nil
	}
	if fn.Signature().Recv() == nil {
		return call.Args[0], call.Args[0]
	}
	sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr)
	if !ok || ck.info.Selections[sel].Kind() != types.MethodVal {
		return nil, nil
	}
	return sel.X, call.Args[0]
}

// otherConnection returns the connection whose hooks call runs with another connection, nil if that
// is not certain.
func (ck *checker) otherConnection(call *ast.CallExpr) ast.Expr {
	x, y := ck.removes(call)
	if x == nil {
		return nil
	}
	c := deref(ck.info.TypeOf(y))
	if field, ok := ast.Unparen(x).(*ast.SelectorExpr); ok && !types.Identical(deref(ck.info.TypeOf(x)), c) {
		x = field.X // of a field with Hooks
	}
	if !types.Identical(deref(ck.info.TypeOf(x)), c) {
		return nil // the connection of these Hooks is elsewhere
	}
	addr, ok := ast.Unparen(y).(*ast.UnaryExpr)
	if vx, vy := ck.variable(x), ck.variable(y); vx != nil && vy != nil && vx != vy && ck.differ(vx, vy) {
		return x
	} else if ok && types.Identical(ck.info.TypeOf(x), c) {
		if vy := ck.variable(addr.X); vx != nil && vy != nil && vx != vy {
			return x
		}
	}
	return nil
}

// variable returns the variable or field that e is; nil if e is anything else.
func (ck *checker) variable(e ast.Expr) *types.Var {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		v, _ := ck.info.Uses[e].(*types.Var)
		return v
	case *ast.SelectorExpr:
		v, _ := ck.info.Uses[e.Sel].(*types.Var)
		return v
	}
	return nil
}

// differ reports whether x and y, two variables, certainly point to two connections: each is a
// parameter, or points to what was allocated for it, and nothing compares them. The receiver and
// the parameter of a hook may be one connection.
func (ck *checker) differ(x, y *types.Var) bool {
	if len(ck.uses[x]) == 0 || len(ck.uses[y]) == 0 {
		return false // not local
	}
	fn := funcAround(ck.uses[x][0])
	if fn != funcAround(ck.uses[y][0]) || !ck.ownConnection(x) || !ck.ownConnection(y) {
		return false
	}
	if decl, ok := fn.Node().(*ast.FuncDecl); ok && decl.Recv != nil && decl.Type.Params.NumFields() == 1 {
		recv := ck.info.Defs[decl.Name].(*types.Func).Signature().Recv()
		if recv == x || recv == y {
			return false
		}
	}
	for _, id := range ck.uses[x] {
		for cmp := range id.Enclosing((*ast.BinaryExpr)(nil)) {
			for _, other := range ck.uses[y] {
				if cmp.Contains(other) {
					return false
				}
			}
		}
	}
	return true
}

// ownConnection reports whether v is a parameter or receiver, or is declared with the address of a
// new variable, and nothing else is ever assigned to it.
func (ck *checker) ownConnection(v *types.Var) bool {
	for i, id := range ck.uses[v] {
		how, value := ck.useOf(id)
		if i > 0 && how == assigns {
			return false
		} else if i > 0 {
			continue
		}
		kind, _ := id.ParentEdge()
		list, _ := id.Parent().Parent().ParentEdge()
		isParam := kind == edge.Field_Names && list != edge.FuncType_Results
		if !isParam && (how != assigns || !isNew(value)) {
			return false
		}
	}
	return true
}

// isNew reports whether e is &T{…} or new(T).
func isNew(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.UnaryExpr:
		_, ok := e.X.(*ast.CompositeLit)
		return ok && e.Op == token.AND
	case *ast.CallExpr:
		fn, ok := e.Fun.(*ast.Ident)
		return ok && fn.Name == "new"
	}
	return false
}

// justRemoved reports whether the call at cur, a statement that calls Register, directly follows a
// statement that removes the same connection.
func (ck *checker) justRemoved(cur inspector.Cursor, s sink) bool {
	before, ok := cur.Parent().PrevSibling()
	if kind, _ := cur.ParentEdge(); !ok || kind != edge.ExprStmt_X { // else something looks at the result
		return false
	}
	stmt, _ := before.Node().(*ast.ExprStmt)
	if stmt == nil {
		return false
	}
	call, _ := ast.Unparen(stmt.X).(*ast.CallExpr)
	if call == nil || typeutil.StaticCallee(ck.info, cur.Node().(*ast.CallExpr)).Pkg().Path() != connPath {
		return false
	}
	if _, ok := ck.strip(s.hook).(*ast.CallExpr); ok {
		return false // which may make the memory a new connection
	}
	removed, _ := ck.removes(call)
	v := ck.named(removed)
	return v != nil && v == ck.named(s.conn) && ck.staysSame(v, funcAround(cur))
}

// named returns the local variable that e is, or is the address of; else nil.
func (ck *checker) named(e ast.Expr) *types.Var {
	if addr, ok := e.(*ast.UnaryExpr); ok && addr.Op == token.AND {
		e = addr.X
	}
	return ck.local(e)
}

// staysSame reports whether no hook can assign to v, a variable of the function at fn, and fn is no
// hook of v: in a hook, the removal is not over.
func (ck *checker) staysSame(v *types.Var, fn inspector.Cursor) bool {
	if funcAround(ck.uses[v][0]) != fn {
		return false
	}
	if kind, _ := ck.uses[v][0].ParentEdge(); kind == edge.Field_Names {
		results := funcType(fn).Results
		if results.NumFields() == 1 && types.Identical(ck.info.TypeOf(results.List[0].Type), types.Typ[types.Bool]) {
			return false
		}
	}
	for _, id := range ck.uses[v] {
		kind, _ := id.ParentEdge()
		isPointer := deref(v.Type()) != v.Type()
		if how, _ := ck.useOf(id); how == assigns && (funcAround(id) != fn || isPointer && kind == edge.UnaryExpr_X) {
			return false
		}
	}
	return true
}

func funcType(fn inspector.Cursor) *ast.FuncType {
	if decl, ok := fn.Node().(*ast.FuncDecl); ok {
		return decl.Type
	}
	return fn.Node().(*ast.FuncLit).Type
}
