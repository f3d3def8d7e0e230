package packet

import (
	"bytes"
	"container/list"
	"math/bits"
	"net/netip"
	"slices"
	"time"

	"example.com/conn"
)

// Limits on the memory and the age of incomplete datagrams. By default, Zeek has none; Linux keeps
// fragments for 30 seconds.
const (
	maxFragments    = 32 << 20
	fragmentTimeout = 30 * time.Second
)

// Zeek reports a fragment as weird if its packet is shorter than smallFragment, unless it is the
// last one, or if it ends after largeFragment.
const (
	smallFragment = 64
	largeFragment = 64_000
)

// A fragmentKey identifies the datagram of a fragment.
type fragmentKey struct {
	src, dst [16]byte
	id       uint32
	proto    conn.Proto // IPv4 only; IPv6 identifies datagrams without it
	v6       bool
}

// A fragment is a part of a datagram.
type fragment struct {
	key     fragmentKey
	next    conn.Proto // protocol that the datagram carries
	header  int        // length of the headers before the payload, without IPv6's fragment header
	total   int        // length of the packet, with that header
	offset  int
	more    bool // further fragments follow
	df      bool // the packet must not be fragmented
	payload []byte
}

// fragments holds the incomplete datagrams.
type fragments struct {
	datagrams map[fragmentKey]*datagram
	order     *list.List // of *datagram, the oldest first
	size      int        // bytes that they occupy, at most maxFragments
}

func newFragments() fragments {
	return fragments{datagrams: make(map[fragmentKey]*datagram), order: list.New()}
}

// A datagram holds the fragments of one datagram that have arrived. Adding a fragment takes time in
// proportion to its length and to the number of pages, at most 128, however many fragments there
// are. Only pages with bytes take memory.
type datagram struct {
	key    fragmentKey
	born   time.Time
	elem   *list.Element
	pages  []*page // in order
	end    int     // largest end of a fragment
	size   int     // of the complete datagram, 0 while unknown
	header int     // of the fragment that arrived first
	next   conn.Proto
	cost   int  // its share of fragments.size
	dead   bool // further fragments are dropped
}

// A page holds 512 bytes of a datagram. As fragment offsets are multiples of eight bytes, have has
// a bit for each unit of eight bytes, set if the unit has arrived.
type page struct {
	at   int // offset in the datagram
	have uint64
	data [pageSize]byte
}

const (
	unit     = 8
	pageSize = 64 * unit
)

// Memory that a datagram takes: itself with its map and list entries, each page, and each slot for
// a page.
const (
	datagramCost = 512
	pageCost     = 576
	slotCost     = 8
)

// reassemble adds the fragment in d.packet. If that completes a packet, reassemble makes it
// d.packet and returns true.
func (d *Decoder) reassemble(f *fragment) bool {
	p := &d.packet
	if d.missing > 0 {
		d.weirdPacket("incompletely_captured_fragment", p.Src, p.Dst)
		return f.offset == 0 // only the first fragment has the transport header
	}
	if f.key.v6 && f.offset == 0 && !f.more { // an atomic fragment: the whole packet
		p.IPLength = f.header + len(f.payload)
		return true
	}
	end := f.offset + len(f.payload)
	most := 0xffff - f.header // for IPv4
	if f.key.v6 {
		most += 40
	}
	if end > min(largeFragment, most) {
		d.weirdPacket("excessively_large_fragment", p.Src, p.Dst)
	}
	if end > most {
		return false // no host accepts it
	}
	if f.key.v6 && f.more && len(f.payload)%unit != 0 { // RFC 8200, section 4.5
		d.weirdPacket("fragment_size_inconsistency", p.Src, p.Dst)
		return false
	}
	g := d.datagram(f)
	if g.dead {
		return false
	}
	if f.header != g.header || f.next != g.next {
		d.weirdPacket("fragment_protocol_inconsistency", p.Src, p.Dst)
	}
	if f.df {
		d.weirdPacket("fragment_with_DF", p.Src, p.Dst)
	}
	if f.offset == 0 {
		g.next = f.next
	}
	switch {
	case !f.more && g.size == 0:
		g.size = end
	case !f.more && g.size != end:
		d.weirdPacket("fragment_size_inconsistency", p.Src, p.Dst)
	case f.more && f.total < smallFragment:
		d.weirdPacket("excessively_small_fragment", p.Src, p.Dst)
	}
	if f.more { // like Linux for IPv4: only the last may have a length that is no multiple of eight
		f.payload = f.payload[:len(f.payload)&^(unit-1)]
		end = f.offset + len(f.payload)
		if g.size != 0 && end > g.size {
			d.weirdPacket("fragment_size_inconsistency", p.Src, p.Dst)
		}
	}
	if g.size != 0 {
		g.size = max(g.size, end)
	}
	overlap, same, added := g.insert(f.offset, f.payload)
	switch {
	case overlap && !same:
		d.weirdPacket("fragment_inconsistency", p.Src, p.Dst)
	case overlap:
		d.weirdPacket("fragment_overlap", p.Src, p.Dst)
	}
	// an overlap that is no copy discards the datagram: RFC 8200, section 4.5
	if f.key.v6 && overlap && added {
		g.dead, g.pages = true, nil
		d.account(g)
		return false
	}
	n := g.contiguous()
	if g.size == 0 || n < g.size {
		d.account(g)
		return false
	}
	if n != g.size || g.end > n { // bytes after the end are another datagram's, or an attack
		d.weirdPacket("fragment_size_inconsistency", p.Src, p.Dst)
	}
	p.Proto, p.Payload, p.Length, p.IPLength = g.next, g.bytes(n), n, g.header+n
	d.fragments.remove(g)
	return true
}

// datagram returns the datagram that f belongs to, a new one if necessary. The caller accounts for
// it.
func (d *Decoder) datagram(f *fragment) *datagram {
	fs := &d.fragments
	g := fs.datagrams[f.key]
	if g == nil {
		g = &datagram{key: f.key, born: d.now, header: f.header, next: f.next}
		g.elem = fs.order.PushBack(g)
		fs.datagrams[f.key] = g
	}
	return g
}

// account updates the memory that g takes, and gives up the oldest datagrams if that exceeds the
// limit.
func (d *Decoder) account(g *datagram) {
	fs := &d.fragments
	cost := datagramCost + len(g.pages)*pageCost + cap(g.pages)*slotCost
	fs.size += cost - g.cost
	g.cost = cost
	for fs.size > maxFragments {
		d.giveUp(fs.oldest())
	}
}

// giveUp drops the incomplete datagram g.
func (d *Decoder) giveUp(g *datagram) {
	d.fragments.remove(g)
	if !g.dead { // otherwise a weird was reported when it died
		src, dst := netip.AddrFrom16(g.key.src), netip.AddrFrom16(g.key.dst)
		if !g.key.v6 {
			src, dst = src.Unmap(), dst.Unmap()
		}
		d.weirdPacket("fragment_incomplete", src, dst)
	}
}

func (fs *fragments) remove(g *datagram) {
	delete(fs.datagrams, g.key)
	fs.order.Remove(g.elem)
	fs.size -= g.cost
}

// oldest returns the datagram that a fragment arrived for first, nil if there are none.
func (fs *fragments) oldest() *datagram {
	e := fs.order.Front()
	if e == nil {
		return nil
	}
	return e.Value.(*datagram)
}

// expireFragments drops the datagrams that were not completed in time.
func (d *Decoder) expireFragments() {
	for g := d.fragments.oldest(); g != nil && d.now.Sub(g.born) >= fragmentTimeout; g = d.fragments.oldest() {
		d.giveUp(g)
	}
}

// insert adds bytes, and keeps those that arrived earlier. overlap reports whether there were any,
// same whether all of them were equal to the new ones, and added whether any bytes were new.
func (g *datagram) insert(offset int, data []byte) (overlap, same, added bool) {
	g.end = max(g.end, offset+len(data))
	same = true
	for len(data) > 0 {
		at := offset % pageSize
		n := min(pageSize-at, len(data))
		pg := g.page(offset - at)
		units := (n + unit - 1) / unit
		mask := (^uint64(0) >> (64 - units)) << (at / unit)
		if pg.have&mask == 0 {
			copy(pg.data[at:], data[:n])
		} else {
			overlap = true
			same = pg.merge(at, data[:n]) && same
		}
		added = added || pg.have&mask != mask
		pg.have |= mask
		data, offset = data[n:], offset+n
	}
	return overlap, same, added
}

// page returns the page at an offset, a new one if necessary.
func (g *datagram) page(at int) *page {
	i, ok := slices.BinarySearchFunc(g.pages, at, func(pg *page, at int) int { return pg.at - at })
	if !ok {
		g.pages = slices.Insert(g.pages, i, &page{at: at})
	}
	return g.pages[i]
}

// merge adds bytes to a page that already has some of them, and reports whether those are equal.
func (pg *page) merge(at int, data []byte) (same bool) {
	same = true
	for len(data) > 0 {
		n := min(unit, len(data))
		if old := pg.data[at : at+n]; pg.have>>(at/unit)&1 == 0 {
			copy(old, data)
		} else if !bytes.Equal(old, data[:n]) {
			same = false
		}
		data, at = data[n:], at+n
	}
	return same
}

// contiguous returns the number of bytes that have arrived without a gap from the start.
func (g *datagram) contiguous() int {
	n := 0
	for i, pg := range g.pages {
		if pg.at != i*pageSize {
			break
		}
		n += bits.TrailingZeros64(^pg.have) * unit
		if ^pg.have != 0 {
			break
		}
	}
	return min(n, g.end)
}

// bytes returns a copy of the first n bytes.
func (g *datagram) bytes(n int) []byte {
	b := make([]byte, 0, n)
	for i := 0; len(b) < n; i++ {
		b = append(b, g.pages[i].data[:min(n-len(b), pageSize)]...)
	}
	return b
}
