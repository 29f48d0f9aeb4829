package main

import "context"

const guestMode = "inside-guest"

func insideGuest([]string) error                      { return nil }
func (b *bench) plugging(ctx context.Context) error   { return nil }
func (b *bench) beside(ctx context.Context) error     { return nil }
func (b *bench) forwarding(ctx context.Context) error { return nil }
func (b *bench) flooding(ctx context.Context) error   { return nil }
