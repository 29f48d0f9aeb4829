package report

import (
	"github.com/vifguard/vifguard/cmd/vifguard/term"
	"github.com/vifguard/vifguard/model"
)

// Wait is the JSON output of wait. Its schema is stable.
type Wait struct {
	Port    string `json:"port"`
	Bridge  string `json:"bridge,omitempty"`
	Settled bool   `json:"settled"`           // the policy of the metadata is in force
	Waiting string `json:"waiting,omitempty"` // what is still missing, in words
	State   string `json:"state,omitempty"`   // as the agent reports it, like the others
	Checks  string `json:"checks,omitempty"`
	Seq     string `json:"seq,omitempty"`
	Error   string `json:"error,omitempty"`
}

// ErrorText continues a sentence with the error that the agent reports; "" for none.
func (r *Wait) ErrorText() string {
	if r.Error == "" {
		return ""
	}
	return "; " + model.KeyStatusError + ": " + r.Error
}

// Print writes one line.
func (r *Wait) Print(out *term.Writer) {
	out.Printf("%s on bridge %s: %s", r.Port, r.Bridge, r.State)
	if r.Checks != "" {
		out.Printf(", checks %s", r.Checks)
	}
	if r.Seq != "" {
		out.Printf(", seq %s", r.Seq)
	}
	out.Printf("%s\n", r.ErrorText())
}
