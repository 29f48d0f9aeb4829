package main

import (
	"bytes"
	"encoding/json"
	"runtime"
	"strings"
	"testing"
)

func runVersion(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := newVersion()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	err := cmd.Execute()
	return out.String(), err
}

func TestVersion(t *testing.T) {
	text, err := runVersion(t)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(text, "vifguard "+version()+"\n") || !strings.Contains(text, runtime.Version()) {
		t.Errorf("version: %q", text)
	}
	out, err := runVersion(t, "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var b versionResult
	if err := json.Unmarshal([]byte(out), &b); err != nil {
		t.Fatal(err)
	}
	if b.Version != version() || b.Go != runtime.Version() || b.Platform == "" {
		t.Errorf("version -o json: %+v", b)
	}
	if out, err := runVersion(t, "-o", "xml"); err == nil || !strings.Contains(err.Error(), "want text or json") {
		t.Errorf("version -o xml: %q, %v", out, err)
	}
}
