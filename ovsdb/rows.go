package ovsdb

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	ovsmodel "github.com/ovn-org/libovsdb/model"

	"github.com/vifguard/vifguard/model"
)

const databaseName = "Open_vSwitch"

// Table names a table of the Open_vSwitch database.
type Table string

// The tables that vifguard writes to.
const (
	TableOpenvSwitch Table = "Open_vSwitch"
	TableBridge      Table = "Bridge"
	TablePort        Table = "Port"
	TableInterface   Table = "Interface"
)

// The tables that are only read, each by way of the rows that refer to it.
const (
	tableController Table = "Controller"
	tableManager    Table = "Manager"
	tableMirror     Table = "Mirror"
	tableDatapath   Table = "Datapath"
)

// OVSDB holds OpenFlow 1.0 port numbers of 16 bits; OpenFlow 1.3 has 32 bits and
// moved the reserved numbers to the top.
const (
	localPort10 = 0xfffe     // OFPP_LOCAL in the ofport column
	maxPort13   = 0xfffffeff // highest port number that isn't reserved
)

// Each row type names in its tags the columns that are monitored. Every other column,
// above all Interface's statistics, changes without waking vifguard.

type rootRow struct {
	UUID        string            `ovsdb:"_uuid"`
	Bridges     []string          `ovsdb:"bridges"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
	OtherConfig map[string]string `ovsdb:"other_config"`
	Managers    []string          `ovsdb:"manager_options"`
	Datapaths   map[string]string `ovsdb:"datapaths"`
}

// oldRootRow is a rootRow of a database without table Datapath.
type oldRootRow struct {
	UUID        string            `ovsdb:"_uuid"`
	Bridges     []string          `ovsdb:"bridges"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
	OtherConfig map[string]string `ovsdb:"other_config"`
	Managers    []string          `ovsdb:"manager_options"`
	Datapaths   map[string]string // always nil
}

type bridgeRow struct {
	UUID          string            `ovsdb:"_uuid"`
	Name          string            `ovsdb:"name"`
	Ports         []string          `ovsdb:"ports"`
	ExternalIDs   map[string]string `ovsdb:"external_ids"`
	OtherConfig   map[string]string `ovsdb:"other_config"`
	Protocols     []string          `ovsdb:"protocols"`
	FailMode      *string           `ovsdb:"fail_mode"`
	Controllers   []string          `ovsdb:"controller"`
	Mirrors       []string          `ovsdb:"mirrors"`
	DatapathType  string            `ovsdb:"datapath_type"`
	STP           bool              `ovsdb:"stp_enable"`
	RSTP          bool              `ovsdb:"rstp_enable"`
	McastSnooping bool              `ovsdb:"mcast_snooping_enable"`
}

type portRow struct {
	UUID        string            `ovsdb:"_uuid"`
	Name        string            `ovsdb:"name"`
	Interfaces  []string          `ovsdb:"interfaces"`
	OtherConfig map[string]string `ovsdb:"other_config"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
	LACP        *string           `ovsdb:"lacp"`
}

type interfaceRow struct {
	UUID        string            `ovsdb:"_uuid"`
	Name        string            `ovsdb:"name"`
	Type        string            `ovsdb:"type"`
	OFPort      *int              `ovsdb:"ofport"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
	Options     map[string]string `ovsdb:"options"`
	BFD         map[string]string `ovsdb:"bfd"`
	CFM         *int              `ovsdb:"cfm_mpid"`
	LLDP        map[string]string `ovsdb:"lldp"`
}

// There are few of the rows below, so libovsdb may clone and compare them as it does.

type controllerRow struct {
	UUID      string  `ovsdb:"_uuid"`
	Target    string  `ovsdb:"target"`
	Mode      *string `ovsdb:"connection_mode"`
	Connected bool    `ovsdb:"is_connected"`
	Type      *string `ovsdb:"type"`
}

// remoteRow is a controllerRow without its type: a row of Manager, or of Controller in an
// old database.
type remoteRow struct {
	UUID      string  `ovsdb:"_uuid"`
	Target    string  `ovsdb:"target"`
	Mode      *string `ovsdb:"connection_mode"`
	Connected bool    `ovsdb:"is_connected"`
	Type      *string // always nil
}

// libovsdb tells tables apart by the types of their rows.
type (
	managerRow       remoteRow
	oldControllerRow remoteRow
)

type mirrorRow struct {
	UUID       string   `ovsdb:"_uuid"`
	Name       string   `ovsdb:"name"`
	All        bool     `ovsdb:"select_all"`
	From       []string `ovsdb:"select_src_port"`
	Output     *string  `ovsdb:"output_port"`
	OutputVLAN *int     `ovsdb:"output_vlan"`
}

type datapathRow struct {
	UUID         string            `ovsdb:"_uuid"`
	Capabilities map[string]string `ovsdb:"capabilities"`
}

// rowTypes are the tables that are monitored. Open vSwitch before 2.14 lacks some of the
// newer columns; all else is there since 2.4.
func rowTypes(old bool) map[Table]ovsmodel.Model {
	types := map[Table]ovsmodel.Model{
		TableBridge:    &bridgeRow{},
		TablePort:      &portRow{},
		TableInterface: &interfaceRow{},
		tableManager:   &managerRow{},
		tableMirror:    &mirrorRow{},
	}
	if old {
		types[TableOpenvSwitch], types[tableController] = &oldRootRow{}, &oldControllerRow{}
	} else {
		types[TableOpenvSwitch], types[tableController], types[tableDatapath] = &rootRow{}, &controllerRow{}, &datapathRow{}
	}
	return types
}

func clientModel(types map[Table]ovsmodel.Model) (ovsmodel.ClientDBModel, error) {
	byName := make(map[string]ovsmodel.Model, len(types))
	for table, row := range types {
		byName[string(table)] = row
	}
	return ovsmodel.NewClientDBModel(databaseName, byName)
}

// columnsOf returns the columns that a row type names.
func columnsOf(row ovsmodel.Model) (columns []string) {
	t := reflect.TypeOf(row).Elem()
	for i := range t.NumField() {
		if c := t.Field(i).Tag.Get("ovsdb"); c != "" && c != "_uuid" {
			columns = append(columns, c)
		}
	}
	return columns
}

// rowUUID returns the UUID of a pointer to one of the row types.
func rowUUID(m ovsmodel.Model) string {
	switch r := m.(type) {
	case *rootRow:
		return r.UUID
	case *bridgeRow:
		return r.UUID
	case *portRow:
		return r.UUID
	case *interfaceRow:
		return r.UUID
	}
	return "" // of the others it doesn't matter which row it is
}

// profiles returns the security profiles among the external_ids.
func (r *rootRow) profiles() map[string]string {
	p := make(map[string]string)
	for k, v := range r.ExternalIDs {
		if name, ok := strings.CutPrefix(k, model.ProfilePrefix); ok && name != "" {
			p[name] = v
		}
	}
	return p
}

// ovnBridge returns the name of the bridge that ovn-controller programs, "" when none
// runs on this host: ovn-controller(8), ovn-remote and ovn-bridge.
func (r *rootRow) ovnBridge() string {
	if r.ExternalIDs["ovn-remote"] == "" {
		return ""
	}
	if name := r.ExternalIDs["ovn-bridge"]; name != "" {
		return name
	}
	return "br-int"
}

// bridge returns the row's own columns as a model.Bridge without interfaces.
func (r *bridgeRow) bridge() *model.Bridge {
	slices.Sort(r.Protocols) // a set: its order in the replica isn't stable
	b := &model.Bridge{UUID: r.UUID, Name: r.Name, ExternalIDs: r.ExternalIDs, Protocols: r.Protocols,
		HasController: len(r.Controllers) > 0,
		Facts: model.BridgeFacts{
			DatapathType: r.DatapathType, DisableInBand: r.OtherConfig[model.ConfigInBand],
			STP: r.STP, RSTP: r.RSTP, McastSnooping: r.McastSnooping,
		}}
	if r.FailMode != nil {
		b.FailMode = *r.FailMode
	}
	return b
}

// isSet reports whether a map holds a boolean, as Open vSwitch reads one (smap_get_bool).
func isSet(m map[string]string, key string, value bool) bool {
	return strings.EqualFold(m[key], strconv.FormatBool(value))
}

// iface returns the row as an interface of a port, whose facts are filled in.
func (r *interfaceRow) iface(p *port) *model.Interface {
	i := &model.Interface{
		UUID: r.UUID, Name: r.Name, Port: p.name, Type: r.Type,
		OFPort: ofport(r.OFPort), ExternalIDs: r.ExternalIDs, Facts: p.facts,
	}
	f := &i.Facts
	f.BFD, f.CFM, f.LLDP = isSet(r.BFD, "enable", true), r.CFM != nil, isSet(r.LLDP, "enable", true)
	f.RemoteIP, f.LocalIP = r.Options["remote_ip"], r.Options["local_ip"]
	return i
}

// port is what a Port row says of each of its interfaces.
type port struct {
	name  string
	facts model.InterfaceFacts
}

func (r *portRow) port() port {
	return port{name: r.Name, facts: model.InterfaceFacts{
		PortUUID: r.UUID,
		STP:      r.OtherConfig["stp-enable"], RSTP: r.OtherConfig["rstp-enable"], Closed: r.ExternalIDs[model.KeyClosed],
		LACP: r.LACP != nil && *r.LACP != "off",
	}}
}

// facts returns what the row says of the whole switch.
func (r *rootRow) facts(rep replica) *model.HostFacts {
	f := &model.HostFacts{
		VLANLimit: r.OtherConfig["vlan-limit"], HWOffload: r.OtherConfig["hw-offload"], TCPolicy: r.OtherConfig["tc-policy"],
		Managers: remotes(r.Managers, rep.manager),
	}
	for kind, u := range r.Datapaths {
		if d := rep.datapath(u); d != nil {
			if f.Capabilities == nil {
				f.Capabilities = map[string]map[string]string{}
			}
			f.Capabilities[kind] = d.Capabilities
		}
	}
	return f
}

// remotes reads rows of Controller or Manager, and sorts them: a set has no order.
func remotes(uuids []string, read func(uuid string) *controllerRow) (list []model.Remote) {
	for _, u := range uuids {
		if row := read(u); row != nil {
			list = append(list, row.remote())
		}
	}
	slices.SortFunc(list, model.CompareRemotes)
	return list
}

func (r *controllerRow) remote() model.Remote {
	return model.Remote{
		Target: r.Target, OutOfBand: r.Mode != nil && *r.Mode == "out-of-band", Connected: r.Connected,
		Service: r.service(),
	}
}

// service reports whether a controller is one that fail_mode doesn't look at: by its type
// or, where that is empty, one that Open vSwitch listens for (ovs-vswitchd.conf.db(5)).
func (r *controllerRow) service() bool {
	if r.Type != nil {
		return *r.Type == "service"
	}
	kind, _, _ := strings.Cut(r.Target, ":")
	return kind == "ptcp" || kind == "pssl" || kind == "punix"
}

// mirror returns the row with the names of the ports that it refers to by UUID.
func (r *mirrorRow) mirror(name func(uuid string) string) model.Mirror {
	m := model.Mirror{Name: r.Name, All: r.All}
	for _, u := range r.From {
		m.From = append(m.From, name(u))
	}
	slices.Sort(m.From)
	if r.Output != nil {
		m.Output = name(*r.Output)
	}
	if r.OutputVLAN != nil {
		m.OutputVLAN = *r.OutputVLAN
	}
	return m
}

// ofport translates the column to an OpenFlow 1.3 number; 0 means no usable one
// (-1 is how Open vSwitch records that it couldn't add the port).
func ofport(column *int) uint32 {
	switch {
	case column == nil || *column < 1 || *column > maxPort13:
		return 0
	case *column == localPort10:
		return model.LocalPort
	}
	return uint32(*column)
}

// The rest of this file spares libovsdb its generic clone and compare of rows,
// which go through JSON and reflection on each update.

func cloneInto[T any](dst ovsmodel.Model, src *T) {
	if d, ok := dst.(*T); ok {
		*d = *src
	}
}

func clonePtr[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

func equalPtr[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

func (r *rootRow) clone() *rootRow {
	c := *r
	c.Bridges, c.Managers = slices.Clone(r.Bridges), slices.Clone(r.Managers)
	c.ExternalIDs, c.OtherConfig, c.Datapaths = maps.Clone(r.ExternalIDs), maps.Clone(r.OtherConfig), maps.Clone(r.Datapaths)
	return &c
}

func (r *bridgeRow) clone() *bridgeRow {
	c := *r
	c.Ports, c.ExternalIDs, c.OtherConfig = slices.Clone(r.Ports), maps.Clone(r.ExternalIDs), maps.Clone(r.OtherConfig)
	c.Protocols, c.FailMode = slices.Clone(r.Protocols), clonePtr(r.FailMode)
	c.Controllers, c.Mirrors = slices.Clone(r.Controllers), slices.Clone(r.Mirrors)
	return &c
}

func (r *portRow) clone() *portRow {
	c := *r
	c.Interfaces, c.LACP = slices.Clone(r.Interfaces), clonePtr(r.LACP)
	c.OtherConfig, c.ExternalIDs = maps.Clone(r.OtherConfig), maps.Clone(r.ExternalIDs)
	return &c
}

func (r *interfaceRow) clone() *interfaceRow {
	c := *r
	c.OFPort, c.CFM = clonePtr(r.OFPort), clonePtr(r.CFM)
	c.ExternalIDs, c.Options = maps.Clone(r.ExternalIDs), maps.Clone(r.Options)
	c.BFD, c.LLDP = maps.Clone(r.BFD), maps.Clone(r.LLDP)
	return &c
}

func (r *rootRow) CloneModel() ovsmodel.Model      { return r.clone() }
func (r *bridgeRow) CloneModel() ovsmodel.Model    { return r.clone() }
func (r *portRow) CloneModel() ovsmodel.Model      { return r.clone() }
func (r *interfaceRow) CloneModel() ovsmodel.Model { return r.clone() }

func (r *rootRow) CloneModelInto(m ovsmodel.Model)      { cloneInto(m, r.clone()) }
func (r *bridgeRow) CloneModelInto(m ovsmodel.Model)    { cloneInto(m, r.clone()) }
func (r *portRow) CloneModelInto(m ovsmodel.Model)      { cloneInto(m, r.clone()) }
func (r *interfaceRow) CloneModelInto(m ovsmodel.Model) { cloneInto(m, r.clone()) }

func (r *rootRow) EqualsModel(m ovsmodel.Model) bool {
	o, ok := m.(*rootRow)
	return ok && r.UUID == o.UUID && slices.Equal(r.Bridges, o.Bridges) && slices.Equal(r.Managers, o.Managers) &&
		maps.Equal(r.ExternalIDs, o.ExternalIDs) && maps.Equal(r.OtherConfig, o.OtherConfig) && maps.Equal(r.Datapaths, o.Datapaths)
}

func (r *bridgeRow) EqualsModel(m ovsmodel.Model) bool {
	o, ok := m.(*bridgeRow)
	return ok && r.UUID == o.UUID && r.Name == o.Name && equalPtr(r.FailMode, o.FailMode) &&
		r.DatapathType == o.DatapathType && r.STP == o.STP && r.RSTP == o.RSTP && r.McastSnooping == o.McastSnooping &&
		slices.Equal(r.Ports, o.Ports) && slices.Equal(r.Protocols, o.Protocols) &&
		slices.Equal(r.Controllers, o.Controllers) && slices.Equal(r.Mirrors, o.Mirrors) &&
		maps.Equal(r.ExternalIDs, o.ExternalIDs) && maps.Equal(r.OtherConfig, o.OtherConfig)
}

func (r *portRow) EqualsModel(m ovsmodel.Model) bool {
	o, ok := m.(*portRow)
	return ok && r.UUID == o.UUID && r.Name == o.Name && equalPtr(r.LACP, o.LACP) &&
		slices.Equal(r.Interfaces, o.Interfaces) &&
		maps.Equal(r.OtherConfig, o.OtherConfig) && maps.Equal(r.ExternalIDs, o.ExternalIDs)
}

func (r *interfaceRow) EqualsModel(m ovsmodel.Model) bool {
	o, ok := m.(*interfaceRow)
	return ok && r.UUID == o.UUID && r.Name == o.Name && r.Type == o.Type &&
		equalPtr(r.OFPort, o.OFPort) && equalPtr(r.CFM, o.CFM) &&
		maps.Equal(r.ExternalIDs, o.ExternalIDs) && maps.Equal(r.Options, o.Options) &&
		maps.Equal(r.BFD, o.BFD) && maps.Equal(r.LLDP, o.LLDP)
}
