package dicomtest

import (
	"context"
	"slices"

	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet"
)

// StorageSOPClasses returns the SOP classes that a PACS stores: those of the synthetic studies, and multi-frame
// and photographic ones.
func StorageSOPClasses() []string {
	classes := []string{
		secondaryCaptureImageStorage, UltrasoundMultiFrameImageStorage, VLPhotographicImageStorage,
	}
	for _, d := range iods {
		classes = append(classes, d.sopClass)
	}
	slices.Sort(classes)
	return classes
}

// store serves C-STORE (PS3.4 section B.2).
func (p *PACS) store(ctx context.Context, r *dicomnet.Request) dicomnet.Status {
	p.begin(dicomnet.StepStore)
	p.before(ctx, dicomnet.StepStore)
	if p.cfg.FailStore != nil {
		if status := p.cfg.FailStore(r.Command.AffectedSOPInstanceUID); status != dicomnet.StatusSuccess {
			return status
		}
	}
	in, err := decodeInstance(r.Data, r.TransferSyntax)
	if err != nil {
		return dicomnet.StatusUnableToProcess
	}
	if in.Text(tag.SOPInstanceUID) != r.Command.AffectedSOPInstanceUID ||
		in.Text(tag.SOPClassUID) != r.Command.AffectedSOPClassUID {
		return dicomnet.StatusIdentifierMismatch
	}
	if !p.archive.add(in) {
		return dicomnet.StatusOutOfResources
	}
	p.remember(Received{
		SOPInstanceUID: in.Text(tag.SOPInstanceUID), StudyInstanceUID: in.Text(tag.StudyInstanceUID),
		CallingAETitle:          r.CallingAETitle,
		MoveOriginatorAETitle:   r.Command.MoveOriginatorAETitle,
		MoveOriginatorMessageID: r.Command.MoveOriginatorMessageID,
	})
	return dicomnet.StatusSuccess
}

func (p *PACS) remember(r Received) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.received) == maxReceived {
		p.received = slices.Delete(p.received, 0, 1)
	}
	p.received = append(p.received, r)
}
