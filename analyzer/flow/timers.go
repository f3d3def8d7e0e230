package flow

import "time"

// timers tell which connections have timed out. Each connection waits for one timer. All
// connections that wait for the same timer have the same timeout, so a queue in the order of their
// starts is enough: its first connection is the next to time out.
type timers struct {
	queues [numTimers]struct {
		flowList
		after time.Duration
	}
}

// newTimers returns timers with the timeouts of cfg.
func newTimers(cfg *Config) *timers {
	ts := new(timers)
	ts.queues[attemptTimer].after = cfg.AttemptTimeout
	ts.queues[briefTimer].after = cfg.UDPTimeout
	ts.queues[longTimer].after = cfg.TCPTimeout
	ts.queues[closeTimer].after = cfg.CloseTimeout
	return ts
}

// start restarts f's wait with timer t. now never goes back.
func (ts *timers) start(f *flow, t timer, now time.Time) {
	ts.stop(f)
	f.timer, f.since = t, now.UnixNano()
	ts.queues[t].push(f, waiting)
}

// stop ends f's wait.
func (ts *timers) stop(f *flow) {
	if f.timer != noTimer {
		ts.queues[f.timer].remove(f, waiting)
		f.timer = noTimer
	}
}

// due returns a connection that has timed out at now, or nil.
func (ts *timers) due(now time.Time) *flow {
	nano := now.UnixNano() // as time.Time.Sub costs several times as much, for every packet
	for i := range ts.queues {
		q := &ts.queues[i]
		if f := q.first; f != nil && nano-f.since >= int64(q.after) {
			return f
		}
	}
	return nil
}

// idlest returns the connection that has waited longest, or nil.
func (ts *timers) idlest() *flow {
	var idlest *flow
	for i := range ts.queues {
		if f := ts.queues[i].first; f != nil && (idlest == nil || f.since < idlest.since) {
			idlest = f
		}
	}
	return idlest
}
