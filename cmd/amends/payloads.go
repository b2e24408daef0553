package main

import (
	"fmt"
	"log/slog"

	"github.com/amends-dev/amends/internal/payload"
)

// payloadFlags say how what sagas carry is kept with Temporal. Every process that connects to Temporal needs the same.
type payloadFlags struct {
	Keys       string `help:"File of the keys that inputs, results and failures are encrypted with in Temporal; amends payload-keys makes it. Default: they are not encrypted." env:"KEYS" type:"path" placeholder:"FILE"`
	KMS        string `help:"What the keys in that file are wrapped by: file:///PATH of a master key, or exec:///PATH of a program." name:"kms" env:"KMS" placeholder:"URL"`
	Store      string `help:"Where large payloads are kept instead of in Temporal: file:///PATH, or s3://BUCKET/PREFIX?endpoint=URL&region=REGION. Default: in Temporal." env:"STORE" placeholder:"URL"`
	StoreAbove int    `help:"How many bytes are large." default:"131072" env:"STORE_ABOVE"`
}

// Validate implements kong's interface. A claim takes some 300 bytes itself.
func (f *payloadFlags) Validate() error {
	if f.StoreAbove < minStored {
		return fmt.Errorf("--payload-store-above: must be %d at least", minStored)
	}
	return nil
}

const minStored = 512

func (f payloadFlags) config(log *slog.Logger) payload.Config {
	return payload.Config{KeyFile: f.Keys, KMS: f.KMS, Store: f.Store, StoreAbove: f.StoreAbove, Logger: log}
}
