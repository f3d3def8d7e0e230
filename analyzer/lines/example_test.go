package lines_test

import (
	"fmt"

	"example.com/conn/analyzer/lines"
)

// A line arrives in two segments: the rest of the first is offered again, in front of the second.
func ExampleSplitter() {
	var s lines.Splitter
	var rest []byte
	for _, segment := range []string{"EHLO client.example\r\nMAIL FR", "OM:<alice@example.com>\r\n"} {
		rest = append(rest, segment...)
		for {
			line, n, ok := s.Next(rest, 0)
			rest = rest[n:]
			if !ok {
				break
			}
			fmt.Printf("%s\n", line.Text)
		}
	}
	// Output:
	// EHLO client.example
	// MAIL FROM:<alice@example.com>
}

func ExampleHeader() {
	names := lines.NewNames("Host", "User-Agent")
	var h lines.Header
	show := func(f lines.Field) { fmt.Printf("%s: %s\n", f.Name, f.Value) }
	for _, line := range []string{"host: www.example.com", "Cookie: secret", "USER-AGENT: curl/8.0"} {
		h.Line(lines.Line{Text: []byte(line)}, nil, names, show)
	}
	h.Finish(show)
	// Output:
	// Host: www.example.com
	// User-Agent: curl/8.0
}
