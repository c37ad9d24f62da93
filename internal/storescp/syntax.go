package storescp

import (
	"slices"
	"strings"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
)

// Preference is which transfer syntax is accepted of those that a peer proposes in one presentation context.
type Preference uint8

// The order of the others is the same for all: encapsulated ones as the peer proposes them, Explicit VR Big Endian, Deflated.
const (
	// UncompressedFirst accepts Explicit or Implicit VR Little Endian if they are proposed, so that no PACS compresses for the gateway.
	UncompressedFirst Preference = iota
	// UncompressedOnly accepts no encapsulated transfer syntax, so that the PACS decompresses.
	UncompressedOnly
	// CompressedFirst accepts an encapsulated one if one is proposed: some PACS that cannot decompress propose uncompressed ones too.
	CompressedFirst
)

// uncompressedSyntaxes are accepted in this order, whatever the order of the peer is: some PACS send in what they propose first.
var uncompressedSyntaxes = []dataset.TransferSyntax{dataset.ExplicitVRLittleEndian, dataset.ImplicitVRLittleEndian}

// lastSyntaxes are accepted if nothing else is proposed: Big Endian is retired, and no instance is stored deflated at a PACS that sends it so.
var lastSyntaxes = []dataset.TransferSyntax{dataset.ExplicitVRBigEndian, dataset.DeflatedExplicitVRLittleEndian}

// storedSyntaxes are the encapsulated transfer syntaxes of PS3.5 annex A.4, in which instances are stored. JPIP and SMPTE ST 2110 are not
// among them: their data sets have no pixel data.
var storedSyntaxes = []dataset.TransferSyntax{
	"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70", // JPEG
	"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81", // JPEG-LS
	"1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.92", "1.2.840.10008.1.2.4.93", // JPEG 2000
	"1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.100.1", "1.2.840.10008.1.2.4.101", "1.2.840.10008.1.2.4.101.1", // MPEG-2
	"1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.102.1", "1.2.840.10008.1.2.4.103", "1.2.840.10008.1.2.4.103.1", // MPEG-4
	"1.2.840.10008.1.2.4.104", "1.2.840.10008.1.2.4.104.1", "1.2.840.10008.1.2.4.105", "1.2.840.10008.1.2.4.105.1",
	"1.2.840.10008.1.2.4.106", "1.2.840.10008.1.2.4.106.1", "1.2.840.10008.1.2.4.107", "1.2.840.10008.1.2.4.108", // and HEVC
	"1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.111", "1.2.840.10008.1.2.4.112", // JPEG XL
	"1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203", // HTJ2K
	dataset.RLELossless, "1.2.840.10008.1.2.1.98", // Encapsulated Uncompressed Explicit VR Little Endian
}

// chooseContext answers a presentation context (PS3.8 section 9.3.3.2): it accepts storage, and verification, in one transfer syntax. Of
// several encapsulated ones it takes the first that the peer proposes.
func chooseContext(abstract string, proposed []dataset.TransferSyntax, p Preference) (dataset.TransferSyntax, dicomnet.ContextResult) {
	if abstract != dicomnet.VerificationSOPClass && !isStorage(abstract) {
		return "", dicomnet.ContextAbstractSyntaxNotSupported
	}
	encapsulated := slices.DeleteFunc(slices.Clone(proposed), func(ts dataset.TransferSyntax) bool {
		return p == UncompressedOnly || !slices.Contains(storedSyntaxes, ts)
	})
	candidates := slices.Concat(uncompressedSyntaxes, encapsulated, lastSyntaxes)
	if p == CompressedFirst {
		candidates = slices.Concat(encapsulated, candidates)
	}
	for _, ts := range candidates {
		if slices.Contains(proposed, ts) {
			return ts, dicomnet.ContextAccepted
		}
	}
	return "", dicomnet.ContextTransferSyntaxesNotSupported
}

const (
	dicomRoot   = "1.2.840.10008."
	storageRoot = dicomRoot + "5.1.4.1.1."
)

// furtherStorage are the storage SOP classes of PS3.4 annex B.5 outside storageRoot.
var furtherStorage = []string{
	dicomRoot + "5.1.4.34.7",  // RT Beams Delivery Instruction
	dicomRoot + "5.1.4.34.10", // RT Brachy Application Setup Delivery Instruction
}

// isStorage reports whether a SOP class may be that of a stored instance. Private SOP classes may.
func isStorage(sopClass string) bool {
	return strings.HasPrefix(sopClass, storageRoot) || !strings.HasPrefix(sopClass, dicomRoot) && sopClass != "" ||
		slices.Contains(furtherStorage, sopClass)
}
