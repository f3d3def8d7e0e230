// Package hookvet finds removal hooks of package conn that are not the hook they are taken for, before the program runs.
//
// A hook is one func value (see the documentation of package conn, Identity of hooks). A program that passes the wrong one
// compiles and runs: it registers a hook twice, or never takes it back. It may even work in a debug build alone, because
// a function that returns a literal was not inlined there. The analyzer of this package finds such calls where go vet
// looks:
//
//	go install example.com/conn/hookvet/cmd/hookvet@latest
//	go vet -vettool="$(which hookvet)" ./...
//
// With -vettool, go vet runs this check alone; run go vet without it as well. With -fix, it applies the suggested fixes
// instead of reporting. The command also runs on its own, hookvet ./... or hookvet -fix ./..., and programs that run many
// analyzers add [Analyzer] to theirs.
//
// # What makes a new hook
//
// Each evaluation of these expressions makes a hook that no other expression has, not even one that is written alike:
//
//   - a function literal;
//   - a method value, such as s.finalize;
//   - a call of a function each return statement of which returns a new hook, such as [conn.Chain]. Functions of other
//     packages are known to be such functions by the analyzer's facts;
//   - a generic function with a type argument that depends on a type parameter of the function around it, such as
//     finalize[T].
//
// Parentheses and conversions to [conn.RemovalHook] make no difference. A literal that captures nothing, outside of
// generic functions, is the same hook whenever the same place of the program is evaluated. But inlining copies places, so
// it is treated as a new hook, and the message says that it depends on the compiler.
//
// # What is reported
//
// The report is at the argument and says what to write instead.
//
//   - Unregister or Registered is given a new hook: it cannot find it.
//   - Register is given a new hook, and its result decides what to do, in a condition or by way of a local variable that
//     is used in one. The result is true, however often that kind of hook was registered before.
//   - Register is given a literal, a method value or a generic function in a loop, and each iteration evaluates it for the
//     same connection, with nothing in the hook that the loop changes. Each iteration registers one hook more.
//
// A fix is suggested for a loop, to make the hook before it, and for Unregister and Registered, if the same function
// registers a hook that is written alike, to keep that one in a variable. A fix changes what the program does, as it
// should. Look at it.
//
// # What is not reported
//
// Registering a closure is good style. It is not reported unless it is certain, as far as syntax can tell, that the program
// takes the closure for another one. These are right, or may be:
//
//   - Register of a new hook where the result is discarded. That is one deliberate registration. Where the result is
//     returned, stored, or passed to a function, such as an assertion in a test, what it decides is not known.
//   - Register's result where it tells that the removal of the connection is over, which is the one reason for false that a
//     new hook leaves. It is taken for that if the branch for false has to do with an error, a test or a panic or ends the
//     program, or if it has a call that works on what the hook works on, such as closing now the file that the hook was
//     to close. So is a branch for true that fails a test.
//   - Register's result under a condition that tells the first time anyway: GetOrNew's second result, an element of a map
//     of bool or the second result of a map's index expression, or a comparison with nil.
//   - A variable, a parameter, a struct field or an element that holds a hook, wherever its value comes from: s.hook =
//     s.finalize, then s.hook everywhere, is how to use a method value. To keep the hook in a variable also tells the
//     analyzer that a reported call is meant as it is.
//   - A function that returns a hook it did not make, or does so sometimes, and every function variable, interface method
//     and function without known source.
//   - Top-level functions and instances of generic functions with concrete types: they are the same hook wherever they
//     are named.
//   - Loops in which the connection or something that the hook is made of may be another one in each iteration, or is
//     reused by an assignment, loops that register under a condition or leave after it, calls in a loop, and function
//     literals in a loop, which may run at any other time.
//
// Copies of a Connection or Field are not this analyzer's work. The copylocks check, which go vet always runs, reports
// them.
//
// [conn.Chain]: https://pkg.go.dev/example.com/conn#Chain
// [conn.RemovalHook]: https://pkg.go.dev/example.com/conn#RemovalHook
package hookvet
