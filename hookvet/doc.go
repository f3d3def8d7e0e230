// Package hookvet finds mistakes in programs that use package conn. It reports
//
//   - Unregister and Registered of a hook that was just made: they never find it;
//   - Register of such a hook in a loop (for, range or goto), if every iteration certainly registers
//     another one with the same connection: all of them run;
//   - StateRemove of one connection's Hooks with another connection;
//   - Register right after StateRemove of the same connection: the hook never runs.
//
// See [Identity of hooks] in package conn for the expressions that make a new hook. hookvet also
// follows variables that only ever hold a new hook, functions that return a new one from each call,
// and functions that only pass a hook on, including those of other packages. It knows the functions
// on Connection and the methods of Hooks, embedded or in a named field.
//
// # What is not reported
//
// Reports are certain: code that may be right is not reported. In particular, hookvet is silent
// about a loop
//
//   - that may unregister hooks, or remove or replace a connection, itself or in what it calls: the
//     program's functions, including those that package io, fmt, log and others like them call, as
//     well as function values, interfaces and packages about which nothing is known;
//   - that waits for other goroutines: it locks, sends, or receives;
//   - that may be meant to run once;
//   - whose hooks add up: each run counts, sends, receives, takes from a queue, or calls something
//     about which nothing is known.
//
// So a loop may register one hook for each slot, buffer or token that a connection holds. If such a
// loop is reported all the same, make each hook depend on its iteration, which is clearer to read
// anyway:
//
//	for _, slot := range slots {
//		conn.Register(c, func(*conn.Connection) bool { return p.free(slot) })
//	}
//
// A literal that captures nothing may be the same hook each time, and is not reported in loops.
// Test files are not checked, since tests pass new hooks on purpose. hookvet suggests no fixes,
// because any fix would change what the program does.
//
// # Running it
//
// The command hookvet is a vet tool:
//
//	go install example.com/conn/hookvet/cmd/hookvet@latest
//	go vet -vettool="$(which hookvet)" ./...
//	go vet ./...
//
// The second go vet runs the checks that -vettool replaces; among them is copylocks, which reports
// copies of connections. The README shows how to pin the version in a go.mod, and how to install
// from a clone. Programs that run many analyzers add [Analyzer] to theirs.
//
// [Identity of hooks]: https://pkg.go.dev/example.com/conn#hdr-Identity_of_hooks
package hookvet
