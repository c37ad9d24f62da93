package dicomtest

import (
	"context"

	"dicom-qr-gateway/dicomnet"
)

// get serves C-GET (PS3.4 section C.4.3).
func (p *PACS) get(ctx context.Context, r *dicomnet.Request, s *dicomnet.SubOperations) dicomnet.RetrieveReport {
	p.begin(dicomnet.StepGet)
	g, status := p.newRetrieve(dicomnet.StepGet, r)
	if g == nil {
		return refused(status)
	}
	g.pending = s.Pending
	contexts := s.Contexts()
	for in := g.next(ctx); in != nil; in = g.next(ctx) {
		request, err := g.request(s.Context(), in, contexts)
		if err != nil {
			g.sent(in, dicomnet.ClassFailure)
			continue
		}
		status, err := s.Store(request)
		if err != nil {
			g.lost = true
			break
		}
		g.sent(in, status.Class())
	}
	return g.final()
}
