package hookvet

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/passes/ctrlflow"
	"golang.org/x/tools/go/analysis/passes/inspect"
	"golang.org/x/tools/go/ast/edge"
	"golang.org/x/tools/go/ast/inspector"
	"golang.org/x/tools/go/types/typeutil"
)

// connPath is the import path of package conn. Who publishes the module under another path changes
// it here as in every import.
const connPath = "example.com/conn"

// Analyzer reports removal hooks that are certainly not the hook they are taken for. The package
// comment says more. Its facts are about functions that make hooks or pass them on.
var Analyzer = &analysis.Analyzer{
	Name: "hookvet",
	Doc: `report removal hooks that are certainly new where a known one is meant

A removal hook of example.com/conn is one func value. Unregister and Registered never find a hook
that has just been made: a method value, a function literal, the result of conn.Chain. Register,
given such a hook in a loop over one connection, adds another in each iteration.`,
	URL:       "https://pkg.go.dev/" + connPath + "/hookvet",
	Requires:  []*analysis.Analyzer{inspect.Analyzer, ctrlflow.Analyzer},
	FactTypes: []analysis.Fact{new(fact)},
	Run:       run,
}

// A checker checks one package.
type checker struct {
	pass  *analysis.Pass
	info  *types.Info
	root  inspector.Cursor
	decls map[*types.Func]inspector.Cursor  // the functions that have a body
	uses  map[*types.Var][]inspector.Cursor // the identifiers of local variables, as in the text
}

func run(pass *analysis.Pass) (any, error) {
	ck := &checker{
		pass:  pass,
		info:  pass.TypesInfo,
		root:  pass.ResultOf[inspect.Analyzer].(*inspector.Inspector).Root(),
		decls: make(map[*types.Func]inspector.Cursor),
		uses:  make(map[*types.Var][]inspector.Cursor),
	}
	for cur := range ck.root.Preorder((*ast.FuncDecl)(nil), (*ast.Ident)(nil)) {
		switch n := cur.Node().(type) {
		case *ast.FuncDecl:
			if fn, ok := ck.info.Defs[n.Name].(*types.Func); ok && n.Body != nil {
				ck.decls[fn] = cur
			}
		case *ast.Ident:
			if v := ck.local(n); v != nil {
				ck.uses[v] = append(ck.uses[v], cur)
			}
		}
	}
	ck.exportFacts()
	for cur := range ck.root.Preorder((*ast.CallExpr)(nil)) {
		// A test makes such calls on purpose. One that it makes by mistake fails there.
		if name := pass.Fset.File(cur.Node().Pos()).Name(); !strings.HasSuffix(name, "_test.go") {
			ck.check(cur)
		}
	}
	return nil, nil
}

// check reports what is wrong with the call at cur.
func (ck *checker) check(cur inspector.Cursor) {
	call := cur.Node().(*ast.CallExpr)
	s := ck.sink(call)
	made, what, advice := ast.Expr(nil), "adds a hook in each iteration of the loop", "make it once, before the loop"
	if s.name == "Register" {
		made = ck.madeInLoop(cur, s)
	} else if s.name != "" {
		made, what = ck.neverRegistered(s.hook), "never finds this hook"
		advice = "keep the hook that is registered in a variable, and pass that"
	}
	var cause string
	switch made := made.(type) {
	case nil:
		return
	case *ast.FuncLit:
		cause = "a function literal is a hook of its own wherever and whenever it is evaluated"
	case *ast.CallExpr:
		cause = "each call of " + types.ExprString(made.Fun) + " makes a new one"
	case *ast.SelectorExpr:
		cause = "each evaluation of the method value " + types.ExprString(made) + " makes a new one"
		if expr := ck.methodExpr(made); expr != "" {
			advice = "declare " + made.Sel.Name + " without its parameter, and pass the method expression " + expr
		}
	}
	ck.pass.ReportRangef(s.hook, "%s %s: %s; %s", types.ExprString(call.Fun), what, cause, advice)
}

// methodExpr returns the method expression that would be the same hook wherever it is written, if
// value is a method value of the connection's own type; else "".
func (ck *checker) methodExpr(value *ast.SelectorExpr) string {
	sel := ck.info.Selections[value]
	c := sel.Type().(*types.Signature).Params().At(0).Type()
	recv := sel.Obj().(*types.Func).Signature().Recv().Type()
	if !types.Identical(deref(sel.Recv()), deref(c)) && !types.Identical(deref(recv), deref(c)) {
		return ""
	}
	return "(" + types.TypeString(c, types.RelativeTo(ck.pass.Pkg)) + ")." + value.Sel.Name
}

func deref(t types.Type) types.Type {
	if ptr, ok := t.Underlying().(*types.Pointer); ok {
		return ptr.Elem()
	}
	return t
}

// A sink is what a call passes to Register, Unregister or Registered of package conn.
type sink struct {
	name string // which of them; "" if the call passes nothing to them, as far as is known
	hook ast.Expr
	conn ast.Expr // the connection, its Hooks, or what embeds these
}

// sink returns what call passes on.
func (ck *checker) sink(call *ast.CallExpr) sink {
	fn := typeutil.StaticCallee(ck.info, call)
	known := ck.factOf(fn)
	if known.Passes == "" {
		return sink{}
	}
	args := call.Args // of a method expression: the receiver comes first
	if sel, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr); fn.Signature().Recv() == nil {
		args = append([]ast.Expr{nil}, args...)
	} else if ok && ck.info.Selections[sel].Kind() == types.MethodVal {
		args = append([]ast.Expr{sel.X}, args...)
	}
	if len(args) != 1+fn.Signature().Params().Len() {
		return sink{} // variadic, or the arguments are the results of one call
	}
	return sink{known.Passes, args[known.Hook], args[known.Conn]}
}

// local returns the local variable or parameter that e names, nil if it is anything else.
func (ck *checker) local(e ast.Expr) *types.Var {
	if id, ok := ck.strip(e).(*ast.Ident); ok {
		v, ok := ck.info.ObjectOf(id).(*types.Var)
		if ok && !v.IsField() && v.Pkg() != nil && v.Parent() != v.Pkg().Scope() {
			return v
		}
	}
	return nil
}

// strip removes parentheses and conversions from e.
func (ck *checker) strip(e ast.Expr) ast.Expr {
	for {
		e = ast.Unparen(e)
		conv, ok := e.(*ast.CallExpr)
		if !ok || !ck.info.Types[conv.Fun].IsType() || len(conv.Args) != 1 {
			return e
		}
		e = conv.Args[0]
	}
}

// funcAround returns the innermost function, declared or literal, around cur.
func funcAround(cur inspector.Cursor) (fn inspector.Cursor) {
	for fn = range cur.Parent().Enclosing((*ast.FuncDecl)(nil), (*ast.FuncLit)(nil)) {
		break
	}
	return fn
}

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
		done := make(map[use]ast.Expr)
		for _, id := range ck.uses[v] {
			if how, e := ck.useOf(id); how != nothing && id != ck.uses[v][0] {
				done[how] = e
			}
		}
		if call, ok := done[seeks].(*ast.CallExpr); ok && len(done) == 1 {
			return fact{Passes: ck.sink(call).name, Hook: i + 1}
		}
		if call, ok := done[registers].(*ast.CallExpr); ok && len(done) == 1 && ck.onlyCalls(body, call) {
			if c := ck.local(ck.sink(call).conn); c != nil && slices.Contains(params, c) {
				return fact{Passes: "Register", Hook: i + 1, Conn: slices.Index(params, c)}
			}
		}
	}
	return fact{}
}

// onlyCalls reports whether body is only call, with variables for arguments.
func (ck *checker) onlyCalls(body *ast.BlockStmt, call *ast.CallExpr) bool {
	var e ast.Expr
	if stmt, ok := body.List[0].(*ast.ExprStmt); ok {
		e = stmt.X
	} else if stmt, ok := body.List[0].(*ast.ReturnStmt); ok && len(stmt.Results) == 1 {
		e = stmt.Results[0]
	}
	return e == call && len(body.List) == 1 &&
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

// newHook returns what e is, but for parentheses and conversions, if every evaluation makes a hook that
// is like no other; else nil.
func (ck *checker) newHook(e ast.Expr) ast.Expr {
	switch e := ck.strip(e).(type) {
	case *ast.FuncLit:
		if len(ck.captured(e)) > 0 { // otherwise it may be the same each time
			return e
		}
	case *ast.SelectorExpr:
		if sel := ck.info.Selections[e]; sel != nil && sel.Kind() == types.MethodVal {
			return e
		}
	case *ast.CallExpr:
		if ck.callee(e).Makes {
			return e
		}
	}
	return nil
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
	var left int
	var right []ast.Expr
	switch parent := cur.Parent().Node(); cur.ParentEdgeKind() {
	case edge.BinaryExpr_X, edge.BinaryExpr_Y: // of a func: a comparison with nil
		return nothing, nil
	case edge.ReturnStmt_Results:
		return returns, nil
	case edge.CallExpr_Args:
		s := ck.sink(parent.(*ast.CallExpr))
		if s.hook != cur.Node() {
			return other, nil
		} else if s.name == "Register" {
			return registers, parent.(ast.Expr)
		}
		return seeks, parent.(ast.Expr)
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
	if right != nil && left == len(right) {
		e = right[cur.ParentEdgeIndex()]
	}
	return assigns, e
}
