package model

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// samples are three values of each key that a policy depends on, none of which means the
// same as another or as a policy without the key.
var samples = map[string][3]string{
	KeyAttachedMAC: {"52:54:00:00:00:01", "52:54:00:00:00:02", "52:54:00:00:00:03"},
	KeyAddresses:   {"192.0.2.1", "192.0.2.2", "192.0.2.3"},
	KeyPairs:       {"192.0.2.1@52:54:00:00:00:0a", "192.0.2.1@52:54:00:00:00:0b", "192.0.2.1@52:54:00:00:00:0c"},
	KeyChecks:      {"mac", "mac,arp", "mac,arp,ip"},
	KeyAllow:       {"router", "dhcp-server", "vlan-trunk"},
	KeyFlood:       {"1", "2", "3"},
}

// samplesOf returns a key's samples. port-security-action has but two values.
func samplesOf(t *testing.T, k *Key) []string {
	t.Helper()
	if k.Name == KeyAction {
		return []string{"observe", "enforce", "observe"}
	}
	s, ok := samples[k.Name]
	if !ok {
		t.Fatalf("%s is part of a policy, but the tests have no samples of it", k.Name)
	}
	return s[:]
}

// A row of the table is complete for every place where its key can be given.
func TestEveryKeyIsComplete(t *testing.T) {
	names, flags, words := map[string]bool{}, map[string]bool{}, map[string]bool{}
	once := func(seen map[string]bool, what, s string) {
		if s != "" && seen[s] {
			t.Errorf("%s %q stands in two rows", what, s)
		}
		seen[s] = true
	}
	for n := range keys {
		k := &keys[n]
		for _, name := range k.Names() {
			once(names, "name", name)
		}
		once(flags, "flag", k.Flag)
		once(words, "word", k.Word)
		for _, rule := range []struct {
			ok   bool
			want string
		}{
			{k.Name != "" && k.At != 0, "a name and a place"},
			{k.Flag != "" || !k.Is(OnInterface|OnBridge), "a flag for vifguard set or guard"},
			{k.Word != "" || !k.Is(InProfile|InDeclaration|InLibvirt), "a word"},
			{k.Word == "" || k.Is(InProfile|InDeclaration|InLibvirt), "no word, since none is read"},
			{(k.Doc != "" && k.Usage != "") == k.Is(OnInterface), "usage and a document exactly if it is on an Interface"},
			{(k.BridgeDoc != "" && k.BridgeUsage != "") == k.Is(OnBridge), "usage and a document exactly if it is on a Bridge"},
			{k.parse != nil || !k.Is(InProfile|InLibvirt), "to be part of a policy"},
			{(k.parseBridge != nil || k.parse != nil) || !k.Is(OnBridge), "to be parsed on a Bridge"},
			{k.parseBridge == nil || k.At == OnBridge, "to be the bridge's own, or a default of its VIFs"},
			{k.Label == "" || k.value != nil && k.Word != "", "a value and a word, to be explained"},
			{!k.Is(InProfile) || k.Label != "" && k.Example != "", "a label and an example, as every key that a profile can give"},
			{k.Alt == "" || k.canonical != nil, "one notation, to compare both names"},
		} {
			if !rule.ok {
				t.Errorf("%s: want %s", k.Name, rule.want)
			}
		}
		if k.parse != nil {
			for _, value := range append(slices.Clone(k.Values), k.Example) {
				var ps Problems
				if k.parse(new(Policy), k.Name, value, &ps); value != "" && value != "ethertype:0x" && len(ps) > 0 {
					t.Errorf("%s: a shell completes, or a message says %q, but: %v", k.Name, value, ps)
				}
			}
		}
	}
}

// Every name of a key has a row, or is one that vifguard writes.
func TestEveryNameIsInTheTable(t *testing.T) {
	written := append(StatusKeys(), KeyUnguarded, KeyFailModeThen, KeyInBandThen, KeyClosed, KeyAgent)
	names := keyNames(t, "keys.go", "key_table.go", "closed.go", "closed_bridge.go")
	for _, name := range names {
		known := slices.ContainsFunc(keys, func(k Key) bool { return slices.Contains(k.Names(), name) })
		if !known && !slices.Contains(written, name) {
			t.Errorf("%q has no row in the table", name)
		}
	}
	if want := len(keys) + 1 + len(written); len(names) != want {
		t.Errorf("%d names, want %d", len(names), want)
	}
}

// keyNames returns the values of the constants that are called Key... in source files.
func keyNames(t *testing.T, files ...string) (names []string) {
	t.Helper()
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || !strings.HasPrefix(v.Names[0].Name, "Key") {
				return true
			}
			name, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatalf("%s: %v", v.Names[0].Name, err)
			}
			names = append(names, name)
			return true
		})
	}
	return names
}

// What a policy has is given by keys, each field by at least one, but for those that
// follow from the others.
func TestEveryFieldOfAPolicyHasAKey(t *testing.T) {
	follow := []string{"Mode", "Problems", "Origins"}
	typ := reflect.TypeFor[Policy]()
	for f := range typ.NumField() {
		name := typ.Field(f).Name
		given := slices.ContainsFunc(keys, func(k Key) bool {
			if k.parse == nil {
				return false
			}
			return slices.ContainsFunc(samplesOf(t, &k), func(value string) bool {
				var p Policy
				k.parse(&p, k.Name, value, new(Problems))
				return !reflect.ValueOf(p).Field(f).IsZero()
			})
		})
		if given == slices.Contains(follow, name) {
			t.Errorf("Policy.%s: given by a key: %v; want a row of the table that parses into it, or an entry among those that follow", name, given)
		}
	}
}

// giver is somebody who can give keys, in the order of who comes first.
type giver struct {
	at     Place
	origin func(k *Key) string
}

var givers = []giver{
	{OnInterface, func(k *Key) string { return k.Name }},
	{InProfile, func(*Key) string { return "profile p" }},
	{OnBridge, func(*Key) string { return originBridge }},
}

// given is a key that a set of givers give, each with another value.
type given struct {
	own     map[string]string
	profile string
	bridge  map[string]string
	first   int // among the givers
}

// give returns false if one of the set can't give the key.
func give(k *Key, values []string, set int) (given, bool) {
	g := given{own: ids(KeyAttachedMAC, ownMAC), bridge: ids(KeyChecks, "mac,arp,ip"), first: -1}
	for n, giver := range givers {
		if set&(1<<n) == 0 {
			continue
		}
		if !k.Is(giver.at) {
			return g, false
		}
		if g.first < 0 {
			g.first = n
		}
		switch giver.at {
		case OnInterface:
			g.own[k.Name] = values[n]
		case InProfile:
			g.own[KeyProfile], g.profile = "p", k.Word+"="+values[n]
		case OnBridge:
			g.bridge[k.Name] = values[n]
		default:
			panic(fmt.Sprintf("keys are given at %v", giver.at))
		}
	}
	return g, true
}

// Of interface, profile and bridge, the first who gives a key is taken, for every key and
// every set of those who give it; nobody else's key changes by that.
func TestTheFirstWhoGivesAKeyIsTaken(t *testing.T) {
	tested := 0
	for n := range keys {
		k := &keys[n]
		if k.parse == nil {
			continue
		}
		values := samplesOf(t, k)
		for set := 1; set < 1<<len(givers); set++ {
			g, ok := give(k, values, set)
			if !ok {
				continue
			}
			tested++
			c := ResolveBridge(&Bridge{Name: "br0", ExternalIDs: g.bridge})
			got := Resolve(&c, map[string]string{"p": g.profile}, &Interface{ExternalIDs: g.own})
			// The same, given by the interface alone.
			plain := ResolveBridge(&Bridge{Name: "br0", ExternalIDs: ids(KeyChecks, "mac,arp,ip")})
			alone := ids(KeyAttachedMAC, ownMAC)
			alone[k.Name] = values[g.first]
			want := Resolve(&plain, nil, &Interface{ExternalIDs: alone})
			name := fmt.Sprintf("%s by set %03b", k.Name, set)
			if d := cmp.Diff(want, got, cmpopts.IgnoreTypes(Origins{}), cmpopts.EquateComparable(netip.Prefix{})); d != "" {
				t.Errorf("%s (-want +got):\n%s", name, d)
			}
			if from, want := got.Origins.Of(k.Name), givers[g.first].origin(k); from != want {
				t.Errorf("%s: from %q, want %q", name, from, want)
			}
			if len(c.Problems) > 0 {
				t.Errorf("%s: the bridge's problems: %v", name, c.Problems)
			}
		}
	}
	if tested < 20 {
		t.Errorf("only %d cases", tested)
	}
}

// A value that isn't taken is read nevertheless, so that what is wrong with it is known.
func TestProblemsOfWhatIsNotTaken(t *testing.T) {
	for n := range keys {
		k := &keys[n]
		if !k.Is(InProfile) {
			continue
		}
		c := ResolveBridge(&Bridge{ExternalIDs: ids(KeyChecks, "mac")})
		p := Resolve(&c, map[string]string{"p": k.Word + "=?"}, &Interface{ExternalIDs: ids(
			KeyAttachedMAC, ownMAC, KeyProfile, "p", k.Name, samplesOf(t, k)[0])})
		checkProblems(t, p.Problems, []string{`port-security-profile-p: "?" is`})
	}
}

// What is wrong with a default of the VIFs is a problem of the bridge, once, and not of
// each of them.
func TestProblemsOfDefaults(t *testing.T) {
	for _, k := range Keys(OnBridge) {
		if k.parse == nil {
			continue
		}
		bridge := ids(KeyChecks, "mac")
		bridge[k.Name] = "?"
		c := ResolveBridge(&Bridge{ExternalIDs: bridge})
		checkProblems(t, c.Problems, []string{k.Name + `: "?" is not valid`})
		p := Resolve(&c, nil, &Interface{ExternalIDs: ids(KeyAttachedMAC, ownMAC)})
		checkProblems(t, p.Problems, nil)
	}
}

// Words stand for keys exactly where these can be given.
func TestWords(t *testing.T) {
	for n := range keys {
		k := &keys[n]
		for _, at := range []Place{InProfile, InDeclaration} {
			value := "x"
			if k.parse != nil {
				value = samplesOf(t, k)[0]
			}
			var p Policy
			p.takeWords(at, "list", "where", k.Word+"="+value, "somebody")
			want := k.Is(at)
			if got := len(p.Problems) == 0; got != want {
				t.Errorf("%s at %d: understood %v (%v), want %v", k.Name, at, got, p.Problems, want)
			}
			if given := p.Origins.Of(k.Name) == "somebody"; given != (want && k.parse != nil) {
				t.Errorf("%s at %d: given %v", k.Name, at, given)
			}
		}
	}
	var p Policy
	if p.takeWords(InProfile, "list", "where", "checks=off flood=1 checks=mac", "somebody"); p.Checks != CheckMAC || p.Flood != 1 {
		t.Errorf("of two words the last doesn't count: %+v", p)
	}
	if got, want := ExampleWords(InProfile), "checks=mac,arp action=observe allow=router,dhcp-server flood=1000"; got != want {
		t.Errorf("examples %q, want %q", got, want)
	}
}

// Bridges with different keys have different settings, whichever key it is.
func TestSettingsDifferByEveryKey(t *testing.T) {
	none := ResolveBridge(&Bridge{Name: "br0", ExternalIDs: ids(KeyChecks, "auto")})
	for _, k := range Keys(OnBridge) {
		c := ResolveBridge(&Bridge{Name: "br0", ExternalIDs: ids(KeyChecks, "auto", k.Name, "200")})
		if c.Settings == none.Settings {
			t.Errorf("%s=200 makes no difference", k.Name)
		}
		again := ResolveBridge(&Bridge{Name: "br0", ExternalIDs: ids(k.Name, "200", KeyChecks, c.defaultOf(KeyChecks))})
		if c.Settings != again.Settings {
			t.Errorf("%s: the same keys lead to %+v and %+v", k.Name, c.Settings, again.Settings)
		}
	}
}

// defaultOf is what a bridge gives for its VIFs.
func (c *BridgeConfig) defaultOf(key string) string {
	for _, d := range c.defaults {
		if keys[d.key].Name == key {
			return d.value
		}
	}
	return ""
}

// Every part of a policy is shown with its value and with who gave it.
func TestParts(t *testing.T) {
	c := ResolveBridge(&Bridge{ExternalIDs: ids(KeyChecks, "mac")})
	for _, k := range Keys(OnInterface) {
		if k.Label == "" {
			continue
		}
		value := samplesOf(t, k)[0]
		own := ids(KeyAttachedMAC, ownMAC, k.Name, value)
		p := Resolve(&c, nil, &Interface{ExternalIDs: own})
		shown := slices.ContainsFunc(p.Parts(), func(part Part) bool {
			return part.Key == k && part.Value == value && strings.HasPrefix(part.Text, value) && part.Origin == k.Name
		})
		if !shown {
			t.Errorf("%s=%s: parts %+v", k.Name, value, p.Parts())
		}
	}
	var nothing Policy
	for _, part := range nothing.Parts() {
		if part.Key.HasDefault() && part.Key.Name != KeyChecks && part.Origin != originDefault || part.Key.Optional && part.Text != part.Key.None {
			t.Errorf("of an empty policy: %+v", part)
		}
	}
}

func TestCanonicalMAC(t *testing.T) {
	k := &keys[keyIndex(KeyAttachedMAC)]
	for in, want := range map[string]string{
		"525400aa0011": "52:54:00:aa:00:11", "52-54-00-AA-00-11": "52:54:00:aa:00:11", "5254.00aa.0011": "52:54:00:aa:00:11",
		"nonsense": "nonsense", "01:00:5E:00:00:01": "01:00:5E:00:00:01", "": "",
	} {
		if got := k.Canonical(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
