package main

// What does a phone do once it is answered? It performs its steps one after the other.

import (
	"context"
	"log/slog"
	"time"
)

// perform tells whether the phone hangs up at the end; it returns early when the call is over.
func perform(ctx context.Context, line *Line, steps []Step) bool {
	quietSince := time.Now() // what the other side said before this moment answers nothing that is still to come
	for _, step := range steps {
		if ctx.Err() != nil {
			return false
		}
		timeout := milliseconds(step.TimeoutMs)
		switch {
		case step.sound != nil:
			say(ctx, line, step.sound)
			quietSince = time.Now()
		case step.BeepMs > 0:
			say(ctx, line, tone(step.Hz, milliseconds(step.BeepMs)))
			quietSince = time.Now()
		case step.DTMF != "":
			if err := line.Press(ctx, step.DTMF); err != nil && ctx.Err() == nil {
				slog.Warn("keys not pressed", "keys", step.DTMF, "error", err)
			}
		case step.PauseMs > 0:
			await(ctx, milliseconds(step.PauseMs), func(time.Time) bool { return false })
		case step.WaitFor == "speech":
			await(ctx, timeout, line.Ears.Talking)
		case step.WaitFor == "silence":
			await(ctx, timeout, func(now time.Time) bool {
				return line.Ears.FellSilent(quietSince, milliseconds(step.SilenceMs), now)
			})
			quietSince = time.Now()
		case step.WaitDTMF > 0:
			await(ctx, timeout, func(time.Time) bool { return line.Keypad.Take(step.WaitDTMF) })
		case step.Hangup:
			return true
		}
	}
	return false
}

func say(ctx context.Context, line *Line, samples []int16) {
	if err := line.Play(ctx, samples); err != nil && ctx.Err() == nil {
		slog.Warn("a line was not said", "error", err)
	}
}

// await returns when the condition holds, the time is up or the call is over. It looks once a frame: nothing in a call is finer.
func await(ctx context.Context, timeout time.Duration, condition func(now time.Time) bool) {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	frame := time.NewTicker(frameLength)
	defer frame.Stop()
	for !condition(time.Now()) {
		select {
		case <-frame.C:
		case <-deadline.C:
			return
		case <-ctx.Done():
			return
		}
	}
}
