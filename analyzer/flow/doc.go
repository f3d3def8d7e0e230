// Package flow follows the connections of a packet stream: it decides when one begins and ends,
// brings the bytes of each to its parser, runs removal hooks, and writes conn.log.
//
// Each file uses only those below it in this list:
//
//	packet.go        the methods that the table's owner calls: Packet, Advance, Resume, Close
//	tcp.go           which connection a segment belongs to, and what becomes of that; see [tcp.Conn]
//	damaged.go       packets with bad headers and checksums
//	begin.go         a connection begins
//	limits.go        memory and the number of connections are bounded
//	remove.go        a connection ends: its hooks run, and its row is written
//	expect.go        connections that a parser has announced
//	sink.go          from a TCP connection to its session
//	deliver.go       from a connection to its parser, and back; panics are contained
//	record.go        the row of conn.log
//	weird.go         the rows of weird.log
//	table.go         Table
//	timers.go        which connections time out
//	ranks.go         which connection is evicted when the table is full
//	ledger.go        how much memory is held for each connection
//	list.go          lists of connections
//	flow.go          what the table knows of one connection
//	config.go, expectations.go, offload.go, ports.go, stats.go
package flow
