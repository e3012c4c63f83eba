//go:build ignore

// This program makes schemas.txt out of ONNX's own documents, docs/Changelog.md and docs/Changelog-ml.md:
//
//	go run schemas.go Changelog.md Changelog-ml.md > schemas.txt
//
// A line is one of: "op DOMAIN NAME SINCE [deprecated]", then of that operator "a NAME TYPE [DEFAULT]",
// "i NAME FLAGS TYPE", "o NAME FLAGS TYPE" (FLAGS: - ? optional, * variadic, ~ variadic of several types) and
// "t NAME TYPES".
package main

import (
	"bufio"
	"fmt"
	"html"
	"os"
	"regexp"
	"strings"
)

var (
	heading = regexp.MustCompile(`^### <a name="[^"]*"></a>\*\*(?:(.*)\.)?([A-Za-z0-9]+)-([0-9]+)\*\*`)
	entry   = regexp.MustCompile(`^<dt><tt>(.*?)</tt>(.*)</dt>$`)
	deflt   = regexp.MustCompile(`^ : (\S+(?: of \S+)?)(?: \(default is (.*)\))?`)
	section = regexp.MustCompile(`^#### (Attributes|Inputs|Outputs|Type Constraints)`)
)

func main() {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for _, path := range os.Args[1:] {
		f, err := os.Open(path)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		in, s := "", bufio.NewScanner(f)
		s.Buffer(nil, 1<<20)
		for s.Scan() {
			in = line(out, in, s.Text())
		}
		f.Close()
	}
}

// line writes what one line of a document says, and returns the section after it.
func line(out *bufio.Writer, in, text string) string {
	if m := heading.FindStringSubmatch(text); m != nil {
		d := m[1]
		if d == "" {
			d = "ai.onnx"
		}
		dep := ""
		if strings.Contains(text, "deprecated") {
			dep = " deprecated"
		}
		fmt.Fprintf(out, "op %s %s %s%s\n", d, m[2], m[3], dep)
		return ""
	}
	if strings.HasPrefix(text, "#### ") {
		if m := section.FindStringSubmatch(text); m != nil {
			return m[1]
		}
		return ""
	}
	m := entry.FindStringSubmatch(text)
	if m == nil || in == "" {
		return in
	}
	name, rest := m[1], html.UnescapeString(m[2])
	switch in {
	case "Attributes":
		if d := deflt.FindStringSubmatch(rest); d != nil {
			fmt.Fprintf(out, "a %s %s", name, strings.ReplaceAll(d[1], " of ", "-"))
			if d[2] != "" {
				fmt.Fprintf(out, " %s", d[2])
			}
			fmt.Fprintln(out)
		}
	case "Inputs", "Outputs":
		flag := "-"
		switch {
		case strings.Contains(rest, "variadic, heterogeneous"):
			flag = "~"
		case strings.Contains(rest, "variadic"):
			flag = "*"
		case strings.Contains(rest, "optional"):
			flag = "?"
		}
		i := strings.LastIndex(rest, " : ")
		fmt.Fprintf(out, "%s %s %s %s\n", map[string]string{"Inputs": "i", "Outputs": "o"}[in], name, flag, strings.ReplaceAll(rest[i+3:], " ", ""))
	default:
		i := strings.Index(rest, " : ")
		fmt.Fprintf(out, "t %s %s\n", name, strings.ReplaceAll(rest[i+3:], ", ", " "))
	}
	return in
}
