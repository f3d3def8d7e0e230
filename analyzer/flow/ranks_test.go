package flow

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"example.com/conn"
	"example.com/conn/analyzer/tcp"
)

// flows returns n flows of a rank below established connections: oneSided or answered.
func flows(n int, both bool) (fs []*flow) {
	for i := range n {
		f := &flow{packets: [2]uint64{1, 0}}
		if both {
			f.packets[1] = 1
		}
		f.ID = conn.ID{Orig: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 1}), uint16(i)), Proto: conn.UDP}
		fs = append(fs, f)
	}
	return fs
}

func newEstablished(n int) []*flow {
	fs := flows(n, true)
	for _, f := range fs {
		f.ID.Proto = conn.TCP
		syn, synAck := make(tcp.Header, 20), make(tcp.Header, 20)
		syn[13], synAck[13], synAck[11] = 0x02, 0x12, 1 // flags, and the ACK of the SYN's number 0
		f.tcp.Segment(tcp.Orig, time.Time{}, syn, nil, 0, nil)
		f.tcp.Segment(tcp.Resp, time.Time{}, synAck, nil, 0, nil)
	}
	return fs
}

func TestLeastValuableRankEvictedFirst(t *testing.T) {
	rs := ranks{max: 10}
	attempt, over := flows(1, false)[0], flows(1, true)[0]
	attempt.timer, over.timer = attemptTimer, closeTimer
	oneSide, both, quietOne := flows(1, false)[0], flows(1, true)[0], newEstablished(1)[0]
	speaker := newEstablished(1)[0]
	speaker.session.Announce("ftp-data")
	all := []*flow{speaker, quietOne, both, oneSide, over, attempt}
	for _, f := range all {
		rs.update(f)
	}
	want := []*flow{attempt, over, oneSide, both, quietOne, speaker}
	for i, f := range want {
		assert.Same(t, f, rs.least(), i)
		rs.remove(rs.least())
	}
	assert.Nil(t, rs.least())
}

func TestIdlestUnestablishedEvictedFirst(t *testing.T) {
	rs := ranks{max: 10}
	fs := flows(3, false)
	for _, f := range fs {
		rs.update(f)
	}
	rs.update(fs[0]) // another packet
	assert.Same(t, fs[1], rs.least())
}

func TestNewcomersEvictedFirst(t *testing.T) {
	rs := ranks{max: 32} // room for two newcomers
	fs := newEstablished(4)
	for _, f := range fs {
		rs.update(f)
	}
	for range 3 {
		rs.update(fs[0]) // further packets do not change the rank
	}
	assert.Equal(t, []rank{quiet, quiet, newQuiet, newQuiet}, []rank{fs[0].rank, fs[1].rank, fs[2].rank, fs[3].rank})
	// the latest of the old ones, then newcomers
	for _, want := range []*flow{fs[1], fs[0], fs[2], fs[3]} {
		assert.Same(t, want, rs.least())
		rs.remove(want)
	}
}

func TestAttemptsKeepShare(t *testing.T) {
	rs := ranks{max: 256} // spares one attempt
	attempts, other := flows(2, false), flows(1, true)[0]
	for _, f := range attempts {
		f.timer = attemptTimer
		rs.update(f)
	}
	rs.update(other)
	assert.Same(t, attempts[0], rs.least())
	rs.remove(attempts[0])
	assert.Same(t, other, rs.least(), "one attempt is spared")
}
