package main

import (
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// watchdog returns how often systemd wants to be told that the program is healthy; 0 for never.
func watchdog() time.Duration {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil { // nobody else sets its variables
		return 0
	}
	return interval / 2
}

// tellSystemd tells systemd, if that has started the program as a service of the type notify, that
// it is ready, and then, as long as healthy returns nil, to keep the watchdog quiet. The function
// that it returns tells that the program is about to end.
func tellSystemd(healthy func() error) (stop func()) {
	notify := func(state string) { _, _ = daemon.SdNotify(false, state) } // a service manager that is gone needs no news
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
