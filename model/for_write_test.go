package model

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Whoever writes keys says whom they are for, and revives none of another VIF.
func TestStamp(t *testing.T) {
	const other = "52:54:00:00:00:99"
	for name, test := range map[string]struct {
		row, set map[string]string
		del      []string
		want     map[string]string // the row then
	}{
		"the first key":             {row: ids(KeyAttachedMAC, ownMAC), set: ids(KeyAddresses, "192.0.2.1"), want: ids(KeyAttachedMAC, ownMAC, KeyAddresses, "192.0.2.1", KeyFor, ownMAC)},
		"one more":                  {row: ids(KeyAttachedMAC, ownMAC, KeyAddresses, "192.0.2.1"), set: ids(KeyAllow, "router"), want: ids(KeyAttachedMAC, ownMAC, KeyAddresses, "192.0.2.1", KeyAllow, "router", KeyFor, ownMAC)},
		"with the MAC":              {row: ids("other", "x"), set: ids(KeyAttachedMAC, ownMAC, KeyAllow, "router"), want: ids("other", "x", KeyAttachedMAC, ownMAC, KeyAllow, "router", KeyFor, ownMAC)},
		"the MAC alone":             {row: ids(), set: ids(KeyAttachedMAC, ownMAC), want: ids(KeyAttachedMAC, ownMAC)},
		"another MAC":               {row: ids(KeyAttachedMAC, other, KeyFor, other, KeyAllow, "router"), set: ids(KeyAttachedMAC, ownMAC), want: ids(KeyAttachedMAC, ownMAC, KeyFor, ownMAC, KeyAllow, "router")},
		"the MAC comes back":        {row: ids(KeyFor, ownMAC, KeyAllow, "router"), set: ids(KeyAttachedMAC, ownMAC), want: ids(KeyAttachedMAC, ownMAC, KeyFor, ownMAC, KeyAllow, "router")},
		"a port that has none":      {row: ids(), set: ids(KeyChecks, "off"), want: ids(KeyChecks, "off")},
		"an unusable MAC":           {row: ids(KeyAttachedMAC, "x"), set: ids(KeyChecks, "off"), want: ids(KeyAttachedMAC, "x", KeyChecks, "off")},
		"somebody says whom for":    {row: ids(KeyAttachedMAC, ownMAC), set: ids(KeyFor, other, KeyAllow, "router"), want: ids(KeyAttachedMAC, ownMAC, KeyFor, other, KeyAllow, "router")},
		"the other spelling":        {row: ids(KeyAttachedMACAlt, ownMAC), set: ids(KeyAllow, "router"), want: ids(KeyAttachedMACAlt, ownMAC, KeyAllow, "router", KeyFor, ownMAC)},
		"nothing set":               {row: ids(KeyAttachedMAC, ownMAC, KeyAllow, "router"), del: []string{KeyAllow}, want: ids(KeyAttachedMAC, ownMAC)},
		"a name that is used again": {row: ids(KeyAttachedMAC, ownMAC, KeyFor, other, KeyPairs, "192.0.2.9", KeyChecks, "off", "vm-id", "1"), set: ids(KeyAddresses, "192.0.2.1"), want: ids(KeyAttachedMAC, ownMAC, KeyAddresses, "192.0.2.1", KeyFor, ownMAC, "vm-id", "1")},
		"again, and another MAC":    {row: ids(KeyAttachedMAC, "52:54:00:00:00:98", KeyFor, other, KeyChecks, "off"), set: ids(KeyAttachedMAC, ownMAC), want: ids(KeyAttachedMAC, ownMAC)},
		"for nobody who could be":   {row: ids(KeyAttachedMAC, ownMAC, KeyFor, "vm1", KeyChecks, "off"), set: ids(KeyAllow, "router"), want: ids(KeyAttachedMAC, ownMAC, KeyAllow, "router", KeyFor, ownMAC)},
	} {
		t.Run(name, func(t *testing.T) {
			row := Interface{ExternalIDs: test.row}
			given := maps.Clone(test.set)
			set, del := row.Stamp(test.set, test.del)
			if diff := cmp.Diff(given, test.set); diff != "" {
				t.Errorf("it changes what it is given:\n%s", diff)
			}
			got := maps.Clone(test.row)
			maps.DeleteFunc(got, func(k, _ string) bool { return slices.Contains(del, k) })
			maps.Copy(got, set)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
