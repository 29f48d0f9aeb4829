package term

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
)

// JSON writes a value as indented JSON.
func (w *Writer) JSON(v any) error { return w.json(v, "  ") }

// JSONLine writes a value as JSON in one line.
func (w *Writer) JSONLine(v any) error { return w.json(v, "") }

// json writes characters as they are if they can be printed, and escapes all others: the
// encoder itself leaves some that a terminal obeys (U+007F to U+009F).
func (w *Writer) json(v any, indent string) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", indent)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	var text strings.Builder
	for _, r := range b.String() {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			text.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&text, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&text, `\u%04x`, r)
		}
	}
	return w.write(text.String())
}
