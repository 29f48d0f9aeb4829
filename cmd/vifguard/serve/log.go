package serve

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/coreos/go-systemd/v22/journal"
	"github.com/sirupsen/logrus"

	"github.com/vifguard/vifguard/cmd/vifguard/term"
)

// LogFormats are the values of --log-format.
func LogFormats() []string { return []string{"auto", "text", "json", "journal"} }

// newLog returns a logger for the flags --log-level and --log-format.
func newLog(out io.Writer, level, format string) (*logrus.Logger, error) {
	log := logrus.New()
	log.SetOutput(out)
	l, err := logrus.ParseLevel(level)
	if err != nil {
		return nil, fmt.Errorf("--log-level: %q is not a level (want error, warn, info or debug)", level)
	}
	log.SetLevel(l)
	if format == "auto" {
		format = formatFor(out)
	}
	switch format {
	case "text":
		log.SetFormatter(&logrus.TextFormatter{FullTimestamp: true, DisableColors: !term.IsTerminal(out) || os.Getenv("NO_COLOR") != ""})
	case "json":
		log.SetFormatter(&logrus.JSONFormatter{DisableHTMLEscape: true})
	case "journal":
		log.SetFormatter(journalFormatter{})
	default:
		return nil, fmt.Errorf("--log-format: %q is not a format (want %s)", format, strings.Join(LogFormats(), ", "))
	}
	return log, nil
}

// formatFor chooses what suits the reader: people at a terminal, the journal, or
// whatever program reads the rest.
func formatFor(out io.Writer) string {
	if term.IsTerminal(out) {
		return "text"
	}
	// $JOURNAL_STREAM is inherited by whatever a service starts: it says what standard
	// error was, so that is compared with what it is.
	if toJournal, err := journal.StderrIsJournalStream(); out == os.Stderr && err == nil && toJournal {
		return "journal"
	}
	return "json"
}

// journalFormatter writes a line as journald wants it on standard error: with its
// priority in front (sd-daemon(3)), and without the time, which the journal has.
type journalFormatter struct{}

// Format writes e.g. <6>VIF programmed bridge=br0 port=tap1 state=enforced.
func (journalFormatter) Format(e *logrus.Entry) ([]byte, error) {
	var b bytes.Buffer
	// A line feed would begin a line that names its own priority.
	fmt.Fprintf(&b, "<%d>%s", priority(e.Level), strings.ReplaceAll(e.Message, "\n", " "))
	for _, k := range slices.Sorted(maps.Keys(e.Data)) {
		fmt.Fprintf(&b, " %s=%s", k, quoted(fmt.Sprint(e.Data[k])))
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// quoted returns a value as it is if nothing in it could be taken for something else.
func quoted(s string) string {
	if s == "" || strings.ContainsAny(s, " =\"\\") || strconv.Quote(s) != `"`+s+`"` {
		return strconv.Quote(s)
	}
	return s
}

// priority returns the level of syslog(3).
func priority(l logrus.Level) journal.Priority {
	switch l {
	case logrus.PanicLevel, logrus.FatalLevel:
		return journal.PriCrit
	case logrus.ErrorLevel:
		return journal.PriErr
	case logrus.WarnLevel:
		return journal.PriWarning
	case logrus.InfoLevel:
		return journal.PriInfo
	default:
		return journal.PriDebug
	}
}
