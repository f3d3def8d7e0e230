// Package hookvet finds removal hooks of package conn that are certainly not the hook they are
// taken for, before the program runs. It reports
//
//   - Unregister and Registered, given a hook that was just made: they never find it;
//   - Register, given such a hook by a statement that is certainly executed in each iteration of a
//     loop (for, range or goto), for the same connection: each iteration adds one more hook.
//
// Which expressions make a new hook is said by package conn, under [Identity of hooks]. hookvet
// also knows variables that only hold a new hook, functions that return one from each call, and
// functions that do nothing with a hook but pass it on, in other packages too. It knows the
// functions on Connection and the methods of Hooks, also where a type embeds Hooks.
//
// What is not certain is not reported: a literal that captures nothing may be the same hook each
// time, and a loop that calls what may remove or replace a connection, or take hooks back, may be
// right. Files of tests are not looked at, since tests pass new hooks on purpose. No fix is
// suggested, since any would change what the program does.
//
// A program that uses conn runs the analyzer as a tool of its module:
//
//	go get -tool example.com/conn/hookvet/cmd/hookvet
//	go tool hookvet ./... && go vet ./...
//
// From a clone of the repository, go -C hookvet install ./cmd/hookvet installs the command. go vet
// -vettool=FILE runs it too, but then not copylocks, which finds copies of connections. Programs
// that run many analyzers add [Analyzer] to theirs.
//
// [Identity of hooks]: https://pkg.go.dev/example.com/conn#hdr-Identity_of_hooks
package hookvet
