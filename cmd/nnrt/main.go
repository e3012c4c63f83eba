// Command nnrt imports, inspects, runs, converts, trains and checks models. Each subcommand is one file of
// this folder, without logic of its own: what it does is a public Go call that any service can make.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/nnrt/nnrt/formats"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/guard"
	"github.com/nnrt/nnrt/runtime"
)

// The exit codes of the command's contract.
const (
	exitNo      = 1 // done, and the answer is no
	exitUsage   = 2
	exitRefused = 3 // a file was refused
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait for the step
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main with its surroundings as arguments, for tests.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	a := &app{stdout: stdout, stderr: stderr}
	defer func() {
		if guard.On {
			if r := recover(); r != nil {
				fmt.Fprintln(stderr, "nnrt:", oneLine(guard.Wrap(r).Error()))
				code = exitRefused
			}
		}
	}()
	root := a.rootCmd()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var no errNo
	if !errors.As(err, &no) || no.msg != "" {
		fmt.Fprintln(stderr, "nnrt:", strings.TrimPrefix(oneLine(err.Error()), "nnrt: "))
	}
	if !a.started {
		return exitUsage
	}
	return exitCode(err)
}

// errNo ends a command that did its work and whose answer is no.
type errNo struct{ msg string }

func (e errNo) Error() string { return e.msg }

// errUsage marks wrong usage.
type errUsage struct{ error }

func (e errUsage) Unwrap() error { return e.error }

// errFile marks a file that was refused for what is in it.
type errFile struct {
	path string
	err  error
}

func (e errFile) Error() string {
	if strings.Contains(e.err.Error(), e.path) {
		return e.err.Error()
	}
	return e.path + ": " + e.err.Error()
}

func (e errFile) Unwrap() error { return e.err }

func exitCode(err error) int {
	var (
		no     errNo
		usage  errUsage
		format *formats.FormatError
		unsup  *formats.UnsupportedError
		file   errFile
	)
	switch {
	case errors.As(err, &no):
		return exitNo
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &format), errors.As(err, &unsup): // also where a file that the model names is missing
		return exitRefused
	case errors.Is(err, os.ErrNotExist), errors.Is(err, os.ErrExist), errors.Is(err, os.ErrPermission):
		return exitUsage
	case errors.Is(err, context.Canceled):
		return exitNo
	case errors.As(err, &file), errors.Is(err, errors.ErrUnsupported),
		errors.Is(err, guard.ErrInternal), errors.Is(err, runtime.ErrMemory):
		return exitRefused
	}
	return exitNo
}

func oneLine(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), "\n", "; ") }

// app is what the subcommands share.
type app struct {
	stdout, stderr io.Writer

	deviceName string
	threads    int
	quiet      bool
	logLevel   string
	memory     int64
	started    bool // the command line was understood
}

// logger writes to standard error at the level asked for.
func (a *app) logger() *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.logLevel)); err != nil {
		level = slog.LevelWarn
	}
	if a.quiet {
		level = slog.LevelError
	}
	return slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
}

func (a *app) rootCmd() *cobra.Command {
	root := &cobra.Command{
		Use:           "nnrt",
		Short:         "Run, convert and train Keras and ONNX models",
		Long:          "nnrt loads Keras (.h5, .weights.h5, .keras) and ONNX models, runs them, trains them and writes them back.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	f := root.PersistentFlags()
	f.StringVar(&a.deviceName, "device", "cpu", "ref, cpu or cuda:N")
	f.IntVar(&a.threads, "threads", 0, "threads of the cpu device (0: GOMAXPROCS)")
	f.BoolVar(&a.quiet, "quiet", false, "no progress, no warnings")
	f.StringVar(&a.logLevel, "log-level", "warn", "debug, info, warn or error")
	f.Int64Var(&a.memory, "memory", machineMemory()/4*3, "most `BYTES` that one run may take (0: no limit; default: three quarters of the machine's)")
	f.Lookup("memory").DefValue = "0" // the page that describes the flags is the same on every machine
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return errUsage{err} })
	root.AddCommand(a.commands()...)
	a.usageArgs(root)
	return root
}

// least is the smallest value of flags that count something.
var least = map[string]float64{"threads": 0, "batch": 1, "epochs": 1, "steps-per-epoch": 0, "validation-freq": 1, "checkpoint-every": 0,
	"early-stopping": 0, "reduce-lr": 0, "fine-epochs": 1, "size": 1, "top": 0, "requests": 1, "goroutines": 1, "limit": 0, "count": 1, "steps": 1,
	"seconds": 1e-3, "learning-rate": 1e-30, "fine-lr": 1e-30, "rtol": 0, "atol": 0, "memory": 0, "alpha": 1e-3}

// checkFlags refuses numbers that mean nothing; the defaults, which may say "none", stand.
func (a *app) checkFlags(cmd *cobra.Command) (err error) {
	var level slog.Level
	if e := level.UnmarshalText([]byte(a.logLevel)); e != nil {
		return errUsage{errs.Errorf("--log-level %s: there are debug, info, warn and error", a.logLevel)}
	}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		v, e := strconv.ParseFloat(f.Value.String(), 64)
		if min, ok := least[f.Name]; ok && e == nil && !(v >= min && v <= 1e18) {
			err = errUsage{errs.Errorf("--%s %s: the least is %g", f.Name, f.Value, min)}
		}
	})
	return err
}

// usageArgs makes wrong numbers of arguments wrong usage, and notes where a command starts: what cobra
// refuses before, such as a required flag that is missing, is wrong usage too.
func (a *app) usageArgs(c *cobra.Command) {
	if do := c.RunE; do != nil {
		c.RunE = func(cmd *cobra.Command, args []string) error {
			a.started = true
			if err := a.checkFlags(cmd); err != nil {
				return err
			}
			return do(cmd, args)
		}
	}
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return errUsage{errs.Errorf("%w; see '%s --help'", err, cmd.CommandPath())}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		a.usageArgs(sub)
	}
}
