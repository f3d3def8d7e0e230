package main

import (
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// watchdog returns how often systemd wants to be told that the program is healthy; 0 for never.
func watchdog() time.Duration {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil { // its variables are malformed, so systemd did not set them
		return 0
	}
	return interval / 2
}

// tellSystemd tells systemd that the program is ready, and then keeps the watchdog quiet as long as
// healthy returns nil. The returned function tells systemd that the program is stopping. All of
// this does nothing unless systemd started the program as a service of type notify.
func tellSystemd(healthy func() error) (stop func()) {
	// nothing to do if systemd is gone
	notify := func(state string) { _, _ = daemon.SdNotify(false, state) }
	notify(daemon.SdNotifyReady)
	every := watchdog()
	if every == 0 {
		return func() { notify(daemon.SdNotifyStopping) }
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			if healthy() == nil {
				notify(daemon.SdNotifyWatchdog)
			}
			select {
			case <-ticker.C:
			case <-done:
				return
			}
		}
	}()
	return func() {
		notify(daemon.SdNotifyStopping)
		close(done)
		<-ended
	}
}
