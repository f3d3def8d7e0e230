package model

import (
	"fmt"
	"strings"
)

// seeds are programs that combine several rules; the tests of package conn test each rule alone.
// The instructions are in the order in which they are played: first those outside hooks, up to a
// removal; then those of the hooks that this removal runs, each on a line that ends with the hook's
// name; then those after the removal.
var seeds = []struct {
	name    string
	program []byte
	runs    string // the expected events, worked out by hand: see runs
}{
	// Several connections
	{"connections that begin alike diverge", []byte{
		opRegister, conn0 + top0, opRegister, conn1 + top0, opRegister, conn2 + top0,
		opRegister, conn0 + top1, opRegister, conn1 + top2, opRegister, conn2 + top1, opRegister, conn2 + top3,
		opUnregister, conn2 + top0,
		opRemove, conn0,
		opTrue, // top0
		opTrue, // top1
		opRemove, conn1,
		opTrue, // top0
		opTrue, // top2
		opRemove, conn2,
		opTrue, // top1
		opTrue, // top3
	}, "0:top0 0:top1 0=true 1:top0 1:top2 1=true 2:top1 2:top3 2=true"},
	{"closures after the same functions are each connection's own", []byte{
		opNew, newClosure, opNew, newClosure,
		opRegister, conn0 + top0, opRegister, conn0 + top1, opRegister, conn0 + top2, opRegister, conn1 + top0,
		opRegister, conn1 + top1, opRegister, conn1 + top2,
		opRegister, conn0 + made0, opRegister, conn1 + made1, opRegister, conn1 + made0,
		opRegister, conn0 + top3, opRegister, conn1 + top4, opUnregister, conn1 + made1,
		opRemove, conn0,
		opTrue, // top0
		opTrue, // top1
		opTrue, // top2
		opTrue, // made0
		opTrue, // top3
		opRemove, conn1,
		opTrue, // top0
		opTrue, // top1
		opTrue, // top2
		opTrue, // made0
		opTrue, // top4
	}, "0:top0 0:top1 0:top2 0:made0 0:top3 0=true 1:top0 1:top1 1:top2 1:made0 1:top4 1=true"},
	{"hooks of every kind", []byte{
		opNew, newClosure, opNew, newReturned, opNew, newMethod, opNew, newReflect, opNew, newChain, 1, top1,
		opRegister, conn0 + literalVar, opRegister, conn0 + returnedVar, opRegister, conn0 + genericVar,
		opRegister, conn0 + methodVar, opRegister, conn0 + reflectVar,
		opRegister, conn0 + localLiteral, opRegister, conn0 + made0, opRegister, conn0 + made1,
		opRegister, conn0 + made2, opRegister, conn0 + made3, opRegister, conn0 + made4,
		opUnregister, conn0 + genericVar, opUnregister, conn0 + made2, opRegister, conn0 + made2,
		opRegister, conn0 + genericVar,
		opRemove, conn0,
		opTrue, // literalVar
		opTrue, // returnedVar
		opTrue, // methodVar
		opTrue, // reflectVar
		opTrue, // localLiteral
		opTrue, // made0
		opTrue, // made1
		opTrue, // made3
		// made4
		opTrue, // top1
		opTrue, // made2
		opTrue, // genericVar
	}, "0:literalVar 0:returnedVar 0:methodVar 0:reflectVar 0:localLiteral 0:made0 0:made1 0:made3 " +
		"0:made4 0:(top1) 0:made2 0:genericVar 0=true"},

	// Hooks that register and unregister
	{"a running hook cannot register itself, only new closures", []byte{
		opNew, newClosure, opRegister, conn0 + made0, opRemove, conn0,
		opRegister, own + made0, opNew, newClosure, opRegister, own + made1, opRegister, own + made0,
		opTrue,                          // made0
		opRegister, own + made0, opTrue, // made1
	}, "0:made0 0:made1 0=true"},
	{"a hook registers hooks with another connection", []byte{
		opRegister, conn0 + top0, opRemove, conn0,
		opRegister, conn1 + top0, opRegister, conn1 + top1, opUnregister, conn1 + top0, opTrue, // top0
		opRemove, conn1,
		opTrue, // top1
	}, "0:top0 0=true 1:top1 1=true"},

	// Removal in a removal
	{"a hook removes another connection", []byte{
		opRegister, conn0 + top0, opRegister, conn0 + top1, opRegister, conn1 + top0, opRegister, conn1 + top2,
		opRemove, conn0,
		opRemove, conn1, // top0
		opRemove, conn0, opTrue, // top0
		opRegister, conn0 + top3, opFalse, // top2
		opTrue,
		opTrue, // top1
		opTrue, // top3
	}, "0:top0 1:top0 0=true 1:top2 1=false 0:top1 0:top3 0=true"},

	// Panics and Goexit
	{"hooks after a panic register and unregister", []byte{
		opRegister, conn0 + top0, opRegister, conn0 + top1, opRegister, conn0 + top2, opRemove, conn0,
		opRegister, own + top3, opPanic, // top0
		opUnregister, own + top2, opRegister, own + top4, opRegister, own + top0, opList, own, opRemove, own,
		opTrue, // top1
		opTrue, // top3
		opTrue, // top4
	}, "0:top0 0:top1 0=true 0:top3 0:top4 caught=1"},
	{"a panic goes through the removal of two connections", []byte{
		opRegister, conn0 + top0, opRegister, conn0 + top1, opRegister, conn1 + top2, opRegister, conn1 + top3,
		opRemove, conn0,
		opRemove, conn1, // top0
		opPanic, // top2
		opPanic, // top3
		opPanic, // top1
		opList, conn0, opList, conn1,
	}, "0:top0 1:top2 1:top3 0:top1 caught=1"},
	{"a hook recovers the panic of the connection it removes", []byte{
		opRegister, conn0 + top0, opRegister, conn0 + top1, opRegister, conn1 + top2, opRegister, conn1 + top3,
		opRemove, conn0,
		opCatch, opRemove, conn1, // top0
		opPanic, // top2
		opTrue,  // top3
		opFalse,
		opPanic, // top1
	}, "0:top0 1:top2 1:top3 caught=1 0:top1 caught=2"},
	{"Goexit goes through the removal of two connections, though the panic is recovered", []byte{
		opRegister, conn0 + top0, opRegister, conn0 + top1, opRegister, conn1 + top2, opRegister, conn1 + top3,
		opRegister, conn1 + top4, opRemove, conn0,
		opCatch, opRemove, conn1, // top0
		opPanic,  // top2
		opGoexit, // top3
		opTrue,   // top4
		opTrue,   // top1
	}, "0:top0 1:top2 1:top3 1:top4 caught=1 0:top1 ended"},
	{"a hook recovers its own panic", []byte{
		opRegister, conn0 + top0, opRegister, conn0 + top1, opRemove, conn0,
		opCatch, opPanic, opTrue, // top0
		opTrue, // top1
	}, "0:top0 caught=1 0:top1 0=true"},

	// Chains
	{"a chain of chains stops inside and outside", []byte{
		opNew, newChain, 2, top2, top3, opNew, newChain, 3, top0, made0, top1, opNew, newChain, 2, made1, top4,
		opRegister, conn0 + made2, opRemove, conn0,
		// made2
		// made1
		opTrue, // top0
		// made0
		opFalse, // top2
	}, "0:made2 0:(made1) 0:(top0) 0:(made0) 0:(top2) 0=false"},
	{"a panic goes through a chain of chains", []byte{
		opNew, newChain, 2, top2, top3, opNew, newChain, 3, top0, made0, top1, opRegister, conn0 + made1,
		opRemove, conn0,
		// made1
		opTrue, // top0
		// made0
		opPanic, // top2
		opTrue,  // top3
		opTrue,  // top1
	}, "0:made1 0:(top0) 0:(made0) 0:(top2) 0:(top3) 0:(top1) caught=1"},
	{"the chains of package-level variables", []byte{
		opRegister, conn0 + outerChain, opRegister, conn0 + innerChain, opRegister, conn1 + innerChain,
		opRemove, conn0,
		// outerChain
		opTrue, // top1
		// innerChain
		opTrue, // top2
		opTrue, // top3
		// innerChain
		opFalse, // top2
		opRemove, conn1,
	}, "0:outerChain 0:(top1) 0:(innerChain) 0:(top2) 0:(top3) " +
		"0:innerChain 0:(top2) 0=false 1:innerChain 1:(top2) 1:(top3) 1=true"},
	{"a body is a hook too, and one body runs twice", []byte{
		opNew, newChain, 2, top0, top0, opRegister, conn0 + made0, opRegister, conn0 + top0, opRemove, conn0,
		// made0
		opUnregister, own + top0, opUnregister, own + made0, opTrue, // top0
		opRegister, own + top0, opRemove, own, opTrue, // top0
		opTrue, // top0
	}, "0:made0 0:(top0) 0:(top0) 0=true 0:top0 0=true"},

	// Listing
	{"the connection is reused while ranging", []byte{
		opRegister, conn0 + top0, opRegister, conn0 + top1, opRegister, conn0 + top2,
		opListEach, conn0,
		opReuse, conn0,
	}, ""},
	{"a hook lists what is still to run, and panics while ranging", []byte{
		opRegister, conn0 + top0, opRegister, conn0 + top1, opRegister, conn0 + top2, opRegister, conn0 + top3,
		opRemove, conn0,
		opList, own, opTrue, // top0
		opListEach, own, // top1
		opUnregister, own + top2,
		opPanic,
	}, "0:top0 0:top1 0:top3 caught=1"},
	{"a hook calls Goexit while ranging", []byte{
		opRegister, conn0 + top0, opRegister, conn0 + top1, opRegister, conn0 + top2, opRemove, conn0,
		opListEach, own, // top0
		opGoexit,
		opListEach, own, // top1
		opFalse,
		opList, own, opTrue, // top2
	}, "0:top0 0:top1 0:top2 ended"},

	// Connections whose memory is reused
	{"a hook reuses its connection for a new one with hooks, which the old removal leaves alone", []byte{
		opRegister, conn0 + top0, opRegister, conn0 + top1, opRegister, conn0 + top2, opRemove, conn0,
		opTrue,                                                               // top0
		opReuse, own, opRegister, own + top1, opRegister, own + top3, opTrue, // top1
		opList, conn0, opRemove, conn0,
		opTrue, // top1
		opTrue, // top3
	}, "0:top0 0:top1 0=true 0:top1 0:top3 0=true"},
	{"a hook reuses its connection for a new one and removes that", []byte{
		opRegister, conn0 + top0, opRegister, conn0 + top1, opRemove, conn0,
		opReuse, own, opRegister, own + top0, opRegister, own + top2, opRemove, own, // top0
		opTrue, // top0
		opTrue, // top2
		opRegister, own + top3, opTrue,
		opRegister, conn0 + top4, opList, conn0,
	}, "0:top0 0:top0 0:top2 0=true 0=true"},
	{"hooks after a panic reuse their connection for a new one", []byte{
		opRegister, conn0 + top0, opRegister, conn0 + top1, opRegister, conn0 + top2, opRemove, conn0,
		opPanic,                                      // top0
		opReuse, own, opRegister, own + top3, opTrue, // top1
		opList, conn0, opRemove, conn0,
		opTrue, // top3
	}, "0:top0 0:top1 caught=1 0:top3 0=true"},
	{"a new connection's hook panics inside the old one's", []byte{
		opRegister, conn0 + top0, opRegister, conn0 + top1, opRemove, conn0,
		opReuse, own, opRegister, own + top2, opRegister, own + top3, opCatch, opRemove, own, // top0
		opPanic,                // top2
		opReuse, own, opGoexit, // top3
		opRegister, conn0 + top4, opList, conn0,
	}, "0:top0 0:top2 0:top3 caught=1 ended"},
	{"a hook reuses another connection, whose hook is running", []byte{
		opRegister, conn0 + top0, opRegister, conn0 + top1, opRegister, conn1 + top2, opRegister, conn1 + top3,
		opRemove, conn0,
		opRemove, conn1, // top0
		opReuse, conn0, opRegister, conn0 + top4, opTrue, // top2
		opTrue, // top3
		opTrue,
		opList, conn0, opRemove, conn0,
		opTrue, // top4
	}, "0:top0 1:top2 1:top3 1=true 0=true 0:top4 0=true"},
	{"a body reuses its connection for a new one, and the chain continues", []byte{
		opNew, newChain, 2, top0, top1, opRegister, conn0 + made0, opRegister, conn0 + top2, opRemove, conn0,
		// made0
		opReuse, own, opRegister, own + top3, opTrue, // top0
		opRegister, own + top4, opFalse, // top1
		opRemove, conn0,
		opTrue, // top3
		opTrue, // top4
	}, "0:made0 0:(top0) 0:(top1) 0=false 0:top3 0:top4 0=true"},

	// Fields
	{"fields outlive the removal, but not the connection", []byte{
		opGetOrNew, conn0 + fieldA, opRegister, conn0 + top0, opRemove, conn0,
		opGet, own + fieldA, opGetOrNew, own + fieldB, opDelete, own + fieldA, opGetOrNew, own + fieldC,
		opTrue, // top0
		opGet, conn0 + fieldA, opGet, conn0 + fieldB, opGet, conn0 + fieldC, opGetOrNew, conn0 + fieldA,
		opDelete, conn0 + fieldC, opReuse, conn0, opGet, conn0 + fieldA, opGet, conn0 + fieldB,
		opGetOrNew, conn0 + fieldB,
	}, "0:top0 0=true"},

	// Very many hooks
	{"more hooks than fit in a short list", []byte{
		opMany, conn0, 255, opSweep, conn0 + sweepRegister, opSweep, conn0 + sweepRegistered,
		opSweep, conn0 + sweepUnregister | everySecond, opSweep, conn0 + sweepRegistered,
		opSweep, conn0 + sweepRegister, opSweep, conn0 + sweepRegister, opList, conn0, opRemove, conn0,
		opSweep, conn0 + sweepRegistered, opSweep, conn0 + sweepRegister,
	}, plainRuns(0, 96, pickOdd) + plainRuns(0, 96, pickEven) + "0=false"},
	{"many hooks after lasting ones, registered with two connections", []byte{
		opRegister, conn0 + top0, opRegister, conn0 + top1, opMany, conn0, 230, opRegister, conn0 + top2,
		opRegister, conn1 + top0, opSweep, conn1 + sweepRegister, opSweep, conn1 + sweepUnregister | everyThird,
		opUnregister, conn0 + top1, opRegister, conn0 + top1,
		opUnregister, conn0 + top2, opRegister, conn0 + top2, opRemove, conn0,
		opTrue, // top0
		opTrue, // top1
		opTrue, // top2
		opRemove, conn1,
		opTrue, // top0
	}, "0:top0" + plainRuns(0, 71, pickAll) + "0:top1 0:top2 0=false 1:top0" + plainRuns(1, 71, pickNotThird) + "1=false"},
	{"hooks of a long list unregister others, panic and register again", []byte{
		opMany, conn0, 224, opRegister, conn0 + top0, opMany, conn0, 224, opRegister, conn0 + top1,
		opRemove, conn0,
		opSweep, own + sweepUnregister, opSweep, own + sweepRegister, opRegister, own + top0,
		opPanic, // top0
		opSweep, own + sweepRegister, opSweep, own + sweepRegistered,
		opSweep, own + sweepUnregister | everyThird, opGoexit, // top1
	}, plainRuns(0, 65, pickAll) + "0:top0 0:top1" + plainRuns(0, 130, pickLateNotThird) + "caught=1 ended"},
}

// plainRuns abbreviates the runs of those of the first n plain hooks that pick selects.
func plainRuns(c, n int, pick func(i int) bool) string {
	var b strings.Builder
	for i := range n {
		if pick(i) {
			fmt.Fprintf(&b, " %d:plain%d", c, i)
		}
	}
	return b.String() + " "
}

func pickAll(int) bool            { return true }
func pickEven(i int) bool         { return i%2 == 0 }
func pickOdd(i int) bool          { return i%2 == 1 }
func pickNotThird(i int) bool     { return i%3 != 0 }
func pickLateNotThird(i int) bool { return i >= 65 && i%3 != 0 }
