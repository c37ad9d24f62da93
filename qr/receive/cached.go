package receive

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"

	"dicom-qr-gateway/internal/cache"
	"dicom-qr-gateway/internal/spool"
	"dicom-qr-gateway/qr"
)

// Retrieve begins a retrieval, or joins one of the same target that another caller has begun, and returns once its first instance can be
// read. With a cache that has everything, nothing is retrieved: Outcome.Way is WayCache. An error means that no instance arrived: it is
// one of Inventory, a *NoWayError, an *IncompleteError, a *FloodError or a *dicomnet.OpError. Otherwise the caller must call Close. For
// the caller the retrieval ends with ctx.
func (r *Receiver) Retrieve(ctx context.Context, q Request) (*Retrieval, error) {
	if r.options.Cache == nil {
		return r.fly(ctx, q, nil)
	}
	list, err := r.listed(ctx, q)
	if err != nil {
		return nil, err
	}
	part := narrow(list, q.Target)
	if part == nil || !part.Proven {
		return r.fly(ctx, q, nil)
	}
	if x := r.fromCache(ctx, q, part); x != nil {
		return x, nil
	}
	if q.SOPInstanceUID != "" && r.awaitSeries(ctx, q, list) {
		if x := r.fromCache(ctx, q, part); x != nil {
			return x, nil
		}
	}
	return r.fly(ctx, q, part)
}

// fromCache returns what the inventory lists if the cache has all of it; else nil.
func (r *Receiver) fromCache(ctx context.Context, q Request, i *Inventory) *Retrieval {
	m := newMarker(i)
	wanted := make([]cache.Wanted, len(i.Instances))
	for n := range i.Instances {
		wanted[n] = cache.Wanted{SOPInstanceUID: i.Instances[n].SOPInstanceUID, Mark: m.mark(n)}
	}
	items, ok := r.options.Cache.Get(cachedPACS(&q.Peer), policy(q.Uncompressed), wanted)
	if !ok {
		return nil
	}
	return &Retrieval{ctx: ctx, inventory: i, items: items}
}

func cacheKey(q *Request, uid string) cache.Key {
	return cache.Key{PACS: cachedPACS(&q.Peer), SOPInstanceUID: uid, Policy: policy(q.Uncompressed)}
}

// cachedPACS identifies a PACS, with its address and AE titles: an operator may give its name to another PACS.
func cachedPACS(p *qr.Peer) string {
	return fmt.Sprintf("%q %s %q %q %t", p.Name, p.Address(), p.CalledAETitle, p.CallingAETitle, p.TLS)
}

func policy(uncompressed bool) string {
	if uncompressed {
		return "uncompressed"
	}
	return "any"
}

// keep returns a writer that stores an arriving instance in the cache; nil if it is not to be stored, because there is no cache, or
// because the PACS does not list the instance.
func (x *run) keep(e spool.Entry) *cache.Writer {
	if x.receiver.options.Cache == nil || !x.inventory.Proven {
		return nil
	}
	x.marking.Do(func() {
		x.marker = newMarker(x.inventory)
		x.listed = make(map[string]int, len(x.inventory.Instances))
		for n := range x.inventory.Instances {
			x.listed[x.inventory.Instances[n].SOPInstanceUID] = n
		}
	})
	n, ok := x.listed[e.SOPInstanceUID]
	if !ok || x.inventory.Series[x.inventory.Instances[n].Series].SeriesInstanceUID != e.SeriesInstanceUID {
		return nil
	}
	return x.receiver.options.Cache.Add(cacheKey(&x.request, e.SOPInstanceUID), x.marker.mark(n), e)
}

// marker makes the marks of instances from the attributes that the PACS lists.
type marker struct {
	inventory *Inventory
	common    [sha256.Size]byte // of the attributes of patient and study
}

func newMarker(i *Inventory) marker {
	h := sha256.New()
	for _, value := range [...]string{
		i.StudyInstanceUID, i.PatientID, i.IssuerOfPatientID, i.PatientName, i.PatientBirthDate, i.PatientSex,
		i.StudyDate, i.StudyTime, i.StudyID, i.AccessionNumber,
	} {
		writeValue(h, value)
	}
	return marker{i, [sha256.Size]byte(h.Sum(nil))}
}

// mark returns the mark of the instance with an index in the inventory. It is safe for concurrent use.
func (m *marker) mark(n int) cache.Mark {
	in := &m.inventory.Instances[n]
	series := &m.inventory.Series[in.Series]
	h := sha256.New()
	_, _ = h.Write(m.common[:])
	for _, value := range [...]string{series.SeriesInstanceUID, series.Modality, in.SOPInstanceUID, in.SOPClassUID} {
		writeValue(h, value)
	}
	var numbers [16]byte
	binary.BigEndian.PutUint64(numbers[:], uint64(series.Number))
	binary.BigEndian.PutUint64(numbers[8:], uint64(in.Number))
	_, _ = h.Write(numbers[:])
	return cache.Mark(h.Sum(nil))
}

// writeValue writes a value so that it cannot run into the next one.
func writeValue(h hash.Hash, value string) {
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(value)))
	_, _ = h.Write(length[:])
	_, _ = h.Write([]byte(value))
}
