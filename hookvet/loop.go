package hookvet

import (
	"go/ast"
	"go/token"
	"go/types"

	"golang.org/x/tools/go/ast/edge"
	"golang.org/x/tools/go/ast/inspector"
	"golang.org/x/tools/go/cfg"
)

// loopAround returns the loop each iteration of which evaluates the call of Register at cur with the same connection and
// with an hk that is made of the same things.
func (ck *checker) loopAround(cur inspector.Cursor, hk *newHook) (loop inspector.Cursor, ok bool) {
	for around := cur; ; around = around.Parent() {
		switch around.ParentEdgeKind() {
		case edge.BinaryExpr_Y:
			if op := around.Parent().Node().(*ast.BinaryExpr).Op; op == token.LAND || op == token.LOR {
				return loop, false // a condition decides
			}
		case edge.FuncDecl_Body, edge.FuncLit_Body, edge.File_Decls:
			return loop, false
		case edge.ForStmt_Cond, edge.ForStmt_Post, edge.ForStmt_Body, edge.RangeStmt_Body:
			loop = around.Parent()
			reg := cur.Node().(*ast.CallExpr)
			same := !ck.varies(loop.Node(), reg, reg.Args[0], false) && !ck.varies(loop.Node(), reg, hk.expr, hk.byReference())
			return loop, same && ck.everyTime(loop, reg)
		}
	}
}

// byReference reports whether it makes no difference to hk what is assigned to the variables it refers to.
func (hk *newHook) byReference() bool {
	return hk.kind == literal || hk.kind == sharedLiteral
}

// everyTime reports whether each iteration of loop evaluates reg and more iterations may follow.
func (ck *checker) everyTime(loop inspector.Cursor, reg *ast.CallExpr) bool {
	var graph *cfg.CFG
	switch fn := funcAround(loop).Node().(type) {
	case *ast.FuncDecl:
		graph = ck.cfgs.FuncDecl(fn)
	case *ast.FuncLit:
		graph = ck.cfgs.FuncLit(fn)
	}
	var body, at *cfg.Block
	for _, b := range graph.Blocks {
		if b.Stmt == loop.Node() && (b.Kind == cfg.KindForBody || b.Kind == cfg.KindRangeBody) {
			body = b
		}
		for _, n := range b.Nodes {
			if contains(n, reg) {
				at = b
			}
		}
	}
	if at == nil {
		return false
	}
	// reaches reports whether an iteration may go from b to target without passing through avoid.
	reaches := func(b, target, avoid *cfg.Block) bool {
		seen := map[*cfg.Block]bool{avoid: true}
		todo := b.Succs
		for len(todo) > 0 {
			b, todo = todo[0], todo[1:]
			if seen[b] || b.Stmt == nil || !contains(loop.Node(), b.Stmt) {
				continue
			}
			if b == target {
				return true
			}
			seen[b] = true
			todo = append(todo[:len(todo):len(todo)], b.Succs...)
		}
		return false
	}
	return reaches(at, at, nil) && !reaches(body, body, at)
}

// varies reports whether e, an argument of reg, may have another value in another iteration of loop. If byReference is
// true, then only variables that each iteration has of its own make a difference.
func (ck *checker) varies(loop ast.Node, reg *ast.CallExpr, e ast.Expr, byReference bool) bool {
	for v := range ck.vars(e) {
		if within(v, loop) && !within(v, e) {
			return true
		}
	}
	return !byReference && ck.mayChange(e, loop, loop.Pos(), reg)
}

// mayChange reports whether what n does from the position on may give e another value; except is a part of n that does
// not count.
func (ck *checker) mayChange(e ast.Expr, n ast.Node, from token.Pos, except ast.Node) bool {
	objs := make(map[types.Object]bool)
	for v := range ck.vars(e) {
		objs[v] = true
	}
	selects := false // e depends on a part of a variable, which a call that has the variable may set
	for n := range ast.Preorder(e) {
		switch n := n.(type) {
		case *ast.CallExpr:
			return true
		case *ast.UnaryExpr:
			if n.Op == token.ARROW {
				return true
			}
		case *ast.SelectorExpr:
			sel := ck.pass.TypesInfo.Selections[n]
			selects = selects || sel != nil && sel.Kind() == types.FieldVal
		case *ast.IndexExpr:
			selects = true
		}
	}
	for n := range ast.Preorder(n) {
		if n.Pos() < from || contains(except, n) {
			continue
		}
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, lhs := range n.Lhs {
				if ck.assigns(lhs, objs) {
					return true
				}
			}
		case *ast.IncDecStmt:
			if ck.assigns(n.X, objs) {
				return true
			}
		case *ast.RangeStmt:
			if n.Key != nil && ck.assigns(n.Key, objs) || n.Value != nil && ck.assigns(n.Value, objs) {
				return true
			}
		case *ast.CallExpr:
			name := ck.connFunc(n)
			for n := range ast.Preorder(n) {
				switch n := n.(type) {
				case *ast.Ident:
					if (name == "StateRemove" || name == "" && selects) && objs[ck.pass.TypesInfo.Uses[n]] {
						return true
					}
				case *ast.UnaryExpr:
					if name == "" && n.Op == token.AND && ck.assigns(n.X, objs) {
						return true
					}
				}
			}
		}
	}
	return false
}

// assigns reports whether an assignment to e changes one of objs, all of it or in part.
func (ck *checker) assigns(e ast.Expr, objs map[types.Object]bool) bool {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		return objs[ck.pass.TypesInfo.ObjectOf(e)]
	case *ast.IndexExpr:
		return ck.assigns(e.X, objs)
	case *ast.StarExpr:
		return ck.assigns(e.X, objs)
	case *ast.SelectorExpr:
		if objs[ck.pass.TypesInfo.ObjectOf(e.Sel)] {
			return true
		}
		_, isPointer := ck.pass.TypesInfo.TypeOf(e.X).Underlying().(*types.Pointer)
		return !isPointer && ck.assigns(e.X, objs)
	}
	return false
}

// contains reports whether inner lies within outer.
func contains(outer, inner ast.Node) bool {
	return outer.Pos() <= inner.Pos() && inner.End() <= outer.End()
}
