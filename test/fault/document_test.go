package fault

import (
	"slices"
	"testing"
)

func document(t *testing.T, results []*result) {}

var faults = slices.Concat(agentFaults, switchFaults, portFaults)
