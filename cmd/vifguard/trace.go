package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vifguard/vifguard/cmd/vifguard/exit"
	"github.com/vifguard/vifguard/cmd/vifguard/report"
	"github.com/vifguard/vifguard/controller/inspect"
	"github.com/vifguard/vifguard/model"
	"github.com/vifguard/vifguard/model/frame"
)

func newTrace(o *options) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "trace PORT FRAME",
		Short: "Ask the switch what it would do with a frame",
		Long: `Ask the real switch what it would do with a frame that a port sends: the verdict, the
stage and the reason, the rule, in words, and what is malformed about the frame. A frame
that a flow of somebody else, a hidden flow of Open vSwitch's own or a protocol that it
speaks itself lets by is said to pass around the checks (docs/exposure.md).
FRAME is hexadecimal, a pcap file, or - for hexadecimal on standard input; 14 to 65535
bytes. Nothing is sent, and no counter changes; but Open vSwitch shows the agent a frame
that is refused as if it had been sampled, so "vifguard drops" has it, too.`,
		Example: `  vifguard trace tap1 ffffffffffff525400123456080600010800060400015254001234560a00000a0000000000000a000001
  vifguard trace tap1 capture.pcap`,
		Args: arguments(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(cmd, format, "text"); err != nil {
				return err
			}
			frames, err := readFrames(cmd.InOrStdin(), args[1])
			for i := 0; err == nil && i < len(frames); i++ {
				if err = inspect.CheckFrame(frames[i]); err != nil {
					err = fmt.Errorf("FRAME %d: %w", i+1, err)
				}
			}
			if err != nil {
				return exit.Errorf(exit.Usage, "%w", err)
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
	s, err := o.openFor(cmd.Context(), name)
	if err != nil {
		return err
	}
	defer s.close()
	b, row, err := findPort(s.Host(), name)
	if err != nil {
		return err
	}
	if !model.ResolveBridge(b).Guarded {
		return exit.Errorf(exit.No, "bridge %s isn't guarded: everything passes (opt it in with: vifguard guard %s)", b.Name, b.Name)
	}
	in := s.inspect(b, row)
	if in.Switch != nil {
		return in.Switch
	}
	port := in.Port(row)
	results := make([]report.Trace, 0, len(frames))
	for _, f := range frames {
		t, err := inspect.TraceFrame(s.ctx, &in, port, s.runDir, f)
		if err != nil {
			return err
		}
		results = append(results, report.NewTrace(f, t))
	}
	if format == "json" {
		return output(cmd).JSON(results)
	}
	out := output(cmd)
	for i := range results {
		if i > 0 {
			out.Printf("\n")
		}
		results[i].Print(out)
	}
	return nil
}
