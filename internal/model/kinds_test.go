package model

import (
	"iter"

	"example.com/conn"
)

var drivingConnection *driver[conn.Connection]

// connectionKind is conn.Connection, with top-level functions for hooks.
var connectionKind = &kind[conn.Connection]{
	register:   func(c *conn.Connection, hk func(*conn.Connection) bool) bool { return conn.Register(c, hk) },
	unregister: func(c *conn.Connection, hk func(*conn.Connection) bool) bool { return conn.Unregister(c, hk) },
	registered: func(c *conn.Connection, hk func(*conn.Connection) bool) bool { return conn.Registered(c, hk) },
	list: func(c *conn.Connection) iter.Seq[func(*conn.Connection) bool] {
		return func(yield func(func(*conn.Connection) bool) bool) {
			c.RemovalHooks()(func(hk conn.RemovalHook) bool { return yield(hk) })
		}
	},
	remove:  conn.StateRemove,
	removed: (*conn.Connection).Removed,
	chain: func(bodies ...func(*conn.Connection) bool) func(*conn.Connection) bool {
		var hooks []conn.RemovalHook
		for _, hk := range bodies {
			hooks = append(hooks, hk)
		}
		chain := conn.Chain(hooks...)
		clear(hooks) // the slice is the caller's
		return chain
	},
	fields: func(c *conn.Connection) *conn.Connection { return c },
	lasting: [madeHook]func(*conn.Connection) bool{
		hookTop0, hookTop1, hookTop2, hookTop3, hookTop4, hookAlias0, hookLiteral, hookReturned, hookInstance,
		hookMethod, hookReflect, hookInner, hookOuter, hookLocal,
	},
	driving: &drivingConnection,
}

func hookTop0(c *conn.Connection) bool { return drivingConnection.hook(top0, c) }
func hookTop1(c *conn.Connection) bool { return drivingConnection.hook(top1, c) }
func hookTop2(c *conn.Connection) bool { return drivingConnection.hook(top2, c) }
func hookTop3(c *conn.Connection) bool { return drivingConnection.hook(top3, c) }
func hookTop4(c *conn.Connection) bool { return drivingConnection.hook(top4, c) }

func hookGeneric[T any](c *conn.Connection) bool { return drivingConnection.hook(genericVar, c) }

func (h numberedHook) run(c *conn.Connection) bool { return drivingConnection.hook(byte(h), c) }

type numberedHook byte

func returnedHook(h byte) conn.RemovalHook {
	return func(c *conn.Connection) bool { return drivingConnection.hook(h, c) }
}

//go:noinline
func literalHook() conn.RemovalHook {
	return func(c *conn.Connection) bool { return drivingConnection.hook(localLiteral, c) }
}

var (
	hookAlias0   conn.RemovalHook = hookTop0
	hookLiteral  conn.RemovalHook = func(c *conn.Connection) bool { return drivingConnection.hook(literalVar, c) }
	hookReturned                  = returnedHook(returnedVar)
	hookInstance conn.RemovalHook = hookGeneric[int]
	hookMethod   conn.RemovalHook = numberedHook(methodVar).run
	hookReflect                   = makeHook(func(c *conn.Connection) bool { return drivingConnection.hook(reflectVar, c) })
	hookInner                     = conn.Chain(
		func(c *conn.Connection) bool { return drivingConnection.chainBegins(int(innerChain), c) },
		chainBody(&drivingConnection, hookTop2), chainBody(&drivingConnection, hookTop3))
	hookOuter = conn.Chain(
		func(c *conn.Connection) bool { return drivingConnection.chainBegins(int(outerChain), c) },
		conn.Chain(), chainBody(&drivingConnection, hookTop1), chainBody(&drivingConnection, hookInner))
	hookLocal = literalHook()
)

// A flow is an analyzer's own connection type. Its Connection holds its fields, which Hooks does
// not support, and stands for the flow in a chain.
type flow struct {
	decoder
	conn.Hooks[flow]
	connection conn.Connection
}

// decoder has methods that flow gets by embedding it.
type decoder struct{ _ int } // not empty, so it has its own address

func (d *decoder) promoted() bool {
	for i := range drivingFlow.conns {
		if f := &drivingFlow.conns[i]; d == &f.decoder {
			return drivingFlow.hook(methodVar, f)
		}
	}
	panic("a hook runs for no flow")
}

var drivingFlow *driver[flow]

// flowKind is flow, with method expressions for hooks.
var flowKind = &kind[flow]{
	register:   (*flow).register,
	unregister: (*flow).unregister,
	registered: (*flow).registered,
	list:       func(f *flow) iter.Seq[func(*flow) bool] { return f.RemovalHooks() },
	remove:     func(f *flow) bool { return f.StateRemove(f) },
	removed:    func(f *flow) bool { return f.Removed() },
	chain:      flowChain,
	fields:     func(f *flow) *conn.Connection { return &f.connection },
	lasting: [madeHook]func(*flow) bool{
		(*flow).top0, (*flow).top1, (*flow).top2, (*flow).top3, (*flow).top4, flowAlias0, flowLiteral, flowReturned,
		flowInstance, (*flow).promoted, flowReflect, flowInner, flowOuter, flowLocal,
	},
	driving: &drivingFlow,
}

func (f *flow) register(hk func(*flow) bool) bool   { return f.Register(hk) }
func (f *flow) unregister(hk func(*flow) bool) bool { return f.Unregister(hk) }
func (f *flow) registered(hk func(*flow) bool) bool { return f.Registered(hk) }

func (f *flow) top0() bool { return drivingFlow.hook(top0, f) }
func (f *flow) top1() bool { return drivingFlow.hook(top1, f) }
func (f *flow) top2() bool { return drivingFlow.hook(top2, f) }
func (f *flow) top3() bool { return drivingFlow.hook(top3, f) }
func (f *flow) top4() bool { return drivingFlow.hook(top4, f) }

func flowGeneric[T any](f *flow) bool { return drivingFlow.hook(genericVar, f) }

func returnedFlow(h byte) func(*flow) bool {
	return func(f *flow) bool { return drivingFlow.hook(h, f) }
}

//go:noinline
func literalFlow() func(*flow) bool {
	return func(f *flow) bool { return drivingFlow.hook(localLiteral, f) }
}

var (
	flowAlias0   = (*flow).top0
	flowLiteral  = func(f *flow) bool { return drivingFlow.hook(literalVar, f) }
	flowReturned = returnedFlow(returnedVar)
	flowInstance = flowGeneric[int]
	flowReflect  = makeHook(func(f *flow) bool { return drivingFlow.hook(reflectVar, f) })
	flowInner    = flowChain(
		func(f *flow) bool { return drivingFlow.chainBegins(int(innerChain), f) },
		chainBody(&drivingFlow, (*flow).top2), chainBody(&drivingFlow, (*flow).top3))
	flowOuter = flowChain(
		func(f *flow) bool { return drivingFlow.chainBegins(int(outerChain), f) },
		flowChain(), chainBody(&drivingFlow, (*flow).top1), chainBody(&drivingFlow, flowInner))
	flowLocal = literalFlow()
)

// flowChain turns a chain of connection hooks into a hook of flows.
func flowChain(bodies ...func(*flow) bool) func(*flow) bool {
	var hooks []conn.RemovalHook
	for _, hk := range bodies {
		if hk == nil {
			hooks = append(hooks, nil)
			continue
		}
		hooks = append(hooks, func(c *conn.Connection) bool {
			for i := range drivingFlow.conns {
				if f := &drivingFlow.conns[i]; c == &f.connection {
					return hk(f)
				}
			}
			panic("a body runs for no flow")
		})
	}
	chain := conn.Chain(hooks...)
	return func(f *flow) bool { return chain(&f.connection) }
}
