package conn_test

import (
	"testing"
	"unsafe"

	"example.com/conn"

	"github.com/stretchr/testify/assert"
)

func TestFieldGetWithoutValueReturnsNil(t *testing.T) {
	var c conn.Connection
	var f, other conn.Field[int]
	assert.Nil(t, f.Get(&c))
	other.GetOrNew(&c)
	assert.Nil(t, f.Get(&c), "when another field has a value")
}

func TestFieldGetOrNewMakesOneValue(t *testing.T) {
	var c conn.Connection
	var f conn.Field[int]
	v, created := f.GetOrNew(&c)
	assert.True(t, created)
	assert.Zero(t, *v)
	*v = 7
	again, created := f.GetOrNew(&c)
	assert.False(t, created)
	assert.Same(t, v, again)
	assert.Same(t, v, f.Get(&c))
}

func TestFieldsAreSeparatePlaces(t *testing.T) {
	type empty struct{}
	var c, d conn.Connection
	var fields [3]conn.Field[int] // adjacent, of one type
	var text conn.Field[string]
	var nothing, nothing2 conn.Field[empty]
	for i := range fields {
		v, _ := fields[i].GetOrNew(&c)
		*v = i
	}
	s, _ := text.GetOrNew(&c)
	*s = "text"
	nothing.GetOrNew(&c)
	for i := range fields {
		assert.Equal(t, i, *fields[i].Get(&c))
		assert.Nil(t, fields[i].Get(&d), "in another connection")
	}
	assert.Equal(t, "text", *text.Get(&c))
	assert.NotNil(t, nothing.Get(&c))
	assert.Nil(t, nothing2.Get(&c), "a field of a type without a size")
	assert.NotZero(t, unsafe.Sizeof(nothing), "every field needs a distinct address")
}

func TestFieldValuesStayWhereTheyAre(t *testing.T) {
	var c conn.Connection
	var fields [8]conn.Field[int]
	var at [8]*int
	for i := range fields {
		at[i], _ = fields[i].GetOrNew(&c)
		*at[i] = i
	}
	fields[3].Delete(&c)
	conn.Register(&c, hookA)
	conn.StateRemove(&c)
	for i := range fields {
		if i != 3 {
			assert.Same(t, at[i], fields[i].Get(&c))
		}
		assert.Equal(t, i, *at[i], "also the value that was deleted")
	}
}

func TestFieldDelete(t *testing.T) {
	const n = 4
	for gone := range n {
		var c conn.Connection
		var fields [n]conn.Field[int]
		assert.False(t, fields[gone].Delete(&c), "without values")
		for i := range fields {
			fields[i].GetOrNew(&c)
		}
		assert.True(t, fields[gone].Delete(&c))
		assert.False(t, fields[gone].Delete(&c), "a second time")
		for i := range fields {
			assert.Equal(t, i != gone, fields[i].Get(&c) != nil, "field %d when %d is gone", i, gone)
		}
		_, created := fields[gone].GetOrNew(&c)
		assert.True(t, created)
	}
}

func TestFieldsAfterRemoval(t *testing.T) {
	var c conn.Connection
	var before, after conn.Field[string]
	v, _ := before.GetOrNew(&c)
	*v = "logged by the owner"
	conn.StateRemove(&c)
	assert.Equal(t, "logged by the owner", *before.Get(&c))
	_, created := after.GetOrNew(&c)
	assert.True(t, created)
	assert.True(t, before.Delete(&c))
}
