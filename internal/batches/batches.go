// Package batches creates the parts that work on jobs and connects them: the connection to JetStream, the associations that gateways
// share, and the jobs.
package batches

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"dicom-qr-gateway/internal/audit"
	"dicom-qr-gateway/internal/broker"
	"dicom-qr-gateway/internal/budget"
	"dicom-qr-gateway/internal/config"
	"dicom-qr-gateway/internal/joblog"
	"dicom-qr-gateway/internal/jobs"
	"dicom-qr-gateway/internal/leases"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/recording"
	"dicom-qr-gateway/internal/telemetry"
	"dicom-qr-gateway/qr"
)

// Options are the parts of the gateway that Batches work with.
type Options struct {
	Settings     *config.Config
	Gateway      *qr.Gateway
	Associations *pool.Pool
	Telemetry    *telemetry.Telemetry
	Audit        *audit.Trail
	Logger       zerolog.Logger
	Memory       *budget.Budget // that operations share; nil: not limited
	// Codes and Describe give errors their codes and texts.
	Codes    recording.Codes
	Describe func(ctx context.Context, err error, withTLS bool) *jobs.Failure
}

// Batches are the jobs of the gateway with their parts. All methods of a nil *Batches do nothing: there are no batches.
type Batches struct {
	jobs   *jobs.Service
	broker *broker.Broker
	log    zerolog.Logger

	leases    *leases.Leases // nil: this gateway has all associations to itself
	endLeases context.CancelFunc
	leasing   sync.WaitGroup
}

// New connects to what the settings name; it returns nil if they name nothing. The caller must call Close unless New fails. The error
// is a *config.FaultsError if JOBS_DIR or JOBS_KEY_FILE is at fault.
func New(ctx context.Context, o Options) (*Batches, error) {
	settings, on := o.Settings.Broker()
	if !on {
		return nil, nil //nolint:nilnil // Off is a valid setting.
	}
	b := &Batches{log: o.Logger}
	var err error
	if b.broker, err = broker.Open(ctx, settings, o.Logger); err != nil {
		return nil, fault(settings.Dir, err)
	}
	b.jobs = jobs.New(jobs.Options{
		Broker: b.broker, Retriever: o.Gateway, Room: o.Associations, PACS: o.Settings.PACS(),
		Watch:    joblog.New(o.Logger, o.Telemetry, o.Audit, o.Codes),
		Describe: o.Describe,
		Memory:   o.Memory,
		Log:      o.Logger,

		Retention:    o.Settings.JobsRetention.Duration(),
		Replicas:     o.Settings.JobsReplicas,
		MaxJobs:      o.Settings.JobsPerCaller,
		DrainTimeout: o.Settings.DrainTimeout.Duration(),
	})
	joblog.Measure(o.Telemetry, b.jobs.Stats)
	if !b.broker.Embedded() {
		b.share(ctx, &o)
	}
	return b, nil
}

// share begins to divide the associations with named PACS among the gateways of this NATS.
func (b *Batches) share(ctx context.Context, o *Options) {
	b.leases = leases.New(leases.Options{
		Broker: b.broker, Pool: o.Associations, PACS: o.Settings.PACS().List,
		Gateway: o.Settings.Name(), Replicas: o.Settings.JobsReplicas, Log: o.Logger, Lost: o.Telemetry.LeaseLost,
	})
	o.Telemetry.CountLeases(func() []telemetry.Lease {
		held := b.leases.Held()
		all := make([]telemetry.Lease, len(held))
		for i, h := range held {
			all[i] = telemetry.Lease(h)
		}
		return all
	})
	// Leases outlive ctx: operations that run when it ends need their associations until they are done.
	ctx, b.endLeases = context.WithCancel(context.WithoutCancel(ctx))
	b.leasing.Go(func() { b.leases.Run(ctx) })
}

// fault names the setting that an error of the start is about.
func fault(dir string, err error) error {
	if dir == "" {
		return err
	}
	setting := "JOBS_DIR: "
	if key := (*broker.KeyError)(nil); errors.As(err, &key) && !key.Unknown {
		setting = "JOBS_KEY_FILE: "
	}
	return &config.FaultsError{Lines: []string{setting + err.Error()}}
}

// Jobs returns the jobs; nil: there are none.
func (b *Batches) Jobs() *jobs.Service {
	if b == nil {
		return nil
	}
	return b.jobs
}

// Err returns nil if batches are available now.
func (b *Batches) Err() error {
	if b == nil {
		return nil
	}
	return b.broker.Err()
}

// Budget returns how max_associations of named PACS are kept: leases.Shared or leases.Reserved; "" if this gateway shares none.
func (b *Batches) Budget() string {
	if b == nil || b.leases == nil {
		return ""
	}
	return b.leases.Budget()
}

// Run works on the jobs until ctx is done. It returns when no item runs any more, soon after DRAIN_TIMEOUT at the latest.
func (b *Batches) Run(ctx context.Context) {
	if b == nil {
		return
	}
	if err := b.jobs.Run(ctx); err != nil {
		b.log.Error().Str("reason", err.Error()).Msg("the work on jobs has ended")
	}
}

// closeTimeout limits the end of JetStream in the process, which has synced everything before.
const closeTimeout = time.Second

// Close gives the associations back to the other gateways and ends the connection to JetStream. Run must have returned, and no
// request may be running.
func (b *Batches) Close() error {
	if b == nil {
		return nil
	}
	if b.leases != nil {
		b.endLeases()
		b.leasing.Wait()
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return b.broker.Close(ctx)
}
