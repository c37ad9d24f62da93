package pool

import (
	"context"
	"slices"
	"time"

	"dicom-qr-gateway/dicomnet"
)

// OpenToReceive opens a new association in place of the current one: it proposes the SOP classes, and the storage SOP classes with the
// role of SCP (PS3.7 section D.3.3.4), which C-GET needs. It takes no idle association, keeps none, and does not retry a rejection.
// The errors are those of Open.
func (s *Session) OpenToReceive(ctx context.Context, storage []string, sopClasses ...string) error {
	if s.assoc != nil {
		s.release(ctx, s.assoc)
		s.assoc = nil
	}
	err := s.check()
	if err == nil {
		err = s.resolve(ctx)
	}
	s.proposed, s.kind, s.used = slices.Concat(sopClasses, storage), kind{}, false
	if err == nil {
		err = s.acquire(ctx)
	}
	if err == nil {
		cfg := s.config(s.proposed)
		for _, class := range storage {
			cfg.Roles = append(cfg.Roles, dicomnet.Role{SOPClassUID: class, SCP: true})
		}
		s.assoc, err = s.negotiate(ctx, cfg)
	}
	if err != nil {
		return Failure(ctx, dicomnet.StepAssociate, err)
	}
	s.slot.opened = time.Now()
	return nil
}
