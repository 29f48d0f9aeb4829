package libvirt

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vifguard/vifguard/model"
)

// domain returns a description as libvirt 9.0 gives it to a hook, with two interfaces.
func domain(metadata string) string {
	return fmt.Sprintf(`<domain type='qemu' id='1'>
  <name>web1</name>
  <uuid>6f1c6a3e-2f7b-4c53-9f0e-0d6b8f9f7a11</uuid>
  <metadata>
    <libosinfo:libosinfo xmlns:libosinfo="http://libosinfo.org/xmlns/libvirt/domain/1.0">
      <libosinfo:os id="http://debian.org/debian/12"/>
    </libosinfo:libosinfo>
    %s
  </metadata>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <interface type='bridge'>
      <mac address='52:54:00:00:00:10'/>
      <source bridge='br0'/>
      <virtualport type='openvswitch'>
        <parameters interfaceid='414dbe5f-7b55-4bb6-be1a-23a4b224e88b' profileid='web'/>
      </virtualport>
      <target dev='vnet0'/>
    </interface>
    <interface type='network'><mac address='52:54:00:00:00:11'/></interface>
  </devices>
</domain>
`, metadata)
}

// portsElement returns vifguard's element around what is given.
func portsElement(inner string) string {
	return `<vifguard:ports xmlns:vifguard="https://vifguard.org/libvirt/1">` + inner + `</vifguard:ports>`
}

var (
	mac1 = model.MAC{0x52, 0x54, 0, 0, 0, 0x10}
	mac2 = model.MAC{0x52, 0x54, 0, 0, 0, 0x11}
)

func TestParse(t *testing.T) {
	for name, test := range map[string]struct {
		metadata string
		want     []Port
	}{
		"nothing of vifguard's": {``, nil},
		"no port":               {portsElement(``), nil},
		"addresses": {
			portsElement(`<vifguard:port mac="52:54:00:00:00:10" addresses="192.0.2.10 2001:db8::10"/>`),
			[]Port{{mac1, map[string]string{"allowed-addresses": "192.0.2.10 2001:db8::10"}}},
		},
		"everything, two ports, another prefix": {
			`<v:ports xmlns:v="https://vifguard.org/libvirt/1">
			   <v:port mac="52:54:00:00:00:11" checks="mac,arp"/>
			   <v:port mac="52-54-00-00-00-10" addresses="192.0.2.10" pairs="192.0.2.100@00:00:5e:00:01:07"
			           checks="mac,arp,ip" action="observe" allow="router dhcp-server"/>
			 </v:ports>`,
			[]Port{
				{mac2, map[string]string{"port-security": "mac,arp"}},
				{mac1, map[string]string{
					"allowed-addresses": "192.0.2.10", "allowed-address-pairs": "192.0.2.100@00:00:5e:00:01:07",
					"port-security": "mac,arp,ip", "port-security-action": "observe", "port-security-allow": "router dhcp-server",
				}},
			},
		},
		"default namespace": {
			`<ports xmlns="https://vifguard.org/libvirt/1"><port mac="52:54:00:00:00:10" checks="off"/></ports>`,
			[]Port{{mac1, map[string]string{"port-security": "off"}}},
		},
		"somebody else's attribute": {
			portsElement(`<vifguard:port mac="52:54:00:00:00:10" xmlns:acme="urn:acme" acme:owner="42"/>`),
			[]Port{{mac1, map[string]string{}}},
		},
		"Neutron's list": {
			portsElement(`<vifguard:port mac="52:54:00:00:00:10" pairs='[{"ip_address": "192.0.2.7"}]'/>`),
			[]Port{{mac1, map[string]string{"allowed-address-pairs": `[{"ip_address": "192.0.2.7"}]`}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(strings.NewReader(domain(test.metadata)))
			if err != nil {
				t.Fatal(err)
			}
			want := &Domain{Name: "web1", UUID: "6f1c6a3e-2f7b-4c53-9f0e-0d6b8f9f7a11", Ports: test.want, Profiles: map[model.MAC]string{mac1: "web"}}
			for _, mac := range []model.MAC{mac1, mac2} {
				if !slices.ContainsFunc(test.want, func(p Port) bool { return p.MAC == mac }) {
					want.Unstated = append(want.Unstated, mac)
				}
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		xml  string
		want []string
	}{
		"no XML":           {``, []string{"standard input"}},
		"other XML":        {`<network/>`, []string{"expected element type <domain>"}},
		"cut off":          {domain("")[:200], []string{"parse the domain's XML"}},
		"no uuid":          {strings.Replace(domain(portsElement(`<vifguard:port mac="52:54:00:00:00:10"/>`)), "uuid>", "id>", 2), []string{"no <uuid>"}},
		"no MAC":           {domain(portsElement(`<vifguard:port addresses="192.0.2.1"/>`)), []string{"attribute mac is missing"}},
		"bad MAC":          {domain(portsElement(`<vifguard:port mac="52:54"/>`)), []string{`mac: "52:54" is not a MAC address`}},
		"another's MAC":    {domain(portsElement(`<vifguard:port mac="52:54:00:00:00:99"/>`)), []string{"port 52:54:00:00:00:99: the domain has no interface with this MAC"}},
		"twice":            {domain(portsElement(strings.Repeat(`<vifguard:port mac="52:54:00:00:00:10"/>`, 2))), []string{"occurs twice"}},
		"bad address":      {domain(portsElement(`<vifguard:port mac="52:54:00:00:00:10" addresses="192.0.2.300"/>`)), []string{`port 52:54:00:00:00:10: addresses: "192.0.2.300" is not an IP address`}},
		"bad checks":       {domain(portsElement(`<vifguard:port mac="52:54:00:00:00:10" checks="ip"/>`)), []string{`checks: "ip"`, "want auto, mac, mac,arp"}},
		"unknown word":     {domain(portsElement(`<vifguard:port mac="52:54:00:00:00:10" adresses="192.0.2.1"/>`)), []string{`attribute "adresses" is unknown (want mac, addresses, pairs`}},
		"text inside":      {domain(portsElement(`<vifguard:port mac="52:54:00:00:00:10"><address/></vifguard:port>`)), []string{"<address> inside is unknown"}},
		"port alone":       {domain(`<vifguard:port xmlns:vifguard="https://vifguard.org/libvirt/1" mac="52:54:00:00:00:10"/>`), []string{"<port> is unknown (want <ports> around"}},
		"foreign in ports": {domain(portsElement(`<port mac="52:54:00:00:00:10"/>`)), []string{"<port> in <ports> is unknown (want <port> of the namespace"}},
		"another version":  {domain(`<p:ports xmlns:p="https://vifguard.org/libvirt/2"/>`), []string{`namespace "https://vifguard.org/libvirt/2" is unknown`}},
		"all are named": {
			domain(portsElement(`<vifguard:port mac="52:54:00:00:00:10" addresses="x" allow="y"/><vifguard:port mac="52:54:00:00:00:11" action="z"/>`)),
			[]string{`00:10: addresses: "x"`, `00:10: allow: "y"`, `00:11: action: "z"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(strings.NewReader(test.xml))
			if err == nil {
				t.Fatalf("no error, but %+v", got)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q doesn't say %q", err, want)
				}
			}
		})
	}
}

// FuzzParse: whatever is accepted is valid as a whole, and of the domain's own.
func FuzzParse(f *testing.F) {
	f.Add(domain(portsElement(`<vifguard:port mac="52:54:00:00:00:10" addresses="192.0.2.10" pairs="192.0.2.1@00:00:5e:00:01:07"/>`)))
	f.Add(domain(`<ports xmlns="https://vifguard.org/libvirt/1"><port mac="52:54:00:00:00:10" checks="off" allow="router"/></ports>`))
	f.Add(domain(``))
	f.Fuzz(func(t *testing.T, text string) {
		d, err := Parse(strings.NewReader(text))
		if err != nil {
			if d != nil {
				t.Error("both a domain and an error")
			}
			return
		}
		seen := map[model.MAC]bool{}
		for _, p := range d.Ports {
			if seen[p.MAC] || d.UUID == "" {
				t.Errorf("accepted %+v", d)
			}
			seen[p.MAC] = true
			if ps := p.problems(); len(ps) > 0 {
				t.Errorf("accepted %+v: %v", p, ps)
			}
		}
	})
}

// Every key that libvirt's metadata can give has its attribute, and no other has.
func TestEveryKeyHasItsAttribute(t *testing.T) {
	valid := map[string]string{"addresses": "192.0.2.1", "pairs": "192.0.2.1", "checks": "mac", "action": "observe", "allow": "router", "flood": "1"}
	for _, k := range model.Keys(model.OnInterface) {
		if k.Word == "" || k.Name == model.KeyAttachedMAC { // mac names the port
			continue
		}
		if k.Is(model.InLibvirt) && valid[k.Word] == "" {
			t.Errorf("no value to try %s with", k.Word)
		}
		attribute := fmt.Sprintf(`%s="%s"`, k.Word, valid[k.Word])
		d, err := Parse(strings.NewReader(domain(portsElement(`<vifguard:port mac="52:54:00:00:00:10" ` + attribute + `/>`))))
		switch {
		case !k.Is(model.InLibvirt):
			if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("attribute %q is unknown", k.Word)) {
				t.Errorf("%s: %v", attribute, err)
			}
		case err != nil:
			t.Errorf("%s: %v", attribute, err)
		case d.Ports[0].Keys[k.Name] != valid[k.Word]:
			t.Errorf("%s: keys %v", attribute, d.Ports[0].Keys)
		}
	}
}
