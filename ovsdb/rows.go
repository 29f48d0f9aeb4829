package ovsdb

import (
	"maps"
	"slices"
	"strings"

	ovsmodel "github.com/ovn-org/libovsdb/model"

	"github.com/vifguard/vifguard/model"
)

const databaseName = "Open_vSwitch"

// Table names a table of the Open_vSwitch database.
type Table string

// The tables with external_ids that vifguard writes to.
const (
	TableOpenvSwitch Table = "Open_vSwitch"
	TableBridge      Table = "Bridge"
	TableInterface   Table = "Interface"

	tablePort Table = "Port" // read only
)

// columns is all that is monitored. Every other column, above all Interface's
// statistics, changes without waking vifguard.
var columns = map[Table][]string{
	TableOpenvSwitch: {"bridges", "external_ids"},
	TableBridge:      {"name", "ports", "external_ids", "protocols", "fail_mode", "controller"},
	tablePort:        {"name", "interfaces"},
	TableInterface:   {"name", "type", "ofport", "external_ids"},
}

// OVSDB holds OpenFlow 1.0 port numbers of 16 bits; OpenFlow 1.3 has 32 bits and
// moved the reserved numbers to the top.
const (
	localPort10 = 0xfffe     // OFPP_LOCAL in the ofport column
	maxPort13   = 0xfffffeff // highest port number that isn't reserved
)

type rootRow struct {
	UUID        string            `ovsdb:"_uuid"`
	Bridges     []string          `ovsdb:"bridges"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
}

type bridgeRow struct {
	UUID        string            `ovsdb:"_uuid"`
	Name        string            `ovsdb:"name"`
	Ports       []string          `ovsdb:"ports"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
	Protocols   []string          `ovsdb:"protocols"`
	FailMode    *string           `ovsdb:"fail_mode"`
	Controller  []string          `ovsdb:"controller"`
}

type portRow struct {
	UUID       string   `ovsdb:"_uuid"`
	Name       string   `ovsdb:"name"`
	Interfaces []string `ovsdb:"interfaces"`
}

type interfaceRow struct {
	UUID        string            `ovsdb:"_uuid"`
	Name        string            `ovsdb:"name"`
	Type        string            `ovsdb:"type"`
	OFPort      *int              `ovsdb:"ofport"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
}

func clientModel() (ovsmodel.ClientDBModel, error) {
	return ovsmodel.NewClientDBModel(databaseName, map[string]ovsmodel.Model{
		string(TableOpenvSwitch): &rootRow{},
		string(TableBridge):      &bridgeRow{},
		string(tablePort):        &portRow{},
		string(TableInterface):   &interfaceRow{},
	})
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
	return ""
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
		HasController: len(r.Controller) > 0}
	if r.FailMode != nil {
		b.FailMode = *r.FailMode
	}
	return b
}

// iface returns the row as an interface of the port of that name.
func (r *interfaceRow) iface(port string) *model.Interface {
	return &model.Interface{
		UUID: r.UUID, Name: r.Name, Port: port, Type: r.Type,
		OFPort: ofport(r.OFPort), ExternalIDs: r.ExternalIDs,
	}
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
	c.Bridges, c.ExternalIDs = slices.Clone(r.Bridges), maps.Clone(r.ExternalIDs)
	return &c
}

func (r *bridgeRow) clone() *bridgeRow {
	c := *r
	c.Ports, c.ExternalIDs = slices.Clone(r.Ports), maps.Clone(r.ExternalIDs)
	c.Protocols, c.FailMode = slices.Clone(r.Protocols), clonePtr(r.FailMode)
	c.Controller = slices.Clone(r.Controller)
	return &c
}

func (r *portRow) clone() *portRow {
	c := *r
	c.Interfaces = slices.Clone(r.Interfaces)
	return &c
}

func (r *interfaceRow) clone() *interfaceRow {
	c := *r
	c.OFPort, c.ExternalIDs = clonePtr(r.OFPort), maps.Clone(r.ExternalIDs)
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
	return ok && r.UUID == o.UUID && slices.Equal(r.Bridges, o.Bridges) && maps.Equal(r.ExternalIDs, o.ExternalIDs)
}

func (r *bridgeRow) EqualsModel(m ovsmodel.Model) bool {
	o, ok := m.(*bridgeRow)
	return ok && r.UUID == o.UUID && r.Name == o.Name && equalPtr(r.FailMode, o.FailMode) &&
		slices.Equal(r.Ports, o.Ports) && slices.Equal(r.Protocols, o.Protocols) && slices.Equal(r.Controller, o.Controller) &&
		maps.Equal(r.ExternalIDs, o.ExternalIDs)
}

func (r *portRow) EqualsModel(m ovsmodel.Model) bool {
	o, ok := m.(*portRow)
	return ok && r.UUID == o.UUID && r.Name == o.Name && slices.Equal(r.Interfaces, o.Interfaces)
}

func (r *interfaceRow) EqualsModel(m ovsmodel.Model) bool {
	o, ok := m.(*interfaceRow)
	return ok && r.UUID == o.UUID && r.Name == o.Name && r.Type == o.Type &&
		equalPtr(r.OFPort, o.OFPort) && maps.Equal(r.ExternalIDs, o.ExternalIDs)
}
