package openflow

import "path/filepath"

// ManagementSocket returns the path of a bridge's management socket, which ovs-vswitchd
// makes in its run directory (ovs-vswitchd(8)).
func ManagementSocket(runDir, bridge string) string { return filepath.Join(runDir, bridge+".mgmt") }
