package main

import "context"

func others(context.Context, *bench) error { return nil }
