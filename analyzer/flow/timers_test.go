package flow

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

var epoch = time.Unix(1700000000, 0)

func after(d time.Duration) time.Time { return epoch.Add(d) }

func newTestTimers() *timers {
	return newTimers(&Config{AttemptTimeout: 5 * time.Second, UDPTimeout: time.Minute, TCPTimeout: 5 * time.Minute, CloseTimeout: 4 * time.Second})
}

func TestTimersAreDueAfterTheirTimeouts(t *testing.T) {
	for name, tt := range map[string]struct {
		timer   timer
		timeout time.Duration
	}{
		"attempt": {attemptTimer, 5 * time.Second},
		"brief":   {briefTimer, time.Minute},
		"long":    {longTimer, 5 * time.Minute},
		"close":   {closeTimer, 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			ts, f := newTestTimers(), new(flow)
			ts.start(f, tt.timer, epoch)
			assert.Nil(t, ts.due(after(tt.timeout-1)))
			assert.Same(t, f, ts.due(after(tt.timeout)))
			ts.start(f, tt.timer, after(time.Second))
			assert.Nil(t, ts.due(after(tt.timeout)), "started again")
			ts.stop(f)
			ts.stop(f)
			assert.Nil(t, ts.due(after(time.Hour)), "stopped")
			assert.Equal(t, noTimer, f.timer)
		})
	}
}

func TestTimersOrderedByStart(t *testing.T) {
	ts, a, b, c := newTestTimers(), new(flow), new(flow), new(flow)
	for i, f := range []*flow{a, b, c} {
		ts.start(f, briefTimer, after(time.Duration(i)*time.Second))
	}
	ts.start(a, briefTimer, after(3*time.Second))
	ts.start(c, longTimer, after(4*time.Second)) // another queue
	assert.Same(t, b, ts.idlest())
	assert.Same(t, b, ts.due(after(61*time.Second)))
	ts.stop(b)
	assert.Nil(t, ts.due(after(61*time.Second)))
	assert.Same(t, a, ts.idlest())
	ts.stop(a)
	assert.Same(t, c, ts.idlest())
	ts.stop(c)
	assert.Nil(t, ts.idlest())
}
