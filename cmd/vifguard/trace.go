package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vifguard/vifguard/cmd/vifguard/term"
	"github.com/vifguard/vifguard/controller/inspect"
	"github.com/vifguard/vifguard/flows"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/model/frame"
)

// traceResult is one frame in the JSON output of trace. Its schema is stable.
type traceResult struct {
	Frame    string      `json:"frame"`   // hexadecimal
	Summary  string      `json:"summary"` // what it claims
	Problems []string    `json:"problems"`
	Verdict  string      `json:"verdict"` // pass, drop or observe
	Reason   string      `json:"reason,omitempty"`
	Why      string      `json:"why"` // the rule that decided, in words
	Output   string      `json:"output,omitempty"`
	Steps    []traceStep `json:"steps"`
}

type traceStep struct {
	Table uint8  `json:"table"`
	Stage string `json:"stage"`
	Match string `json:"match"`
	Why   string `json:"why"`
}

func newTrace(o *options) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "trace PORT FRAME",
		Short: "Ask the switch what it would do with a frame",
		Long: `Ask the real switch what it would do with a frame that a port sends: the verdict, the
stage and the reason, the rule, in words, and what is malformed about the frame.
FRAME is hexadecimal, a pcap file, or - for hexadecimal on standard input. Nothing is
sent, and no counter changes.`,
		Example: `  vifguard trace tap1 ffffffffffff525400123456080600010800060400015254001234560a00000a0000000000000a000001
  vifguard trace tap1 capture.pcap`,
		Args: arguments(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(cmd, format, "text"); err != nil {
				return err
			}
			frames, err := readFrames(cmd.InOrStdin(), args[1])
			if err != nil {
				return fail(exitUsage, "%w", err)
			}
			return o.trace(cmd, args[0], frames, format)
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "text", outputUsage)
	return cmd
}

// readFrames reads the argument of trace: a file if there is one of that name.
func readFrames(stdin io.Reader, arg string) ([][]byte, error) {
	if arg == "-" {
		b, err := io.ReadAll(stdin)
		if err != nil {
			return nil, err
		}
		arg = string(b)
	} else if b, err := os.ReadFile(arg); err == nil {
		frames, err := frame.ReadPcap(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", arg, err)
		}
		return frames, nil
	} else if strings.ContainsAny(arg, "/.") || !errors.Is(err, fs.ErrNotExist) && !isHex(arg) {
		return nil, err
	}
	f, err := frame.ParseHex(arg)
	if err != nil {
		return nil, fmt.Errorf("FRAME: %w", err)
	}
	return [][]byte{f}, nil
}

func isHex(s string) bool {
	_, err := frame.ParseHex(s)
	return err == nil
}

func (o *options) trace(cmd *cobra.Command, name string, frames [][]byte, format string) error {
	s, err := o.open(cmd.Context())
	if err != nil {
		return err
	}
	defer s.close()
	b, row, err := findPort(s.Host(), name)
	if err != nil {
		return err
	}
	if !model.ResolveBridge(b).Guarded {
		return fail(exitNo, "bridge %s isn't guarded: everything passes (opt it in with: vifguard guard %s)", b.Name, b.Name)
	}
	in := s.inspect(b, row)
	if in.Switch != nil {
		return in.Switch
	}
	port := in.Port(row)
	results := make([]traceResult, 0, len(frames))
	for _, f := range frames {
		r, err := s.trace(&in, port, f)
		if err != nil {
			return err
		}
		results = append(results, r)
	}
	if format == "json" {
		return output(cmd).JSON(results)
	}
	out := output(cmd)
	for i := range results {
		if i > 0 {
			out.Printf("\n")
		}
		results[i].print(out)
	}
	return nil
}

// trace asks the switch about one frame.
func (s *session) trace(in *inspect.Inspection, port *inspect.PortInspection, b []byte) (traceResult, error) {
	claims := frame.Parse(b)
	r := traceResult{Frame: hex.EncodeToString(b), Summary: claims.String(), Problems: claims.Problems, Verdict: "drop", Steps: []traceStep{}}
	if r.Problems == nil {
		r.Problems = []string{}
	}
	t, err := inspect.TraceFrame(s.ctx, in, port, s.runDir, b)
	if err != nil {
		return r, err
	}
	r.Reason, r.Output = t.Reason.String(), t.Output
	switch {
	case t.Observed:
		r.Verdict = "observe"
	case t.Passes:
		r.Verdict = "pass"
	}
	for _, step := range t.Steps {
		why := step.Why
		if why == "" {
			why = "a flow of somebody else"
		}
		r.Steps = append(r.Steps, traceStep{Table: step.Table, Stage: step.Stage.String(), Match: string(step.Match), Why: why})
		if step.Stage < flows.StageDrop {
			r.Why = why // the last stage that judges decides
		}
	}
	return r, nil
}

func (r *traceResult) print(out *term.Writer) {
	out.Printf("%s\n", r.Summary)
	for _, p := range r.Problems {
		out.Printf("malformed: %s\n", p)
	}
	var t term.Table
	for _, s := range r.Steps {
		t.Add(fmt.Sprintf("  table %d", s.Table), s.Stage, s.Why)
	}
	t.Write(out)
	switch r.Verdict {
	case "pass":
		out.Printf("passes: %s\n", r.Why)
	case "observe":
		out.Printf("would be dropped, reason %s: %s; it passes because the VIF is only observed\n", r.Reason, r.Why)
	default:
		out.Printf("dropped, reason %s: %s\n", orDash(r.Reason), r.Why)
	}
	if r.Verdict != "drop" {
		out.Printf("the bridge then does: %s\n", orDash(r.Output))
	}
}
