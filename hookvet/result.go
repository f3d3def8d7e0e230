package hookvet

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"

	"golang.org/x/tools/go/ast/edge"
	"golang.org/x/tools/go/ast/inspector"
	"golang.org/x/tools/go/types/typeutil"
)

// What a program does with the result of Register, if the hook is new.
type use int

const (
	unknown use = iota
	decides     // it does something only if the result is true, as it is for the first registration of a hook
	handles     // it deals with the end of the removal, the reason why Register does return false for a new hook
)

// tells reports whether the result of the call of Register at cur decides what to do, as if it told a first registration
// from a repeated one.
func (ck *checker) tells(cur inspector.Cursor, hk *newHook) bool {
	return ck.useOf(cur, hk, true) == decides && !ck.first(cur)
}

// useOf returns how the expression at cur is used, which is Register's result or, if isTrue is false, its negation.
func (ck *checker) useOf(cur inspector.Cursor, hk *newHook, isTrue bool) use {
	for {
		parent := cur.Parent()
		switch n := parent.Node().(type) {
		case *ast.ParenExpr:
		case *ast.UnaryExpr:
			if n.Op != token.NOT {
				return unknown
			}
			isTrue = !isTrue
		case *ast.BinaryExpr:
			switch n.Op {
			case token.LAND, token.LOR:
			case token.EQL, token.NEQ:
				other := n.X
				if other == cur.Node() {
					other = n.Y
				}
				value := ck.pass.TypesInfo.Types[other].Value
				if value == nil {
					return unknown
				}
				isTrue = isTrue == (constant.BoolVal(value) == (n.Op == token.EQL))
			}
		case *ast.IfStmt:
			return ck.branches(parent, hk, isTrue)
		case *ast.ForStmt:
			return decides
		case *ast.SwitchStmt:
			return ck.cases(n, hk)
		case *ast.CaseClause:
			return ck.cases(parent.Parent().Parent().Node().(*ast.SwitchStmt), hk)
		case *ast.AssignStmt:
			if len(n.Lhs) != len(n.Rhs) {
				return unknown
			}
			id, ok := n.Lhs[cur.ParentEdgeIndex()].(*ast.Ident)
			if !ok {
				return unknown
			}
			return ck.usesOfVar(cur, id, hk, isTrue)
		case *ast.ValueSpec:
			return ck.usesOfVar(cur, n.Names[cur.ParentEdgeIndex()], hk, isTrue)
		default:
			return unknown // discarded, returned, stored or passed to a function
		}
		cur = parent
	}
}

// branches returns what the if statement at cur does with the result, which is its condition.
func (ck *checker) branches(cur inspector.Cursor, hk *newHook, isTrue bool) use {
	stmt := cur.Node().(*ast.IfStmt)
	var otherwise []ast.Node
	if stmt.Else != nil {
		otherwise = []ast.Node{stmt.Else}
	} else if list := stmt.Body.List; len(list) > 0 && leaves(list[len(list)-1]) {
		// What follows is the other branch.
		for next, ok := cur.NextSibling(); ok; next, ok = next.NextSibling() {
			otherwise = append(otherwise, next.Node())
		}
	}
	onTrue, onFalse := []ast.Node{stmt.Body}, otherwise
	if !isTrue {
		onTrue, onFalse = onFalse, onTrue
	}
	// A test that wants false, and fails on true, means the end of the removal.
	for _, n := range onTrue {
		if (n == stmt.Body || n == stmt.Else) && ck.fails(n) {
			return handles
		}
	}
	for _, n := range onFalse {
		if ck.fails(n) || ck.worksOn(n, hk) {
			return handles
		}
	}
	return decides
}

// cases returns what a switch statement does with the result, which its tag or a case compares.
func (ck *checker) cases(stmt *ast.SwitchStmt, hk *newHook) use {
	for _, clause := range stmt.Body.List {
		for _, n := range clause.(*ast.CaseClause).Body {
			if ck.fails(n) || ck.worksOn(n, hk) {
				return handles
			}
		}
	}
	return decides
}

// usesOfVar returns what the program does with the variable id, which the result at cur is assigned to.
func (ck *checker) usesOfVar(cur inspector.Cursor, id *ast.Ident, hk *newHook, isTrue bool) use {
	v, ok := ck.pass.TypesInfo.ObjectOf(id).(*types.Var)
	if !ok || !isLocal(v) {
		return unknown
	}
	found := unknown
	for at := range ck.declAround(id).Preorder((*ast.Ident)(nil)) {
		if at.Node() == id || ck.pass.TypesInfo.Uses[at.Node().(*ast.Ident)] != v {
			continue
		}
		if at.ParentEdgeKind() == edge.AssignStmt_Lhs {
			return unknown // the variable has other values too
		}
		switch ck.useOf(at, hk, isTrue) {
		case handles:
			return handles
		case decides:
			found = decides
		}
	}
	return found
}

// fails reports whether n is about a failure: it refers to an error or to a test, or it panics or ends the program.
func (ck *checker) fails(n ast.Node) bool {
	for n := range ast.Preorder(n) {
		e, ok := n.(ast.Expr)
		if !ok {
			continue
		}
		t := ck.pass.TypesInfo.TypeOf(e)
		if t == nil {
			continue
		}
		if tv := ck.pass.TypesInfo.Types[e]; tv.IsValue() && (types.Implements(t, errorType) || isTest(t)) {
			return true
		}
		if call, ok := e.(*ast.CallExpr); ok {
			switch fn := typeutil.Callee(ck.pass.TypesInfo, call).(type) {
			case *types.Builtin:
				if fn.Name() == "panic" {
					return true
				}
			case *types.Func:
				if ck.cfgs.NoReturn(fn) {
					return true
				}
			}
		}
	}
	return false
}

var errorType = types.Universe.Lookup("error").Type().Underlying().(*types.Interface)

// isTest reports whether t is a type of package testing, such as *testing.T.
func isTest(t types.Type) bool {
	if ptr, ok := types.Unalias(t).(*types.Pointer); ok {
		t = ptr.Elem()
	}
	named, ok := types.Unalias(t).(*types.Named)
	return ok && named.Obj().Pkg() != nil && named.Obj().Pkg().Path() == "testing"
}

// worksOn reports whether a call in n concerns something that hk refers to, other than connections: as if n closed now
// what the hook was to close.
func (ck *checker) worksOn(n ast.Node, hk *newHook) bool {
	objs := make(map[types.Object]bool)
	for n := range ast.Preorder(hk.expr) {
		if id, ok := n.(*ast.Ident); ok {
			if obj := ck.pass.TypesInfo.Uses[id]; ck.ownsWork(obj) {
				objs[obj] = true
			}
		}
	}
	for n := range ast.Preorder(n) {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			continue
		}
		for n := range ast.Preorder(call) {
			if id, ok := n.(*ast.Ident); ok && objs[ck.pass.TypesInfo.Uses[id]] {
				return true
			}
		}
	}
	return false
}

// ownsWork reports whether obj is a function or a variable of the package under check, and not a connection.
func (ck *checker) ownsWork(obj types.Object) bool {
	switch obj := obj.(type) {
	case *types.Func:
		return obj.Pkg() == ck.pass.Pkg
	case *types.Var:
		return obj.Pkg() == ck.pass.Pkg && !isConnection(obj.Type()) && !isConnection(types.NewPointer(obj.Type()))
	}
	return false
}

// leaves reports whether what follows stmt is not reached through it.
func leaves(stmt ast.Stmt) bool {
	switch stmt.(type) {
	case *ast.ReturnStmt, *ast.BranchStmt:
		return true
	}
	return false
}

// first reports whether the call at cur depends on a condition that tells the first time by other means: on a bool that
// GetOrNew or an index expression, as of a map, returns, or on a comparison with nil.
func (ck *checker) first(cur inspector.Cursor) bool {
	for around := range cur.Enclosing((*ast.IfStmt)(nil), (*ast.FuncLit)(nil)) {
		stmt, ok := around.Node().(*ast.IfStmt)
		if !ok {
			return false
		}
		found := false
		ast.Inspect(stmt.Cond, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncLit:
				return false
			case *ast.Ident:
				v, ok := ck.pass.TypesInfo.Uses[n].(*types.Var)
				found = found || ok && isBool(v.Type()) && ck.tellsFirst(v)
			case *ast.IndexExpr:
				found = found || isBool(ck.pass.TypesInfo.TypeOf(n))
			case *ast.BinaryExpr:
				found = found || ck.pass.TypesInfo.Types[n.Y].IsNil() &&
					!types.Implements(ck.pass.TypesInfo.TypeOf(n.X), errorType)
			}
			return !found
		})
		if found {
			return true
		}
	}
	return false
}

func isBool(t types.Type) bool {
	return types.Identical(t.Underlying(), types.Typ[types.Bool])
}

// tellsFirst reports whether v is defined as a result of GetOrNew or of an index expression.
func (ck *checker) tellsFirst(v *types.Var) bool {
	cur, ok := ck.root.FindByPos(v.Pos(), v.Pos())
	if !ok {
		return false
	}
	def, ok := cur.Parent().Node().(*ast.AssignStmt)
	if !ok {
		return false
	}
	switch e := ast.Unparen(def.Rhs[0]).(type) {
	case *ast.IndexExpr:
		return true
	case *ast.CallExpr:
		fn := typeutil.Callee(ck.pass.TypesInfo, e)
		return fn != nil && fn.Name() == "GetOrNew"
	}
	return false
}
