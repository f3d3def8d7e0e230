package flow

// A flowList links flows through one of their nodes, so a flow can be in several lists.
type flowList struct {
	first, last *flow
	len         int
}

// push appends f. at returns the node that the list uses.
func (l *flowList) push(f *flow, at func(*flow) *node) {
	at(f).prev = l.last
	if l.last != nil {
		at(l.last).next = f
	} else {
		l.first = f
	}
	l.last = f
	l.len++
}

func (l *flowList) remove(f *flow, at func(*flow) *node) {
	n := at(f)
	if n.prev != nil {
		at(n.prev).next = n.next
	} else {
		l.first = n.next
	}
	if n.next != nil {
		at(n.next).prev = n.prev
	} else {
		l.last = n.prev
	}
	*n = node{}
	l.len--
}
