package hookvet

import (
	"fmt"
	"go/ast"
	"go/types"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/passes/ctrlflow"
	"golang.org/x/tools/go/analysis/passes/inspect"
	"golang.org/x/tools/go/ast/inspector"
	"golang.org/x/tools/go/types/typeutil"
)

// connPath is the import path of package conn. Who publishes the module under another path changes it here as in every
// import.
const connPath = "example.com/conn"

// Analyzer reports calls of conn.Register, conn.Unregister and conn.Registered whose hook is a func value made on the
// spot where it matters which func value it is. The package comment says what it reports and what it does not.
//
// It keeps facts about functions that return new hooks, so that calls of them are understood in other packages.
var Analyzer = &analysis.Analyzer{
	Name: "hookvet",
	Doc: `report removal hooks that are not the same hook again

A hook of example.com/conn is one func value. Unregister and Registered given a function literal, a method value or the
result of a function that makes hooks never find it; Register's result never tells that such a hook was registered
before; and Register adds it again in every iteration of a loop. The same goes for a generic function that is
instantiated with a type parameter of the function around it.`,
	URL:       "https://pkg.go.dev/" + connPath + "/hookvet",
	Requires:  []*analysis.Analyzer{inspect.Analyzer, ctrlflow.Analyzer},
	FactTypes: []analysis.Fact{new(makesHooks)},
	Run:       run,
}

// A checker checks one package.
type checker struct {
	pass *analysis.Pass
	root inspector.Cursor
	cfgs *ctrlflow.CFGs

	hoisted map[*ast.CallExpr]bool       // calls that a suggested fix rewrites already
	names   map[ast.Node]map[string]bool // names that mean something in a declaration, with those of suggested fixes
}

func run(pass *analysis.Pass) (any, error) {
	ck := &checker{
		pass:    pass,
		root:    pass.ResultOf[inspect.Analyzer].(*inspector.Inspector).Root(),
		cfgs:    pass.ResultOf[ctrlflow.Analyzer].(*ctrlflow.CFGs),
		hoisted: make(map[*ast.CallExpr]bool),
		names:   make(map[ast.Node]map[string]bool),
	}
	ck.findMakers()
	for cur := range ck.root.Preorder((*ast.CallExpr)(nil)) {
		ck.check(cur)
	}
	return nil, nil
}

// check reports what is wrong with the call at cur, if it is a call of a function of package conn.
func (ck *checker) check(cur inspector.Cursor) {
	call := cur.Node().(*ast.CallExpr)
	name := ck.connFunc(call)
	if len(call.Args) != 2 || name != "Register" && name != "Unregister" && name != "Registered" {
		return
	}
	hk := ck.classify(call.Args[1])
	if hk == nil {
		return
	}
	if name != "Register" {
		verb := "cannot"
		if hk.kind == sharedCall {
			verb = "may not"
		}
		ck.report(hk, ck.hoistToRegister(cur, hk), "%s %s find this hook: %s; %s", name, verb, hk.cause(true), hk.keep())
		return
	}
	if loop, ok := ck.loopAround(cur, hk); ok {
		verb := "adds"
		if hk.kind == sharedLiteral {
			verb = "may add"
		}
		ck.report(hk, ck.hoistFromLoop(loop, cur, hk), "Register %s a hook in every iteration of the loop: %s; "+
			"evaluate it once, before the loop, and register the variable", verb, hk.cause(false))
	} else if ck.tells(cur, hk) {
		ck.report(hk, nil, "Register's result does not tell whether this hook was registered before: %s; "+
			"register a top-level function or a hook that is kept with the connection's state, "+
			"or let conn.Field's GetOrNew tell the first time", hk.cause(false))
	}
}

func (ck *checker) report(hk *newHook, fixes []analysis.SuggestedFix, format string, args ...any) {
	ck.pass.Report(analysis.Diagnostic{
		Pos:            hk.arg.Pos(),
		End:            hk.arg.End(),
		Message:        fmt.Sprintf(format, args...),
		SuggestedFixes: fixes,
	})
}

// connFunc returns the name of the function of package conn that call calls, "" if it calls anything else.
func (ck *checker) connFunc(call *ast.CallExpr) string {
	fn, ok := typeutil.Callee(ck.pass.TypesInfo, call).(*types.Func)
	if !ok || fn.Pkg() == nil || fn.Pkg().Path() != connPath {
		return ""
	}
	return fn.Name()
}
