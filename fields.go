package conn

// A Field adds a value of type T to every [Connection] that needs one, as Zeek scripts do with
// redef record connection += { … &optional }. Declare it once, usually as a package-level variable
// of the parser whose state T is:
//
//	var session conn.Field[Session]
//
// The zero value is ready to use. Two fields are two places, even if they have the same type, so a
// Field must not be copied; go vet reports copies. All methods panic with a nil pointer dereference
// if the Field or the connection is nil.
//
// A Field has no state of its own, so any number of goroutines may use it. The connection that is
// passed to its methods may be used by one goroutine at a time, as always. A method searches the
// values of that connection, and takes time in proportion to their number.
//
// The values of a connection can be read and made even after its removal, until the connection is
// garbage or its memory is made a new connection.
type Field[T any] struct {
	_   noCopy
	key fieldKey
}

// fieldKey identifies a field by its address. It is not empty, because variables of size zero may
// share an address.
type fieldKey struct{ _ byte }

// slot is the part of a value's allocation that does not depend on its type.
type slot struct {
	next  *slot
	key   *fieldKey
	value any // a *T into the same allocation
}

// Get returns the value that c has in the field, or nil if it has none.
func (f *Field[T]) Get(c *Connection) *T {
	key := &f.key
	for s := c.fields; s != nil; s = s.next {
		if s.key == key {
			return s.value.(*T)
		}
	}
	return nil
}

// GetOrNew returns the value that c has in the field. If it has none, GetOrNew makes the zero value
// of T and reports that it did. That is the moment to set the value up, but not the only one to
// register the hook that finishes it, which [Unregister] may have taken back since.
//
// The pointer remains valid for as long as it is used, even when c has been removed or the value
// deleted.
func (f *Field[T]) GetOrNew(c *Connection) (v *T, created bool) {
	if v := f.Get(c); v != nil {
		return v, false
	}
	// One allocation for the slot and the value. It is kept whole by a pointer to either.
	s := &struct {
		slot
		value T
	}{}
	s.slot = slot{next: c.fields, key: &f.key, value: &s.value}
	c.fields = &s.slot
	return &s.value, true
}

// Delete removes the value that c has in the field and reports whether there was one. Afterwards
// Get returns nil and GetOrNew makes a new value.
func (f *Field[T]) Delete(c *Connection) bool {
	key := &f.key
	for p := &c.fields; *p != nil; p = &(*p).next {
		if (*p).key == key {
			*p = (*p).next
			return true
		}
	}
	return false
}
