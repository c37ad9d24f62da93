package pdu_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"dicom-qr-gateway/dicomnet/pdu"
)

// unhex reads annotated hex: what follows a semicolon in a line is a comment, and
// 'text' stands for its bytes.
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

func TestGoldenPDUs(t *testing.T) {
	for _, test := range []struct {
		name string
		pdu  pdu.PDU
		hex  string
	}{
		{
			name: "A-ASSOCIATE-RQ proposes verification in two transfer syntaxes",
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
			name: "A-ASSOCIATE-AC accepts one context and rejects one",
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
			   51 00 0004 00000000                   ;   maximum length: no limit stated
			   52 00 0005 '1.2.3'
			   53 00 0004 0001 0002                  ;   asynchronous operations window
			   54 00 0007 0003 '1.2' 00 01           ;   role selection: SCP
			   56 00 0008 0003 '1.2' 01 00 01        ;   extended negotiation`,
		},
		{
			name: "A-ASSOCIATE-RJ as dcmqrscp sends it for a wrong called AE title",
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
			name: "A-ABORT of the provider for an invalid parameter value",
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

func TestUserIdentityTravelsBothWays(t *testing.T) {
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

// body is an A-ASSOCIATE-AC body with the items that annotated hex gives.
func body(t testing.TB, items string) []byte {
	t.Helper()
	return append(make([]byte, 68), unhex(t, items)...)
}

func TestDecodeAssociateACTakesWhatOddPeersSend(t *testing.T) {
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
			"a rejected context with bytes that are no item",
			`21 00 0006 01 00 03 00 40 00`,
			[]pdu.ContextAC{{ID: 1, Result: 3}},
		},
		{
			"a UID padded with NUL",
			`21 00 001A 01 00 00 00 40 00 0012 '1.2.840.10008.1.2' 00`,
			[]pdu.ContextAC{{ID: 1, TransferSyntaxes: []string{"1.2.840.10008.1.2"}}},
		},
		{
			"unknown items and sub-items, user information first",
			`50 00 0013 5F 00 0003 AABBCC 51 00 0004 00004000 77 00 0000 99 00 0002 0000` + accepted,
			[]pdu.ContextAC{{ID: 1, TransferSyntaxes: []string{"1.2.840.10008.1.2"}}},
		},
		{"no items at all", ``, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := pdu.Decode(pdu.TypeAssociateAC, body(t, test.items))
			require.NoError(t, err)
			require.Equal(t, test.want, p.(*pdu.AssociateAC).Contexts)
		})
	}
}

func TestDecodeRefusesInnerLengthsThatDoNotFit(t *testing.T) {
	for name, b := range map[string][]byte{
		"shorter than its fixed part":                  make([]byte, 67),
		"an item longer than the PDU":                  body(t, `10 00 0100 31`),
		"an item header cut off":                       body(t, `10 00 00`),
		"a context item without its ID":                body(t, `21 00 0000`),
		"a sub-item longer than its item":              body(t, `21 00 0008 01 00 00 00 40 00 0011`),
		"a maximum length of two bytes":                body(t, `50 00 0006 51 00 0002 4000`),
		"a role selection longer than its sub-item":    body(t, `50 00 0008 54 00 0004 0009 31 32`),
		"an extended negotiation without a UID length": body(t, `50 00 0004 56 00 0000`),
		"a user identity response cut off":             body(t, `50 00 0006 59 00 0002 0009`),
		"more items than any sensible PDU":             body(t, strings.Repeat(`99 00 0000`, 1025)),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := pdu.Decode(pdu.TypeAssociateAC, b)
			var format *pdu.FormatError
			require.ErrorAs(t, err, &format)
			require.Equal(t, pdu.ReasonInvalidParameter, format.Reason)
			_, err = pdu.Decode(pdu.TypeAssociateRQ, b)
			if name != "a context item without its ID" && name != "a sub-item longer than its item" {
				require.ErrorAs(t, err, &format)
			}
		})
	}
}

func TestCheckHeader(t *testing.T) {
	for _, test := range []struct {
		name   string
		t      pdu.Type
		length uint32
		want   pdu.AbortReason
	}{
		{"an A-ASSOCIATE-AC as large as any", pdu.TypeAssociateAC, 65536, 0},
		{"an A-ASSOCIATE-AC larger than any", pdu.TypeAssociateAC, 65537, pdu.ReasonInvalidParameter},
		{"a P-DATA-TF at the limit", pdu.TypePDataTF, 131072, 0},
		{"a P-DATA-TF of 4 GiB", pdu.TypePDataTF, 0xFFFFFFF0, pdu.ReasonInvalidParameter},
		{"a release of three bytes", pdu.TypeReleaseRP, 3, pdu.ReasonInvalidParameter},
		{"a rejection of five bytes", pdu.TypeAssociateRJ, 5, pdu.ReasonInvalidParameter},
		{"an abort of no bytes", pdu.TypeAbort, 0, 0},
		{"an abort of a megabyte", pdu.TypeAbort, 1 << 20, pdu.ReasonInvalidParameter},
		{"type 0", 0, 4, pdu.ReasonUnrecognizedPDU},
		{"HTTP", 'H', 0x54502F31, pdu.ReasonUnrecognizedPDU},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := pdu.CheckHeader(test.t, test.length, 131072)
			if test.want == 0 {
				require.NoError(t, err)
				return
			}
			var format *pdu.FormatError
			require.ErrorAs(t, err, &format)
			require.Equal(t, test.want, format.Reason)
		})
	}
	_, err := pdu.Decode(8, nil)
	require.Error(t, err)
	_, err = pdu.Decode(pdu.TypeAssociateRJ, []byte{0, 1})
	require.Error(t, err)
}

func TestAbortOfAnyLengthIsAnAbort(t *testing.T) {
	p, err := pdu.Decode(pdu.TypeAbort, []byte{0, 0})
	require.NoError(t, err)
	require.Equal(t, &pdu.Abort{}, p)
	p, err = pdu.Decode(pdu.TypeAbort, []byte{0xFF, 0xFF, 1, 9, 7, 7})
	require.NoError(t, err)
	require.Equal(t, &pdu.Abort{Source: 1, Reason: 9}, p)
}

func TestNextPDV(t *testing.T) {
	t.Run("bits 2 to 7 of the control header do not count", func(t *testing.T) {
		v, rest, ok, err := pdu.NextPDV(unhex(t, `00000003 05 FD 31   00000002 07 FE`))
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, pdu.PDV{ContextID: 5, Command: true, Fragment: []byte("1")}, v)
		v, rest, ok, err = pdu.NextPDV(rest)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, pdu.PDV{ContextID: 7, Last: true, Fragment: []byte{}}, v)
		_, _, ok, err = pdu.NextPDV(rest)
		require.NoError(t, err)
		require.False(t, ok)
	})
	for name, b := range map[string]string{
		"length 0":               `00000000 01 03`,
		"length 1":               `00000001 01 03`,
		"length beyond the PDU":  `00000003 01 03`,
		"length that overflows":  `FFFFFFFF 01 03 00`,
		"fewer bytes than a PDV": `000000`,
	} {
		t.Run(name, func(t *testing.T) {
			_, _, _, err := pdu.NextPDV(unhex(t, b))
			var format *pdu.FormatError
			require.ErrorAs(t, err, &format)
			require.Equal(t, pdu.ReasonInvalidParameter, format.Reason)
		})
	}
}

func TestMessagePartIsOnePDVAPDUWithinTheMaximumLengthAndWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.SliceOfN(rapid.Byte(), 0, 600).Draw(t, "data")
		most := rapid.Uint32Range(pdu.MinMaxLength, 300).Draw(t, "maximum length")
		b := pdu.AppendMessagePart(nil, 3, true, data, most)
		var got []byte
		for last := false; len(b) > 0; {
			if last {
				t.Fatal("a PDU after the last fragment")
			}
			n := uint32(b[2])<<24 | uint32(b[3])<<16 | uint32(b[4])<<8 | uint32(b[5])
			if b[0] != byte(pdu.TypePDataTF) || n > most {
				t.Fatalf("PDU type %d of %d bytes, at most %d", b[0], n, most)
			}
			v, rest, ok, err := pdu.NextPDV(b[6 : 6+n])
			if err != nil || !ok || len(rest) != 0 {
				t.Fatalf("not exactly one PDV: %v", err)
			}
			if last = v.Last; !last && len(v.Fragment)%2 != 0 {
				t.Fatalf("odd fragment of %d bytes", len(v.Fragment))
			}
			got = append(got, v.Fragment...)
			b = b[6+n:]
		}
		if !bytes.Equal(got, data) {
			t.Fatal("data changed")
		}
	})
}

func TestTypeNames(t *testing.T) {
	require.Equal(t, "P-DATA-TF", pdu.TypePDataTF.String())
	require.Equal(t, "PDU type 48", pdu.Type('H').String())
}

func FuzzDecode(f *testing.F) {
	f.Add(byte(2), append(make([]byte, 68), unhex(f, `21 00 0019 01 00 00 00 40 00 0011 '1.2.840.10008.1.2' 50 00 0008 51 00 0004 00004000`)...))
	f.Add(byte(1), append(make([]byte, 68), unhex(f, `20 00 0019 01 00 00 00 30 00 0011 '1.2.840.10008.1.1' 50 00 000B 54 00 0007 0003 '1.2' 00 01`)...))
	f.Add(byte(4), unhex(f, `00000004 01 03 ABCD 00000002 01 02`))
	f.Add(byte(7), []byte{0, 0, 2, 6})
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		if len(b) > pdu.MaxAssociateLength {
			return
		}
		p, err := pdu.Decode(pdu.Type(kind), b)
		if err != nil {
			if _, ok := errors.AsType[*pdu.FormatError](err); !ok {
				t.Fatalf("%T", err)
			}
			return
		}
		for rest := b; p.Type() == pdu.TypePDataTF; {
			_, next, ok, err := pdu.NextPDV(rest)
			if err != nil || !ok {
				break
			}
			rest = next
		}
		// What decodes can be encoded, and decodes to the same again.
		again := p.Append(nil)
		q, err := pdu.Decode(p.Type(), again[pdu.HeaderLength:])
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(q.Append(nil), again) {
			t.Fatal("not stable")
		}
	})
}
