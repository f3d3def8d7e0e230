package tcp

// What a connection keeps of segments waits for others: bytes for those before them, claims for the
// other side to bear them out, deferred segments for the handshake. The owner counts it, and has
// the connection give it up.

// Held returns how many bytes are kept for a side.
func (c *Conn) Held(side Side) int {
	n := c.half[side].queue.size
	for _, x := range c.rare().claims[side] {
		n += cap(x.data) + claimCost
	}
	if d := &c.rare().deferral; d.from == side {
		n += d.size
	}
	return n
}

// Pending reports whether bytes of a side wait for those before them.
func (c *Conn) Pending(side Side) bool { return len(c.half[side].queue.pending) > 0 }

// Release follows the deferred segments, whatever they wait for.
func (c *Conn) Release(sink Sink) Outcome {
	ended := c.ended
	c.release(sink)
	return c.outcome(ended)
}

// StopDeferring follows the deferred segments of a side, and defers none any more, since too much
// of that side is kept. It does nothing if none of them are.
func (c *Conn) StopDeferring(side Side, sink Sink) Outcome {
	ended := c.ended
	if c.rare().waitsOf(side) {
		c.extra.deferral.over = true
		c.release(sink)
	}
	return c.outcome(ended)
}

// Conclude gives up what the connection waits for, as no more segments come: deferred segments,
// bytes that an ACK alone knows of, and claims, as far as nothing speaks against them.
func (c *Conn) Conclude(sink Sink) Outcome {
	ended := c.ended
	c.release(sink)
	for side := range Side(2) {
		c.acknowledged(side, c.Last, c.half[side].una, sink)
		if len(c.rare().claims[side]) > 0 {
			c.settle(side, true, sink)
			c.finish(side, c.Last, sink)
			c.Reject(side, sink)
		}
	}
	return c.outcome(ended)
}

// Ignore says that nobody wants the bytes any more. The sink gets no more of them, nor gaps or
// ends; sequence numbers are followed as before.
func (c *Conn) Ignore() {
	c.ignored = true
	for side := range c.half {
		c.half[side].queue.forget()
	}
}

// Drop forgets bytes and claims that wait, after a panic that may have left them inconsistent.
func (c *Conn) Drop() {
	for side := range Side(2) {
		q := &c.half[side].queue
		q.pending, q.size = nil, 0
		c.dropClaims(side)
	}
}
