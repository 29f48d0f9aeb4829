package libvirt

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vifguard/vifguard/model"
)

// What a row has and the domain doesn't state goes, but for the profile that libvirt itself
// has written, and keys that somebody wrote for the guest.
func TestFind(t *testing.T) {
	const uuid, stated = "6f1c6a3e-2f7b-4c53-9f0e-0d6b8f9f7a11", `<vifguard:port mac="52:54:00:00:00:10" checks="mac"/>`
	row := func(words ...string) map[string]string {
		ids := map[string]string{"attached-mac": mac1.String(), "vm-id": uuid}
		for _, w := range words {
			k, v, _ := strings.Cut(w, "=")
			ids[k] = v
		}
		return ids
	}
	for name, test := range map[string]struct {
		metadata string
		ids      map[string]string
		delete   []string
		found    bool
	}{
		"nothing but libvirt's":       {stated, row("port-profile=web"), nil, true},
		"an old profile":              {stated, row("port-profile=old"), []string{"port-profile"}, true},
		"what is stated":              {stated, row("port-security=off", "port-security-seq=1"), nil, true},
		"what isn't":                  {stated, row("allowed-addresses=192.0.2.1"), []string{"allowed-addresses"}, true},
		"of another domain":           {stated, map[string]string{"attached-mac": mac1.String(), "vm-id": "x", "port-security": "off"}, nil, false},
		"nothing stated":              {"", row("port-security=off", "port-security-seq=1"), []string{"port-security", "port-security-seq"}, true},
		"nothing stated, nothing had": {"", row("port-profile=web"), nil, false},
		"an operator's":               {"", row("port-security=off", "port-security-for="+mac1.String()), nil, false},
		"an operator's for another":   {"", row("port-security=off", "port-security-for="+mac2.String()), []string{"port-security", "port-security-for"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := Parse(strings.NewReader(domain(portsElement(test.metadata))))
			if err != nil {
				t.Fatal(err)
			}
			b := &model.Bridge{Name: "br0", ExternalIDs: map[string]string{}, Interfaces: []*model.Interface{{Name: "vnet0", ExternalIDs: test.ids}}}
			vifs, unstated, err := Find(&model.Host{Bridges: []*model.Bridge{b}}, d)
			if (err != nil) != (test.metadata != "" && !test.found) {
				t.Fatalf("error: %v", err)
			}
			list := slices.Concat(vifs, unstated)
			if (len(list) == 1) != test.found {
				t.Fatalf("%d VIFs", len(list))
			}
			if test.found && !cmp.Equal(test.delete, list[0].Delete) {
				t.Errorf("to remove: %v, want %v", list[0].Delete, test.delete)
			}
		})
	}
}
