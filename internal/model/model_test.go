// Package model tests package conn against a model of its promises, using programs of hooks that
// are written by hand, random, or fuzzed.
package model

import "slices"

// model implements the package's promises in the simplest way: a connection holds a list of hooks,
// and counts those that have begun. Panics and Goexits are outcomes passed up to the caller.
type model struct {
	player
	conns  [connections]*modelConnection
	chains map[int][]int // the bodies of the hooks that are chains
}

type modelConnection struct {
	hooks   []int // registered and not unregistered, in order
	begun   int   // how many of them have begun to run
	removed bool  // the removal has begun
	over    bool  // and is over
	fields  [fieldCount]int
}

func newModel() *model {
	m := &model{chains: map[int][]int{
		int(innerChain): {int(top2), int(top3)},
		int(outerChain): {emptyChain, int(top1), int(innerChain)},
		emptyChain:      {},
	}}
	m.player = player{machine: m}
	for c := range m.conns {
		m.conns[c] = &modelConnection{}
	}
	return m
}

// emptyChain is the chain without bodies inside outerChain. Running it has no effect.
const emptyChain = -1

// identity returns the hook that h is an alias of, or h itself.
func identity(h int) int {
	if h == int(alias0) {
		return int(top0)
	}
	return h
}

func (m *model) register(c, h int) bool {
	mc, h := m.conns[c], identity(h)
	if mc.over || slices.Contains(mc.hooks, h) {
		return false
	}
	mc.hooks = append(mc.hooks, h)
	return true
}

func (m *model) unregister(c, h int) bool {
	if !m.registered(c, h) {
		return false
	}
	mc := m.conns[c]
	i := slices.Index(mc.hooks, identity(h))
	mc.hooks = slices.Delete(mc.hooks, i, i+1)
	return true
}

func (m *model) registered(c, h int) bool {
	mc := m.conns[c]
	return slices.Contains(mc.hooks[mc.begun:], identity(h))
}

func (m *model) list(c int, yield func(h int) bool) {
	mc := m.conns[c]
	for _, h := range slices.Clone(mc.hooks[mc.begun:]) {
		if m.registered(c, h) && !yield(h) {
			return
		}
	}
}

func (m *model) removed(c int) bool { return m.conns[c].removed }

func (m *model) remove(c int) outcome {
	all := outcome{completed: true}
	mc := m.conns[c]
	if mc.removed {
		return all
	}
	mc.removed = true
	for mc.begun < len(mc.hooks) {
		h := mc.hooks[mc.begun]
		mc.begun++
		all = both(all, m.run(c, h, false))
	}
	mc.over = true
	return all
}

// both is the outcome of two hooks that run in turn, whatever the first does. The first panic
// propagates. A Goexit ends the goroutine, with or without a panic.
func both(first, second outcome) outcome {
	all := outcome{
		completed: first.completed && second.completed,
		panicked:  first.panicked,
		exited:    first.exited || second.exited,
	}
	if first.panicked == 0 {
		all.panicked = second.panicked
	}
	return all
}

func (m *model) run(c, h int, asBody bool) outcome {
	bodies, isChain := m.chains[h]
	if !isChain {
		return m.behave(c, h, asBody)
	}
	if h != emptyChain {
		m.noteRun(c, h, asBody)
	}
	all := outcome{completed: true}
	for _, body := range bodies {
		o := m.run(c, identity(body), true)
		all = both(all, o)
		returned := o.panicked == 0 && !o.exited
		if returned && !o.completed {
			break
		}
	}
	return all
}

// reuse drops the hooks that have not run: a removal under way finds no more of them.
func (m *model) reuse(c int) {
	old := m.conns[c]
	old.hooks = old.hooks[:old.begun]
	m.conns[c] = &modelConnection{}
}

func (m *model) get(c, f int) int { return m.conns[c].fields[f] }

func (m *model) getOrNew(c, f, fresh int) (int, bool) {
	v := &m.conns[c].fields[f]
	if *v != 0 {
		return *v, false
	}
	*v = fresh
	return *v, true
}

func (m *model) delete(c, f int) bool {
	v := &m.conns[c].fields[f]
	had := *v != 0
	*v = 0
	return had
}

func (m *model) newHook(h int, kind byte, bodies []int) {
	if kind == newChain {
		m.chains[h] = bodies
	}
}

func (m *model) misuse(_ int, what byte) string {
	switch what {
	case nilRegister, nilChain:
		return "panics"
	}
	return "false"
}

func (m *model) throw(value int) outcome { return outcome{ended: true, panicked: value} }

func (m *model) exit() outcome { return outcome{ended: true, exited: true} }

// catch recovers a panic. It cannot keep alive a goroutine that also called Goexit.
func (m *model) catch(f func() outcome) outcome {
	o := f()
	if o.panicked != 0 {
		m.note("caught", none, none, o.panicked)
		o = outcome{ended: o.exited, exited: o.exited}
	}
	return o
}

func (m *model) spawn(f func() outcome) outcome { return f() }
