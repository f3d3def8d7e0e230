package capture_test

import (
	"context"
	"fmt"
	"io"

	"example.com/conn/analyzer/capture"
)

func ExampleOpen() {
	source, err := capture.Open(context.Background(), "../testdata/demo.pcap")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer source.Close()
	frames := 0
	for {
		_, err := source.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		frames++
	}
	fmt.Println(frames, "frames")
	// Output: 1811 frames
}
