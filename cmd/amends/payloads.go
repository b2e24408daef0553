package main

import (
	"log/slog"

	"github.com/amends-dev/amends/internal/payload"
)

// payloadFlags say how what sagas carry is kept with Temporal. Every process that connects to Temporal needs the same.
type payloadFlags struct {
	Keys string `help:"File of the keys that inputs, results and failures are encrypted with in Temporal; amends payload-keys makes it. Default: they are not encrypted." env:"KEYS" placeholder:"FILE"`
	KMS  string `help:"What the keys in that file are wrapped by: file:///PATH of a master key, or exec:///PATH of a program." name:"kms" env:"KMS" placeholder:"URL"`
}

func (f payloadFlags) config(log *slog.Logger) payload.Config {
	return payload.Config{KeyFile: f.Keys, KMS: f.KMS, Logger: log}
}
