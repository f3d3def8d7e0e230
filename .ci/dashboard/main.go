// Dashboard checks that a Grafana dashboard has no fields other than those in Grafana's schema of
// dashboards, panels and queries, and that its queries are PromQL:
//
//	go -C .ci/dashboard run . ../../analyzer/deploy/dashboard.json
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
	// UnmarshalJSONStrict finds unknown fields. But it returns an error that is not nil, an empty
	// list, even if there are none, and drops nested values because of that: json.Unmarshal reads
	// those.
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
			return errors.New("a row of panels: this program checks panels only")
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
