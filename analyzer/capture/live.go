package capture

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/net/bpf"
)

// A LiveConfig says how to capture at an interface.
type LiveConfig struct {
	Interface string               // "any" for all of them
	Filter    []bpf.RawInstruction // what the kernel passes on; nil for all
	Fanout    int                  // the group of rings, of any number of processes, that share the interface; -1 for none
	Buffer    int                  // bytes of a ring, in memory that the kernel shares; rounded up
}

// ParseFilter reads a filter program as "tcpdump -ddd" prints it: how many instructions there are,
// then four numbers for each. They are divided by commas or line ends.
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
		return nil, errors.New("filter: has an instruction that is none: " + usage)
	}
	return program, nil
}
