package main

import (
	"encoding"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vifguard/vifguard/cmd/vifguard/report"
	"github.com/vifguard/vifguard/controller/drops"
)

// findings is the section of the document that describes a finding, of several commands.
const findings = "findings"

// documented are the JSON outputs, by command.
func documented() map[string]any {
	return map[string]any{
		"status":    []report.Status{},
		"explain":   report.Explanation{},
		"trace":     []report.Trace{},
		"verify":    []report.Verification{},
		"addresses": report.Addresses{},
		"advise":    report.Advice{},
		"drops":     drops.Event{},
		"wait":      report.Wait{},
		"version":   versionResult{},
		findings:    report.Finding{},
	}
}

// docs/json.md names every field with its type, and no other.
func TestJSONIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string][]string)
	section := ""
	row := regexp.MustCompile("^\\| `([^`]+)` \\| ([a-z ]+) \\| \\S.* \\|$")
	for _, line := range strings.Split(string(text), "\n") {
		if name, ok := strings.CutPrefix(line, "## vifguard "); ok {
			section = name
		} else if line == "## Findings" {
			section = findings
		} else if m := row.FindStringSubmatch(line); m != nil {
			got[section] = append(got[section], m[1]+" "+m[2])
		} else if strings.HasPrefix(line, "| `") {
			t.Errorf("not a row of field, type and meaning: %s", line)
		}
	}
	want := make(map[string][]string)
	for command, v := range documented() {
		want[command] = fieldsOf(reflect.TypeOf(v), "")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields (-code +docs/json.md):\n%s", diff)
	}
}

// fieldsOf lists the paths of a type in JSON, each with what its value is.
func fieldsOf(t reflect.Type, path string) []string {
	if isText(t) {
		return nil
	}
	switch t.Kind() {
	case reflect.Slice:
		return fieldsOf(t.Elem(), path+"[]")
	case reflect.Pointer:
		return fieldsOf(t.Elem(), path)
	case reflect.Struct:
	default:
		return nil
	}
	var fields []string
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			fields = append(fields, fieldsOf(f.Type, path)...)
			continue
		}
		if !f.IsExported() {
			continue
		}
		if f.Type == reflect.TypeFor[report.PolicyParts]() {
			fields = append(fields, partFields()...)
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		at := strings.TrimPrefix(path+"."+name, ".")
		kind := kindOf(f.Type)
		if options == "omitempty" || options == "omitzero" {
			kind = "optional " + strings.TrimSuffix(kind, " or null")
		}
		fields = append(fields, fmt.Sprintf("%s %s", at, kind))
		if !isFinding(f.Type) {
			fields = append(fields, fieldsOf(f.Type, at)...)
		}
	}
	return fields
}

// isFinding reports whether a type is a finding, or several, which have a section of their own.
func isFinding(t reflect.Type) bool {
	if t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t == reflect.TypeFor[report.Finding]()
}

// partFields are the fields that explain writes for the parts of a policy.
func partFields() []string {
	var fields []string
	for _, part := range report.NoParts() {
		value, from := "string", "optional string"
		if part.Key.Optional {
			value = "optional string"
		}
		if part.Key.HasDefault() {
			from = "string"
		}
		fields = append(fields, part.Key.Word+" "+value, part.Key.Word+"_from "+from)
	}
	return fields
}

// isText reports whether a type is written as a string of its own making.
func isText(t reflect.Type) bool { return t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) }

func kindOf(t reflect.Type) string {
	if isText(t) {
		return "string"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "string"
	case reflect.Slice:
		return "list"
	case reflect.Map, reflect.Struct:
		return "object"
	case reflect.Pointer:
		return kindOf(t.Elem()) + " or null"
	}
	return "number"
}
