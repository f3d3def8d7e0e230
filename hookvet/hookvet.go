package hookvet

import (
	"go/ast"
	"go/types"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/passes/ctrlflow"
	"golang.org/x/tools/go/analysis/passes/inspect"
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
