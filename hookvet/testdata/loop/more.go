package loop

import . "example.com/conn"

func values(s *session, packets []packet) {
	var t tcpConn
	for i := 0; i < len(packets); i++ {
		t.Register(t.saveBanner) // want `Register adds a hook`
		t.n += packets[i].size
	}
	var c Connection
	for range packets {
		Register(&c, Chain(finalize)) // want `Register adds a hook`
	}
	StateRemove(&c)
}

func backwards(t *tcpConn, sizes []int) {
	i := 0
next:
	if i < len(sizes) {
		t.n += sizes[i]
		i++
		goto next
	}
again:
	t.Register(t.saveBanner) // want `Register adds a hook`
	i--
	if i > 0 {
		goto again
	}
}

type analyzer struct {
	flows map[string]*flow
	log   []string
}

func (a *analyzer) finalize(c *Connection) bool {
	a.log = append(a.log, c.UID)
	return true
}

func (a *analyzer) onPackets(id string, packets []packet) {
	f := a.flows[id]
	if f == nil {
		f = &flow{}
		a.flows[id] = f
	}
	for _, p := range packets {
		if p.size == 0 {
			break
		}
		f.n += p.size
		Register(&f.Connection, func(c *Connection) bool { // want `Register adds a hook`
			return a.finalize(c)
		})
	}
}
