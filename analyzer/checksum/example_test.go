package checksum_test

import (
	"fmt"

	"example.com/conn/analyzer/checksum"
)

func ExampleValid() {
	header := []byte{
		0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
		0xb8, 0x61, // the checksum
		0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7,
	}
	fmt.Println(checksum.Valid(header))
	header[8]-- // a router that forwards the packet must also update the checksum
	fmt.Println(checksum.Valid(header))
	// Output:
	// true
	// false
}
