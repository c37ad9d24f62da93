package pdu_test

import (
	"testing"

	"dicom-qr-gateway/dicomnet/pdu"
)

const (
	implicitLittle = "1.2.840.10008.1.2"
	explicitLittle = "1.2.840.10008.1.2.1"
)

// proposal returns the A-ASSOCIATE-RQ that the gateway sends for a C-FIND.
func proposal() *pdu.AssociateRQ {
	return &pdu.AssociateRQ{
		CalledAETitle: "PACS", CallingAETitle: "GATEWAY",
		Contexts: []pdu.ContextRQ{{
			ID: 1, AbstractSyntax: "1.2.840.10008.5.1.4.1.2.2.1", TransferSyntaxes: []string{explicitLittle, implicitLittle},
		}},
		User: pdu.UserInformation{MaxLength: 16384, ImplementationClassUID: "2.25.1", ImplementationVersionName: "GATEWAY"},
	}
}

func BenchmarkAppendAssociateRQ(b *testing.B) {
	rq := proposal()
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf = rq.Append(buf[:0])
	}
}

func BenchmarkDecodeAssociateRQ(b *testing.B) {
	rq := proposal().Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := pdu.Decode(pdu.TypeAssociateRQ, rq[pdu.HeaderLength:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeAssociateAC(b *testing.B) {
	ac := (&pdu.AssociateAC{Contexts: []pdu.ContextAC{{ID: 1, TransferSyntaxes: []string{implicitLittle}}}}).Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := pdu.Decode(pdu.TypeAssociateAC, ac[pdu.HeaderLength:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendMessagePart(b *testing.B) {
	data := make([]byte, 256)
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf = pdu.AppendMessagePart(buf[:0], 1, false, data, 16384)
	}
}

// BenchmarkNextPDV decodes a PDU of sixteen PDVs.
func BenchmarkNextPDV(b *testing.B) {
	const pdvs = 16
	var body []byte
	for range pdvs {
		body = pdu.AppendPDV(body, pdu.PDV{ContextID: 1, Last: true, Fragment: make([]byte, 256)})
	}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for rest := body; ; n++ {
			_, next, ok, err := pdu.NextPDV(rest)
			if err != nil {
				b.Fatal(err)
			}
			if !ok {
				break
			}
			rest = next
		}
		if n != pdvs {
			b.Fatalf("%d PDVs, want %d", n, pdvs)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*pdvs), "ns/PDV")
}
