package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"
)

// manyCallers is the number of callers of a busy worklist.
const manyCallers = 32

// The figures of the Python gateway on two cores: requests per second of 32 callers with ten matches, the time of a request and
// the time per match.
const (
	pythonPerSecond = 68.0
	pythonRequest   = 64 * time.Millisecond
	pythonMatch     = 800 * time.Microsecond
)

// sample is the result of a process in a round.
type sample struct {
	figures
	cpu time.Duration // of the process, per request
}

// target is what a load goes to.
type target struct {
	*process
	request request
}

// compare puts the load of one patient with this number of studies on the processes in turns.
func (b *bench) compare(ctx context.Context, callers, studies int, processes ...*process) ([][]sample, error) {
	targets := make([]target, len(processes))
	for i, p := range processes {
		targets[i] = target{p, b.studies(studies)}
	}
	return b.compareTargets(ctx, callers, targets...)
}

// compareTargets puts the same number of callers on the targets in turns and returns the samples of each. The first round is not
// among them.
func (b *bench) compareTargets(ctx context.Context, callers int, targets ...target) ([][]sample, error) {
	samples := make([][]sample, len(targets))
	for _, p := range targets {
		if _, err := b.load(ctx, p.process, callers, p.request, time.Second); err != nil {
			return nil, err
		}
	}
	for round := range b.rounds {
		for i, p := range targets {
			before, err := p.cpu()
			if err != nil {
				return nil, err
			}
			f, err := b.load(ctx, p.process, callers, p.request, time.Duration(b.seconds)*time.Second)
			if err != nil {
				return nil, err
			}
			after, err := p.cpu()
			if err != nil {
				return nil, err
			}
			s := sample{figures: f, cpu: (after - before) / time.Duration(f.requests)}
			samples[i] = append(samples[i], s)
			fmt.Fprintf(os.Stderr, "   round %d  %-22s %8.0f/s  median %8v  99 %%: %8v  CPU %8v per request\n",
				round+1, p.name, s.perSecond(), s.median, s.p99, s.cpu)
		}
	}
	return samples, nil
}

func perSecond(samples []sample) float64 {
	return median(samples, func(s *sample) float64 { return s.perSecond() })
}

func medianTime(samples []sample) time.Duration {
	return time.Duration(median(samples, func(s *sample) float64 { return float64(s.median) }))
}

func cpuTime(samples []sample) time.Duration {
	return time.Duration(median(samples, func(s *sample) float64 { return float64(s.cpu) }))
}

// gateways starts the gateway and, if there is one, the gateway to compare with. Both must give the same answers byte for byte.
func (b *bench) gateways(ctx context.Context, name string, settings ...string) ([]*process, error) {
	p, err := b.startGateway(ctx, name, b.gateway, settings...)
	if err != nil || b.before == "" {
		return []*process{p}, err
	}
	before, err := b.startGateway(ctx, name+", before", b.before, settings...)
	if err != nil {
		return nil, err
	}
	for _, studies := range []int{1, 10, 1000} {
		want, err := b.ask(ctx, before, b.studies(studies))
		if err != nil {
			return nil, err
		}
		got, err := b.ask(ctx, p, b.studies(studies))
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(want, got) {
			return nil, fmt.Errorf("the answers differ:\n%s\n%s", want, got)
		}
	}
	return []*process{p, before}, nil
}

// noQueue lets all callers use an association at the same time. By default ten do, and the others wait.
const noQueue = "MAX_ASSOCIATIONS_PER_PACS=64"

// throughput measures 32 callers with ten matches on new associations.
func throughput(ctx context.Context, b *bench) error {
	return b.rates(ctx, "new association", false)
}

// reuse measures the same on associations that are reused.
func reuse(ctx context.Context, b *bench) error {
	return b.rates(ctx, "association reused", true, "ASSOCIATION_IDLE=30")
}

// pdus measures both with a PACS that writes each PDU separately.
func pdus(ctx context.Context, b *bench) error {
	b.pduByPDU = true
	defer func() { b.pduByPDU = false }()
	if err := b.rates(ctx, "PDU by PDU, new association", false); err != nil {
		return err
	}
	b.stopAll()
	return b.rates(ctx, "PDU by PDU, association reused", true, "ASSOCIATION_IDLE=30")
}

func (b *bench) rates(ctx context.Context, title string, keep bool, settings ...string) error {
	const studies = 10
	floor, err := b.startFloor(ctx, keep)
	if err != nil {
		return err
	}
	all := []*process{floor}
	for _, more := range []struct {
		name     string
		settings []string
	}{{"gateway", nil}, {"gateway, 64 at once", []string{noQueue}}} {
		gateways, err := b.gateways(ctx, more.name, append(more.settings, settings...)...)
		if err != nil {
			return err
		}
		all = append(all, gateways...)
	}
	samples, err := b.compare(ctx, manyCallers, studies, all...)
	if err != nil {
		return err
	}
	limit := perSecond(samples[0])
	for i, p := range all {
		rate := perSecond(samples[i])
		row := row{
			what: fmt.Sprintf("%s, %d callers, %d matches", title, manyCallers, studies), who: p.name,
			value: fmt.Sprintf("%.0f requests/s", rate), cpu: cpuTime(samples[i]),
		}
		if p != floor {
			row.ratio = fmt.Sprintf("%.2f of the floor", rate/limit)
			row.python = rate / pythonPerSecond
		}
		b.report.add(row)
	}
	return nil
}

// matches measures one caller with 1000 matches.
func matches(ctx context.Context, b *bench) error {
	const studies = 1000
	return b.times(ctx, studies, func(s []sample) float64 { return float64(pythonMatch) * studies / float64(medianTime(s)) })
}

// latency measures one caller with one match.
func latency(ctx context.Context, b *bench) error {
	return b.times(ctx, 1, func(s []sample) float64 { return float64(pythonRequest) / float64(medianTime(s)) })
}

func (b *bench) times(ctx context.Context, studies int, python func([]sample) float64) error {
	floor, err := b.startFloor(ctx, false)
	if err != nil {
		return err
	}
	gateways, err := b.gateways(ctx, "gateway")
	if err != nil {
		return err
	}
	all := append([]*process{floor}, gateways...)
	samples, err := b.compare(ctx, 1, studies, all...)
	if err != nil {
		return err
	}
	limit := medianTime(samples[0])
	for i, p := range all {
		took := medianTime(samples[i])
		row := row{
			what: "new association, 1 caller, " + counted(studies, "match", "matches"), who: p.name,
			value: short(took), cpu: cpuTime(samples[i]),
		}
		if p != floor {
			row.ratio = fmt.Sprintf("%.2f times the floor", float64(took)/float64(limit))
			row.python = python(samples[i])
			if studies > 1 {
				row.perMatch = row.cpu / time.Duration(studies)
			}
		}
		b.report.add(row)
	}
	return nil
}
