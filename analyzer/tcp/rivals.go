package tcp

import "slices"

// compete notes a SYN-ACK for choose, and defers its data.
func (c *Conn) compete(s *segment, sink Sink) {
	r, orig := c.more(), &c.half[Orig]
	if len(r.rivals) == maxRivals || slices.ContainsFunc(r.rivals, func(x rival) bool { return x.iss == s.Seq() }) {
		return
	}
	x := rival{iss: s.Seq(), next: s.span()}
	x.window.update(s.Header, int64(int32(s.Ack()-orig.iss)), true)
	r.rivals = append(r.rivals, x)
	if s.length > 0 && len(s.data) == s.length && !r.waitsOf(Orig) {
		c.deferSegment(s, sink)
	}
	if orig.window.known {
		c.choose(orig.window.ack)
	}
}

// choose takes the SYN-ACK that the client acknowledges with ack for the true one. That is the one
// just before it; if the first ACK was not captured, the one that the server's next bytes follow,
// or else the nearest.
func (c *Conn) choose(ack uint32) {
	r, resp := c.extra, &c.half[Resp]
	candidates := []uint32{resp.iss} // and then the rivals
	for _, x := range r.rivals {
		candidates = append(candidates, x.iss)
	}
	best, least := -1, int64(2*slack)
	for i, iss := range candidates {
		n := int64(int32(ack-iss)) - 1 // bytes after the SYN-ACK
		if n < 0 || n > slack {
			continue
		}
		if n > 0 && !r.deferral.beginsAt(iss+1) {
			n += slack // any of those is better
		}
		if n < least {
			best, least = i, n
		}
	}
	if best < 0 {
		return
	}
	for i, iss := range candidates {
		if i != best {
			r.deferral.drop(iss + 1)
		}
	}
	if best > 0 {
		x := r.rivals[best-1]
		resp.begin(x.iss, x.next)
		resp.window = x.window
		resp.finSeen, resp.eof, resp.queue = false, false, queue{}
		r.claims[Resp], r.beyond[Resp], r.foretold[Resp] = nil, 0, 0
	}
	r.rivals = nil
}
