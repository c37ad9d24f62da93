package pool

import (
	"context"
	"slices"

	"dicom-qr-gateway/dicomnet"
)

// OpenToReceive opens a new association in place of the current one: it proposes the SOP classes, and then the presentation contexts of
// storage SOP classes with the role of SCP (PS3.7 section D.3.3.4), which C-GET needs. It takes no idle association and keeps none. The
// errors are those of Open.
func (s *Session) OpenToReceive(ctx context.Context, storage []dicomnet.Context, sopClasses ...string) error {
	if s.assoc != nil {
		s.release(ctx, s.assoc)
		s.assoc = nil
	}
	err := s.check()
	if err == nil {
		err = s.resolve(ctx)
	}
	s.proposed, s.kind, s.used = sopClasses, kind{}, false
	if err == nil {
		s.assoc, err = retry(ctx, func() (*dicomnet.Association, error) { return s.associateToReceive(ctx, storage) })
	}
	if err != nil {
		return Failure(ctx, dicomnet.StepAssociate, err)
	}
	s.assoc.SetMemory(s.memory)
	return nil
}

func (s *Session) associateToReceive(ctx context.Context, storage []dicomnet.Context) (*dicomnet.Association, error) {
	if err := s.acquire(ctx); err != nil {
		return nil, err
	}
	cfg := s.config(s.proposed)
	cfg.Contexts = append(cfg.Contexts, storage...)
	cfg.Limits.MaxPDULength = dicomnet.RetrievalPDULength
	for _, pc := range storage {
		if !slices.ContainsFunc(cfg.Roles, func(r dicomnet.Role) bool { return r.SOPClassUID == pc.AbstractSyntax }) {
			cfg.Roles = append(cfg.Roles, dicomnet.Role{SOPClassUID: pc.AbstractSyntax, SCP: true})
		}
	}
	return s.associateNew(ctx, cfg)
}
