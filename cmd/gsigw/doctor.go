package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"gsigw/internal/doctor"
)

func doctorCommand() *cobra.Command {
	m := doctor.Here()
	var asJSON, all bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look at this machine's credentials, trust and clock, and say what is wrong and what to do",
		Long: `Looks at this machine as somebody does who is asked why a grid credential will not work: which credential is found and
why, how long it lasts and whether its chain holds; which CA or revocation list is stale or missing; whether the trust in
VOMS servers fits; whether the clock is right. Each finding is ok, warn or fail, with what to do. It changes nothing,
shows no keys, and asks the network only with --online or --server.

The exit code is 0 when nothing is failing and 1 when something is.`,
		Example: `  gsigw doctor
  gsigw doctor --config /etc/gsigw/gsigw.yaml
  gsigw doctor --online --server grid.example.org:8443 --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			findings := m.Examine(c.Context())
			if asJSON {
				if err := printJSON(c.OutOrStdout(), append([]doctor.Finding{}, findings...)); err != nil {
					return err
				}
			} else {
				printFindings(c.OutOrStdout(), findings, all)
			}
			if doctor.Failing(findings) {
				return errSaid
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&m.TrustDir, "trust", "", "grid trust directory; default: that of the config, X509_CERT_DIR, ~/.globus/certificates or /etc/grid-security/certificates")
	f.StringVar(&m.VOMSDir, "vomsdir", "", "trust in VOMS servers; default: X509_VOMS_DIR or /etc/grid-security/vomsdir")
	f.StringVar(&m.VOMSES, "vomses", "", "file or directory that names VOMS servers; default: where grid tools look")
	f.StringVar(&m.Config, "config", "", "config of the gateway: look at what it names, too")
	f.StringArrayVar(&m.Servers, "server", nil, "ask this HOST[:PORT] over TLS for its certificate and the time; may be repeated")
	f.BoolVar(&m.Online, "online", false, "ask the network for what the environment names: this machine's address, the MyProxy server")
	f.BoolVar(&all, "all", false, "show all findings of a kind, however many")
	f.BoolVar(&asJSON, "json", false, "print JSON: all findings")
	return c
}

// manyAlike is how many findings of one kind are shown: a trust directory without fetch-crl has a hundred.
const manyAlike = 5

// printFindings writes the findings under the check that each is of, and a line of summary.
func printFindings(w io.Writer, findings []doctor.Finding, all bool) {
	heading, alike, count := "", 0, map[doctor.State]int{}
	var last doctor.Finding
	for i, f := range findings {
		count[f.State]++
		if h, _, _ := strings.Cut(f.Check, "."); h != heading {
			heading = h
			fmt.Fprintln(w, heading)
		}
		if alike++; f.Check != last.Check || f.State != last.State {
			alike = 1
		}
		last = f
		if all || alike <= manyAlike {
			printFinding(w, f)
		}
		if end := i == len(findings)-1 || findings[i+1].Check != f.Check || findings[i+1].State != f.State; end && !all && alike > manyAlike {
			fmt.Fprintf(w, "  %-4s  and %d more of this kind: gsigw doctor --all\n", f.State, alike-manyAlike)
		}
	}
	fmt.Fprintf(w, "\n%s\n", summary(count[doctor.Fail], count[doctor.Warn]))
}

func printFinding(w io.Writer, f doctor.Finding) {
	fmt.Fprintf(w, "  %-4s  %s\n", f.State, f.Fact)
	if f.Remedy != "" {
		fmt.Fprintf(w, "        -> %s\n", f.Remedy)
	}
}

func summary(failing, warnings int) string {
	what := "Nothing is failing"
	if failing > 0 {
		what = fmt.Sprintf("Failing: %d", failing)
	}
	if warnings > 0 {
		return fmt.Sprintf("%s; warnings: %d.", what, warnings)
	}
	return what + "."
}
