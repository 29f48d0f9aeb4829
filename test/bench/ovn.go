package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/vifguard/vifguard/test/lab"
)

// ovnBridge is the bridge that ovn-controller programs.
const ovnBridge = "br-int"

// ovn is a private OVN on a private switch: two databases, northd, one chassis.
type ovn struct {
	sw         *lab.Switch
	daemons    []*daemon
	controller *daemon
}

func startOVN(ctx context.Context, sw *lab.Switch) (_ *ovn, err error) {
	o := &ovn{sw: sw}
	defer func() {
		if err != nil {
			o.stop()
		}
	}()
	if err := sw.AddBridge(ovnBridge, "fail_mode=secure"); err != nil {
		return nil, err
	}
	for _, db := range []string{"nb", "sb"} {
		file := o.file(db + ".db")
		if _, err := o.run(ctx, "ovsdb-tool", "create", file, "/usr/share/ovn/ovn-"+db+".ovsschema"); err != nil {
			return nil, err
		}
		err := o.start("ovsdb-server", file, "--remote=punix:"+o.file(db+".sock"), "--unixctl="+o.file(db+".ctl"), "-vconsole:warn", "-vsyslog:off")
		if err != nil {
			return nil, err
		}
	}
	err = o.start("ovn-northd", "--ovnnb-db="+o.endpoint("nb"), "--ovnsb-db="+o.endpoint("sb"), "--unixctl="+o.file("northd.ctl"), "-vconsole:warn", "-vsyslog:off")
	if err != nil {
		return nil, err
	}
	if _, err := sw.Vsctl("set", "Open_vSwitch", ".", "external_ids:system-id=bench", "external_ids:ovn-remote="+o.endpoint("sb"),
		"external_ids:ovn-encap-type=geneve", "external_ids:ovn-encap-ip=127.0.0.1"); err != nil {
		return nil, err
	}
	if _, err := o.nbctl(ctx, "ls-add", "net"); err != nil {
		return nil, err
	}
	// Now and then ovn-controller never answers, on the first connection of its life.
	const attempts = 3
	for range attempts {
		if err = o.startController(); err != nil {
			return nil, err
		}
		if err = o.sync(ctx); err == nil {
			return o, nil
		}
		o.controller.kill()
	}
	return nil, err
}

func (o *ovn) file(name string) string { return filepath.Join(o.sw.Dir, name) }

func (o *ovn) endpoint(db string) string { return "unix:" + o.file(db+".sock") }

func (o *ovn) env() []string {
	return []string{"OVS_RUNDIR=" + o.sw.Dir, "OVN_RUNDIR=" + o.sw.Dir, "OVN_LOGDIR=" + o.sw.Dir, "OVS_LOGDIR=" + o.sw.Dir, "OVN_DBDIR=" + o.sw.Dir}
}

func (o *ovn) start(name string, args ...string) error {
	d, err := startDaemon(o.file("ovn.log"), o.env(), name, args...)
	if err != nil {
		return err
	}
	o.daemons = append(o.daemons, d)
	if name != "ovsdb-server" {
		return nil
	}
	socket := strings.TrimPrefix(args[1], "--remote=punix:")
	return lab.WaitUntil(context.Background(), name+" listens", func() (bool, error) {
		_, err := os.Stat(socket)
		return err == nil, nil
	})
}

func (o *ovn) startController() (err error) {
	o.controller, err = startDaemon(o.file("ovn.log"), o.env(), "ovn-controller", o.sw.Endpoint(), "-vconsole:warn", "-vsyslog:off")
	return err
}

func (o *ovn) stop() {
	o.controller.stop()
	for i := len(o.daemons) - 1; i >= 0; i-- {
		o.daemons[i].stop()
	}
}

func (o *ovn) run(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), o.env()...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %.60q: %w: %s", name, args, err, out)
	}
	return string(out), nil
}

func (o *ovn) nbctl(ctx context.Context, args ...string) (string, error) {
	return o.run(ctx, "ovn-nbctl", append([]string{"--db=" + o.endpoint("nb"), "--timeout=120"}, args...)...)
}

// sync returns when the chassis has carried out what the northbound database asks for.
func (o *ovn) sync(ctx context.Context) error {
	// Without a chassis there would be nothing to wait for.
	if _, err := o.run(ctx, "ovn-sbctl", "--db="+o.endpoint("sb"), "--timeout=20", "wait-until", "Chassis", "bench", "name=bench"); err != nil {
		return fmt.Errorf("%w\n%s", err, o.controller.tail())
	}
	// Now and then the chassis misses that it is asked, right after it has appeared.
	const tries = 2
	var err error
	for range tries {
		if _, err = o.run(ctx, "ovn-nbctl", "--db="+o.endpoint("nb"), "--timeout=10", "--wait=hv", "sync"); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%w\n%s", err, o.controller.tail())
}

// port returns the words of ovn-nbctl that make a logical port with what the VIF may
// send as its port security. OVN knows no prefixes with another MAC than the port's own,
// and nothing else of the fleet's policy is beyond it.
func (o *ovn) port(v vif) []string {
	security := fmt.Sprintf("%s %s %s %s %s", v.mac(), v.ip4(), v.ip6(), v.prefix(), v.pair())
	return []string{
		"--", "lsp-add", "net", v.name(),
		"--", "lsp-set-addresses", v.name(), fmt.Sprintf("%s %s %s", v.mac(), v.ip4(), v.ip6()),
		"--", "lsp-set-port-security", v.name(), security,
	}
}

// rivals are a host with vifguard and a host with OVN, each with a switch of its own:
// what one does must not keep the other's switch busy.
type rivals struct {
	*host
	ovn   *ovn
	ovnDB *database // of OVN's switch
	n     int       // ports of either
	words []string  // of ovn-nbctl, that declare what all ports may send
}

func (b *bench) newRivals(ctx context.Context, n int) (_ *rivals, err error) {
	r := &rivals{n: n}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if r.host, err = b.newHost(ctx); err != nil {
		return nil, err
	}
	sw, err := lab.StartSwitch(ctx, lab.Options{})
	if err != nil {
		return nil, err
	}
	if r.ovn, err = startOVN(ctx, sw); err != nil {
		return nil, errors.Join(err, sw.Stop())
	}
	if r.ovnDB, err = dialDatabase(sw.Endpoint()); err != nil {
		return nil, err
	}
	if err := addFleet(ctx, r.db, 0, n, dummy); err != nil {
		return nil, err
	}
	if err := r.addOVNPorts(ctx); err != nil {
		return nil, err
	}
	for i := range n {
		r.words = append(r.words, r.ovn.port(vif(i))...)
	}
	return r, r.declareToOVN(ctx)
}

func (r *rivals) close() error {
	var errs []error
	if r.ovnDB != nil {
		r.ovnDB.close()
	}
	if r.ovn != nil {
		r.ovn.stop()
		errs = append(errs, r.ovn.sw.Stop())
	}
	if r.host != nil {
		errs = append(errs, r.host.close())
	}
	return errors.Join(errs...)
}

// declareToOVN makes all ports with their port security, and returns when the chassis
// has the flows.
func (r *rivals) declareToOVN(ctx context.Context) error {
	_, err := r.ovn.nbctl(ctx, append([]string{"--wait=hv"}, r.words[1:]...)...)
	return err
}

// beside compares with OVN: from a bridge without flows until everything is enforced,
// the whole way from a declaration, and one port's changed addresses.
func (b *bench) beside(ctx context.Context) (err error) {
	r, err := b.newRivals(ctx, b.ovn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := r.starting(ctx); err != nil {
		return err
	}
	if err := r.startAgent(); err != nil {
		return err
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	if err := r.declaring(ctx); err != nil {
		return err
	}
	return r.readdressing(ctx)
}

// starting compares the agent with ovn-controller, whose database northd has filled, and
// with what the switch takes for the flows alone.
func (r *rivals) starting(ctx context.Context) error {
	file, want, err := r.flowFile(r.n)
	if err != nil {
		return err
	}
	var own, peer, bulk []float64
	for range r.rounds {
		// One that ended in order would have taken its chassis along.
		r.ovn.controller.kill()
		if _, err := r.ovn.sw.Ofctl("del-flows", ovnBridge); err != nil {
			return err
		}
		if err := r.ovnDB.applied(ctx); err != nil {
			return err
		}
		begin := time.Now()
		if err := r.ovn.startController(); err != nil {
			return err
		}
		if err := r.ovn.sync(ctx); err != nil {
			return err
		}
		peer = append(peer, time.Since(begin).Seconds())

		if err := r.forget(ctx); err != nil {
			return err
		}
		begin = time.Now()
		if _, err := r.sw.Ofctl("--bundle", "add-flows", bridge, file); err != nil {
			return err
		}
		end, err := r.waitFlows(ctx, want)
		if err != nil {
			return err
		}
		bulk = append(bulk, end.Sub(begin).Seconds())

		if err := r.forget(ctx); err != nil {
			return err
		}
		begin = time.Now()
		if err := r.startAgent(); err != nil {
			return err
		}
		if end, err = r.waitFlows(ctx, want); err != nil {
			return err
		}
		own = append(own, end.Sub(begin).Seconds())
		if err := r.awaitState(ctx, r.n); err != nil {
			return err
		}
		r.stopAgent()
	}
	faster := median(ratios(peer, own))
	r.add(row{
		measure: fmt.Sprintf("cold start beside ovn-controller, N = %d", r.n), own: ms(median(own)),
		peer:  fmt.Sprintf("OVN %s, ovs-ofctl --bundle of vifguard's flows %s", ms(median(peer)), ms(median(bulk))),
		value: fmt.Sprintf("%.1fx", faster), noted: true,
	})
	return nil
}

// declaring compares the whole way: what n ports may send is declared to systems that
// run, until the switch has the flows and that is known.
func (r *rivals) declaring(ctx context.Context) error {
	var remove []string
	for i := range r.n {
		remove = append(remove, "--", "lsp-del", vif(i).name())
	}
	undeclared := len(rulesOf(0)) + r.n // such ports are trusted, which is a flow each
	var own, peer []float64
	for round := range r.rounds {
		if _, err := r.ovn.nbctl(ctx, append([]string{"--wait=hv"}, remove[1:]...)...); err != nil {
			return err
		}
		begin := time.Now()
		if err := r.declareToOVN(ctx); err != nil {
			return err
		}
		peer = append(peer, time.Since(begin).Seconds())

		if err := r.db.transact(ctx, declare(r.n, nil)...); err != nil {
			return err
		}
		if _, err := r.waitFlows(ctx, undeclared); err != nil {
			return err
		}
		if err := r.settle(ctx); err != nil {
			return err
		}
		seq := fmt.Sprintf("declared.%d", round)
		begin = time.Now()
		if err := r.db.transact(ctx, declare(r.n, map[string]string{"port-security-seq": seq})...); err != nil {
			return err
		}
		in := make(map[string]bool)
		end, err := r.await(ctx, "all ports are enforced", func(s seen) bool {
			if s.ids["vifguard-seq"] == seq {
				in[s.name] = true
			}
			return len(in) == r.n
		})
		if err != nil {
			return err
		}
		own = append(own, end.Sub(begin).Seconds())
	}
	faster := median(ratios(peer, own))
	r.add(row{
		measure: fmt.Sprintf("%d ports declared until all are enforced, beside OVN", r.n), own: ms(median(own)), peer: "ovn-nbctl --wait=hv " + ms(median(peer)),
		value: fmt.Sprintf("%.1fx", faster), reach: ">= 10x faster", ok: faster >= 10,
	})
	return nil
}

// declare replaces the metadata of the first n VIFs: by what each may send and these
// keys, or by nothing.
func declare(n int, keys map[string]string) (ops []any) {
	for i := range n {
		ids := map[string]string{}
		if keys != nil {
			ids = vif(i).ids()
			maps.Copy(ids, keys)
		}
		ops = append(ops, map[string]any{
			"op": "update", "table": "Interface", "where": [][]any{{"name", "==", vif(i).name()}},
			"row": map[string]any{"external_ids": ovsMap(ids)},
		})
	}
	return ops
}

// readdressing compares memory, and how long a changed address takes.
func (r *rivals) readdressing(ctx context.Context) error {
	var own, peer []float64
	for i := range max(r.changes/10, 3) {
		v := vif(i * 7 % r.n)
		seq := fmt.Sprintf("ovn.%d", i)
		begin := time.Now()
		if err := r.db.transact(ctx, r.readdress(v, fmt.Sprintf("198.51.0.%d", i), seq)); err != nil {
			return err
		}
		end, err := r.await(ctx, "the change is in force", func(s seen) bool { return s.name == v.name() && s.ids["vifguard-seq"] == seq })
		if err != nil {
			return err
		}
		own = append(own, end.Sub(begin).Seconds())
		begin = time.Now()
		security := fmt.Sprintf("%s %s 198.51.0.%d", v.mac(), v.ip4(), i)
		if _, err := r.ovn.nbctl(ctx, "--wait=hv", "lsp-set-port-security", v.name(), security); err != nil {
			return err
		}
		peer = append(peer, time.Since(begin).Seconds())
	}
	faster := median(ratios(peer, own))
	r.add(row{
		measure: fmt.Sprintf("one VIF's addresses change, N = %d, beside OVN", r.n), own: ms(median(own)),
		peer: "OVN " + ms(median(peer)), value: fmt.Sprintf("%.1fx", faster), reach: "faster", ok: faster > 1,
	})
	mine, err := memoryOf(r.agent.PID())
	if err != nil {
		return err
	}
	theirs, err := memoryOf(r.ovn.controller.PID())
	if err != nil {
		return fmt.Errorf("%w\n%s", err, r.ovn.controller.tail())
	}
	r.add(row{
		measure: fmt.Sprintf("memory, N = %d", r.n), own: fmt.Sprintf("%.0f MB", float64(mine)/1e6),
		peer:  fmt.Sprintf("ovn-controller %.0f MB", float64(theirs)/1e6),
		value: fmt.Sprintf("%.2f", float64(mine)/float64(theirs)), reach: "< 1", ok: mine < theirs,
	})
	return nil
}

// addOVNPorts adds a port to OVN's bridge for each VIF.
func (r *rivals) addOVNPorts(ctx context.Context) error {
	var ops, ports []any
	for i := range r.n {
		name := vif(i).name()
		ports = append(ports, namedUUID("port"+name))
		ops = append(ops,
			map[string]any{"op": "insert", "table": "Interface", "uuid-name": "iface" + name, "row": map[string]any{
				"name": name, "type": dummy, "external_ids": ovsMap(map[string]string{"iface-id": name}),
			}},
			map[string]any{"op": "insert", "table": "Port", "uuid-name": "port" + name, "row": map[string]any{
				"name": name, "interfaces": namedUUID("iface" + name),
			}})
	}
	if err := r.ovnDB.transact(ctx, append(ops, attach(ovnBridge, ports))...); err != nil {
		return err
	}
	return r.ovnDB.applied(ctx)
}
