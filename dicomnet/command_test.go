package dicomnet_test

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
)

func TestCommandSetEncoding(t *testing.T) {
	for _, test := range []struct {
		name    string
		command dicomnet.CommandSet
		hex     string
	}{
		{
			name: "C-ECHO-RQ",
			command: dicomnet.CommandSet{
				CommandField: dicomnet.CEchoRQ, AffectedSOPClassUID: "1.2.840.10008.1.1", MessageID: 7,
			},
			hex: `
			0000 0000 04000000 38000000                               group length 56
			0000 0200 12000000 312e322e3834302e31303030382e312e3100   affected SOP class UID
			0000 0001 02000000 3000                                   command field
			0000 1001 02000000 0700                                   message ID
			0000 0008 02000000 0101                                   no data set`,
		},
		{
			name: "C-MOVE-RQ",
			command: dicomnet.CommandSet{
				CommandField: dicomnet.CMoveRQ, AffectedSOPClassUID: "1.2", MessageID: 258, MoveDestination: "DES", HasDataSet: true,
			},
			hex: `
			0000 0000 04000000 40000000
			0000 0200 04000000 312e3200
			0000 0001 02000000 2100
			0000 1001 02000000 0201
			0000 0006 04000000 44455320                               move destination, padded with a space
			0000 0007 02000000 0000                                   priority medium
			0000 0008 02000000 0000                                   data set present`,
		},
		{
			name: "C-MOVE-RSP",
			command: dicomnet.CommandSet{
				CommandField: dicomnet.CMoveRSP, MessageIDBeingRespondedTo: 1, Status: 0xB000,
				Completed: ptr(2), Failed: ptr(1), Warning: ptr(0),
				Detail: dicomnet.StatusDetail{ErrorComment: "abc", ErrorID: 5, OffendingElements: []uint32{0x0020000D}},
			},
			hex: `
			0000 0000 04000000 68000000
			0000 0001 02000000 2180
			0000 2001 02000000 0100                                   message ID being responded to
			0000 0008 02000000 0101
			0000 0009 02000000 00b0                                   status
			0000 0109 04000000 20000d00                               offending element
			0000 0209 04000000 61626320                               error comment
			0000 0309 02000000 0500                                   error ID
			0000 2110 02000000 0200
			0000 2210 02000000 0100
			0000 2310 02000000 0000`,
		},
		{
			name:    "C-CANCEL-RQ",
			command: dicomnet.CommandSet{CommandField: dicomnet.CCancelRQ, MessageIDBeingRespondedTo: 9},
			hex: `
			0000 0000 04000000 1e000000
			0000 0001 02000000 ff0f
			0000 2001 02000000 0900
			0000 0008 02000000 0101`,
		},
		{
			name: "C-STORE-RQ of a sub-operation",
			command: dicomnet.CommandSet{
				CommandField: dicomnet.CStoreRQ, AffectedSOPClassUID: "1.2", AffectedSOPInstanceUID: "1.3", MessageID: 1,
				HasDataSet: true, MoveOriginatorAETitle: "GW", MoveOriginatorMessageID: 3,
			},
			hex: `
			0000 0000 04000000 54000000
			0000 0200 04000000 312e3200
			0000 0001 02000000 0100
			0000 1001 02000000 0100
			0000 0007 02000000 0000
			0000 0008 02000000 0000
			0000 0010 04000000 312e3300
			0000 3010 02000000 4757
			0000 3110 02000000 0300`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := test.command.Append(nil)
			require.Equal(t, hexDigits(t, test.hex), hex.EncodeToString(got))
			back, err := dicomnet.DecodeCommandSet(got)
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(test.command, back))
		})
	}
}

// hexDigits joins the hexadecimal words at the start of each line of annotated hex.
func hexDigits(t *testing.T, annotated string) string {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(annotated) {
		for i, word := range strings.Fields(line) {
			if _, err := hex.DecodeString(word); err != nil || i > 3 {
				break
			}
			b.WriteString(word)
		}
	}
	return b.String()
}

func TestDecodeCommandSetToleratesWhatPeersSend(t *testing.T) {
	element := func(n uint16, v ...byte) []byte {
		return append([]byte{0, 0, byte(n), byte(n >> 8), byte(len(v)), 0, 0, 0}, v...)
	}
	join := func(parts ...[]byte) (b []byte) {
		for _, p := range parts {
			b = append(b, p...)
		}
		return b
	}
	c, err := dicomnet.DecodeCommandSet(join(
		element(0x0900, 0x00, 0xFF, 0x01, 0x00), // two values: the first counts
		element(0x0800, 0x02, 0x02),             // any value but 0101H: a data set follows
		element(0x5555, 1, 2, 3, 4),             // unknown element
		[]byte{8, 0, 0x18, 0, 2, 0, 0, 0, '1', 0},
		element(0x0120, 0x05, 0x00), // out of order
		element(0x0100, 0x20, 0x80),
		element(0x1021, 0x03),             // odd length: absent
		element(0x0000, 0xFF, 0xFF, 0, 0), // wrong group length
	))
	require.NoError(t, err)
	require.Equal(t, dicomnet.CommandSet{
		CommandField: dicomnet.CFindRSP, MessageIDBeingRespondedTo: 5, Status: dicomnet.StatusPending, HasDataSet: true,
	}, c)

	valid := join(element(0x0100, 0x20, 0x80), element(0x0120, 1, 0), element(0x0900, 0, 0))
	for name, b := range map[string][]byte{
		"no element":                               nil,
		"no command field":                         join(element(0x0120, 1, 0), element(0x0900, 0, 0)),
		"a response without a status":              join(element(0x0100, 0x20, 0x80), element(0x0120, 1, 0)),
		"a response without the ID of its request": join(element(0x0100, 0x20, 0x80), element(0x0900, 0, 0)),
		"a request without an ID":                  element(0x0100, 0x30, 0x00),
		"a truncated element header":               append(valid, 0, 0, 1),
		"a value longer than the rest":             append(valid, 0, 0, 2, 9, 0xFF, 0xFF, 0xFF, 0xFF, 1),
		"an odd status":                            join(element(0x0100, 0x20, 0x80), element(0x0120, 1, 0), element(0x0900, 0)),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := dicomnet.DecodeCommandSet(b)
			require.Error(t, err)
		})
	}
	require.Equal(t, "command 1234", dicomnet.CommandField(0x1234).String())
	require.Equal(t, "C-FIND-RSP", dicomnet.CFindRSP.String())
}

func FuzzDecodeCommandSet(f *testing.F) {
	for _, c := range []dicomnet.CommandSet{
		{CommandField: dicomnet.CEchoRQ, AffectedSOPClassUID: "1.2.840.10008.1.1", MessageID: 7},
		{
			CommandField: dicomnet.CMoveRSP, MessageIDBeingRespondedTo: 1, Status: 0xB000, Completed: ptr(2), Failed: ptr(1),
			Detail: dicomnet.StatusDetail{ErrorComment: "abc", OffendingElements: []uint32{0x0020000D}},
		},
		{CommandField: dicomnet.CCancelRQ, MessageIDBeingRespondedTo: 9},
	} {
		f.Add(c.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := dicomnet.DecodeCommandSet(b)
		if err != nil {
			return
		}
		// Whatever decodes can be encoded, and decodes to the same command set.
		again := c.Append(nil)
		back, err := dicomnet.DecodeCommandSet(again)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(back.Append(nil), again) || !reflect.DeepEqual(back.Detail, c.Detail) && c.CommandField&0x8000 != 0 {
			t.Fatal("encoding a decoded command set and decoding it again changes it")
		}
	})
}
