package pdu_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/pdu"
)

// unhex decodes annotated hex: a semicolon starts a comment up to the end of the line, and 'text'
// stands for the bytes of text.
func unhex(t testing.TB, annotated string) []byte {
	t.Helper()
	var b []byte
	for line := range strings.Lines(annotated) {
		line, _, _ = strings.Cut(line, ";")
		for i, part := range strings.Split(line, "'") {
			if i%2 == 1 {
				b = append(b, part...)
				continue
			}
			digits, err := hex.DecodeString(strings.Join(strings.Fields(part), ""))
			require.NoError(t, err, "line %q", line)
			b = append(b, digits...)
		}
	}
	return b
}

// TestEncodeAndDecodeGoldenPDUs compares with PDUs that are written out field by field.
func TestEncodeAndDecodeGoldenPDUs(t *testing.T) {
	for _, test := range []struct {
		name string
		pdu  pdu.PDU
		hex  string
	}{
		{
			name: "A-ASSOCIATE-RQ that proposes verification in two transfer syntaxes",
			pdu: &pdu.AssociateRQ{
				ProtocolVersion: 1, CalledAETitle: "ANY-SCP", CallingAETitle: "ECHOSCU",
				ApplicationContext: pdu.ApplicationContext,
				Contexts: []pdu.ContextRQ{{
					ID: 1, AbstractSyntax: "1.2.840.10008.1.1",
					TransferSyntaxes: []string{"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"},
				}},
				User: pdu.UserInformation{MaxLength: 16384, ImplementationClassUID: "1.2.3", ImplementationVersionName: "V_1"},
			},
			hex: `
			01 00 000000C2                           ; A-ASSOCIATE-RQ, 194 bytes
			0001 0000                                ; protocol version 1, reserved
			'ANY-SCP         ' 'ECHOSCU         '    ; called and calling AE title
			00000000 00000000 00000000 00000000      ; reserved
			00000000 00000000 00000000 00000000
			10 00 0015 '1.2.840.10008.3.1.1.1'       ; application context
			20 00 0045 01 00 00 00                   ; presentation context 1
			   30 00 0011 '1.2.840.10008.1.1'        ;   abstract syntax
			   40 00 0011 '1.2.840.10008.1.2'        ;   transfer syntax
			   40 00 0013 '1.2.840.10008.1.2.1'      ;   transfer syntax
			50 00 0018                               ; user information
			   51 00 0004 00004000                   ;   maximum length 16384
			   52 00 0005 '1.2.3'                    ;   implementation class UID
			   55 00 0003 'V_1'                      ;   implementation version name`,
		},
		{
			name: "A-ASSOCIATE-AC that accepts one context and rejects another",
			pdu: &pdu.AssociateAC{
				ProtocolVersion: 1, CalledAETitle: "ANY-SCP", CallingAETitle: "ECHOSCU",
				ApplicationContext: pdu.ApplicationContext,
				Contexts: []pdu.ContextAC{
					{ID: 1, TransferSyntaxes: []string{"1.2.840.10008.1.2"}},
					{ID: 3, Result: 3},
				},
				User: pdu.UserInformation{
					MaxLength: 0, ImplementationClassUID: "1.2.3",
					AsynchronousWindow: &pdu.AsynchronousWindow{Invoked: 1, Performed: 2},
					Roles:              []pdu.RoleSelection{{SOPClassUID: "1.2", SCU: false, SCP: true}},
					Extended:           []pdu.ExtendedNegotiation{{SOPClassUID: "1.2", Info: []byte{1, 0, 1}}},
				},
			},
			hex: `
			02 00 000000B6                           ; A-ASSOCIATE-AC, 182 bytes
			0001 0000
			'ANY-SCP         ' 'ECHOSCU         '
			00000000 00000000 00000000 00000000
			00000000 00000000 00000000 00000000
			10 00 0015 '1.2.840.10008.3.1.1.1'
			21 00 0019 01 00 00 00                   ; presentation context 1, acceptance
			   40 00 0011 '1.2.840.10008.1.2'
			21 00 0004 03 00 03 00                   ; presentation context 3, abstract-syntax-not-supported
			50 00 0030
			   51 00 0004 00000000                   ;   maximum length: no limit
			   52 00 0005 '1.2.3'
			   53 00 0004 0001 0002                  ;   asynchronous operations window
			   54 00 0007 0003 '1.2' 00 01           ;   role selection: SCP
			   56 00 0008 0003 '1.2' 01 00 01        ;   extended negotiation`,
		},
		{
			name: "A-ASSOCIATE-RJ as dcmqrscp sends it for an unknown called AE title",
			pdu:  &pdu.AssociateRJ{Result: 1, Source: 1, Reason: 7},
			hex:  `03 00 00000004 00 01 01 07`,
		},
		{
			name: "P-DATA-TF with one PDV",
			pdu:  &pdu.PDataTF{Body: []byte{0, 0, 0, 4, 1, 3, 0xAB, 0xCD}},
			hex: `
			04 00 00000008
			00000004 01 03 ABCD                      ; PDV: context 1, command, last`,
		},
		{name: "A-RELEASE-RQ", pdu: &pdu.ReleaseRQ{}, hex: `05 00 00000004 00000000`},
		{name: "A-RELEASE-RP", pdu: &pdu.ReleaseRP{}, hex: `06 00 00000004 00000000`},
		{
			name: "A-ABORT by the provider for an invalid parameter value",
			pdu:  &pdu.Abort{Source: pdu.SourceProvider, Reason: pdu.ReasonInvalidParameter},
			hex:  `07 00 00000004 00 00 02 06`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := unhex(t, test.hex)
			got := test.pdu.Append(nil)
			require.Equal(t, hex.EncodeToString(want), hex.EncodeToString(got))
			decoded, err := pdu.Decode(pdu.Type(want[0]), want[pdu.HeaderLength:])
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(test.pdu, decoded))
		})
	}
}
