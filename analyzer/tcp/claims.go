package tcp

import "bytes"

// claim keeps a copy of x until settle.
func (c *Conn) claim(side Side, x claim) {
	r := c.more()
	if len(x.data) == 0 && !x.fin || len(r.claims[side]) == maxClaims {
		return
	}
	x.data = bytes.Clone(x.data)
	r.claims[side] = append(r.claims[side], x)
}

// settle takes those claims of a side that the other side has borne out by now: it has sent what
// they acknowledge, and has acknowledged them. At the end of the connection, when no more ACK
// comes, it is enough that the other side sent what they acknowledge and that nothing else took
// their place.
func (c *Conn) settle(side Side, atEnd bool, sink Sink) {
	claims := c.rare().claims[side]
	if len(claims) == 0 {
		return
	}
	e, peer := c.ends(side)
	rest := claims[:0]
	for _, x := range claims {
		if x.ack > peer.next || x.end() > e.una && !(atEnd && x.seq >= e.queue.next()) {
			rest = append(rest, x)
			continue
		}
		if x.fin {
			e.finSeen, e.fin = true, x.end()
		}
		if len(x.data) > 0 {
			c.receive(side, x.time, x.seq, x.data, sink)
		}
	}
	clear(claims[len(rest):])
	if c.extra.claims[side] = rest; len(rest) == 0 {
		c.dropClaims(side)
	}
}

// dropClaims forgets the claims of a side.
func (c *Conn) dropClaims(side Side) {
	if c.extra != nil {
		c.extra.claims[side] = nil
	}
}

// Reject drops the claims of a side that nothing has borne out.
func (c *Conn) Reject(side Side, sink Sink) {
	if len(c.rare().claims[side]) > 0 {
		c.dropClaims(side)
		c.weird(sink, "ack_outside_window")
	}
}
