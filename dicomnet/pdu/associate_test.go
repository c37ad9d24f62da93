package pdu_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/pdu"
)

func TestUserIdentityIsEncodedAndDecoded(t *testing.T) {
	rq := &pdu.AssociateRQ{
		ProtocolVersion: 1, ApplicationContext: pdu.ApplicationContext,
		User: pdu.UserInformation{Identity: &pdu.UserIdentity{
			Kind: 2, PositiveResponseRequested: true, Primary: []byte("user"), Secondary: []byte("pass"),
		}},
	}
	decoded, err := pdu.Decode(pdu.TypeAssociateRQ, rq.Append(nil)[pdu.HeaderLength:])
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(pdu.PDU(rq), decoded))

	ac := &pdu.AssociateAC{
		ProtocolVersion: 1, ApplicationContext: pdu.ApplicationContext,
		User: pdu.UserInformation{IdentityResponse: []byte{}},
	}
	decoded, err = pdu.Decode(pdu.TypeAssociateAC, ac.Append(nil)[pdu.HeaderLength:])
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(pdu.PDU(ac), decoded))
}

// body returns an A-ASSOCIATE body with zero fixed fields and the items given as annotated hex.
func body(t testing.TB, items string) []byte {
	t.Helper()
	return append(make([]byte, 68), unhex(t, items)...)
}

func TestDecodeAssociateACAcceptsDeviationsOfPeers(t *testing.T) {
	accepted := `21 00 0019 01 00 00 00 40 00 0011 '1.2.840.10008.1.2'`
	for _, test := range []struct {
		name, items string
		want        []pdu.ContextAC
	}{
		{
			"a rejected context without a transfer syntax (Onis)",
			accepted + `21 00 0004 03 00 04 00`,
			[]pdu.ContextAC{{ID: 1, TransferSyntaxes: []string{"1.2.840.10008.1.2"}}, {ID: 3, Result: 4}},
		},
		{
			"a rejected context with a junk transfer syntax (Siemens)",
			`21 00 000F 01 00 03 00 40 00 0007 'unknown'`,
			[]pdu.ContextAC{{ID: 1, Result: 3}},
		},
		{
			"a rejected context with a truncated transfer syntax",
			`21 00 0006 01 00 03 00 40 00`,
			[]pdu.ContextAC{{ID: 1, Result: 3}},
		},
		{
			"a UID padded with NUL",
			`21 00 001A 01 00 00 00 40 00 0012 '1.2.840.10008.1.2' 00`,
			[]pdu.ContextAC{{ID: 1, TransferSyntaxes: []string{"1.2.840.10008.1.2"}}},
		},
		{
			"unknown items and sub-items, and user information before the contexts",
			`50 00 0013 5F 00 0003 AABBCC 51 00 0004 00004000 77 00 0000 99 00 0002 0000` + accepted,
			[]pdu.ContextAC{{ID: 1, TransferSyntaxes: []string{"1.2.840.10008.1.2"}}},
		},
		{"no items", ``, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := pdu.Decode(pdu.TypeAssociateAC, body(t, test.items))
			require.NoError(t, err)
			require.Equal(t, test.want, p.(*pdu.AssociateAC).Contexts)
		})
	}
}

func TestDecodeRejectsMalformedItems(t *testing.T) {
	for name, b := range map[string][]byte{
		"shorter than its fixed fields":                make([]byte, 67),
		"an item longer than the PDU":                  body(t, `10 00 0100 31`),
		"a truncated item header":                      body(t, `10 00 00`),
		"a context item without an ID":                 body(t, `21 00 0000`),
		"a sub-item longer than its item":              body(t, `21 00 0008 01 00 00 00 40 00 0011`),
		"a maximum length of two bytes":                body(t, `50 00 0006 51 00 0002 4000`),
		"a role selection longer than its sub-item":    body(t, `50 00 0008 54 00 0004 0009 31 32`),
		"an extended negotiation without a UID length": body(t, `50 00 0004 56 00 0000`),
		"a truncated user identity response":           body(t, `50 00 0006 59 00 0002 0009`),
		"more items than the limit":                    body(t, strings.Repeat(`99 00 0000`, 8193)),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := pdu.Decode(pdu.TypeAssociateAC, b)
			var format *pdu.FormatError
			require.ErrorAs(t, err, &format)
			require.Equal(t, pdu.ReasonInvalidParameter, format.Reason)
			_, err = pdu.Decode(pdu.TypeAssociateRQ, b)
			if name != "a context item without an ID" && name != "a sub-item longer than its item" {
				require.ErrorAs(t, err, &format)
			}
		})
	}
}
