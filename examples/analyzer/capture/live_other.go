//go:build !linux

package capture

import (
	"context"
	"fmt"
	"runtime"
)

// Live returns an error: only on Linux can an interface be read without C libraries.
func Live(_ context.Context, name string) (*Source, error) {
	return nil, fmt.Errorf("interface %s: live capture works on Linux only, not on %s: record with tcpdump and analyze the file",
		name, runtime.GOOS)
}
