package main

import (
	"path/filepath"
	"strings"
	"text/template"

	"github.com/jackc/pgx/v5"
)

// ready is what a person reads who has just started everything. The first curl
// places an order that goes well, the second one that is undone.
var ready = template.Must(template.New("ready").Parse(`
Amends is ready.

{{- if .API}}

  API        {{.API}}    (described at {{.API}}/docs)
{{- end}}
  Web UI     {{.WebUI}}
  Temporal   {{.Temporal}}
{{- if .API}}
  Services   {{.Services}}
  API key    {{.Key}}
{{- if .NewKey}}
  made now   {{.NewKey}}
{{- end}}
{{- end}}
  Data       {{.Data}}
{{- if .API}}

Place an order, and one whose card is declined:

  curl -i {{.API}}/v1/orders -H "Authorization: Bearer $(cat {{.Key}})" -H "Idempotency-Key: good-$(date +%s)" -H 'Content-Type: application/json' -d @examples/orders/good.json
  curl -i {{.API}}/v1/orders -H "Authorization: Bearer $(cat {{.Key}})" -H "Idempotency-Key: declined-$(date +%s)" -H 'Content-Type: application/json' -d @examples/orders/card-declined.json
{{- end}}

{{.End}}

`))

// announce says that all is ready, and what to do with it.
func (s *system) announce() error {
	facts := struct{ API, WebUI, Temporal, Services, Key, NewKey, Data, End string }{
		WebUI:    s.server.UIURL(),
		Temporal: s.server.HostPort(),
		Data:     s.flags.Data,
		End:      "Ctrl-C stops everything; the next start goes on where this one stops.",
	}
	if !s.flags.TemporalOnly {
		facts.API, facts.Services = url(s.apiListener), url(s.servicesListener)
		facts.Key, facts.NewKey = s.key.path, s.key.made
	}
	switch {
	case s.flags.Ephemeral:
		facts.Data = "in memory" + s.mails(s.dir)
		facts.End = "Ctrl-C stops everything, and nothing is kept."
	case s.flags.Postgres != "":
		facts.Data = database(s.flags.Postgres) + s.mails(s.dir)
	}
	var text strings.Builder
	if err := ready.Execute(&text, facts); err != nil {
		return err
	}
	_, err := s.stdout.Write([]byte(text.String()))
	return err
}

// mails says where the step services put mails, if they run.
func (s *system) mails(dir string) string {
	if s.flags.TemporalOnly {
		return ""
	}
	return ", mails in " + filepath.Join(dir, "mails")
}

// database names a database without its password.
func database(dsn string) string {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return "PostgreSQL"
	}
	return "PostgreSQL database " + cfg.Database + " on " + cfg.Host
}
