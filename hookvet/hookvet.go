package hookvet

import (
	"fmt"
	"go/ast"
	"go/constant"
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

// connPath is the import path of package conn. Change it along with every import of the package.
const connPath = "example.com/conn"

// Analyzer reports removal hooks that are never found, are added by each iteration of a loop, run
// for another connection, or never run. See the package comment for details. Its facts describe
// functions that make hooks or pass them on.
var Analyzer = &analysis.Analyzer{
	Name: "hookvet",
	Doc: `report misuse of removal hooks

Unregister and Registered never find a hook that was just made, and Register in a loop adds another
one in each iteration. StateRemove of one connection must not be called with another. Register right
after StateRemove is too late.`,
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
	uses  map[*types.Var][]inspector.Cursor // uses of local variables, in source order
	facts map[*types.Func]fact              // the functions examined so far

	effects map[*types.Func]effect // see effectsOf
}

func run(pass *analysis.Pass) (any, error) {
	ck := &checker{
		pass:  pass,
		info:  pass.TypesInfo,
		root:  pass.ResultOf[inspect.Analyzer].(*inspector.Inspector).Root(),
		decls: make(map[*types.Func]inspector.Cursor),
		uses:  make(map[*types.Var][]inspector.Cursor),
		facts: make(map[*types.Func]fact),
	}
	var funcs []*types.Func
	for cur := range ck.root.Preorder((*ast.FuncDecl)(nil), (*ast.Ident)(nil)) {
		switch n := cur.Node().(type) {
		case *ast.FuncDecl:
			if fn, ok := ck.info.Defs[n.Name].(*types.Func); ok && n.Body != nil {
				ck.decls[fn] = cur
				funcs = append(funcs, fn)
			}
		case *ast.Ident:
			if v := ck.local(n); v != nil {
				ck.uses[v] = append(ck.uses[v], cur)
			}
		}
	}
	for _, fn := range funcs {
		ck.factOf(fn)
	}
	for cur := range ck.root.Preorder((*ast.CallExpr)(nil)) {
		// Tests make such calls on purpose. If a test makes one by mistake, it fails.
		if name := pass.Fset.File(cur.Node().Pos()).Name(); !strings.HasSuffix(name, "_test.go") {
			ck.check(cur)
		}
	}
	return nil, nil
}

// check reports any mistake in the call at cur.
func (ck *checker) check(cur inspector.Cursor) {
	call := cur.Node().(*ast.CallExpr)
	name := types.ExprString(call.Fun)
	s := ck.sink(call)
	var made ast.Expr
	what, advice := "never finds this hook", "keep the one that is registered in a variable"
	switch {
	case s.name == "":
		if c := ck.otherConnection(call); c != nil {
			ck.pass.ReportRangef(call, "%s passes another connection to the hooks of %s; pass the one that they belong to", name, types.ExprString(c))
		}
		return
	case s.name != "Register":
		made = ck.neverRegistered(s.hook)
	case ck.justRemoved(cur, s):
		ck.pass.ReportRangef(call, "%s right after StateRemove returns false: this hook never runs", name)
		return
	default:
		made = ck.madeInLoop(cur, s)
		what, advice = "adds a hook in each iteration of the loop", "make it once, before the loop"
	}
	cause := "each evaluation of " + types.ExprString(made) + " makes a new one"
	switch made := made.(type) {
	case nil:
		return
	case *ast.FuncLit:
		cause = "each evaluation of the function literal makes a new one"
		if ck.strip(s.hook) == made && s.name != "Register" {
			cause = "no other call gets this function literal"
		}
	case *ast.SelectorExpr:
		if expr := ck.methodExpr(made); expr != "" {
			advice = "declare " + made.Sel.Name + " without its parameter, and pass the method expression " + expr
		}
	}
	ck.pass.ReportRangef(s.hook, "%s %s: %s; %s", name, what, cause, advice)
}

// methodExpr returns the method expression to use for a method value of the connection's type, else
// "".
func (ck *checker) methodExpr(value *ast.SelectorExpr) string {
	sig := ck.info.Uses[value.Sel].(*types.Func).Signature()
	c := sig.Params().At(0).Type()
	if !types.Identical(deref(sig.Recv().Type()), deref(c)) {
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

// A sink describes a call, direct or indirect, of Register, Unregister or Registered of package
// conn.
type sink struct {
	name string // the function called; "" if none, as far as known
	hook ast.Expr
	conn ast.Expr // the connection, its Hooks, or a value that embeds them
}

// sink returns the sink that call reaches.
func (ck *checker) sink(call *ast.CallExpr) sink {
	fn := typeutil.StaticCallee(ck.info, call)
	known := ck.factOf(fn)
	if known.Passes == "" {
		return sink{}
	}
	args := call.Args // for a method expression, the receiver comes first
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
	e = ast.Unparen(e)
	if conv, ok := e.(*ast.CallExpr); ok && len(conv.Args) == 1 && ck.info.Types[conv.Fun].IsType() {
		return ck.strip(conv.Args[0])
	}
	return e
}

// funcAround returns the innermost function, declared or literal, around cur.
func funcAround(cur inspector.Cursor) (fn inspector.Cursor) {
	for fn = range cur.Parent().Enclosing((*ast.FuncDecl)(nil), (*ast.FuncLit)(nil)) {
		break
	}
	return fn
}

// A fact describes a function.
type fact struct {
	Makes  bool   // each call returns a hook that no other call returns
	Passes string // the function that it passes a parameter to: Register, Unregister or Registered
	Hook   int    // that parameter, counted from 1; the function does nothing else with it

	// Conn is set for Register, which the function always calls: the parameter that is or holds the
	// connection. 0 is the receiver.
	Conn int
}

func (*fact) AFact() {}
func (f *fact) String() string {
	return fmt.Sprintf("makes: %t, passes: %d to %s", f.Makes, f.Hook, f.Passes)
}

// factOf returns the fact about fn.
func (ck *checker) factOf(fn *types.Func) (known fact) {
	switch {
	case fn == nil || fn.Pkg() == nil:
	case fn.Pkg().Path() == connPath:
		if fn.Name() == "Chain" {
			known.Makes = true // as documented
		} else if slices.Contains([]string{"Register", "Unregister", "Registered"}, fn.Name()) {
			n := fn.Signature().Params().Len()
			known = fact{Passes: fn.Name(), Hook: n, Conn: n - 1}
		}
	case fn.Pkg() != ck.pass.Pkg:
		ck.pass.ImportObjectFact(fn.Origin(), &known)
	default:
		return ck.derive(fn.Origin())
	}
	return known
}

// derive returns the fact about fn, a function of this package. It examines each function once, so
// a chain of them takes linear time. A function has no fact while it is being examined, so
// recursive functions make no hooks and pass none on.
func (ck *checker) derive(fn *types.Func) fact {
	known, done := ck.facts[fn]
	cur, hasBody := ck.decls[fn]
	if done || !hasBody {
		return known
	}
	ck.facts[fn] = fact{}
	known.Makes = ck.returnsNew(cur, fn.Signature())
	if !known.Makes {
		known = ck.passesOn(cur.Node().(*ast.FuncDecl).Body, fn.Signature())
	}
	if known != (fact{}) {
		ck.pass.ExportObjectFact(fn, &known)
	}
	ck.facts[fn] = known
	return known
}

// passesOn returns the fact about a function that passes a parameter on.
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
			if n := slices.Index(params, ck.holder(ck.sink(call).conn)); n >= 0 {
				return fact{Passes: "Register", Hook: i + 1, Conn: n}
			}
		}
	}
	return fact{}
}

// onlyCalls reports whether body is only call, whose arguments call nothing.
func (ck *checker) onlyCalls(body *ast.BlockStmt, call *ast.CallExpr) bool {
	var e ast.Expr
	if stmt, ok := body.List[0].(*ast.ExprStmt); ok {
		e = stmt.X
	} else if stmt, ok := body.List[0].(*ast.ReturnStmt); ok && len(stmt.Results) == 1 {
		e = stmt.Results[0]
	}
	return e == call && len(body.List) == 1 && !slices.ContainsFunc(call.Args, func(arg ast.Expr) bool {
		return ck.local(arg) == nil && ck.holder(arg) == nil
	})
}

// holder returns the pointer variable that e is, or through whose fields e reaches a connection,
// as c does for &c.flow.Connection; nil if there is none.
func (ck *checker) holder(e ast.Expr) *types.Var {
	switch e := ck.strip(e).(type) {
	case *ast.UnaryExpr:
		return ck.holder(e.X)
	case *ast.SelectorExpr:
		return ck.holder(e.X)
	case *ast.Ident:
		if v := ck.local(e); v != nil && deref(v.Type()) != v.Type() {
			return v
		}
	}
	return nil
}

// returnsNew reports whether each call of the function at fn returns a new hook.
func (ck *checker) returnsNew(fn inspector.Cursor, sig *types.Signature) bool {
	if sig.Results().Len() != 1 {
		return false
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
			return false
		}
	}
	return made != nil
}

// newHook returns e, without conversions, if every evaluation of it makes a new hook; else nil.
func (ck *checker) newHook(e ast.Expr) ast.Expr {
	switch e := ck.strip(e).(type) {
	case *ast.FuncLit:
		// Otherwise it may be the same each time. The compiler does not capture variables used only
		// in dead code.
		if len(ck.captured(e)) > 0 && !ck.hasConstantCondition(e) {
			return e
		}
	case *ast.SelectorExpr:
		if sel := ck.info.Selections[e]; sel != nil && sel.Kind() == types.MethodVal {
			return e
		}
	case *ast.CallExpr:
		if lit, ok := ast.Unparen(e.Fun).(*ast.FuncLit); ok {
			cur, _ := ck.root.FindNode(lit)
			if ck.returnsNew(cur, ck.info.TypeOf(lit).(*types.Signature)) {
				return e
			}
		} else if ck.factOf(typeutil.StaticCallee(ck.info, e)).Makes {
			return e
		}
	}
	return nil
}

// captured returns the local variables of the functions around lit that it refers to.
func (ck *checker) captured(lit *ast.FuncLit) (vars []*types.Var) {
	ast.Inspect(lit.Body, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			if v := ck.local(id); v != nil && (v.Pos() < lit.Pos() || lit.End() <= v.Pos()) {
				vars = append(vars, v)
			}
		}
		e, ok := n.(ast.Expr)
		return !ok || ck.info.Types[e].Value == nil // the len of an array does not need the array
	})
	return vars
}

// hasConstantCondition reports whether n has a statement whose condition is constant.
func (ck *checker) hasConstantCondition(n ast.Node) (found bool) {
	for n := range ast.Preorder(n) {
		switch n := n.(type) {
		case *ast.IfStmt:
			found = found || ck.info.Types[n.Cond].Value != nil
		case *ast.ForStmt:
			found = found || ck.info.Types[n.Cond].Value != nil
		case *ast.SwitchStmt:
			found = found || ck.info.Types[n.Tag].Value != nil
		case *ast.CaseClause:
			for _, e := range n.List {
				tv := ck.info.Types[e]
				found = found || tv.Value != nil && tv.Value.Kind() == constant.Bool
			}
		}
	}
	return found
}

// neverRegistered returns the expression that makes the hook e if it cannot have been registered,
// or nil.
func (ck *checker) neverRegistered(e ast.Expr) ast.Expr {
	e = ck.strip(e)
	if lit, ok := e.(*ast.FuncLit); ok {
		return lit // whether or not it captures, only this call gets it
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

// straight reports whether control reaches cur exactly once per declaration of v.
func (ck *checker) straight(v *types.Var, cur inspector.Cursor) bool {
	for range funcAround(cur).Preorder((*ast.LabeledStmt)(nil)) {
		return false
	}
	for around := range cur.Enclosing((*ast.ForStmt)(nil), (*ast.RangeStmt)(nil), (*ast.DeferStmt)(nil),
		(*ast.GoStmt)(nil), (*ast.FuncLit)(nil)) {
		if v.Pos() < around.Node().Pos() {
			return false
		}
	}
	kind, _ := ck.uses[v][0].Parent().ParentEdge()
	return kind != edge.ForStmt_Init
}

// onlyNew returns what makes the hook in v, a local variable, before end, nil if nothing is
// assigned to it. It is not ok if something else may be, or if anything but how is done with it.
func (ck *checker) onlyNew(v *types.Var, how use, end token.Pos) (made ast.Expr, ok bool) {
	for _, id := range ck.uses[v] {
		if id.Node().Pos() >= end {
			break
		} else if ck.uses[v][0].Node().Pos() != v.Pos() {
			return nil, false // declared by a type switch
		}
		is, value := ck.useOf(id)
		if is == assigns {
			made = ck.newHook(value)
		}
		if is == assigns && made == nil || is != assigns && is != nothing && is != how {
			return nil, false
		}
	}
	return made, true
}

type use int // how a program uses a variable at one place

const (
	nothing   use = iota
	assigns       // by a declaration, a statement or, at any time, through a pointer
	seeks         // calls a function that passes it to Unregister or Registered
	registers     // calls a function that passes it to Register
	returns
	other
)

// useOf returns how the program uses a local variable where id names it, and the call, or the value
// assigned, or nil if that is unknown.
func (ck *checker) useOf(id inspector.Cursor) (how use, e ast.Expr) {
	cur := id
	for e, ok := cur.Parent().Node().(ast.Expr); ok && ck.strip(e) == id.Node(); {
		cur = cur.Parent()
		e, ok = cur.Parent().Node().(ast.Expr)
	}
	var left int
	var right []ast.Expr
	kind, index := cur.ParentEdge()
	switch parent := cur.Parent().Node(); kind {
	case edge.BinaryExpr_X, edge.BinaryExpr_Y: // == nil
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
	case edge.IncDecStmt_X, edge.RangeStmt_Key, edge.RangeStmt_Value, edge.UnaryExpr_X: // &
	case edge.Field_Names:
		if list, _ := cur.Parent().Parent().ParentEdge(); list == edge.FuncType_Results {
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
		e = right[index]
	}
	return assigns, e
}
