package serve

import (
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/sirupsen/logrus"

	"github.com/vifguard/vifguard/controller/agent"
)

// notifier reports to the service manager how the agent is doing (sd_notify(3)): ready, once
// every guarded bridge was compared; a line of status, when that changes; and that it is
// alive, for as long as the main loop turns. Without a service manager it does nothing.
type notifier struct {
	log      *logrus.Logger
	send     func(state string) error
	interval time.Duration // between two signs of life; 0 when nobody waits for them

	ready  bool
	status string
	alive  time.Time // the last sign of life
	failed bool
}

func newNotifier(log *logrus.Logger) *notifier {
	send := func(state string) error {
		_, err := daemon.SdNotify(false, state)
		return err
	}
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.WithError(err).Warn("the service manager's watchdog can't be served")
	}
	return &notifier{log: log, send: send, interval: watchdog / 4}
}

// health is called at every turn of the agent's main loop.
func (n *notifier) health(h agent.Health) {
	state := ""
	if status := h.String(); status != n.status {
		n.status = status
		state += "STATUS=" + status + "\n"
	}
	if h.Ready() && !n.ready {
		n.ready = true
		state += daemon.SdNotifyReady + "\n"
	}
	if n.interval > 0 && time.Since(n.alive) >= n.interval {
		n.alive = time.Now()
		state += daemon.SdNotifyWatchdog + "\n"
	}
	n.notify(state)
}

func (n *notifier) stopping() { n.notify(daemon.SdNotifyStopping + "\nSTATUS=stopping\n") }

func (n *notifier) notify(state string) {
	if state == "" {
		return
	}
	err := n.send(state)
	if err != nil && !n.failed {
		n.log.WithError(err).Warn("can't notify the service manager")
	}
	n.failed = err != nil
}
