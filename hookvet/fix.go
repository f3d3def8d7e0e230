package hookvet

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ast/edge"
	"golang.org/x/tools/go/ast/inspector"
)

// hoistFromLoop returns the fix that evaluates hk, which the call of Register at cur is given, before the loop.
func (ck *checker) hoistFromLoop(loop, cur inspector.Cursor, hk *newHook) []analysis.SuggestedFix {
	before, ok := ck.listed(loop)
	if !ok {
		return nil
	}
	return ck.hoist(before, hk, []*ast.CallExpr{cur.Node().(*ast.CallExpr)})
}

// hoistToRegister returns the fix that evaluates hk, which the call of Unregister or Registered at cur is given, before
// it is registered. There is one if a single call of Register before, in a block around, is given the same expressions.
func (ck *checker) hoistToRegister(cur inspector.Cursor, hk *newHook) []analysis.SuggestedFix {
	if ck.hoisted[cur.Node().(*ast.CallExpr)] {
		return nil
	}
	// The calls that are given this hook, in the order of the text.
	var reg inspector.Cursor
	var calls []*ast.CallExpr
	for at := range ck.declAround(cur.Node()).Preorder((*ast.CallExpr)(nil)) {
		other := at.Node().(*ast.CallExpr)
		name := ck.connFunc(other)
		if name != "Register" && name != "Unregister" && name != "Registered" || len(other.Args) != 2 ||
			!ck.sameText(other.Args[0], cur.Node().(*ast.CallExpr).Args[0]) || !ck.sameText(ck.strip(other.Args[1]), hk.expr) {
			continue
		}
		if name == "Register" {
			reg = at // the last one: an earlier one is out of its reach, so that there is no fix
		}
		calls = append(calls, other)
	}
	if !reg.Valid() {
		return nil
	}
	before, ok := ck.listed(reg)
	if !ok {
		return nil
	}
	// The variable is visible from there to the end of the block.
	block := before.Parent().Node()
	for _, other := range calls {
		if other.Pos() < before.Node().Pos() || !contains(block, other) {
			return nil
		}
	}
	if !hk.byReference() && ck.mayChange(hk.expr, block, before.Node().End(), hk.expr) {
		return nil
	}
	return ck.hoist(before, hk, calls)
}

// hoist returns the fix that evaluates hk before the statement at before, keeps it in a variable and passes that in calls.
func (ck *checker) hoist(before inspector.Cursor, hk *newHook, calls []*ast.CallExpr) []analysis.SuggestedFix {
	pos := before.Node().Pos()
	for _, obj := range ck.refersTo(hk.expr) {
		if within(obj, before.Node()) {
			return nil
		}
	}
	text, ok := ck.text(hk.expr)
	if !ok {
		return nil
	}
	name := ck.freeName(before, hk)
	indent := strings.Repeat("\t", ck.pass.Fset.PositionFor(pos, false).Column-1)
	edits := []analysis.TextEdit{{Pos: pos, End: pos, NewText: fmt.Appendf(nil, "%s := %s\n%s", name, text, indent)}}
	for _, call := range calls {
		ck.hoisted[call] = true
		edits = append(edits, analysis.TextEdit{Pos: call.Args[1].Pos(), End: call.Args[1].End(), NewText: []byte(name)})
	}
	return []analysis.SuggestedFix{{Message: "Keep the hook in the variable " + name, TextEdits: edits}}
}

// listed returns the statement around cur that stands in the list of a block or clause, with its labels.
func (ck *checker) listed(cur inspector.Cursor) (stmt inspector.Cursor, ok bool) {
	for ; ; cur = cur.Parent() {
		switch cur.ParentEdgeKind() {
		case edge.BlockStmt_List, edge.CaseClause_Body, edge.CommClause_Body:
			return cur, true
		case edge.FuncDecl_Body, edge.FuncLit_Body, edge.File_Decls:
			return cur, false
		}
	}
}

// freeName returns a name for hk that means nothing else in the declaration around cur.
func (ck *checker) freeName(cur inspector.Cursor, hk *newHook) string {
	decl := ck.declAround(cur.Node()).Node()
	taken := ck.names[decl]
	if taken == nil {
		taken = make(map[string]bool)
		ck.names[decl] = taken
		for n := range ast.Preorder(decl) {
			if id, ok := n.(*ast.Ident); ok {
				if obj := ck.pass.TypesInfo.ObjectOf(id); obj == nil || obj.Parent() != nil {
					taken[id.Name] = true // not a field or a method, which are always selected
				}
			}
		}
	}
	name := "hook"
	if sel, ok := hk.expr.(*ast.SelectorExpr); ok {
		r, size := utf8.DecodeRuneInString(sel.Sel.Name)
		name = string(unicode.ToLower(r)) + sel.Sel.Name[size:]
	}
	for taken[name] || token.IsKeyword(name) || types.Universe.Lookup(name) != nil {
		name += "Hook"
	}
	taken[name] = true
	return name
}

// sameText reports whether a and b are written alike and refer to the same things.
func (ck *checker) sameText(a, b ast.Expr) bool {
	textA, okA := ck.text(a)
	textB, okB := ck.text(b)
	if !okA || !okB || !bytes.Equal(textA, textB) {
		return false
	}
	return slices.Equal(ck.refersTo(a), ck.refersTo(b))
}

// refersTo returns what e refers to outside of e, in the order of the text.
func (ck *checker) refersTo(e ast.Expr) (objs []types.Object) {
	for n := range ast.Preorder(e) {
		if id, ok := n.(*ast.Ident); ok {
			if obj := ck.pass.TypesInfo.Uses[id]; obj != nil && !within(obj, e) {
				objs = append(objs, obj)
			}
		}
	}
	return objs
}

// text returns the source text of e.
func (ck *checker) text(e ast.Expr) ([]byte, bool) {
	file := ck.pass.Fset.File(e.Pos())
	src, err := ck.pass.ReadFile(file.Name())
	if err != nil || file.Offset(e.End()) > len(src) {
		return nil, false
	}
	return src[file.Offset(e.Pos()):file.Offset(e.End())], true
}
