package dicomnet_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

func TestTraceReportsEachAssociationOnce(t *testing.T) {
	var ended []dicomnet.Summary
	var pdus, commands []string
	identifiers := 0
	var operations []dicomnet.OperationSummary
	trace := &dicomnet.Trace{
		Ended: func(_ context.Context, s dicomnet.Summary) { ended = append(ended, s) },
		PDU: func(_ context.Context, sent bool, name string, _ int) {
			pdus = append(pdus, map[bool]string{true: "> ", false: "< "}[sent]+name)
		},
		Command: func(_ context.Context, sent bool, c dicomnet.CommandSet) {
			commands = append(commands, c.CommandField.String())
		},
		Identifier: func(context.Context, bool, dataset.TransferSyntax, []byte) { identifiers++ },
		Operation:  func(_ context.Context, o dicomnet.OperationSummary) { operations = append(operations, o) },
	}
	withPeer(t, func(p *dicomtest.ScriptedPeer) {
		p.Accept()
		rq := p.ReadRequest(dicomnet.CFindRQ)
		p.SendMessage(dicomtest.Response(rq, dicomnet.StatusPending, match("1.1")),
			dicomtest.Response(rq, dicomnet.StatusSuccess, nil))
		p.Release()
	}, func(t *testing.T, cfg dicomnet.Config) {
		cfg.Trace = trace
		a, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
		require.NoError(t, err)
		require.NoError(t, runFind(t.Context(), a).err)
		require.NoError(t, a.Close())
		require.NoError(t, a.Close())
	})
	require.Len(t, ended, 1)
	require.Equal(t, "released", ended[0].Outcome)
	require.Equal(t, []string{
		"> A-ASSOCIATE-RQ", "< A-ASSOCIATE-AC", "> P-DATA-TF", "> P-DATA-TF",
		"< P-DATA-TF", "< P-DATA-TF", "< P-DATA-TF", "> A-RELEASE-RQ", "< A-RELEASE-RP",
	}, pdus)
	require.Equal(t, []string{"C-FIND-RQ", "C-FIND-RSP", "C-FIND-RSP"}, commands)
	require.Equal(t, 2, identifiers)
	require.Len(t, operations, 1)
	require.GreaterOrEqual(t, operations[0].FirstResponse, time.Duration(0))
	operations[0].FirstResponse = 0
	require.Equal(t, dicomnet.OperationSummary{Step: dicomnet.StepFind, Matches: 1}, operations[0])
	require.Equal(t, 4, ended[0].PDUsSent)
	require.Equal(t, 5, ended[0].PDUsReceived)
	require.Positive(t, ended[0].BytesSent)
	require.Positive(t, ended[0].BytesReceived)

	ended, operations = nil, nil
	withPeer(t, func(p *dicomtest.ScriptedPeer) {
		p.Accept()
		p.ReadRequest(dicomnet.CFindRQ)
		p.Reset()
	}, func(t *testing.T, cfg dicomnet.Config) {
		cfg.Trace = trace
		a, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
		require.NoError(t, err)
		require.Error(t, runFind(t.Context(), a).err)
	})
	require.Equal(t, []dicomnet.OperationSummary{{Step: dicomnet.StepFind, FirstResponse: -1}}, operations)

	ended = nil
	withPeer(t, func(p *dicomtest.ScriptedPeer) {
		p.ReadAssociateRQ()
		p.SendPDU(&pdu.AssociateRJ{Result: 1, Source: 1, Reason: 7})
	}, func(t *testing.T, cfg dicomnet.Config) {
		cfg.Trace = trace
		_, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
		require.Error(t, err)
	})
	require.Len(t, ended, 1)
	require.Equal(t, "rejected", ended[0].Outcome)
	require.Error(t, ended[0].Err)
}
