package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"
)

// memory is what a gateway that has just been started takes, and then at most with 64 callers at once.
func memory(ctx context.Context, b *bench) error {
	const callers = 64
	info, err := os.Stat(b.gateway)
	if err != nil {
		return err
	}
	b.report.note("size of the binary", megabytes(info.Size()))
	for _, settings := range [][]string{nil, {crowded}} {
		for _, studies := range []int{100, 1000} {
			gateways, err := b.gateways(ctx, "gateway", settings...)
			if err != nil {
				return err
			}
			for _, p := range gateways {
				if err := b.peak(ctx, p, callers, studies, settings); err != nil {
					return err
				}
				p.stop()
			}
		}
	}
	return nil
}

func (b *bench) peak(ctx context.Context, p *process, callers, studies int, settings []string) error {
	time.Sleep(time.Second)
	idle, err := p.memory("VmRSS")
	if err != nil {
		return err
	}
	if _, err := b.load(ctx, p, callers, studies, time.Duration(b.rounds*b.seconds)*time.Second); err != nil {
		return err
	}
	peak, err := p.memory("VmHWM")
	if err != nil {
		return err
	}
	at := ""
	if settings != nil {
		at = ", 64 associations at once"
	}
	b.report.note(fmt.Sprintf("memory of the %s, %d callers with %d matches each%s", p.name, callers, studies, at),
		fmt.Sprintf("%s at its peak, %s idle before", megabytes(peak), megabytes(idle)))
	return nil
}

// start is the time from the start of the process to its first answer, to /health and to /q.
func start(ctx context.Context, b *bench) error {
	for _, what := range []struct {
		name string
		ask  func(*process) error
	}{
		{"/health", func(p *process) error { return health(ctx, p) }},
		{"/q", func(p *process) error { _, err := b.ask(ctx, p, 1); return err }},
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

// growth is what a match costs in answers of one to ten thousand of them, to one caller.
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

// grown is one size of answer.
type grown struct {
	who       string
	studies   int
	took, cpu time.Duration // of a request
}
