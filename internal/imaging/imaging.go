// Package imaging creates the parts that retrieve instances and connects them: the spool, the cache, the storage SCP and the Receiver.
package imaging

import (
	"context"
	"errors"

	"dicom-qr-gateway/internal/budget"
	"dicom-qr-gateway/internal/cache"
	"dicom-qr-gateway/internal/config"
	"dicom-qr-gateway/internal/messageid"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/spool"
	"dicom-qr-gateway/internal/storelog"
	"dicom-qr-gateway/internal/storescp"
	"dicom-qr-gateway/internal/telemetry"
	"dicom-qr-gateway/qr"
	"dicom-qr-gateway/qr/receive"
)

// Options are the parts of the gateway that an Imaging works with.
type Options struct {
	Settings     *config.Config
	Gateway      *qr.Gateway
	Associations *pool.Pool
	MessageIDs   *messageid.Allocator
	Memory       *budget.Budget
	Telemetry    *telemetry.Telemetry
	Reports      *storelog.Observer
}

// Imaging is a Receiver with its parts.
type Imaging struct {
	*receive.Receiver
	spool *spool.Spool
	cache *cache.Cache  // nil: off
	scp   *storescp.SCP // nil: off
	port  int
}

// New returns what the settings describe, and starts the storage SCP if they have one. The caller must call Close unless New fails.
func New(ctx context.Context, o Options) (*Imaging, error) {
	i := &Imaging{}
	if err := i.start(ctx, &o); err != nil {
		return nil, errors.Join(err, i.Close())
	}
	o.Telemetry.CountSpool(i.spooled)
	o.Telemetry.CountCache(i.cached)
	i.Receiver = receive.New(receive.Options{
		Gateway: o.Gateway, Pool: o.Associations, Spool: i.spool, SCP: i.scp, Cache: i.cache, Memory: o.Memory,
	})
	return i, nil
}

func (i *Imaging) start(ctx context.Context, o *Options) (err error) {
	if i.spool, err = spool.New(o.Settings.Spool()); err != nil {
		return err
	}
	if i.cache, err = cache.New(o.Settings.Cache()); err != nil {
		return err
	}
	options, on := o.Settings.StorageSCP()
	if !on {
		return nil
	}
	options.MessageIDs = o.MessageIDs
	o.Reports.Observe(&options, o.Settings.DICOMDebug)
	i.scp = storescp.New(options)
	address, err := i.scp.Listen(ctx, o.Settings.StoreListenAddr)
	if err != nil {
		return err
	}
	o.Reports.Listening(address, options.AETitles)
	i.port = int(address.Port())
	return nil
}

// Spool returns the spool, in which instances and answers wait for callers.
func (i *Imaging) Spool() *spool.Spool { return i.spool }

// AETitles returns the titles of the storage SCP; nil: it is off.
func (i *Imaging) AETitles() []string { return i.scp.AETitles() }

// Port returns the port at which the storage SCP listens.
func (i *Imaging) Port() int { return i.port }

func (i *Imaging) spooled() telemetry.Spool {
	stats := i.spool.Stats()
	return telemetry.Spool{Memory: stats.Memory, Files: stats.File, Full: count(stats.Full)}
}

func (i *Imaging) cached() telemetry.Cache {
	stats := i.cache.Stats()
	return telemetry.Cache{
		Bytes: stats.Bytes, Instances: int(stats.Instances),
		Hits: count(stats.Hits), Misses: count(stats.Misses), Dropped: count(stats.Outdated), Evicted: count(stats.Evicted),
	}
}

// count returns a counter, which is never negative.
func count(n int64) uint64 { return uint64(max(n, 0)) }

// Close ends the storage SCP, waits for the retrievals, and removes what they held. No request may be running.
func (i *Imaging) Close() error {
	i.scp.Close()
	if i.Receiver != nil {
		i.Wait()
	}
	err := i.cache.Close()
	if i.spool != nil {
		err = errors.Join(err, i.spool.Close())
	}
	return err
}
