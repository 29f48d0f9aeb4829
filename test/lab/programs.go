package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// runCommand runs cmd to its end and returns what it printed to standard
// output. An error holds the command line and standard error.
func runCommand(ctx context.Context, cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	p, err := startProcess(nil, cmd)
	if err != nil {
		return "", err
	}
	select {
	case <-p.done:
		err = p.err
	case <-ctx.Done():
		err = errors.Join(context.Cause(ctx), p.kill())
	}
	if err != nil {
		return stdout.String(), fmt.Errorf("%s: %w: %s",
			commandLine(cmd), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

func commandLine(cmd *exec.Cmd) string {
	return filepath.Base(cmd.Path) + " " + strings.Join(cmd.Args[1:], " ")
}

// GoBuild builds a program of this module at path; dir is its folder.
func GoBuild(path, dir string) error {
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build %s: %w\n%s", dir, err, out)
	}
	return nil
}

// findProgram looks in PATH and in the directories of administrators, which
// an ordinary user's PATH lacks.
func findProgram(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("program %s: %w", name, exec.ErrNotFound)
}

// findSchema returns the path of the database schema that was installed
// together with Open vSwitch.
func findSchema() (string, error) {
	dirs := []string{os.Getenv("OVS_PKGDATADIR"), "/usr/share/openvswitch", "/usr/local/share/openvswitch"}
	for _, dir := range dirs {
		path := filepath.Join(dir, "vswitch.ovsschema")
		if _, err := os.Stat(path); dir != "" && err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("vswitch.ovsschema: %w (set OVS_PKGDATADIR)", os.ErrNotExist)
}

// shortTempDir makes a directory whose sockets fit a unix socket address.
func shortTempDir() (string, error) {
	parent := os.TempDir()
	if len(parent) > maxDir-len("/vg")-10 {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, "vg")
	if err != nil {
		return "", fmt.Errorf("make a directory for the switch: %w", err)
	}
	return dir, nil
}
