package ovsdb

import (
	"context"
	"log/slog"

	"github.com/go-logr/logr"
	"github.com/sirupsen/logrus"
	logrusslog "github.com/sirupsen/logrus/hooks/slog"
)

// droppedEvent is what libovsdb says, and all it does, when it drops an event.
const droppedEvent = "dropping event because event buffer is full"

// libLog passes libovsdb's messages on at debug level (rows at trace level), and
// calls onDrop when libovsdb drops an event.
type libLog struct {
	slog.Handler
	onDrop func()
}

func newLibLog(log *logrus.Entry, onDrop func()) logr.Logger {
	h := slog.Handler(logrusslog.NewHandler(log.Logger, &logrusslog.HandlerOptions{
		LevelMapper: func(l slog.Level) logrus.Level {
			if l < slog.LevelDebug {
				return logrus.TraceLevel
			}
			return logrus.DebugLevel
		},
	}))
	attrs := make([]slog.Attr, 0, len(log.Data))
	for k, v := range log.Data {
		attrs = append(attrs, slog.Any(k, v))
	}
	return logr.FromSlogHandler(&libLog{h.WithAttrs(attrs), onDrop})
}

// Enabled lets the message about a dropped event through at any log level.
func (l *libLog) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo || l.Handler.Enabled(ctx, level)
}

func (l *libLog) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == droppedEvent {
		l.onDrop()
	}
	return l.Handler.Handle(ctx, r)
}

func (l *libLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &libLog{l.Handler.WithAttrs(attrs), l.onDrop}
}

func (l *libLog) WithGroup(name string) slog.Handler {
	return &libLog{l.Handler.WithGroup(name), l.onDrop}
}
