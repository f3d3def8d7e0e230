// Package flow follows the connections in a packet stream: it decides when each begins and ends,
// passes its bytes to a parser, runs its removal hooks, and writes conn.log.
//
// Each file uses only those below it in this list:
//
//	packet.go        the methods that the table's owner calls: Packet, Advance, Resume, Close
//	tcp.go           assigns segments to connections, and acts on what [tcp.Conn] makes of them
//	damaged.go       packets with bad headers or checksums
//	begin.go         finds or adds a packet's connection
//	limits.go        bounds memory and the number of connections
//	remove.go        removes a connection: runs its hooks, writes its row
//	expect.go        connections that a parser has announced
//	sink.go          from a TCP connection to its session
//	deliver.go       from a connection to its parser and back; contains panics
//	record.go        the row of conn.log
//	weird.go         the rows of weird.log
//	table.go         Table
//	timers.go        which connections time out
//	ranks.go         which connection is evicted when the table is full
//	ledger.go        how much memory each connection holds
//	list.go          lists of connections
//	flow.go          the state of one connection
//	config.go, expectations.go, networks.go, offload.go, stats.go
package flow
