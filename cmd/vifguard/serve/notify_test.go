package serve

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"github.com/vifguard/vifguard/controller/agent"
)

func TestNotifier(t *testing.T) {
	waiting := agent.Health{Connected: true, Guarded: 1, Waiting: []string{"br0"}}
	ready := agent.Health{Connected: true, Guarded: 1, VIFs: 2}
	lost := agent.Health{Guarded: 1, VIFs: 2}
	var said []string
	n := &notifier{log: logrus.New(), send: func(s string) error { said = append(said, s); return nil }}
	for _, h := range []agent.Health{{}, waiting, ready, ready, lost, ready} {
		n.health(h)
	}
	n.interval = time.Hour
	n.health(ready)
	n.health(ready) // too early for another sign of life
	want := []string{
		"STATUS=bridges guarded: 0, VIFs: 0; waiting for ovsdb-server\n",
		"STATUS=bridges guarded: 1, VIFs: 0; waiting for the switch of br0\n",
		"STATUS=bridges guarded: 1, VIFs: 2\nREADY=1\n",
		"STATUS=bridges guarded: 1, VIFs: 2; waiting for ovsdb-server\n",
		"STATUS=bridges guarded: 1, VIFs: 2\n",
		"WATCHDOG=1\n",
	}
	if d := cmp.Diff(want, said); d != "" {
		t.Errorf("said (-want +got):\n%s", d)
	}
}
