package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Set by the linker: -X main.release=1.2.3 -X main.commit=….
var (
	release = ""
	commit  = ""
)

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
	Version     string `json:"version"`
	Commit      string `json:"commit,omitempty"` // of git; missing when it was built without
	Go          string `json:"go"`
	Platform    string `json:"platform"`              // operating system and architecture
	LibOVSDB    string `json:"libovsdb,omitempty"`    // version of the OVSDB library
	LibOpenFlow string `json:"libopenflow,omitempty"` // version of the OpenFlow library
}

func newVersionResult() versionResult {
	v := versionResult{
		Version: version(), Commit: commit,
		Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	for _, m := range info.Deps {
		switch m.Path {
		case "github.com/ovn-org/libovsdb":
			v.LibOVSDB = m.Version
		case "github.com/contiv/libOpenflow":
			v.LibOpenFlow = m.Version
		}
	}
	return v
}

func newVersion() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version, and what it was built from",
		Long:  "Print the version of this program and what it was built from. The agent logs its own\nversion when it starts.",
		Example: `  vifguard version
  vifguard version -o json`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(cmd, format, "text"); err != nil {
				return err
			}
			out, v := output(cmd), newVersionResult()
			if format == "json" {
				return out.JSON(v)
			}
			out.Printf("vifguard %s\n", v.Version)
			if v.Commit != "" {
				out.Printf("commit %s\n", v.Commit)
			}
			out.Printf("%s %s, libovsdb %s, libOpenflow %s\n", v.Go, v.Platform, v.LibOVSDB, v.LibOpenFlow)
			return nil
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "text", outputUsage)
	return cmd
}
