package labagent

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/test/lab"
)

// Guard opts a bridge in, with further keys of its external_ids, such as
// "port-security-first-table=20".
func Guard(sw *lab.T, bridge string, keys ...string) {
	args := []string{"set", "Bridge", bridge, "external_ids:" + model.KeyChecks + "=auto"}
	for _, key := range keys {
		args = append(args, "external_ids:"+key)
	}
	sw.MustVsctl(args...)
}

// statusPrefix is what the keys of a status begin with.
const statusPrefix = "vifguard-"

// Reports returns nil when an interface's status has these values, such as
// "state=enforced"; an empty one means that the key is absent.
func Reports(sw *lab.Switch, port string, want ...string) error {
	have, err := sw.IDs(port)
	if err != nil {
		return err
	}
	for _, w := range want {
		if key, value, _ := strings.Cut(w, "="); have[statusPrefix+key] != value {
			return fmt.Errorf("%s reports %v, want %s", port, have, w)
		}
	}
	return nil
}

// Await waits until an interface's status has these values: see [Reports].
func Await(t testing.TB, sw *lab.T, port string, want ...string) {
	t.Helper()
	lab.Eventually(t, fmt.Sprintf("%s reports %v", port, want), func() error { return Reports(sw.Switch, port, want...) })
}
