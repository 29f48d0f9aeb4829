package ovsdb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vifguard/vifguard/model"
)

func TestApply(t *testing.T) {
	s := startServer(t)
	s.vsctl("add-br br0 -- add-port br0 tap1 -- set Interface tap1 external_ids:foreign=stays external_ids:old=x external_ids:state=pending")
	c, other := s.dial(), s.dial()
	host := c.Host()
	_, tap := host.FindInterface("tap1")
	odd := `a "quoted", 'b'=c:{d} [e] \ ü` + "\n"
	vanished := "00000000-0000-4000-8000-000000000001"
	edits := []Edit{
		{Table: TableInterface, UUID: tap.UUID, Set: map[string]string{"state": "enforced", "odd": odd}, Delete: []string{"old", "never-there"}},
		{Table: TableInterface, UUID: vanished, Set: map[string]string{"state": "enforced"}},
		{Table: TableBridge, UUID: host.Bridge("br0").UUID, Set: map[string]string{"b": "1"}},
		{Table: TableOpenvSwitch, UUID: c.RootUUID(), Set: map[string]string{"port-security-profile-p": "checks=mac allow=router,dhcp-server"}},
		{Table: TableBridge, UUID: host.Bridge("br0").UUID},
	}
	for range 2 { // idempotent
		missing, err := c.Apply(context.Background(), edits)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{vanished}, missing); diff != "" {
			t.Errorf("missing, -want +got:\n%s", diff)
		}
		want := map[string]string{"foreign": "stays", "state": "enforced", "odd": odd}
		if diff := cmp.Diff(want, find(c.Host(), "tap1").ExternalIDs); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		h := c.Host()
		if h.Bridge("br0").ExternalIDs["b"] != "1" || h.Profiles["p"] != "checks=mac allow=router,dhcp-server" {
			t.Errorf("bridge and profile not written:\n%s %v", dump(h), h.Profiles)
		}
	}
	// What was written before is unchanged: this is a value of its own.
	if tap.ExternalIDs["state"] != "pending" {
		t.Error("a published value changed")
	}
	got := waitHost(t, other.Changed(), other.Host, "the edit", func(h *model.Host) bool { return id(h, "tap1", "odd") == odd })
	if id(got, "tap1", "foreign") != "stays" {
		t.Error("another writer's key is gone")
	}
}

// TestApplyConfig: keys of other_config are set and given back one by one.
func TestApplyConfig(t *testing.T) {
	s := startServer(t)
	s.vsctl("add-br br0 -- add-port br0 tap1 -- set Bridge br0 other_config:hwaddr=x -- set Port tap1 other_config:foreign=stays")
	c := s.dial()
	br, tap := c.Host().FindInterface("tap1")
	edits := []Edit{
		{Table: TableBridge, UUID: br.UUID, Set: map[string]string{"note": "1"}, Config: MapEdit{Set: map[string]string{"disable-in-band": "true"}}},
		{Table: TablePort, UUID: tap.Facts.PortUUID, Config: MapEdit{Set: map[string]string{"stp-enable": "false", "rstp-enable": "false"}}},
	}
	if missing, err := c.Apply(context.Background(), edits); err != nil || len(missing) > 0 {
		t.Fatal(missing, err)
	}
	h := s.wait(c, "the edits", func(h *model.Host) bool { return h.Bridge("br0").Facts.NoInBand() && find(h, "tap1").Facts.NoRSTP() })
	if f := find(h, "tap1").Facts; !f.NoSTP() || h.Bridge("br0").ExternalIDs["note"] != "1" {
		t.Errorf("written in part:\n%s", dump(h))
	}
	edits[0].Config = MapEdit{Delete: []string{"disable-in-band"}}
	edits[1].Config = MapEdit{Delete: []string{"stp-enable", "rstp-enable"}}
	if missing, err := c.Apply(context.Background(), edits); err != nil || len(missing) > 0 {
		t.Fatal(missing, err)
	}
	if got := s.vsctl("get Bridge br0 other_config -- get Port tap1 other_config"); got != "{hwaddr=x}\n{foreign=stays}" {
		t.Errorf("given back: %s", got)
	}
}

func TestApplyRefuses(t *testing.T) {
	s := startServer(t)
	s.vsctl("add-br br0")
	c := s.dial()
	br := c.Host().Bridge("br0")
	good := Edit{Table: TableBridge, UUID: br.UUID, Set: map[string]string{"a": "b"}}
	for _, bad := range []Edit{
		{Table: "Manager", UUID: br.UUID, Set: map[string]string{"a": "b"}},
		{Table: TableInterface, UUID: br.UUID, Config: MapEdit{Set: map[string]string{"a": "b"}}},
		{Table: TableBridge, UUID: "br0", Set: map[string]string{"a": "b"}},
	} {
		if _, err := c.Apply(context.Background(), []Edit{good, bad}); err == nil {
			t.Errorf("Apply %+v: no error", bad)
		}
	}
	if missing, err := c.Apply(context.Background(), nil); err != nil || len(missing) != 0 {
		t.Errorf("Apply of nothing: %v, %v", missing, err)
	}
	c.Resync()
	if h := c.Host(); len(h.Bridge("br0").ExternalIDs) != 0 {
		t.Errorf("a refused transaction left something:\n%s", dump(h))
	}
}

func TestApplyInBatches(t *testing.T) {
	s := startServer(t)
	n := 2*maxBatch + 1
	c := s.dial()
	fill(t, c, n)
	host := s.wait(c, "all rows", func(h *model.Host) bool { b := h.Bridge("br0"); return b != nil && len(b.Interfaces) == n })
	var edits []Edit
	for _, i := range host.Bridge("br0").Interfaces {
		edits = append(edits, Edit{Table: TableInterface, UUID: i.UUID, Set: map[string]string{"n": i.Name}})
	}
	if missing, err := c.Apply(context.Background(), edits); err != nil || len(missing) != 0 {
		t.Fatalf("Apply: %v, %v", missing, err)
	}
	for _, i := range c.Host().Bridge("br0").Interfaces {
		if i.ExternalIDs["n"] != i.Name {
			t.Fatalf("%s: %v", i.Name, i.ExternalIDs)
		}
	}
}

// A stopped server doesn't read. A small request ends in the socket's buffer; a
// large one doesn't fit, so that the write itself is stuck.
func TestApplyToStoppedServer(t *testing.T) {
	for _, size := range []int{1, 2 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			s := startServer(t)
			s.vsctl("add-br br0")
			c := s.dial()
			s.signal(syscall.SIGSTOP)
			edit := Edit{Table: TableOpenvSwitch, UUID: c.RootUUID(), Set: map[string]string{"a": strings.Repeat("x", size)}}
			for range 2 {
				ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
				start := time.Now()
				_, err := c.Apply(ctx, []Edit{edit})
				cancel()
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 2*time.Second {
					t.Errorf("Apply: %v after %v", err, time.Since(start))
				}
			}
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			if err := c.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Ping: %v", err)
			}
			start := time.Now()
			c.Close()
			if d := time.Since(start); d > 3*time.Second {
				t.Errorf("Close took %v", d)
			}
			s.signal(syscall.SIGKILL)
		})
	}
}
