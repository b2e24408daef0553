package main

import (
	"fmt"
	"io"
	"os"

	"github.com/amends-dev/amends/internal/services"
	"github.com/amends-dev/amends/internal/terminal"
)

type servicesImport struct {
	Files []string `arg:"" help:"Catalogs, as JSON or CSV; - for standard input." placeholder:"FILE" complete:"file"`
	By    string   `help:"Who imports it; it stays beside what was imported." env:"AMENDS_BY,USER" required:"" placeholder:"NAME"`
	Check bool     `help:"Change nothing: say what is wrong with the catalogs as such."`
}

// maxCatalog limits one file, in bytes.
const maxCatalog = 256 << 20

// Run imports the catalogs, all or nothing.
func (c *servicesImport) Run(p *process, all *servicesCommand) error {
	files := map[string][]byte{}
	for _, name := range c.Files {
		content, err := readCatalog(p, name)
		if err != nil {
			return err
		}
		files[name] = content
	}
	catalog, err := services.ReadCatalog(files)
	if err != nil {
		return &usageError{err}
	}
	if c.Check {
		fmt.Fprintln(p.stdout, "nothing is wrong with it")
		return nil
	}
	made, err := services.Import(p.ctx, all.config(p), catalog, c.By)
	rows := [][]string{{"SERVICE", "NEW", "CHANGED", "AS BEFORE"}}
	for _, m := range made {
		rows = append(rows, []string{m.Service, fmt.Sprint(m.Added), fmt.Sprint(m.Changed), fmt.Sprint(m.Same)})
		p.logger.Info("imported", "service", m.Service, "added", m.Added, "changed", m.Changed, "same", m.Same, "by", c.By)
	}
	if err != nil {
		return err
	}
	return writeRows(p.stdout, rows)
}

func readCatalog(p *process, name string) ([]byte, error) {
	from := p.stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }() // it is only read
		from = file
	}
	content, err := io.ReadAll(io.LimitReader(from, maxCatalog+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", terminal.Printable(name), err)
	}
	if len(content) > maxCatalog {
		return nil, badUsage("%s has more than %d MiB: import it in parts", terminal.Printable(name), maxCatalog>>20)
	}
	return content, nil
}
