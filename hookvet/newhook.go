package hookvet

import (
	"go/ast"
	"go/types"
	"slices"

	"golang.org/x/tools/go/ast/inspector"
	"golang.org/x/tools/go/types/typeutil"
)

// A newHook is an argument that makes the hook it passes: no other expression has the same hook as its value.
type newHook struct {
	arg  ast.Expr // the argument as written
	expr ast.Expr // the argument without parentheses and conversions
	kind kind
	name string // how a message refers to it
}

type kind int

const (
	methodValue   kind = iota + 1
	literal            // makes a new hook each time
	sharedLiteral      // captures nothing: the same hook each time, but another one at each place it is inlined to
	call               // of a function that makes hooks
	sharedCall         // of a function that returns a sharedLiteral
	generic            // a generic function instantiated with a type parameter of the function around it
)

// cause says why hk is not the same hook again, or, if elsewhere is true, not the same hook as one from another place.
func (hk *newHook) cause(elsewhere bool) string {
	switch hk.kind {
	case methodValue:
		return "every evaluation of the method value " + hk.name + " makes a new hook"
	case call:
		return "every call of " + hk.name + " makes a new hook"
	case sharedCall:
		return "every call of " + hk.name + " that the compiler inlines has a hook of its own"
	case generic:
		return "every evaluation of " + hk.name + ", which depends on a type parameter, makes a new hook"
	}
	if elsewhere {
		return "a function literal is a hook of its own, even if another has the same text"
	}
	if hk.kind == sharedLiteral {
		return "a function literal that captures nothing has a hook of its own wherever the compiler inlines it"
	}
	return "every evaluation of this function literal makes a new hook"
}

// keep says what to write instead in order to find hk.
func (hk *newHook) keep() string {
	switch hk.kind {
	case literal, sharedLiteral:
		return "keep the hook in a variable when it is registered, or declare a top-level function, and pass that"
	case call, sharedCall:
		return "keep the result in a variable when it is registered, and pass that"
	}
	return "evaluate it once, keep it in a variable when it is registered, and pass that"
}

// makesHooks is the fact that a function returns a new hook from every call.
type makesHooks struct {
	Shared bool // only where the compiler inlines the call: some literal that it returns captures nothing
}

func (*makesHooks) AFact() {}

func (f *makesHooks) String() string {
	if f.Shared {
		return "makesHooks(if inlined)"
	}
	return "makesHooks"
}

// classify returns what arg makes, nil if the hook may be the same as another or if that is unknown: arg is a variable,
// a parameter or a call of which nothing is known.
func (ck *checker) classify(arg ast.Expr) *newHook {
	info := ck.pass.TypesInfo
	hk := &newHook{arg: arg, expr: ck.strip(arg)}
	switch e := hk.expr.(type) {
	case *ast.FuncLit:
		hk.kind = literal
		if !ck.makesNew(e) {
			hk.kind = sharedLiteral
		}
	case *ast.SelectorExpr:
		if sel := info.Selections[e]; sel == nil || sel.Kind() != types.MethodVal {
			return nil
		}
		hk.kind, hk.name = methodValue, types.ExprString(e)
	case *ast.CallExpr:
		fn := typeutil.StaticCallee(info, e)
		var fact makesHooks
		if fn == nil || !ck.pass.ImportObjectFact(fn.Origin(), &fact) {
			return nil
		}
		hk.kind, hk.name = call, types.ExprString(e.Fun)
		if fact.Shared {
			hk.kind = sharedCall
		}
	case *ast.IndexExpr, *ast.IndexListExpr:
		if !ck.instantiatesAnew(e) {
			return nil
		}
		hk.kind, hk.name = generic, types.ExprString(e)
	default:
		return nil
	}
	return hk
}

// strip removes parentheses and conversions from e.
func (ck *checker) strip(e ast.Expr) ast.Expr {
	for {
		e = ast.Unparen(e)
		conv, ok := e.(*ast.CallExpr)
		if !ok || !ck.pass.TypesInfo.Types[conv.Fun].IsType() || len(conv.Args) != 1 {
			return e
		}
		e = conv.Args[0]
	}
}

// makesNew reports whether every evaluation of lit makes a new func value: it captures a variable or, for the compiler,
// the type arguments of the generic function around it.
func (ck *checker) makesNew(lit *ast.FuncLit) bool {
	if ck.inGeneric(lit) {
		return true
	}
	for v := range ck.vars(lit) {
		if isLocal(v) && !within(v, lit) {
			return true
		}
	}
	return false
}

// instantiatesAnew reports whether e is a generic function with a type argument that depends on a type parameter of the
// function around it.
func (ck *checker) instantiatesAnew(e ast.Expr) bool {
	var fn ast.Expr
	var args []ast.Expr
	switch e := e.(type) {
	case *ast.IndexExpr:
		fn, args = e.X, []ast.Expr{e.Index}
	case *ast.IndexListExpr:
		fn, args = e.X, e.Indices
	}
	if sel, ok := fn.(*ast.SelectorExpr); ok {
		fn = sel.Sel
	}
	id, ok := fn.(*ast.Ident)
	if !ok {
		return false
	}
	if _, ok := ck.pass.TypesInfo.Uses[id].(*types.Func); !ok {
		return false
	}
	for _, arg := range args {
		for n := range ast.Preorder(arg) {
			id, ok := n.(*ast.Ident)
			if !ok {
				continue
			}
			// A type declared in a generic function is another type for each instance of that function.
			if t, ok := ck.pass.TypesInfo.Uses[id].(*types.TypeName); ok && t.Pkg() != nil && t.Parent() != t.Pkg().Scope() &&
				ck.inGeneric(e) {
				return true
			}
		}
	}
	return false
}

// inGeneric reports whether n is in a generic function or in a method of a generic type.
func (ck *checker) inGeneric(n ast.Node) bool {
	decl := ck.declAround(n)
	if _, ok := decl.Node().(*ast.FuncDecl); !ok {
		return false
	}
	sig := ck.declared(decl).Signature()
	return sig.TypeParams().Len() > 0 || sig.RecvTypeParams().Len() > 0
}

// findMakers exports the fact makesHooks for the functions of the package that have it.
func (ck *checker) findMakers() {
	var rest []inspector.Cursor // functions that return a hook, and are not known to make it
	for cur := range ck.root.Preorder((*ast.FuncDecl)(nil)) {
		if res := ck.declared(cur).Signature().Results(); res.Len() == 1 && isHook(res.At(0).Type()) {
			rest = append(rest, cur)
		}
	}
	for n := -1; n != len(rest); { // again while there is progress, since one maker may return what another makes
		n = len(rest)
		rest = slices.DeleteFunc(rest, func(cur inspector.Cursor) bool {
			fact := ck.returnsNew(cur)
			if fact == nil {
				return false
			}
			ck.pass.ExportObjectFact(ck.declared(cur), fact)
			return true
		})
	}
}

// declared returns the function whose declaration is at cur.
func (ck *checker) declared(cur inspector.Cursor) *types.Func {
	return ck.pass.TypesInfo.Defs[cur.Node().(*ast.FuncDecl).Name].(*types.Func)
}

// returnsNew returns the fact about the function declared at cur, nil if some return statement may return a hook that is
// not new.
func (ck *checker) returnsNew(cur inspector.Cursor) *makesHooks {
	var fact *makesHooks
	for ret := range cur.Preorder((*ast.ReturnStmt)(nil)) {
		if funcAround(ret) != cur {
			continue
		}
		results := ret.Node().(*ast.ReturnStmt).Results
		if len(results) != 1 {
			return nil
		}
		e := results[0]
		if id, ok := ck.strip(e).(*ast.Ident); ok {
			if e = ck.onlyValue(cur, id); e == nil {
				return nil
			}
		}
		hk := ck.classify(e)
		if hk == nil {
			return nil
		}
		if fact == nil {
			fact = new(makesHooks)
		}
		if hk.kind == sharedLiteral || hk.kind == sharedCall {
			fact.Shared = true
		}
	}
	return fact
}

// onlyValue returns the expression that is assigned to the variable id of the function at fn, nil if there is not exactly
// one.
func (ck *checker) onlyValue(fn inspector.Cursor, id *ast.Ident) (value ast.Expr) {
	v, ok := ck.pass.TypesInfo.Uses[id].(*types.Var)
	if !ok || !isLocal(v) || !within(v, fn.Node().(*ast.FuncDecl).Body) {
		return nil
	}
	n := 0
	for cur := range fn.Preorder((*ast.Ident)(nil)) {
		if ck.pass.TypesInfo.ObjectOf(cur.Node().(*ast.Ident)) != v {
			continue
		}
		switch parent := cur.Parent().Node().(type) {
		case *ast.AssignStmt:
			i := indexOf(parent.Lhs, cur.Node())
			if i < 0 {
				continue
			}
			n++
			if len(parent.Lhs) == len(parent.Rhs) {
				value = parent.Rhs[i]
			}
		case *ast.ValueSpec:
			i := indexOf(parent.Names, cur.Node())
			if i >= 0 && len(parent.Values) > 0 {
				n++
				if len(parent.Names) == len(parent.Values) {
					value = parent.Values[i]
				}
			}
		case *ast.UnaryExpr, *ast.RangeStmt:
			return nil // its address is taken, or a loop assigns to it
		}
	}
	if n != 1 {
		return nil
	}
	return value
}

// isHook reports whether t is conn.RemovalHook or a function type that is assignable to it.
func isHook(t types.Type) bool {
	sig, ok := t.Underlying().(*types.Signature)
	if !ok || sig.Params().Len() != 1 || sig.Results().Len() != 1 {
		return false
	}
	return isConnection(sig.Params().At(0).Type()) && types.Identical(sig.Results().At(0).Type(), types.Typ[types.Bool])
}

// isConnection reports whether t is *conn.Connection.
func isConnection(t types.Type) bool {
	ptr, ok := types.Unalias(t).(*types.Pointer)
	if !ok {
		return false
	}
	named, ok := types.Unalias(ptr.Elem()).(*types.Named)
	return ok && named.Obj().Name() == "Connection" && named.Obj().Pkg() != nil && named.Obj().Pkg().Path() == connPath
}
