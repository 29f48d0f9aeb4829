package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// release is set by the linker: -X main.release=1.2.3.
var release = ""

// version returns the release, or what the Go toolchain knows of the build.
func version() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// versionResult is the JSON output of version. Its schema is stable.
type versionResult struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"` // operating system and architecture
}

func newVersion() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long:  "Print the version of this program. The agent logs its own when it starts.",
		Example: `  vifguard version
  vifguard version -o json`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(cmd, format, "text"); err != nil {
				return err
			}
			if format == "json" {
				return printJSON(cmd.OutOrStdout(), versionResult{version(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH})
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "vifguard", version())
			return err
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "text", outputUsage)
	return cmd
}
