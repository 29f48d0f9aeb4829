package ovsdb

import (
	"cmp"
	"reflect"
	"testing"

	ovsmodel "github.com/ovn-org/libovsdb/model"

	"github.com/vifguard/vifguard/model"
)

// fields calls visit with a new value of T for each of its fields, of which that one and
// nothing else is set, structs within it field by field.
func fields[T any](visit func(name string, v *T)) {
	var walk func(path []int, t reflect.Type, name string)
	walk = func(path []int, t reflect.Type, name string) {
		for i := range t.NumField() {
			f, at := t.Field(i), append(append([]int{}, path...), i)
			if f.Type.Kind() == reflect.Struct {
				walk(at, f.Type, name+f.Name+".")
				continue
			}
			v := new(T)
			reflect.ValueOf(v).Elem().FieldByIndex(at).Set(filled(f.Type))
			visit(name+f.Name, v)
		}
	}
	walk(nil, reflect.TypeFor[T](), "")
}

// filled returns a value that isn't the zero value, in all its parts.
func filled(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	switch t.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(7)
	case reflect.Uint32:
		v.SetUint(7)
	case reflect.String:
		v.SetString("x")
	case reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		v.Elem().Set(filled(t.Elem()))
	case reflect.Slice:
		v.Set(reflect.Append(v, filled(t.Elem())))
	case reflect.Map:
		v.Set(reflect.MakeMap(t))
		v.SetMapIndex(filled(t.Key()), filled(t.Elem()))
	case reflect.Struct:
		for i := range t.NumField() {
			v.Field(i).Set(filled(t.Field(i).Type))
		}
	default:
		panic("no value for a " + t.String())
	}
	return v
}

type ownRow[T any] interface {
	*T
	ovsmodel.CloneableModel
	ovsmodel.ComparableModel
}

// checkRow: no field is forgotten where rows are compared and cloned, and a clone shares
// nothing with its original.
func checkRow[T any, P ownRow[T]](t *testing.T) {
	t.Helper()
	fields(func(name string, v *T) {
		row := P(v)
		if row.EqualsModel(P(new(T))) || P(new(T)).EqualsModel(row) {
			t.Errorf("%T: EqualsModel doesn't look at %s", row, name)
		}
		clone := row.CloneModel()
		if !reflect.DeepEqual(clone, row) || !row.EqualsModel(clone) {
			t.Errorf("%T: CloneModel leaves out %s", row, name)
		}
		into := P(new(T))
		row.CloneModelInto(into)
		for _, c := range []any{clone, into} {
			scribble(reflect.ValueOf(c).Elem().FieldByName(name))
		}
		if want := filled(reflect.TypeOf(*v).Field(fieldIndex(*v, name)).Type).Interface(); !reflect.DeepEqual(reflect.ValueOf(*v).FieldByName(name).Interface(), want) {
			t.Errorf("%T: a clone shares %s", row, name)
		}
	})
}

func fieldIndex(v any, name string) int {
	f, _ := reflect.TypeOf(v).FieldByName(name)
	return f.Index[0]
}

// scribble changes what a value refers to.
func scribble(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Elem().SetZero()
	case reflect.Slice:
		v.Index(0).SetZero()
	case reflect.Map:
		v.Clear()
	}
}

func TestRowsForgetNoField(t *testing.T) {
	checkRow[rootRow](t)
	checkRow[bridgeRow](t)
	checkRow[portRow](t)
	checkRow[interfaceRow](t)
}

// TestOldRows: the rows of old databases lack one column, and nothing else.
func TestOldRows(t *testing.T) {
	for _, test := range []struct {
		now, old ovsmodel.Model
		lacks    string
	}{
		{&rootRow{}, &oldRootRow{}, "datapaths"},
		{&controllerRow{}, &oldControllerRow{}, "type"},
	} {
		if got, want := columnsOf(test.now), append(columnsOf(test.old), test.lacks); !reflect.DeepEqual(got, want) {
			t.Errorf("columns %q, want %q", got, want)
		}
	}
}

// TestModelForgetsNoField: whatever differs between two values makes a new one.
func TestModelForgetsNoField(t *testing.T) {
	fields(func(name string, i *model.Interface) {
		if equalInterface(i, &model.Interface{}) {
			t.Errorf("equalInterface doesn't look at %s", name)
		}
	})
	fields(func(name string, b *model.Bridge) {
		if name != "Interfaces" && equalRow(b, &model.Bridge{}) {
			t.Errorf("equalRow doesn't look at %s", name)
		}
	})
	fields(func(name string, h *model.Host) {
		if equalHost(h, &model.Host{}) {
			t.Errorf("equalHost doesn't look at %s", name)
		}
	})
	fields(func(name string, f *model.HostFacts) {
		if f.Equal(&model.HostFacts{}) {
			t.Errorf("HostFacts.Equal doesn't look at %s", name)
		}
	})
	fields(func(name string, m *model.Mirror) {
		one, other := model.BridgeFacts{Mirrors: []model.Mirror{*m}}, model.BridgeFacts{Mirrors: []model.Mirror{{}}}
		if one.Equal(&other) {
			t.Errorf("BridgeFacts.Equal doesn't look at %s of a mirror", name)
		}
	})
	fields(func(name string, r *model.Remote) {
		if model.CompareRemotes(*r, model.Remote{}) == 0 {
			t.Errorf("CompareRemotes doesn't look at %s", name)
		}
	})
}

// meaningful are values that a column needs to mean something.
var meaningful = map[string]any{
	"FailMode": ptr("secure"), "OFPort": ptr(7), "LACP": ptr("active"), "Mode": ptr("out-of-band"), "controllerRow.Type": ptr("service"),
}

func ptr[T any](v T) *T { return &v }

// meanings are the maps of which single keys are read.
var meanings = map[string]map[string]string{
	"bridgeRow.OtherConfig": {"disable-in-band": "true"}, "portRow.OtherConfig": {"stp-enable": "false"}, "portRow.ExternalIDs": {model.KeyClosed: "stp-enable"},
	"interfaceRow.Options": {"remote_ip": "flow"}, "interfaceRow.BFD": {"enable": "true"}, "interfaceRow.LLDP": {"enable": "true"},
	"rootRow.ExternalIDs": {"port-security-profile-x": "y"}, "rootRow.OtherConfig": {"vlan-limit": "2"},
}

// checkRead: each column changes what is made of the row, so that none is monitored in
// vain and none forgotten.
func checkRead[T any](t *testing.T, r replica, read func(replica, *T) any) {
	t.Helper()
	zero := read(r, new(T))
	fields(func(name string, v *T) {
		field, row := reflect.ValueOf(v).Elem().FieldByName(name), reflect.TypeFor[T]().Name()
		if m := meanings[row+"."+name]; m != nil {
			field.Set(reflect.ValueOf(m))
		} else if m := cmp.Or(meaningful[row+"."+name], meaningful[name]); m != nil {
			field.Set(reflect.ValueOf(m))
		}
		if reflect.DeepEqual(read(r, v), zero) {
			t.Errorf("%s: nothing reads %s", row, name)
		}
	})
}

func TestRowsAreReadInFull(t *testing.T) {
	x := &controllerRow{UUID: "x", Target: "tcp:192.0.2.1"}
	r := &rows{remotes: map[string]*controllerRow{"x": x}, mirrors: map[string]*mirrorRow{"x": {Name: "x"}}, paths: map[string]*datapathRow{"x": {}}}
	checkRead(t, r, func(r replica, row *rootRow) any {
		return []any{row.UUID, row.Bridges, row.profiles(), row.facts(r)} // the rebuild takes the first two
	})
	checkRead(t, r, func(r replica, row *bridgeRow) any {
		n := &bridgeNode{ports: row.Ports}
		n.load(r, row)
		return *n
	})
	checkRead(t, r, func(_ replica, row *portRow) any { return []any{row.port(), row.Interfaces} })
	checkRead(t, r, func(_ replica, row *interfaceRow) any { return row.iface(&port{}) })
	checkRead(t, r, func(_ replica, row *controllerRow) any { return []any{row.UUID, row.remote()} })
	checkRead(t, r, func(_ replica, row *mirrorRow) any {
		return []any{row.UUID, row.mirror(func(u string) string { return u })}
	})
	checkRead(t, r, func(_ replica, row *datapathRow) any { return []any{row.UUID, row.Capabilities} })
}
