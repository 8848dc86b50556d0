package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gsigw/internal/config"
	"gsigw/internal/policy"
)

type explainFlags struct {
	file, target, action, operation, method, caller string
	asJSON                                          bool
}

func explainCommand() *cobra.Command {
	var f explainFlags
	c := &cobra.Command{
		Use:   "explain --config FILE --target URL",
		Short: "Say what would become of a call, and why",
		Long: `Says whether the config lets a call pass, which route takes it, and how it would be secured. It sends nothing and opens
none of the files that the config names. The exit code is 0 for a call that is allowed, 1 for one that is not.`,
		Example: `  gsigw explain --config gsigw.yaml --target https://grid.example.org:8443/wsrf/services/CounterService
  gsigw explain --config gsigw.yaml --target http://grid.example.org/wsrf/services/CounterService \
      --action http://counter.com/CounterPortType/addRequest --operation '{http://counter.com}add'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return explain(c, f) },
	}
	fs := c.Flags()
	fs.StringVar(&f.file, "config", "", "the config file")
	fs.StringVar(&f.target, "target", "", "the URL that the engine calls")
	fs.StringVar(&f.action, "action", "", "SOAPAction and wsa:Action")
	fs.StringVar(&f.operation, "operation", "", "first child of Body: {namespace}local")
	fs.StringVar(&f.method, "method", "POST", "HTTP method")
	fs.StringVar(&f.caller, "caller", "", "who calls; may be left out where the config has one caller")
	fs.BoolVar(&f.asJSON, "json", false, "print JSON")
	c.MarkFlagRequired("config")
	c.MarkFlagRequired("target")
	return c
}

func explain(c *cobra.Command, f explainFlags) error {
	cfg, err := parseConfig(f.file)
	if err != nil {
		return err
	}
	p, err := cfg.Policy()
	if err != nil {
		return err
	}
	call, err := f.call(cfg)
	var e policy.Explanation
	switch no, ok := errors.AsType[*policy.Denied](err); {
	case ok:
		e = no.Explain()
	case err != nil:
		return err
	default:
		e = p.Explain(call)
	}
	if f.asJSON {
		err = printJSON(c.OutOrStdout(), explanationFacts(e, call, cfg))
	} else {
		err = printExplanation(c, e, call, cfg)
	}
	if err == nil && !e.Allow {
		return errSaid
	}
	return err
}

// parseConfig reads a config without a look at the files that it names.
func parseConfig(name string) (*config.Config, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not there: write one from the output of: gsigw config example", name)
	}
	if err != nil {
		return nil, err
	}
	return config.Parse(name, text)
}

func (f explainFlags) call(cfg *config.Config) (policy.Call, error) {
	u, err := url.Parse(f.target)
	if err != nil {
		return policy.Call{}, usagef("--target is no URL: %v", errors.Unwrap(err))
	}
	form := policy.Forward
	if strings.EqualFold(u.Scheme, "https") {
		form = policy.Connect
	}
	if s := strings.ToLower(u.Scheme); s != "http" && s != "https" {
		return policy.Call{}, usagef("--target: scheme %q is neither http nor https", u.Scheme)
	}
	operation, err := parseOperation(f.operation)
	if err != nil {
		return policy.Call{}, err
	}
	caller, err := f.callerOf(cfg)
	if err != nil {
		return policy.Call{}, err
	}
	call, err := policy.NewCall(form, f.method, u)
	call.Caller, call.Operation, call.ContentType = caller, operation, "text/xml; charset=utf-8"
	call.SOAPAction, call.WSAAction, call.HasWSA = f.action, f.action, f.action != ""
	return call, err
}

func parseOperation(s string) (policy.Name, error) {
	space, local, ok := strings.Cut(strings.TrimPrefix(s, "{"), "}")
	switch {
	case s == "":
		return policy.Name{}, nil
	case !strings.HasPrefix(s, "{"):
		return policy.Name{Local: s}, nil
	case !ok || local == "":
		return policy.Name{}, usagef("--operation %q: write it as {namespace}local", s)
	}
	return policy.Name{Space: space, Local: local}, nil
}

func (f explainFlags) callerOf(cfg *config.Config) (string, error) {
	names := slices.Sorted(maps.Keys(cfg.Callers))
	switch {
	case f.caller == "" && len(names) == 1:
		return names[0], nil
	case slices.Contains(names, f.caller):
		return f.caller, nil
	}
	return "", usagef("give --caller: the config knows %s", strings.Join(names, ", "))
}

func explanationFacts(e policy.Explanation, call policy.Call, cfg *config.Config) any {
	facts := struct {
		Allow   bool          `json:"allow"`
		Rule    string        `json:"rule"`
		Reason  string        `json:"reason"`
		Route   string        `json:"route,omitempty"`
		Caller  string        `json:"caller"`
		Outcome *outcome      `json:"outcome,omitempty"`
		Steps   []policy.Step `json:"steps"`
	}{Allow: e.Allow, Rule: e.Rule, Reason: e.Reason, Caller: call.Caller, Steps: e.Steps}
	if e.Route != nil {
		facts.Route = e.Route.Name
	}
	if e.Allow {
		o := outcomeOf(e.Route, call, cfg)
		facts.Outcome = &o
	}
	return facts
}

func printExplanation(c *cobra.Command, e policy.Explanation, call policy.Call, cfg *config.Config) error {
	w := c.OutOrStdout()
	fmt.Fprint(w, e)
	if !e.Allow {
		return nil
	}
	for _, line := range outcomeOf(e.Route, call, cfg).lines(call) {
		if line[1] != "" {
			fmt.Fprintf(w, "    %-12s%s\n", line[0], line[1])
		}
	}
	return nil
}
