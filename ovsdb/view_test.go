package ovsdb

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	libovsdb "github.com/ovn-org/libovsdb/ovsdb"

	"github.com/vifguard/vifguard/model"
)

// rows is a replica in memory. Like the real one it gives copies.
type rows struct {
	r       *rootRow
	bridges map[string]*bridgeRow
	ports   map[string]*portRow
	ifaces  map[string]*interfaceRow
	remotes map[string]*controllerRow // of both tables
	mirrors map[string]*mirrorRow
	paths   map[string]*datapathRow
}

func get[T any](m map[string]*T, u string, clone func(*T) *T) *T {
	if r := m[u]; r != nil {
		return clone(r)
	}
	return nil
}

func (r *rows) root() *rootRow               { return r.r.clone() }
func (r *rows) bridge(u string) *bridgeRow   { return get(r.bridges, u, (*bridgeRow).clone) }
func (r *rows) port(u string) *portRow       { return get(r.ports, u, (*portRow).clone) }
func (r *rows) iface(u string) *interfaceRow { return get(r.ifaces, u, (*interfaceRow).clone) }

func (r *rows) controller(u string) *controllerRow { return r.remotes[u] }
func (r *rows) manager(u string) *controllerRow    { return r.remotes[u] }
func (r *rows) mirror(u string) *mirrorRow         { return r.mirrors[u] }
func (r *rows) datapath(u string) *datapathRow     { return r.paths[u] }

// mutate changes something at random, valid or not, and marks what it changed.
func (r *rows) mutate(rnd *rand.Rand, d *dirty) {
	pick := func(kind string, n int) string { return fmt.Sprintf("%s%d", kind, rnd.IntN(n)) }
	some := func(kind string, n int) []string {
		var s []string
		for range rnd.IntN(5) {
			s = append(s, pick(kind, n))
		}
		slices.Sort(s)
		return slices.Compact(s)
	}
	switch rnd.IntN(14) {
	case 0:
		r.r = &rootRow{UUID: "root", Bridges: some("b", 3), ExternalIDs: map[string]string{model.ProfilePrefix + pick("p", 2): pick("v", 2)},
			Managers: some("m", 3), Datapaths: map[string]string{"system": pick("d", 2)}}
		d.add(TableOpenvSwitch, "root")
	case 1, 2:
		u := pick("b", 3)
		r.bridges[u] = &bridgeRow{UUID: u, Name: pick("br", 3), Ports: some("p", 12), ExternalIDs: map[string]string{"a": pick("v", 2)},
			Controllers: some("m", 3), Mirrors: some("s", 3)}
		d.add(TableBridge, u)
	case 10, 11:
		u := pick("m", 3)
		r.remotes[u] = &controllerRow{UUID: u, Target: pick("t", 3), Connected: rnd.IntN(2) == 0}
		d.add(tableController, u)
		d.add(tableManager, u)
	case 12:
		u := pick("s", 3)
		output := pick("p", 12)
		r.mirrors[u] = &mirrorRow{UUID: u, Name: u, From: some("p", 12), Output: &output}
		d.add(tableMirror, u)
	case 13:
		u := pick("d", 2)
		r.paths[u] = &datapathRow{UUID: u, Capabilities: map[string]string{"recirc": pick("v", 2)}}
		d.add(tableDatapath, u)
	case 3:
		u := pick("b", 3)
		delete(r.bridges, u)
		d.add(TableBridge, u)
	case 4, 5:
		u := pick("p", 12)
		r.ports[u] = &portRow{UUID: u, Name: pick("port", 12), Interfaces: some("i", 40), OtherConfig: map[string]string{"stp-enable": []string{"true", "false"}[rnd.IntN(2)]}}
		d.add(TablePort, u)
	case 6:
		u := pick("p", 12)
		delete(r.ports, u)
		d.add(TablePort, u)
	case 7:
		u := pick("i", 40)
		delete(r.ifaces, u)
		d.add(TableInterface, u)
	default:
		u := pick("i", 40)
		n := rnd.IntN(5)
		r.ifaces[u] = &interfaceRow{UUID: u, Name: pick("tap", 20), OFPort: &n, ExternalIDs: map[string]string{"k": pick("v", 3)}}
		d.add(TableInterface, u)
	}
}

// TestViewIsFullRecomputation: whatever happens in whatever order, an update gives
// what reading everything gives, and keeps the pointers of what is equal.
func TestViewIsFullRecomputation(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		r := &rows{r: &rootRow{UUID: "root"}, bridges: map[string]*bridgeRow{}, ports: map[string]*portRow{}, ifaces: map[string]*interfaceRow{},
			remotes: map[string]*controllerRow{}, mirrors: map[string]*mirrorRow{}, paths: map[string]*datapathRow{}}
		v := newView(nil)
		v.refresh(r, dirty{all: true})
		for step := range 100 {
			var d dirty
			for range 1 + rnd.IntN(3) {
				r.mutate(rnd, &d)
			}
			before := v.host
			after := v.refresh(r, d)
			want := newView(nil).refresh(r, dirty{all: true})
			if diff := cmp.Diff(want, after); diff != "" {
				t.Fatalf("seed %d step %d, -want +got:\n%s", seed, step, diff)
			}
			if !v.shared {
				checkPointers(t, before, after)
			}
			if again := newView(after).refresh(r, dirty{all: true}); again != after {
				t.Fatalf("seed %d step %d: a new generation has new values", seed, step)
			}
		}
	}
}

func checkPointers(t *testing.T, before, after *model.Host) {
	t.Helper()
	bridges, ifaces := map[string]*model.Bridge{}, map[string]*model.Interface{}
	for _, b := range before.Bridges {
		bridges[b.UUID] = b
		for _, i := range b.Interfaces {
			ifaces[i.UUID] = i
		}
	}
	for _, b := range after.Bridges {
		if old := bridges[b.UUID]; old != nil && old != b && cmp.Equal(old, b) {
			t.Fatalf("bridge %s is equal and yet a new value", b.UUID)
		}
		for _, i := range b.Interfaces {
			if old := ifaces[i.UUID]; old != nil && old != i && cmp.Equal(old, i) {
				t.Fatalf("interface %s is equal and yet a new value", i.UUID)
			}
		}
	}
}

func TestOFPort(t *testing.T) {
	for column, want := range map[int]uint32{-1: 0, 0: 0, 1: 1, 65279: 65279, 65534: 0xfffffffe, 0xfffffeff: 0xfffffeff, 0xffffff00: 0, 1 << 33: 0} {
		if got := ofport(&column); got != want {
			t.Errorf("ofport %d: %#x, want %#x", column, got, want)
		}
	}
	if got := ofport(nil); got != 0 {
		t.Errorf("no ofport: %#x", got)
	}
}

// fill makes bridge br0 with n ports in one transaction.
func fill(tb testing.TB, c *Client, n int) {
	tb.Helper()
	insert := func(table Table, name string, row libovsdb.Row) libovsdb.Operation {
		return libovsdb.Operation{Op: libovsdb.OperationInsert, Table: string(table), UUIDName: name, Row: row}
	}
	var ops []libovsdb.Operation
	ports := libovsdb.OvsSet{GoSet: []any{}}
	for i := range n {
		name, p, f := fmt.Sprintf("tap%d", i), fmt.Sprintf("p%d", i), fmt.Sprintf("i%d", i)
		ops = append(ops, insert(TableInterface, f, libovsdb.Row{"name": name, "external_ids": libovsdb.OvsMap{GoMap: map[any]any{
			"attached-mac": fmt.Sprintf("02:00:00:00:%02x:%02x", i>>8&0xff, i&0xff), "iface-id": name, "allowed-addresses": "10.0.0.1, 10.0.0.2",
		}}}), insert(TablePort, p, libovsdb.Row{"name": name, "interfaces": libovsdb.UUID{GoUUID: f}}))
		ports.GoSet = append(ports.GoSet, libovsdb.UUID{GoUUID: p})
	}
	ops = append(ops, insert(TableBridge, "b", libovsdb.Row{"name": "br0", "ports": ports}), libovsdb.Operation{
		Op: libovsdb.OperationMutate, Table: string(TableOpenvSwitch),
		Where:     []libovsdb.Condition{libovsdb.NewCondition("_uuid", libovsdb.ConditionEqual, libovsdb.UUID{GoUUID: c.RootUUID()})},
		Mutations: []libovsdb.Mutation{*libovsdb.NewMutation("bridges", libovsdb.MutateOperationInsert, libovsdb.UUID{GoUUID: "b"})},
	})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	results, err := c.lib.Transact(ctx, ops...)
	if err == nil {
		_, err = libovsdb.CheckOperationResults(results, ops)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// BenchmarkHost: the cost of Host alone, on a bridge of 10,000 ports.
func BenchmarkHost(b *testing.B) {
	const n = 10_000
	s := startServer(b)
	fill(b, s.dial(), n)
	c := s.dial()
	all := c.Host().Bridge("br0").Interfaces
	if len(all) != n {
		b.Fatalf("%d interfaces", len(all))
	}
	b.Run("one changed", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			b.StopTimer()
			edit := Edit{Table: TableInterface, UUID: all[i%n].UUID, Set: map[string]string{"i": fmt.Sprint(i, b.N)}}
			before := c.Host()
			if _, err := c.Apply(context.Background(), []Edit{edit}); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			if c.Host() == before {
				b.Fatal("no change seen")
			}
		}
	})
	b.Run("nothing changed", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c.Host()
		}
	})
	b.Run("resync", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c.Resync()
			c.Host()
		}
	})
}
