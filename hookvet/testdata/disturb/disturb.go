// Package disturb is imported by loops.
package disturb

import "example.com/conn"

var current *conn.Connection

func Nothing() {}

func RemoveCurrent() { conn.StateRemove(current) }
