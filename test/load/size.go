package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"
)

// memory measures what a gateway uses after its start, and at most with many callers or with the longest answers.
func memory(ctx context.Context, b *bench) error {
	info, err := os.Stat(b.gateway)
	if err != nil {
		return err
	}
	b.report.note("size of the binary", megabytes(info.Size()))
	const callers = 64
	for _, v := range []struct {
		callers, studies int
		name             string
		settings         []string
	}{
		{callers, 100, "", nil},
		{callers, 1000, "", nil},
		{callers, 100, ", 64 associations at once", []string{noQueue}},
		{callers, 1000, ", 64 associations at once", []string{noQueue}},
		{10, 10_000, "", nil}, // no more callers than associations, so that none waits too long on a slow machine
	} {
		gateways, err := b.gateways(ctx, "gateway", v.settings...)
		if err != nil {
			return err
		}
		for _, p := range gateways {
			idle, peak, err := b.peak(ctx, p, v.callers, b.studies(v.studies))
			if err != nil {
				return err
			}
			b.report.note(fmt.Sprintf("memory of the %s, %d callers with %d matches each%s", p.name, v.callers, v.studies, v.name),
				fmt.Sprintf("%s at the peak, %s idle", megabytes(peak), megabytes(idle)))
			p.stop()
		}
	}
	return nil
}

// peak returns the memory before a load, and the largest during it.
func (b *bench) peak(ctx context.Context, p *process, callers int, r request) (idle, peak int64, err error) {
	time.Sleep(time.Second)
	if idle, err = p.memory("VmRSS"); err != nil {
		return 0, 0, err
	}
	if _, err := b.load(ctx, p, callers, r, time.Duration(b.rounds*b.seconds)*time.Second); err != nil {
		return 0, 0, err
	}
	peak, err = p.memory("VmHWM")
	return idle, peak, err
}

// start measures the time from the start of the process to its first answer to /health and to /q.
func start(ctx context.Context, b *bench) error {
	for _, what := range []struct {
		name string
		ask  func(*process) error
	}{
		{"/health", func(p *process) error { return health(ctx, p) }},
		{"/q", func(p *process) error { _, err := b.ask(ctx, p, b.studies(1)); return err }},
	} {
		var times []time.Duration
		for range b.rounds {
			took, err := b.firstAnswer(ctx, what.ask)
			if err != nil {
				return err
			}
			times = append(times, took)
		}
		slices.Sort(times)
		b.report.note("start to the first answer of "+what.name, short(times[len(times)/2]))
	}
	return nil
}

func (b *bench) firstAnswer(ctx context.Context, ask func(*process) error) (time.Duration, error) {
	begin := time.Now()
	p, err := b.startGateway(ctx, "gateway", b.gateway)
	if err != nil {
		return 0, err
	}
	err = ask(p)
	took := time.Since(begin)
	p.stop()
	return took, err
}

func health(ctx context.Context, p *process) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+"/health", http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", response.StatusCode)
	}
	_ = response.Body.Close()
	return err
}

// growth measures the cost per match in answers of one to ten thousand matches, with one caller.
func growth(ctx context.Context, b *bench) error {
	gateways, err := b.gateways(ctx, "gateway")
	if err != nil {
		return err
	}
	for _, studies := range []int{1, 10, 100, 1000, 10_000} {
		samples, err := b.compare(ctx, 1, studies, gateways...)
		if err != nil {
			return err
		}
		for i, p := range gateways {
			b.report.growth = append(b.report.growth, grown{who: p.name, studies: studies, took: medianTime(samples[i]), cpu: cpuTime(samples[i])})
		}
	}
	return nil
}

// grown is the result for one size of answer.
type grown struct {
	who       string
	studies   int
	took, cpu time.Duration // of a request
}
