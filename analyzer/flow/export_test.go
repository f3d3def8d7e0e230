package flow

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"unsafe"

	"example.com/conn/analyzer/identity"
)

// FlowSize is the size of a connection without the bytes held for it.
const FlowSize = unsafe.Sizeof(flow{})

// EndOfLag is the offset of what follows flow.lag.
const EndOfLag = unsafe.Offsetof(flow{}.lag) + unsafe.Sizeof(flow{}.lag)

// Expected returns the number of announced connections.
func (t *Table) Expected() int { return t.expected.all.Len() }

// Invariants checks the table between two packets. It returns an error if an invariant is violated.
func (t *Table) Invariants() error {
	if !reflect.DeepEqual(none, rare{}) {
		return errors.New("the rare state that flows share was written")
	}
	held, queued, inRanks, holders := 0, 0, 0, 0
	var heldBy [numSizes]int
	all := maps.Clone(t.flows)
	for k, f := range t.flows {
		if prior := f.rare().prior; prior != nil {
			if prior.rare().by != f {
				return fmt.Errorf("%v is displaced by one connection and names another", prior.ID)
			}
			k.OneWay = true // never true for TCP
			all[k] = prior
		}
	}
	for k, f := range all {
		k.OneWay = k.OneWay && f.oneWay
		if k != identity.KeyOf(f.ID.Orig, f.ID.Resp, f.ID.Proto, f.oneWay) {
			return fmt.Errorf("%v has the wrong key", f.ID)
		}
		if n := f.holds(); n != f.rare().held || n < 0 {
			return fmt.Errorf("%v holds %d, counted %d", f.ID, n, f.rare().held)
		}
		if f.timer == noTimer || f.rank == noRank {
			return fmt.Errorf("%v waits for timer %d and is in rank %d", f.ID, f.timer, f.rank)
		}
		if f.rare().held > 0 {
			holders++
		}
		held += f.rare().held
		if f.rare().held > 0 {
			heldBy[f.rare().size] += f.rare().held
		}
	}
	var bytes [numSizes]int
	for q := range t.timers.queues {
		queued += t.timers.queues[q].count(waiting)
	}
	for r := range t.ranks.lists {
		inRanks += t.ranks.lists[r].count(ranked)
	}
	for s := range t.ledger.sizes {
		holders -= t.ledger.sizes[s].count(holding)
		bytes[s] = t.ledger.sizes[s].bytes
	}
	switch {
	case held != t.ledger.total:
		return fmt.Errorf("%d held, counted %d", held, t.ledger.total)
	case heldBy != bytes:
		return fmt.Errorf("by size class, %v held, counted %v", heldBy, bytes)
	case t.ledger.total > t.cfg.MaxTotal:
		return fmt.Errorf("%d held, more than allowed", t.ledger.total)
	case t.Len() != len(all) || queued != len(all) || inRanks != len(all) || holders != 0:
		return fmt.Errorf("of %d connections, %d are queued, %d ranked, %d too many hold; %d are known", t.Len(), queued, inRanks, -holders, len(all))
	case t.current != nil:
		return fmt.Errorf("%v is still current", t.current.ID)
	}
	return nil
}

// count returns the number of flows in the list, or -1 if its links are inconsistent.
func (l *flowList) count(at func(*flow) *node) (n int) {
	var last *flow
	for f := l.first; f != nil; f = at(f).next {
		if at(f).prev != last {
			return -1
		}
		last = f
		n++
	}
	if l.last != last || l.len != n {
		return -1
	}
	return n
}
