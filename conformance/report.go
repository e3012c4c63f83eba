package conformance

import (
	"bufio"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/nnrt/nnrt/internal/errs"
)

// Report is the end of every case of a run.
type Report struct {
	Device  string
	Results []Result
}

// Counts is how many cases ended how.
type Counts struct{ Passed, Failed, Unsupported, Skipped int }

// String is "N passed, N failed, N unsupported, N skipped".
func (c Counts) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d unsupported, %d skipped", c.Passed, c.Failed, c.Unsupported, c.Skipped)
}

func (c *Counts) add(s Status) {
	switch s {
	case Passed:
		c.Passed++
	case Failed:
		c.Failed++
	case Unsupported:
		c.Unsupported++
	case Skipped:
		c.Skipped++
	}
}

// Counts sums up all cases.
func (r *Report) Counts() Counts {
	var c Counts
	for _, x := range r.Results {
		c.add(x.Status)
	}
	return c
}

// BySuite sums up each suite.
func (r *Report) BySuite() map[string]Counts {
	m := map[string]Counts{}
	for _, x := range r.Results {
		c := m[x.Suite]
		c.add(x.Status)
		m[x.Suite] = c
	}
	return m
}

// WriteText writes a line for each case that did not pass (with verbose, for every case), then the sums.
func (r *Report) WriteText(w io.Writer, verbose bool) error {
	b := bufio.NewWriter(w)
	for _, x := range r.Results {
		if x.Status == Failed || x.Status == Unsupported || verbose {
			fmt.Fprintf(b, "%-11s %s/%s", x.Status, x.Suite, x.Case)
			if x.Reason != "" {
				fmt.Fprintf(b, ": %s", x.Reason)
			}
			if verbose && x.Status == Passed {
				fmt.Fprintf(b, ": max_abs %.3g, max_rel %.3g", x.MaxAbs, x.MaxRel)
			}
			fmt.Fprintln(b)
		}
	}
	suites := r.BySuite()
	for _, s := range slices.Sorted(maps.Keys(suites)) {
		fmt.Fprintf(b, "%s: %v\n", s, suites[s])
	}
	fmt.Fprintf(b, "in all: %v\n", r.Counts())
	return b.Flush()
}

// WriteJSON writes one line for each case.
func (r *Report) WriteJSON(w io.Writer) error {
	b := bufio.NewWriter(w)
	enc := json.NewEncoder(b)
	for _, x := range r.Results {
		if err := enc.Encode(x); err != nil {
			return err
		}
	}
	return b.Flush()
}

// WriteMarkdown writes the sums and every case that did not pass as a page.
func (r *Report) WriteMarkdown(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "# Conformance on device %s\n\n| suite | passed | failed | unsupported | skipped |\n| --- | ---: | ---: | ---: | ---: |\n", r.Device)
	suites := r.BySuite()
	for _, s := range slices.Sorted(maps.Keys(suites)) {
		c := suites[s]
		fmt.Fprintf(b, "| %s | %d | %d | %d | %d |\n", s, c.Passed, c.Failed, c.Unsupported, c.Skipped)
	}
	c := r.Counts()
	fmt.Fprintf(b, "| in all | %d | %d | %d | %d |\n", c.Passed, c.Failed, c.Unsupported, c.Skipped)
	for _, s := range []Status{Failed, Unsupported, Skipped} {
		title := false
		for _, x := range r.Results {
			if x.Status != s {
				continue
			}
			if !title {
				fmt.Fprintf(b, "\n## %s\n\n| case | reason |\n| --- | --- |\n", s)
				title = true
			}
			fmt.Fprintf(b, "| %s/%s | %s |\n", x.Suite, x.Case, strings.ReplaceAll(x.Reason, "|", `\|`))
		}
	}
	return b.Flush()
}

//go:embed expected_*.txt
var expectedFiles embed.FS

// expectedFor is the list of known failures that goes with a device: lines of a case, a tab or spaces, and
// the reason.
func expectedFor(device string) (map[string]string, error) {
	kind, _, _ := strings.Cut(device, ":")
	b, err := expectedFiles.ReadFile("expected_" + kind + ".txt")
	if err != nil {
		return map[string]string{}, nil // a device without a list has no known failures
	}
	return ParseExpected(string(b))
}

// ParseExpected reads a list of known failures. Empty lines and those that start with # say
// nothing; a ? before a case means that it may pass by chance.
func ParseExpected(text string) (map[string]string, error) {
	out := map[string]string{}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, why, ok := strings.Cut(line, " ")
		if why = strings.TrimSpace(why); !ok || why == "" {
			return nil, errs.Errorf("conformance: line %d of the list of known failures has no reason: %q", i+1, line)
		}
		if bare, ok := strings.CutPrefix(name, byChance); ok {
			name, why = bare, byChance+why
		}
		out[name] = why
	}
	return out, nil
}
