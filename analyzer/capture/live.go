package capture

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/net/bpf"
)

// A LiveConfig configures capturing at an interface.
type LiveConfig struct {
	Interface string               // "any" for all interfaces
	Filter    []bpf.RawInstruction // packets that the kernel passes on; nil for all
	// Fanout is the group of rings, possibly in several processes, that share the interface; -1 for
	// none.
	Fanout int

	// Buffer is the size of the ring in bytes, rounded up. The memory is shared with the kernel.
	Buffer int
}

// ParseFilter parses a filter program as "tcpdump -ddd" prints it: the number of instructions, then
// four numbers for each, separated by commas or newlines.
func ParseFilter(text string) ([]bpf.RawInstruction, error) {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' })
	const usage = `want what "tcpdump -ddd EXPRESSION" prints`
	if len(lines) == 0 {
		return nil, errors.New("filter: is empty: " + usage)
	}
	if n, err := strconv.Atoi(strings.TrimSpace(lines[0])); err != nil || n != len(lines)-1 || n == 0 {
		return nil, fmt.Errorf("filter: %q is not the number of instructions, %d: %s", lines[0], len(lines)-1, usage)
	}
	var program []bpf.RawInstruction
	for i, line := range lines[1:] {
		var in bpf.RawInstruction
		_, err := fmt.Sscanf(line, "%d %d %d %d", &in.Op, &in.Jt, &in.Jf, &in.K)
		if err != nil || len(strings.Fields(line)) != 4 {
			return nil, fmt.Errorf("filter: instruction %d, %q: %s", i+1, line, usage)
		}
		program = append(program, in)
	}
	if _, ok := bpf.Disassemble(program); !ok {
		return nil, errors.New("filter: contains an invalid instruction: " + usage)
	}
	return program, nil
}
