// Copy this file as a model for parsers of streams. It knows nothing about the table: it keeps its
// state in a conn.Field, and registers a removal hook whenever a request is pending.

package main

import (
	"fmt"
	"regexp"

	"example.com/conn"
)

var (
	httpPending conn.Field[[]string] // requests awaiting a reply, at most 100
	httpLine    = regexp.MustCompile(`(?m)^([A-Z]{1,20} \S{1,500} HTTP/1\.\d|HTTP/1\.\d (101|[2-5]\d\d))`)
)

// parseHTTP looks for lines that begin a message. It misses a line split between two segments.
func parseHTTP(c *conn.Connection, fromOrig bool, data []byte) {
	pending, _ := httpPending.GetOrNew(c)
	for _, line := range httpLine.FindAll(data, -1) {
		if fromOrig && len(*pending) < 100 {
			*pending = append(*pending, string(line))
			conn.Register(c, finishHTTP) // added once, however often it is called
		} else if !fromOrig && len(*pending) > 0 {
			fmt.Printf("%s %v: %q: %s\n", c.UID, c.ID, (*pending)[0], line)
			*pending = (*pending)[1:]
		}
	}
}

func finishHTTP(c *conn.Connection) bool {
	for _, request := range *httpPending.Get(c) {
		fmt.Printf("%s %v: %q: no reply\n", c.UID, c.ID, request)
	}
	return true
}
