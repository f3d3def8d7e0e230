// Package hookvet finds removal hooks of package conn that are certainly not the hook they are taken
// for, before the program runs.
//
// A removal hook is one func value. [Identity of hooks] says which expressions are the same hook, and
// which make a new one each time. hookvet reports
//
//   - Unregister and Registered, given a hook that is certainly new: they never find it;
//   - Register, given such a hook in a loop (for, range or goto) that certainly evaluates it in each
//     iteration and for the same connection: each iteration adds one more hook.
//
// That goes for the functions on Connection and for the methods of Hooks, also where a type embeds
// Hooks and through functions that only pass a hook on. A hook is certainly new if it is made where
// it is used, or in a variable that was just given it: a method value, a function literal, the
// result of [conn.Chain] or of another function that returns a new hook from each call. What is
// known about functions of other packages comes from the analyzer's facts.
//
// Whatever is not certain is not reported. A literal that captures nothing may be the same hook each
// time; a loop that calls what may remove the connection, replace it, or take hooks back may be
// right; so may a call of Unregister with a variable that something else may have assigned or
// registered. Files of tests are not looked at, since tests pass new hooks on purpose. No fix is
// suggested, since each changes what the program does.
//
// A program that uses conn runs the analyzer as a tool of its module:
//
//	go get -tool example.com/conn/hookvet/cmd/hookvet
//	go tool hookvet ./... && go vet ./...
//
// From a clone of the repository, go -C hookvet install ./cmd/hookvet installs the command. It is a
// vet tool, too: go vet -vettool=FILE ./... runs it alone, without copylocks, which finds copies of
// connections. Programs that run many analyzers add [Analyzer] to theirs.
//
// [Identity of hooks]: https://pkg.go.dev/example.com/conn#hdr-Identity_of_hooks
// [conn.Chain]: https://pkg.go.dev/example.com/conn#Chain
package hookvet
