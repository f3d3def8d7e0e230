package flow

import "time"

// timers tell which connections time out. Each connection of a table waits for one timer. As all
// that wait for the same timer have the same timeout, a queue in the order in which they began to
// wait is enough: the first is the next to go.
type timers struct {
	queues [numTimers]struct {
		list
		after time.Duration
	}
}

// newTimers returns the timers of a configuration.
func newTimers(cfg *Config) *timers {
	ts := new(timers)
	ts.queues[attemptTimer].after = cfg.AttemptTimeout
	ts.queues[briefTimer].after = cfg.UDPTimeout
	ts.queues[longTimer].after = cfg.TCPTimeout
	ts.queues[closeTimer].after = cfg.CloseTimeout
	return ts
}

func waiting(f *flow) *node { return &f.waiting }

// start makes f wait for a timer from now on. The clock never goes back.
func (ts *timers) start(f *flow, t timer, now time.Time) {
	ts.stop(f)
	f.timer, f.since = t, now
	ts.queues[t].push(f, waiting)
}

// stop makes f wait for nothing.
func (ts *timers) stop(f *flow) {
	if f.timer != noTimer {
		ts.queues[f.timer].remove(f, waiting)
		f.timer = noTimer
	}
}

// due returns a connection whose timeout is over at now, nil if there is none.
func (ts *timers) due(now time.Time) *flow {
	for i := range ts.queues {
		q := &ts.queues[i]
		if f := q.first; f != nil && now.Sub(f.since) >= q.after {
			return f
		}
	}
	return nil
}

// idlest returns the connection that has waited longest, nil if there is none.
func (ts *timers) idlest() *flow {
	var idlest *flow
	for i := range ts.queues {
		if f := ts.queues[i].first; f != nil && (idlest == nil || f.since.Before(idlest.since)) {
			idlest = f
		}
	}
	return idlest
}
