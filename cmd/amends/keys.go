package main

import (
	"fmt"
	"time"

	"github.com/amends-dev/amends/internal/access"
)

type keysCommand struct {
	File string `help:"File that the keys are kept in: what the API gets as --keys-file." required:"" env:"AMENDS_KEYS_FILE" type:"path" placeholder:"FILE"`

	Create createKeyCommand `cmd:"" help:"Make a key and print it. It cannot be shown again: the file has only its hash."`
	List   listKeysCommand  `cmd:"" help:"List the keys."`
	Revoke revokeKeyCommand `cmd:"" help:"Take a key back, for good. APIs that run refuse it a second later."`
}

// keyOutput is how an answer about keys is printed.
type keyOutput struct {
	Output string `help:"text or json." enum:"text,json" default:"text" placeholder:"FORMAT"`
}

// keyJSON is a key as JSON has it.
type keyJSON struct {
	access.Key

	State access.KeyState `json:"state"`
	// Text is what the key's holder sends; it is there only when the key is made.
	Text string `json:"key,omitempty"`
}

func keyJSONOf(k access.Key) keyJSON { return keyJSON{Key: k, State: k.State(time.Now())} }

type createKeyCommand struct {
	keyOutput

	Name    string        `help:"Who gets it. A new key with the same name sees the same sagas." required:""`
	Role    access.Role   `help:"starter: starts sagas, and sees and cancels its own. viewer: sees its tenant's. operator: also acts on them. admin: everything, in all tenants." required:"" complete:"role"`
	Tenant  string        `help:"Whose sagas it is about." default:"default"`
	Expires time.Duration `help:"How long it is good, such as 720h. Default: until it is revoked." placeholder:"DURATION"`
}

// Run prints the key to stdout and what is said about it to stderr, so that a shell can take it.
func (c *createKeyCommand) Run(p *process, keys *keysCommand) error {
	wanted := access.Key{Name: c.Name, Tenant: c.Tenant, Role: c.Role}
	if c.Expires != 0 {
		end := time.Now().UTC().Add(c.Expires).Truncate(time.Second)
		wanted.Expires = &end
	}
	k, text, err := access.CreateKey(p.ctx, keys.File, wanted)
	if err != nil {
		return err
	}
	if c.Output == "json" {
		made := keyJSONOf(k)
		made.Text = text
		return writeJSON(p.stdout, made)
	}
	fmt.Fprintf(p.stderr, "Key %s for %s, %s of tenant %s. Keep it now: it is not shown again.\n", k.ID, k.Name, k.Role, k.Tenant)
	_, err = fmt.Fprintln(p.stdout, text)
	return err
}

type listKeysCommand struct{ keyOutput }

func (c *listKeysCommand) Run(p *process, keys *keysCommand) error {
	list, err := access.ListKeys(keys.File)
	if err != nil {
		return err
	}
	if c.Output == "json" {
		out := make([]keyJSON, len(list))
		for i, k := range list {
			out[i] = keyJSONOf(k)
		}
		return writeJSON(p.stdout, out)
	}
	rows := [][]string{{"ID", "NAME", "TENANT", "ROLE", "STATE", "CREATED", "EXPIRES"}}
	for _, k := range list {
		expires := "never"
		if k.Expires != nil {
			expires = k.Expires.Format(time.RFC3339)
		}
		rows = append(rows, []string{
			k.ID, k.Name, k.Tenant, string(k.Role), string(k.State(time.Now())), k.Created.Format(time.RFC3339), expires,
		})
	}
	return writeRows(p.stdout, rows)
}

type revokeKeyCommand struct {
	keyOutput

	ID string `arg:"" help:"The key's ID: what amends keys list shows, and what stands between amends_ and _ in the key."`
}

func (c *revokeKeyCommand) Run(p *process, keys *keysCommand) error {
	k, err := access.RevokeKey(p.ctx, keys.File, c.ID)
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return writeJSON(p.stdout, keyJSONOf(k))
	}
	_, err = fmt.Fprintf(p.stdout, "Key %s of %s is revoked.\n", k.ID, k.Name)
	return err
}
