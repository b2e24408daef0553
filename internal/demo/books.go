package demo

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/amends-dev/amends/client"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/internal/services"
	"github.com/amends-dev/amends/internal/services/audit"
	"github.com/amends-dev/amends/internal/terminal"
)

// account is the audit of one service.
type account = audit.Report

// mainFigures are the figures to show, by service.
var mainFigures = map[string][]string{
	"pricing":      {"standing_quotes", "withdrawn", "quoted.EUR"},
	"fraud":        {"standing_screenings", "withdrawn"},
	"inventory":    {"on_hand", "reserved", "committed"},
	"vouchers":     {"used", "restored"},
	"loyalty":      {"open_points", "spent", "awarded"},
	"payment":      {"journal", "authorized.EUR", "captured.EUR", "refunded.EUR"},
	"shipping":     {"open_shipments", "dispatched", "canceled"},
	"invoicing":    {"invoices", "credit_notes"},
	"notification": {"messages", "mails"},
}

// books are the audits of all services.
func (d *demo) books(ctx context.Context) ([]account, error) {
	var all []account
	for _, name := range services.Names {
		a, err := d.services.audit(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("audit of %s: %w", name, err)
		}
		all = append(all, a)
	}
	return all, nil
}

// bookLine is one service with its main figures.
type bookLine struct {
	service string
	figures []string
}

// comparison is what the books say after a run.
type comparison struct {
	lines []bookLine
	// settled is true once every order has ended.
	settled bool
	// findings are sentences about what does not fit.
	findings []string
}

// compare gathers the figures with their change, and what does not fit: what the services find themselves, and effects
// that are open although no order accounts for them. While an order has not ended the latter cannot be said.
func (d *demo) compare(before, after []account) comparison {
	c := comparison{settled: !slices.ContainsFunc(d.entries, func(e *entry) bool { return !e.view.State.Ended() })}
	for i, a := range after {
		was := before[i].Figures
		for _, finding := range a.Findings {
			c.findings = append(c.findings, a.Service+": "+finding)
		}
		if !a.Balanced && len(a.Findings) == 0 {
			c.findings = append(c.findings, a.Service+": it says that it does not balance")
		}
		for _, name := range slices.Sorted(maps.Keys(a.Figures)) {
			grew := a.Figures[name] - was[name]
			if want, known := d.growth(a.Service, name); known && c.settled && grew != want {
				c.findings = append(c.findings, fmt.Sprintf("%s: %s went from %d to %d, not to %d (what others placed meanwhile counts too)",
					a.Service, words(name), was[name], a.Figures[name], was[name]+want))
			}
		}
		var texts []string
		for _, name := range mainFigures[a.Service] {
			if now, there := a.Figures[name]; there || isSum(name) {
				texts = append(texts, figure(name, was[name], now))
			}
		}
		c.lines = append(c.lines, bookLine{a.Service, texts})
	}
	return c
}

// standing are the figures that an order which was completed changes for good, and by how much: nobody tells pricing,
// fraud and vouchers that an order is final, so what they did for it stays as it is. nil is an amount, which the API
// does not tell.
var standing = map[string]func(*entry) int64{
	"pricing standing_quotes":       func(*entry) int64 { return 1 },
	"fraud standing_screenings":     func(*entry) int64 { return 1 },
	"fraud standing_exposure":       nil,
	"vouchers standing_redemptions": func(e *entry) int64 { return int64(min(len(e.order.Voucher), 1)) },
}

// growth is by how much the run's orders make a figure of what is open or standing grow for good; known is false for
// figures of which nothing can be said. What is open and not among standing nets to zero.
func (d *demo) growth(service, name string) (growth int64, known bool) {
	each, stands := standing[service+" "+name]
	if !stands {
		return 0, name == "open" || strings.HasPrefix(name, "open_")
	}
	for _, e := range d.entries {
		if each != nil && e.view.State == client.Completed {
			growth += each(e)
		}
	}
	return growth, each != nil
}

// isSum tells whether the figure is a sum of money: then its name ends with the currency, and it is missing while there
// is none.
func isSum(name string) bool { return strings.Contains(name, ".") }

// figure is a figure as people read it, with its change.
func figure(name string, before, after int64) string {
	show := func(n int64) string { return fmt.Sprint(n) }
	if what, currency, ok := strings.Cut(name, "."); ok {
		name = what
		show = func(n int64) string { return order.Money{Amount: n, Currency: currency}.String() }
	}
	text := words(name) + " " + show(after)
	if change := after - before; change != 0 {
		sign := "+"
		if change < 0 {
			sign = ""
		}
		text += " (" + sign + strings.TrimLeft(show(change), "ABCDEFGHIJKLMNOPQRSTUVWXYZ ") + ")"
	}
	return text
}

func words(name string) string { return strings.ReplaceAll(name, "_", " ") }

func writeBooks(w io.Writer, width int, c comparison) {
	switch {
	case len(c.findings) > 0:
		fmt.Fprintln(w, "The books do NOT balance:")
		for _, finding := range c.findings {
			fmt.Fprintln(w, "  "+terminal.Printable(finding))
		}
	case c.settled:
		fmt.Fprintf(w, "The books of all %d services balance, and nothing was left open (change in this run in parentheses):\n", len(c.lines))
	default:
		fmt.Fprintf(w, "The books of all %d services balance; what is open may be of orders that have not ended (change in this run in parentheses):\n", len(c.lines))
	}
	for _, line := range c.lines {
		fmt.Fprintln(w, line.text(width))
	}
}

// text is the line, broken between figures where it is longer than width; 0 is no limit.
func (l bookLine) text(width int) string {
	const indent = 16
	text := fmt.Sprintf("  %-12s", terminal.Printable(l.service))
	column := indent - 1
	for i, f := range l.figures {
		f = terminal.Printable(f)
		if i < len(l.figures)-1 {
			f += ","
		}
		length := utf8.RuneCountInString(f)
		switch {
		case i == 0:
			text += terminal.Gap + f
		case width > 0 && column+1+length > width:
			text += "\n" + strings.Repeat(" ", indent) + f
			column = indent - 1
		default:
			text += " " + f
		}
		column += 1 + length
	}
	return text
}
