package packet

import (
	"bytes"
	"container/list"
	"math/bits"
	"slices"
	"time"

	"example.com/conn"
)

// What is kept of fragments: bytes, with all that they need, and for how long. Zeek keeps them for
// ever by default; 30 s is Linux'.
const (
	maxFragments    = 32 << 20
	fragmentTimeout = 30 * time.Second
)

// Zeek finds fragments weird below and above these lengths.
const (
	smallFragment = 64
	largeFragment = 64_000
)

// A fragmentKey is what the fragments of a datagram have in common.
type fragmentKey struct {
	src, dst [16]byte
	id       uint32
	proto    conn.Proto // of IPv4; an IPv6 datagram is known without
	v6       bool
}

// A fragment is a part of a datagram.
type fragment struct {
	key     fragmentKey
	next    conn.Proto // what the datagram carries
	header  int        // how long what stands before the part is, without IPv6's fragment header
	total   int        // how long the packet is, with that
	offset  int
	more    bool // this is not the end
	df      bool // it should not have been fragmented
	payload []byte
}

// fragments has the datagrams that are not complete.
type fragments struct {
	datagrams map[fragmentKey]*datagram
	order     *list.List // of them, by birth
	size      int        // bytes that they take, at most maxFragments
}

func newFragments() fragments {
	return fragments{datagrams: make(map[fragmentKey]*datagram), order: list.New()}
}

// A datagram is what has come of one. Taking a part takes time in proportion to its length, however
// many there are, and memory in proportion to what has come: pages that have nothing do not exist.
type datagram struct {
	key    fragmentKey
	born   time.Time
	elem   *list.Element
	pages  []*page // in order
	end    int     // of the part that ends last
	size   int     // of the whole, 0 as long as it is unknown
	header int     // of the part that came first
	next   conn.Proto
	cost   int  // its share of fragments.size
	dead   bool // nothing comes of it any more
}

// A page has 512 bytes of a datagram. The offsets of parts are multiples of eight bytes: of these
// units, there is a bit for each that has come.
type page struct {
	at   int // where it begins in the datagram
	have uint64
	data [pageSize]byte
}

const (
	unit     = 8
	pageSize = 64 * unit
)

// What datagrams take: itself with its places in the map and in the list, a page, and room for a
// page.
const (
	datagramCost = 512
	pageCost     = 576
	slotCost     = 8
)

// reassemble adds a fragment, which d.packet was made from. It reports whether there is a packet
// now, and makes it d.packet.
func (d *Decoder) reassemble(f *fragment) bool {
	p := &d.packet
	if d.missing > 0 {
		d.weirdPacket("incompletely_captured_fragment", p.Src, p.Dst)
		return f.offset == 0 // has the header that matters
	}
	if f.key.v6 && f.offset == 0 && !f.more { // the whole, and a part only by name
		p.IPLength = f.header + len(f.payload)
		return true
	}
	end := f.offset + len(f.payload)
	if end > largeFragment {
		d.weirdPacket("excessively_large_fragment", p.Src, p.Dst)
	}
	most := 0xffff - f.header // of a packet of IPv4
	if f.key.v6 {
		most += 40
	}
	if end > most {
		return false // no host accepts it
	}
	if f.key.v6 && f.more && len(f.payload)%unit != 0 { // RFC 8200, section 4.5
		d.weirdPacket("fragment_size_inconsistency", p.Src, p.Dst)
		return false
	}
	g := d.fragments.find(f, d.now)
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
	if f.more { // only the end may be an odd piece, says Linux of IPv4
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
	if f.key.v6 && overlap && added { // what overlaps, but is no copy, ends it all: RFC 8200, section 4.5
		g.dead, g.pages = true, nil
		d.fragments.account(g)
		return false
	}
	n := g.contiguous()
	if g.size == 0 || n < g.size {
		d.fragments.account(g)
		return false
	}
	if n != g.size || g.end > n { // what is behind the end belongs to another datagram, or to an attack
		d.weirdPacket("fragment_size_inconsistency", p.Src, p.Dst)
	}
	p.Proto, p.Payload, p.Length, p.IPLength = g.next, g.bytes(n), n, g.header+n
	d.fragments.remove(g)
	return true
}

// find returns the datagram that f is a part of, a new one if need be.
func (fs *fragments) find(f *fragment, now time.Time) *datagram {
	g := fs.datagrams[f.key]
	if g == nil {
		g = &datagram{key: f.key, born: now, header: f.header, next: f.next}
		g.elem = fs.order.PushBack(g)
		fs.datagrams[f.key] = g
		fs.account(g)
	}
	return g
}

// account counts what g takes now, and removes the oldest datagrams if that is too much.
func (fs *fragments) account(g *datagram) {
	cost := datagramCost + len(g.pages)*pageCost + cap(g.pages)*slotCost
	fs.size += cost - g.cost
	g.cost = cost
	for fs.size > maxFragments {
		fs.remove(fs.order.Front().Value.(*datagram))
	}
}

func (fs *fragments) remove(g *datagram) {
	delete(fs.datagrams, g.key)
	fs.order.Remove(g.elem)
	fs.size -= g.cost
}

// expire removes the datagrams that were not completed in time.
func (fs *fragments) expire(now time.Time) {
	for e := fs.order.Front(); e != nil && now.Sub(e.Value.(*datagram).born) >= fragmentTimeout; e = fs.order.Front() {
		fs.remove(e.Value.(*datagram))
	}
}

// insert adds bytes. What is there already stays: overlap reports whether there was some, same
// whether all of it was the same, and added whether there was anything else.
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

// page returns the page that begins at an offset, a new one if need be.
func (g *datagram) page(at int) *page {
	i, ok := slices.BinarySearchFunc(g.pages, at, func(pg *page, at int) int { return pg.at - at })
	if !ok {
		g.pages = slices.Insert(g.pages, i, &page{at: at})
	}
	return g.pages[i]
}

// merge adds bytes to a page that has some of them, and reports whether these are the same.
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

// contiguous returns how many bytes are there from the start on.
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
