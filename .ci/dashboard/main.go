// Dashboard checks a Grafana dashboard against Grafana's schema, which knows each field of
// dashboards, panels and queries, and checks that the queries are PromQL:
//
//	go run ./dashboard ../analyzer/deploy/dashboard.json
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/prometheus/prometheus/promql/parser"
)

func main() {
	if err := check(os.Args[1]); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

func check(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	plugins.RegisterDefaultPlugins() // for the fields of queries to Prometheus
	// UnmarshalJSONStrict returns an empty list where there is no error, and then takes no values.
	var unknown cog.BuildErrors
	err = new(dashboard.Dashboard).UnmarshalJSONStrict(text)
	if err != nil && (!errors.As(err, &unknown) || len(unknown) > 0) {
		return err
	}
	var d dashboard.Dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		return err
	}
	if err := d.Validate(); err != nil {
		return err
	}
	// Grafana replaces variables before it sends a query.
	variables := strings.NewReplacer("$__rate_interval", "1m", "$__range", "1h")
	promQL := parser.NewParser(parser.Options{})
	queries := 0
	for _, p := range d.Panels {
		if p.Panel == nil {
			return errors.New("a row of panels, which this program does not check")
		}
		for _, target := range p.Panel.Targets {
			query, ok := target.(*prometheus.Dataquery)
			if !ok {
				return fmt.Errorf("panel %q: a query of type %T", *p.Panel.Title, target)
			}
			if _, err := promQL.ParseExpr(variables.Replace(query.Expr)); err != nil {
				return fmt.Errorf("panel %q: %w", *p.Panel.Title, err)
			}
			queries++
		}
	}
	if queries == 0 {
		return errors.New("no queries")
	}
	return nil
}
