package lab

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// PortOptions describe a port to add.
type PortOptions struct {
	// OFPort is the OpenFlow port number to ask for, 0 to leave it open.
	OFPort int
	// ExternalIDs of the Interface.
	ExternalIDs map[string]string
	// Type of the Interface. If empty it is "dummy" on a Dummy switch and
	// the default, a network device of that name, on any other.
	Type string
	// Options of the Interface, such as "peer" of a patch port.
	Options map[string]string
	// Settings of the Port row, such as "tag=5".
	Settings []string
}

// Vsctl runs ovs-vsctl on the switch's database and returns its output. While
// ovs-vswitchd runs, Vsctl returns after it has applied the change.
func (sw *Switch) Vsctl(args ...string) (string, error) {
	all := []string{"--db=" + sw.Endpoint(), "--timeout=20"}
	if !sw.vswitchdRuns() {
		all = append(all, "--no-wait")
	}
	return sw.run(context.Background(), "ovs-vsctl", append(all, args...)...)
}

// Ofctl runs ovs-ofctl, with OpenFlow 1.3 unless args choose another version.
// A bridge in args is one of this switch: Ofctl("dump-flows", "br0").
func (sw *Switch) Ofctl(args ...string) (string, error) {
	chosen := slices.ContainsFunc(args, func(arg string) bool {
		return strings.HasPrefix(arg, "-O") || strings.HasPrefix(arg, "--protocols")
	})
	if !chosen {
		args = append([]string{"-O", "OpenFlow13"}, args...)
	}
	return sw.run(context.Background(), "ovs-ofctl", append([]string{"--timeout=20"}, args...)...)
}

// Appctl runs a command of ovs-vswitchd, as ovs-appctl does.
func (sw *Switch) Appctl(args ...string) (string, error) {
	if len(args) == 0 {
		return "", errors.New("appctl: no command")
	}
	return sw.ctl.Call(context.Background(), args[0], args[1:]...)
}

// AddBridge adds a bridge with further settings of its row, such as
// "fail_mode=secure". What a Dummy switch sends out of the bridge's own port
// is captured too.
func (sw *Switch) AddBridge(name string, settings ...string) error {
	args := []string{"add-br", name, "--", "set", "Bridge", name, "datapath_type=" + sw.datapath.Type()}
	args = append(args, settings...)
	if sw.datapath == Dummy {
		args = append(args, "--", "set", "Interface", name, "options:tx_pcap="+quote(sw.pcap(name)))
	}
	if _, err := sw.Vsctl(args...); err != nil {
		return err
	}
	if sw.datapath == Dummy {
		sw.inject.watch(name, sw.pcap(name))
	}
	return nil
}

// AddPort adds a port to a bridge, in one transaction with everything in
// opts. Frames that the switch sends out of a "dummy" port are captured: see
// [Switch.Sent].
func (sw *Switch) AddPort(bridge, port string, opts PortOptions) error {
	dummy := sw.datapath == Dummy && (opts.Type == "" || opts.Type == "dummy")
	options := maps.Clone(opts.Options)
	if dummy {
		if options == nil {
			options = map[string]string{}
		}
		opts.Type, options["tx_pcap"] = "dummy", sw.pcap(port)
	}
	args := []string{"add-port", bridge, port}
	args = append(args, opts.Settings...)
	var set []string
	if opts.Type != "" {
		set = append(set, "type="+opts.Type)
	}
	if opts.OFPort != 0 {
		set = append(set, fmt.Sprintf("ofport_request=%d", opts.OFPort))
	}
	set = append(set, mapArgs("options", options)...)
	set = append(set, mapArgs("external_ids", opts.ExternalIDs)...)
	if len(set) > 0 {
		args = append(args, "--", "set", "Interface", port)
		args = append(args, set...)
	}
	if _, err := sw.Vsctl(args...); err != nil {
		return err
	}
	if dummy {
		sw.inject.watch(port, sw.pcap(port))
	}
	if !sw.vswitchdRuns() || opts.Type == "patch" {
		return nil // no number yet, or none before the peer exists
	}
	number, err := sw.OFPort(port)
	if err != nil {
		return err
	}
	if opts.OFPort != 0 && number != opts.OFPort {
		return fmt.Errorf("add port %s: got OpenFlow port %d, asked for %d", port, number, opts.OFPort)
	}
	return nil
}

// DelPort removes a port from its bridge. Frames injected before are
// processed first.
func (sw *Switch) DelPort(port string) error {
	if sw.datapath == Dummy && sw.vswitchdRuns() {
		if err := sw.Barrier(); err != nil {
			return err
		}
	}
	_, err := sw.Vsctl("del-port", port)
	sw.inject.unwatch(port)
	return err
}

// OFPort is the OpenFlow port number of an interface; it is an error if the
// switch couldn't open the interface.
func (sw *Switch) OFPort(iface string) (int, error) {
	out, err := sw.Vsctl("get", "Interface", iface, "ofport", "error")
	if err != nil {
		return 0, err
	}
	number, problem, _ := strings.Cut(strings.TrimSpace(out), "\n")
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("interface %s has no OpenFlow port: ofport %s, error %s", iface, number, problem)
	}
	return n, nil
}

// SetIDs changes external_ids of an interface in one transaction. An empty
// value removes its key; keys not named stay as they are.
func (sw *Switch) SetIDs(iface string, ids map[string]string) error {
	set := map[string]string{}
	var args []string
	for _, key := range slices.Sorted(maps.Keys(ids)) {
		if ids[key] != "" {
			set[key] = ids[key]
			continue
		}
		args = append(args, "--", "remove", "Interface", iface, "external_ids", quote(key))
	}
	if len(set) > 0 {
		args = append(args, "--", "set", "Interface", iface)
		args = append(args, mapArgs("external_ids", set)...)
	}
	if len(args) == 0 {
		return nil
	}
	_, err := sw.Vsctl(args...)
	return err
}

// IDs returns the external_ids of an interface.
func (sw *Switch) IDs(iface string) (map[string]string, error) {
	return sw.Map("Interface", iface, "external_ids")
}

// Map returns a column of a row whose value is a map of strings. record is a
// name, a UUID, or "." for the only row of a table.
func (sw *Switch) Map(table, record, column string) (map[string]string, error) {
	out, err := sw.Vsctl("--format=json", "--columns="+column, "list", table, record)
	if err != nil {
		return nil, err
	}
	var reply struct {
		Data [][][2]json.RawMessage `json:"data"` // one row of one column: ["map", [[k, v], ...]]
	}
	if err := json.Unmarshal([]byte(out), &reply); err != nil {
		return nil, fmt.Errorf("%s %s: parse column %s: %w", table, record, column, err)
	}
	if len(reply.Data) != 1 || len(reply.Data[0]) != 1 {
		return nil, fmt.Errorf("%s %s: column %s: %d rows", table, record, column, len(reply.Data))
	}
	var pairs [][2]string
	if err := json.Unmarshal(reply.Data[0][0][1], &pairs); err != nil {
		return nil, fmt.Errorf("%s %s: parse column %s: %w", table, record, column, err)
	}
	values := make(map[string]string, len(pairs))
	for _, pair := range pairs {
		values[pair[0]] = pair[1]
	}
	return values, nil
}

// Trace asks the switch what it would do with a frame that arrives at an
// OpenFlow port: the steps through the tables and the datapath actions.
func (sw *Switch) Trace(bridge string, port int, frame []byte) (string, error) {
	return sw.Appctl("ofproto/trace", bridge, fmt.Sprintf("in_port=%d", port), hex.EncodeToString(frame))
}

// Purge empties the megaflow cache. Afterwards the counters of OpenFlow flows
// hold every packet processed so far, and the next packet of every kind is
// judged by the OpenFlow tables as they are now.
//
// Where the kernel has the megaflows, ovs-vswitchd 3.1 aborts when its revalidators are
// at work on one that is being purged, so they are paused for it. Afterwards they may
// hold a list of megaflows that are gone, and delete what is there again by those names:
// they are given the time to get to its end.
func (sw *Switch) Purge() error {
	if !sw.datapath.InKernel() {
		_, err := sw.Appctl("revalidator/purge")
		return err
	}
	if _, err := sw.Appctl("revalidator/pause"); err != nil {
		return err
	}
	_, err := sw.Appctl("revalidator/purge")
	_, resumed := sw.Appctl("revalidator/resume")
	if err := errors.Join(err, resumed); err != nil {
		return err
	}
	_, err = sw.Appctl("revalidator/wait")
	return err
}

func (sw *Switch) vswitchdRuns() bool {
	sw.daemons.Lock()
	defer sw.daemons.Unlock()
	return sw.vswitch.running()
}

func (sw *Switch) ovsdbRuns() bool {
	sw.daemons.Lock()
	defer sw.daemons.Unlock()
	return sw.ovsdb.running()
}

func (sw *Switch) pcap(port string) string { return sw.file(port + ".tx.pcap") }

// mapArgs are the arguments "column:key=value" of ovs-vsctl, sorted by key.
func mapArgs(column string, values map[string]string) []string {
	var args []string
	for _, key := range slices.Sorted(maps.Keys(values)) {
		args = append(args, column+":"+quote(key)+"="+quote(values[key]))
	}
	return args
}

// quote writes a string for ovs-vsctl, which takes JSON's notation.
func quote(s string) string {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	// A string always encodes, and a bytes.Buffer takes everything.
	_ = enc.Encode(s)
	return strings.TrimSuffix(buf.String(), "\n")
}
