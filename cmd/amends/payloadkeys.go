package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/amends-dev/amends/internal/payload"
)

type payloadKeysCommand struct {
	Rotate   rotatePayloadKeyCommand   `cmd:"" help:"Make a key and encrypt with it from now on. The keys before it still decrypt."`
	Activate activatePayloadKeyCommand `cmd:"" help:"Encrypt with a key that rotate --stage made, or with an older one again."`
	Retire   retirePayloadKeyCommand   `cmd:"" help:"Take a key out of the file, for good: nobody can read what it encrypted any more."`
	List     listPayloadKeysCommand    `cmd:"" help:"List the keys."`
}

// keyFile is the file that the flags name.
func (f payloadFlags) keyFile() (payload.KeyFile, error) {
	if f.Keys == "" {
		return payload.KeyFile{}, errors.New("which file? Name it with --payload-keys")
	}
	kms, err := payload.OpenKMS(f.KMS)
	return payload.KeyFile{Path: f.Keys, KMS: kms}, err
}

// tell says what became of a key.
func (o keyOutput) tell(p *process, key payload.Key, said string) error {
	if o.Output == "json" {
		return writeJSON(p.stdout, key)
	}
	_, err := fmt.Fprintf(p.stdout, "Key %s %s.\n", key.ID, said)
	return err
}

const encrypts = "encrypts from now on"

type rotatePayloadKeyCommand struct {
	keyOutput

	Stage bool `help:"Make the key without encrypting with it: where processes don't share one file, each has to get the key first."`
}

func (c *rotatePayloadKeyCommand) Run(p *process) error {
	file, err := p.payloads.keyFile()
	if err != nil {
		return err
	}
	add, said := file.Rotate, encrypts
	if c.Stage {
		add, said = file.Stage, "is staged. Once every process has it, have it encrypt: amends payload-keys activate"
	}
	key, err := add(p.ctx)
	if err != nil {
		return err
	}
	return c.tell(p, key, said)
}

type activatePayloadKeyCommand struct {
	keyOutput

	ID string `arg:"" help:"ID of the key."`
}

func (c *activatePayloadKeyCommand) Run(p *process) error {
	file, err := p.payloads.keyFile()
	if err != nil {
		return err
	}
	key, err := file.Activate(p.ctx, c.ID)
	if err != nil {
		return err
	}
	return c.tell(p, key, encrypts)
}

type retirePayloadKeyCommand struct {
	keyOutput

	ID string `arg:"" help:"ID of the key."`
}

func (c *retirePayloadKeyCommand) Run(p *process) error {
	file, err := p.payloads.keyFile()
	if err != nil {
		return err
	}
	key, err := file.Retire(p.ctx, c.ID)
	if err != nil {
		return err
	}
	return c.tell(p, key, "is retired")
}

type listPayloadKeysCommand struct{ keyOutput }

func (c *listPayloadKeysCommand) Run(p *process) error {
	file, err := p.payloads.keyFile()
	if err != nil {
		return err
	}
	keys, err := file.List()
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return writeJSON(p.stdout, keys)
	}
	rows := [][]string{{"ID", "STATE", "CREATED", "REPLACED"}}
	for _, k := range keys {
		replaced := "-"
		if k.Replaced != nil {
			replaced = k.Replaced.Format(time.RFC3339)
		}
		rows = append(rows, []string{k.ID, string(k.State), k.Created.Format(time.RFC3339), replaced})
	}
	return writeRows(p.stdout, rows)
}
