package flow

import (
	"net/netip"

	"example.com/conn"
)

// Expect implements protocol.Owner.
func (t *Table) Expect(orig netip.Addr, resp netip.AddrPort, service string, attach func(c *conn.Connection)) {
	if t.expected.all.Len() >= maxExpected {
		x := t.expected.takeOldest()
		if f := t.current; f != nil {
			t.weird(f, "expected_connection_dropped", x.resp.String(), "")
		}
	}
	t.expected.add(&expectation{endpoints: endpoints{orig, resp}, service: service, attach: attach, since: t.now})
}

// attachExpected attaches f to the parser that announced it, unless it has one of its own.
func (t *Table) attachExpected(f *flow) {
	xs := &t.expected
	if xs.all.Len() == 0 || f.ID.Proto != conn.TCP || !f.session.Untouched() {
		return
	}
	for x := xs.oldest(); x != nil && t.now.Sub(x.since) > expectedExpiry; x = xs.oldest() {
		xs.takeOldest()
	}
	x := xs.take(endpoints{f.ID.Orig.Addr(), f.ID.Resp})
	if x == nil {
		x = xs.take(endpoints{netip.Addr{}, f.ID.Resp})
	}
	if x == nil {
		return
	}
	f.session.Announce(x.service) // the service is known, so f needs no parser
	f.tcp.Ignore()
	t.contain(f, func() { x.attach(&f.Connection) })
}
