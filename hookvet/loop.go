package hookvet

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"slices"

	"golang.org/x/tools/go/analysis/passes/ctrlflow"
	"golang.org/x/tools/go/ast/edge"
	"golang.org/x/tools/go/ast/inspector"
	"golang.org/x/tools/go/cfg"
	"golang.org/x/tools/go/types/typeutil"
)

// A loop is a part of a function that may be repeated.
type loop struct {
	ck       *checker
	stmt     ast.Stmt // a for statement, or a goto back to pos
	pos, end token.Pos
}

// madeInLoop returns the expression that makes the hook of s, registered by the call at cur, if
// each iteration of a loop certainly registers another one that does the same for the same
// connection, and running both has no more effect than running one. Otherwise it returns nil.
func (ck *checker) madeInLoop(cur inspector.Cursor, s sink) ast.Expr {
	made := ck.newHook(s.hook)
	if v := ck.local(s.hook); v != nil && len(ck.uses[v]) == 2 { // its assignment, and this use
		made, _ = ck.onlyNew(v, registers, cur.Node().End())
	}
	if made == nil || ck.effectOf(made, made.Pos(), made.End(), nil)&adds != 0 {
		return nil
	}
	for around := cur; ; around = around.Parent() {
		certain := func(stmt ast.Stmt, pos token.Pos) bool {
			l := &loop{ck, stmt, pos, stmt.End()}
			return l.contains(made) && l.repeats(cur) && l.same(s.conn) && l.same(made) &&
				ck.effectOf(funcAround(cur).Node(), l.pos, l.end, made)&disturbs == 0
		}
		switch n := around.Node().(type) {
		case *ast.ForStmt, *ast.RangeStmt:
			if certain(n.(ast.Stmt), n.Pos()) {
				return made
			}
		case *ast.FuncLit, *ast.FuncDecl, *ast.File:
			for jump := range around.Preorder((*ast.BranchStmt)(nil)) {
				jump := jump.Node().(*ast.BranchStmt)
				if jump.Tok == token.GOTO && certain(jump, ck.info.Uses[jump.Label].Pos()) {
					return made
				}
			}
			if kind, _ := around.ParentEdge(); kind != edge.CallExpr_Fun || !ck.alwaysReaches(n, cur) {
				return nil
			}
			around = around.Parent() // the literal is called immediately
			cur = around
		}
	}
}

func (l *loop) contains(n interface{ Pos() token.Pos }) bool {
	return l.pos <= n.Pos() && n.Pos() < l.end
}

// repeats reports whether each iteration evaluates the call at cur and may be followed by another.
func (l *loop) repeats(cur inspector.Cursor) bool {
	blocks, at := l.ck.flow(cur)
	i := slices.IndexFunc(blocks, func(b *cfg.Block) bool {
		return b.Stmt != nil && b.Stmt.Pos() == l.pos &&
			(b.Kind == cfg.KindForBody || b.Kind == cfg.KindRangeBody || b.Kind == cfg.KindLabel)
	})
	return i >= 0 && !l.mayEnd() && l.reaches(at, at.Succs, map[*cfg.Block]bool{}) &&
		!l.reaches(blocks[i], blocks[i].Succs, map[*cfg.Block]bool{at: true})
}

// reaches reports whether control can get from one of blocks to target, within l and not past seen.
func (l *loop) reaches(target *cfg.Block, blocks []*cfg.Block, seen map[*cfg.Block]bool) bool {
	return slices.ContainsFunc(blocks, func(b *cfg.Block) bool {
		if seen[b] {
			return false
		}
		seen[b] = true
		return b == target || b.Stmt != nil && l.contains(b.Stmt) && l.reaches(target, b.Succs, seen)
	})
}

// alwaysReaches reports whether every call of the literal lit evaluates the call at cur.
func (ck *checker) alwaysReaches(lit ast.Node, cur inspector.Cursor) bool {
	l := &loop{pos: lit.Pos(), end: lit.End()}
	blocks, at := ck.flow(cur)
	return at != nil && !slices.ContainsFunc(blocks, func(b *cfg.Block) bool {
		return len(b.Succs) == 0 && l.reaches(b, blocks[:1], map[*cfg.Block]bool{at: true})
	})
}

// flow returns the blocks of the function around cur, and the block with the call there. That is
// nil if the call is part of a larger statement, since the effect of its result is unknown.
func (ck *checker) flow(cur inspector.Cursor) (blocks []*cfg.Block, at *cfg.Block) {
	var graph *cfg.CFG
	cfgs := ck.pass.ResultOf[ctrlflow.Analyzer].(*ctrlflow.CFGs)
	switch fn := funcAround(cur).Node().(type) {
	case *ast.FuncDecl:
		graph = cfgs.FuncDecl(fn)
	case *ast.FuncLit:
		graph = cfgs.FuncLit(fn)
	}
	kind, _ := cur.ParentEdge()
	for _, b := range graph.Blocks {
		if kind == edge.ExprStmt_X && slices.Contains(b.Nodes, cur.Parent().Node()) {
			return graph.Blocks, b
		}
	}
	return nil, nil
}

// mayEnd reports whether the loop may be meant to run once: it ranges over one element, counts to
// one, or runs while some condition holds.
func (l *loop) mayEnd() bool {
	ck := l.ck
	switch n := l.stmt.(type) {
	case *ast.RangeStmt:
		return ck.few(n.X)
	case *ast.ForStmt:
		switch cond := ast.Unparen(n.Cond).(type) {
		case nil:
			return false
		case *ast.CallExpr: // such as Scan of a bufio.Scanner
			fn := typeutil.StaticCallee(ck.info, cond)
			return fn == nil || fn.Pkg() == nil || !quiet[fn.Pkg().Path()]
		case *ast.BinaryExpr:
			return !ck.countsOn(n, cond)
		}
		return true
	}
	return false
}

// few reports whether a range over e may have one iteration: e is 1, or has one element.
func (ck *checker) few(e ast.Expr) bool {
	if array, ok := deref(ck.info.TypeOf(e)).Underlying().(*types.Array); ok {
		return array.Len() <= 1
	}
	e = ck.strip(e)
	if v := ck.local(e); v != nil { // then e is its initial value
		for i, id := range ck.uses[v] {
			if how, value := ck.useOf(id); i == 0 && how == assigns && value != nil {
				e = ck.strip(value)
			} else if how == assigns {
				return false
			}
		}
	}
	switch x := e.(type) {
	case *ast.CompositeLit:
		return len(x.Elts) <= 1
	case *ast.SliceExpr:
		return x.High != nil && (x.Low != nil || ck.few(x.High))
	}
	switch v := ck.info.Types[e].Value; {
	case v == nil:
		return false
	case v.Kind() == constant.String:
		return len(constant.StringVal(v)) <= 1
	default:
		return constant.Compare(constant.ToInt(v), token.LEQ, constant.MakeInt64(1))
	}
}

// countsOn reports whether the loop counts, and certainly not to one.
func (ck *checker) countsOn(loop *ast.ForStmt, cond *ast.BinaryExpr) bool {
	if !slices.Contains([]token.Token{token.LSS, token.LEQ, token.GTR, token.GEQ}, cond.Op) || ck.few(cond.X) {
		return false
	}
	to := ck.info.Types[cond.Y].Value
	if to == nil {
		return !ck.few(cond.Y)
	}
	if call, ok := cond.X.(*ast.CallExpr); ok { // len(b) > 0
		fn, ok := call.Fun.(*ast.Ident)
		return ok && fn.Name == "len" && cond.Op == token.GTR
	}
	if init, ok := loop.Init.(*ast.AssignStmt); ok && len(init.Rhs) == 1 {
		if from := ck.info.Types[init.Rhs[0]].Value; from != nil {
			if from.Kind() != constant.Int || to.Kind() != constant.Int {
				return false
			}
			_, byOne := loop.Post.(*ast.IncDecStmt)
			n, exact := constant.Int64Val(constant.ToInt(constant.BinaryOp(to, token.SUB, from)))
			return byOne && exact && (n > 1 || n < -1)
		}
	}
	return !ck.few(cond.Y)
}

// same reports whether e is, or does, the same in each iteration if nothing disturbs the loop.
func (l *loop) same(e ast.Expr) bool {
	ck := l.ck
	switch e := ck.strip(e).(type) {
	case *ast.Ident:
		v, ok := ck.info.Uses[e].(*types.Var)
		return !ok || !l.varies(v)
	case *ast.UnaryExpr:
		v := ck.local(e.X)
		return e.Op == token.AND && (v != nil && !l.contains(v) || v == nil && l.same(e.X))
	case *ast.FuncLit:
		return !slices.ContainsFunc(ck.captured(e), l.varies)
	case *ast.SelectorExpr:
		sel := ck.info.Selections[e]
		if sel == nil {
			return true // a function or variable of a package
		}
		fn, isMethod := sel.Obj().(*types.Func) // a non-pointer receiver is copied
		return l.same(e.X) && !(isMethod && !types.IsInterface(fn.Signature().Recv().Type()) &&
			deref(fn.Signature().Recv().Type()) == fn.Signature().Recv().Type())
	case *ast.CallExpr:
		fn := typeutil.StaticCallee(ck.info, e)
		if fn == nil || fn.Pkg() == nil {
			return false
		} else if fn.Pkg().Path() == connPath { // Chain
			return !e.Ellipsis.IsValid() && !slices.ContainsFunc(e.Args, func(arg ast.Expr) bool { return !l.same(arg) })
		}
		sel, ok := e.Fun.(*ast.SelectorExpr)
		return ok && ck.returnsLiteral(fn) && l.same(sel)
	}
	return false
}

// returnsLiteral reports whether fn only returns a literal, and has no parameters besides its
// receiver.
func (ck *checker) returnsLiteral(fn *types.Func) bool {
	cur, ok := ck.decls[fn.Origin()]
	if !ok || fn.Signature().Params().Len() > 0 {
		return false
	}
	ret, ok := cur.Node().(*ast.FuncDecl).Body.List[0].(*ast.ReturnStmt)
	if !ok || len(ret.Results) != 1 {
		return false
	}
	_, ok = ck.strip(ret.Results[0]).(*ast.FuncLit)
	return ok
}

// varies reports whether v may be a different variable, or get a different value, in each
// iteration.
func (l *loop) varies(v *types.Var) bool {
	uses := l.ck.uses[v]
	return l.contains(v) || len(uses) > 0 && uses[0].Node().Pos() != v.Pos() || slices.ContainsFunc(uses, func(id inspector.Cursor) bool {
		how, _ := l.ck.useOf(id)
		return how == assigns && id != uses[0] && (l.contains(id.Node()) || funcAround(id) != funcAround(uses[0]))
	})
}
