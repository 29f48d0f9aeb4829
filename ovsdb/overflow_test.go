//go:build !race

// Under the race detector these events take minutes, nearly all of them in libovsdb.

package ovsdb

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ovn-org/libovsdb/cache"
	ovsmodel "github.com/ovn-org/libovsdb/model"
	"github.com/sirupsen/logrus"

	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/test/lab"
)

// libovsdb queues 65,536 events and drops those that find no room. With the queue held
// up, more changes than that are made; the view must be right all the same.
func TestViewIsRightAfterLostEvents(t *testing.T) {
	const ports = 2000
	s := startServer(t)
	var args []string
	for n := range ports {
		args = append(args, fmt.Sprintf("-- add-port br0 p%d", n))
	}
	s.vsctl("add-br br0", strings.Join(args, " "))
	out, log := &lab.Log{}, logrus.New()
	log.SetOutput(out)
	log.SetLevel(logrus.DebugLevel)
	c, err := Dial(context.Background(), s.endpoint(), logrus.NewEntry(log))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	c.Host()

	held, release := make(chan struct{}), make(chan struct{})
	letGo := sync.OnceFunc(func() { close(release) })
	t.Cleanup(letGo)
	first := true
	c.cache.AddEventHandler(&cache.EventHandlerFuncs{UpdateFunc: func(string, ovsmodel.Model, ovsmodel.Model) {
		if first {
			first = false
			close(held)
			<-release
		}
	}})
	// Every transaction changes every interface. The server merges what a slow client
	// hasn't read yet, so that their number isn't known before.
	last := ""
	lab.EventuallyWithin(t, 2*time.Minute, "events are dropped", lab.True(func() bool {
		last += "x"
		s.run("ovsdb-client", "transact", s.endpoint(), fmt.Sprintf(
			`["Open_vSwitch",{"op":"update","table":"Interface","where":[],"row":{"external_ids":["map",[["k","%s"]]]}}]`, last))
		return out.Count(droppedEvent) > 0
	}))
	<-held
	letGo()
	s.wait(c, "the last value at every interface", func(h *model.Host) bool {
		seen := 0
		for _, i := range h.Bridge("br0").Interfaces {
			if i.ExternalIDs["k"] == last {
				seen++
			}
		}
		return seen == ports+1
	})
}
