package hookvet

import (
	"go/ast"
	"go/types"
	"iter"

	"golang.org/x/tools/go/ast/edge"
	"golang.org/x/tools/go/ast/inspector"
)

// declAround returns the declaration at package level that n is in.
func (ck *checker) declAround(n ast.Node) inspector.Cursor {
	cur, _ := ck.root.FindNode(n)
	for cur.ParentEdgeKind() != edge.File_Decls {
		cur = cur.Parent()
	}
	return cur
}

// funcAround returns the innermost function, declared or literal, around cur.
func funcAround(cur inspector.Cursor) (fn inspector.Cursor) {
	for around := range cur.Parent().Enclosing((*ast.FuncDecl)(nil), (*ast.FuncLit)(nil)) {
		return around
	}
	return inspector.Cursor{}
}

// vars returns the variables and struct fields that n refers to.
func (ck *checker) vars(n ast.Node) iter.Seq[*types.Var] {
	return func(yield func(*types.Var) bool) {
		for n := range ast.Preorder(n) {
			if id, ok := n.(*ast.Ident); ok {
				if v, ok := ck.pass.TypesInfo.Uses[id].(*types.Var); ok && !yield(v) {
					return
				}
			}
		}
	}
}

// isLocal reports whether v is a variable or parameter of a function.
func isLocal(v *types.Var) bool {
	return !v.IsField() && v.Pkg() != nil && v.Parent() != v.Pkg().Scope()
}

// within reports whether obj is declared inside n.
func within(obj types.Object, n ast.Node) bool {
	return n.Pos() <= obj.Pos() && obj.Pos() < n.End()
}

// indexOf returns the index of n in list, -1 if it is not there.
func indexOf[N ast.Node](list []N, n ast.Node) int {
	for i, other := range list {
		if ast.Node(other) == n {
			return i
		}
	}
	return -1
}
