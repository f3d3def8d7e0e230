package hookvet

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"slices"
	"strings"

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
	hooks    map[ast.Node]bool    // expressions that make hooks, which do not run in the loop
	seen     map[*types.Func]bool // functions that the loop may call
}

// madeInLoop returns what makes the hook of s, which the call at cur registers, if each iteration
// of a loop certainly registers another that does the same for the same connection; else nil.
func (ck *checker) madeInLoop(cur inspector.Cursor, s sink) ast.Expr {
	made := ck.newHook(s.hook)
	if v := ck.local(s.hook); v != nil && len(ck.uses[v]) == 2 { // where it is assigned, and here
		made, _ = ck.onlyNew(v, registers, cur.Node().End())
	}
	if made == nil {
		return nil
	}
	for around := cur; ; around = around.Parent() {
		certain := func(stmt ast.Stmt, pos token.Pos) bool {
			l := &loop{ck, stmt, pos, stmt.End(), map[ast.Node]bool{made: true}, make(map[*types.Func]bool)}
			return l.contains(made) && l.repeats(cur) && l.same(s.conn) && l.same(made) &&
				!l.disturbs(funcAround(cur).Node(), false)
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
			if around.ParentEdgeKind() != edge.CallExpr_Fun || !ck.alwaysReaches(n, cur) {
				return nil
			}
			around = around.Parent() // the literal is called at once
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

// reaches reports whether control gets from one of blocks to target, inside of l and not past seen.
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

// flow returns the blocks of the function around cur and the one with the call there, nil if that
// does not stand alone: what its result decides is not known.
func (ck *checker) flow(cur inspector.Cursor) (blocks []*cfg.Block, at *cfg.Block) {
	var graph *cfg.CFG
	cfgs := ck.pass.ResultOf[ctrlflow.Analyzer].(*ctrlflow.CFGs)
	switch fn := funcAround(cur).Node().(type) {
	case *ast.FuncDecl:
		graph = cfgs.FuncDecl(fn)
	case *ast.FuncLit:
		graph = cfgs.FuncLit(fn)
	}
	for _, b := range graph.Blocks {
		if cur.ParentEdgeKind() == edge.ExprStmt_X && slices.Contains(b.Nodes, cur.Parent().Node()) {
			return graph.Blocks, b
		}
	}
	return nil, nil
}

// mayEnd reports whether the text of the loop may mean one iteration: it ranges over one element,
// counts to one, or goes on as long as a variable says.
func (l *loop) mayEnd() bool {
	few := func(e ast.Expr) bool {
		v := l.ck.info.Types[e].Value
		return v != nil && v.Kind() == constant.Int && constant.Compare(v, token.LEQ, constant.MakeInt64(1))
	}
	switch n := l.stmt.(type) {
	case *ast.RangeStmt:
		lit, ok := n.X.(*ast.CompositeLit)
		return few(n.X) || ok && len(lit.Elts) <= 1
	case *ast.ForStmt:
		_, isCall := n.Cond.(*ast.CallExpr)
		cmp, ok := n.Cond.(*ast.BinaryExpr)
		isCount := ok && cmp.Op != token.LAND && cmp.Op != token.LOR && (n.Init == nil || !few(cmp.X) && !few(cmp.Y))
		return n.Cond != nil && !isCall && !isCount
	}
	return false
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
		fn, isMethod := sel.Obj().(*types.Func) // a receiver that is no pointer is copied
		return l.same(e.X) && !(isMethod && !types.IsInterface(fn.Signature().Recv().Type()) &&
			deref(fn.Signature().Recv().Type()) == fn.Signature().Recv().Type())
	case *ast.CallExpr:
		sel, ok := e.Fun.(*ast.SelectorExpr)
		return ck.callee(e).Alike && !e.Ellipsis.IsValid() && (!ok || l.same(sel)) &&
			!slices.ContainsFunc(e.Args, func(arg ast.Expr) bool { return !l.same(arg) })
	}
	return false
}

// varies reports whether v may be another variable in each iteration or get another value.
func (l *loop) varies(v *types.Var) bool {
	uses := l.ck.uses[v]
	return l.contains(v) || len(uses) > 0 && uses[0].Node().Pos() != v.Pos() || slices.ContainsFunc(uses, func(id inspector.Cursor) bool {
		how, _ := l.ck.useOf(id)
		return how == assigns && id != uses[0] && (l.contains(id.Node()) || funcAround(id) != funcAround(uses[0]))
	})
}

// quiet are packages that know no connection and call no function that they are given.
var quiet = strings.Fields("bufio bytes encoding/binary encoding/hex errors fmt io log log/slog math " +
	"math/bits net/netip os path path/filepath strconv strings time unicode unicode/utf8")

// disturbs reports whether what n does in the loop may take hooks back, or end or replace a
// connection. If the loop calls n, then all of n counts.
func (l *loop) disturbs(n ast.Node, called bool) (found bool) {
	ast.Inspect(n, func(n ast.Node) bool {
		if found || n == nil || l.hooks[n] || !called && (n.End() <= l.pos || l.end <= n.Pos()) {
			return false
		}
		switch n := n.(type) {
		case *ast.GoStmt, *ast.SendStmt:
			found = true // another goroutine may get the connection
		case *ast.AssignStmt:
			found = n.Tok == token.ASSIGN && slices.ContainsFunc(n.Lhs, l.replaces)
		case *ast.RangeStmt:
			found = n.Tok == token.ASSIGN && (l.replaces(n.Key) || n.Value != nil && l.replaces(n.Value))
		case *ast.CallExpr:
			l.hooks[l.ck.sink(n).hook] = true
			switch typeutil.Callee(l.ck.info, n).(type) {
			case *types.Builtin:
				found = slices.Contains([]string{"clear", "close", "copy"}, types.ExprString(n.Fun))
			case nil:
				_, ok := ast.Unparen(n.Fun).(*ast.FuncLit)
				found = !ok && !l.ck.info.Types[n.Fun].IsType()
			}
		case *ast.Ident:
			switch obj := l.ck.info.Uses[n].(type) {
			case *types.Func:
				found = l.calls(obj.Origin())
			case *types.Var:
				_, found = obj.Type().Underlying().(*types.Signature) // whatever function that is
			}
		}
		return !found
	})
	return found
}

// calls reports whether fn, which the loop may call, disturbs it.
func (l *loop) calls(fn *types.Func) bool {
	recv, known := fn.Signature().Recv(), l.ck.factOf(fn)
	switch {
	case l.seen[fn], fn.Pkg() == nil, known.Alike, known.Passes == "Register":
		return false
	case recv != nil && types.IsInterface(recv.Type()):
		return true
	case fn.Pkg().Path() == connPath:
		return !slices.Contains(strings.Fields("Registered Removed String Get GetOrNew Delete"), fn.Name())
	}
	l.seen[fn] = true
	decl, ok := l.ck.decls[fn]
	return !slices.Contains(quiet, fn.Pkg().Path()) && (!ok || l.disturbs(decl.Node().(*ast.FuncDecl).Body, true))
}

// replaces reports whether an assignment to e may replace the connection or what it is found
// through.
func (l *loop) replaces(e ast.Expr) bool {
	t := l.ck.info.TypeOf(e)
	if t == nil {
		return false // blank
	}
	switch t.Underlying().(type) {
	case *types.Pointer, *types.Interface:
		return l.ck.local(e) == nil // same looks at local variables
	case *types.Struct, *types.Array:
		return true
	}
	return false
}
