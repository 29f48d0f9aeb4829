// Package libvirt reads what libvirt tells a hook about a domain: its interfaces, and
// what vifguard's element in its metadata says about them.
//
//	<metadata>
//	  <vifguard:ports xmlns:vifguard="https://vifguard.org/libvirt/1">
//	    <vifguard:port mac="52:54:00:12:34:56" addresses="192.0.2.10, 2001:db8::10"/>
//	  </vifguard:ports>
//	</metadata>
//
// There is one element around all ports because libvirt keeps only the first metadata
// element of each namespace and silently drops the others.
package libvirt

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/vifguard/vifguard/model"
)

// Namespace is that of vifguard's metadata. Another meaning will have another number.
const Namespace = "https://vifguard.org/libvirt/1"

// maxXML bounds a domain's description, in bytes. Real ones have some ten thousand.
const maxXML = 16 << 20

// Domain is what a hook needs of a domain's description.
type Domain struct {
	Name  string
	UUID  string // libvirt writes it as vm-id on the domain's interfaces in Open vSwitch
	Ports []Port // in the order of the metadata; none without vifguard's element

	// Unstated are the MACs of interfaces that may be on Open vSwitch, and that no metadata
	// is about.
	Unstated []model.MAC
	// Profiles are the profiles that interfaces on bridges name, "" for none.
	Profiles map[model.MAC]string
}

// Port is what the metadata says about the interface with one MAC.
type Port struct {
	MAC  model.MAC
	Keys map[string]string // Interface.external_ids to set; all of their values are valid
}

// element is any XML element of the metadata.
type element struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Children []element  `xml:",any"`
}

// description is the part of libvirt's domain format that is read.
type description struct {
	XMLName    xml.Name  `xml:"domain"`
	Name       string    `xml:"name"`
	UUID       string    `xml:"uuid"`
	Metadata   []element `xml:"metadata"`
	Interfaces []struct {
		Type string `xml:"type,attr"`
		MAC  struct {
			Address string `xml:"address,attr"`
		} `xml:"mac"`
		VirtualPort struct {
			Type       string `xml:"type,attr"`
			Parameters struct {
				Profile string `xml:"profileid,attr"`
			} `xml:"parameters"`
		} `xml:"virtualport"`
	} `xml:"devices>interface"`
}

// Parse reads a domain's description. Metadata of vifguard that can't be used as a
// whole is an error that names every port, attribute and value in question; metadata
// of others is ignored.
func Parse(r io.Reader) (*Domain, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxXML+1))
	if err != nil {
		return nil, fmt.Errorf("read the domain's XML: %w", err)
	}
	if len(text) > maxXML {
		return nil, fmt.Errorf("the domain's XML has more than %d bytes", maxXML)
	}
	var x description
	if err := xml.Unmarshal(text, &x); err != nil {
		return nil, fmt.Errorf("parse the domain's XML (libvirt gives it to hooks on standard input): %w", err)
	}
	d := &Domain{Name: strings.TrimSpace(x.Name), UUID: strings.ToLower(strings.TrimSpace(x.UUID)), Profiles: map[model.MAC]string{}}
	present := map[model.MAC]bool{}
	for _, i := range x.Interfaces {
		mac, err := model.ParseMAC(i.MAC.Address)
		if err != nil {
			continue
		}
		present[mac] = true
		if i.Type == "bridge" { // a network may name a profile of its own
			d.Profiles[mac] = i.VirtualPort.Parameters.Profile
		}
		if i.VirtualPort.Type == "openvswitch" || i.Type == "network" {
			d.Unstated = append(d.Unstated, mac)
		}
	}
	d.Ports, err = ports(x.Metadata, present)
	if err != nil {
		return nil, err
	}
	d.Unstated = slices.DeleteFunc(d.Unstated, func(mac model.MAC) bool {
		return d.UUID == "" || slices.ContainsFunc(d.Ports, func(p Port) bool { return p.MAC == mac })
	})
	if len(d.Ports) > 0 && d.UUID == "" {
		return nil, errors.New("the domain's XML has no <uuid>")
	}
	return d, nil
}

// ports reads vifguard's elements among the metadata. The domain has interfaces with
// the MACs that are present.
func ports(metadata []element, present map[model.MAC]bool) ([]Port, error) {
	var list []Port
	var errs []error
	seen := map[model.MAC]bool{}
	for _, m := range metadata {
		for _, e := range m.Children {
			switch {
			case e.XMLName == xml.Name{Space: Namespace, Local: "ports"}:
			case e.XMLName.Space == Namespace:
				errs = append(errs, fmt.Errorf("metadata: <%s> is unknown (want <ports> around all <port> elements)", e.XMLName.Local))
				continue
			case strings.HasPrefix(e.XMLName.Space, "https://vifguard.org/"):
				errs = append(errs, fmt.Errorf("metadata: namespace %q is unknown (want %q)", e.XMLName.Space, Namespace))
				continue
			default:
				continue
			}
			for _, c := range e.Children {
				p, err := port(c)
				switch {
				case err != nil:
				case seen[p.MAC]:
					err = fmt.Errorf("port %s: occurs twice", p.MAC)
				case !present[p.MAC]:
					err = fmt.Errorf("port %s: the domain has no interface with this MAC", p.MAC)
				}
				if err != nil {
					errs = append(errs, err)
					continue
				}
				seen[p.MAC] = true
				list = append(list, p)
			}
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return list, nil
}

// port reads one <port>.
func port(e element) (Port, error) {
	if (e.XMLName != xml.Name{Space: Namespace, Local: "port"}) {
		return Port{}, fmt.Errorf("metadata: <%s> in <ports> is unknown (want <port> of the namespace %q)", e.XMLName.Local, Namespace)
	}
	value := map[string]string{}
	for _, a := range e.Attrs {
		if a.Name.Space == "" && a.Name.Local != "xmlns" { // neither a declaration nor somebody else's
			value[a.Name.Local] = a.Value
		}
	}
	text, ok := value["mac"]
	if !ok {
		return Port{}, errors.New("port: the attribute mac is missing (want that of an <interface> of the domain)")
	}
	mac, err := model.ParseMAC(text)
	if err != nil {
		return Port{}, fmt.Errorf("port: mac: %q %w", text, err)
	}
	delete(value, "mac")
	p := Port{MAC: mac, Keys: map[string]string{}}
	name := map[string]string{}
	var valid []string
	for _, k := range model.Keys(model.InLibvirt) {
		valid, name[k.Name] = append(valid, k.Word), k.Word
		if v, ok := value[k.Word]; ok {
			p.Keys[k.Name] = v
			delete(value, k.Word)
		}
	}
	var errs []error
	for _, unknown := range slices.Sorted(maps.Keys(value)) {
		errs = append(errs, fmt.Errorf("port %s: attribute %q is unknown (want mac, %s)", mac, unknown, strings.Join(valid, ", ")))
	}
	if len(e.Children) > 0 {
		errs = append(errs, fmt.Errorf("port %s: <%s> inside is unknown (want attributes only)", mac, e.Children[0].XMLName.Local))
	}
	for _, problem := range p.problems().Refused() {
		if n, ok := name[problem.Key]; ok {
			problem.Key = n
		}
		errs = append(errs, fmt.Errorf("port %s: %w", mac, problem))
	}
	return p, errors.Join(errs...)
}

// problems judges the port's keys exactly as the agent will.
func (p Port) problems() model.Problems {
	ids := map[string]string{model.KeyAttachedMAC: p.MAC.String()}
	for k, v := range p.Keys {
		ids[k] = v
	}
	bridge := model.ResolveBridge(&model.Bridge{ExternalIDs: map[string]string{model.KeyChecks: "auto"}})
	policy := model.Resolve(&bridge, nil, &model.Interface{ExternalIDs: ids})
	return policy.Problems
}
