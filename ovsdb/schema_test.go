package ovsdb

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/test/lab"
)

// TestOlderSchema: a database of before Open vSwitch 2.14 lacks what vifguard can do
// without, and shows everything else.
func TestOlderSchema(t *testing.T) {
	type table struct {
		Columns map[string]json.RawMessage `json:"columns"`
		MaxRows int                        `json:"maxRows,omitempty"`
		IsRoot  bool                       `json:"isRoot,omitempty"`
		Indexes json.RawMessage            `json:"indexes,omitempty"`
	}
	for name, change := range map[string]func(map[string]table){
		"no datapaths": func(tables map[string]table) {
			delete(tables, "Datapath")
			delete(tables["Open_vSwitch"].Columns, "datapaths")
			delete(tables["Controller"].Columns, "type")
		},
		"no capabilities": func(tables map[string]table) { delete(tables["Datapath"].Columns, "capabilities") },
	} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(schemaFile)
			if err != nil {
				lab.Unmet(t, err.Error())
			}
			var schema struct {
				Name    string           `json:"name"`
				Version string           `json:"version"`
				Tables  map[string]table `json:"tables"`
			}
			if err := json.Unmarshal(text, &schema); err != nil {
				t.Fatal(err)
			}
			schema.Version = "8.1.0"
			change(schema.Tables)
			path := filepath.Join(t.TempDir(), "schema")
			text, err = json.Marshal(schema)
			if err == nil {
				err = os.WriteFile(path, text, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			s := newServerOf(t, path)
			s.start()
			s.vsctl("init -- add-br br0 -- set-manager ptcp:9 -- set-controller br0 ptcp:8 -- set Open_vSwitch . external_ids:vifguard-agent=me")
			c := s.dial()
			h := c.Host()
			if h.Bridge("br0") == nil || len(h.Facts.Managers) != 1 || len(h.Bridge("br0").Facts.Controllers) != 1 || h.Agent != "me" || c.RootUUID() == "" || h.Facts.Capabilities != nil {
				t.Errorf("%+v\n%s", h.Facts, dump(h))
			}
			s.vsctl("set Open_vSwitch . other_config:vlan-limit=0")
			s.wait(c, "a change of the root row", func(h *model.Host) bool { return h.Facts.VLANLimit == "0" })
		})
	}
}
