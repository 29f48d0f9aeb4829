// Package docs keeps the documents under docs/ true: what they show of a real switch is
// compared with a real switch.
package docs

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/test/lab"
	"github.com/vifguard/vifguard/test/lab/labagent"
)

const pipelineDoc = "../../docs/pipeline.md"

func TestPipelineDocumentShowsTheRealFlows(t *testing.T) {
	checkPart(t, pipelineDoc, "flows", describeTables(dumpExample(t)))
}

// dumpExample returns the flows of the document's example, by table.
func dumpExample(t *testing.T) map[uint8][]string {
	sw := lab.New(t, lab.Options{})
	sw.MustBridge("br0")
	sw.MustPort("br0", "eth0", lab.PortOptions{OFPort: 1})
	sw.MustPort("br0", "vm", lab.PortOptions{OFPort: 2, ExternalIDs: map[string]string{
		"attached-mac": "52:54:00:00:00:02", "allowed-addresses": "192.0.2.2 2001:db8::2"}})
	sw.MustPort("br0", "fw", lab.PortOptions{OFPort: 3, ExternalIDs: map[string]string{
		"attached-mac": "52:54:00:00:00:03", "port-security": "mac,arp", "allowed-addresses": "192.0.2.3"}})
	labagent.Guard(sw, "br0")
	labagent.Start(t, sw.Endpoint())
	names := map[flows.VIFID]string{0: "shared"}
	for _, port := range []string{"br0", "eth0", "vm", "fw"} {
		names[flows.ParseVIFID(strings.TrimSpace(sw.MustVsctl("get", "Interface", port, "_uuid")))] = port
	}
	for _, port := range []string{"vm", "fw"} {
		labagent.Await(t, sw, port, "state=enforced")
	}
	tables := make(map[uint8][]string)
	for line := range strings.Lines(sw.MustOfctl("dump-flows", "--no-stats", "--no-names", "br0")) {
		if table, text, ok := simplify(strings.TrimSpace(line), names); ok {
			tables[table] = append(tables[table], text)
		}
	}
	for _, lines := range tables {
		slices.SortStableFunc(lines, byPriority)
	}
	return tables
}

var dumpLine = regexp.MustCompile(`^cookie=(0x[0-9a-f]+), (?:table=(\d+), )?(.*)$`)

// simplify replaces the cookie, which is different in every database, by the name of
// the flow's owner.
func simplify(line string, names map[flows.VIFID]string) (table uint8, text string, ok bool) {
	m := dumpLine.FindStringSubmatch(line)
	if m == nil {
		return 0, "", false
	}
	cookie, err := strconv.ParseUint(m[1], 0, 64)
	owner, reason, ok := flows.SplitCookie(cookie)
	if err != nil || !ok {
		return 0, "", false
	}
	if n, err := strconv.ParseUint(m[2], 10, 8); err == nil { // left out for table 0
		table = uint8(n)
	}
	note := names[owner]
	if reason != model.NoReason {
		note += ", counts " + reason.String()
	}
	return table, fmt.Sprintf("%-90s # %s", m[3], note), true
}

// byPriority orders dump lines as the switch tries them.
func byPriority(a, b string) int {
	return cmp.Or(cmp.Compare(priority(b), priority(a)), strings.Compare(a, b))
}

// priority returns the number of a line that begins with "priority=N,".
func priority(line string) int {
	digits, _, _ := strings.Cut(strings.TrimPrefix(line, "priority="), ",")
	digits, _, _ = strings.Cut(digits, " ")
	n, _ := strconv.Atoi(digits)
	return n
}

func describeTables(tables map[uint8][]string) string {
	var b strings.Builder
	for i, s := range flows.Stages() {
		fmt.Fprintf(&b, "### Table %d: %s\n\n%s.\n\nMiss: %s.\n\n```\n", i, s.Name, capital(s.Purpose), s.Miss)
		for _, l := range tables[uint8(i)] {
			fmt.Fprintln(&b, l)
		}
		fmt.Fprintf(&b, "```\n\n")
	}
	return b.String()
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
