// Command load measures the built gateway as a process on loopback: beside a floor, which is the least work that POST /q can be,
// and with a PACS that is faster than both. The load comes from wrk, whose own share of the machine is small. Processes that are
// compared get the load in turns, round after round. The result are the medians of the rounds, as tables in Markdown. One wrong
// answer fails the run.
//
//	go run -C test/load . -only throughput,latency -rounds 3 -seconds 2
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// options are the flags.
type options struct {
	only    string
	rounds  int
	seconds int
	gateway string
	before  string
	floor   string
	update  string
	goals   bool
}

func main() {
	var o options
	flag.StringVar(&o.only, "only", "", "parts to run, separated by commas: "+strings.Join(partNames(), ", ")+" (default all)")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds of which the median is taken; one round leaves out what takes long")
	flag.IntVar(&o.seconds, "seconds", 3, "seconds of load for each figure of a round")
	flag.StringVar(&o.gateway, "gateway", "", "gateway to measure (default one built from this tree)")
	flag.StringVar(&o.before, "before", "", "second gateway, measured in turns with the first")
	flag.StringVar(&o.floor, "floor", "", "another floor that takes -pacs, -http and -reuse")
	flag.BoolVar(&o.goals, "goals", false, "fail if a goal is missed, on a machine that does nothing else")
	flag.StringVar(&o.update, "update", "", "document in which the tables are replaced")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// part is a figure, or several that belong together.
type part struct {
	name string
	run  func(context.Context, *bench) error
}

var parts = []part{
	{"throughput", throughput},
	{"reuse", reuse},
	{"pdus", pdus},
	{"matches", matches},
	{"dicomweb", dicomweb},
	{"retrievals", retrievals},
	{"images", images},
	{"latency", latency},
	{"memory", memory},
	{"start", start},
	{"growth", growth},
	{"others", others},
}

func partNames() []string {
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	return names
}

func run(ctx context.Context, o options) (err error) {
	var wanted []string
	if o.only != "" {
		wanted = strings.Split(o.only, ",")
	}
	for _, name := range wanted {
		if !slices.Contains(partNames(), name) {
			return fmt.Errorf("no part %q", name)
		}
	}
	if o.rounds < 1 || o.seconds < 1 {
		return errors.New("want at least one round of one second")
	}
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	defer b.close()
	for _, p := range parts {
		if wanted != nil && !slices.Contains(wanted, p.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "== %s\n", p.name)
		err := p.run(ctx, b)
		b.stopAll()
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	sections := b.report.sections(machine(ctx, b.gateway))
	for _, s := range sections {
		fmt.Println(s.text)
	}
	if o.update != "" {
		if err := update(o.update, sections); err != nil {
			return err
		}
	}
	for _, missed := range b.report.missed {
		fmt.Fprintln(os.Stderr, "missed:", missed)
	}
	if len(b.report.missed) > 0 && o.goals {
		return errors.New("goals missed")
	}
	return nil
}
